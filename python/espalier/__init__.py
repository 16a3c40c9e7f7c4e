"""Espalier: prefix-sharing structured generation.

    engine = espalier.Engine("smollm2")
    program = engine.load("chat.gen")
    reply = program.reply(history=[], question="What is a leap year?")        # blocks; the lock is released
    reply = await program.reply.aio(history=[], question="…")                 # the awaitable twin
    for path, value, done in program.reply.stream(history=[], question="…"):  # partial values as they grow
        ...

A program's generators are its methods; arguments go by name and are checked against their declared types. Results are
plain Python values. Everything that fails raises espalier.Error with a stable `code`.
"""

from __future__ import annotations

from espalier._engine import Engine, Generator, Partial, Program, Stream
from espalier._errors import Error

__all__ = ["Engine", "Error", "Generator", "Partial", "Program", "Stream"]
__version__ = "0.1.0"
