"""FlashInfer's attention over a shared prompt, beside cuda_bench's at the same shape.

Usage: python3 bench/flashinfer_cascade.py OURS   (what `cuda_bench attention` printed)

32 texts read one prompt and 4 tokens of their own: 32 heads, 8 of K and V, 128 wide, f16, pages of 16, one row a text.
Its cascade has two levels, the prompt's pages and each text's own page. Medians of rounds of 20 calls, as ours are.
Where flashinfer, torch or a GPU for them is not there it says so and succeeds.
"""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path
from typing import Any

BRANCHES, HEADS, KV_HEADS, WIDTH, PAGE, OWN = 32, 32, 8, 128, 16, 4
ROUNDS, CALLS = 6, 20


def ours(path: Path) -> dict[int, float]:
    """Microseconds by tokens of the prompt: with the sizes that were fastest there."""
    line = re.compile(r"^prompt of (\d+)\s+[\d.]+\s+[\d.]+\s+[\d.]+\s+([\d.]+)", re.MULTILINE)
    return {int(tokens): float(us) for tokens, us in line.findall(path.read_text())}


def cascade_microseconds(torch: Any, flashinfer: Any, tokens: int) -> float:
    def ints(values: list[int]) -> Any:
        return torch.tensor(values, dtype=torch.int32, device="cuda")

    shared = tokens // PAGE
    pages = torch.randn(shared + BRANCHES, 2, PAGE, KV_HEADS, WIDTH, dtype=torch.float16, device="cuda")
    queries = torch.randn(BRANCHES, HEADS, WIDTH, dtype=torch.float16, device="cuda")
    room = torch.empty(128 << 20, dtype=torch.uint8, device="cuda")
    wrapper = flashinfer.MultiLevelCascadeAttentionWrapper(2, room, "NHD")
    wrapper.plan(
        [ints([0, BRANCHES]), ints(list(range(BRANCHES + 1)))],
        [ints([0, shared]), ints(list(range(BRANCHES + 1)))],
        [ints(list(range(shared))), ints(list(range(shared, shared + BRANCHES)))],
        [ints([PAGE]), ints([OWN] * BRANCHES)],
        HEADS,
        KV_HEADS,
        WIDTH,
        PAGE,
    )
    rounds = []
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(CALLS):
            wrapper.run(queries, pages)
        end.record()
        torch.cuda.synchronize()
        rounds.append(1000 * begin.elapsed_time(end) / CALLS)
    return statistics.median(rounds[1:])


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        import flashinfer
        import torch
    except ImportError as missing:
        print(f"FlashInfer: not installed ({missing})")
        return 0
    if not torch.cuda.is_available():
        print("FlashInfer: torch has no GPU here")
        return 0
    print(f"FlashInfer {flashinfer.__version__:<23} {'its us':>10} {'ours us':>10} {'ratio':>8} {'goal':>8}")
    for tokens, us in sorted(ours(Path(sys.argv[1])).items()):
        its = cascade_microseconds(torch, flashinfer, tokens)
        print(f"prompt of {tokens:<24} {its:>10.1f} {us:>10.1f} {its / us:>8.2f} {'>= 1':>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
