"""Python's jinja2 and the template interpreter beside it.

jinja2 is set up as the transformers library sets it up for chat templates; the interpreter is jinja_render, a child
process. A module that imports this is skipped where either is missing.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

jinja2 = pytest.importorskip("jinja2")
# Behind the skip.
from jinja2 import nodes  # noqa: E402
from jinja2.ext import Extension, loopcontrols  # noqa: E402
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
DRIVER = Path(os.environ.get("ESPALIER_BUILD", ROOT / "build")) / "bin/jinja_render"
NOW = 1_753_142_400  # 22 July 2025, midnight

if not DRIVER.exists():
    pytest.skip("build/bin/jinja_render is not built", allow_module_level=True)


class Generation(Extension):
    # A plain set, as jinja2 declares it.
    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


class TemplateNamespace(jinja2.utils.Namespace):
    """As transformers has it: no attribute starts with an underscore."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        values = dict(*args, **attributes)
        for name in values:
            TemplateNamespace._check(name)
        super().__init__(values)

    def __setitem__(self, name: str, value: Any) -> None:
        TemplateNamespace._check(name)
        super().__setitem__(name, value)

    @staticmethod
    def _check(name: str) -> None:
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment() -> Any:
    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(form: str) -> str:
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None).strftime(form)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    env.globals["namespace"] = TemplateNamespace
    return env


class Driver:
    """jinja_render as a child process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the interpreter died: {self.process.wait()}"
        return json.loads(line)

    def compile(self, source: str) -> dict[str, Any]:
        return self.ask({"compile": source})

    def render(self, variables: dict[str, Any]) -> dict[str, Any]:
        return self.ask({"render": variables, "now": NOW})


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    it = Driver()
    yield it
    assert it.process.stdin is not None
    it.process.stdin.close()
    assert it.process.wait() == 0


def expected(template: Any, variables: dict[str, Any]) -> str | None:
    """None where jinja2 raises."""
    try:
        return template.render(**variables)
    except Exception:
        return None
