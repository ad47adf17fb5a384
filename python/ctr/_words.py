"""Names, sizes and ages as they are shown to people, in a terminal or a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def printable(text: str) -> str:
    """`text` as a part of a line: what a terminal would obey is escaped as by `ls -b`, and so is the backslash.

    Names come from containers and images: one with a newline in it must not look like two.
    """
    return "".join(_escaped(char) for char in text)


_LETTERS = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}


def _escaped(char: str) -> str:
    if char in _LETTERS:
        return _LETTERS[char]
    if char == " " or char.isprintable():
        return char
    # Three octal digits for each byte; a byte that is no text is a lone surrogate here (os.fsdecode).
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns of one width."""
    print(*columns(rows), sep="\n")


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The lines of a table."""
    rows = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def amount(size: float) -> str:
    """Bytes in binary units, as `ctr` takes them: 170.3M."""
    for unit in ("B", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f}{unit}" if unit == "B" else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def age(seconds: float) -> str:
    """One number and its unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"
