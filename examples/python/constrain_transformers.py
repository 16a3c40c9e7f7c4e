"""Hold a `transformers` model to a schema, a pattern or a grammar.

    pip install transformers torch
    python constrain_transformers.py HuggingFaceTB/SmolLM2-135M-Instruct

GrammarProcessor is a LogitsProcessor: it follows what each sequence of the batch has generated and forbids every token
after which the text could not be completed any more.
"""

from __future__ import annotations

import sys
from typing import Any

from espalier import grammar

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "legs": {"type": "integer", "minimum": 0, "maximum": 100},
        "flies": {"type": "boolean"},
    },
    "required": ["name", "legs", "flies"],
    "additionalProperties": False,
}


class GrammarProcessor:
    """Called by generate() with the ids so far, shape (batch, length), and the scores, shape (batch, vocabulary)."""

    def __init__(self, compiled: grammar.Grammar, prompt_length: int, end: int) -> None:
        self._compiled = compiled
        self._prompt_length = prompt_length
        self._end = end
        self._matchers: list[grammar.Matcher] | None = None
        self._accepted: list[list[int]] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        rows = len(input_ids)
        if self._matchers is None:
            self._matchers = [self._compiled.matcher() for _ in range(rows)]
            self._accepted = [[] for _ in range(rows)]
        for matcher, accepted, ids in zip(self._matchers, self._accepted, input_ids.tolist()):
            # Beams swap their rows: go back to where this row and its matcher agree.
            generated = ids[self._prompt_length :]
            agree = 0
            while agree < min(len(accepted), len(generated)) and accepted[agree] == generated[agree]:
                agree += 1
            matcher.rollback(len(accepted) - agree)
            del accepted[agree:]
            for token in generated[agree:]:
                if matcher.is_done:
                    break
                if not matcher.accept(token):
                    raise ValueError(f"token {token} was not allowed")
                accepted.append(token)
        bitmask = grammar.allocate_bitmask(rows, len(self._compiled.vocabulary))
        for row, matcher in enumerate(self._matchers):
            if matcher.is_done:
                bitmask[row, self._end // 32] |= _bit(self._end)  # finished: padding goes on
            else:
                matcher.fill_bitmask(bitmask, row)
        grammar.apply_bitmask(scores, bitmask)
        return scores


def _bit(token: int) -> int:
    bit = 1 << (token % 32)
    return bit - (1 << 32) if bit >= 1 << 31 else bit  # as int32


def vocabulary_of(tokenizer: Any, size: int) -> grammar.Vocabulary:
    """The bytes of a byte-level tokenizer's tokens: each character of a token's name stands for one byte."""
    shown = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    byte_of = {chr(b): b for b in shown}
    hidden = [b for b in range(256) if b not in shown]
    byte_of.update({chr(256 + i): b for i, b in enumerate(hidden)})
    special = set(tokenizer.all_special_ids)
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    tokens = [b""] * size
    for token, name in enumerate(names):
        if token not in special and all(c in byte_of for c in name):
            tokens[token] = bytes(byte_of[c] for c in name)
    return grammar.Vocabulary.from_bytes(tokens, end=tokenizer.eos_token_id)


def main(model_name: str) -> int:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        print("this example needs `transformers` and `torch`: pip install transformers torch")
        return 0
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    model = AutoModelForCausalLM.from_pretrained(model_name)
    vocabulary = vocabulary_of(tokenizer, model.config.vocab_size)
    compiled = grammar.compile_schema(SCHEMA, vocabulary)
    prompt = tokenizer("A spider as JSON:\n", return_tensors="pt").input_ids
    processor = GrammarProcessor(compiled, prompt.shape[1], tokenizer.eos_token_id)
    output = model.generate(prompt, logits_processor=[processor], max_new_tokens=80, do_sample=False)
    print(tokenizer.decode(output[0][prompt.shape[1] :], skip_special_tokens=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "HuggingFaceTB/SmolLM2-135M-Instruct"))
