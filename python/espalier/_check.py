"""Values of the caller, checked before the core sees them: its own words for a wrong one name no argument."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from espalier._errors import Error

_REALS = ("temperature", "top_p", "min_p", "repetition", "presence", "frequency")
_WHOLES = ("top_k", "seed", "max", "retain", "retain_tokens", "retain_steps")

# The largest counts, and sizes in bytes, that the core takes.
MOST = 2**32 - 1
MOST_BYTES = 2**63 - 1

# What a tool's call may be given at most: beyond it "no limit" is meant.
_LONGEST_SECONDS = 1e9


def text(name: str, value: Any) -> str:
    """A string that is text: half a surrogate pair (what `os.fsdecode` makes of other bytes) is none."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a str, not {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Error(f"{name} is not Unicode text: half a surrogate pair at character {error.start}") from None
    return value


def path(name: str, value: Any) -> str:
    """A name or a path, as text."""
    try:
        return text(name, os.fspath(value))
    except TypeError:
        raise TypeError(f"{name} is a str or a path, not {_kind(value)}") from None


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number of a range; numpy's are numbers too."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, not {_kind(value)}") from None
    if not low <= number <= high:
        raise Error(f"{name} goes from {low} to {high}, not {number}")
    return number


def real(name: str, value: Any) -> float:
    """A number; numpy's are numbers too, texts are not."""
    try:
        if not isinstance(value, (str, bytes, bytearray)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(f"{name} is a number, not {_kind(value)}")


def sampling(options: Mapping[str, Any]) -> dict[str, float]:
    """Options of a program's runs. Ranges are the language's, which knows them."""
    known = {*_REALS, *_WHOLES}
    if unknown := options.keys() - known:
        raise TypeError(f"unknown option {min(unknown)!r}; there are {', '.join(sorted(known))}")
    return {
        name: whole(name, value, -(2**63), 2**63 - 1) if name in _WHOLES else real(name, value)
        for name, value in options.items()
    }


def seconds(name: str, value: Any) -> float:
    """A span of time above 0; no end to it is a long one."""
    number = real(name, value)
    if math.isnan(number) or number <= 0:
        raise Error(f"{name} is above 0, not {number:g}")
    return min(number, _LONGEST_SECONDS)


def functions(value: Mapping[str, Callable[..., Any]] | None) -> dict[str, Callable[..., Any]]:
    """Functions by the names of tools."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"tools is a dict of functions by tool name, not {_kind(value)}")
    for name, function in value.items():
        if not callable(function):
            raise TypeError(f"tools[{name!r}] is no function but {_kind(function)}")
    return {text("a tool's name", name): function for name, function in value.items()}


def texts(name: str, value: Sequence[str]) -> list[str]:
    """Several texts; one alone would be its letters."""
    if isinstance(value, str):
        raise TypeError(f"{name} is a list of str, not one: [{value!r}]")
    return [text(f"{name}[{i}]", item) for i, item in enumerate(value)]


def _kind(value: Any) -> str:
    return type(value).__name__
