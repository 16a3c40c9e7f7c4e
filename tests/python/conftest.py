from __future__ import annotations

import os
from pathlib import Path

import espalier
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def engine() -> espalier.Engine:
    store = Path(os.environ.get("ESPALIER_MODELS", Path.home() / ".cache/espalier/models"))
    if not (store / "SmolLM2-135M-Instruct.Q4_1.gguf").exists():
        pytest.skip("the default model is not in the store: espalier pull smollm2")
    return espalier.Engine("smollm2", threads=2)
