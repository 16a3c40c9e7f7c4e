"""From a keystroke to its diagnostics: a program of a thousand lines, edited in the middle, over the pipes.

python3 bench/lsp_latency.py build/bin/espalier [--lines 1000] [--keys 200]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from lsp_session import Client

BLOCK = """\
enum Mood{n} {{ glad, sad, other }}
/// What a letter asks for.
record Request{n} {{
  subject: line
  mood: Mood{n}
  amounts: float(0..)[0..5]
  note: string(1..200)?
}}

gen read{n}(letter: string, strict: bool) -> Request{n} {{
  system "You read letters. Answer with JSON."
  user "${{letter}}"
  retry 2 {{
    assistant "$[request: Request{n}, max=300]"
    require not strict or len(request.amounts) > 0, "name an amount"
  }}
  if request.mood == Mood{n}.glad {{ user "Good: ${{request.subject}}" }}
  return request
}}

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=200)
    options = parser.parse_args()
    blocks = options.lines // BLOCK.count("\n")
    before = "".join(BLOCK.format(n=n) for n in range(blocks // 2))
    after = "".join(BLOCK.format(n=n) for n in range(blocks // 2, blocks))
    client = Client(options.program)
    client.write(before + after)
    typed = 'gen typed(a: string) -> line {\n  user "${a}"\n  assistant "$[b: line]"\n  return b\n}\n'
    times = []
    for key in range(options.keys):
        text = before + typed[: key % len(typed)] + after
        begin = time.perf_counter()
        client.write(text)
        times.append(1000 * (time.perf_counter() - begin))
    client.end()
    times.sort()
    lines = (before + after).count("\n")
    median, most = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"{lines} lines, {len(times)} keystrokes, the whole text sent each time")
    print(f"median {median:.1f} ms, p99 {most:.1f} ms, longest {times[-1]:.1f} ms")


if __name__ == "__main__":
    main()
