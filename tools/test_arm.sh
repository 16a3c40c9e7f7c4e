#!/usr/bin/env bash
# The NEON kernels against the scalar ones, bit for bit, on a machine of another kind: cross-compiled, and run by qemu.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/arm
mkdir -p "$out/include"
# Headers that are the same on every machine, and no others of this one.
ln -sfn /usr/include/tl "$out/include/tl"
googletest=/usr/src/googletest/googletest
sources=(
  base/result.cpp runtime/model/tensor.cpp runtime/model/quantised_block.cpp
  runtime/cpu/{fixed_math,hadamard,isa,kv_pool,kv_type,matrix,memory}.cpp
  runtime/cpu/kernels_{scalar,neon}.cpp tests/runtime/cpu/{kernels,attention_kernels}_test.cpp "$googletest"/src/{gtest-all,gtest_main}.cc
)
objects=()
for source in "${sources[@]}"; do
  object="$out/$(basename "$source").o"
  objects+=("$object")
  flags=(-Wall -Wextra -Werror -Wno-maybe-uninitialized)  # as the build has them
  case "$source" in
    *kernels_neon.cpp) flags+=(-march=armv8.2-a+dotprod) ;;
    "$googletest"/*) flags=(-I"$googletest") ;;
  esac
  newest=$(ls -t "$source" runtime/cpu/*.h runtime/model/*.h tests/runtime/cpu/*.h | head -1)
  [ "$object" -nt "$newest" ] && continue
  aarch64-linux-gnu-g++ -std=c++20 -O2 -ffp-contract=off -fno-math-errno "${flags[@]}" -I. -isystem "$out/include" \
    -isystem "$googletest/include" -c "$source" -o "$object"
done
aarch64-linux-gnu-g++ -static -pthread "${objects[@]}" -o "$out/kernels_test"
qemu-aarch64 "$out/kernels_test" --gtest_brief=1 "$@"
qemu-aarch64 "$out/kernels_test" --gtest_list_tests | grep -q /neon  # or nothing was tested
