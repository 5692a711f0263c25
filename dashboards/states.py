"""What a page shows while it reads, when there is nothing yet, and when nobody answers."""

import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import streamlit as st

from dashboards.reading.sources import Unreachable

_P = ParamSpec("_P")
_R = TypeVar("_R")

_MARKS = re.compile(r"([\\`*_{}\[\]()#+.!|<>~$:&-])")


def loaded(
    source: str, read: Callable[_P, _R], *arguments: _P.args, **named: _P.kwargs
) -> _R | None:
    """Return what `read` returns, showing meanwhile that `source` is read; None if it is down."""
    try:
        with st.spinner(f"Reading {source} ..."):
            return read(*arguments, **named)
    except Unreachable as error:
        st.error(plain(str(error)))
        return None


def empty(what: str, remedy: str) -> None:
    """Say that there is nothing to show yet, and how there will be."""
    st.info(f"{what} {remedy}")


def plain(text: str) -> str:
    """Return text that Markdown shows as it is: what comes from data or a model is never markup."""
    return _MARKS.sub(r"\\\1", text)
