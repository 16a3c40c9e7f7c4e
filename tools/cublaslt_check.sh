#!/usr/bin/env bash
# What the CUDA backend declares of cuBLASLt against cuBLASLt's own header and library, which it loads when numerics `tensor` are
# asked for. No GPU is needed. Without the CUDA Toolkit, or one that has cuBLAS, it says so and succeeds.
#   tools/cublaslt_check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
cuda=${CUDA_PATH:-/usr/local/cuda}
library=$(ls "$cuda"/lib64/libcublasLt.so.[0-9]* 2> /dev/null | head -1 || true)
if [ ! -f "$cuda/include/cublasLt.h" ] || [ -z "$library" ]; then
  echo "cublaslt-check: no cuBLASLt in $cuda; its declarations were not compared"
  exit 0
fi
mkdir -p build/cublaslt
g++ -std=c++20 -O1 -Wall -Werror -I. -isystem "$cuda/include" tools/cublaslt_check.cpp runtime/cuda/cublaslt.cpp base/result.cpp \
  -L"$cuda/lib64" -lcudart_static -ldl -lrt -pthread -o build/cublaslt/check
build/cublaslt/check "$library"
