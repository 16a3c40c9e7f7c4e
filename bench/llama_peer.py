"""llama.cpp as a peer of the benchmarks that run whole prompts, and where data and models are.

The peer is llama-cpp-python where $ESPALIER_PEER_PYTHON (else python3) has it; a job runs in a process of that Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# Every job begins so: its description is `job`. Extra buffer types (AMX) are off, because they crash where a virtual
# machine shows AMX without granting it.
PREAMBLE = r"""
import json, sys, time
import llama_cpp
from llama_cpp import llama_cpp as low
defaults = low.llama_model_default_params
def without_extra_buffers():
    params = defaults()
    params.use_extra_bufts = False
    return params
low.llama_model_default_params = llama_cpp.llama_model_default_params = without_extra_buffers
job = json.load(open(sys.argv[1]))
"""


def data_folder() -> Path:
    return Path(os.environ.get("ESPALIER_DATA", ROOT.parent / "shared" / "data"))


def model_file(name: str) -> str:
    store = os.environ.get("ESPALIER_MODELS", os.path.expanduser("~/.cache/espalier/models"))
    return name if name.endswith(".gguf") else os.path.join(store, "SmolLM2-135M-Instruct.Q4_1.gguf")


def run(program: str, job: dict[str, Any], folder: Path) -> Any:
    """What `program` (after the preamble) printed as JSON; None where the peer is absent or failed."""
    python = os.environ.get("ESPALIER_PEER_PYTHON", "python3")
    if subprocess.run([python, "-c", "import llama_cpp"], capture_output=True).returncode != 0:
        return None
    file = folder / "peer.json"
    file.write_text(json.dumps(job))
    done = subprocess.run([python, "-c", PREAMBLE + program, str(file)], capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout)
