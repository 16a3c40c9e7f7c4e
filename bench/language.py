"""What the language costs beside its model: a choice among many labels, and the interpreter's own time.

Usage: PYTHONPATH=build/python python3 bench/language.py [--model smollm2] [--messages 20]

`select` over the 77 labels of banking77 (ESPALIER_DATA, else ../shared/data): tokens scored a message, beside the
unique tokens of their trie (the least there is) and one request a label. Then 32 programs at once: the CPU time of the
threads that interpret them, as a share of the run's wall time.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import espalier
from llama_peer import ROOT, data_folder

HEAD = "You keep the register of a village. " + " ".join(
    f"House {n} stands at lane {n * 7 % 31} and has {n % 5 + 1} rooms." for n in range(20)
)
VISITS = """
record Visit { house: int(0..99), rooms: int(1..9), warm: bool, note: string(1..60) }
gen visit(head: string, name: string) -> Visit {
  system "${head}"
  for round in 1..2 {
    user "${name} asks for a house, round ${round}. Name one in a line."
    assistant "$[said: line, max=24]"
  }
  user "As JSON."
  retry 2 {
    assistant "$[found: Visit, max=80]"
    require found.rooms > 0, "it has a room"
  }
  return found
}
"""


def ids(text: str, model: str) -> list[int]:
    command = [str(ROOT / "build/bin/espalier"), "tokenize", "--json", "--text", text, "--model", model]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["ids"]


def choice(engine: espalier.Engine, args: argparse.Namespace, folder: Path) -> None:
    labels = json.loads((folder / "banking77_categories.json").read_text())
    cases = ", ".join(f"l{i} as {json.dumps(one.replace('_', ' '))}" for i, one in enumerate(labels))
    program = engine.compile(f"""
enum Label {{ {cases} }}
gen label(message: string) -> Label {{
  system "Say what the customer of a bank asks about, in a few words."
  user "${{message}}"
  assistant "$[label: select Label]"
  return label
}}
""")
    with (folder / "banking77_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:: len(rows) // args.messages][: args.messages]
    spelled = [ids(one.replace("_", " "), args.model) for one in labels]
    # Each label ends with the end of the turn, one token more.
    trie = {tuple(one[:n]) for one in spelled for n in range(1, len(one) + 1)}
    least, apart = len(trie) + len(spelled), sum(map(len, spelled)) + len(spelled)
    before, start = engine.stats(), time.perf_counter()
    right = 0
    for row in rows:
        right += program.label(message=row["text"]).replace(" ", "_") == row["category"]
    seconds = time.perf_counter() - start
    cost = (engine.stats()["select_tokens"] - before["select_tokens"]) / len(rows)
    print(f"select: {len(labels)} labels, {cost:.0f} tokens scored a message; the trie has {least} "
          f"({cost / least:.2f} x), one request a label {apart} ({cost / apart:.2f} x)")  # fmt: skip
    print(f"        {len(rows) / seconds:.1f} messages a second one after the other, {right} of {len(rows)} right")


def on_cpu(name: str) -> float:
    """Seconds on a CPU of this process's threads of that name."""
    total = 0
    for thread in Path("/proc/self/task").iterdir():
        try:
            if (thread / "comm").read_text().strip() == name:
                total += int((thread / "schedstat").read_text().split()[0])
        except FileNotFoundError:  # it has ended
            continue
    return total / 1e9


def share(engine: espalier.Engine) -> None:
    program: Any = engine.compile(VISITS, temperature=0.7, seed=1)

    async def all_of_them() -> None:
        await asyncio.gather(*(program.visit.aio(head=HEAD, name=f"Guest {i}") for i in range(32)))

    before, start = on_cpu("programs"), time.perf_counter()
    asyncio.run(all_of_them())
    seconds, own = time.perf_counter() - start, on_cpu("programs") - before
    print(f"interpreter: 32 programs at once took {seconds:.2f} s, their own threads {1000 * own:.1f} ms of it "
          f"({100 * own / seconds:.2f} %)")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    engine = espalier.Engine(args.model, threads=args.threads)
    folder = data_folder() / "questions"
    if (folder / "banking77_categories.json").exists():
        choice(engine, args, folder)
    else:
        print(f"select: no data in {folder}; set ESPALIER_DATA. Nothing measured.")
    share(engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
