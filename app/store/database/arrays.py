"""What is an array to asyncpg, told by its type.

asyncpg asks two abstract classes of each element of an array whether it is an array, too, which takes two to four times
as long as encoding it: a batch has 170 elements an exchange (docs/decisions/0023-arrays-told-by-type.md).
"""

from __future__ import annotations

from asyncpg.protocol import protocol

ASKED = ("IterableABC", "SizedABC")
"""Names in asyncpg's module, both asked of each element; one that a later asyncpg has not is left alone."""


def tell_arrays_by_type() -> None:
    """From now on, and for the whole process, only lists and tuples are arrays."""
    for name in ASKED:
        if hasattr(protocol, name):
            setattr(protocol, name, (list, tuple))
