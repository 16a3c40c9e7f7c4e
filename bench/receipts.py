"""Documents a minute: typed records out of receipts, beside llama.cpp on the same prompts, in one run.

Usage: python3 bench/receipts.py [--documents 20] [--model smollm2] [--threads 2] [--rounds 1]

The data is the ICDAR 2019 receipts (ESPALIER_DATA, else ../shared/data): rows 0 and 1 are the worked examples, the
documents start at row 10. The peer is llama-cpp-python where $ESPALIER_PEER_PYTHON (else python3) has it, with its
grammar from the same JSON Schema and its prompt cache; without it our side is printed alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import llama_peer
from llama_peer import ROOT, data_folder, model_file

FIELDS = ("company", "date", "address", "total")
LIMITS = {"company": 80, "date": 24, "address": 160, "total": 16}
SYSTEM = "Extract the company, date, address and total of the receipt as JSON."

PEER = r"""
llm = llama_cpp.Llama(model_path=job["model"], n_ctx=4096, n_threads=job["threads"],
                      n_threads_batch=job["threads"], verbose=False)
grammar = llama_cpp.LlamaGrammar.from_json_schema(json.dumps(job["schema"]), verbose=False)
llm.create_completion("warm up", max_tokens=1)
start = time.perf_counter()
out = []
for prompt in job["prompts"]:
    reply = llm.create_completion(prompt, max_tokens=300, temperature=0, grammar=grammar, stop=["<|im_end|>"])
    out.append(reply["choices"][0]["text"])
json.dump({"seconds": time.perf_counter() - start, "texts": out}, sys.stdout)
"""


def valid(value: object) -> bool:
    return (
        isinstance(value, dict)
        and tuple(value) == FIELDS
        and all(isinstance(value[f], str) and 1 <= len(value[f]) <= LIMITS[f] for f in FIELDS)
    )


def right(values: list[dict | None], golds: list[dict]) -> dict[str, int]:
    def same(a: str, b: str) -> bool:
        return "".join(a.lower().split()) == "".join(b.lower().split())

    return {f: sum(v is not None and same(v.get(f, ""), g.get(f, "")) for v, g in zip(values, golds)) for f in FIELDS}


def run_ours(args: argparse.Namespace, rows: list[dict], folder: Path) -> tuple[float, list[dict | None], dict]:
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, stats = folder / "out.jsonl", folder / "stats.json"
    out.unlink(missing_ok=True)
    for journal in folder.glob("out.jsonl.*"):
        journal.unlink()
    command = [
        str(ROOT / "build/bin/espalier"), "batch", str(ROOT / "bench/receipts.gen"), "--in", str(source),
        "--out", str(out), "--model", args.model, "--threads", str(args.threads), "--stats", str(stats),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    by_id = {row["id"]: row.get("value") for row in map(json.loads, out.read_text().splitlines())}
    figures = json.loads(stats.read_text())
    seconds = figures["wall_seconds"] - figures["load_seconds"]
    return seconds, [by_id.get(row["id"]) for row in rows], figures


def run_peer(args: argparse.Namespace, rows: list[dict], folder: Path) -> tuple[float, list[dict | None]] | None:
    def turn(role: str, text: str) -> str:
        return f"<|im_start|>{role}\n{text}<|im_end|>\n"

    prompts = [
        turn("system", SYSTEM) + turn("user", r["shot1"]) + turn("assistant", r["gold1"]) + turn("user", r["shot2"])
        + turn("assistant", r["gold2"]) + turn("user", r["text"]) + "<|im_start|>assistant\n"
        for r in rows
    ]  # fmt: skip
    schema = {
        "type": "object", "required": list(FIELDS), "additionalProperties": False,
        "properties": {f: {"type": "string", "minLength": 1, "maxLength": LIMITS[f]} for f in FIELDS},
    }  # fmt: skip
    job = {"model": model_file(args.model), "threads": args.threads, "schema": schema, "prompts": prompts}
    answer = llama_peer.run(PEER, job, folder)
    if answer is None:
        return None
    values: list[dict | None] = []
    for text in answer["texts"]:
        try:
            values.append(json.loads(text))
        except ValueError:
            values.append(None)
    return answer["seconds"], values


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    source = data_folder() / "receipts/receipts_000_312.jsonl"
    if not source.exists():
        print(f"receipts: no data at {source}; set ESPALIER_DATA. Nothing measured.")
        return 0
    receipts = [json.loads(line) for line in source.open()]

    def gold(row: dict) -> str:
        return json.dumps({f: row["gold"].get(f, "") for f in FIELDS}, ensure_ascii=False)

    documents = receipts[10 : 10 + args.documents]
    head = {"shot1": receipts[0]["text"], "gold1": gold(receipts[0]), "shot2": receipts[1]["text"],
            "gold2": gold(receipts[1])}  # fmt: skip
    rows = [{"id": r["id"], **head, "text": r["text"]} for r in documents]
    golds = [r["gold"] for r in documents]

    ours_best, peer_best = None, None
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as name:
            ours = run_ours(args, rows, Path(name))
            peer = run_peer(args, rows, Path(name))
        if ours_best is None or ours[0] < ours_best[0]:
            ours_best = ours
        if peer is not None and (peer_best is None or peer[0] < peer_best[0]):
            peer_best = peer
        time.sleep(0.5)
    assert ours_best is not None
    seconds, values, stats = ours_best
    n = len(rows)
    print(f"receipts: {n} documents, {args.model}, {args.threads} threads")
    print(f"  espalier   {60 * n / seconds:7.1f} documents/min   valid {sum(map(valid, values))}/{n}   "
          f"right {right(values, golds)}")  # fmt: skip
    print(f"             prompt {stats['prompt_tokens']} tokens, reused {stats['reused_tokens']} "
          f"({100 * stats['reused_tokens'] / stats['prompt_tokens']:.0f} %), "
          f"recomputed {stats['recomputed_tokens']}, generated {stats['generated_tokens']}")  # fmt: skip
    if peer_best is None:
        print("  llama.cpp  absent (pip install llama-cpp-python, ESPALIER_PEER_PYTHON=its python)")
        return 0
    print(f"  llama.cpp  {60 * n / peer_best[0]:7.1f} documents/min   valid {sum(map(valid, peer_best[1]))}/{n}   "
          f"right {right(peer_best[1], golds)}")  # fmt: skip
    print(f"  ratio      {peer_best[0] / seconds:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
