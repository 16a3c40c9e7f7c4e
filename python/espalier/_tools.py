"""Running `python "module:function"` tools in this process."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Tools:
    """Finds and calls a program's Python tools: the ones given by name first, else the module beside the program."""

    def __init__(self, directory: Path, given: Mapping[str, Callable[..., Any]]) -> None:
        self._directory = directory
        self._given = dict(given)
        self._modules: dict[str, Any] = {}
        self._lock = threading.Lock()

    def _module(self, name: str) -> Any:
        with self._lock:
            if name not in self._modules:
                file = self._directory / (name.replace(".", "/") + ".py")
                if file.exists():
                    # Under a name of its own: two programs' `tools.py` are two modules.
                    unique = f"_espalier_tools_{abs(hash(str(file)))}_{name}"
                    spec = importlib.util.spec_from_file_location(unique, file)
                    if spec is None or spec.loader is None:
                        raise ImportError(f"cannot load {file}")
                    module = importlib.util.module_from_spec(spec)
                    sys.modules[unique] = module
                    spec.loader.exec_module(module)
                else:
                    module = importlib.import_module(name)
                self._modules[name] = module
            return self._modules[name]

    def _function(self, name: str, target: str) -> Callable[..., Any]:
        if name in self._given:
            return self._given[name]
        module, _, function = target.partition(":")
        found = self._module(module)
        for part in function.split("."):
            found = getattr(found, part)
        return found

    def call(
        self, name: str, target: str, arguments: str, seconds: float, cancelled: Callable[[], bool]
    ) -> tuple[bool, str]:
        """(True, result as JSON) or (False, what went wrong). Past its time the call is abandoned."""
        outcome: list[tuple[bool, str]] = []
        finished = threading.Event()

        def work() -> None:
            try:
                result = self._function(name, target)(**json.loads(arguments))
                outcome.append((True, json.dumps(result, ensure_ascii=False, allow_nan=False)))
            except BaseException as error:  # whatever a tool raises is its failure, not ours
                outcome.append((False, f"{type(error).__name__}: {error}"))
            finally:
                finished.set()

        threading.Thread(target=work, name=f"espalier tool {name}", daemon=True).start()
        left = seconds
        while not finished.wait(min(0.05, max(left, 0.001))):
            left -= 0.05
            if cancelled():
                return False, "cancelled"
            if left <= 0:
                return False, f"no answer within {seconds:g} s"
        return outcome[0]
