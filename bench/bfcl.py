"""Function calling: the Berkeley leaderboard's questions as .gen programs, beside the same model free and llama.cpp.

Usage: PYTHONPATH=build/python python3 bench/bfcl.py [--model smollm2] [--every 20] [--category simple_python ...]
                                                    [--temperature 0] [--plain] [--free] [--llama] [--show]

The data is BFCL v4 (ESPALIER_DATA, else ../shared/data): every Nth row of a category. Each row's function documents
become tools of a program of its own: dotted names, real keys, enums, nested objects, what may be left out. The model
writes one call for `simple` and `multiple`, one to eight for the parallel categories, and for `irrelevance` either one
to four or a text.
--plain asks for the calls in the plain form as well (`config { calls: "plain" }`), whatever the model's template has.
--free runs the same prompts with a plain text hole as well, and reads calls out of what was written. --llama runs them
under llama.cpp too, held to the JSON Schema of those calls by its own grammar, where this Python has llama_cpp.

Printed by category: accuracy (each expected call once, with acceptable arguments), the share of well-typed calls
(of the declared functions, types and enums), calls a second, and prompt tokens shared with earlier rows. Accuracy of
irrelevance is the share of questions that no call was made for; the others got an unwanted one.

`multi_turn_base`: whole conversations in one context, one to four calls a turn. The data has no such answers, and the
functions exist as documents alone: each turn's calls are answered with "ok", and what is counted is which functions of
the row's path the conversation called, in any order (accuracy: conversations that called all of them).
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
MULTI_TURN = "multi_turn_base"
CATEGORIES = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance", MULTI_TURN)
HOLES = {
    "simple_python": "",
    "multiple": "",
    "parallel": "[1..8]",
    "parallel_multiple": "[1..8]",
    "irrelevance": "[1..4] | string",
    MULTI_TURN: "[1..4]",
}

DOCUMENTS = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "TwitterAPI": "posting_api",
    "VehicleControlAPI": "vehicle_control",
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
gen talk_held(questions: string[]) {{
  for turn_of in questions {{
    user "${{turn_of}}"
    assistant "$[calls: ({tools})[1..4], max=200]"
    tool "ok"
  }}
}}
gen talk_free(questions: string[]) {{
  if len(questions) == 0 {{ assistant "$[calls: ({tools})[1..4], max=200]" }}
  for turn_of in questions {{
    user "${{turn_of}}"
    assistant "$[calls: string, max=200]"
    tool "ok"
  }}
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


# ---- the peer: llama.cpp, held to a JSON Schema


def json_schema(schema: Schema) -> Schema:
    kind = schema.get("type")
    if schema.get("enum"):
        return {"enum": schema["enum"]}
    if kind in ("dict", "object"):
        properties = schema.get("properties")
        if not properties:
            return {"type": "object"}
        return {
            "type": "object",
            "properties": {key: json_schema(value) for key, value in properties.items()},
            "required": schema.get("required") or [],
            "additionalProperties": False,
        }
    if kind in ("array", "tuple"):
        items = schema.get("items")
        return {"type": "array", "items": json_schema(items) if isinstance(items, dict) else {}}
    names = {"integer": "integer", "float": "number", "number": "number", "boolean": "boolean", "string": "string"}
    return {"type": names[str(kind)]} if kind in names else {}


class Peer:
    """llama.cpp on the same file, with the prompt that the program makes."""

    def __init__(self, path: str, threads: int) -> None:
        import llama_cpp
        from llama_cpp import llama_cpp as low

        defaults = low.llama_model_default_params

        def without_extra_buffers() -> Any:  # they crash where a machine shows AMX without granting it
            params = defaults()
            params.use_extra_bufts = False
            return params

        low.llama_model_default_params = without_extra_buffers
        llama_cpp.llama_model_default_params = without_extra_buffers
        self._grammar = llama_cpp.LlamaGrammar
        self._model = llama_cpp.Llama(path, n_ctx=8192, n_threads=threads, n_threads_batch=threads, verbose=False)

    def calls(self, prompt: str, functions: list[Schema], hole: str, temperature: float) -> list[Call]:
        one: Schema = {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        "name": {"const": function["name"]},
                        "arguments": json_schema({"type": "dict", **function["parameters"]}),
                    },
                    "required": ["name", "arguments"],
                    "additionalProperties": False,
                }
                for function in functions
            ]
        }
        schema = one
        if hole:
            low, high = hole.partition("]")[0][1:].split("..")
            schema = {
                "type": "array",
                "items": one,
                "minItems": 0 if "string" in hole else int(low),
                "maxItems": int(high),
            }
        grammar = self._grammar.from_json_schema(json.dumps(schema), verbose=False)
        ids = self._model.tokenize(prompt.encode(), add_bos=False, special=True)
        answer = self._model.create_completion(
            ids, max_tokens=400, temperature=temperature, grammar=grammar, repeat_penalty=1.0, seed=1
        )
        return calls_in(answer["choices"][0]["text"])


def peer_of(path: str, threads: int) -> Peer | None:
    try:
        return Peer(path, threads)
    except ImportError:
        print("llama.cpp is absent: pip install llama-cpp-python==0.3.36")
        return None


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
        self.wanted = self.found = 0  # functions of a conversation's path, and those that were called
        self.seconds = 0.0
        self.prompt = self.reused = 0  # tokens
        self.unwanted: int | None = None  # questions that got a call nobody wanted

    def add(self, calls: list[Call], functions: list[Schema], right: bool, seconds: float) -> None:
        self.rows += 1
        self.right += right
        self.calls += len(calls)
        self.typed += sum(well_typed(call, functions) for call in calls)
        self.seconds += seconds

    def line(self) -> str:
        typed = f"{100 * self.typed / self.calls:6.1f} %" if self.calls else "     - "
        path = f"  {100 * self.found / self.wanted:.0f} % of the paths' functions" if self.wanted else ""
        shared = f"  {100 * self.reused / self.prompt:.0f} % of prompt tokens shared" if self.prompt else ""
        unwanted = "" if self.unwanted is None else f"  {100 * self.unwanted / self.rows:.0f} % got an unwanted call"
        return (
            f"{100 * self.right / max(self.rows, 1):6.1f} % of {self.rows:3}  {typed} of {self.calls:4} calls  "
            f"{self.calls / max(self.seconds, 1e-9):6.2f} calls/s{shared}{path}{unwanted}"
        )

    def sharing(self, before: dict[str, float], after: dict[str, float]) -> None:
        self.prompt += int(after["prompt_tokens"] - before["prompt_tokens"])
        self.reused += int(after["reused_tokens"] - before["reused_tokens"])


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def single_turns(
    category: str, folder: Path, engine: espalier.Engine, peer: Peer | None, args: argparse.Namespace
) -> dict[str, Tally]:
    truth = {}
    if category != "irrelevance":
        path = folder / f"possible_answer/BFCL_v4_{category}.jsonl"
        truth = {row["id"]: row["ground_truth"] for row in rows_of(path)}
    tallies = {"held": Tally()}
    hole = HOLES[category]

    def judge(kind: str, row: dict[str, Any], calls: list[Call], start: float) -> None:
        seconds = time.perf_counter() - start
        right = not calls if category == "irrelevance" else correct(calls, truth[row["id"]])
        tally = tallies.setdefault(kind, Tally())
        tally.add(calls, row["function"], right, seconds)
        if category == "irrelevance":
            tally.unwanted = tally.rows - tally.right
        if args.show:
            print(("+ " if right else "- ") + row["id"], kind, json.dumps(calls, ensure_ascii=False))

    for row in rows_of(folder / f"BFCL_v4_{category}.jsonl")[:: args.every]:
        functions, question = row["function"], row["question"][0][-1]["content"]
        program = engine.compile(program_of(functions, hole), temperature=args.temperature, seed=1)
        before, start = engine.stats(), time.perf_counter()
        value = program.held(question=question)
        tallies["held"].sharing(before, engine.stats())
        judge("held", row, named(as_json(value), functions), start)
        if args.plain:
            plainly = engine.compile(
                'config { calls: "plain" }\n' + program_of(functions, hole), temperature=args.temperature, seed=1
            )
            start = time.perf_counter()
            judge("plain", row, named(as_json(plainly.held(question=question)), functions), start)
        if args.free:
            start = time.perf_counter()
            judge("free", row, calls_in(program.free(question=question)), start)
        if peer is not None:
            prompt = program.held.render(question=question).split("$[calls: ")[0]
            start = time.perf_counter()
            judge("llama.cpp", row, peer.calls(prompt, functions, hole, args.temperature), start)
    return tallies


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def named(value: Any, functions: list[Schema]) -> list[Call]:
    """Calls by the functions' own names."""
    if isinstance(value, str):
        return []  # a text instead of calls
    names = {f"t{index}": function["name"] for index, function in enumerate(functions)}
    made = [as_call(one) or ("", {}) for one in (value if isinstance(value, list) else [value])]
    return [(names.get(name, name), arguments) for name, arguments in made]


def conversations(folder: Path, engine: espalier.Engine, args: argparse.Namespace) -> dict[str, Tally]:
    tallies = {"held": Tally()}
    for row in rows_of(folder / f"BFCL_v4_{MULTI_TURN}.jsonl")[:: args.every]:
        functions = [
            one
            for name in row["involved_classes"]
            for one in rows_of(folder / f"multi_turn_func_doc/{DOCUMENTS[name]}.json")
            if one["name"] not in (row.get("excluded_function") or [])
        ]
        program = engine.compile(program_of(functions, HOLES[MULTI_TURN]), temperature=args.temperature, seed=1)
        questions = ["\n".join(message["content"] for message in turn) for turn in row["question"]]
        wanted = {one.split(".")[1] for one in row["path"]}
        for kind in ("held", "free") if args.free else ("held",):
            before, start = engine.stats(), time.perf_counter()
            calls: list[Call] = []
            turns = re.compile(r"turn_of\[\d+\]\.calls")
            for path, value, done in (program.talk_held if kind == "held" else program.talk_free).stream(
                questions=questions
            ):
                if done and turns.fullmatch(path):
                    calls += named(value, functions) if kind == "held" else calls_in(value)
            seconds = time.perf_counter() - start
            made = {name for name, _ in calls}
            tally = tallies.setdefault(kind, Tally())
            tally.add(calls, functions, wanted <= made, seconds)
            tally.sharing(before, engine.stats())
            tally.wanted += len(wanted)
            tally.found += len(wanted & made)
            if args.show:
                print(row["id"], kind, json.dumps(calls, ensure_ascii=False))
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--category", nargs="*", default=list(CATEGORIES), choices=CATEGORIES)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--llama", action="store_true")
    parser.add_argument("--show", action="store_true", help="print every row's calls")
    args = parser.parse_args()
    folder = data_folder()
    if not folder.is_dir():
        print(f"skipped: no data in {folder}")
        return 0
    try:
        engine = espalier.Engine(args.model, threads=args.threads)
    except espalier.Error as error:
        print(f"skipped: {error}")
        return 0
    peer = peer_of(engine.model_path, args.threads) if args.llama else None
    all_typed = True
    print(f"{args.model}, every {args.every}th row, temperature {args.temperature}")
    print(f"{'':28} accuracy  well-typed")
    for category in args.category:
        if category == MULTI_TURN:
            tallies = conversations(folder, engine, args)
        else:
            tallies = single_turns(category, folder, engine, peer, args)
        for kind, tally in tallies.items():
            print(f"{category:18} {kind:9} {tally.line()}", flush=True)
        all_typed = all_typed and tallies["held"].typed == tallies["held"].calls
    if not all_typed:
        print("FAILED: a call under the mask is not well typed")
    return 0 if all_typed else 1


if __name__ == "__main__":
    sys.exit(main())
