#!/usr/bin/env python3
"""Espalier's CPU steps beside those of ik_llama.cpp and llama.cpp, alternating in one run.

    python bench/vs_llama.py [--espalier build/bin/espalier] [--model FILE] [--rounds 3] [--threads 2]

All prefill the same number of tokens (512) and decode so many (--decode) at batch 1, 8, 16 and 32, on
the same file and as many threads: after (nearly) nothing, and after a 512-token prompt that the
branches share. Each round runs everybody one after the other, so that other load on the machine
meets all; shown are medians, and the ratio with the lowest and highest of the rounds.

Peers, each where it is:
  ik_llama.cpp  its llama-bench and llama-batched-bench, in the folder $IK_LLAMA_BIN
  llama.cpp     the same programs on PATH, or else llama-cpp-python in the Python that runs this
                (pip install llama-cpp-python==0.3.36; batch 1 alone). Its extra buffer types (AMX) are
                off in the latter, because they crash where a virtual machine shows AMX without
                granting it; they do nothing else for the files here. --amx turns them on.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

Figures = dict[str, float]  # tokens a second by case
BATCHES = (8, 16, 32)
PREFILL = 512
# A prompt of nothing is not to be had from llama-batched-bench.
SHORT_PROMPT = 16


def decode_case(batch: int, depth: int) -> str:
    return f"decode_batch_{batch}_depth_{depth}"


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: 1 or more")
    return value


def output_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def table_of(*command: str) -> str:
    """What a program prints to either stream: ik_llama.cpp's tables go to stderr. It leaves a log where it runs."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=folder
        )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def ours(args: argparse.Namespace) -> Figures:
    line = output_of(
        args.espalier, "bench", "--model", args.model, "--threads", str(args.threads),
        "--prefill", str(PREFILL), "--decode", str(args.decode), "--repeat", "1", "--json",
    )  # fmt: skip
    out = {}
    for case in json.loads(line)["cases"]:
        if case["name"] == "prefill":
            out[f"prefill_{case['tokens']}"] = case["tokens_per_second"]
        else:
            out[decode_case(case["batch"], case["depth"])] = case["tokens_per_second"]
    return out


def programs(bench: str, batched: str, args: argparse.Namespace) -> Figures:
    """By llama-bench and llama-batched-bench of either project."""
    common = ["-m", os.path.abspath(args.model), "-t", str(args.threads)]
    out = {}
    after = ["-gp", f"{PREFILL},{args.decode}"]
    if "-gp" not in subprocess.run([bench, "--help"], capture_output=True, text=True, check=False).stdout:
        after = ["-d", f"0,{PREFILL}"]  # llama.cpp's way of saying it
    text = output_of(bench, *common, "-p", str(PREFILL), "-n", str(args.decode), *after, "-r", "1", "-o", "json")
    for case in json.loads(text):
        depth = case.get("n_depth", 0)
        if case["n_gen"] == 0 and depth == 0:
            out[f"prefill_{PREFILL}"] = case["avg_ts"]
        elif case["n_gen"] > 0:
            # With -gp, both lengths are given and the decoding alone is timed.
            out[decode_case(1, PREFILL if case["n_prompt"] > 0 else depth)] = case["avg_ts"]
    batches = ",".join(map(str, BATCHES))
    for depth, prompt in ((0, [str(SHORT_PROMPT)]), (PREFILL, [str(PREFILL), "-pps"])):
        context = (max(BATCHES) * (args.decode + SHORT_PROMPT) + PREFILL + 255) // 256 * 256
        lengths = ["-npp", *prompt, "-ntg", str(args.decode), "-npl", batches]
        for row in table_of(batched, *common, "-c", str(context), *lengths).splitlines():
            cells = [cell.strip() for cell in row.split("|")]
            if len(cells) > 8 and cells[3].isdigit():
                out[decode_case(int(cells[3]), depth)] = float(cells[8])
    return out


def llama_cpp_python(args: argparse.Namespace) -> Callable[[], Figures]:
    import llama_cpp
    from llama_cpp import llama_cpp as low

    if not args.amx:
        defaults = low.llama_model_default_params

        def without_extra_buffers():
            params = defaults()
            params.use_extra_bufts = False
            return params

        low.llama_model_default_params = without_extra_buffers
        llama_cpp.llama_model_default_params = without_extra_buffers
    model = llama_cpp.Llama(
        args.model,
        n_ctx=PREFILL + args.decode + 64,
        n_batch=512,
        n_ubatch=512,
        n_threads=args.threads,
        n_threads_batch=args.threads,
        verbose=False,
    )
    prompt = [1000 + i * 37 % 20000 for i in range(PREFILL)]

    def decode(prefix: bool) -> float:
        model.reset()
        if prefix:
            model.eval(prompt)
        token = 100
        start = time.perf_counter()
        for _ in range(args.decode):
            model.eval([token])
            # Greedy by the library's own sampler, over the whole vocabulary.
            token = model.sample(temp=0.0, repeat_penalty=1.0)
        return args.decode / (time.perf_counter() - start)

    def run() -> Figures:
        model.reset()
        start = time.perf_counter()
        model.eval(prompt)
        out = {f"prefill_{PREFILL}": PREFILL / (time.perf_counter() - start)}
        out[decode_case(1, 0)] = decode(False)
        out[decode_case(1, PREFILL)] = decode(True)
        return out

    run()
    return run


def peers(args: argparse.Namespace) -> dict[str, Callable[[], Figures]]:
    names = ("llama-bench", "llama-batched-bench")
    found: dict[str, Callable[[], Figures]] = {}
    folder = os.environ.get("IK_LLAMA_BIN")
    if folder:
        ik = [str(Path(folder, name).resolve()) for name in names]
        found["ik_llama.cpp"] = lambda: programs(*ik, args)
    on_path = [shutil.which(name) for name in names]
    if all(on_path):
        found["llama.cpp"] = lambda: programs(*on_path, args)
    elif importlib.util.find_spec("llama_cpp"):
        found["llama.cpp"] = llama_cpp_python(args)
    for name in ("ik_llama.cpp", "llama.cpp"):
        if name not in found:
            print(f"{name} is not here (see --help): measured without it", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--espalier", default="build/bin/espalier")
    parser.add_argument(
        "--model", default=os.path.expanduser("~/.cache/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf")
    )
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--threads", type=count, default=2)
    parser.add_argument("--decode", type=count, default=32)
    parser.add_argument("--amx", action="store_true")
    parser.add_argument("--json", help="write every round's figures to this file")
    args = parser.parse_args()
    if shutil.which(args.espalier) is None:
        parser.error(f"--espalier {args.espalier}: no such program (make program builds build/bin/espalier)")

    runners = {"espalier": lambda: ours(args), **peers(args)}
    rounds: list[dict[str, Figures]] = [{name: run() for name, run in runners.items()} for _ in range(args.rounds)]
    if args.json:
        Path(args.json).write_text(json.dumps(rounds, indent=1))

    others = [name for name in runners if name != "espalier"]
    head = f"{'tokens per second, median of ' + str(args.rounds):40} {'espalier':>9}"
    print(head + "".join(f" {name:>13} {'ratio (low-high)':>19}" for name in others) + f" {'x batch 1':>10}")
    for case in rounds[0]["espalier"]:
        mine = [one["espalier"][case] for one in rounds]
        line = f"{case:40} {statistics.median(mine):9.1f}"
        for name in others:
            if case not in rounds[0][name]:
                line += f" {'-':>13} {'':>19}"
                continue
            theirs = [one[name][case] for one in rounds]
            ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
            span = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            line += f" {statistics.median(theirs):13.1f} {span:>19}"
        if case.startswith("decode"):
            alone = decode_case(1, int(case.rsplit("_", 1)[1]))
            batch_1 = statistics.median(one["espalier"][alone] for one in rounds)
            line += f" {statistics.median(mine) / batch_1:10.2f}"
        print(line)


if __name__ == "__main__":
    main()
