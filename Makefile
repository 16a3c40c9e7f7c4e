# Every target does its own set-up, can be run again, and is quick the second time.
#   make demo      build, fetch the default model, run an agent and an extraction program
#   make test      every C++ and Python test (what CI runs); make test-all adds the long ones
#                  and the ARM kernels under qemu (make test-arm)
#   make build     everything; the program is build/bin/espalier
#   make test-cuda   the CUDA backend on this machine's GPU, bit for bit against the CPU;  make bench-cuda  what it reaches
#   make cuda-check  every CUDA kernel compiled for real devices, and what the compiler made of it (where nvcc is)
#   make nccl-check, cublaslt-check  what is declared of NCCL and of cuBLASLt, against their own headers and libraries
#   make bench     measurements, each beside a peer or a limit
#   make bench-cpu  the CPU backend beside the machine's limits, ik_llama.cpp (IK_LLAMA_BIN) and llama.cpp
#   make bench-cache  the radix cache on traces, and what sharing saves on workloads, beside the best there can be and
#                  llama.cpp's server, where it is on PATH or in ESPALIER_LLAMA_SERVER
#   make bench-masks  masks and compiles of JSON Schemas and grammars, beside xgrammar and llguidance where installed
#   make bench-bfcl  function calling, beside the same models free and llama.cpp with a JSON schema: STRIDE=20
#   make format    clang-format and ruff over the sources;  make lint  checks them and runs clang-tidy
#   make simulate  scheduler, tree and pool under random programs: PROGRAMS=100000
#   make asan|tsan the C++ tests under the sanitizers;      make fuzz  every fuzz target for a minute
SHELL := /bin/bash
JOBS ?= $(shell nproc)
VENV := .venv
ESPALIER := build/bin/espalier
# Neither the clone's folder nor __FILE__ spoils ccache: a second clone builds from the first one's results.
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1
export CCACHE_SLOPPINESS ?= pch_defines,time_macros

.PHONY: setup program build model demo test test-all test-arm test-cuda bench-cuda cuda-check nccl-check cublaslt-check simulate bench bench-cpu bench-cache bench-masks bench-bfcl format lint asan tsan fuzz clean python wheel

setup:
	@tools/setup.sh

build/build.ninja: CMakeLists.txt CMakePresets.json | setup
	@cmake --preset release $(CMAKE_FLAGS) > build.log 2>&1 || { cat build.log; rm -f build.log; exit 1; }; rm -f build.log

program: setup build/build.ninja
	@cmake --build --preset release -j $(JOBS) --target espalier

build: program
	@cmake --build --preset release -j $(JOBS)

model: program
	@$(ESPALIER) pull smollm2

# The package in a virtual environment of its own; remade when its metadata changes.
$(VENV)/.ready: pyproject.toml | setup
	@python3 -m venv $(VENV)
	@$(VENV)/bin/pip install -q --disable-pip-version-check numpy pytest pytest-asyncio pytest-lsp jinja2 typing_extensions mypy
	@touch $@

python: build $(VENV)/.ready

demo: model
	@tools/demo.sh

test: model python
	@ctest --test-dir build --output-on-failure -j $(JOBS) --timeout 600
	@PYTHONPATH=build/python $(VENV)/bin/python -m pytest -q tests/python

# NEON's kernels on a machine of another kind.
test-arm:
	@tools/setup.sh g++-aarch64-linux-gnu qemu-user
	@tools/test_arm.sh

# On a machine with a GPU: `make test` tries the same sources on the CPU.
test-cuda: build
	@build/bin/cuda_device_test --gtest_brief=1

bench-cuda: build
	@tools/bench_cuda.sh

cuda-check: $(VENV)/.ready
	@tools/cuda_check.sh $(VENV)/bin/python

# What is declared of NCCL, which runs load, against its own header and library.
nccl-check: $(VENV)/.ready
	@tools/nccl_check.sh $(VENV)/bin/python

cublaslt-check:
	@tools/cublaslt_check.sh

test-all: test wheel test-arm cuda-check nccl-check cublaslt-check
	@ESPALIER_LONG=1 ctest --test-dir build --output-on-failure --timeout 3600

# `pip install .` as a user does it, in an environment of its own, and the README's example with it.
wheel: model
	@python3 -m venv build/wheel-venv
	@build/wheel-venv/bin/pip install -q --disable-pip-version-check .
	@build/wheel-venv/bin/python tools/readme_example.py README.md

# The reference data, where it is.
ESPALIER_DATA ?= ../shared/data

# The radix cache on public traces and at size, and what sharing saves on workloads of programs.
bench-cache: model build
	@for trace in $(ESPALIER_DATA)/traces/*.jsonl*; do for capacity in 1% 5% 20%; do \
	  build/bin/cache_replay $$trace --capacity $$capacity --policy all --oracle; done; done
	@build/bin/radix_ops --benchmark_min_time=0.1 2>/dev/null
	@python3 bench/workloads.py --threads $(JOBS) --out build/workloads
	@test ! -d build/workloads || build/bin/schedule_replay build/workloads/*.jsonl

PROGRAMS ?= 20000
simulate: build
	@ESPALIER_PROGRAMS=$(PROGRAMS) build/bin/engine_test --gtest_filter='Simulation.*' --gtest_brief=1

bench: model python
	@tools/bench.sh

bench-cpu: model python
	@tools/bench_cpu.sh

# A Python that has the peers (pip install xgrammar llguidance), where there is one.
ESPALIER_PEER_PYTHON ?= $(VENV)/bin/python
EVERY ?= 60
bench-masks: python
	@build/bin/grammar_mask_bench
	@build/bin/maskbench --tokenizer $(ESPALIER_DATA)/tokenizers/llama3.1.tokenizer.json.xz \
	  --schemas $(ESPALIER_DATA)/maskbench/dev.jsonl.xz --every $(EVERY)
	@build/bin/maskbench --tokenizer $(ESPALIER_DATA)/tokenizers/llama3.1.tokenizer.json.xz \
	  --schemas $(ESPALIER_DATA)/maskbench/dev.jsonl.xz --every $(EVERY) --spare 0
	@build/bin/maskbench --tokenizer $(ESPALIER_DATA)/tokenizers/llama3.1.tokenizer.json.xz \
	  --schemas $(ESPALIER_DATA)/maskbench/dev.jsonl.xz --every 6 --limit 1000 --hold
	@python3 bench/hard_schemas.py > build/hard.jsonl
	@build/bin/maskbench --tokenizer $(ESPALIER_DATA)/tokenizers/llama3.1.tokenizer.json.xz --schemas build/hard.jsonl
	@PYTHONPATH=build/python $(ESPALIER_PEER_PYTHON) bench/masks_vs_peers.py --every $(EVERY) \
	  --tokenizer $(ESPALIER_DATA)/tokenizers/llama3.1.tokenizer.json.xz --schemas $(ESPALIER_DATA)/maskbench/dev.jsonl.xz
	@python3 bench/grammar_rows.py > build/grammars.jsonl
	@PYTHONPATH=build/python $(ESPALIER_PEER_PYTHON) bench/masks_vs_peers.py --every 1 \
	  --tokenizer $(ESPALIER_DATA)/tokenizers/llama3.1.tokenizer.json.xz --schemas build/grammars.jsonl

# Function calling (BFCL): every STRIDE-th question, held, free, and under llama.cpp where $ESPALIER_PEER_PYTHON has it.
STRIDE ?= 20
BFCL_MODELS ?= smollm2 $(HOME)/.cache/espalier/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
bench-bfcl: model python
	@for model in $(BFCL_MODELS); do PYTHONPATH=build/python $(ESPALIER_PEER_PYTHON) bench/bfcl.py --model $$model \
	  --every $(STRIDE) --plain --free --llama || exit 1; done

# The sources that clang-format lays out: not the generated tables.
FORMATTED = $(filter-out %_tables.cpp,$(shell git ls-files '*.h' '*.cpp' '*.cu' '*.cuh'))
RUFF = $(VENV)/bin/ruff
$(RUFF): $(VENV)/.ready
	@$(VENV)/bin/pip install -q --disable-pip-version-check ruff

format: $(RUFF)
	@tools/setup.sh clang-format
	@clang-format -i $(FORMATTED)
	@$(RUFF) format -q python examples tests bench tools

lint: build $(RUFF)
	@tools/setup.sh clang-format clang-tidy
	@# Without g++'s precompiled header, which clang cannot read.
	@cmake --preset release -B build/lint -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON > /dev/null
	@clang-format --dry-run -Werror $(FORMATTED)
	@$(RUFF) check -q python examples tests bench tools
	@tools/lint.sh build/lint $(JOBS)

asan tsan: setup
	@cmake --preset $@ -DESPALIER_PYTHON=OFF -DESPALIER_BENCH=OFF > /dev/null
	@cmake --build --preset $@ -j $(JOBS)
	@ctest --test-dir build/$@ --output-on-failure -j $(JOBS) --timeout 1800

fuzz:
	@tools/setup.sh clang libclang-rt-dev
	@cmake --preset fuzz > /dev/null && cmake --build --preset fuzz -j $(JOBS)
	@for target in build/fuzz/bin/*_fuzz; do echo "== $$target"; $$target -max_total_time=60 -print_final_stats=1 2>&1 | tail -3; done

clean:
	@rm -rf build $(VENV)
