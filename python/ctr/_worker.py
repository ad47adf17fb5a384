"""What runs inside for `ContainerPoolExecutor` and `%%ctr --python`: a script that stands alone, without ctr.

serve FD [whole]    reads tasks from a socket and writes what becomes of them, until our host closes it. A message is
                    its length (8 bytes, big endian) and a pickle; "whole" if our host believes any pickle of ours
cell IN OUT         reads a cell and its variables, runs it, writes the variables that are asked for
"""

from __future__ import annotations

import ast
import io
import pickle
import socket
import struct
import sys
import traceback
from typing import Any

try:
    from cloudpickle import Pickler  # type: ignore[import-untyped]
except ImportError:
    from pickle import Pickler


class Plain(Pickler):  # type: ignore[misc]
    """Arrays of numpy as numpy.save writes them: what reads those runs nothing."""

    def persistent_id(self, value: Any) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)) or value.dtype.hasobject:
            return None
        data = io.BytesIO()
        numpy.save(data, value, allow_pickle=False)
        return "array" if isinstance(value, numpy.ndarray) else "scalar", data.getvalue()


def dumps(value: Any, whole: bool) -> bytes:
    """A pickle."""
    out = io.BytesIO()
    (Pickler if whole else Plain)(out).dump(value)
    return out.getvalue()


def told(error: BaseException, whole: bool) -> tuple[Any, ...]:
    """An exception in words, and itself if our host believes it."""
    kind = type(error)
    text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    pickled = None
    if whole:
        try:
            pickled = dumps(error, whole)
        except Exception:
            pass
    plain = tuple(arg for arg in error.args if arg is None or isinstance(arg, (bool, int, float, str, bytes)))
    return "raised", kind.__module__, kind.__qualname__, plain, str(error), text, pickled


def answer(task: bytes, whole: bool) -> bytes:
    """What becomes of a task."""
    try:
        function, args, keywords = pickle.loads(task)
        return dumps(("returned", dumps(function(*args, **keywords), whole)), whole)
    except BaseException as error:
        return dumps(told(error, whole), whole)


def serve(fd: int, whole: bool) -> None:
    """Answer tasks until our host closes the socket."""
    stream = socket.socket(fileno=fd).makefile("rwb")
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return
        body = answer(stream.read(struct.unpack("!Q", head)[0]), whole)
        stream.write(struct.pack("!Q", len(body)))
        stream.write(body)
        stream.flush()


def cell(given: int, taken: int) -> None:
    """Run a cell as a notebook does: if its last line is an expression, that is shown."""
    with open(given, "rb") as stream:
        code, variables, names = pickle.load(stream)
    main = sys.modules["__main__"].__dict__
    main.update(variables)
    tree = ast.parse(code, "<cell>")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), main)
    if last is not None:
        sys.displayhook(eval(compile(ast.Expression(last.value), "<cell>", "eval"), main))
    with open(taken, "wb") as stream:
        stream.write(dumps({name: main[name] for name in names}, False))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3:] == ["whole"])
    else:
        cell(int(sys.argv[2]), int(sys.argv[3]))
