"""Function calling: the Berkeley leaderboard's questions of one turn as .gen programs, beside the same model free.

Usage: PYTHONPATH=build/python python3 bench/bfcl.py [--model smollm2] [--every 20] [--category simple_python ...]
                                                    [--temperature 0] [--free] [--show]

The data is BFCL v4 (ESPALIER_DATA, else ../shared/data): every Nth row of a category. Each row's function documents
become tools of a program of its own: dotted names, real keys, enums, nested objects, what may be left out. The model
writes one call for `simple` and `multiple`, one to eight for the parallel categories, none to four for `irrelevance`.
--free runs the same prompts with a plain text hole as well, and reads calls out of what was written.

Printed by category: accuracy (each expected call once, with acceptable arguments), the share of well-typed calls
(of the declared functions, types and enums), prompt tokens shared, and calls a second. For irrelevance, accuracy is the
share of questions that no call was made for.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import espalier

ROOT = Path(__file__).resolve().parent.parent
CATEGORIES = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance")
HOLES = {
    "simple_python": "",
    "multiple": "",
    "parallel": "[1..8]",
    "parallel_multiple": "[1..8]",
    "irrelevance": "[0..4]",
}
Schema = dict[str, Any]
Call = tuple[str, dict[str, Any]]


def data_folder() -> Path:
    return Path(os.environ.get("ESPALIER_DATA", ROOT.parent / "shared" / "data")) / "bfcl"


# ---- a row as a program


def quoted(text: str) -> str:
    return '"' + json.dumps(text, ensure_ascii=False)[1:-1].replace("$", "\\$") + '"'


def documented(text: str | None) -> str:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return "".join(f"  /// {line}\n" for line in lines)


def type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if schema.get("enum"):
        options = [quoted(one) if isinstance(one, str) else json.dumps(one) for one in schema["enum"]]
        return "(" + " | ".join(dict.fromkeys(options)) + ")"
    if kind in ("dict", "object"):
        properties = schema.get("properties")
        return record_of(schema) if properties else "map(json)"
    if kind in ("array", "tuple"):
        items = schema.get("items")
        return (type_of(items) if isinstance(items, dict) and items.get("type") else "json") + "[]"
    return {"integer": "int", "float": "float", "number": "float", "boolean": "bool", "string": "string"}.get(
        str(kind), "json"
    )


def fields_of(schema: Schema) -> Iterator[str]:
    required = schema.get("required") or []
    for index, (key, value) in enumerate((schema.get("properties") or {}).items()):
        optional = "" if key in required else "?"
        yield f"{documented(value.get('description'))}  p{index} as {quoted(key)}{optional}: {type_of(value)}"


def record_of(schema: Schema) -> str:
    return "{\n" + ",\n".join(fields_of(schema)) + "\n}"


def program_of(functions: list[Schema], hole: str) -> str:
    parts = []
    for index, function in enumerate(functions):
        parts.append(
            documented(function.get("description")).replace("  ///", "///")
            + f"tool t{index} as {quoted(function['name'])}(\n"
            + ",\n".join(fields_of(function["parameters"]))
            + "\n)\n"
        )
    tools = " | ".join(f"t{index}" for index in range(len(functions)))
    calls = f"({tools}){hole}" if hole else tools
    parts.append(f"""
gen held(question: string) -> json {{
  user "${{question}}"
  assistant "$[calls: {calls}, max=400]"
  return json(calls)
}}
gen free(question: string) -> string {{
  user "${{question}}"
  // Never written: it is there so that the same tools are declared.
  if len(question) == 0 {{ assistant "$[calls: {calls}, max=400]" }}
  assistant "$[text: string, max=400]"
  return text
}}
""")
    return "".join(parts)


# ---- reading calls


def as_call(value: object) -> Call | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    return (value["name"], arguments) if isinstance(arguments, dict) else None


def calls_in(text: str) -> list[Call]:
    """Every JSON object with a name in what a model wrote freely, wherever it stands."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := text.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            at += 1
            continue
        if (call := as_call(value)) is not None:
            found.append(call)
    return found


def fits(value: Any, schema: Schema) -> bool:
    kind = schema.get("type")
    if schema.get("enum"):
        return value in schema["enum"]
    checks: dict[str, Callable[[Any], bool]] = {
        "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
        "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
        "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
        "boolean": lambda v: isinstance(v, bool),
        "string": lambda v: isinstance(v, str),
    }
    if kind in checks:
        return checks[str(kind)](value)
    if kind in ("array", "tuple"):
        items = schema.get("items")
        return isinstance(value, list) and (not isinstance(items, dict) or all(fits(one, items) for one in value))
    if kind in ("dict", "object"):
        return isinstance(value, dict) and (not schema.get("properties") or members_fit(value, schema))
    return True


def members_fit(value: dict[str, Any], schema: Schema) -> bool:
    properties = schema.get("properties") or {}
    return all(key in properties and fits(one, properties[key]) for key, one in value.items()) and all(
        key in value for key in schema.get("required") or []
    )


def well_typed(call: Call, functions: list[Schema]) -> bool:
    return any(call[0] == one["name"] and members_fit(call[1], one["parameters"]) for one in functions)


# ---- scoring


def plain(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"[ ,./\-_*^'\"]", "", value).lower()
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


def acceptable(value: Any, options: list[Any]) -> bool:
    for option in options:
        if isinstance(option, dict) and isinstance(value, dict):
            # Inside an object each member has its own list of acceptable values.
            if all(key in option for key in value) and all(
                (key in value and acceptable(value[key], wanted if isinstance(wanted, list) else [wanted]))
                or (key not in value and "" in (wanted if isinstance(wanted, list) else [wanted]))
                for key, wanted in option.items()
            ):
                return True
        elif isinstance(option, list) and isinstance(value, list) and option and isinstance(option[0], dict):
            if len(option) == len(value) and all(acceptable(v, [o]) for v, o in zip(value, option, strict=True)):
                return True
        elif isinstance(value, bool) is isinstance(option, bool) and plain(value) == plain(option):
            return True
    return False


def answers(call: Call, expected: dict[str, dict[str, list[Any]]]) -> bool:
    ((name, wanted),) = expected.items()
    if call[0] != name or any(key not in wanted for key in call[1]):
        return False
    return all(
        acceptable(call[1][key], options) if key in call[1] else "" in options for key, options in wanted.items()
    )


def correct(calls: list[Call], expected: list[dict[str, dict[str, list[Any]]]]) -> bool:
    """Each expected call once, in any order (they are few: the first that fits is taken)."""
    left = list(calls)
    for one in expected:
        match = next((call for call in left if answers(call, one)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


class Tally:
    def __init__(self) -> None:
        self.rows = self.right = self.calls = self.typed = 0
        self.seconds = 0.0

    def add(self, calls: list[Call], functions: list[Schema], right: bool, seconds: float) -> None:
        self.rows += 1
        self.right += right
        self.calls += len(calls)
        self.typed += sum(well_typed(call, functions) for call in calls)
        self.seconds += seconds

    def line(self) -> str:
        typed = f"{100 * self.typed / self.calls:6.1f} %" if self.calls else "     - "
        return (
            f"{100 * self.right / max(self.rows, 1):6.1f} %  {typed} of {self.calls:4} calls  "
            f"{self.calls / max(self.seconds, 1e-9):6.2f} calls/s"
        )


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--category", nargs="*", default=list(CATEGORIES), choices=CATEGORIES)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--show", action="store_true", help="print every row's calls")
    args = parser.parse_args()
    folder = data_folder()
    if not folder.is_dir():
        print(f"skipped: no data in {folder}")
        return 0
    engine = espalier.Engine(args.model, threads=args.threads)
    all_typed = True
    print(f"{args.model}, every {args.every}th row, temperature {args.temperature}")
    print(f"{'':28} accuracy  well-typed")
    for category in args.category:
        truth = {}
        if category != "irrelevance":
            truth = {
                row["id"]: row["ground_truth"] for row in rows_of(folder / f"possible_answer/BFCL_v4_{category}.jsonl")
            }
        held, free = Tally(), Tally()

        def judge(tally: Tally, row: dict[str, Any], calls: list[Call], start: float) -> None:
            expected = row.get("ground_truth")
            right = not calls if expected is None else correct(calls, expected)
            tally.add(calls, row["function"], right, time.perf_counter() - start)
            if args.show:
                print(("+ " if right else "- ") + row["id"], json.dumps(calls, ensure_ascii=False))

        before = engine.stats()
        for row in rows_of(folder / f"BFCL_v4_{category}.jsonl")[:: args.every]:
            functions, question = row["function"], row["question"][0][-1]["content"]
            if category != "irrelevance":
                row["ground_truth"] = truth[row["id"]]
            program = engine.compile(program_of(functions, HOLES[category]), temperature=args.temperature, seed=1)

            start = time.perf_counter()
            value = program.held(question=question)
            value = json.loads(value) if isinstance(value, str) else value
            made = [as_call(one) or ("", {}) for one in (value if isinstance(value, list) else [value])]
            names = {f"t{index}": function["name"] for index, function in enumerate(functions)}
            judge(held, row, [(names.get(name, name), arguments) for name, arguments in made], start)
            if args.free:
                start = time.perf_counter()
                judge(free, row, calls_in(program.free(question=question)), start)
        after = engine.stats()
        prompt = after["prompt_tokens"] - before["prompt_tokens"]
        shared = (after["reused_tokens"] - before["reused_tokens"]) / max(prompt, 1)
        print(f"{category:18} held      {held.line()}  {100 * shared:.0f} % of prompt tokens shared")
        if args.free:
            print(f"{category:18} free      {free.line()}")
        all_typed = all_typed and held.typed == held.calls
    if not all_typed:
        print("FAILED: a call under the mask is not well typed")
    return 0 if all_typed else 1


if __name__ == "__main__":
    sys.exit(main())
