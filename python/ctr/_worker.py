"""The worker of a `ContainerPoolExecutor`: runs inside, as a script. It reads tasks and writes what becomes of them.

It stands alone: the interpreter inside need not have ctr. A message is its length (8 bytes, big endian) and a pickle.
Arguments: the descriptor of the socket, and "whole" if our host believes any pickle of ours.
"""

from __future__ import annotations

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


def main() -> None:
    """Serve until our host closes the socket."""
    whole = sys.argv[2:] == ["whole"]
    stream = socket.socket(fileno=int(sys.argv[1])).makefile("rwb")
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return
        body = answer(stream.read(struct.unpack("!Q", head)[0]), whole)
        stream.write(struct.pack("!Q", len(body)))
        stream.write(body)
        stream.flush()


if __name__ == "__main__":
    main()
