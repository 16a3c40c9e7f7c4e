#!/usr/bin/env python3
"""Espalier's masks of JSON Schemas beside xgrammar's and llguidance's: the same rows in the same run.

    pip install xgrammar llguidance          # in an environment of their own; each is used where it is installed
    PYTHONPATH=build/python python bench/masks_vs_peers.py --tokenizer llama3.1.tokenizer.json.xz \\
        --schemas dev.jsonl.xz [--every 60] [--limit 200] [--json]

Rows are MaskBench's: {"id", "schema", "tests": [{"valid", "text", "toks"}]}, toks being ids of the tokenizer. Each
schema is compiled by one engine after the other; for each token the mask is filled into a row of bits, then the token
accepted, up to the first that is refused. Times are this thread's CPU time, in microseconds, and hold the call from
Python on all sides: a mask with its token, a compile with the making of its matcher. A refusal is an error while
compiling; what an engine lets through or turns away wrongly is counted by text. The ratio is the peer's time over ours.
xgrammar runs as the specification has it (any whitespace, additional members unless forbidden).
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from espalier import grammar


class Place(Protocol):
    """Where an engine is in one text."""

    def mask_and_accept(self, token: int) -> bool:
        """Fills a row for this place, then goes on by the token; False where it is not allowed."""

    def accepting(self) -> bool: ...


Compile = Callable[[str], Callable[[], Place]]


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

    def compile_schema(schema: str) -> Callable[[], Place]:
        compiled = grammar.compile_schema(schema, vocabulary, unknown_keywords=True)
        return lambda: OurPlace(compiled)

    return compile_schema


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

    def compile_schema(schema: str) -> Callable[[], Place]:
        compiler = peer.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        compiled = compiler.compile_json_schema(schema, any_whitespace=True, strict_mode=False)
        return lambda: PeerPlace(compiled)

    return compile_schema


def llguidance(tokenizer_json: str, size: int) -> Compile:
    import llguidance as peer

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

    def compile_schema(schema: str) -> Callable[[], Place]:
        return lambda: PeerPlace(peer.LLMatcher.grammar_from_json_schema(schema))

    return compile_schema


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


def run_schema(compile_schema: Compile, schema: str, tests: list[Test], tally: Tally) -> None:
    try:
        micros, (begin, first) = micros_of(lambda: (made := compile_schema(schema), made()))
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
    tallies = {name: Tally() for name in engines}
    count = 0
    for row in rows(arguments.schemas, arguments.every, arguments.limit):
        schema = row["schema"] if isinstance(row["schema"], str) else json.dumps(row["schema"])
        tests = [Test(test["valid"], test["toks"]) for test in row["tests"]]
        count += 1
        for name, compile_schema in engines.items():
            run_schema(compile_schema, schema, tests, tallies[name])
    reports = {name: tally.report() for name, tally in tallies.items()}
    if arguments.json:
        print(json.dumps({"schemas": count, "engines": reports}))
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
    print(f"{count} schemas, microseconds of one thread")
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
