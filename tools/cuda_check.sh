#!/usr/bin/env bash
# The kernels of the CUDA backend compiled for real devices, without one: every runtime/cuda/*.cu for each architecture.
# Fails on errors, on kernels that spill registers or need a stack frame, and on kernels that lack the instructions they
# are written for (matrix products, loads of 16 bytes). Without nvcc it says so and succeeds.
#   tools/cuda_check.sh [PYTHON]   a python with pip, to get nvdisasm where the toolkit lacks it
# ESPALIER_NVCC: the compiler, else nvcc on PATH or in /usr/local/cuda. ESPALIER_CUDA_ARCHITECTURES: "80 89 90a 100".
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
architectures=${ESPALIER_CUDA_ARCHITECTURES:-80 89 90a 100}
out=build/cuda-check

find_tool() {  # NAME: prints its path
  command -v "$1" || { [ -x "$(dirname "$nvcc")/$1" ] && echo "$(dirname "$nvcc")/$1"; }
}

nvcc=${ESPALIER_NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
if [ ! -x "$nvcc" ]; then
  echo "cuda-check: no nvcc here (ESPALIER_NVCC names one); kernels were not compiled for devices"
  exit 0
fi
nvdisasm=$(find_tool nvdisasm || true)
if [ -z "$nvdisasm" ]; then
  "$python" -m pip install -q --disable-pip-version-check --target build/nvdisasm --upgrade nvidia-cuda-nvdisasm 2> /dev/null || true
  nvdisasm=$(ls build/nvdisasm/nvidia/*/bin/nvdisasm 2> /dev/null | head -1 || true)
  if [ -n "$nvdisasm" ]; then chmod +x "$nvdisasm"; fi
fi
[ -n "$nvdisasm" ] || echo "cuda-check: no nvdisasm; instructions are not looked at"

# What ptxas says of each function, as "frame spills registers name"; what uses the stack is bad.
frames() {
  awk '/Compiling entry function/ { split($0, part, "'\''"); name = part[2] }
       /Function properties for/ { name = $NF }
       /bytes stack frame/ { print $1 + 0, $5 + $9, name }'
}

# PATTERN:WHAT:INSTRUCTION: each kernel whose mangled name matches has the instruction; each pattern matches some kernel.
# (The 2-bit planes of formats 5 and 6, Q2_K and Q3_K, are 8 bytes a lane.)
rules='
product_(split|many):a product of matrices:IMMA
product_splitILNS1_12WeightFormatE([0-4]|[7-9]|1[0-2])E:loads of 16 bytes:LDG[.A-Z]*[.]128
product_many:copies of 16 bytes:LDGSTS[.A-Z]*[.]128
product_dense:loads of 16 bytes:LDG[.A-Z]*[.]128
attend_on_tensor_cores:a product of matrices:HMMA
attend_on_tensor_cores:copies of 16 bytes:LDGSTS[.A-Z]*[.]128
attend_on_tensor_cores:loads of matrices:LDSM
attend_items:loads of 16 bytes:(LDG|LDGSTS)[.A-Z]*[.]128
attend_items.*6KvTypeE2E:products of four codes:IDP[.]4A
(rms_norm|add_normed|set|soft_cap|copy)_rowsILb1E:loads of 16 bytes:LDG[.A-Z]*[.]128
sample_rows:copies of 16 bytes:LDGSTS[.A-Z]*[.]128
gate_rowsILb1E:loads of 16 bytes:LDG[.A-Z]*[.]128
layers_together:a product of matrices:IMMA
layers_together:loads of 16 bytes:LDG[.A-Z]*[.]128
layers_together:copies of 16 bytes:LDGSTS[.A-Z]*[.]128
layers_together:weights that are asked for ahead:(CCTL[.A-Z]*[.]PF2|UBLKPF)
layers_together.*6KvTypeE2E:products of four codes:IDP[.]4A
'
# From sm_89 on there are 8-bit floats (on some, taken apart into binary16 for the product).
rules_from_89='
product_e4m3ILi:a product of matrices:(QMMA|HMMA)
product_e4m3ILi:loads of 16 bytes:LDG[.A-Z]*[.]128
'
# From sm_90 on kernels start before those before them have ended: each must wait for them.
rules_from_90='
^_Z:a wait for the kernels before it:ACQBULK
'

mkdir -p "$out"
failed=0
for architecture in $architectures; do
  kernels=0
  : > "$out/listing_$architecture"
  for source in runtime/cuda/*.cu; do
    name=$(basename "$source" .cu)
    if ! "$nvcc" -std=c++20 -O3 -fmad=false --expt-relaxed-constexpr -Werror=all-warnings -I. \
         -gencode="arch=compute_$architecture,code=sm_$architecture" -Xptxas -v -cubin "$source" \
         -o "$out/$name.cubin" 2> "$out/log"; then
      echo "cuda-check: $source does not compile for sm_$architecture:"
      grep -E "error|warning" "$out/log" || true
      failed=1
      continue
    fi
    while read -r frame spills function; do
      kernels=$((kernels + 1))
      if [ "$frame" -ne 0 ] || [ "$spills" -ne 0 ]; then
        echo "cuda-check: $source, sm_$architecture: $frame bytes of stack, $spills spilled: $function"
        failed=1
      fi
    done < <(frames < "$out/log")
    [ -z "$nvdisasm" ] || "$nvdisasm" -c "$out/$name.cubin" >> "$out/listing_$architecture"
  done
  if [ -n "$nvdisasm" ]; then
    while IFS=: read -r pattern what instruction; do
      [ -n "$pattern" ] || continue
      awk -v pattern="$pattern" -v instruction="$instruction" -v what="$what" -v architecture="$architecture" '
        function check() {
          if (name == "") return
          seen = 1
          if (!found) { printf "cuda-check: sm_%s: without %s: %s\n", architecture, what, name; bad = 1 }
        }
        /^\.text\./ {
          check()
          name = substr($1, 7, length($1) - 7)
          found = 0
          if (name !~ pattern || name ~ /known_kernel/) name = ""  # an empty kernel that is never launched
        }
        name != "" && $0 ~ instruction { found = 1 }
        END {
          check()
          if (!seen) { printf "cuda-check: sm_%s: no kernel is called %s\n", architecture, pattern; bad = 1 }
          exit bad
        }' "$out/listing_$architecture" || failed=1
    done <<< "$rules$([ "${architecture%[a-z]}" -lt 89 ] || echo "$rules_from_89")$([ "${architecture%[a-z]}" -lt 90 ] || echo "$rules_from_90")"
  fi
  echo "cuda-check: sm_$architecture: $kernels kernels"
done
exit $failed
