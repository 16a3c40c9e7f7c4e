"""The pages that are programs: their Python is run, block after block, from the repository's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["docs/python.md", "README.md"])
def test_a_pages_python_runs(page: str) -> None:
    ran = subprocess.run(
        [sys.executable, "tools/readme_example.py", page], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
