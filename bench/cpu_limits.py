#!/usr/bin/env python3
"""Limits that the CPU backend keeps, each measured in one run: the share of a step that is spent outside the backend at
batch 16, the speed where twice as many threads are asked for as there are processors, and what loading takes in time
and memory.

    python bench/cpu_limits.py [--espalier build/bin/espalier] [--model smollm2] [--threads 2]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BATCH = 16
TOKENS = 128
PROGRAM = f"""
gen tell(topic: string) -> string[] {{
  user "Tell a long story about ${{topic}}, with many names and places."
  let all = fork {BATCH} {{
    assistant "$[text: string, max={TOKENS}, temperature=1.0]"
    yield text
  }}
  return all
}}
"""


def output_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def overhead(args: argparse.Namespace) -> None:
    """Time between steps (scheduler, tree, matchers, programs, text), of a run that only decodes."""
    shares, rates = [], []
    with tempfile.TemporaryDirectory() as folder:
        program, stats = Path(folder, "tell.gen"), Path(folder, "stats.json")
        program.write_text(PROGRAM)
        for seed in range(args.rounds):
            output_of(
                args.espalier,
                "run",
                str(program),
                "--arg",
                "topic=a town by the sea",
                "--model",
                args.model,
                "--threads",
                str(args.threads),
                "--seed",
                str(seed),
                "--stats",
                str(stats),
            )
            it = json.loads(stats.read_text())
            wall = it["wall_seconds"] - it["load_seconds"]
            shares.append(1 - (it["prefill_seconds"] + it["decode_seconds"]) / wall)
            rates.append(it["generated_tokens"] / wall)
    print(
        f"batch {BATCH}: {statistics.median(rates):.0f} tokens/s by a program; outside the backend's "
        f"steps {100 * statistics.median(shares):.1f} % of the time "
        f"({100 * min(shares):.1f}-{100 * max(shares):.1f}; limit 3)"
    )


def decode_rates(args: argparse.Namespace, threads: int) -> dict[int, float]:
    line = output_of(
        args.espalier,
        "bench",
        "--model",
        args.model,
        "--threads",
        str(threads),
        "--batch",
        f"1,{BATCH}",
        "--depth",
        "0",
        "--decode",
        "64",
        "--prefill",
        "512",
        "--repeat",
        "1",
        "--json",
    )
    cases = json.loads(line)["cases"]
    return {case.get("batch", 0): case["tokens_per_second"] for case in cases}


def more_threads(args: argparse.Namespace) -> None:
    """A model has no more threads than processors, so that asking for more is to cost nothing but noise."""
    many = 2 * args.threads
    rounds = [(decode_rates(args, args.threads), decode_rates(args, many)) for _ in range(args.rounds)]
    for batch, name in ((0, "prefill 512"), (1, "decode, batch 1"), (BATCH, f"decode, batch {BATCH}")):
        ratios = [crowded[batch] / alone[batch] for alone, crowded in rounds]
        print(
            f"{many} threads asked for on {os.cpu_count()} processors, {name}: "
            f"{100 * statistics.median(ratios):.0f} % of the speed with {args.threads} "
            f"({100 * min(ratios):.0f}-{100 * max(ratios):.0f}; limit 80)"
        )


def loading(args: argparse.Namespace) -> None:
    """A prompt of 512 tokens: seconds until it begins, and the most memory that was in use."""
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder, "stats.json")
        words = "The house by the lane has two rooms and a garden. " * 45
        seconds, peaks = [], []
        for _ in range(args.rounds):
            output_of(
                args.espalier,
                "complete",
                "--prompt",
                words,
                "--max",
                "16",
                "--model",
                args.model,
                "--threads",
                str(args.threads),
                "--stats",
                str(stats),
            )
            it = json.loads(stats.read_text())
            seconds.append(it["load_seconds"])
            peaks.append(it["peak_rss_bytes"])
    shown = json.loads(output_of(args.espalier, "show", args.model, "--context", "512", "--json"))
    need = shown["memory"]
    most = 1.15 * need["weights"] + need["keys_values"] + 100e6
    print(
        f"loading {shown['bytes'] / 1e6:.0f} MB: {statistics.median(seconds):.2f} s (limit "
        f"{shown['bytes'] / 1e8:.2f}); peak memory {max(peaks) / 1e6:.0f} MB, weights {need['weights'] / 1e6:.0f}, "
        f"keys and values {need['keys_values'] / 1e6:.0f} (limit {most / 1e6:.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--espalier", default="build/bin/espalier")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    overhead(args)
    more_threads(args)
    loading(args)


if __name__ == "__main__":
    main()
