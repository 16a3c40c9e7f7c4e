"""Of the rows of hard_schemas.py those of strings and keys: lengths, patterns that are searched for, that exclude each
other, and that conditions go by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = tuple[str, Any, list[Any], list[Any]]
"""A name, a schema, values that satisfy it and some that do not."""


def strings() -> Iterator[Row]:
    yield (
        "keys_255",
        {
            "type": "object",
            "patternProperties": {"^.{1,255}$": {"type": "integer"}},
            "additionalProperties": {"type": "string"},
        },
        [{"key one": 1, "k" * 255: 2, "k" * 256: "long", "": "short"}],
        [{"k" * 256: 1}],
    )
    yield (
        "words_that_exclude_each_other",
        {
            "type": "array",
            "items": {
                "type": "string",
                "oneOf": [{"pattern": w} for w in ("customer", "operator", "admin", "designer")],
            },
        },
        [["the customer", "an admin's desk"]],
        [["an admin is no operator"]],
    )
    yield (
        "format_beside_pattern",
        {"type": "string", "format": "uri", "pattern": "^https://[^/]+/v[0-9]+/", "maxLength": 120},
        ["https://example.com/v2/items?page=3"],
        ["https://example.com/items"],
    )
    yield (
        "lengths_beside_pattern",
        {"type": "string", "pattern": "[0-9a-f]+", "minLength": 40, "maxLength": 64},
        ["0123456789abcdef" * 3],
        ["0123456789abcdef"],
    )
    yield (
        "language_tags",
        {
            "type": "object",
            "patternProperties": {
                "^[a-zA-Z]{2,8}(-[a-zA-Z]{3}){0,2}(-[a-zA-Z]{4})?(-([a-zA-Z]{2}|[0-9]{3}))?$": {"type": "string"}
            },
            "additionalProperties": {"type": "integer"},
        },
        [{"en-US": "Hello", "zh-Hans-CN": "text", "x": 1}],
        [{"en-US": 1}],
    )
    yield (
        "multiples",
        {"type": "array", "items": {"type": "integer", "minimum": 0, "multipleOf": 12}},
        [[0, 144, 1200000]],
        [[13]],
    )
    yield (
        "sixteen_patterns",
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        "kind": {"const": f"k{i}"},
                        "id": {"type": "string", "pattern": f"K{i}-\\d{{{i % 7 + 2}}}"},
                    },
                }
                for i in range(16)
            ]
        },
        [{"id": "K3-12345", "kind": "k3"}],
        [{"kind": "k3", "id": "K4-1"}],
    )
    # Patterns that are searched for, whose automata nobody finishes.
    for identity, pattern, text in (
        ("30_back", "[A-Z].{30}$", "see This and that, his and that, ab"),
        ("gaps", "foo.{0,100}bar.{0,100}baz", "a foo and a bar or a baz"),
        ("password", r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])(?=.*[^\w]).{8,}", "correct Horse 1!"),
    ):
        bounded = {"type": "string", "pattern": pattern, "maxLength": 64}
        yield f"searched_{identity}", {"type": "string", "pattern": pattern}, [text], [text[:7]]
        yield f"searched_{identity}_64", bounded, [text], [text + 64 * "a"]
    # What look-ahead denies, among all texts.
    for identity, pattern, denied in (
        ("window", r"^(?!.*(foo.{0,50}bar)).*$", "a foo and a bar"),
        ("back", r"^[a-z](?!.*x.{9}y)[a-z ]{0,100}$", "x123456789y"),
    ):
        yield f"denied_{identity}", {"type": "string", "pattern": pattern}, ["a fool in the barn"[::-1]], [denied]


def conditions_by_patterns(count: int) -> Row:
    """Conditions by patterns of one member which exclude each other."""
    conditions = [
        {
            "if": {"properties": {"id": {"pattern": f"^p{i}-"}}, "required": ["id"]},
            "then": {"required": [f"l{i}"]},
        }
        for i in range(count)
    ]
    valid = [{"id": "p3-x", "l3": 1}, {"l3": 1, "id": "p3-x"}]
    return f"conditions_by_patterns_{count}", {"type": "object", "allOf": conditions}, valid, [{"id": "p3-x", "l2": 1}]


def unfinished_keys(count: int) -> Row:
    """Keys under patterns of which no two have a finished automaton together."""
    patterns = {f"{chr(97 + i)}.{{{9 + i}}}$": {"type": ["string", "integer"], "minLength": i} for i in range(count)}
    return f"keys_unfinished_{count}", {"type": "object", "patternProperties": patterns}, [{"zzzz": 1}], []
