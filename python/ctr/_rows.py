"""Answers that are a list or a str, and that a notebook shows as more than that."""

from __future__ import annotations

from typing import TypeVar

_T = TypeVar("_T")


class Rows(list[_T]):
    """A list that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        from ._display import rows

        return rows(self)


class Script(str):
    """Shell commands with their comments, which a notebook shows as such."""

    def _repr_html_(self) -> str:
        from ._display import script

        return script(self)
