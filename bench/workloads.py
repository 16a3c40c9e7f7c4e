"""What sharing saves on seven workloads, beside what it could save, and beside llama.cpp with its prompt cache.

Usage: python3 bench/workloads.py [--model smollm2] [--threads 2] [--scale 1.0] [--only judge ...] [--pool 10,25,50]
                                  [--repeat 3] [--out FOLDER [--files-only]]

The workloads are those that prefix sharing is usually measured with, made of the reference data (ESPALIER_DATA, else
../shared/data): few_shot (grade-school problems behind five worked ones), chat (two turns, one system prompt), thoughts
(a tree of thoughts: three first steps, two second ones behind each, a verdict), agent (a service's functions, four
requests of its user), extraction (receipts behind two worked examples, JSON by a schema), judge (an answer, four
criticisms of it), apart (receipts that share nothing). Each is written as a file for `espalier bench sharing`, which
measures our side; --out keeps the files. Runs with the cache on and off are made in turn, --repeat times, and count by
their fastest. "undrafted": how much longer decoding takes where no token is guessed; "tree": the share of the time
that is spent in the radix cache.

The peer is llama.cpp's server where $ESPALIER_LLAMA_SERVER (else llama-server on PATH) is: the same programs, all at
once, each answer as long as ours, with its prompt cache; else llama-cpp-python where $ESPALIER_PEER_PYTHON (else
python3) has it: the same requests one after the other, with its RAM prompt cache. Last line: the geometric mean of the
ratios.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import llama_peer
import llama_server
from llama_peer import ROOT, data_folder, model_file

Request = dict[str, Any]
Program = dict[str, Any]
FIELDS = ("company", "date", "address", "total")
LIMITS = {"company": 80, "date": 24, "address": 160, "total": 16}
SCHEMA = {
    "type": "object", "required": list(FIELDS), "additionalProperties": False,
    "properties": {f: {"type": "string", "minLength": 1, "maxLength": LIMITS[f]} for f in FIELDS},
}  # fmt: skip

PEER = r"""
seconds = {}
for name, programs in job["workloads"].items():
    llm = llama_cpp.Llama(model_path=job["model"], n_ctx=4096, n_threads=job["threads"],
                          n_threads_batch=job["threads"], verbose=False)
    llm.set_cache(llama_cpp.LlamaRAMCache(capacity_bytes=2 << 30))
    vocabulary = low.llama_model_get_vocab(llm.model)
    size = low.llama_vocab_n_tokens(vocabulary)
    ends = {token: -1e9 for token in range(size) if low.llama_vocab_is_eog(vocabulary, token)}
    llm.create_completion("warm up", max_tokens=1)
    start = time.perf_counter()
    for program in programs:
        paths = []
        for request in program["requests"]:
            prompt = (paths[request["after"]] if "after" in request else "") + request["text"]
            schema = request.get("schema")
            grammar = None
            if schema is not None:
                text = json.dumps(schema)
                grammar = llama_cpp.LlamaGrammar.from_json_schema(text, verbose=False)
            reply = llm.create_completion(prompt, max_tokens=request["max_tokens"], temperature=0, grammar=grammar,
                                          logit_bias=None if schema is not None else ends)
            paths.append(prompt + reply["choices"][0]["text"])
    seconds[name] = time.perf_counter() - start
    del llm
json.dump(seconds, sys.stdout)
"""


def rows(name: str) -> list[dict[str, Any]]:
    with (data_folder() / name).open() as file:
        return [json.loads(line) for line in file]


def request(text: str, tokens: int, after: int | None = None, schema: dict[str, Any] | None = None) -> Request:
    made: Request = {"text": text, "max_tokens": tokens}
    if after is not None:
        made["after"] = after
    if schema is not None:
        made["schema"] = schema
    return made


# ---- the workloads: `count` programs each


def few_shot(count: int) -> list[list[Request]]:
    worked = rows("questions/gsm8k_train_first200.jsonl")[:5]
    head = "".join(f"Question: {w['question']}\nAnswer: {w['answer']}\n\n" for w in worked)
    asked = rows("questions/gsm8k_test.jsonl")[:count]
    return [[request(f"{head}Question: {q['question']}\nAnswer:", 32)] for q in asked]


def chat(count: int) -> list[list[Request]]:
    system = ("The assistant is careful, brief and polite. It answers in whole sentences, says so where it does not "
              "know, never invents a source, and keeps to the language of the question.\n" * 4)  # fmt: skip
    return [
        [request(f"{system}\nUser: {q['turns'][0]}\nAssistant:", 48),
         request(f"\nUser: {q['turns'][1]}\nAssistant:", 48, after=0)]
        for q in rows("questions/mt_bench.jsonl")[:count]
    ]  # fmt: skip


def thoughts(count: int) -> list[list[Request]]:
    head = "Problem: {}\nThink of the problem step by step, and weigh several ways before deciding.\n"
    programs = []
    for q in rows("questions/gsm8k_test.jsonl")[100 : 100 + count]:
        made = [request(head.format(q["question"]) + "What is asked:", 24)]
        for way in ("backwards", "with an equation", "by trying numbers"):
            made.append(request(f"\nA first step, {way}:", 24, after=0))
        for step in (1, 2, 3):
            for care in ("carefully", "quickly"):
                made.append(request(f"\nThe next step, {care}:", 24, after=step))
        made += [request("\nHow sure is this, of ten?", 4, after=step) for step in range(4, 10)]
        programs.append(made)
    return programs


def agent(count: int) -> list[list[Request]]:
    services = sorted((data_folder() / "bfcl/multi_turn_func_doc").glob("*.json"))
    heads = {}
    for service in services:
        functions = [json.loads(line) for line in service.read_text().splitlines()]
        heads[service.stem] = "".join(f"{f['name']}: {json.dumps(f['parameters'])[:400]}\n" for f in functions[:8])
    names = {"GorillaFileSystem": "gorilla_file_system", "TwitterAPI": "posting_api", "TradingBot": "trading_bot",
             "TravelAPI": "travel_booking", "VehicleControlAPI": "vehicle_control", "MessageAPI": "message_api",
             "TicketAPI": "ticket_api", "MathAPI": "math_api"}  # fmt: skip
    programs = []
    for row in rows("bfcl/BFCL_v4_multi_turn_base.jsonl"):
        head = heads.get(names.get(row["involved_classes"][0], ""))
        if head is None:
            continue
        made: list[Request] = []
        for i, turn in enumerate(row["question"][:4]):
            text = f"User: {turn[0]['content']}\nCall:" if turn else "User: Go on.\nCall:"
            made.append(request((f"Functions:\n{head}\n" if i == 0 else "\nResult: done\n") + text, 32,
                                after=None if i == 0 else i - 1))  # fmt: skip
        programs.append(made)
        if len(programs) == count:
            break
    return programs


def extraction(count: int) -> list[list[Request]]:
    receipts = rows("receipts/receipts_000_312.jsonl")

    def shown(row: dict[str, Any]) -> str:
        return f"Receipt:\n{row['text']}\nJSON: "

    worked = "".join(shown(r) + json.dumps({f: r["gold"].get(f, "") for f in FIELDS}) + "\n\n" for r in receipts[:2])
    head = "The company, date, address and total of each receipt.\n\n" + worked
    return [[request(head + shown(r), 160, schema=SCHEMA)] for r in receipts[10 : 10 + count]]


def judge(count: int) -> list[list[Request]]:
    programs = []
    for q in rows("questions/mt_bench.jsonl")[40 : 40 + count]:
        made = [request(f"Question: {q['turns'][0]}\nAn answer that will be judged by four readers:", 96)]
        for side in ("clear", "correct", "complete", "polite"):
            made.append(request(f"\nIs the answer {side}? One reader says:", 24, after=0))
        programs.append(made)
    return programs


def apart(count: int) -> list[list[Request]]:
    receipts = rows("receipts/receipts_000_312.jsonl")[100 : 100 + count]
    return [[request(f"{r['id']} {r['text']}\nIn one sentence:", 24)] for r in receipts]


WORKLOADS = {few_shot: 48, chat: 32, thoughts: 12, agent: 20, extraction: 20, judge: 20, apart: 32}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of programs")
    parser.add_argument("--only", nargs="+", choices=[make.__name__ for make in WORKLOADS])
    parser.add_argument("--pool", default="10,25,50")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--files-only", action="store_true", help="write the files of --out, measure nothing")
    args = parser.parse_args()
    if args.files_only and args.out is None:
        parser.error("--files-only goes with --out")
    if not (data_folder() / "questions").exists():
        print(f"workloads: no data at {data_folder()}; set ESPALIER_DATA. Nothing measured.")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = args.out or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        programs: dict[str, list[Program]] = {}
        for make, count in WORKLOADS.items():
            if args.only and make.__name__ not in args.only:
                continue
            made = make(max(1, round(count * args.scale)))
            programs[make.__name__] = [{"id": f"{make.__name__}-{i}", "requests": p} for i, p in enumerate(made)]
        files = []
        for title, lines in programs.items():
            files.append(folder / f"{title}.jsonl")
            files[-1].write_text("".join(json.dumps(line) + "\n" for line in lines))
        if args.files_only:
            return 0
        command = [str(ROOT / "build/bin/espalier"), "bench", "sharing", "--json", *map(str, files)]
        command += ["--model", args.model, "--threads", str(args.threads), "--repeat", str(args.repeat)]
        if args.pool:
            command += ["--pool", args.pool]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        job = {"model": model_file(args.model), "threads": args.threads, "workloads": programs}
        server = llama_server.program()
        peer: dict[str, dict[str, float]] | None = None
        if server is not None:
            model = model_file(args.model)
            peer = {title: llama_server.run(server, model, args.threads, lines) for title, lines in programs.items()}
        else:
            alone = llama_peer.run(PEER, job, Path(name))
            peer = None if alone is None else {title: {"seconds": seconds} for title, seconds in alone.items()}

    print(f"{args.model}, {args.threads} threads; saved: share of the prompts' tokens that nothing was computed for")
    heads = ["programs/s", "first p50", "first p99", "saved", "of best"]
    heads += [run["run"] for run in report["workloads"][0]["runs"][3:]]
    heads += ["off", "gain", "of bound", "undrafted", "tree", *(["llama.cpp", "ratio"] if peer is not None else [])]
    heads += ["its p50", "its p99", "it saved"] if server is not None else []
    print(" " * 12 + "".join(f"{head:>11}" for head in heads))
    ratios: list[float] = []
    for title, work in zip(programs, report["workloads"]):
        on, off, drawn = work["runs"][:3]
        cells = [
            f"{on['programs_per_second']:.2f}",
            f"{1000 * on['first_token_p50_seconds']:.0f} ms",
            f"{1000 * on['first_token_p99_seconds']:.0f} ms",
            f"{100 * on['hit_rate']:.1f} %",
            *(f"{100 * run['share_of_best']:.1f} %" for run in (on, *work["runs"][3:])),
            f"{off['programs_per_second']:.2f}",
            f"{work['speedup']:.2f} x",
            f"{100 * work['speedup'] / work['speedup_bound']:.0f} %",
            f"{drawn['decode_seconds'] / on['decode_seconds']:.2f} x",
            f"{100 * on['tree_seconds'] / on['seconds']:.2f} %",
        ]
        if peer is not None:
            theirs = peer[title]
            rate = work["programs"] / theirs["seconds"]
            ratios.append(on["programs_per_second"] / rate)
            cells += [f"{rate:.2f}", f"{ratios[-1]:.2f} x"]
            if server is not None:
                cells += [f"{1000 * theirs['first_p50']:.0f} ms", f"{1000 * theirs['first_p99']:.0f} ms"]
                cells += [f"{100 * theirs['hit_rate']:.1f} %"]
        print(f"{title:12}" + "".join(f"{cell:>11}" for cell in cells))
    if peer is None:
        print("llama.cpp is absent (llama-server on PATH or in ESPALIER_LLAMA_SERVER; or pip install llama-cpp-python, "
              "ESPALIER_PEER_PYTHON=its python)")  # fmt: skip
    else:
        mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
        print(f"against {'llama-server' if server is not None else 'llama-cpp-python'}: {mean:.2f} x on average")
    return 0


if __name__ == "__main__":
    sys.exit(main())
