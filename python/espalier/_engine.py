"""Engines, programs and their generators."""

from __future__ import annotations

import asyncio
import atexit
import copy
import functools
import json
import os
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from espalier import _check, _core
from espalier._errors import Error
from espalier._json import written
from espalier._tools import Tools

T = TypeVar("T")


_open: weakref.WeakSet[Engine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Runs must have ended before the interpreter does: their threads call back into it."""
    for engine in list(_open):
        engine.close()


def _leave_to_parent() -> None:
    """A forked child has the engines' memory but not their threads, so that nothing there would ever answer."""
    for engine in list(_open):
        engine._closing = threading.RLock()  # another thread may have held it
        engine._session = _Closed(
            "the engine belongs to the process that was forked: open one here, or start processes by 'spawn'"
        )
        _open.discard(engine)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class Partial(NamedTuple):
    """What of a hole is there: `path` names the hole, `done` says that its value is complete."""

    path: str
    value: Any
    done: bool


class Engine:
    """One model, ready to run programs. Thread-safe; programs that run at the same time share their prefixes."""

    def __init__(
        self,
        model: str | Path = "smollm2",
        *,
        threads: int = 0,
        kv_bytes: int = 0,
        cache: bool = True,
        draft: str | Path = "",
        retained_share: float = 0.25,
        device: str = "auto",
        kv_type: str = "f16",
        numerics: str = "exact",
        gpu_layers: int | None = None,
        tensor_parallel: int = 0,
        host_kv_bytes: int = 0,
        data_parallel: int = 1,
        kv_dir: str | Path = "",
        context: int = 0,
        calibration: str | Path = "",
    ) -> None:
        """model: a name of the catalogue or a path to a .gguf file. threads, kv_bytes: 0 for the default.

        draft: a smaller model of the same tokens, which guesses ahead where that pays; the text is the same.
        retained_share: of the pool of pages, what the wishes of programs (`retain`) may keep.
        device: "cpu", "cuda", "cuda:1", "cuda:0,1" (several for one model), or "auto": a GPU where there is one that
        takes the model; the text is the same.
        kv_type: how keys and values are kept: "f16", "bf16", or "q8", which takes half of the memory and rounds more.
        numerics: "exact", the same bits everywhere; "tensor", for which a GPU multiplies F16 and BF16 weights in 16
        bits on its tensor cores; or "fp8", for which it makes such weights 8-bit floats. Both round more, and what a
        text is may depend on what runs beside it.
        gpu_layers: how many of the model's last layers the GPU has, the CPU the others; None: as many as its memory
        takes.
        tensor_parallel: of several GPUs, how many share each layer; 0: as many as the model lets.
        host_kv_bytes: host memory where computed prompts go that a GPU's pool has no room for; 0: none. The CPU's pool
        is host memory already, so there it is refused.
        data_parallel: engines side by side, each with the whole model and a pool of its own; a program runs on the one
        that holds most of its prompt. GPUs that are named are dealt out, the CPU's threads divided; texts are the same.
        kv_dir: computed prompts are kept in this folder and found again by the next engine.
        context: positions to use at most; 0: all that the model has.
        calibration: of numerics "fp8": a file of `espalier calibrate`, which says what stays in 16 bits.

        `close()`, or the end of a `with`, gives the model's memory back.
        """
        self._session: _core.Session | _Closed = _core.Session(
            _check.path("model", model),
            _check.whole("threads", threads, 0, _check.MOST),
            _check.whole("kv_bytes", kv_bytes, 0, _check.MOST_BYTES),
            bool(cache),
            _check.path("draft", draft),
            _check.real("retained_share", retained_share),
            _check.text("device", device),
            _check.text("kv_type", kv_type),
            _check.text("numerics", numerics),
            None if gpu_layers is None else _check.whole("gpu_layers", gpu_layers, 0, _check.MOST),
            _check.whole("tensor_parallel", tensor_parallel, 0, _check.MOST),
            _check.whole("host_kv_bytes", host_kv_bytes, 0, _check.MOST_BYTES),
            _check.whole("data_parallel", data_parallel, 0, _check.MOST),
            _check.path("kv_dir", kv_dir),
            _check.whole("context", context, 0, _check.MOST),
            _check.path("calibration", calibration),
        )
        self._closing = threading.RLock()
        _open.add(self)
        self._warn()

    def close(self) -> None:
        """Cancels what runs, waits for its end, and gives the model's memory back. Repeatable, from any thread."""
        # One thread closes and the others wait for it: after any close() there is nothing left. A tool may be the one,
        # in a thread that the interpreter's end would tear out of the core.
        with self._closing:
            session, self._session = self._session, _Closed("the engine is closed")
            session.close()
            del session
            _open.discard(self)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _warn(self) -> None:
        """What the engine noted of itself since the last time: a damaged file passed over, a tier given up."""
        for note in self._session.take_notes():
            warnings.warn(note, RuntimeWarning, stacklevel=4)

    def load(
        self,
        path: str | Path,
        *,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        allow: Sequence[str] = (),
        tool_seconds: float = 30.0,
        **sampling: float,
    ) -> Program:
        """Checks a .gen file. tools: functions by tool name, which run its calls in this process, whatever target
        the file gives the tool, if any; such a tool needs no `allow`."""
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise Error(f"cannot read {file}: {error.strerror}", "not_found") from error
        except UnicodeDecodeError as error:
            raise Error(f"{file} is not UTF-8: byte {error.start}", "invalid") from error
        return self._program(str(file), text, file.parent, tools, allow, tool_seconds, sampling)

    def compile(
        self,
        text: str,
        *,
        name: str = "<program>",
        tools: Mapping[str, Callable[..., Any]] | None = None,
        allow: Sequence[str] = (),
        tool_seconds: float = 30.0,
        **sampling: float,
    ) -> Program:
        """Checks a program given as text; files that it names stand beside the current folder. Else as `load`."""
        return self._program(
            _check.text("name", name), _check.text("text", text), Path.cwd(), tools, allow, tool_seconds, sampling
        )

    def _program(
        self,
        name: str,
        text: str,
        directory: Path,
        tools: Mapping[str, Callable[..., Any]] | None,
        allow: Sequence[str],
        tool_seconds: float,
        sampling: dict[str, float],
    ) -> Program:
        options = _check.sampling(sampling)
        given = _check.functions(tools)
        allowed = _check.texts("allow", allow)
        longest = _check.seconds("tool_seconds", tool_seconds)
        program, messages = _core.compile(name, text, set(given))
        if program is None:
            messages = messages.rstrip()
            lines = messages.splitlines()
            raise Error(next((line for line in lines if line.startswith("error")), lines[0]), "invalid", messages)
        if unknown := set(given) - set(program.tools):
            known = ", ".join(program.tools) or "none"
            raise TypeError(f"the program has no tool {min(unknown)!r}; it has: {known}")
        return Program(self, program, messages, Tools(directory, given), directory, allowed, longest, options)

    @property
    def model_path(self) -> str:
        return self._session.model_path

    @property
    def device(self) -> str:
        """Where the model runs: "cpu", "cuda:0 (NVIDIA H200)", "cuda:0 (NVIDIA H200), the last 20 of 32 layers"."""
        return self._session.device

    def stats(self) -> dict[str, float]:
        """Tokens, steps, seconds and pages since the engine started."""
        return self._session.stats()

    def tree(self) -> list[dict[str, Any]]:
        """The prompts that the engine holds, as nodes of a tree, parents first.

        Each has `parent` (its place in the list, None at a root), `start` (position of its first token), `tokens`,
        `ready` (of them, computed), `pages`, `leases`, `active`, `hits`, `last` (step), `next_use`, `level` and
        `falls` (of its retention: the level, and the step at which that falls) and `eviction`.
        """
        return json.loads(self._session.tree())


class _Closed:
    """What stands for the session of an engine that is closed, or that another process has."""

    def __init__(self, why: str) -> None:
        self._why = why

    def close(self) -> None:
        pass

    def __getattr__(self, _: str) -> Any:
        raise Error(self._why, "invalid")


class Program:
    """A checked program; its generators are attributes: `program.reply(...)`."""

    def __init__(
        self,
        engine: Engine,
        core: _core.Program,
        warnings: str,
        tools: Tools,
        directory: Path,
        allow: list[str],
        tool_seconds: float,
        sampling: dict[str, float],
    ) -> None:
        self._engine = engine
        self._core = core
        self._tools = tools
        # The tools that leave this process; MCP servers are reached once a program.
        self._others = _core.ProcessTools(str(directory), allow)
        self._tool_seconds = tool_seconds
        self._sampling = sampling
        self.warnings = warnings
        self._make_generators()

    def _make_generators(self) -> None:
        self.generators = {
            name: Generator(self, name, doc, parameters) for name, doc, parameters in self._core.generators
        }

    def with_options(self, **options: float) -> Program:
        """The same program with other sampling or limits for its runs; what is not named stays as it is."""
        other = copy.copy(self)
        other._sampling = {**self._sampling, **_check.sampling(options)}
        other._make_generators()
        return other

    def __getattr__(self, name: str) -> Generator:
        generators = self.__dict__.get("generators", {})
        if name in generators:
            return generators[name]
        raise AttributeError(f"the program has no generator {name!r}; it has {', '.join(generators)}")

    def stub(self) -> str:
        """The program's types for type checkers, as the text of a stub file: what `espalier stub` prints."""
        return self._core.stub()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.generators]


class Generator:
    """One `gen` of a program: call it, await it (`aio`), or stream it.

    Arguments go by place, in the order of `parameters`, or by name: JSON values, and what stands for one (dataclasses,
    enum members, dates and times, UUIDs, numpy's numbers and arrays, pydantic's models).
    """

    def __init__(self, program: Program, name: str, doc: str, parameters: list[str]) -> None:
        self._program = program
        self.__name__ = name
        self.__doc__ = doc or None
        self.parameters = parameters

    def _written(self, places: tuple[Any, ...], names: dict[str, Any]) -> str:
        if len(places) > len(self.parameters):
            raise TypeError(f"{self.__name__} takes at most {len(self.parameters)}, not {len(places)} arguments")
        arguments = dict(zip(self.parameters, places))
        if twice := arguments.keys() & names.keys():
            raise TypeError(f"{self.__name__}: the argument {min(twice)!r} is given by place and by name")
        try:
            return written(arguments | names)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"{self.__name__}: an argument is not a JSON value: {error}") from error

    def _start(
        self,
        places: tuple[Any, ...],
        names: dict[str, Any],
        partials: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> _core.Run:
        program = self._program
        program._engine._warn()
        tool = functools.partial(program._tools.call, loop=loop)
        return program._engine._session.start(
            program._core, self.__name__, self._written(places, names), program._sampling, partials,
            tool, program._others, program._tool_seconds, on_end,
        )  # fmt: skip

    def __call__(self, /, *places: Any, **names: Any) -> Any:
        """Runs to the end and gives the value."""
        run = self._start(places, names)
        return _wait(run)

    async def aio(self, /, *places: Any, **names: Any) -> Any:
        """Runs to the end without blocking the event loop; cancelling the task cancels the run.

        `async def` functions among the tools are awaited in this event loop; elsewhere in one of their own.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        run = self._start(places, names, loop=loop, on_end=lambda: _call_soon(loop, ended.set))
        try:
            await ended.wait()
        except asyncio.CancelledError:
            run.cancel()
            raise
        return _wait(run)

    def stream(self, /, *places: Any, **names: Any) -> Stream[Any]:
        """Runs beside the caller: iterate over Partial(path, value, done), then ask `.value`."""
        return Stream(self._start(places, names, partials=True))

    def render(self, /, *places: Any, **names: Any) -> str:
        """The prompt as the model would see it, without a run."""
        program = self._program
        return program._engine._session.render(program._core, self.__name__, self._written(places, names))


class Stream(Generic[T]):
    """Partial values of a run, in order. Sync and async iterable; `value` waits for the end."""

    def __init__(self, run: _core.Run) -> None:
        self._run = run
        self._last: tuple[Any, ...] | None = None

    def __iter__(self) -> Iterator[Partial]:
        try:
            while self._last is None:
                event = self._run.next(0.1)
                if event is not None and event[0] == "partial":
                    yield Partial(event[1], json.loads(event[2]), event[3])
                elif event is not None and not _noted(event):
                    self._last = event
        except BaseException:
            self._run.cancel()
            raise
        _value(self._last)

    async def __aiter__(self) -> AsyncIterator[Partial]:
        try:
            while self._last is None:
                event = self._run.next(0.0)
                if event is None:
                    await asyncio.sleep(0.005)
                elif event[0] == "partial":
                    yield Partial(event[1], json.loads(event[2]), event[3])
                elif not _noted(event):
                    self._last = event
        except BaseException:
            self._run.cancel()
            raise
        _value(self._last)

    @property
    def value(self) -> T:
        """The run's value; what was not iterated over is passed by."""
        if self._last is None:
            for _ in self:
                pass
        return _value(self._last)

    def cancel(self) -> None:
        self._run.cancel()


def _wait(run: _core.Run) -> Any:
    try:
        # In short waits, so that Ctrl-C is seen.
        while (event := run.next(0.1)) is None or _noted(event):
            pass
    except BaseException:
        run.cancel()
        raise
    return _value(event)


def _noted(event: tuple[Any, ...]) -> bool:
    """Whether it only says that turns were dropped from a prompt (`overflow` in the program's `config`)."""
    if event[0] != "drop":
        return False
    warnings.warn(f"{event[1]}: {event[2]}", RuntimeWarning, stacklevel=4)
    return True


def _value(event: tuple[Any, ...] | None) -> Any:
    if event is None:
        raise Error("the run has not ended", "internal")
    if event[0] == "value":
        return json.loads(event[1])
    raise Error(event[1], event[2], event[3])


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    # The loop may have been closed while the run went on.
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)
