"""Rows of bits for masks: made, seen through whatever array they are in, and applied to logits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from espalier._errors import Error

if TYPE_CHECKING:
    import numpy
    import numpy.typing


def allocate_bitmask(rows: int, vocabulary_size: int) -> numpy.typing.NDArray[numpy.int32]:
    """A numpy array for fill_bitmask, all bits 0: shape (rows, ceil(vocabulary_size / 32)), int32."""
    import numpy

    return numpy.zeros((rows, (vocabulary_size + 31) // 32), dtype=numpy.int32)


def apply_bitmask(logits: Any, bitmask: Any) -> None:
    """-inf, in place, for every token that `bitmask` forbids.

    logits:  float, shape (size,) or (rows, size), numpy or a torch tensor of any type of floats, on any device. Its
             size may be larger than the vocabulary's (padded heads): what lies past it is forbidden.
    bitmask: as for fill_bitmask, with as many rows
    """
    import numpy

    words = numpy.atleast_2d(numpy.asarray(writable(bitmask)))
    # What torch has is filled by torch: numpy knows no bfloat16, and no memory but the host's.
    by_torch = hasattr(logits, "masked_fill_")
    target: Any = logits.detach() if by_torch else numpy.asarray(writable(logits))
    if not (target.is_floating_point() if by_torch else target.dtype.kind == "f"):
        raise Error(f"the logits must be floats, not {target.dtype}", "invalid")
    if not by_torch and not target.flags.writeable:
        raise Error("the logits are read-only", "invalid")
    shape = tuple(target.shape)
    if len(shape) not in (1, 2):
        raise Error("the logits must have the shape (size,) or (rows, size)", "invalid")
    rows = 1 if len(shape) == 1 else shape[0]
    if rows != words.shape[0]:
        raise Error(f"{rows} rows of logits, {words.shape[0]} rows of bitmask", "invalid")
    allowed = numpy.unpackbits(numpy.ascontiguousarray(words).view(numpy.uint8), axis=1, bitorder="little")
    size = min(shape[-1], allowed.shape[1])
    forbidden = numpy.ones((rows, shape[-1]), bool)
    forbidden[:, :size] = allowed[:, :size] == 0
    forbidden = forbidden.reshape(shape)
    if by_torch:
        torch: Any = sys.modules["torch"]
        target.masked_fill_(torch.from_numpy(forbidden).to(target.device), float("-inf"))
    else:
        target[forbidden] = -numpy.inf


def writable(array: Any) -> Any:
    """`array` itself where it has a buffer, else a numpy view of the same memory."""
    try:
        memoryview(array)
    except TypeError:
        pass
    else:
        return array
    if hasattr(array, "detach") and hasattr(array, "numpy"):  # torch: shares memory, on the CPU only
        return array.detach().numpy()
    if hasattr(array, "__dlpack__"):
        import numpy

        return numpy.from_dlpack(array)
    raise Error(f"{type(array).__name__} is no array: it has neither a buffer nor DLPack", "invalid")
