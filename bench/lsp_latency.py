"""A program of a thousand lines: checked from the command line, and edited in the middle in the language server.

python3 bench/lsp_latency.py build/bin/espalier [--lines 1000] [--keys 200]

No two of its record types are alike. Printed: `check` as a process of its own; opening it in the server; from a
keystroke to its diagnostics while a text is typed that leaves the program whole, while a type is changed (whole, too,
but its automaton is a new one each time), and while a declaration is typed, which is an error until it is complete.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from lsp_session import Client

BLOCK = """\
enum Mood{n} {{ glad, sad, other{n} }}
/// What a letter asks for.
record Request{n} {{
  subject: line
  mood: Mood{n}
  amounts: float(0..{n})[0..5]
  note: string(1..{most})?
}}

gen read{n}(letter: string, strict: bool) -> Request{n} {{
  system "You read letters. Answer with JSON."
  user "${{letter}}"
  retry 2 {{
    assistant "$[request: Request{n}, max=300]"
    require not strict or len(request.amounts) > 0, "name an amount"
  }}
  if request.mood == Mood{n}.glad {{ user "Good: ${{request.subject}}" }}
  return request
}}

"""
TYPED = 'gen typed(a: string) -> line {\n  user "${a}"\n  assistant "$[b: line]"\n  return b\n}\n'


def report(what: str, times: Iterable[float]) -> None:
    ms = sorted(1000 * one for one in times)
    print(f"{what:44} median {ms[len(ms) // 2]:5.1f} ms, p99 {ms[int(len(ms) * 0.99)]:5.1f}, longest {ms[-1]:5.1f}")


def check_times(program: str, text: str, runs: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "letters.gen"
        path.write_text(text)
        times = []
        for _ in range(runs):
            begin = time.perf_counter()
            subprocess.run([program, "check", path], check=True, capture_output=True)
            times.append(time.perf_counter() - begin)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=200)
    options = parser.parse_args()
    blocks = options.lines // BLOCK.count("\n")
    pieces = [BLOCK.format(n=n, most=200 + n) for n in range(1, blocks + 1)]
    before, after = "".join(pieces[: blocks // 2]), "".join(pieces[blocks // 2 :])
    print(f"{(before + after).count(chr(10))} lines; the whole text is sent at each of {options.keys} keystrokes")
    report("check, the process and all", check_times(options.program, before + after, 20))

    client = Client(options.program)

    def timed(text: str, sound: bool) -> float:
        begin = time.perf_counter()
        found = client.write(text)
        seconds = time.perf_counter() - begin
        if sound and found:
            raise SystemExit(f"the program should have been whole: {found[0]}")
        return seconds

    report("opened", [timed(before + after, True)])
    words = "Speak of every matter once, in the order of the letter. " * (1 + options.keys // 50)
    typing = 'gen typed(a: string) -> line {{\n  user "{} ${{a}}"\n  assistant "$[b: line]"\n  return b\n}}\n'
    report(
        "a text is typed, no errors",
        [timed(before + typing.format(words[:key]) + after, True) for key in range(1, options.keys + 1)],
    )
    changed = (
        'record Typed {{ a: string(1..{}), b: int(0..{})[] }}\ngen typed() -> Typed {{ return {{ a: "", b: [] }} }}\n'
    )
    changed += 'gen asked() -> Typed {{\n  assistant "$[typed: Typed]"\n  return typed\n}}\n'
    report(
        "a type is changed, no errors",
        [timed(before + changed.format(300 + key, key) + after, True) for key in range(1, options.keys + 1)],
    )
    report(
        "a declaration is typed, with errors",
        [timed(before + TYPED[: key % len(TYPED)] + after, False) for key in range(options.keys)],
    )
    client.end()


if __name__ == "__main__":
    main()
