"""Eight programs with a common prefix of about 1,000 tokens: what is computed, and that sharing changes no text.

Usage: PYTHONPATH=build/python python3 bench/sharing.py [--model smollm2] [--threads 2]

The limit it is compared with: every distinct prompt token computed once.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time

import espalier

PROGRAM = """
gen tell(head: string, name: string) -> string {
  system "${head}"
  user "Who is ${name}?"
  assistant "$[text: string, max=24]"
  return text
}
"""
NAMES = ["Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana"]
HEAD = "You keep the register of a village. " + " ".join(
    f"House {n} stands at lane {n * 7 % 31} and has {n % 5 + 1} rooms." for n in range(56)
)


def run(args: argparse.Namespace, cache: bool, temperature: float, order: list[str], together: bool) -> tuple:
    engine = espalier.Engine(args.model, threads=args.threads, cache=cache)
    program = engine.compile(PROGRAM, temperature=temperature, seed=5)
    texts: dict[str, str] = {}

    def one(name: str) -> None:
        texts[name] = program.tell(head=HEAD, name=name)

    start = time.perf_counter()
    if together:
        threads = [threading.Thread(target=one, args=(name,)) for name in order]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        for name in order:
            one(name)
    return texts, engine.stats(), time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    same = True
    for temperature in (0.0, 0.8):
        shared, stats, took = run(args, True, temperature, NAMES, True)
        apart, apart_stats, apart_took = run(args, False, temperature, NAMES, True)
        backwards, _, _ = run(args, True, temperature, NAMES[::-1], False)
        one_thread, _, _ = run(argparse.Namespace(model=args.model, threads=1), True, temperature, NAMES, True)
        same = same and shared == apart == backwards == one_thread
        length = stats["prompt_tokens"] / len(NAMES)
        print(f"sharing at temperature {temperature}: 8 programs of {length:.0f} prompt tokens")
        print(f"  computed {stats['computed_tokens']} with the cache, {apart_stats['computed_tokens']} without; "
              f"recomputed {stats['recomputed_tokens']}; {took:.2f} s against {apart_took:.2f} s "
              f"({apart_took / took:.2f} x)")  # fmt: skip
        print(f"  texts identical with the cache on and off, alone in reverse order, with 1 thread: "
              f"{shared == apart == backwards == one_thread}")  # fmt: skip
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
