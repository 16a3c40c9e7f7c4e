#!/usr/bin/env bash
# Installs what Espalier builds with, where it is missing: Debian's and Ubuntu's own packages, nothing else.
# Quick when everything is there. Run by `make`; needs root or sudo only when something is missing. Arguments name
# further packages that one target needs (formatters, clang for the fuzz targets).
set -euo pipefail

PACKAGES=(
  g++ cmake ninja-build ccache pkg-config git
  libre2-dev tao-pegtl-dev nlohmann-json3-dev libcli11-dev libspdlog-dev libexpected-dev
  libcurl4-openssl-dev libssl-dev libzip-dev liblzma-dev
  pybind11-dev python3-dev python3-venv python3-pip
  libgtest-dev libgmock-dev libbenchmark-dev
)

missing=()
for package in "${PACKAGES[@]}" "$@"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup: this is not a Debian or Ubuntu machine; install the equivalents of: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: missing packages (${missing[*]}); run as root, or install sudo" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
