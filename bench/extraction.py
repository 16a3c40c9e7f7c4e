"""Extraction with copied values: the same prompt asked for strings and for spans (bench/extraction.gen).

Usage: PYTHONPATH=build/python python3 bench/extraction.py [--documents 20] [--model smollm2]

Receipts of ICDAR 2019 SROIE (ESPALIER_DATA, else ../shared/data), each after two worked examples that all share. Said
for temperatures 0, 0.7 and 1.5: the share of well-typed records; the share of values that stand in the receipt word for
word (of spans by each place that the program gives for them); and fields that equal the gold ones but for white space
and case. Exits 1 where a record is not well typed or a span does not stand where it says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import espalier
from llama_peer import ROOT, data_folder

FIELDS = ("company", "date", "address", "total")
LIMITS = {"company": 80, "date": 24, "address": 160, "total": 16}
TEMPERATURES = (0.0, 0.7, 1.5)


def plain(text: str) -> str:
    return " ".join(text.split())


def same(a: str, b: str) -> bool:
    return "".join(a.lower().split()) == "".join(b.lower().split())


def well_typed(found: Any, bounded: bool) -> bool:
    return (
        isinstance(found, dict)
        and tuple(found) == FIELDS
        and all(isinstance(found[f], str) and 1 <= len(found[f]) <= (LIMITS[f] if bounded else 4096) for f in FIELDS)
    )


def stands(value: Any, field: str, text: str) -> bool:
    """Whether every place that is given for the field has its value, and there is one."""
    places = value[field]
    return bool(places) and all(
        plain(text[one["start"] : one["end"]]) == plain(value["found"][field]) for one in places
    )


async def run(gen: Any, rows: list[dict[str, str]]) -> list[Any]:
    return list(await asyncio.gather(*(gen.aio(**row) for row in rows)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    source = data_folder() / "receipts/receipts_000_312.jsonl"
    if not source.exists():
        print(f"extraction: no data at {source}; set ESPALIER_DATA. Nothing measured.")
        return 0
    receipts = [json.loads(line) for line in source.open()]

    def gold(row: dict[str, Any]) -> str:
        return json.dumps({f: row["gold"].get(f, "") for f in FIELDS}, ensure_ascii=False)

    one, two, *_ = receipts
    head = {"shot1": one["text"], "gold1": gold(one), "shot2": two["text"], "gold2": gold(two)}
    documents = receipts[10 : 10 + args.documents]
    rows = [{**head, "text": row["text"]} for row in documents]
    there = sum(plain(row["gold"].get(f, "")) in plain(row["text"]) for row in documents for f in FIELDS)
    count = len(rows) * len(FIELDS)
    print(f"extraction: {len(rows)} receipts, {args.model}; {there} of {count} gold values stand in them word for word")

    engine = espalier.Engine(args.model, threads=args.threads)
    sound = True
    for temperature in TEMPERATURES:
        program = engine.load(Path(ROOT) / "bench/extraction.gen", temperature=temperature, seed=1)
        for kind, gen in (("string", program.written), ("span", program.copied)):
            start = time.perf_counter()
            values = asyncio.run(run(gen, rows))
            seconds = time.perf_counter() - start
            found = values if kind == "string" else [value["found"] for value in values]
            typed = sum(well_typed(value, kind == "string") for value in found)
            if kind == "string":
                verbatim = sum(
                    plain(v[f]) in plain(row["text"]) for v, row in zip(found, rows, strict=True) for f in FIELDS
                )
            else:
                verbatim = sum(stands(v, f, row["text"]) for v, row in zip(values, rows, strict=True) for f in FIELDS)
            right = {
                f: sum(same(v[f], d["gold"].get(f, "")) for v, d in zip(found, documents, strict=True)) for f in FIELDS
            }
            each = ", ".join(f"{f} {n}" for f, n in right.items())
            print(f"  {kind:6} at {temperature}: well-typed {100 * typed / len(rows):5.1f} %, verbatim "
                  f"{100 * verbatim / count:5.1f} %, right {sum(right.values())} of {count} ({each}), "
                  f"{60 * len(rows) / seconds:.0f} a minute")  # fmt: skip
            sound = sound and typed == len(rows) and (kind == "string" or verbatim == count)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
