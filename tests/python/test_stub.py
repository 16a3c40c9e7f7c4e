"""A program's stub says what the package takes and gives: read by Python itself, and by mypy where it is installed."""

from __future__ import annotations

import ast
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import espalier
import pytest
import typing_extensions
from espalier import _core

STUBS = Path(__file__).resolve().parent.parent / "dsl" / "stubs"

SHOP = """
enum Size { small as "S", large as "L" }
type Tag = "a" | "b"
record Item { name: line(1..12), count as "how many": int(1..9), size: Size, note?: line(1..8), tags: Tag[1..2] }
tool look(topic: line(1..8), limit: int(1..3) = 3) -> json = python "m:look"
tool done()
gen item(text: string, size: Size = Size.small) -> { item: Item, sure: bool, p: float }? {
  user "${text} ${size}"
  assistant "$[item: Item, max=120] $[sure: bool]"
  return { item, sure, p: 0.5 }
}
gen act(text: string) -> look | done {
  user "${text}"
  assistant "$[call: look | done, max=60]"
  return call
}
gen clock(text: string) -> /(?<h>[0-9]{2}):(?<m>00|30)/ {
  user "${text}"
  assistant "$[at: /(?<h>[0-9]{2}):(?<m>00|30)/]"
  return at
}
"""


@pytest.fixture
def load() -> Iterator[typing.Callable[[str], types.ModuleType]]:
    """Runs a stub as a module: what stands in it is Python."""

    def run(text: str) -> types.ModuleType:
        ast.parse(text)
        module = types.ModuleType("stub_under_test")
        sys.modules[module.__name__] = module
        exec("from __future__ import annotations\n" + text, module.__dict__)
        return module

    yield run
    sys.modules.pop("stub_under_test", None)


def fits(value: typing.Any, hint: typing.Any) -> bool:
    hint = type(None) if hint is None else hint
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any:
        return True
    if typing_extensions.is_typeddict(hint):
        members = typing_extensions.get_type_hints(hint)
        written = typing_extensions.get_type_hints(hint, include_extras=True)
        required = {
            key
            for key, one in written.items()
            if typing_extensions.get_origin(one) is not typing_extensions.NotRequired
        }
        return (
            isinstance(value, dict)
            and required <= value.keys() <= members.keys()
            and all(fits(one, members[key]) for key, one in value.items())
        )
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            isinstance(key, str) and fits(one, inner[1]) for key, one in value.items()
        )
    if hint is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    return type(value) is hint


def result_of(module: types.ModuleType, generator: str) -> typing.Any:
    protocol = typing_extensions.get_type_hints(module.Program)[generator]
    return typing_extensions.get_type_hints(protocol.__call__)["return"]


@pytest.mark.parametrize("name", ["shop", "prices"])
def test_a_stub_is_python_and_names_every_generator_and_parameter(
    load: typing.Callable[[str], types.ModuleType], name: str
) -> None:
    program, messages = _core.compile(str(STUBS / f"{name}.gen"), (STUBS / f"{name}.gen").read_text())
    assert program is not None, messages
    text = program.stub()
    assert text == (STUBS / f"{name}.pyi").read_text()
    module = load(text)
    hints = typing_extensions.get_type_hints(module.Program)
    for generator, _, parameters in program.generators:
        if not generator.isidentifier() or generator in ("lambda",):
            continue
        call = inspect.signature(hints[generator].__call__)
        kinds = {one.name: one.kind for one in call.parameters.values()}
        for parameter in parameters:
            assert kinds.get(parameter, kinds.get("others")) in (
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                inspect.Parameter.KEYWORD_ONLY,
                inspect.Parameter.VAR_KEYWORD,
            )
        by_place = [name for name, kind in kinds.items() if kind == inspect.Parameter.POSITIONAL_OR_KEYWORD]
        assert by_place[1:] == parameters[: len(by_place) - 1]
        for method in ("__call__", "aio", "stream", "render"):
            assert typing_extensions.get_type_hints(getattr(hints[generator], method)) is not None


def test_what_programs_give_is_what_their_stub_says(
    engine: espalier.Engine, load: typing.Callable[[str], types.ModuleType]
) -> None:
    for temperature in (0.0, 1.5):
        program = engine.compile(SHOP, temperature=temperature, seed=4)
        module = load(program.stub())
        for text in ("Two small lamps, please.", "]}, nothing"):
            for generator in ("item", "act", "clock"):
                value = getattr(program, generator)(text=text)
                assert fits(value, result_of(module, generator)), (generator, value)
    assert not fits({"name": "look"}, result_of(module, "act"))
    assert not fits({"h": "12", "m": "15"}, result_of(module, "clock"))


def test_a_type_checker_holds_a_caller_to_it(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api", reason="mypy is not installed: pip install mypy")
    program, messages = _core.compile("shop.gen", SHOP)
    assert program is not None, messages
    (tmp_path / "shop.pyi").write_text(program.stub())
    good = """\
from __future__ import annotations
from typing import TYPE_CHECKING, cast
import espalier
if TYPE_CHECKING:
    import shop

def run(engine: espalier.Engine) -> str:
    program = cast("shop.Program", engine.load("shop.gen"))
    found = program.item(text="Two lamps", size="L")
    if found is None:
        return "none"
    for part in program.item.stream(text="x"):
        print(part.path)
    call = program.act("Go.")
    program = program.with_options(seed=3)
    number: int = found["item"]["how many"]
    return found["item"]["name"] + call["name"] + str(number)
"""
    (tmp_path / "use.py").write_text(good)
    package = str(Path(espalier.__file__).resolve().parent.parent)
    for line, wrong in (
        (None, None),
        ('size="L"', 'size="XL"'),
        ('text="Two lamps"', "text=3"),
        ('found["item"]["name"]', 'found["item"]["nome"]'),
        ("if found is None:", "if found == 3:"),
        ("program.act", "program.acts"),
        ('act("Go.")', 'act("Go.", "there")'),
    ):
        (tmp_path / "use.py").write_text(good if line is None else good.replace(line, wrong or ""))
        out, err, code = mypy.run(
            ["--strict", "--no-incremental", "--no-error-summary", "--cache-dir", str(tmp_path / "cache"),
             "--python-executable", sys.executable, "--config-file", "", str(tmp_path / "use.py")]
        )  # fmt: skip
        assert (code == 0) is (line is None), (package, line, out, err)
