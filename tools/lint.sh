#!/usr/bin/env bash
# clang-tidy over everything that the build in $1 compiles, in $2 processes. Sources are compiled together there, as in a
# release build, which looks at each header once for six sources. Generated tables are left out.
set -euo pipefail
python3 - "$1" <<'PYTHON' | xargs -P "$2" -n 1 clang-tidy -p "$1" --quiet --extra-arg=-Wno-unknown-warning-option
import json, sys
names = {entry["file"] for entry in json.load(open(f"{sys.argv[1]}/compile_commands.json"))}
print(*sorted(name for name in names if not name.endswith(("_tables.cpp", "_data.cpp"))), sep="\n")
PYTHON
