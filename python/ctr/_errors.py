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
    """The step that failed in words, as "start". They may become others: compare step_id."""
    step_id: str
    """The step that failed by its stable name, as "start-program"; docs/errors.md lists them."""
    object: str
    """What it failed on: a path, a name, a pid."""
    hint: str
    """What can be done about it; empty when nothing is known."""
    code: int
    """The stable number that C sees (`enum ctr_error` in ctr.h)."""

    def __init__(
        self,
        errno: int,
        sentence: str,
        step: str = "",
        object: str = "",
        hint: str = "",
        code: int = -1,
        step_id: str = "",
    ) -> None:
        super().__init__(errno, sentence)
        self.step, self.object, self.hint, self.code, self.step_id = step, object, hint, code, step_id
        self.filename = object or None

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[type[Error], tuple[builtins.object, ...]]:
        parts = (self.errno, self.strerror, self.step, self.object, self.hint, self.code, self.step_id)
        return type(self), parts


def _is_also(base: type[Exception], error: type[Error] = Error) -> type[Error]:
    """`error` and `base` in one; seen, and pickled, as ctr.NAME."""
    described = {"__doc__": f"A ctr.Error that is also a {base.__name__}.", "__module__": "ctr"}
    return type(base.__name__, (error, base), described)


_INVALID, _NOT_FOUND = -2, -3
_BUILT_IN = {type(OSError(number, "")) for number in _errno.errorcode} - {OSError}

SUBCLASSES: dict[str, type[Error]] = {base.__name__: _is_also(base) for base in (*_BUILT_IN, ValueError)}
"""The exceptions that errors are raised as, by the name of the built-in one that they also are."""
SUBCLASSES["KeyError"] = _is_also(builtins.KeyError, SUBCLASSES["FileNotFoundError"])


def from_native(code: int, errno: int, sentence: str, step: str, object: str, hint: str, step_id: str = "") -> Error:
    """The exception for an error of the core."""
    base: type[Exception] = builtins.ValueError if code == _INVALID else type(OSError(errno, ""))
    if code == _NOT_FOUND and step_id in ("find-user", "find-group"):
        # As subprocess, which asks pwd and grp.
        base = builtins.KeyError
    return SUBCLASSES.get(base.__name__, Error)(errno, sentence, step, object, hint, code, step_id)


def invalid(step_id: str, object: str, why: str, hint: str = "") -> Error:
    """An argument that is not acceptable, in the core's words."""
    return refused(_INVALID, _errno.EINVAL, step_id, object, why, hint)


def refused(code: int, errno: int, step_id: str, object: str, why: str, hint: str = "") -> Error:
    """A failure that Python finds itself, of a step that the core knows."""
    from ._ctr import step_text

    step = step_text(step_id) or step_id
    sentence = f"{step} {object}: {why}" + (f" ({hint})" if hint else "")
    return from_native(code, errno, sentence, step, object, hint, step_id)
