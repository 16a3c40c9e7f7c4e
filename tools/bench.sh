#!/usr/bin/env bash
# The measurements behind `make bench`: each prints a ratio beside a peer or a limit, from one run.
# The peer llama.cpp is used where $ESPALIER_PEER_PYTHON (else python3) can import llama_cpp
# (pip install llama-cpp-python in an environment of its own); without it our side is printed alone.
set -euo pipefail
cd "$(dirname "$0")/.."
peer=${ESPALIER_PEER_PYTHON:-python3}
threads=${THREADS:-$(nproc)}
python=.venv/bin/python
export PYTHONPATH=build/python

echo "== parity with llama.cpp's recorded answers (needs the reference data)"
build/bin/cpu_test --gtest_filter='*Parity*' | grep -vE '^\[|^Note|^Running|^$' || true

echo "== steps: prefill and decode"
"$peer" bench/vs_llama.py --threads "$threads" --rounds "${ROUNDS:-3}"

echo "== the main job: receipts to records"
"$python" bench/receipts.py --threads "$threads"

echo "== extraction: values written as strings, and copied as spans"
"$python" bench/extraction.py --threads "$threads"

echo "== the language: a choice among 77 labels, the interpreter's own time"
"$python" bench/language.py --threads "$threads"

echo "== sharing: eight programs, one prefix"
"$python" bench/sharing.py --threads "$threads"

echo "== masks on the default model's vocabulary"
build/bin/grammar_mask_bench

echo "== radix cache"
build/bin/radix_ops --benchmark_min_time=0.1 2>/dev/null

echo "== check, and the language server: from a keystroke to its diagnostics"
"$python" bench/lsp_latency.py build/bin/espalier
