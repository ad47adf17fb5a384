"""What goes wrong, as an OSError that tells the whole story."""

from __future__ import annotations

import builtins
import errno as _errno


class Error(OSError):
    """A failure: which step, on what, why, and what to do about it.

    `str(error)` is one sentence. An error whose errno has a built-in exception is that, too: one with ENOENT is both a
    `ctr.Error` and a `FileNotFoundError`, one with EACCES a `PermissionError`; an argument that is not acceptable on
    any machine is a `ValueError`.
    """

    __module__ = "ctr"

    step: str
    """The step that failed, as "mount proc"."""
    object: str
    """What it failed on: a path, a name, a pid."""
    hint: str
    """What can be done about it; empty when nothing is known."""
    code: int
    """The stable number that C sees (`enum ctr_error` in ctr.h)."""

    def __init__(
        self, errno: int, sentence: str, step: str = "", object: str = "", hint: str = "", code: int = -1
    ) -> None:
        super().__init__(errno, sentence)
        self.step, self.object, self.hint, self.code = step, object, hint, code
        self.filename = object or None

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[type[Error], tuple[builtins.object, ...]]:
        return type(self), (self.errno, self.strerror, self.step, self.object, self.hint, self.code)


def _is_also(base: type[Exception], error: type[Error] = Error) -> type[Error]:
    """`error` and `base` in one; seen, and pickled, as ctr.NAME."""
    described = {"__doc__": f"A ctr.Error that is also a {base.__name__}.", "__module__": "ctr"}
    return type(base.__name__, (error, base), described)


_INVALID, _NOT_FOUND = -2, -3
_BUILT_IN = {type(OSError(number, "")) for number in _errno.errorcode} - {OSError}

SUBCLASSES: dict[str, type[Error]] = {base.__name__: _is_also(base) for base in (*_BUILT_IN, ValueError)}
"""The exceptions that errors are raised as, by the name of the built-in one that they also are."""
SUBCLASSES["KeyError"] = _is_also(builtins.KeyError, SUBCLASSES["FileNotFoundError"])


def from_native(code: int, errno: int, sentence: str, step: str, object: str, hint: str) -> Error:
    """The exception for an error of the core."""
    base: type[Exception] = builtins.ValueError if code == _INVALID else type(OSError(errno, ""))
    if code == _NOT_FOUND and step in ("find the user", "find the group"):
        # As subprocess, which asks pwd and grp.
        base = builtins.KeyError
    return SUBCLASSES.get(base.__name__, Error)(errno, sentence, step, object, hint, code)


def invalid(step: str, object: str, why: str, hint: str = "") -> Error:
    """An argument that is not acceptable, in the core's words."""
    hint = f" ({hint})" if hint else ""
    return from_native(_INVALID, _errno.EINVAL, f"{step} {object}: {why}{hint}", step, object, hint)
