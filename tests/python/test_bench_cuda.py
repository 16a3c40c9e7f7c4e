"""`make bench-cuda` keeps to its time, and says what did not fit: on programs that only pretend."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FLASHINFER = ROOT / "bench/flashinfer_cascade.py"

ESPALIER = """#!/usr/bin/env bash
case $1 in
  mkmodel) : > "$2" ;;
  show) exit 1 ;;
  *) echo "ran $*" ;;
esac
"""
# Attention as it prints it; `slow` and `broken` name a part of cuda_bench.
CUDA_BENCH = """#!/usr/bin/env bash
echo "ran cuda_bench $*"
[ "$1" != {slow} ] || exec sleep 60
[ "$1" != {broken} ] || exit 3
[ "$1" != attention ] || echo "prompt of 8192  240.6  414.7  1.72  120.3  side by side 4"
"""
OTHER = '#!/usr/bin/env bash\necho "ran $(basename "$0")"\n'


def bench(folder: Path, seconds: int, slow: str = "none", broken: str = "none") -> tuple[int, str, float]:
    programs = {
        "espalier": ESPALIER,
        "cuda_bench": CUDA_BENCH.format(slow=slow, broken=broken),
        "cuda_steps": OTHER,
        "cuda_layers": OTHER,
    }
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "flashinfer.py").write_text("raise ImportError('none')\n")
    environment = {
        **os.environ,
        "ESPALIER_BIN": str(folder),
        "ESPALIER_BENCH_SECONDS": str(seconds),
        "ESPALIER_DATA": str(folder / "nothing"),
        "PYTHONPATH": str(folder),
    }
    begin = time.monotonic()
    done = subprocess.run(
        ["bash", "tools/bench_cuda.sh"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout, time.monotonic() - begin


def test_each_figure_has_a_part(tmp_path: Path) -> None:
    code, printed, _ = bench(tmp_path, 100)
    assert code == 0, printed
    for part in (
        "choices",
        "attention",
        "FlashInfer",
        "smollm2-135m, q4_1",
        "smollm2-135m, q4_1, time outside kernels",
        "smollm2-135m, q4_1, layers in one kernel",
        "llama-3.1-8b, q4_k_m",
        "llama-3.1-8b, q4_k_m, time outside kernels",
        "products",
        "products on tensor cores",
        "pages",
    ):
        assert f"== {part}\n" in printed
        assert f"-- {part}: " in printed
    for numerics in ("exact", "tensor", "fp8"):
        assert f"bf16, numerics {numerics}\n" in printed
    assert "FlashInfer: not installed" in printed
    assert printed.count("goals: ") == 4
    assert "did not fit" not in printed and "left out" not in printed and "failed" not in printed


def test_what_does_not_fit_says_so_and_the_rest_is_left_out_in_time(tmp_path: Path) -> None:
    code, printed, took = bench(tmp_path, 8, slow="products")
    assert code == 0, printed
    assert took < 30
    assert "bench-cuda: products: did not fit into " in printed
    assert "bench-cuda: pages: left out, the 8 seconds of all parts are over" in printed
    assert "-- llama-3.1-8b, q4_k_m: " in printed


def test_a_part_that_fails_fails_all_and_the_others_run(tmp_path: Path) -> None:
    code, printed, _ = bench(tmp_path, 100, broken="attention")
    assert code == 1
    assert "bench-cuda: attention: failed" in printed
    assert "-- products: " in printed


TORCH = """
class Tensor: pass
float16 = uint8 = int32 = None
def tensor(values, **_): return list(values)
def randn(*_, **__): return Tensor()
empty = randn
class cuda:
    is_available = staticmethod(lambda: True)
    synchronize = staticmethod(lambda: None)
    class Event:
        def __init__(self, enable_timing): pass
        def record(self): pass
        def elapsed_time(self, end): return 4.812
"""
CASCADE = """
__version__ = "9.9"
class MultiLevelCascadeAttentionWrapper:
    def __init__(self, levels, room, layout): assert levels == 2 and layout == "NHD"
    def plan(self, rows, pages, numbers, last, heads, kv_heads, width, page):
        assert rows == [[0, 32], list(range(33))]
        assert pages == [[0, 512], list(range(33))]
        assert numbers == [list(range(512)), list(range(512, 544))]
        assert last == [[16], [4] * 32]
        assert (heads, kv_heads, width, page) == (32, 8, 128, 16)
    def run(self, queries, pages): pass
"""


def test_flashinfer_is_beside_ours_at_its_shape(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(TORCH)
    (tmp_path / "flashinfer.py").write_text(CASCADE)
    (tmp_path / "ours").write_text("prompt of 8192  300.0  414.7  1.38  120.3  side by side 4\n")
    done = subprocess.run(
        [sys.executable, str(FLASHINFER), str(tmp_path / "ours")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["prompt", "of", "8192", "240.6", "120.3", "2.00", ">=", "1"]
