"""Types of prices.gen, made by `espalier stub`: change the program, not this file."""

import espalier as _espalier
import typing_extensions as _t

class Price(_t.TypedDict):
    """A price."""
    amount: float
    per: _t.Literal["piece", "kilo"]

class Program(_t.Protocol):
    generators: dict[str, _espalier.Generator]
    warnings: str
    def with_options(self, **options: float) -> Program: ...
