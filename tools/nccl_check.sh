#!/usr/bin/env bash
# What the CUDA backend declares of NCCL against NCCL's own header and library, which it loads when it runs. No GPU is needed.
# Fetches them from the Python registry (300 MB) into build/nccl where no header is installed. Without the CUDA Toolkit it says
# so and succeeds.
#   tools/nccl_check.sh [PYTHON]   a python with pip
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
cuda=${CUDA_PATH:-/usr/local/cuda}
if [ ! -f "$cuda/include/cuda_runtime.h" ]; then
  echo "nccl-check: no CUDA Toolkit in $cuda; NCCL's declarations were not compared"
  exit 0
fi
nccl=build/nccl/nvidia/nccl
if [ -f /usr/include/nccl.h ]; then
  include=/usr/include
  library=libnccl.so.2
else
  [ -f "$nccl/include/nccl.h" ] || "$python" -m pip install -q --disable-pip-version-check --no-deps --target build/nccl nvidia-nccl-cu13
  include=$nccl/include
  library=$PWD/$nccl/lib/libnccl.so.2
fi
mkdir -p build/nccl
g++ -std=c++20 -O1 -Wall -Werror -I. -isystem "$include" -isystem "$cuda/include" tools/nccl_check.cpp \
  runtime/cuda/{nccl_communicator,device}.cpp base/result.cpp -L"$cuda/lib64" -lcudart_static -ldl -lrt -pthread -o build/nccl/check
build/nccl/check "$library"
