"""Running `python "module:function"` tools in this process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.util
import inspect
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from espalier._json import written


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
        self,
        name: str,
        target: str,
        arguments: str,
        seconds: float,
        cancelled: Callable[[], bool],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> tuple[bool, str]:
        """(True, result as JSON) or (False, what went wrong). Past its time the call is abandoned.

        What an `async def` gives is awaited in `loop`, where the run is awaited, and cancelled past its time; without
        one in a loop of its own.
        """
        outcome: list[tuple[bool, str]] = []
        finished = threading.Event()
        awaited: list[concurrent.futures.Future[Any]] = []

        def work() -> None:
            try:
                result = self._function(name, target)(**json.loads(arguments))
                if inspect.isawaitable(result):
                    if loop is None:
                        result = asyncio.run(_value(result))
                    else:
                        awaited.append(asyncio.run_coroutine_threadsafe(_value(result), loop))
                        result = awaited[0].result()
                outcome.append((True, written(result)))
            except BaseException as error:  # whatever a tool raises is its failure, not ours
                outcome.append((False, _described(error)))
            finally:
                finished.set()

        threading.Thread(target=work, name=f"espalier tool {name}", daemon=True).start()
        left = seconds
        while not finished.wait(min(0.05, max(left, 0.001))):
            left -= 0.05
            gone = cancelled()
            if not gone and left > 0:
                continue
            for future in awaited:
                future.cancel()
            return False, "cancelled" if gone else f"no answer within {seconds:g} s"
        return outcome[0]


def _described(error: BaseException) -> str:
    """What a tool's failure is called, as text, whatever its class makes of that."""
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception as second:
        said = f"{type(error).__name__}, whose text failed with {type(second).__name__}"
    return said.encode("utf-8", "backslashreplace").decode()


async def _value(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
