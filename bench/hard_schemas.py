"""Rows for maskbench that are made to hurt: `python3 bench/hard_schemas.py > hard.jsonl`.

Each row is one schema with a valid and an invalid text: enumerations and alternatives by the
thousand, tool sets, calls whose arguments come before the name, deep nests, unique items, keys
under patterns and counts, long strings under a pattern, patterns that exclude each other.
The rows hold no token ids: maskbench spells the texts with the longest tokens.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from hard_strings import Row, conditions_by_patterns, strings, unfinished_keys

WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "pi",
]


def name(rng: random.Random, words: int = 2) -> str:
    return "_".join(rng.choice(WORDS) for _ in range(words)) + str(rng.randrange(100))


def parameter(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        [
            {"type": "string", "description": "a text"},
            {"type": "string", "enum": [name(rng) for _ in range(6)]},
            {"type": "integer", "minimum": 0, "maximum": 500},
            {"type": "number"},
            {"type": "boolean"},
            {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 8},
            {"type": "string", "format": "date"},
        ]
    )


def example(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][-1]
    if schema.get("format") == "date":
        return "2024-02-29"
    return {"string": "some text", "integer": 42, "number": 1.5, "boolean": True}.get(schema["type"], ["one", "two"])


def tools(count: int) -> Row:
    rng = random.Random(count)
    branches, calls = [], []
    for i in range(count):
        parameters = {name(rng): parameter(rng) for _ in range(rng.randrange(1, 8))}
        required = [k for k in parameters if rng.random() < 0.6]
        tool = f"{name(rng)}_{i}"
        branches.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool},
                    "arguments": {
                        "type": "object",
                        "properties": parameters,
                        "required": required,
                        "additionalProperties": False,
                    },
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
        calls.append({"name": tool, "arguments": {k: example(p) for k, p in parameters.items()}})
    wrong = {"name": calls[0]["name"], "arguments": {"nobody": 1}}
    return f"tools_{count}", {"anyOf": branches}, [calls[0], calls[-1]], [wrong]


def calls(count: int, *, name_last: bool) -> Row:
    branches = [
        {
            "type": "object",
            "properties": {
                "name": {"const": f"tool{i}"},
                "arguments": {
                    "type": "object",
                    "properties": {f"a{i}": {"type": "integer"}, "text": {"type": "string"}},
                    "required": [f"a{i}"],
                    "additionalProperties": False,
                },
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for i in range(count)
    ]

    def call(tool: int, argument: int) -> dict[str, Any]:
        members = [("name", f"tool{tool}"), ("arguments", {f"a{argument}": 1, "text": "t"})]
        return dict(reversed(members) if name_last else members)

    kind = f"oneof_{count}_calls" + ("_name_last" if name_last else "")
    return kind, {"oneOf": branches}, [call(count - 1, count - 1)], [call(count - 1, 1)]


def rows() -> Iterator[Row]:
    rng = random.Random(0)
    for count in (10, 100, 500):
        yield tools(count)
    for count in (1000, 2000):
        yield calls(count, name_last=False)
        yield calls(count, name_last=True)
    yield from strings()
    many = sorted({name(rng, 3) for _ in range(10_000)})
    yield "enum_10000", {"enum": many}, [many[0], many[-1]], ["nobody"]
    yield (
        "anyof_10000_consts",
        {"anyOf": [{"const": w} for w in many]},
        [many[5], many[-2]],
        ["nobody"],
    )
    yield (
        "oneof_10000_consts",
        {"oneOf": [{"const": w} for w in many]},
        [many[5], many[-2]],
        ["nobody"],
    )
    nest: Any = {"type": "integer"}
    value: Any = 1
    for i in range(30):
        nest = {
            "type": "object",
            "properties": {f"level{i}": nest},
            "required": [f"level{i}"],
            "additionalProperties": False,
        }
        value = {f"level{i}": value}
    yield "nest_30", nest, [value], [{"level29": 1}]
    yield (
        "recursive_list",
        {
            "$ref": "#/$defs/t",
            "$defs": {
                "t": {
                    "type": "object",
                    "properties": {
                        "value": {"type": "string"},
                        "children": {"type": "array", "items": {"$ref": "#/$defs/t"}},
                    },
                    "required": ["value"],
                }
            },
        },
        [{"value": "a", "children": [{"value": "b"}, {"value": "c", "children": []}]}],
        [{"value": 1}],
    )
    unique = [f"item number {i}" for i in range(12)]
    yield (
        "unique_strings",
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        [unique],
        [["a", "b", "a"]],
    )
    yield (
        "unique_enum",
        {"type": "array", "items": {"enum": many[:100]}, "uniqueItems": True},
        [many[:10]],
        [[many[0], many[0]]],
    )
    yield (
        "pattern_properties",
        {
            "type": "object",
            "patternProperties": {"^x-": {"type": "string"}, "_id$": {"type": "integer"}},
            "properties": {"name": {"type": "string"}},
            "additionalProperties": {"type": "number"},
        },
        [{"name": "n", "x-one": "two words", "user_id": 17, "other": 2.5}],
        [{"user_id": "x"}],
    )
    yield (
        "property_names",
        {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": "string", "pattern": "^[^@ ]+@[^@ ]+$"},
        },
        [{"alpha_beta": "someone@example.com", "Gamma": "x@y"}],
        [{"a b": "x@y"}],
    )
    yield (
        "long_pattern",
        {"type": "string", "pattern": "^[a-z ]+$", "minLength": 10, "maxLength": 5000},
        ["the quick brown fox jumps over the lazy dog " * 5],
        ["The"],
    )
    yield (
        "length_and_pattern",
        {"type": "string", "pattern": "^(foo|bar|.*baz).*[0-9]{2,5}$", "maxLength": 200},
        ["something with baz inside and then 1234"],
        ["something"],
    )
    yield (
        "any_of_strings",
        {
            "anyOf": [
                {"type": "string", "maxLength": 30},
                {"type": "string", "pattern": "^https?://.+"},
                {"type": "string", "format": "email"},
                {"enum": many[:50]},
            ]
        },
        ["https://example.com/a/rather/long/path?with=query", many[3]],
        ["x" * 40],
    )
    overlap = [
        {
            "type": "object",
            "properties": {f"p{i}": {"type": "string"}, f"q{i}": {"type": "integer"}},
            "required": [f"p{i}"],
        }
        for i in range(40)
    ]
    yield "anyof_40_open_objects", {"anyOf": overlap}, [{"p3": "text", "z": 1}], [{"z": 1}]
    wide = {f"{name(rng)}_{i}": parameter(rng) for i in range(300)}
    yield (
        "properties_300",
        {"type": "object", "properties": wide, "required": list(wide)[:20]},
        [{k: example(p) for k, p in list(wide.items())[:30]}],
        [{}],
    )
    yield (
        "properties_300_closed",
        {"type": "object", "properties": wide, "additionalProperties": False},
        [{k: example(p) for k, p in list(wide.items())[:30]}],
        [{"nobody": 1}],
    )
    yield parameters()
    for count in (12, 30):
        yield events(count)
    yield names_together(40, 0)
    yield names_together(150, 100)
    yield conditions_by_patterns(20)
    for count in (10, 100):
        yield ladder(count)
    yield ranges(100)
    yield bands(100)
    for kind in ("ranges", "open_ranges", "codes"):
        yield one_of(kind, 40)
    yield from (unfinished_keys(count) for count in (2, 5))
    yield (
        "unique_numbers",
        {"items": {"type": "number"}, "uniqueItems": True},
        [[1.5 * i for i in range(40)]],
        [[1, 1.0]],
    )
    items = [{"id": i, "name": name(rng), "at": {"x": i / 2, "y": 1.5}} for i in range(40)]
    yield "unique_objects", {"items": {"type": "object"}, "uniqueItems": True}, [items], [items[:3] + items[:1]]
    yield people(rng)
    yield from lists_of_some(rng)
    yield form(rng, 300)
    yield strict_form(1000)
    yield long_map(3000)
    yield conditions(300)
    yield variables(300)
    yield inputs(24)
    yield materials(40)


def conditions(count: int) -> Row:
    """Objects of very many kinds: what a kind asks for stands under a condition of its own."""
    schema = {
        "type": "object",
        "properties": {"kind": {"type": "string"}, "name": {"type": "string"}, "settings": {"type": "object"}},
        "required": ["kind", "settings"],
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": f"vendor.service.kind{i}"}}},
                "then": {"properties": {"settings": {"required": [f"option{i}"]}}},
            }
            for i in range(count)
        ],
    }
    valid = [{"kind": "vendor.service.kind7", "settings": {"option7": 1}, "name": "x"}, {"kind": "?", "settings": {}}]
    return f"conditions_{count}", schema, valid, [{"kind": "vendor.service.kind7", "settings": {"option8": 1}}]


def variables(count: int) -> Row:
    """Very many names, all of them under a pattern, beside keys of which it alone says something."""
    schema = {
        "type": "object",
        "properties": {f"SERVICE_OPTION_{i}": {"enum": ["0", "1"]} for i in range(count)},
        "propertyNames": {"pattern": "^[A-Z_][A-Z0-9_]*$"},
        "additionalProperties": {"type": "string"},
    }
    valid = [{(f"SERVICE_OPTION_{i}" if i % 4 else f"OTHER_{i}"): "1" for i in range(0, count, 9)}]
    return f"variables_{count}", schema, valid, [{"lower": "1"}, {"SERVICE_OPTION_1": "2"}]


def inputs(count: int) -> Row:
    """Choices inside a choice, none of which says that it is an object."""
    text = {"type": "string"}
    kinds = [
        {
            "properties": {"type": {"const": f"Input{i}"}, "name": text, "label": text, f"of{i}": {"type": "integer"}},
            "required": ["type", "name"],
            "additionalProperties": False,
        }
        for i in range(count)
    ]
    groups = [
        {
            "type": "object",
            "properties": {"type": {"const": kind}, "name": text, "items": {"items": {"$ref": "#"}}},
            "required": ["type"],
            "additionalProperties": False,
        }
        for kind in ("Set", "Group", "List")
    ]
    schema = {"$defs": {"inputs": {"oneOf": kinds}}, "oneOf": [{"$ref": "#/$defs/inputs"}, *groups]}
    one = {"name": "a", "label": "b", "of7": 3, "type": "Input7"}
    return "inputs_in_choices", schema, [{"name": "g", "items": [one, one], "type": "Set"}], [{**one, "type": "Input8"}]


def materials(count: int) -> Row:
    """Conditions on a member beside very many that must all come, some of which they type."""
    lists = [f"list{i}" for i in range(5)]
    names = [*lists, *(f"field{i}" for i in range(count)), "dependent"]
    properties = {**{key: {"type": "array"} for key in lists}, "dependent": {"type": "boolean"}}
    conditions = [
        {
            "if": {"properties": {"dependent": {"const": dependent}}},
            "then": {"properties": {key: {"minItems": 1, **most} for key in lists}},
        }
        for dependent, most in ((False, {"maxItems": 1}), (True, {}))
    ]
    schema = {
        "type": "object",
        "properties": {**{key: {"type": "integer"} for key in names}, **properties},
        "required": names,
        "additionalProperties": False,
        "allOf": conditions,
    }
    text = {key: ([1] if key in lists else 1) for key in names[:-1]}
    wrong = {**text, "list0": [1, 2], "dependent": False}
    return f"conditions_beside_{count}", schema, [{**text, "list0": [1, 2], "dependent": True}], [wrong]


def form(rng: random.Random, fields: int) -> Row:
    """Very many members that must all come, in another order than declared."""
    names = [f"field_{i}" for i in range(fields)]
    schema = {"type": "object", "properties": {key: {"type": "integer"} for key in names}, "required": names}
    text = {key: rng.choice([1, 22, 333]) for key in rng.sample(names, fields)}
    return f"required_{fields}_shuffled", schema, [text], [{key: text[key] for key in names[1:]}]


def strict_form(fields: int) -> Row:
    """The same with nothing else beside them, the last one first."""
    kinds = [("string", "a"), ("integer", 7), ("boolean", True)]
    names = [f"field_{i}" for i in range(fields)]
    properties = {key: {"type": kinds[i % 3][0]} for i, key in enumerate(names)}
    schema = {"type": "object", "properties": properties, "required": names, "additionalProperties": False}
    text = {key: kinds[i % 3][1] for i, key in reversed(list(enumerate(names)))}
    return f"required_{fields}_reversed", schema, [text], [{**text, "other": 1}]


def long_map(members: int) -> Row:
    """A map of very many members, of which each may stand but once."""
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    text = {f"key {i * 7919 % 1000003}": i for i in range(members)}
    return f"map_{members}", schema, [text], [{**text, "one": "more"}]


def lists_of_some(rng: random.Random) -> Iterator[Row]:
    """Items that must differ, or must not all, in arrays that ask for more of some."""
    text = {"type": "string"}
    free = [f"a note of {name(rng)}" for _ in range(6)]
    differ = {"type": "array", "uniqueItems": True}
    some = {**differ, "items": text, "contains": {"enum": WORDS[:3]}, "minContains": 2}
    yield "unique_with_some", some, [[*free, "alpha", "gamma"]], [[*free, "alpha"], [*free, "alpha", "alpha"]]
    few = {**differ, "contains": {"enum": ["alpha", "beta", 1]}, "maxContains": 2}
    yield "unique_with_few", few, [[*free, 2, "beta", {"a": 1}, 1]], [["alpha", "beta", 1], ["alpha", *free, free[0]]]
    begun = {**differ, "prefixItems": [text, text], "items": text, "contains": {"pattern": "^x-"}}
    yield "unique_begun", begun, [[*free, "x-1"]], [free, ["x-1", "x-1"]]
    repeats = {"type": "array", "items": text, "not": {"uniqueItems": True}, "contains": {"const": "pi"}}
    yield "not_unique", repeats, [[*free, "pi", free[2]]], [[*free, "pi"], [*free, free[0]]]


def people(rng: random.Random) -> Row:
    """Objects that must differ, with lists that must."""
    text = {"type": "string"}
    code = {"type": "string", "pattern": "^[0-9]{5}$"}
    person = {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "name": text,
            "tags": {"type": "array", "items": text, "uniqueItems": True},
            "address": {"type": "object", "properties": {"city": text, "zip": code}},
        },
        "required": ["id", "name"],
        "additionalProperties": False,
    }
    people = [
        {
            "id": i,
            "name": name(rng),
            "tags": rng.sample(WORDS, 3),
            "address": {"city": rng.choice(WORDS), "zip": str(rng.randrange(10000, 99999))},
        }
        for i in range(60)
    ]
    return "unique_people", {"items": person, "uniqueItems": True}, [people], [people[:3] + people[:1]]


def parameters() -> Row:
    """Conditions on a member beside members that only some of them know (OpenAPI's parameters)."""

    def where(place: str, then: dict[str, Any]) -> dict[str, Any]:
        return {"if": {"properties": {"in": {"const": place}}, "required": ["in"]}, "then": then}

    parameter = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "in": {"enum": ["query", "path", "header"]},
            "required": {"type": "boolean"},
            "schema": {"type": ["object", "boolean"]},
            "content": {"type": "object", "minProperties": 1, "maxProperties": 1},
        },
        "required": ["name", "in"],
        "oneOf": [{"required": ["schema"]}, {"required": ["content"]}],
        **where("query", {"properties": {"allowEmptyValue": {"type": "boolean"}}}),
        "dependentSchemas": {
            "schema": {
                "properties": {"style": {"type": "string"}, "explode": {"type": "boolean"}},
                "allOf": [
                    where(
                        "path",
                        {
                            "properties": {"style": {"enum": ["matrix", "simple"]}, "required": {"const": True}},
                            "required": ["required"],
                        },
                    ),
                    where("header", {"properties": {"style": {"const": "simple"}}}),
                ],
            }
        },
        "patternProperties": {"^x-": True},
        "unevaluatedProperties": False,
    }
    valid = [
        {"name": "q", "in": "query", "schema": True, "allowEmptyValue": True, "style": "form"},
        {"schema": {}, "x-note": 1, "required": True, "in": "path", "name": "p", "style": "matrix"},
    ]
    invalid = [{"name": "p", "in": "path", "schema": True}, {"name": "h", "in": "header", "explode": True}]
    return "parameters_by_place", {"type": "array", "items": parameter}, [valid], [[i] for i in invalid]


def names_together(count: int, least: int) -> Row:
    """Which members come is said of them together: each asks for two others, or so many must come."""
    names = [f"property_{i}" for i in range(count)]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {each: {"type": "string"} for each in names},
        "additionalProperties": False,
    }
    few = dict.fromkeys(names[: count // 2], "x")
    if least:
        schema["minProperties"] = least
        return f"names_{least}_of_{count}", schema, [dict.fromkeys(names, "x")], [few]
    schema["dependentRequired"] = {
        each: [names[(i * 7 + 3) % count], names[(i * 11 + 5) % count]] for i, each in enumerate(names)
    }
    return f"names_that_ask_{count}", schema, [dict.fromkeys(names, "x")], [few]


def ladder(count: int) -> Row:
    """Conditions by minima of one member: each step asks for a member more."""
    steps = [
        {
            "if": {"properties": {"age": {"minimum": i * 5}}, "required": ["age"]},
            "then": {"required": [f"l{i}"]},
        }
        for i in range(count)
    ]
    valid = [{"age": 12, "l0": 1, "l1": 1, "l2": 1}, {"l2": 1, "l0": 1, "l1": 1, "age": 12}]
    return f"ladder_{count}", {"type": "object", "allOf": steps}, valid, [{"age": 12, "l0": 1}]


def ranges(count: int) -> Row:
    """Branches told apart by the range of one number, which comes first or last."""
    branches = [
        {
            "properties": {"age": {"minimum": i * 5, "maximum": i * 5 + 4}, f"l{i}": {"type": "integer"}},
            "required": ["age", f"l{i}"],
        }
        for i in range(count)
    ]
    valid = [{"age": 12, "l2": 1}, {"l7": 1, "age": 39}]
    return f"anyof_{count}_ranges", {"type": "object", "anyOf": branches}, valid, [{"age": 12, "l3": 1}, {"age": 4.5}]


def bands(count: int) -> Row:
    """Conditions by ranges of one member that exclude each other: each asks for a member of its own."""
    steps = [
        {
            "if": {"properties": {"age": {"minimum": i * 5, "maximum": i * 5 + 4}}, "required": ["age"]},
            "then": {"required": [f"l{i}"]},
        }
        for i in range(count)
    ]
    return f"bands_{count}", {"type": "object", "allOf": steps}, [{"age": 12, "l2": 1}, {"age": 4.5}], [{"age": 12}]


def one_of(kind: str, count: int) -> Row:
    """Branches of which one holds, by the range of a number, of what may be none (so that branches meet), by codes."""
    branches = []
    for i in range(count):
        if kind == "codes":
            said: dict[str, Any] = {"type": "string", "pattern": f"^{chr(65 + i // 8)}{chr(65 + i % 8)}-[0-9]+$"}
        else:
            said = {"minimum": i * 5, "exclusiveMaximum": i * 5 + 5}
            said |= {"type": "number"} if kind == "ranges" else {}
        branches.append({"properties": {"key": said, f"l{i}": {"type": "integer"}}, "required": ["key", f"l{i}"]})
    valid = [{"key": "AC-17", "l2": 1}, {"l9": 1, "key": "BB-3"}] if kind == "codes" else [{"key": 12, "l2": 1}]
    invalid = [{"key": 12, "l3": 1}, {"key": "CC", "l1": "x"}]
    return f"oneof_{count}_{kind}", {"type": "object", "oneOf": branches}, valid, invalid


def events(count: int) -> Row:
    """Branches told apart by a constant that none of them requires, and that comes last in the texts."""
    kinds = (
        {"type": "string"},
        {"type": "integer", "minimum": 0},
        {"enum": ["x", "y"]},
        {"type": "array", "items": {"type": "string"}},
    )
    branches = [
        {
            "properties": {
                **{f"p{(i * step) % 9}": kinds[(i + step) % 4] for step in (1, 3, 4)},
                "type": {"const": f"event{i}"},
            },
            "required": [f"p{(i * 3) % 9}"],
        }
        for i in range(count)
    ]
    values = ("text", 3, "x", ["a"])
    valid = [
        {**{f"p{(i * step) % 9}": values[(i + step) % 4] for step in (1, 3, 4)}, "type": f"event{i}"} for i in (1, 5)
    ]
    return f"oneof_{count}_events", {"type": "object", "oneOf": branches}, valid, [{"p0": None, "type": "event1"}]


def main() -> None:
    for identity, schema, valid, invalid in rows():
        tests = [{"valid": True, "text": json.dumps(v)} for v in valid]
        tests += [{"valid": False, "text": json.dumps(v)} for v in invalid]
        print(json.dumps({"id": identity, "schema": schema, "tests": tests}))


if __name__ == "__main__":
    main()
