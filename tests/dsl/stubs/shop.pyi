"""Types of shop.gen, made by `espalier stub`: change the program, not this file."""

import espalier as _espalier
import typing_extensions as _t

Currency: _t.TypeAlias = _t.Literal["EUR", "USD"]
"""A currency, as it is printed."""

Ending: _t.TypeAlias = _t.Literal["yes", "no", 3] | None
"""How an answer \"ends\"."""

Sum: _t.TypeAlias = str

class Price(_t.TypedDict):
    """A price."""
    amount: float
    per: _t.Literal["piece", "kilo"]

Item = _t.TypedDict("Item", {
    "name": "str",
    "how many": "int",
    "price": "_t.NotRequired[Price]",
    "tags": "_t.NotRequired[list[str]]",
})
"""What is sold."""

class Folder(_t.TypedDict):
    title: str
    inside: list[Folder]
    when: str | None
    notes: dict[str, Item]

class_ = _t.TypedDict("class_", {
    "import": "int",
})

class SellResultAt(_t.TypedDict):
    h: str
    m: _t.Literal["00", "30"]

class SellResult(_t.TypedDict):
    total: float
    sum: Sum
    at: SellResultAt

class _Sell(_t.Protocol):
    """Sell \"it\".
    Or not."""
    parameters: list[str]
    def __call__(self, text: str, currency: Currency, how: Ending = ..., items: list[Item] | None = ...) -> SellResult: ...
    async def aio(self, text: str, currency: Currency, how: Ending = ..., items: list[Item] | None = ...) -> SellResult: ...
    def stream(self, text: str, currency: Currency, how: Ending = ..., items: list[Item] | None = ...) -> _espalier.Stream[SellResult]: ...
    def render(self, text: str, currency: Currency, how: Ending = ..., items: list[Item] | None = ...) -> str: ...

class LookArguments(_t.TypedDict):
    """Look something up."""
    topic: str
    limit: _t.NotRequired[int]

class LookCall(_t.TypedDict):
    name: _t.Literal["look"]
    arguments: LookArguments

class DoneArguments(_t.TypedDict):
    ...

class DoneCall(_t.TypedDict):
    name: _t.Literal["done"]
    arguments: DoneArguments

class _Agent(_t.Protocol):
    parameters: list[str]
    def __call__(self, question: str) -> LookCall | DoneCall: ...
    async def aio(self, question: str) -> LookCall | DoneCall: ...
    def stream(self, question: str) -> _espalier.Stream[LookCall | DoneCall]: ...
    def render(self, question: str) -> str: ...

class _Tree(_t.Protocol):
    parameters: list[str]
    def __call__(self, *, x: class_, **others: _t.Any) -> Folder | bool: ...
    async def aio(self, *, x: class_, **others: _t.Any) -> Folder | bool: ...
    def stream(self, *, x: class_, **others: _t.Any) -> _espalier.Stream[Folder | bool]: ...
    def render(self, *, x: class_, **others: _t.Any) -> str: ...

class _Quiet(_t.Protocol):
    parameters: list[str]
    def __call__(self) -> None: ...
    async def aio(self) -> None: ...
    def stream(self) -> _espalier.Stream[None]: ...
    def render(self) -> str: ...

class _Late(_t.Protocol):
    parameters: list[str]
    def __call__(self, first: int = ..., *, second: int, third: int | None = ...) -> None: ...
    async def aio(self, first: int = ..., *, second: int, third: int | None = ...) -> None: ...
    def stream(self, first: int = ..., *, second: int, third: int | None = ...) -> _espalier.Stream[None]: ...
    def render(self, first: int = ..., *, second: int, third: int | None = ...) -> str: ...

class Program(_t.Protocol):
    generators: dict[str, _espalier.Generator]
    warnings: str
    def with_options(self, **options: float) -> Program: ...
    sell: _Sell
    agent: _Agent
    tree: _Tree
    quiet: _Quiet
    # program.generators["lambda"]
    late: _Late
