"""The patterns that zeros of a matrix can keep to."""

from typing import Literal

Pattern = Literal["unstructured", "2:4", "4:8"]


def group_of(pattern: Pattern) -> tuple[int, int] | None:
    """Return the N and M of N:M, N nonzero weights of each M in a row; None of no pattern."""
    if pattern == "unstructured":
        return None
    kept, size = pattern.split(":")
    return int(kept), int(size)
