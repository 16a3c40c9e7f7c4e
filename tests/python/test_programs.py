"""The package's laws, on the real model. Types, bounds and sharing are asserted, never words."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import threading
import time
import uuid
from pathlib import Path

import espalier
import numpy as np
import pytest

PET = """
record Pet { name: string(1..20), age: int(0..30), kind: "cat" | "dog", tame: bool? }
gen pet(text: string) -> Pet {
  system "Extract the pet as JSON."
  user "${text}"
  assistant "$[pet: Pet, max=80]"
  return pet
}
"""


def is_pet(value: dict) -> bool:
    return (
        list(value) == ["name", "age", "kind", "tame"]
        and isinstance(value["name"], str)
        and 1 <= len(value["name"]) <= 20
        and isinstance(value["age"], int)
        and 0 <= value["age"] <= 30
        and value["kind"] in ("cat", "dog")
        and value["tame"] in (True, False, None)
    )


def test_a_value_satisfies_its_type_at_every_temperature(engine: espalier.Engine) -> None:
    for temperature in (0.0, 0.8, 2.5):
        program = engine.compile(PET, temperature=temperature, seed=3)
        for text in ("Rex is our dog; he is five.", "", ']]}}"\\ \n 7'):
            assert is_pet(program.pet(text=text))


def test_the_same_seed_gives_the_same_value_whatever_else_runs(engine: espalier.Engine) -> None:
    program = engine.compile(PET, temperature=0.8, seed=11)
    texts = [f"Mia the cat is {n} years old." for n in range(6)]
    alone = [program.pet(text=text) for text in texts]
    together: list = [None] * len(texts)

    def run(i: int) -> None:
        together[i] = program.pet(text=texts[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in reversed(range(len(texts)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_what_a_program_retains_is_in_the_tree_and_under_the_budget() -> None:
    engine = espalier.Engine(kv_bytes=64 << 20, retained_share=0.5)
    program = engine.compile(PET, retain=3, retain_tokens=20, retain_steps=10_000)
    program.pet(text="Rex is our dog; he is five.")
    kept = [node for node in engine.tree() if node["level"] > 0]
    assert sum(len(node["tokens"]) for node in kept) == 20
    assert all(node["level"] == 3 and node["falls"] > 0 for node in kept)
    assert 0 < engine.stats()["pages_retained"] <= engine.stats()["pages_total"] / 2
    for wrong in ({"retain": 11}, {"retain": 1, "retain_tokens": 0}, {"retain": -1}):
        with pytest.raises(espalier.Error, match="goes from"):
            engine.compile(PET, **wrong).pet(text="Rex")
    with pytest.raises(espalier.Error, match="from 0 to 1"):
        espalier.Engine(retained_share=1.5)


def test_keys_and_values_in_8_bits_take_half_the_memory() -> None:
    pages = {}
    for kv_type in ("f16", "bf16", "q8"):
        engine = espalier.Engine(kv_bytes=64 << 20, kv_type=kv_type, device="cpu")
        assert is_pet(engine.compile(PET).pet(text="Rex is our dog; he is five."))
        pages[kv_type] = engine.stats()["pages_total"]
    assert pages["f16"] == pages["bf16"]
    assert pages["q8"] / pages["f16"] == pytest.approx(32 / 17, abs=0.01)
    with pytest.raises(espalier.Error, match="KV type 'q4': there are f16, bf16 and q8"):
        espalier.Engine(kv_type="q4")


def test_numerics_are_refused_by_name_where_they_are_not_to_be_had() -> None:
    engine = espalier.Engine(kv_bytes=64 << 20, numerics="exact", device="cpu")
    assert is_pet(engine.compile(PET).pet(text="Rex is our dog; he is five."))
    with pytest.raises(espalier.Error, match="numerics 'fast': there are exact, tensor and fp8"):
        espalier.Engine(numerics="fast")
    with pytest.raises(espalier.Error, match="numerics tensor: the CPU, where the model would run"):
        espalier.Engine(numerics="tensor", device="cpu")
    with pytest.raises(espalier.Error, match="numerics fp8: the CPU, where the model would run"):
        espalier.Engine(numerics="fp8", device="cpu")
    with pytest.raises(espalier.Error, match=r"no-such\.fp8"):
        espalier.Engine(numerics="fp8", device="cpu", calibration="no-such.fp8")


def test_layers_of_the_gpu_are_refused_by_name_with_the_limit() -> None:
    engine = espalier.Engine(kv_bytes=64 << 20, gpu_layers=0)
    assert engine.device == "cpu"
    with pytest.raises(espalier.Error, match="GPU layers 31: the model has 30 layers"):
        espalier.Engine(gpu_layers=31)
    with pytest.raises(espalier.Error, match="the device asked for is the CPU"):
        espalier.Engine(gpu_layers=1, device="cpu")


def test_engines_side_by_side_say_the_same() -> None:
    texts = ["Rex is our dog; he is five.", "Mia the cat is four.", "Bo is a horse of nine."]
    programs = []
    for engines in (1, 2):
        engine = espalier.Engine(kv_bytes=64 << 20, data_parallel=engines, device="cpu")
        assert engine.device == "; ".join(["cpu"] * engines)
        programs.append((engine, engine.compile(PET, temperature=0.8, seed=3)))
    (one, alone), (two, beside) = programs
    assert [beside.pet(text=text) for text in texts] == [alone.pet(text=text) for text in texts]
    assert two.stats()["pages_total"] == 2 * one.stats()["pages_total"]
    assert {node["engine"] for node in two.tree()} <= {1, 2}
    for wrong in (0, 65):
        with pytest.raises(espalier.Error, match=f"{wrong} engines: there may be 1 to 64"):
            espalier.Engine(data_parallel=wrong)


def test_a_draft_model_changes_no_text(engine: espalier.Engine) -> None:
    drafted = espalier.Engine(draft="smollm2", kv_bytes=256 << 20)
    for temperature in (0.0, 0.8):
        texts = [
            each.compile(PET, temperature=temperature, seed=5).pet(text="Mia the cat is four.")
            for each in (engine, drafted)
        ]
        assert texts[0] == texts[1]


def test_a_prefix_is_shared_between_calls(engine: espalier.Engine) -> None:
    program = engine.compile(PET.replace("Extract the pet", "Extract the one pet " + "of this text " * 40))
    program.pet(text="a")
    before = engine.stats()
    program.pet(text="b")
    after = engine.stats()
    roots = [node for node in engine.tree() if node["parent"] is None]
    assert roots and all(node["start"] == 0 and node["tokens"] for node in roots)
    prompt = after["prompt_tokens"] - before["prompt_tokens"]
    assert after["reused_tokens"] - before["reused_tokens"] > 0.8 * prompt
    assert after["reused_tokens"] + after["computed_tokens"] == after["prompt_tokens"]


async def test_the_awaitable_twin_gives_the_same(engine: espalier.Engine) -> None:
    program = engine.compile(PET)
    expected = program.pet(text="Rex")
    assert await asyncio.gather(program.pet.aio(text="Rex"), program.pet.aio(text="Rex")) == [expected, expected]


async def test_cancelling_a_task_cancels_its_run(engine: espalier.Engine) -> None:
    program = engine.compile('gen g() -> string { user "Tell a story." assistant "$[s: string, max=1500]" return s }')
    task = asyncio.create_task(program.g.aio())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_partial_values_grow_into_the_value(engine: espalier.Engine) -> None:
    stream = engine.compile(PET).pet.stream(text="Rex")
    parts = list(stream)
    assert parts and parts[-1].done
    assert parts[-1].value == stream.value
    assert is_pet(stream.value)


def test_the_lock_is_released_while_the_engine_works(engine: espalier.Engine) -> None:
    program = engine.compile('gen g() -> string { user "Count." assistant "$[s: string, max=200]" return s }')
    ticks = 0
    done = threading.Event()

    def run() -> None:
        program.g()
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0.001)
    thread.join()
    assert ticks > 3


TOOL = """
tool double(n: int(0..99)) -> int = python "nowhere:double"
gen run_it() -> int {
  user "Call the tool."
  assistant "$[call: double, max=60]"
  let r = run call
  return r
}
gen go_on() -> string(1..40) {
  user "Call the tool."
  assistant "$[call: double, max=60]"
  tool "${run call}"
  assistant "$[s: string(1..40), max=60]"
  return s
}
"""


def test_a_python_tool_runs_in_this_process(engine: espalier.Engine) -> None:
    seen: list[int] = []

    def double(n: int) -> int:
        seen.append(n)
        return 2 * n

    program = engine.compile(TOOL, tools={"double": double})
    assert program.run_it() == 2 * seen[0]


SHAPE = """
tool double as "math.double"(n: int(1..40)) -> int
tool far(n: int(1..40)) -> int = exec "./nowhere"

gen run_it() -> { near: int, far: int } {
  user "Double a number."
  assistant "$[call: double]"
  let near = run call
  assistant "$[other: far]"
  return { near, far: run other }
}
"""


def test_functions_of_the_caller_run_tools_whatever_their_target(engine: espalier.Engine) -> None:
    with pytest.raises(espalier.Error, match=r"^error\[E0209\]: `double` is only a shape"):
        engine.compile(SHAPE)
    program = engine.compile(SHAPE, tools={"double": lambda n: 2 * n, "far": lambda n: -n})
    result = program.run_it()
    assert result["near"] % 2 == 0
    assert -40 <= result["far"] <= -1
    with pytest.raises(TypeError, match="has no tool 'dubble'; it has: double, far"):
        engine.compile(SHAPE, tools={"double": lambda n: n, "dubble": lambda n: n})


def test_async_functions_are_awaited_in_the_loop_that_awaits_the_run(engine: espalier.Engine) -> None:
    async def double(n: int) -> int:
        seen.append(asyncio.get_running_loop())
        await asyncio.sleep(0.01)
        return 2 * n

    seen: list[asyncio.AbstractEventLoop] = []
    program = engine.compile(TOOL, tools={"double": double})
    assert program.run_it() % 2 == 0

    async def both() -> list[int]:
        return await asyncio.gather(program.run_it.aio(), program.run_it.aio())

    async def in_loop() -> None:
        del seen[:]
        assert all(value % 2 == 0 for value in await both())
        assert seen == [asyncio.get_running_loop()] * 2

    asyncio.run(in_loop())


def test_an_async_function_is_cancelled_at_its_time_limit(engine: espalier.Engine) -> None:
    ended: list[str] = []

    async def double(n: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return 2 * n

    async def late() -> None:
        program = engine.compile(TOOL, tools={"double": double}, tool_seconds=0.2)
        with pytest.raises(espalier.Error, match=r"0\.2"):
            await program.run_it.aio()
        await asyncio.sleep(0.1)  # the task hears of it in the loop's next turns
        assert ended == ["cancelled"]

    asyncio.run(late())


def test_an_error_is_called_by_its_first_error_not_by_a_warning(engine: espalier.Engine) -> None:
    with pytest.raises(espalier.Error) as caught:
        engine.compile('gen f(unused: int) -> int { user "x" return nothing }')
    assert caught.value.message.startswith("error[E0101]")
    assert "W0602" in str(caught.value)


def test_what_a_tool_raises_is_a_tool_error(engine: espalier.Engine) -> None:
    def double(n: int) -> int:
        raise LookupError(f"no {n} here")

    program = engine.compile(TOOL, tools={"double": double})
    with pytest.raises(espalier.Error, match="LookupError") as caught:
        program.run_it()
    assert caught.value.code == "tool"
    assert 1 <= len(program.go_on()) <= 40


def test_a_tool_of_the_wrong_type_is_a_tool_error(engine: espalier.Engine) -> None:
    program = engine.compile(TOOL, tools={"double": lambda n: "two"})
    with pytest.raises(espalier.Error) as caught:
        program.run_it()
    assert caught.value.code == "tool"


def test_a_tool_that_hangs_is_abandoned_at_its_time_limit(engine: espalier.Engine) -> None:
    program = engine.compile(TOOL, tools={"double": lambda n: time.sleep(5)}, tool_seconds=0.2)
    with pytest.raises(espalier.Error, match=r"0\.2"):
        program.run_it()


def test_wrong_arguments_are_named(engine: espalier.Engine) -> None:
    program = engine.compile(PET)
    with pytest.raises(espalier.Error, match="text"):
        program.pet()
    with pytest.raises(espalier.Error, match="text"):
        program.pet(text=3)
    with pytest.raises(espalier.Error, match="txt"):
        program.pet(text="x", txt="y")
    with pytest.raises(AttributeError, match="pet"):
        program.pett(text="x")


def test_an_argument_that_is_no_json_value_is_a_type_error(engine: espalier.Engine) -> None:
    pet = engine.compile(PET).pet
    circle: list = []
    circle.append(circle)
    for wrong in ("half a pair \ud800", float("nan"), {1, 2}, circle, b"bytes"):
        for use in (pet, pet.render, pet.stream):
            with pytest.raises(TypeError, match="pet: an argument is not a JSON value"):
                use(text=wrong)


ALL = """
record Point { x: int, y: float }
enum Colour { red, blue }
gen f(a: Point, when: date, c: Colour = Colour.red, n: int[] = [], id: uuid?) -> string {
  user "${a.x}/${a.y} ${when} ${c} ${n} ${id}"
  assistant "$[t: line]"
  return t
}
"""


def test_arguments_go_by_place_or_by_name(engine: espalier.Engine) -> None:
    f = engine.compile(ALL).f
    point = {"x": 1, "y": 0.5}
    text = f.render(a=point, when="2024-02-29", c="blue", n=[1, 2], id=None)
    assert f.render(point, "2024-02-29", "blue", [1, 2], None) == text
    assert f.render(point, "2024-02-29", id=None, n=[1, 2], c="blue") == text
    with pytest.raises(TypeError, match="f takes at most 5, not 6 arguments"):
        f.render(1, 2, 3, 4, 5, 6)
    with pytest.raises(TypeError, match="f: the argument 'a' is given by place and by name"):
        f.render(point, a=point)
    itself = engine.compile('gen f(self: int, names: int) { user "${self} ${names}" }').f
    assert itself.render(1, names=2) == itself.render(self=1, names=2)


def test_a_program_with_other_options_leaves_the_first_as_it_is(engine: espalier.Engine) -> None:
    long = 'gen f(n: int) -> string { user "Count to ${n}." assistant "$[t: string]" return t }'
    program = engine.compile(long, max=4)
    wide = program.with_options(max=24, temperature=0.9, seed=1)
    first = program.f(9)
    assert len(wide.f(9)) > len(first)
    assert wide.with_options(seed=2).f(9) != wide.f(9)
    assert program.f(9) == first
    with pytest.raises(TypeError, match="unknown option 'sed'; there are"):
        program.with_options(sed=1)


def test_what_stands_for_a_json_value_is_one(engine: espalier.Engine) -> None:
    @dataclasses.dataclass
    class Point:
        x: int
        y: float

    class Colour(enum.Enum):
        BLUE = "blue"

    class Model:  # as pydantic's are
        def model_dump(self, mode: str) -> dict[str, float]:
            return {"x": 1, "y": 0.5}

    f = engine.compile(ALL).f
    key = uuid.uuid4()
    text = f.render({"x": 1, "y": 0.5}, "2024-02-29", "blue", [1, 2], str(key))
    day = datetime.date(2024, 2, 29)
    assert f.render(Point(1, 0.5), day, Colour.BLUE, np.array([1, 2]), key) == text
    assert f.render(Model(), day, Colour.BLUE, (np.int64(1), np.int32(2)), key) == text
    at = engine.compile('gen f(at: datetime) { user "${at}" }').f
    assert "2024-02-29T12:00:00+00:00" in at.render(datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc))
    with pytest.raises(TypeError, match="has no time zone"):
        at.render(datetime.datetime(2024, 2, 29, 12))


def test_a_program_with_errors_shows_all_of_them(engine: espalier.Engine) -> None:
    with pytest.raises(espalier.Error) as caught:
        engine.compile('gen a() { user "${x}" }\ngen b() { user "${y}" }')
    assert caught.value.rendered.count("error[") == 2


def test_a_document_beyond_the_context_is_refused_with_both_figures(engine: espalier.Engine) -> None:
    program = engine.compile(PET)
    with pytest.raises(espalier.Error, match=r"2048|8192") as caught:
        program.pet(text="word " * 20000)
    assert caught.value.code == "limit"


def test_a_missing_program_or_model_is_named(engine: espalier.Engine, tmp_path: Path) -> None:
    with pytest.raises(espalier.Error, match=r"nowhere\.gen"):
        engine.load(tmp_path / "nowhere.gen")
    with pytest.raises(espalier.Error, match="smolm2"):
        espalier.Engine("smolm2")
