#!/usr/bin/env bash
# What the CUDA backend reaches on this machine's first GPU: its products beside a large copy, and models of random weights
# from prompt to token. Takes some minutes and 6 GB of disk for the time being; where 20 GB are free, also a prompt of an 8B
# model in BF16 on tensor cores, and in 8-bit floats where the GPU has them, beside the best product of such matrices.
# Then what the cache saves on agent and extraction programs, on the GPU and on the CPU, where bench/workloads.py has its
# data; where there are two GPUs, also what two engines side by side reach beside one.
#   tools/bench_cuda.sh   ESPALIER_BIN: the folder of the programs, else build/bin
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${ESPALIER_BIN:-build/bin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/cuda_bench"
for model in smollm2-135m:q4_1 llama-3.1-8b:q4_k_m llama-3.2-1b:bf16; do
  shape=${model%:*}
  type=${model#*:}
  "$bin/espalier" mkmodel "$work/model.gguf" --like "$shape" --type "$type" > /dev/null
  echo "== $shape, $type"
  # Its layers a kernel a stage, and all of them one kernel.
  [ "$shape" != smollm2-135m ] || "$bin/cuda_layers" "$work/model.gguf"
  bench=("$bin/espalier" bench --model "$work/model.gguf" --device cuda --decode 64)
  "${bench[@]}" --prefill 2048 --batch 1,8,32,64 --depth 0,512 --masked
  if [ "$type" = bf16 ]; then
    for numerics in tensor fp8; do
      echo "-- numerics $numerics"
      "${bench[@]}" --numerics $numerics --prefill 2048 --batch 1,8,32,64 --depth 0,512 || [ $numerics = fp8 ]
    done
  fi
  [ "$type" != q4_k_m ] || for kept in f16 bf16 q8; do
    echo "-- K and V in $kept"
    "${bench[@]}" --kv-type "$kept" --prefill 4096 --batch 1,32 --depth 4096
  done
done

if [ "$(df --output=avail -B1G "$work" | tail -1)" -ge 20 ]; then
  "$bin/espalier" mkmodel "$work/large.gguf" --like llama-3.1-8b --type bf16 > /dev/null
  for numerics in exact tensor fp8; do
    echo "== llama-3.1-8b, bf16, numerics $numerics"
    "$bin/espalier" bench --model "$work/large.gguf" --device cuda --numerics $numerics --prefill 4096 --decode 32 --batch 1,8,64 --depth 0 \
      || [ $numerics = fp8 ]
  done
  rm "$work/large.gguf"
fi

python3 bench/workloads.py --only agent extraction --scale 0.5 --out "$work/workloads" --files-only
if [ -f "$work/workloads/agent.jsonl" ]; then
  # The tokens of a real model, where it is here; else a token a byte.
  vocabulary=()
  ! "$bin/espalier" show smollm2 > /dev/null 2>&1 || vocabulary=(--vocab-from smollm2)
  "$bin/espalier" mkmodel "$work/small.gguf" --like smollm2-135m --type q4_1 "${vocabulary[@]}" > /dev/null
  for device in cuda cpu; do
    echo "== agents and extraction, $device"
    "$bin/espalier" bench sharing "$work"/workloads/{agent,extraction}.jsonl --model "$work/small.gguf" --device $device
  done
fi

if [ "$(nvidia-smi --list-gpus 2> /dev/null | wc -l)" -gt 1 ]; then
  echo "== two engines, programs of four heads"
  for i in $(seq 128); do
    head=$(printf "head $((i % 4)) of what many programs read first. %.0s" $(seq 40))
    echo "{\"id\": \"$i\", \"requests\": [{\"text\": \"$head $i\", \"max_tokens\": 64}]}"
  done > "$work/programs.jsonl"
  "$bin/espalier" bench sharing "$work/programs.jsonl" --model "$work/model.gguf" --device cuda:0,1 --data-parallel 2
fi
