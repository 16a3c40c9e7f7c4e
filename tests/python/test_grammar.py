"""espalier.grammar: each front end by what it lets through, masks bit by bit, errors by their codes."""

from __future__ import annotations

import importlib.util
import lzma
import os
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from espalier import Error, grammar

np = pytest.importorskip("numpy")

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
END = 256


@pytest.fixture(scope="module")
def letters() -> grammar.Vocabulary:
    return grammar.Vocabulary.from_bytes([bytes([b]) for b in range(256)] + [b"", b"true", b'": ', b"12"], end=END)


def allowed(matcher: grammar.Matcher, size: int) -> set[int]:
    bitmask = grammar.allocate_bitmask(1, size)
    matcher.fill_bitmask(bitmask)
    bits = np.unpackbits(bitmask.view(np.uint8), bitorder="little")[:size]
    return set(np.nonzero(bits)[0].tolist())


def accepts(compiled: grammar.Grammar, text: bytes) -> bool:
    matcher = compiled.matcher()
    return matcher.accept_all(text) == len(text) and matcher.is_accepting


def test_every_front_end_compiles(letters: grammar.Vocabulary) -> None:
    assert accepts(grammar.compile_type("int(0..99)", letters), b"42")
    assert accepts(grammar.compile_schema({"enum": ["a", 1]}, letters), b'"a"')
    assert accepts(grammar.compile_schema('{"type": "boolean"}', letters), b"true")
    assert accepts(grammar.compile_regex("a+b", letters), b"aab")
    assert accepts(grammar.compile_gbnf('root ::= root "+" root | [0-9]', letters), b"1+2+3")
    assert accepts(grammar.compile_lark('start: sum\nsum: sum "+" N | N\nN: /[0-9]+/\n%ignore " "', letters), b"1 + 22")
    assert not accepts(grammar.compile_type("int(0..99)", letters), b"420")


def test_masks_say_what_accept_does(letters: grammar.Vocabulary) -> None:
    compiled = grammar.compile_schema(
        {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False},
        letters,
    )
    matcher = compiled.matcher()
    for byte in b'{"a": true}':
        mask = allowed(matcher, len(letters))
        for token in range(len(letters)):
            fork = matcher.fork()
            assert fork.accept(token) == (token in mask)
            assert matcher.allows(token) == (token in mask)
        assert matcher.accept(byte)
    assert matcher.is_accepting and matcher.distance_to_accept() == 0
    assert allowed(matcher, len(letters)) == {END}
    assert matcher.accept(END) and matcher.is_done
    assert matcher.value() == {"a": True}


def test_rollback_returns_to_the_same_place(letters: grammar.Vocabulary) -> None:
    matcher = grammar.compile_regex("(ab|cd)*", letters).matcher()
    assert matcher.accept_all(b"abcd") == 4
    fork = matcher.fork()
    before = allowed(matcher, len(letters))
    assert matcher.accept_all(b"abx") == 2
    matcher.rollback(2)
    assert allowed(matcher, len(letters)) == before
    assert (matcher.tokens, matcher.text()) == (4, b"abcd")
    matcher.rollback(4)
    assert matcher.tokens == 0 and fork.tokens == 4
    with pytest.raises(Error) as caught:
        matcher.rollback(1)
    assert caught.value.code == "invalid"


def test_a_budget_leads_to_the_end(letters: grammar.Vocabulary) -> None:
    matcher = grammar.compile_gbnf('root ::= "(" root ")" | "x"', letters).matcher()
    left = 9
    bitmask = grammar.allocate_bitmask(1, len(letters))
    while not matcher.is_accepting:
        matcher.fill_bitmask(bitmask, tokens_left=left)
        assert matcher.distance_to_accept() <= left
        bits = np.unpackbits(bitmask.view(np.uint8), bitorder="little")
        assert matcher.accept(int(np.nonzero(bits)[0][0]))
        left -= 1
    assert matcher.text() == b"((((x))))"


def test_batches_fill_their_rows(letters: grammar.Vocabulary) -> None:
    first = grammar.compile_regex("[ab]c", letters).matcher()
    second = grammar.compile_type("bool", letters).matcher()
    bitmask = grammar.allocate_bitmask(4, len(letters))
    bitmask[:] = -1
    grammar.fill_bitmasks([first, second], bitmask, rows=[3, 1], threads=2)
    bits = np.unpackbits(bitmask.view(np.uint8), axis=1, bitorder="little")
    assert np.nonzero(bits[3])[0].tolist() == [ord("a"), ord("b")]
    assert np.nonzero(bits[1])[0].tolist() == [ord("f"), ord("t"), 257]
    assert bits[0].all() and bits[2].all()
    grammar.fill_bitmasks([first], np.zeros((1, bitmask.shape[1]), dtype=np.uint32))


def test_slots_stand_for_masks(letters: grammar.Vocabulary) -> None:
    first = grammar.compile_regex("[ab]c", letters).matcher()
    second = grammar.compile_type("bool", letters).matcher()
    slots = grammar.MaskSlots(len(letters), capacity=4)
    ids, changed = slots.assign([first, second, first.fork()], threads=2)
    assert ids.dtype == np.int32 and ids[0] == ids[2] != ids[1]
    assert sorted(changed) == sorted({int(i) for i in ids})
    bitmask = grammar.allocate_bitmask(3, len(letters))
    grammar.fill_bitmasks([first, second, first], bitmask)
    assert (slots.table[ids] == bitmask).all()
    again, changed = slots.assign([second, first])
    assert again.tolist() == [ids[1], ids[0]] and changed == []
    with pytest.raises(ValueError):
        slots.table[0, 0] = 1
    with pytest.raises(Error) as caught:
        grammar.MaskSlots(len(letters), 0)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 9), dtype=np.int64),
        np.zeros((1, 9), dtype=np.float32),
        np.zeros((1, 8), dtype=np.int32),
        np.zeros((1, 1, 9), dtype=np.int32),
        np.zeros((1, 18), dtype=np.int32)[:, ::2],
        [0] * 9,
    ],
)
def test_arrays_that_do_not_fit_are_refused(letters: grammar.Vocabulary, array: Any) -> None:
    matcher = grammar.compile_type("bool", letters).matcher()
    with pytest.raises(Error) as caught:
        matcher.fill_bitmask(array)
    assert caught.value.code == "invalid"


def test_read_only_arrays_are_refused(letters: grammar.Vocabulary) -> None:
    array = grammar.allocate_bitmask(1, len(letters))
    array.flags.writeable = False
    with pytest.raises(Error, match="read-only"):
        grammar.compile_type("bool", letters).matcher().fill_bitmask(array)
    with pytest.raises(Error):
        grammar.compile_type("bool", letters).matcher().fill_bitmask(grammar.allocate_bitmask(1, len(letters)), row=1)


def test_errors_have_codes(letters: grammar.Vocabulary) -> None:
    def code_of(compile: Any, text: Any) -> str:
        with pytest.raises(Error) as caught:
            compile(text, letters)
        return caught.value.code

    assert code_of(grammar.compile_type, "int(") == "invalid"
    assert code_of(grammar.compile_schema, "{") == "invalid"
    assert code_of(grammar.compile_schema, {"not": {}}) in ("unsupported", "invalid")
    assert code_of(grammar.compile_regex, "(") == "invalid"
    assert code_of(grammar.compile_regex, "(?=a)") == "unsupported"
    assert code_of(grammar.compile_gbnf, "root ::= x") == "invalid"
    assert code_of(grammar.compile_gbnf, "root ::= <x>") == "unsupported"
    assert code_of(grammar.compile_lark, "start: <x>") == "unsupported"
    with pytest.raises(Error) as caught:
        grammar.compile_regex("[a-z]{1,9}x", letters, compile_fuel=3)
    assert caught.value.code == "limit"
    with pytest.raises(Error) as caught:
        grammar.Vocabulary.from_gguf("no such model")
    assert caught.value.code == "not_found"
    with pytest.raises(Error):
        grammar.Vocabulary.from_bytes([b"a"], end=7)


def test_reports_name_rules(letters: grammar.Vocabulary) -> None:
    compiled = grammar.compile_gbnf('root ::= "a" | b\nb ::= "b" b\nc ::= "c"', letters)
    assert (compiled.unproductive, compiled.unreachable) == (["b"], ["c"])
    assert compiled.size["rules"] == 3
    assert compiled.least_tokens == 1


def test_threads_share_a_grammar(letters: grammar.Vocabulary) -> None:
    compiled = grammar.compile_gbnf('root ::= "[" (root ("," root)*)? "]" | [0-9]+', letters)
    failures: list[str] = []

    def run(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            matcher = compiled.matcher()
            bitmask = grammar.allocate_bitmask(1, len(letters))
            for left in range(40, 0, -1):
                matcher.fill_bitmask(bitmask, tokens_left=left)
                bits = np.nonzero(np.unpackbits(bitmask.view(np.uint8), bitorder="little"))[0]
                if not matcher.accept(int(rng.choice(bits))):
                    failures.append("a token of the mask was refused")
                if matcher.is_done:
                    break
            if not matcher.is_accepting:
                failures.append(matcher.text().decode())

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_gguf_vocabulary_spells_forced_tokens() -> None:
    store = Path(os.environ.get("ESPALIER_MODELS", Path.home() / ".cache/espalier/models"))
    if not (store / "SmolLM2-135M-Instruct.Q4_1.gguf").exists():
        pytest.skip("the default model is not in the store: espalier pull smollm2")
    vocabulary = grammar.Vocabulary.from_gguf("smollm2")
    assert len(vocabulary) == 49152
    compiled = grammar.compile_gbnf('root ::= "The answer is " [0-9] "."', vocabulary)
    matcher = compiled.matcher()
    forced = matcher.forced_tokens()
    assert b"".join(vocabulary.bytes(t) for t in forced).startswith(b"The answer")
    assert matcher.accept_all(forced) == len(forced)


def test_a_tokenizer_json_vocabulary_masks_alike(tmp_path: Path) -> None:
    packed = Path(os.environ.get("ESPALIER_DATA", ROOT / "../shared/data")) / "tokenizers/qwen3.tokenizer.json.xz"
    if not packed.exists():
        pytest.skip(f"{packed} is not here")
    path = tmp_path / "tokenizer.json"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    vocabulary = grammar.Vocabulary.from_tokenizer_json(path)
    matcher = grammar.compile_lark('start: N ("+" N)*\nN: /[0-9]{1,3}/', vocabulary).matcher()
    inside = {t for t in range(len(vocabulary)) if matcher.fork().accept(t)}
    assert inside and inside == allowed(matcher, len(vocabulary))
    assert all(set(vocabulary.bytes(t)) <= set(b"0123456789+") for t in inside)
    with pytest.raises(Error):
        grammar.Vocabulary.from_tokenizer_json(tmp_path / "no such file")


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("constrain", EXAMPLES / "python/constrain_transformers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_logits_processor_holds_a_batch(letters: grammar.Vocabulary) -> None:
    example = load_example()
    compiled = grammar.compile_schema(example.SCHEMA, letters)
    prompt = np.full((3, 2), ord("?"))
    processor = example.GrammarProcessor(compiled, prompt.shape[1], END)
    rng = np.random.default_rng(0)
    ids = prompt
    for _ in range(400):
        scores = rng.normal(size=(3, len(letters) + 5)).astype(np.float32)  # a padded head
        scores[:, END] += 2
        chosen = processor(ids, scores).argmax(axis=1)
        ids = np.concatenate([ids, chosen[:, None]], axis=1)
        if (chosen == END).all():
            break
    for row in ids[:, 2:].tolist():
        matcher = compiled.matcher()
        text = row[: row.index(END)] if END in row else row
        assert matcher.accept_all(text) == len(text)
        if END in row:
            assert matcher.is_accepting
            assert set(matcher.value()) == {"name", "legs", "flies"}


def test_the_logits_processor_follows_swapped_rows(letters: grammar.Vocabulary) -> None:
    example = load_example()
    compiled = grammar.compile_regex("ab|cd", letters)
    processor = example.GrammarProcessor(compiled, 1, END)
    for rows in ([[0], [0]], [[0, ord("a")], [0, ord("c")]], [[0, ord("c")], [0, ord("a")]]):
        scores = processor(np.array(rows), np.zeros((2, len(letters)), dtype=np.float32))
    assert [np.flatnonzero(np.isfinite(row)).tolist() for row in scores] == [[ord("d")], [ord("b")]]


def test_the_example_skips_politely(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    assert load_example().main("any") == 0
    assert "pip install" in capsys.readouterr().out


def test_members_keep_the_declared_order(letters: grammar.Vocabulary) -> None:
    schema = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "integer"}}}
    declared = grammar.compile_schema(schema, letters, order="declared")
    free = grammar.compile_schema(schema, letters)
    assert accepts(declared, b'{"b":1,"a":2}') and accepts(free, b'{"a":2,"b":1}')
    assert not accepts(declared, b'{"a":2,"b":1}')
    with pytest.raises(Error) as caught:
        # What a caller without a type checker may write.
        grammar.compile_schema(schema, letters, order="sorted")  # type: ignore[arg-type]
    assert caught.value.code == "invalid"


def test_each_keyword_has_an_outcome(letters: grammar.Vocabulary) -> None:
    schema = {"type": "string", "format": "colour", "minLength": 1}
    with pytest.raises(Error) as caught:
        grammar.compile_schema(schema, letters)
    assert caught.value.code == "unsupported" and "#/format" in str(caught.value)
    assert {(o.pointer, o.outcome) for o in grammar.schema_outcomes(schema)} == {
        ("#/type", "enforced"),
        ("#/format", "refused"),
        ("#/minLength", "enforced"),
    }
    lax = grammar.compile_schema(schema, letters, strict=False)
    assert [(o.pointer, o.reason) for o in lax.outcomes() if o.outcome == "recorded"] == [
        ("#/format", "the format `colour` is unknown")
    ]
    assert accepts(lax, b'"red"') and not accepts(lax, b'""')
    assert grammar.compile_regex("a", letters).outcomes() == []


class Tensor:
    """As much of a torch tensor as logits on a device have, of a type that numpy does not know."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.device, self.dtype = array, array.shape, "cuda:0", "torch.bfloat16"

    def detach(self) -> Tensor:
        return self

    def numpy(self) -> Any:
        raise TypeError("Got unsupported ScalarType BFloat16")

    def is_floating_point(self) -> bool:
        return bool(self.array.dtype.kind == "f")

    def to(self, device: str) -> Tensor:
        assert device == self.device
        return self

    def masked_fill_(self, mask: Tensor, value: float) -> None:
        self.array[mask.array] = value


def test_logits_of_torch_are_filled_by_torch(letters: grammar.Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=Tensor))
    matcher = grammar.compile_regex("[ab]", letters).matcher()
    bitmask = grammar.allocate_bitmask(1, len(letters))
    matcher.fill_bitmask(bitmask)
    for shape in ((1, len(letters)), (len(letters) + 40,)):
        logits = Tensor(np.zeros(shape, np.float32))
        grammar.apply_bitmask(logits, bitmask)
        assert np.flatnonzero(np.isfinite(logits.array)).tolist() == [ord("a"), ord("b")]
    for wrong, message in (
        (Tensor(np.zeros((1, 4), np.int32)), "must be floats"),
        (Tensor(np.zeros((2, 4), np.float32)), "2 rows of logits, 1 rows of bitmask"),
        (np.zeros((1, 1, 4), np.float32), "must have the shape"),
        (np.zeros((1, 4), complex), "must be floats"),
    ):
        with pytest.raises(Error, match=message):
            grammar.apply_bitmask(wrong, bitmask)


def test_references_lead_to_documents_that_are_given(letters: grammar.Vocabulary) -> None:
    schema = {
        "$id": "https://example.com/orders/order.json",
        "type": "object",
        "properties": {"price": {"$ref": "../money.json#/$defs/amount"}, "by": {"$ref": "person.json"}},
        "required": ["price"],
        "additionalProperties": False,
    }
    documents: dict[str, str | bool | dict[str, object]] = {
        "https://example.com/money.json#": {"$defs": {"amount": {"type": "integer", "minimum": 0}}},
        "https://example.com/orders/person.json": '{"enum": ["ann", "bob"]}',
    }
    compiled = grammar.compile_schema(schema, letters, documents=documents)
    assert accepts(compiled, b'{"price":3,"by":"bob"}')
    assert not accepts(compiled, b'{"price":-3}') and not accepts(compiled, b'{"price":3,"by":"eve"}')
    outcomes = compiled.outcomes()
    assert outcomes == grammar.schema_outcomes(schema, documents=documents)
    assert {o.outcome for o in outcomes} == {"enforced"}
    for wrong, message in (
        ({}, "points to another document"),
        ({"https://example.com/other.json": True}, "`https://example.com/money.json` is not among the documents"),
        ({"https://example.com/money.json": "{"}, "document `https://example.com/money.json`"),
    ):
        with pytest.raises(Error, match=message):
            grammar.compile_schema(schema, letters, documents=wrong)
    with pytest.raises(Error, match="a resolver, whose documents"):
        compiled.store()
    no_dict: Any = [True]
    with pytest.raises(TypeError, match="documents is a dict of schemas by URI"):
        grammar.compile_schema(schema, letters, documents=no_dict)
    # Without a base the reference is taken as it stands.
    assert accepts(grammar.compile_schema({"$ref": "any.json"}, letters, documents={"any.json": True}), b"[]")


def test_a_stored_grammar_that_was_changed_is_discarded(letters: grammar.Vocabulary) -> None:
    for compiled in (
        grammar.compile_schema({"enum": ["a", "bc"]}, letters, order="declared", strict=False),
        grammar.compile_type("int(0..9)", letters),
        grammar.compile_gbnf('root ::= "a" root | "b"', letters, follow="!"),
    ):
        stored = compiled.store()
        again = grammar.Grammar.restore(stored, letters)
        assert again.store() == stored
        assert allowed(again.matcher(), len(letters)) == allowed(compiled.matcher(), len(letters))
        for bit in range(8 * len(stored)):
            changed = bytearray(stored)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(Error) as caught:
                grammar.Grammar.restore(bytes(changed), letters)
            assert caught.value.code == "invalid"
        for size in (0, 1, len(stored) - 1):
            with pytest.raises(Error):
                grammar.Grammar.restore(stored[:size], letters)
        other = grammar.Vocabulary.from_bytes([b"a", b"b"])
        with pytest.raises(Error, match="another vocabulary"):
            grammar.Grammar.restore(stored, other)


def test_what_all_grammars_hold_has_a_limit(letters: grammar.Vocabulary) -> None:
    before = grammar.cache_limit()
    try:
        compiled = grammar.compile_schema({"type": "array", "items": {"type": "string", "pattern": "^a+b*$"}}, letters)
        matcher = compiled.matcher()
        assert matcher.accept_all(b'["aab","a') == 9
        expected = allowed(matcher, len(letters))
        assert grammar.cache_bytes() > 0
        grammar.set_cache_limit(1)
        assert grammar.cache_limit() == 1
        assert allowed(matcher, len(letters)) == expected  # what was dropped is made again
        with pytest.raises(Error, match="limit") as refused:
            grammar.set_cache_limit(-1)
        assert refused.value.code == "invalid"
    finally:
        grammar.set_cache_limit(before)
