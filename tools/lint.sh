#!/usr/bin/env bash
# clang-tidy over everything that the build in $1 compiles, in $2 processes. Sources are compiled together there, as in a
# release build, which looks at each header once for six sources. Generated tables are left out. Kernels are read as the tests
# compile them, as C++: clang does not know nvcc's flags.
set -euo pipefail
mkdir -p "$1/host"
python3 - "$1" <<'PYTHON' | xargs -P "$2" -n 1 clang-tidy -p "$1/host" --quiet --extra-arg=-Wno-unknown-warning-option
import json, sys
entries = [entry for entry in json.load(open(f"{sys.argv[1]}/compile_commands.json")) if " -x cu " not in entry["command"]]
json.dump(entries, open(f"{sys.argv[1]}/host/compile_commands.json", "w"))
names = {entry["file"] for entry in entries}
print(*sorted(name for name in names if not name.endswith(("_tables.cpp", "_data.cpp"))), sep="\n")
PYTHON
