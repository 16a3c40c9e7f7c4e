"""Python values as JSON text: arguments of programs and results of tools."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import uuid
from typing import Any


def written(value: Any) -> str:
    """The value as JSON, UTF-8 text. TypeError, ValueError or RecursionError: it is none."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    text.encode()  # a string may hold half a surrogate pair, which is no text
    return text


def _plain(value: Any) -> Any:
    """What JSON has for a value that `json` knows nothing of."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        raise TypeError(f"{value!r} has no time zone, and a datetime has one")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if callable(dump := getattr(value, "model_dump", None)):  # pydantic's models
        return dump(mode="json")
    # numpy's numbers and arrays, and whatever else is one (torch's tensors): without importing them.
    if type(value).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON serializable")
