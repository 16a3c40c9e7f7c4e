#!/usr/bin/env bash
# What the CUDA backend reaches on this machine's first GPU, beside its goals: choices and attention over a shared prompt
# (beside FlashInfer's, where Python has it), models of random weights from prompt to token, the share of a step outside
# the kernels, what the cache saves on agent and extraction programs (GPU and CPU, where bench/workloads.py has its data),
# products beside a large copy and beside cuBLASLt, and where there are two GPUs two engines beside one.
# Needs 6 GB of disk for the time being; the 8B model in BF16 needs 20 (else a 1B one is measured in its place).
#   tools/bench_cuda.sh   ESPALIER_BIN: the folder of the programs, else build/bin
#   ESPALIER_BENCH_SECONDS: of all of it, else 470. Each part has a box of its own besides: what does not fit says so, and
#   the next one begins. Exit 1 where a part failed; one that did not fit is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${ESPALIER_BIN:-build/bin}
budget=${ESPALIER_BENCH_SECONDS:-470}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# part NAME SECONDS COMMAND...: false where it failed or did not fit.
part() {
  local name=$1 most=$2 from=$SECONDS code=0
  shift 2
  [ $((budget - SECONDS)) -ge "$most" ] || most=$((budget - SECONDS))
  if [ "$most" -le 0 ]; then
    echo "bench-cuda: $name: left out, the $budget seconds of all parts are over"
    return 1
  fi
  echo "== $name"
  timeout --kill-after=5 "$most" "$@" || code=$?
  case $code in
    0) echo "-- $name: $((SECONDS - from)) of $most seconds" ;;
    124 | 137) echo "bench-cuda: $name: did not fit into $most seconds" ;;
    *) echo "bench-cuda: $name: failed"; failed=1 ;;
  esac
  return $code
}
# As part(), where the parts that follow can do without it.
measure() { part "$@" || true; }
# What not every machine has.
optional() {
  local was=$failed
  measure "$@"
  failed=$was
}
make_model() {  # FILE SHAPE TYPE SECONDS
  part "making $2, $3" "$4" "$bin/espalier" mkmodel "$work/$1" --like "$2" --type "$3"
}
bench() {  # NAME SECONDS FILE OPTIONS...
  local name=$1 most=$2 file=$3
  shift 3
  measure "$name" "$most" "$bin/espalier" bench --model "$work/$file" --device cuda "$@"
}

echo "goals: mask and choice together 1.3 reads of the logits; a shared prompt of 8,192 tokens 10 times the copies', and FlashInfer's"
measure "choices" 20 "$bin/cuda_bench" choices
measure "attention" 30 "$bin/cuda_bench" attention > "$work/attention"
cat "$work/attention"
optional "FlashInfer" 60 python3 bench/flashinfer_cascade.py "$work/attention"

echo "goals: batch 1 at most 0.25 ms a token, 0.15 in one kernel; 3 % of a step of 64 rows outside the kernels"
if make_model small.gguf smollm2-135m q4_1 10; then
  bench "smollm2-135m, q4_1" 45 small.gguf --prefill 2048 --decode 64 --batch 1,8,32,64 --depth 0,512
  measure "smollm2-135m, q4_1, time outside kernels" 20 "$bin/cuda_steps" "$work/small.gguf"
  measure "smollm2-135m, q4_1, layers in one kernel" 15 "$bin/cuda_layers" "$work/small.gguf"
  bench "smollm2-135m, q4_1, under masks" 20 small.gguf --prefill 512 --decode 32 --batch 1,64 --depth 0 --repeat 1 --masked
fi

echo "goals: batch 1 at 80 % of memory; 3 % of a step of 64 rows outside the kernels"
if make_model quantised.gguf llama-3.1-8b q4_k_m 30; then
  bench "llama-3.1-8b, q4_k_m" 50 quantised.gguf --prefill 2048 --decode 32 --batch 1,8,64 --depth 0,512
  measure "llama-3.1-8b, q4_k_m, time outside kernels" 35 "$bin/cuda_steps" "$work/quantised.gguf"
  bench "llama-3.1-8b, q4_k_m, under masks" 25 quantised.gguf --prefill 512 --decode 32 --batch 64 --depth 0 --repeat 1 --masked
fi

# Made, and kept, one after the other: an 8B model in BF16 has 16 GB.
dense=llama-3.1-8b
[ "$(df --output=avail -B1G "$work" | tail -1)" -ge 20 ] || dense=llama-3.2-1b
echo "goals: batch 1 at 90 % of memory; numerics tensor: a prompt of 4,096 tokens at 75 % of the products' limit"
if make_model dense.gguf "$dense" bf16 60; then
  for numerics in exact tensor; do
    bench "$dense, bf16, numerics $numerics" 55 dense.gguf --numerics $numerics --prefill 4096 --decode 16 --batch 1,8,64 --depth 0 --repeat 1
  done
  optional "$dense, bf16, numerics fp8" 45 "$bin/espalier" bench --model "$work/dense.gguf" --device cuda \
    --numerics fp8 --prefill 4096 --decode 16 --batch 1,8,64 --depth 0 --repeat 1
  rm -f "$work/dense.gguf"
fi

measure "workloads" 10 python3 bench/workloads.py --only agent extraction --scale 0.5 --out "$work/workloads" --files-only
if [ -f "$work/workloads/agent.jsonl" ]; then
  # The tokens of a real model, where it is here; else a token a byte.
  vocabulary=()
  ! "$bin/espalier" show smollm2 > /dev/null 2>&1 || vocabulary=(--vocab-from smollm2)
  "$bin/espalier" mkmodel "$work/words.gguf" --like smollm2-135m --type q4_1 "${vocabulary[@]}" > /dev/null
  for device in cuda cpu; do
    measure "agents and extraction, $device" 45 \
      "$bin/espalier" bench sharing "$work"/workloads/{agent,extraction}.jsonl --model "$work/words.gguf" --device $device
  done
fi

if [ "$(nvidia-smi --list-gpus 2> /dev/null | wc -l)" -gt 1 ] && [ -f "$work/small.gguf" ]; then
  for i in $(seq 128); do
    head=$(printf "head $((i % 4)) of what many programs read first. %.0s" $(seq 40))
    echo "{\"id\": \"$i\", \"requests\": [{\"text\": \"$head $i\", \"max_tokens\": 64}]}"
  done > "$work/programs.jsonl"
  measure "two engines, programs of four heads" 30 \
    "$bin/espalier" bench sharing "$work/programs.jsonl" --model "$work/small.gguf" --device cuda:0,1 --data-parallel 2
fi

measure "products" 60 "$bin/cuda_bench" products
measure "products on tensor cores" 30 "$bin/cuda_bench" tensor
measure "pages" 15 "$bin/cuda_bench" pages
if [ -f "$work/quantised.gguf" ]; then
  for kept in f16 bf16 q8; do
    bench "llama-3.1-8b, q4_k_m, K and V in $kept" 25 quantised.gguf --kv-type "$kept" --prefill 4096 --decode 16 --batch 1,32 --depth 4096 --repeat 1
  done
fi
echo "bench-cuda: $SECONDS of $budget seconds"
exit $failed
