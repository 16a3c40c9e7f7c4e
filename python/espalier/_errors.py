"""The one exception of the package."""

from __future__ import annotations

from espalier import _core


class Error(Exception):
    """A failure of a program, a model or an argument.

    code:     stable and lower-case: "invalid", "not_found", "limit", "tool", "cancelled", …
    rendered: where the error has a place in a program, the message with the source line and carets
    """

    def __init__(self, message: str, code: str = "invalid", rendered: str = "") -> None:
        super().__init__(rendered or message)
        self.message = message
        self.code = code
        self.rendered = rendered


_core.set_error_type(Error)
