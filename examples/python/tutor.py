"""The tutor of examples/chat from Python: several turns, partial values as they grow, and tools of this very process.

Run it:  PYTHONPATH=build/python python3 examples/python/tutor.py        (or after `pip install .`)
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import espalier

EXAMPLES = Path(__file__).resolve().parent.parent


def converse(engine: espalier.Engine) -> list[dict[str, str]]:
    """Three turns. The history travels as values; its KV is found again in the tree."""
    tutor = engine.load(EXAMPLES / "chat/tutor.gen", seed=7)
    history: list[dict[str, str]] = []
    for question in ("What is a leap year?", "Why do we need it?", "How often does it come?"):
        reply = tutor.tutor(history=history, question=question)
        print(f"{question}\n   {reply['text']}   (clear: {reply['clear']:.2f})")
        history.append({"question": question, "reply": reply["text"]})
    return history


def watch(engine: espalier.Engine) -> dict[str, object]:
    """One letter, with the record filling up as it is read."""
    letters = engine.load(EXAMPLES / "extract/letters.gen")
    text = (EXAMPLES / "extract/documents/01-bright-windows.txt").read_text()
    stream = letters.letters.stream(letter=text)
    for part in stream:
        if part.done:
            print(f"{part.path}: {part.value}")
    return stream.value


async def ask(engine: espalier.Engine) -> list[dict[str, object] | None]:
    """Two agents at once; the price list is a function of this process."""
    asked: list[str] = []

    def price(item: str) -> float:
        asked.append(item)
        if item == "carpet":
            raise LookupError("no carpets today")
        return 10.0 * len(item)

    shop = engine.load(EXAMPLES / "agent/shop.gen", tools={"price": price})
    answers = await asyncio.gather(
        shop.shop.aio(question="What does a lamp cost?"),
        shop.shop.aio(question="What does a carpet cost?"),
    )
    print(f"prices asked for: {asked}; answers: {answers}")
    return list(answers)


def main() -> int:
    engine = espalier.Engine(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
    converse(engine)
    watch(engine)
    asyncio.run(ask(engine))
    stats = engine.stats()
    print(f"{stats['prompt_tokens']} prompt tokens, {stats['reused_tokens']} of them shared")
    return 0


if __name__ == "__main__":
    sys.exit(main())
