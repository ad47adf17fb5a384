"""Results out of a container: pickles that a stranger may have written, read without running anything of theirs."""

from __future__ import annotations

import io
import pickle
from typing import Any

# What is made of plain values, does nothing else when it is made, and is no larger than what it is made of. What pickle
# itself knows (numbers, text, bytes, lists, tuples, dicts, sets) needs no name.
_PLAIN = {
    "builtins": {"complex"},
    "collections": {"Counter", "OrderedDict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "uuid": {"UUID"},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _PLAIN.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"a result holds a {module}.{name}, and making one can run any code: return plain values (numbers, text, "
            "bytes, lists, dicts, sets, dates, numpy arrays), or set trust_results"
        )

    def persistent_load(self, saved: Any) -> Any:
        """An array of numpy, as numpy.save(3) has written it in `_worker`: numbers and a shape."""
        import numpy

        kind, data = saved
        array = numpy.load(io.BytesIO(data), allow_pickle=False)
        return array[()] if kind == "scalar" else array


def plain(data: bytes) -> Any:
    """What a pickle holds, if it is made of plain values; `pickle.UnpicklingError` otherwise."""
    return _Reader(io.BytesIO(data)).load()
