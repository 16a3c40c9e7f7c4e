"""Masks that hold: what a type, a JSON Schema, a regular expression or a grammar lets a model say next.

    from espalier import grammar

    vocabulary = grammar.Vocabulary.from_gguf("smollm2")
    compiled = grammar.compile_schema({"type": "object", "properties": {"year": {"type": "integer"}}}, vocabulary)
    matcher = compiled.matcher()
    bitmask = grammar.allocate_bitmask(1, len(vocabulary))

    while not matcher.is_done:
        matcher.fill_bitmask(bitmask)                # (1, words) int32: bit i % 32 of word i // 32 is token i
        grammar.apply_bitmask(logits, bitmask)       # in place: -inf where the text may not go on
        matcher.accept(int(logits.argmax()))
    matcher.value()                                  # the typed value

A mask is exact: a token is allowed iff the text can still be completed after it. Masks depend on the place alone, so
they are computed once and then copied. Everything that works releases the interpreter's lock; a Grammar may be used
from any number of threads, a Matcher from one at a time. Failures raise espalier.Error with a stable `code`: "invalid"
(the schema, pattern or grammar is wrong; the message names the place), "unsupported" (refused by name), "limit" (the
message names the limit), "not_found".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, SupportsIndex

from espalier import _check, _core
from espalier._bitmask import allocate_bitmask, apply_bitmask, writable

# Importing it tells _core which class to raise.
from espalier._errors import Error

if TYPE_CHECKING:
    import numpy
    import numpy.typing

__all__ = [
    "Error",
    "Grammar",
    "KeywordOutcome",
    "MaskSlots",
    "Matcher",
    "Vocabulary",
    "allocate_bitmask",
    "apply_bitmask",
    "cache_bytes",
    "cache_limit",
    "compile_gbnf",
    "compile_lark",
    "compile_regex",
    "compile_schema",
    "compile_type",
    "fill_bitmasks",
    "schema_outcomes",
    "set_cache_limit",
]

_COMPILE_FUEL = 2_000_000
_STATE_BYTES = 64 << 20
_MAX_DEPTH = 256
_LAST_TOKEN = 2**31 - 1


class Vocabulary:
    """Which bytes each token stands for. Immutable; building one makes the trie that every mask walks (~0.1 s)."""

    def __init__(self, core: _core.Vocabulary) -> None:
        self._core = core

    @classmethod
    def from_gguf(cls, model: str | Path) -> Vocabulary:
        """The vocabulary of a model of the store by its name, or of any .gguf file by its path."""
        return cls(_core.Vocabulary.from_gguf(_check.path("model", model)))

    @classmethod
    def from_tokenizer_json(cls, path: str | Path) -> Vocabulary:
        """The vocabulary of a Hugging Face tokenizer.json; what its reader does not know is Error("unsupported")."""
        return cls(_core.Vocabulary.from_tokenizer_json(_check.path("path", path)))

    @classmethod
    def from_bytes(cls, tokens: Sequence[bytes], end: int | None = None, also_end: Iterable[int] = ()) -> Vocabulary:
        """One byte string for each token id; b"" for special and unused ones.

        end:      the token that ends a text; a mask allows it exactly where the text is complete
        also_end: further tokens with that effect

        Such a vocabulary has forced bytes but no forced tokens: it does not know how its model spells.
        """
        listed = list(tokens)
        for i, token in enumerate(listed):
            # A str would become UTF-8, and what a tokenizer calls its tokens ("Ġthe") is not what they stand for.
            if not isinstance(token, (bytes, bytearray)):
                raise TypeError(f"token {i} is of type {type(token).__name__}, not bytes")
        ends = [_check.whole("also_end", token, 0, _LAST_TOKEN) for token in also_end]
        if end is not None:
            end = _check.whole("end", end, 0, _LAST_TOKEN)
        return cls(_core.Vocabulary.from_bytes(listed, end, ends))

    def __len__(self) -> int:
        return len(self._core)

    def bytes(self, token: int) -> bytes:
        """The bytes of a token; b"" for special ones."""
        return self._core.bytes(_check.whole("a token", token, 0, _LAST_TOKEN))

    @property
    def end_of_turn(self) -> int | None:
        return self._core.end_of_turn


class KeywordOutcome(NamedTuple):
    """What becomes of one keyword of a JSON Schema."""

    pointer: str
    """JSON Pointer: "#/properties/a/format"."""
    outcome: str
    """"enforced", "recorded" (not enforced: the caller must still check it) or "refused"."""
    reason: str
    """Why it is not enforced; "" where it is."""


class Grammar:
    """A compiled grammar over one vocabulary. Made by the compile_* functions; shared by its matchers."""

    def __init__(self, core: _core.Grammar, vocabulary: Vocabulary) -> None:
        self._core = core
        self.vocabulary = vocabulary

    def matcher(self) -> Matcher:
        """A matcher before the first token. O(1)."""
        return Matcher(self._core.matcher())

    def outcomes(self) -> list[KeywordOutcome]:
        """Of a JSON Schema: what becomes of each keyword that its root reaches, once a place. [] for other grammars."""
        return [KeywordOutcome(*outcome) for outcome in self._core.outcomes()]

    def store(self) -> bytes:
        """A form to keep and `restore`: what the grammar was compiled from, with its options and a digest."""
        return self._core.store()

    @classmethod
    def restore(cls, stored: bytes | bytearray | memoryview, vocabulary: Vocabulary) -> Grammar:
        """The grammar that `store` gave, compiled again. Error("invalid") where the form was changed in any bit, cut
        short, or belongs to another vocabulary; it is never run as it is."""
        if not isinstance(stored, (bytes, bytearray, memoryview)):
            raise TypeError(f"a stored grammar is bytes, not {type(stored).__name__}")
        return cls(_core.Grammar.restore(_core_of(vocabulary), bytes(stored)), vocabulary)

    @property
    def least_tokens(self) -> int:
        """Tokens of a known shortest text: a smaller budget cannot hold any."""
        return self._core.least_tokens

    @property
    def prefix_free(self) -> bool:
        """No text of the grammar is a proper prefix of another: where one is complete, it ends."""
        return self._core.prefix_free

    @property
    def unreachable(self) -> list[str]:
        """Rules of a GBNF or Lark grammar that are never used."""
        return self._core.unreachable

    @property
    def unproductive(self) -> list[str]:
        """Rules of which no text ever ends; what uses them is left out."""
        return self._core.unproductive

    @property
    def size(self) -> dict[str, int]:
        """{"expressions", "rules", "state_bytes"}: the last grows with use, up to the limit given to compile."""
        return self._core.size


class Matcher:
    """A place in a text. Copying (`fork`) is O(tokens) pointers; nothing of the grammar is copied."""

    def __init__(self, core: _core.Matcher) -> None:
        self._core = core

    def fill_bitmask(self, bitmask: Any, row: int = 0, tokens_left: int | None = None) -> None:
        """Writes the allowed tokens into a row of `bitmask`.

        bitmask:     int32 or uint32, shape (words,) or (rows, words), words = ceil(len(vocabulary) / 32), rows
                     contiguous: a numpy array, a torch tensor on the CPU, anything with a buffer or DLPack. Bit
                     i % 32 of word i // 32 says whether token i is allowed; bits past the vocabulary are 0.
        tokens_left: allow only what can be completed within so many tokens, this one among them

        Cost: a copy of the row where the place was seen before (~1 µs), else one walk over the vocabulary's trie (up to
        ~2 ms). Raises Error("invalid") where the array does not fit.
        """
        try:
            self._core.fill_bitmask(writable(bitmask), row, tokens_left)
        except TypeError:
            _check_numbers(rows=[row], tokens_left=tokens_left)
            raise

    def accept(self, token: SupportsIndex) -> bool:
        """Goes on by a token; False, and nothing changes, where it is not allowed."""
        try:
            return self._core.accept(token)
        except TypeError:
            _check.whole("a token", token, 0, _LAST_TOKEN)
            raise

    def accept_all(self, tokens: Iterable[SupportsIndex]) -> int:
        """Goes on by tokens up to the first that is not allowed; how many were taken."""
        listed = list(tokens)
        try:
            return self._core.accept_all(listed)
        except TypeError:
            for token in listed:
                _check.whole("a token", token, 0, _LAST_TOKEN)
            raise

    def rollback(self, tokens: int) -> None:
        """Takes the last `tokens` tokens back. O(tokens). Error("invalid") where there are fewer."""
        self._core.rollback(_check.whole("tokens", tokens, 0, _check.MOST))

    def reset(self) -> None:
        """Back to before the first token."""
        self._core.reset()

    def fork(self) -> Matcher:
        """A matcher at the same place that goes its own way."""
        return Matcher(self._core.fork())

    def __copy__(self) -> Matcher:
        return self.fork()

    def __deepcopy__(self, _: dict[int, Any]) -> Matcher:
        return self.fork()

    def allows(self, token: SupportsIndex) -> bool:
        """Whether a token may come next."""
        try:
            return self._core.allows(token)
        except TypeError:
            _check.whole("a token", token, 0, _LAST_TOKEN)
            raise

    def forced_tokens(self, tokens_left: int | None = None) -> list[int]:
        """Tokens that are the only way on, spelled as the model spells; [] where there is a choice, or where the
        vocabulary does not know how its model spells (from_bytes). They are not accepted yet."""
        try:
            return self._core.forced_tokens(tokens_left)
        except TypeError:
            _check_numbers(tokens_left=tokens_left)
            raise

    @property
    def is_accepting(self) -> bool:
        """The text is complete here (it may still go on)."""
        return self._core.is_accepting

    @property
    def is_done(self) -> bool:
        """The text is over: its end token, or all of its `follow`, was accepted."""
        return self._core.is_done

    @property
    def tokens(self) -> int:
        """How many tokens were accepted."""
        return self._core.tokens

    def distance_to_accept(self) -> int:
        """Tokens of a known way to a complete text; 0 iff is_accepting. Some allowed token always lowers it."""
        return self._core.distance_to_accept()

    def text(self) -> bytes:
        """The text so far, without its follow."""
        return self._core.text()

    def value(self) -> Any:
        """The typed value, or its complete parts while the text is unfinished. For GBNF and Lark: the text."""
        return json.loads(self._core.value_json())


def _compile(
    kind: str,
    text: str,
    vocabulary: Vocabulary,
    follow: str,
    fuel: int,
    state_bytes: int,
    depth: int = _MAX_DEPTH,
    order: str = "free",
    strict: bool = True,
    formats: bool = True,
    unknown_keywords: bool = False,
    documents: Mapping[str, str | bool | dict[str, Any]] | None = None,
) -> Grammar:
    core = _core.Grammar.compile(
        _core_of(vocabulary),
        kind,
        _check.text(f"the {kind}", text),
        _check.text("follow", follow),
        _check.whole("compile_fuel", fuel, 0, _check.MOST_BYTES),
        _check.whole("state_bytes", state_bytes, 0, _check.MOST_BYTES),
        _check.whole("max_depth", depth, 0, _check.MOST),
        _check.text("order", order),
        *_flags(strict=strict, formats=formats, unknown_keywords=unknown_keywords),
        _documents(documents),
    )
    return Grammar(core, vocabulary)


def _core_of(vocabulary: Vocabulary) -> _core.Vocabulary:
    if not isinstance(vocabulary, Vocabulary):
        raise TypeError(f"vocabulary is a Vocabulary, not {type(vocabulary).__name__}")
    return vocabulary._core


def _flags(*, strict: bool, formats: bool, unknown_keywords: bool) -> tuple[bool, bool, bool]:
    for name, value in (("strict", strict), ("formats", formats), ("unknown_keywords", unknown_keywords)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} is True or False, not {type(value).__name__}")
    return strict, formats, unknown_keywords


def _documents(documents: Mapping[str, str | bool | dict[str, Any]] | None) -> dict[str, str]:
    """JSON texts by URI, as references name them without a fragment."""
    if documents is None:
        return {}
    if not isinstance(documents, Mapping):
        raise TypeError(f"documents is a dict of schemas by URI, not {type(documents).__name__}")
    return {
        _check.text("a document's URI", uri).removesuffix("#"): _schema_text(f"documents[{uri!r}]", schema)
        for uri, schema in documents.items()
    }


def _schema_text(name: str, schema: str | bool | dict[str, Any]) -> str:
    return _check.text(name, schema if isinstance(schema, str) else json.dumps(schema))


def compile_type(
    type: str,
    vocabulary: Vocabulary,
    *,
    follow: str = "",
    compile_fuel: int = _COMPILE_FUEL,
    state_bytes: int = _STATE_BYTES,
    max_depth: int = _MAX_DEPTH,
) -> Grammar:
    """A type of the .gen language: 'int(0..9)', '{name: string, tags: string[]}', '"yes" | "no"'.

    The keywords are the same for all compile functions:

    follow:       the literal that comes after the text and ends it; "": an end token does
    compile_fuel: expression nodes and states that compiling may make; more raises Error("limit")
    state_bytes:  states and masks kept; past it they are dropped and made again
    max_depth:    nesting of JSON values
    """
    return _compile("type", type, vocabulary, follow, compile_fuel, state_bytes, max_depth)


def compile_schema(
    schema: str | bool | dict[str, Any],
    vocabulary: Vocabulary,
    *,
    order: Literal["free", "declared"] = "free",
    strict: bool = True,
    formats: bool = True,
    unknown_keywords: bool = False,
    documents: Mapping[str, str | bool | dict[str, Any]] | None = None,
    follow: str = "",
    compile_fuel: int = _COMPILE_FUEL,
    state_bytes: int = _STATE_BYTES,
    max_depth: int = _MAX_DEPTH,
) -> Grammar:
    """A JSON Schema (drafts 4 to 2020-12 by $schema), as JSON text or as what json.loads makes of it.

    order:            "declared": members keep the order of `properties`; "free": any order
    strict:           what cannot be enforced is Error("unsupported") with its JSON Pointer. False: it is left out, and
                      Grammar.outcomes() records it for the caller to check
    formats:          `format` asserts; False: it annotates
    unknown_keywords: keywords that no draft defines are annotations; False: they are refused, but for `x-…` and those
                      that tools have documented as annotations (`markdownDescription`)
    documents:        other schemas that references may lead to, by URI (`{"https://example.com/money.json": {…}}`; by
                      the reference as it stands where nothing says what it is relative to). Nothing is ever fetched; a
                      grammar with documents cannot be stored
    """
    text = _schema_text("the schema", schema)
    return _compile(
        "schema",
        text,
        vocabulary,
        follow,
        compile_fuel,
        state_bytes,
        max_depth,
        order,
        strict,
        formats,
        unknown_keywords,
        documents,
    )


def schema_outcomes(
    schema: str | bool | dict[str, Any],
    *,
    strict: bool = True,
    formats: bool = True,
    unknown_keywords: bool = False,
    documents: Mapping[str, str | bool | dict[str, Any]] | None = None,
) -> list[KeywordOutcome]:
    """What would become of each keyword of a JSON Schema, the refused ones among them; nothing is compiled.
    Error("invalid") where the schema is malformed."""
    text = _schema_text("the schema", schema)
    flags = _flags(strict=strict, formats=formats, unknown_keywords=unknown_keywords)
    outcomes = _core.schema_outcomes(text, "free", *flags, _documents(documents))
    return [KeywordOutcome(*outcome) for outcome in outcomes]


def compile_regex(
    pattern: str,
    vocabulary: Vocabulary,
    *,
    follow: str = "",
    compile_fuel: int = _COMPILE_FUEL,
    state_bytes: int = _STATE_BYTES,
) -> Grammar:
    """A regular expression in RE2's syntax; the whole text is the match. Named groups make a dict of strings."""
    return _compile("regex", pattern, vocabulary, follow, compile_fuel, state_bytes)


def compile_gbnf(
    text: str,
    vocabulary: Vocabulary,
    *,
    follow: str = "",
    compile_fuel: int = _COMPILE_FUEL,
    state_bytes: int = _STATE_BYTES,
) -> Grammar:
    """A grammar of llama.cpp; `root` is the start. References to tokens are refused."""
    return _compile("gbnf", text, vocabulary, follow, compile_fuel, state_bytes)


def compile_lark(
    text: str,
    vocabulary: Vocabulary,
    *,
    follow: str = "",
    compile_fuel: int = _COMPILE_FUEL,
    state_bytes: int = _STATE_BYTES,
) -> Grammar:
    """A Lark grammar in llguidance's dialect; `start` is the start. docs/grammar.md says what is read."""
    return _compile("lark", text, vocabulary, follow, compile_fuel, state_bytes)


def _matcher_core(matcher: Matcher) -> _core.Matcher:
    if not isinstance(matcher, Matcher):
        raise TypeError(f"a matcher is a Matcher, not {type(matcher).__name__}")
    return matcher._core


def fill_bitmasks(
    matchers: Sequence[Matcher],
    bitmask: Any,
    rows: Sequence[int] | None = None,
    *,
    tokens_left: int | None = None,
    threads: int = 1,
) -> None:
    """fill_bitmask for a batch: matcher i goes to row rows[i] (row i where `rows` is None), on `threads` threads.
    Matchers of different grammars run side by side; those of one grammar wait for each other while a mask is looked up
    or made. Threads are started for the call (~20 µs each): they pay where masks have to be made. The rows are the same
    for any number of threads."""
    listed = list(matchers)
    chosen = list(range(len(listed))) if rows is None else list(rows)
    try:
        _core.fill_bitmasks([_matcher_core(m) for m in listed], writable(bitmask), chosen, tokens_left, threads)
    except TypeError:
        _check_numbers(rows=chosen, tokens_left=tokens_left, threads=threads)
        raise


class MaskSlots:
    """A table of the distinct masks of late, for samplers on a device: a step sends it a number a row, not the row.

        slots = grammar.MaskSlots(len(vocabulary), capacity=256)
        on_device = torch.zeros(slots.table.shape, dtype=torch.int32, device="cuda")
        ...
        ids, changed = slots.assign(matchers)                 # every step
        if changed:
            on_device[changed] = torch.from_numpy(slots.table[changed]).cuda()
        rows = on_device[torch.from_numpy(ids).cuda()]        # (len(matchers), words)

    A mask keeps its slot until that is needed for another, the one used longest ago first; slots of the newest `assign`
    and of the one before it are never taken. Equal masks share a slot, those of different grammars too. A capacity of
    twice the rows of a batch always suffices. Memory: capacity * len(vocabulary) / 8 bytes.
    """

    def __init__(self, vocabulary_size: int, capacity: int) -> None:
        """Error("invalid") where one of them is 0, Error("limit") for a table of more than 4 GiB."""
        import numpy

        self._core = _core.MaskSlots(
            _check.whole("vocabulary_size", vocabulary_size, 0, _check.MOST_BYTES),
            _check.whole("capacity", capacity, 0, _check.MOST_BYTES),
        )
        table = numpy.asarray(self._core)
        table.flags.writeable = False
        self.table: numpy.typing.NDArray[numpy.int32] = table
        """int32, shape (capacity, words) as for fill_bitmask. Read-only; `assign` writes it."""

    def assign(
        self, matchers: Sequence[Matcher], *, tokens_left: int | None = None, threads: int = 1
    ) -> tuple[numpy.typing.NDArray[numpy.int32], list[int]]:
        """The slots of the matchers' masks, int32 of shape (len(matchers),), and the rows of `table` that were written.

        The masks are found on `threads` threads. Error("limit"), and nothing changes, where the distinct masks of this
        batch and the one before are more than the capacity.
        """
        import numpy

        try:
            slots, changed = self._core.assign([_matcher_core(m) for m in matchers], tokens_left, threads)
        except TypeError:
            _check_numbers(tokens_left=tokens_left, threads=threads)
            raise
        return numpy.asarray(slots, dtype=numpy.int32), changed


def set_cache_limit(limit: int) -> None:
    """What the states and masks of all grammars of the process may hold together, in bytes (28 MiB unless set).

    Past it those of the grammars go that were not used for the longest, and are made again where they are reached:
    never other masks, only later ones. Grammars that take turns keep theirs up to eight times as much. Counted without
    what a vocabulary's grammars share.
    """
    _core.set_grammar_cache_limit(_check.whole("limit", limit, 0, _check.MOST_BYTES))


def cache_limit() -> int:
    """What set_cache_limit has set, in bytes."""
    return _core.grammar_cache_limit()


def cache_bytes() -> int:
    """What the states and masks of all grammars hold now, in bytes."""
    return _core.grammar_cache_bytes()


def _check_numbers(rows: Sequence[int] = (), tokens_left: int | None = None, threads: int = 1) -> None:
    """Says which number the core did not take. Not asked before: these are calls of every step."""
    for row in rows:
        _check.whole("row", row, 0, _check.MOST)
    if tokens_left is not None:
        _check.whole("tokens_left", tokens_left, 0, _check.MOST)
    _check.whole("threads", threads, 0, _check.MOST)
