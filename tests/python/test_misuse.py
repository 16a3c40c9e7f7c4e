"""What a caller gets wrong is answered with the argument's name, and harms nothing that goes on."""

from __future__ import annotations

import copy
import math
import multiprocessing
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import espalier
import numpy as np
import pytest
from espalier import grammar

PROGRAM = """
tool add(a: int(0..9)) -> int
gen ask(q: string) -> int {
  user "${q}"
  assistant "$[c: add]"
  return run c
}
gen digit(q: string) -> int(0..9) {
  user "${q}"
  assistant "$[d: int(0..9)]"
  return d
}
"""


def add(a: int) -> int:
    return a + 1


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"temperature": "hot"}, TypeError),
        ({"temperature": None}, TypeError),
        ({"max": "12"}, TypeError),
        ({"seed": 1.5}, TypeError),
        ({"seed": 2**64}, espalier.Error),
        ({"retain": "always"}, TypeError),
    ],
)
def test_an_option_of_the_wrong_kind_is_named(
    engine: espalier.Engine, options: dict[str, Any], kind: type[Exception]
) -> None:
    program = engine.compile(PROGRAM, tools={"add": add})
    with pytest.raises(kind, match=next(iter(options))):
        program.with_options(**options)
    with pytest.raises(kind, match=next(iter(options))):
        engine.compile(PROGRAM, tools={"add": add}, **options)


def test_a_top_k_of_more_tokens_than_there_can_be_is_all_of_them(engine: espalier.Engine) -> None:
    text = 'gen say(q: string) -> string { user "${q}" assistant "$[x: string(1..40), max=8]" return x }'
    best, *all_of_them = (
        engine.compile(text, temperature=2, seed=1, top_k=k).say("Hi") for k in (1, 10**9, 2**31, 2**32 + 1, 2**63 - 1)
    )
    assert len(set(all_of_them)) == 1
    assert best not in all_of_them


def test_numbers_of_numpy_are_options(engine: espalier.Engine) -> None:
    options: dict[str, Any] = {"temperature": np.float32(0.5), "seed": np.int64(4)}
    program = engine.compile(PROGRAM, tools={"add": add}, **options)
    assert program.digit("x") in range(10)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({"tools": {"add": 3}}, TypeError, "add"),
        ({"tools": [add]}, TypeError, "tools"),
        ({"allow": "http"}, TypeError, "allow"),
        ({"tool_seconds": "3"}, TypeError, "tool_seconds"),
        ({"tool_seconds": -1}, espalier.Error, "tool_seconds"),
        ({"tool_seconds": math.nan}, espalier.Error, "tool_seconds"),
    ],
)
def test_a_wrong_argument_of_compile_is_named_at_once(
    engine: espalier.Engine, arguments: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        engine.compile(PROGRAM, **{"tools": {"add": add}, **arguments})


def test_a_tool_may_have_all_the_time_there_is(engine: espalier.Engine) -> None:
    assert engine.compile(PROGRAM, tools={"add": add}, tool_seconds=math.inf).ask("x") in range(1, 11)


@pytest.mark.parametrize("text", [b"gen", None, 'gen x() -> int { user "\udcff" }'])
def test_a_program_that_is_no_text_is_refused(engine: espalier.Engine, text: Any) -> None:
    with pytest.raises((TypeError, espalier.Error), match="text "):
        engine.compile(text)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"threads": -1}, espalier.Error),
        ({"threads": "two"}, TypeError),
        ({"context": 2.5}, TypeError),
        ({"kv_bytes": -1}, espalier.Error),
        ({"device": None}, TypeError),
        ({"model": 3}, TypeError),
        ({"model": "\udcff"}, espalier.Error),
    ],
)
def test_a_wrong_argument_of_an_engine_is_named(arguments: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"^{next(iter(arguments))} "):
        espalier.Engine(**{"model": "no such model", **arguments})


def test_a_model_is_named_by_a_path_object_too(engine: espalier.Engine) -> None:
    with espalier.Engine(Path(engine.model_path), threads=1) as other:
        assert other.model_path == engine.model_path


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "says"), [(Wordless(), "Wordless"), (ValueError("half \udcff of it"), r"ValueError: half \\udcff of it")]
)
def test_whatever_a_tool_raises_has_a_text(engine: espalier.Engine, error: Exception, says: str) -> None:
    def fails(a: int) -> int:
        raise error

    with pytest.raises(espalier.Error, match=says) as caught:
        engine.compile(PROGRAM, tools={"add": fails}).ask("x")
    assert caught.value.code == "tool"


def run_alone(program: str) -> subprocess.CompletedProcess[str]:
    head = f"import espalier, os, sys\nPROGRAM = {PROGRAM!r}\n"
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )


def test_a_tool_may_close_the_engine_that_runs_it(engine: espalier.Engine) -> None:
    ended = run_alone("""
        engine = espalier.Engine("smollm2", threads=1)
        program = engine.compile(PROGRAM, tools={"add": lambda a: engine.close()})
        try:
            program.ask("x")
        except espalier.Error as error:
            print(error.code)
        """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "tool\n", "")


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork on Windows")
def test_a_forked_child_is_told_that_the_engine_is_not_its_own(engine: espalier.Engine) -> None:
    ended = run_alone("""
        engine = espalier.Engine("smollm2", threads=1)
        program = engine.compile(PROGRAM, tools={"add": lambda a: a})
        before = program.digit("x")
        child = os.fork()
        if child == 0:
            try:
                program.digit("x")
            except espalier.Error as error:
                print(error, flush=True)
            engine.close()
            with espalier.Engine("smollm2", threads=1) as own:
                assert own.compile(PROGRAM, tools={"add": lambda a: a}).digit("x") == before
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert program.digit("x") == before
        """)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("the engine belongs to the process that was forked")


@pytest.fixture(scope="module")
def letters() -> grammar.Vocabulary:
    return grammar.Vocabulary.from_bytes([bytes([b]) for b in range(256)] + [b"</s>"], end=256)


def test_tokens_are_bytes_and_ends_are_tokens() -> None:
    tokens: list[Any] = [b"a", "Ġb"]
    with pytest.raises(TypeError, match="token 1 "):
        grammar.Vocabulary.from_bytes(tokens, end=0)
    with pytest.raises(espalier.Error, match="end "):
        grammar.Vocabulary.from_bytes([b"a"], end=-1)


def test_numbers_that_a_matcher_cannot_take_are_named(letters: grammar.Vocabulary) -> None:
    matcher = grammar.compile_type("int(0..99)", letters).matcher()
    bitmask = grammar.allocate_bitmask(1, len(letters))
    for call, name in (
        (lambda: matcher.fill_bitmask(bitmask, row=-1), "row"),
        (lambda: matcher.fill_bitmask(bitmask, tokens_left=-1), "tokens_left"),
        (lambda: matcher.forced_tokens(-1), "tokens_left"),
        (lambda: matcher.rollback(-1), "tokens"),
        (lambda: matcher.accept(2**40), "a token"),
        (lambda: grammar.fill_bitmasks([matcher], bitmask, [-1]), "row"),
        (lambda: grammar.fill_bitmasks([matcher], bitmask, threads=-1), "threads"),
        (lambda: grammar.MaskSlots(len(letters), -1), "capacity"),
        (lambda: grammar.compile_type("int", letters, compile_fuel=-1), "compile_fuel"),
    ):
        with pytest.raises(espalier.Error, match=f"^{name} goes from 0 to") as caught:
            call()
        assert caught.value.code == "invalid"
    assert matcher.tokens == 0


def test_what_is_of_another_type_is_named(letters: grammar.Vocabulary) -> None:
    compiled = grammar.compile_type("int(0..99)", letters)
    matcher: Any = compiled.matcher()
    word: Any = "12"
    for call, message in (
        (lambda: matcher.allows(word), "a token is a whole number, not str"),
        (lambda: matcher.accept_all(word), "a token is a whole number, not str"),
        (lambda: letters.bytes(word), "a token is a whole number, not str"),
        (lambda: grammar.Grammar.restore(word, letters), "a stored grammar is bytes, not str"),
        (lambda: grammar.Grammar.restore(compiled.store(), word), "vocabulary is a Vocabulary, not str"),
        (lambda: grammar.compile_schema({}, letters, strict=word), "strict is True or False, not str"),
        (lambda: grammar.fill_bitmasks([word], None), "a matcher is a Matcher, not str"),
        (lambda: grammar.MaskSlots(len(letters), 2).assign([word]), "a matcher is a Matcher, not str"),
    ):
        with pytest.raises(TypeError, match=f"^{message}$"):
            call()
    stored = bytearray(compiled.store())
    assert grammar.Grammar.restore(memoryview(stored), letters).store() == stored


def test_half_a_surrogate_pair_is_no_grammar(letters: grammar.Vocabulary) -> None:
    for compile in (grammar.compile_type, grammar.compile_schema, grammar.compile_regex, grammar.compile_gbnf):
        with pytest.raises(espalier.Error, match="surrogate") as caught:
            compile("\udcff", letters)
        assert caught.value.code == "invalid"


def test_a_copied_matcher_goes_its_own_way(letters: grammar.Vocabulary) -> None:
    matcher = grammar.compile_type("int(0..99)", letters).matcher()
    for other in (copy.copy(matcher), copy.deepcopy(matcher)):
        assert other.accept(ord("4"))
        assert (other.text(), matcher.text()) == (b"4", b"")


def test_logits_that_cannot_be_masked_are_refused(letters: grammar.Vocabulary) -> None:
    bitmask = grammar.allocate_bitmask(1, len(letters))
    read_only = np.zeros((1, len(letters)), dtype=np.float32)
    read_only.flags.writeable = False
    for logits in (np.zeros((1, len(letters)), dtype=np.int32), read_only):
        with pytest.raises(espalier.Error, match="the logits") as caught:
            grammar.apply_bitmask(logits, bitmask)
        assert caught.value.code == "invalid"
