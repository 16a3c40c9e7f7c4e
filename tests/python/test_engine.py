"""An engine's life: what it opens, keeps on disk, says of itself, and gives back."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import espalier
import pytest

LONG = """
gen f(text: string) -> line {
  user "${text}"
  assistant "$[t: line(1..8)]"
  return t
}
"""
TEXT = "The lighthouse keeper counts the ships that pass. " * 30


def test_a_closed_engine_refuses_by_name_and_runs_end_cancelled() -> None:
    with espalier.Engine("smollm2") as engine:
        program = engine.compile(LONG)
        assert program.f(TEXT)
        stream = engine.compile(
            'gen g() -> string { user "Count." assistant "$[t: string, max=4000]" return t }'
        ).g.stream()
        next(iter(stream))
        closing = threading.Thread(target=engine.close)
        closing.start()
        with pytest.raises(espalier.Error) as caught:
            _ = stream.value
        assert caught.value.code == "cancelled"
        closing.join()
    for use in (
        engine.stats,
        engine.tree,
        lambda: program.f("x"),
        lambda: program.f.render("x"),
        lambda: engine.device,
    ):
        with pytest.raises(espalier.Error, match="the engine is closed"):
            use()
    engine.close()


def test_positions_are_bounded_by_context() -> None:
    with espalier.Engine("smollm2", context=128) as engine, pytest.raises(espalier.Error, match="128") as caught:
        engine.compile(LONG).f(TEXT)
    assert caught.value.code == "limit"


def test_prompts_outlive_the_engine_and_damage_is_a_warning(tmp_path: Path) -> None:
    with espalier.Engine("smollm2", kv_dir=tmp_path) as engine:
        first = engine.compile(LONG).f(TEXT)
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.stat().st_size > 100_000]
    assert files
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with espalier.Engine("smollm2", kv_dir=tmp_path) as engine:
            assert engine.compile(LONG).f(TEXT) == first
            assert engine.stats()["disk_read_pages"] > 0
    for file in files:
        file.write_bytes(bytes(64) + file.read_bytes()[64:])
    with pytest.warns(RuntimeWarning, match="passed over"):
        engine = espalier.Engine("smollm2", kv_dir=tmp_path)
    with engine:
        assert engine.compile(LONG).f(TEXT) == first
