"""Grammars, copied values and thoughts on the real model: their shape is asserted, never their words."""

from __future__ import annotations

import re
from typing import Any

import espalier
import pytest

LETTER = """Northwind Traders
12 Harbour Road, Bristol

Invoice 2024-118 of 5 March 2024
Two oak chairs at 84.50 each: 169.00
Delivery: 12.00
Total due: 181.00
"""

PROGRAM = """
grammar Sum {
  start  = term (/[-+*]/ term){0..3}
  term   = number | "(" start ")"
  number = /[0-9]{1,4}/
}
record Item { what: span, price: cite(float(0..)) }
record Letter { sender: span, items: Item[1..3], note: span? }

gen letter(doc: string) -> { letter: Letter, sender: { start: int, end: int }[] } {
  system "Copy the facts out of the letter."
  user "${doc}"
  assistant "$[letter: Letter from doc, max=220]"
  return { letter, sender: letter.sender.spans }
}

gen total(doc: string) -> { sum: string, quoted: { sum: Sum } } {
  system "Write sums, nothing else."
  user "${doc}"
  assistant "Sum: $[sum: Sum, max=40]\\n"
  user "As JSON."
  assistant "$[quoted: { sum: Sum }, max=60]"
  return { sum, quoted }
}

gen thoughtful(doc: string) -> { thought: string, urgent: bool } {
  system "You sort letters."
  user "${doc}\\nIs it urgent?"
  assistant "$[thought: think, max=40]$[urgent: bool]"
  user "And now?"
  assistant "$[again: bool]"
  return { thought, urgent }
}
"""


def plain(text: str) -> str:
    return " ".join(text.split())


def is_sum(text: str) -> bool:
    """By a parser of its own: numbers of at most four digits, + - *, at most four terms a level."""
    at = 0

    def term() -> bool:
        nonlocal at
        if at < len(text) and text[at] == "(":
            at += 1
            if not terms() or at >= len(text) or text[at] != ")":
                return False
            at += 1
            return True
        number = re.compile("[0-9]{1,4}").match(text, at)
        at = number.end() if number else at
        return number is not None

    def terms() -> bool:
        nonlocal at
        if not term():
            return False
        count = 1
        while at < len(text) and text[at] in "-+*":
            at += 1
            count += 1
            if count > 4 or not term():
                return False
        return True

    return terms() and at == len(text)


@pytest.fixture(scope="module", params=[0.0, 0.7, 1.5])
def program(engine: espalier.Engine, request: pytest.FixtureRequest) -> Any:
    return engine.compile(PROGRAM, temperature=request.param, seed=3)


def test_what_is_copied_stands_in_the_letter_where_it_says(program: Any) -> None:
    found = program.letter(doc=LETTER)
    letter = found["letter"]
    assert found["sender"]
    for place in found["sender"]:
        assert plain(LETTER[place["start"] : place["end"]]) == plain(letter["sender"])
    assert 1 <= len(letter["items"]) <= 3
    for item in letter["items"]:
        assert plain(item["what"]) in plain(LETTER)
        assert plain(item["price"]["quote"]) in plain(LETTER)
        assert item["price"]["value"] >= 0
    assert letter["note"] is None or plain(letter["note"]) in plain(LETTER)


def test_a_grammars_text_is_of_the_grammar_also_inside_json(program: Any) -> None:
    found = program.total(doc=LETTER)
    assert is_sum(found["sum"])
    assert is_sum(found["quoted"]["sum"])


def test_a_thought_ends_and_what_follows_it_is_typed(program: Any) -> None:
    found = program.thoughtful(doc=LETTER)
    assert isinstance(found["urgent"], bool)
    assert "</think>" not in found["thought"]


def test_the_parser_of_sums_can_say_no() -> None:
    assert is_sum("2*(3+4)")
    for wrong in ("", "2+", "12345", "(2", "2 + 2", "1+1+1+1+1"):
        assert not is_sum(wrong)
