"""The examples run on the real model; their shape is asserted, never their words."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import espalier
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"python/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_agent_answers_within_its_turns(engine: espalier.Engine) -> None:
    shop = engine.load(EXAMPLES / "agent/shop.gen")
    answer = shop.shop(question="What do two lamps and a table cost?")
    assert 0 <= answer["amount"] <= 1_000_000
    assert 1 <= len(answer["sentence"]) <= 120
    assert 2 <= answer["calls"] <= 5


def test_letters_become_records_and_share_their_head(engine: espalier.Engine) -> None:
    letters = engine.load(EXAMPLES / "extract/letters.gen")
    documents = sorted((EXAMPLES / "extract/documents").glob("*.txt"))
    assert len(documents) >= 6
    letters.letters(letter=documents[0].read_text())
    before = engine.stats()
    for document in documents:
        found = letters.letters(letter=document.read_text())
        assert 2 <= len(found["sender"]) <= 60
        assert found["kind"] in ("invoice", "reminder", "complaint", "order")
        assert found["amount"] is None or 0 <= found["amount"] <= 100_000
        assert found["day"] is None or 1 <= found["day"] <= 31
        assert found["month"] is None or 1 <= found["month"] <= 12
        assert isinstance(found["urgent"], bool)
    after = engine.stats()
    reused = after["reused_tokens"] - before["reused_tokens"]
    assert reused > 0.5 * (after["prompt_tokens"] - before["prompt_tokens"])


def test_the_tutor_judges_its_own_drafts(engine: espalier.Engine) -> None:
    tutor = engine.load(EXAMPLES / "chat/tutor.gen", seed=1)
    history: list[dict[str, str]] = []
    for question in ("What is a leap year?", "Why?"):
        reply = tutor.tutor(history=history, question=question, drafts=3)
        assert reply["drafts"] == 3
        assert 0.0 <= reply["clear"] <= 1.0
        assert reply["text"] and "\n" not in reply["text"]
        history.append({"question": question, "reply": reply["text"]})


def test_the_python_script_does_the_same(engine: espalier.Engine) -> None:
    script = load_script("tutor")
    assert len(script.converse(engine)) == 3
    assert script.watch(engine)["kind"] in ("invoice", "reminder", "complaint", "order")


def test_the_help_desk_reads_an_mcp_servers_notes(engine: espalier.Engine) -> None:
    desk = engine.load(EXAMPLES / "mcp/desk.gen", allow=["mcp:notes"])
    for _ in range(2):
        reply = desk.desk(question="Is there a warranty on lamps?")
        assert 1 <= reply["notes"] <= 2
        assert reply["answer"]
    closed = engine.load(EXAMPLES / "mcp/desk.gen")
    with pytest.raises(espalier.Error, match="not allowed"):
        closed.desk(question="Is there a warranty on lamps?")


def test_the_reasoning_agent_stops_within_eight_steps(engine: espalier.Engine) -> None:
    react = engine.load(EXAMPLES / "react/react.gen", allow=["calc"])
    text = react.react(question="How much is 2 * (3 + 4)?")
    assert text is None or 1 <= len(text) <= 200


def test_the_invoice_copies_what_stands_in_it(engine: espalier.Engine) -> None:
    invoice = engine.load(EXAMPLES / "invoice/invoice.gen")
    doc = (EXAMPLES / "invoice/invoice.txt").read_text()
    for seed in range(3):
        found = (
            invoice.invoice(doc=doc)
            if seed == 0
            else engine.load(EXAMPLES / "invoice/invoice.gen", temperature=0.8, seed=seed).invoice(doc=doc)
        )
        facts, words = found["invoice"], " ".join(doc.split())
        assert facts["number"] in words
        assert all(item["name"] in words for item in facts["items"])
        total = sum(item["amount"] for item in facts["items"])
        assert not found["adds_up"] or abs(total - facts["total"]) <= 0.011
        for place in found["seller_at"]:
            assert " ".join(doc[place["start"] : place["end"]].split()) == facts["seller"]


def test_the_moves_and_the_topic_are_of_their_types(engine: espalier.Engine) -> None:
    move = engine.load(EXAMPLES / "tot/tot.gen").solve(numbers="4 9 10 13", width=2, depth=2)
    assert move and "\n" not in move
    found = engine.load(EXAMPLES / "topic/topic.gen").topic(message="Someone took my card", shots=[])
    assert found["topic"] in ("card arrival", "extra charge", "lost card")
    assert 0 <= found["p"] <= 1


def test_the_help_centre_is_asked_where_the_route_says_so(engine: espalier.Engine) -> None:
    chat = engine.load(EXAMPLES / "helpdesk/chat.gen", allow=["mcp:helpdesk"])
    for message in ("Can I return a lamp?", "I want to speak to somebody."):
        found = chat.reply(history=[{"role": "user", "text": "Hello"}], message=message)
        assert found["route"] in ("answer", "search", "human")
        assert found["text"]


def test_the_readmes_example_runs() -> None:
    run = [sys.executable, "tools/readme_example.py", "README.md"]
    subprocess.run(run, cwd=ROOT, check=True, timeout=300)
