#!/usr/bin/env bash
# The measurements behind `make bench-cpu`: the CPU backend beside the machine's own limits, ik_llama.cpp and llama.cpp,
# for each of the three models that is here. Peers: bench/vs_llama.py --help ($IK_LLAMA_BIN, $ESPALIER_PEER_PYTHON).
set -euo pipefail
cd "$(dirname "$0")/.."
peer=${ESPALIER_PEER_PYTHON:-python3}
threads=${THREADS:-$(nproc)}
models=${ESPALIER_MODELS:-$HOME/.cache/espalier/models}
bench=(build/bin/espalier bench --threads "$threads")

for file in SmolLM2-135M-Instruct.Q4_1.gguf gemma-3-270m-q4_k_m.gguf qwen2.5-coder-0.5b-instruct-q4_k_m.gguf; do
  model=$models/$file
  if [ ! -f "$model" ]; then echo "== $file is not here"; continue; fi
  echo "== $file: beside what the machine can read and multiply"
  "${bench[@]}" --model "$model" --decode 64
  echo "== $file: beside ik_llama.cpp and llama.cpp"
  "$peer" bench/vs_llama.py --model "$model" --threads "$threads" --rounds "${ROUNDS:-3}"
  case $file in gemma*)
    echo "== $file: masked by two schemas, beside itself unmasked"
    "${bench[@]}" --model "$model" --batch 1,16 --depth 0 --prefill 16 --masked ;;
  esac
done

echo "== other tensor types of SmolLM2's shape: random weights"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for type in q4_1 q4_0 q4_k_m; do
  build/bin/espalier mkmodel "$work/$type.gguf" --like smollm2-135m --type "$type" --vocab-from smollm2 >/dev/null
  echo "-- $type"; "${bench[@]}" --model "$work/$type.gguf" --batch 1,16 --depth 0 --decode 64
done

echo "== keys and values in other types, after 2,048 tokens"
for type in f16 bf16 q8; do
  echo "-- $type"; "${bench[@]}" --kv-type "$type" --batch 1,16 --depth 2048 --decode 64 --prefill 2048
done

echo "== attention over a shared prefix: rows together, row by row, with pages of each row's own"
build/bin/attention_bench --threads "$threads"

echo "== what a step costs beside the backend; more threads than processors; time and memory of loading"
.venv/bin/python bench/cpu_limits.py --threads "$threads"
