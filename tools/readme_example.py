"""Runs the Python of a page, block after block, each with the names of those before: readme_example.py PAGE"""

from __future__ import annotations

import re
import sys
from pathlib import Path

page = Path(sys.argv[1]).read_text(encoding="utf-8")
examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
if not examples:
    sys.exit(f"{sys.argv[1]} has no example in Python")
names: dict[str, object] = {}
for example in examples:
    exec(compile(example, sys.argv[1], "exec"), names)
