"""Every reference template, rendered by the interpreter as jinja2 does it, byte for byte.

The templates are those of the reference data (and the test is skipped where they are not there), the conversations are
drawn by seed. ESPALIER_LONG=1 renders 200 conversations a template, otherwise 30.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from jinja_peer import ROOT, Driver, driver, environment, expected

__all__ = ["driver"]  # the fixture

DATA = Path(os.environ.get("ESPALIER_DATA", ROOT / "../shared/data"))
TEMPLATES = sorted((DATA / "tokenizers/chat_templates").glob("*.jinja"))
CONVERSATIONS = 200 if os.environ.get("ESPALIER_LONG") == "1" else 30

# fmt: off
WORDS = [
    "hello", "weather", "in", "Paris", "naïve", "日本語", "🙂👍🏽", "Ünïcödé", "\u00a0", "a\u0301",
    "<|im_end|>", "<|im_start|>", "</s>", "[INST]", "<think>", "</think>", "<tool_call>", "{", "}",
    "{{ 7*7 }}", "{% raw %}", "&", "<b>", "\"quoted\"", "it's", "back\\slash", "\t", "\n", "\n\n", "  ",
    "\r\n", "\u2028", "\x0b", "\x7f", "\x1f", "0", "-1", "1e5", "None", "true", "ǅ", "ß", "İ", "ΑΣ",
]
# fmt: on


class Conversations:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def text(self) -> str:
        if self.chance(0.08):
            return ""
        words = [self.random.choice(WORDS) for _ in range(self.random.randint(1, 8))]
        return self.random.choice(["", " ", "\n"]).join(words) if self.chance(0.2) else " ".join(words)

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randint(0, 7 if depth < 3 else 5)
        if kind == 0:
            return None
        if kind == 1:
            return self.chance(0.5)
        if kind == 2:
            return self.random.choice([0, 1, -1, 42, 10**12, -(2**62)])
        if kind == 3:
            return self.random.choice([0.0, 1.5, -2.25, 1e16, 1e-7, 3.141592653589793, 1e22, 123456.789])
        if kind in (4, 5):
            return self.text()
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]
        return {self.name(): self.value(depth + 1) for _ in range(self.random.randint(0, 3))}

    def name(self) -> str:
        return self.random.choice(
            ["city", "unit", "x", "items", "get", "keys", "名前", "max_results", "type", "values"]
        )

    def schema(self, depth: int = 0) -> dict[str, Any]:
        kind = self.random.choice(["string", "number", "integer", "boolean", "array", "object", "list", "one"])
        if depth > 2 and kind in ("array", "object", "one"):
            kind = "string"
        out: dict[str, Any] = {}
        if kind == "list":
            out["type"] = self.random.sample(["string", "null", "integer"], self.random.randint(1, 3))
        elif kind == "one":
            out["oneOf"] = [self.schema(depth + 1) for _ in range(self.random.randint(1, 3))]
        else:
            out["type"] = kind
        if kind == "array" and self.chance(0.8):
            out["items"] = self.schema(depth + 1)
        if kind == "object":
            out["properties"] = {self.name(): self.schema(depth + 1) for _ in range(self.random.randint(0, 3))}
            if self.chance(0.5):
                out["required"] = list(out["properties"])[:1]
            if self.chance(0.3):
                out["additionalProperties"] = self.schema(depth + 1)
        if self.chance(0.7):
            out["description"] = self.text()
        if self.chance(0.2):
            out["enum"] = [self.value(3) for _ in range(self.random.randint(1, 3))]
        for key in ("default", "maximum", "minimum", "maxLength", "minLength", "format", "nullable", "examples"):
            if self.chance(0.08):
                out[key] = [self.value(3)] if key == "examples" else self.value(3)
        return out

    def tool(self) -> dict[str, Any]:
        if self.chance(0.04):
            return {"type": "code_interpreter"}
        parameters = {
            "type": "object",
            "properties": {self.name(): self.schema() for _ in range(self.random.randint(0, 3))},
            "required": [self.name()],
        }
        function = {"name": "get_" + self.name(), "description": self.text(), "parameters": parameters}
        if self.chance(0.15):
            function["return"] = self.schema()
        if self.chance(0.1):
            function["parameter_definitions"] = {
                self.name(): {"type": "str", "description": self.text(), "required": self.chance(0.5)}
                for _ in range(self.random.randint(0, 2))
            }
        return {"type": "function", "function": function} if self.chance(0.85) else function

    def content(self) -> Any:
        if self.chance(0.05):
            return None
        if self.chance(0.07):
            return [{"type": "text", "text": self.text()} for _ in range(self.random.randint(0, 2))]
        return self.text()

    def calls(self) -> list[dict[str, Any]]:
        out = []
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            arguments = {self.name(): self.value() for _ in range(self.random.randint(0, 3))}
            call: dict[str, Any] = {
                "function": {
                    "name": "get_" + self.name(),
                    "arguments": json.dumps(arguments) if self.chance(0.4) else arguments,
                }
            }
            if self.chance(0.9):
                call["type"] = "function"
            if self.chance(0.9):
                call["id"] = "".join(self.random.choices("abcdef0123456789", k=9 if self.chance(0.9) else 5))
            out.append(call)
        return out

    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        if self.chance(0.5):
            messages.append({"role": "system", "content": self.content()})
        for _ in range(self.random.choice([0, 1, 1, 2, 3, 4])):
            messages.append({"role": "user", "content": self.content()})
            calls = self.calls() if self.chance(0.35) else None
            if calls is not None:
                message: dict[str, Any] = {"role": "assistant", "tool_calls": calls}
                if self.chance(0.7):
                    message["content"] = None if self.chance(0.6) else self.content()
                if self.chance(0.3):
                    message["tool_plan"] = self.text()
                messages.append(message)
                for call in calls:
                    result: dict[str, Any] = {"role": "tool", "content": self.content()}
                    if self.chance(0.1):
                        result["content"] = {"content": self.value()}
                    if "id" in call:
                        result["tool_call_id"] = call["id"]
                    if self.chance(0.5):
                        result["name"] = call["function"]["name"]
                    messages.append(result)
            if self.chance(0.85):
                message = {"role": "assistant", "content": self.content()}
                if self.chance(0.2):
                    message["content"] = f"<think>{self.text()}</think>{self.text()}"
                if self.chance(0.2):
                    message["reasoning_content"] = self.text()
                messages.append(message)
        if self.chance(0.1):
            self.random.shuffle(messages)
        if self.chance(0.03):
            messages.append(
                {"role": self.random.choice(["narrator", "ipython", "tool_results"]), "content": self.content()}
            )
        return messages

    def variables(self) -> dict[str, Any]:
        out: dict[str, Any] = {"messages": self.messages(), "bos_token": "<s>", "eos_token": "</s>"}
        if self.chance(0.8):
            out["add_generation_prompt"] = self.chance(0.6)
        if self.chance(0.45):
            out["tools"] = [self.tool() for _ in range(self.random.randint(1, 3))]
        elif self.chance(0.5):
            out["tools"] = None
        if self.chance(0.7):  # what single templates ask for by names of their own
            out["functions"] = json.dumps([self.value() for _ in range(2)])
            out["datetime"] = "2025-07-22"
        if self.chance(0.1):
            out["documents"] = [{"title": self.text(), "text": self.text()}]
        for key in ("tools_in_user_message", "enable_citations", "enable_thinking"):
            if self.chance(0.1):
                out[key] = self.chance(0.5)
        if self.chance(0.05):
            out["builtin_tools"] = ["get_city", "code_interpreter"]
        if self.chance(0.05):
            out["date_string"] = "1 Jan 1970"
        return out


@pytest.mark.skipif(not TEMPLATES, reason="the reference templates are not there (ESPALIER_DATA)")
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_template_renders_as_jinja2_does(path: Path, driver: Driver) -> None:
    source = path.read_text(encoding="utf-8")
    template = environment().from_string(source)
    compiled = driver.compile(source)
    assert "text" in compiled, compiled
    conversations = Conversations(seed=sum(path.stem.encode()))
    rendered = 0
    for index in range(CONVERSATIONS):
        variables = conversations.variables()
        wanted = expected(template, variables)
        got = driver.render(variables)
        assert got.get("text") == wanted, f"conversation {index}: {got.get('error')}\n{json.dumps(variables)}"
        rendered += wanted is not None
    assert rendered >= CONVERSATIONS // 10, "most conversations are refused: the test shows little"
