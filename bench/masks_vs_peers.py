#!/usr/bin/env python3
"""Espalier's masks of JSON Schemas and grammars beside xgrammar's and llguidance's: the same rows in the same run.

    pip install xgrammar llguidance          # in an environment of their own; each is used where it is installed
    PYTHONPATH=build/python python bench/masks_vs_peers.py --tokenizer llama3.1.tokenizer.json.xz \\
        --schemas dev.jsonl.xz [--every 60] [--limit 200] [--json]

Rows are MaskBench's: {"id", "schema", "tests": [{"valid", "text", "toks"}]}, toks being ids of the tokenizer; texts
without them are spelled with the longest tokens. "gbnf" in place of "schema" is a grammar of llama.cpp's form
(`bench/grammar_rows.py`), which llguidance's own converter makes Lark for it, untimed. Each row is compiled by one
engine after the other; for each token the mask is filled into a row of bits, then the token accepted, up to the first
that is refused. Times are this thread's CPU time, in microseconds, and hold the call from Python on all sides: a mask
with its token, a compile with the making of its matcher. A refusal is an error while compiling or converting; what an
engine lets through or turns away wrongly is counted by text. The ratio is the peer's time over ours. xgrammar runs as
the specification has it (any whitespace, additional members unless forbidden).
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from espalier import grammar


class Place(Protocol):
    """Where an engine is in one text."""

    def mask_and_accept(self, token: int) -> bool:
        """Fills a row for this place, then goes on by the token; False where it is not allowed."""

    def accepting(self) -> bool: ...


class Source(NamedTuple):
    """What a row asks for: a JSON Schema, or a grammar in GBNF."""

    kind: str  # "schema" or "gbnf"
    text: str


# Of a source: what compiles it, which is timed and gives what begins its texts.
Compile = Callable[[Source], Callable[[], Callable[[], Place]]]


def ours(vocabulary: grammar.Vocabulary) -> Compile:
    class OurPlace:
        def __init__(self, compiled: grammar.Grammar) -> None:
            self.matcher = compiled.matcher()
            self.row = grammar.allocate_bitmask(1, len(vocabulary))

        def mask_and_accept(self, token: int) -> bool:
            self.matcher.fill_bitmask(self.row)
            return self.matcher.accept(token)

        def accepting(self) -> bool:
            return self.matcher.is_accepting

    def compile_source(source: Source) -> Callable[[], Place]:
        if source.kind == "gbnf":
            compiled = grammar.compile_gbnf(source.text, vocabulary)
        else:
            compiled = grammar.compile_schema(source.text, vocabulary, unknown_keywords=True)
        return lambda: OurPlace(compiled)

    return lambda source: partial(compile_source, source)


def xgrammar(vocabulary: grammar.Vocabulary) -> Compile:
    import xgrammar as peer

    tokens = [vocabulary.bytes(i) for i in range(len(vocabulary))]
    info = peer.TokenizerInfo(tokens, peer.VocabType.RAW, stop_token_ids=[vocabulary.end_of_turn])

    class PeerPlace:
        def __init__(self, compiled: Any) -> None:
            self.matcher = peer.GrammarMatcher(compiled, terminate_without_stop_token=True)
            self.row = peer.allocate_token_bitmask(1, info.vocab_size)

        def mask_and_accept(self, token: int) -> bool:
            self.matcher.fill_next_token_bitmask(self.row)
            return self.matcher.accept_token(token)

        def accepting(self) -> bool:
            return self.matcher.is_completed()

    def compile_source(source: Source) -> Callable[[], Place]:
        compiler = peer.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        if source.kind == "gbnf":
            compiled = compiler.compile_grammar(source.text)
        else:
            compiled = compiler.compile_json_schema(source.text, any_whitespace=True, strict_mode=False)
        return lambda: PeerPlace(compiled)

    return lambda source: partial(compile_source, source)


def llguidance(tokenizer_json: str, size: int) -> Compile:
    import llguidance as peer
    from llguidance.gbnf_to_lark import any_to_lark

    tokenizer = peer.LLTokenizer(tokenizer_json, n_vocab=size)

    class PeerPlace:
        def __init__(self, compiled: str) -> None:
            self.matcher = peer.LLMatcher(tokenizer, compiled)
            self.row = np.zeros((1, (size + 31) // 32), dtype=np.int32)
            if self.matcher.is_error():
                raise ValueError(self.matcher.get_error())

        def mask_and_accept(self, token: int) -> bool:
            self.matcher.unsafe_compute_mask_ptr(self.row.ctypes.data, self.row.nbytes)
            allowed = bool(self.row[0, token // 32] >> (token % 32) & 1)
            return allowed and self.matcher.consume_token(token)

        def accepting(self) -> bool:
            return self.matcher.is_accepting()

    def compile_source(source: Source, lark: str) -> Callable[[], Place]:
        if source.kind == "gbnf":
            compiled = peer.LLMatcher.grammar_from_lark(lark)
        else:
            compiled = peer.LLMatcher.grammar_from_json_schema(source.text)
        return lambda: PeerPlace(compiled)

    return lambda source: partial(compile_source, source, any_to_lark(source.text) if source.kind == "gbnf" else "")


class Tally:
    def __init__(self) -> None:
        self.passed = self.refused = self.false_accepts = self.false_rejects = 0
        self.masks: list[float] = []
        self.compiles: list[float] = []

    def report(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "refused": self.refused,
            "false_accepts": self.false_accepts,
            "false_rejects": self.false_rejects,
            "mask_us": quantiles(self.masks),
            "compile_us": quantiles(self.compiles),
        }


def quantiles(micros: list[float]) -> dict[str, float]:
    if not micros:
        return {}
    values = np.percentile(micros, [50, 90, 99, 100])
    return dict(zip(("p50", "p90", "p99", "max"), (round(float(v), 2) for v in values), strict=True))


def micros_of(run: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.thread_time_ns()
    result = run()
    return (time.thread_time_ns() - begun) / 1e3, result


class Test(NamedTuple):
    valid: bool
    tokens: list[int]


def run_source(compile_source: Compile, source: Source, tests: list[Test], tally: Tally) -> None:
    try:
        compile_now = compile_source(source)
        micros, (begin, first) = micros_of(lambda: (made := compile_now(), made()))
    except Exception:  # every engine has errors of its own
        tally.refused += 1
        return
    tally.compiles.append(micros)
    wrong = 0
    for index, test in enumerate(tests):
        place = first if index == 0 else begin()
        accepted = True
        for token in test.tokens:
            micros, accepted = micros_of(lambda place=place, token=token: place.mask_and_accept(token))
            tally.masks.append(micros)
            if not accepted:
                break
        accepted = accepted and place.accepting()
        tally.false_accepts += accepted and not test.valid
        tally.false_rejects += not accepted and test.valid
        wrong += accepted != test.valid
    tally.passed += wrong == 0


def read_text(path: Path) -> str:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes()).decode()
    return path.read_text(encoding="utf-8")


def rows(path: Path, every: int, limit: int | None) -> Iterator[dict[str, Any]]:
    for line in read_text(path).splitlines()[::every][:limit]:
        yield json.loads(line)


def source_of(row: dict[str, Any]) -> Source:
    if "gbnf" in row:
        return Source("gbnf", row["gbnf"])
    if "schema" not in row:
        sys.exit(f"row {row.get('id', '?')}: neither schema nor gbnf")
    schema = row["schema"]
    return Source("schema", schema if isinstance(schema, str) else json.dumps(schema))


class Speller:
    """Texts by the longest token each time; what no token begins is left out."""

    def __init__(self, vocabulary: grammar.Vocabulary) -> None:
        self.vocabulary = vocabulary

    @cached_property
    def ids(self) -> dict[bytes, int]:
        return {self.vocabulary.bytes(i): i for i in reversed(range(len(self.vocabulary)))}

    @cached_property
    def longest(self) -> int:
        return max(map(len, self.ids))

    def spell(self, text: str) -> list[int]:
        rest, out = text.encode(), []
        while rest:
            sizes = range(min(self.longest, len(rest)), 0, -1)
            size = next((n for n in sizes if rest[:n] in self.ids), 0)
            if size > 0:
                out.append(self.ids[rest[:size]])
            rest = rest[max(size, 1) :]
        return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a Hugging Face tokenizer.json, may be .xz")
    parser.add_argument("--schemas", type=Path, required=True, help="MaskBench rows, JSON lines, may be .xz")
    parser.add_argument("--every", type=int, default=60, help="only every n-th row [60]")
    parser.add_argument("--limit", type=int, default=None, help="at most so many rows")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    tokenizer_json = read_text(arguments.tokenizer)
    vocabulary = vocabulary_of(tokenizer_json)
    engines: dict[str, Compile] = {"espalier": ours(vocabulary)}
    for name, make in (
        ("xgrammar", lambda: xgrammar(vocabulary)),
        ("llguidance", lambda: llguidance(tokenizer_json, len(vocabulary))),
    ):
        try:
            engines[name] = make()
        except ImportError as missing:
            print(f"{name} is not installed here ({missing})", file=sys.stderr)
    speller = Speller(vocabulary)
    tallies = {name: Tally() for name in engines}
    count = 0
    for row in rows(arguments.schemas, arguments.every, arguments.limit):
        source = source_of(row)
        tests = [Test(test["valid"], test.get("toks") or speller.spell(test["text"])) for test in row["tests"]]
        count += 1
        for name, compile_source in engines.items():
            run_source(compile_source, source, tests, tallies[name])
    reports = {name: tally.report() for name, tally in tallies.items()}
    if arguments.json:
        print(json.dumps({"rows": count, "engines": reports}))
    else:
        print_table(count, reports)
    return 1 if reports["espalier"]["false_accepts"] else 0


def vocabulary_of(tokenizer_json: str) -> grammar.Vocabulary:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(tokenizer_json)
        file.flush()
        return grammar.Vocabulary.from_tokenizer_json(file.name)


def print_table(count: int, reports: dict[str, dict[str, Any]]) -> None:
    print(f"{count} rows, microseconds of one thread")
    head = ("engine", "passed", "refused", "f.acc", "f.rej", "mask p50", "p90", "p99", "max", "compile p50", "p99")
    print("".join(f"{name:>12}" for name in head))
    for name, r in reports.items():
        mask, compiled = r["mask_us"], r["compile_us"]
        cells = [name, r["passed"], r["refused"], r["false_accepts"], r["false_rejects"]]
        cells += [mask.get(q, "-") for q in ("p50", "p90", "p99", "max")]
        cells += [compiled.get(q, "-") for q in ("p50", "p99")]
        print("".join(f"{cell:>12}" for cell in cells))
    own = reports["espalier"]
    for name, r in reports.items():
        if name == "espalier" or not r["mask_us"]:
            continue
        ratios = [f"{kind[:-3]} {q} {r[kind][q] / own[kind][q]:.2f}" for kind in ("mask_us", "compile_us")
                  for q in ("p50", "p90", "p99") if own[kind].get(q)]  # fmt: skip
        print(f"{name} over espalier: " + ", ".join(ratios))


if __name__ == "__main__":
    sys.exit(main())
