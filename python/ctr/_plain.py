"""Results out of a container: pickles that a stranger may have written, read without running anything of theirs.

For that an Unpickler that finds no classes is not enough. It sets attributes of the classes that it does find. It
hashes whatever is a key, which never ends where a tuple holds another twice, which holds another twice, and so on, and
breaks the stack where they are deep enough. And some bytes of a pickle make hundreds. So this one reads the opcodes
that pickle writes for plain values step by step: other threads run meanwhile, there is an end to it, and what it makes
is counted.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
import time
from collections import Counter, OrderedDict, deque
from datetime import date, datetime, timedelta, timezone
from datetime import time as day_time
from decimal import Decimal
from math import prod
from struct import error as struct_error
from typing import TYPE_CHECKING, Any
from uuid import UUID, SafeUUID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# As many bytes as the values of a pickle may take here for each byte that it may have.
LARGER = 4
# What a value takes, with its places on the stack and in a list.
_VALUE, _TEXT, _CONTAINER = 32, 64, 240
# Numbers of which no two have one hash: it is modulo this prime.
_PRIME = sys.hash_info.modulus
# How many keys of one dict or set may have one hash.
_SAME_HASH = 64
# How many values the hash of one may look at, which is a second's work.
_MOST_HASHED = 1 << 26
# How deep tuples may lie in each other; pickle writes none that are deeper. The hash of a tuple looks after no stack.
_DEPTH = 1000
# How many steps are taken between two looks at the clock.
_STEPS = 128

# Numbers and constants, as many as follow each other: nothing of them can do harm, so C reads them.
_RUN = re.compile(rb"(?:N|\x88|\x89|K.|M..|J.{4}|G.{8}){1,65536}", re.DOTALL)


class _Refused(pickle.UnpicklingError):
    """Not plain, or too large."""


def plain(data: bytes, most: int, end: float | None = None) -> Any:
    """What a pickle holds, if it is made of plain values; `pickle.UnpicklingError` otherwise.

    Args:
        data: The pickle.
        most: How many bytes its values may take, about.
        end: `TimeoutError` if it isn't read by then, of `time.monotonic`.
    """
    try:
        return _Reader(data, most, end).read()
    except (_Refused, TimeoutError):
        raise
    except (ArithmeticError, AttributeError, LookupError, struct_error, TypeError, ValueError) as error:
        raise pickle.UnpicklingError(f"a result is no pickle of plain values: {error}") from None


class _Reader:
    """A machine with a stack, which pickletools describes."""

    def __init__(self, data: bytes, most: int, end: float | None) -> None:
        self._data, self._at, self._left, self._end = data, 0, most, end
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: list[Any] = []
        # Of tuples and frozensets that hold others or large numbers: how many values their hash looks at, how deep they
        # are, and they themselves, so that no other one gets their address.
        self._weights: dict[int, tuple[int, int, Any]] = {}
        # Of dicts and sets: how many keys have a hash, and they themselves.
        self._hashes: dict[int, tuple[dict[int, int], Any]] = {}

    def read(self) -> Any:
        data, opcodes = self._data, _OPCODES
        steps = 0
        while True:
            steps += 1
            if steps % _STEPS == 0 and self._end is not None and time.monotonic() > self._end:
                raise TimeoutError("the time is up before the result is read")
            opcode = data[self._at]
            act = opcodes.get(opcode)
            if act is not None:
                self._at += 1
                act(self)
            elif run := _RUN.match(data, self._at):
                values = pickle.loads(b"\x80\x04(" + run[0] + b"l.")
                self._count(len(values) * _VALUE)
                self._stack += values
                self._at = run.end()
            elif opcode == _STOP:
                return self._stack[-1]
            else:
                raise ValueError(f"opcode {opcode:#x}")

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _Refused("a result takes far more memory than it has bytes: see max_result")

    def _push(self, value: Any, size: int = _VALUE) -> None:
        self._count(size)
        self._stack.append(value)

    def _take(self, count: int) -> bytes:
        end = self._at + count
        piece = self._data[self._at : end]
        if len(piece) != count:
            raise ValueError("it ends in the middle of a value")
        self._at = end
        return piece

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _marked(self) -> list[Any]:
        """What lies on the stack above the last mark."""
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _long(self, width: int) -> None:
        size = self._number(width)
        self._push(int.from_bytes(self._take(size), "little", signed=True), _TEXT + 2 * size)

    def _text(self, width: int) -> None:
        data = self._take(self._number(width))
        text = data.decode("utf-8", "surrogatepass")
        # What is not ASCII takes up to four bytes a character.
        self._push(text, _TEXT + len(data) if len(text) == len(data) else sys.getsizeof(text))

    def _bytes(self, width: int, kind: type = bytes) -> None:
        data = self._take(self._number(width))
        self._push(kind(data), _TEXT + len(data))

    def _tuple(self, items: list[Any]) -> None:
        value = tuple(items)
        self._weigh(value)
        self._push(value, _TEXT + 8 * len(items))

    def _tuple_of(self, count: int) -> None:
        items = self._stack[-count:]
        if len(items) < count:
            raise IndexError("an empty stack")
        del self._stack[-count:]
        self._tuple(items)

    def _frozenset(self) -> None:
        items = self._marked()
        self._check_keys(items, items)
        value = frozenset(items)
        self._weigh(value)
        self._push(value, _CONTAINER + 48 * len(items))

    def _weigh(self, value: Any) -> None:
        weight, depth, is_simple = len(value) + 1, 1, True
        for item in value:
            if type(item) in _HEAVY:
                more, below = self._weight(item)
                if more > 1:
                    weight, depth, is_simple = weight + more, max(depth, below + 1), False
        # Whoever gets it may well have it hashed.
        if depth > _DEPTH or weight > _MOST_HASHED:
            raise _Refused("a result holds tuples in each other whose hash would never be done")
        if not is_simple:
            self._count(_CONTAINER)
            self._weights[id(value)] = weight, depth, value

    def _weight(self, item: Any) -> tuple[int, int]:
        """How many values its hash looks at, and how deep it is."""
        kind = type(item)
        if kind is tuple or kind is frozenset:
            known = self._weights.get(id(item))
            return (len(item) + 1, 1) if known is None else known[:2]
        return 1 + sys.getsizeof(item) // 256, 0

    def _check_keys(self, container: Any, keys: Iterable[Any]) -> None:
        """That to hash and to compare them takes no longer than to read them."""
        hashes = None
        for key in keys:
            kind = type(key)
            # Nobody knows the hash of a text beforehand: PYTHONHASHSEED.
            if kind is str or kind is bytes or (kind is int and -_PRIME < key < _PRIME):
                continue
            self._count(_VALUE + 8 * self._weight(key)[0])
            code = hash(key)
            if hashes is None:
                hashes, _ = self._hashes.setdefault(id(container), ({}, container))
            hashes[code] = hashes.get(code, 0) + 1
            if hashes[code] > _SAME_HASH:
                raise _Refused("a result holds keys that were chosen to have the same hash")

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list and type(target) is not deque:
            raise TypeError("something is appended to what is no list")
        self._count(8 * len(items))
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, Counter, OrderedDict) or len(items) % 2:
            raise TypeError("keys are set of what is no dict")
        self._check_keys(target, items[::2])
        self._count(64 * len(items))
        for key, value in zip(items[::2], items[1::2]):
            target[key] = value

    def _add_items(self) -> None:
        items = self._marked()
        target = self._stack[-1]
        if type(target) is not set:
            raise TypeError("something is added to what is no set")
        self._check_keys(target, items)
        self._count(64 * len(items))
        target.update(items)

    def _get(self, width: int) -> None:
        self._push(self._memo[self._number(width)], 8)

    def _memoize(self) -> None:
        self._count(8)
        self._memo.append(self._stack[-1])

    def _find(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(module) is not str or type(name) is not str:
            raise TypeError("a class has no name")
        for kind in _MAKERS:
            if (kind.__module__, kind.__qualname__) == (module, name):
                return self._push(kind)
        raise _Refused(
            f"a result holds a {module:.200}.{name:.200}, and making one can run any code: return plain values "
            "(numbers, text, bytes, lists, dicts, sets, dates, numpy arrays), or set trust_results"
        )

    def _make(self) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if type(kind) is not type or type(arguments) is not tuple:
            raise TypeError("what is called is no class")
        value = _MAKERS[kind](*arguments)
        self._push(value, _CONTAINER + sys.getsizeof(value))

    def _build(self) -> None:
        state, value = self._stack.pop(), self._stack[-1]
        if type(value) is not UUID or hasattr(value, "int") or type(state["int"]) is not int:
            raise TypeError("attributes are set")
        is_safe = state.get("is_safe")
        UUID.__init__(value, int=state["int"], is_safe=SafeUUID(is_safe if type(is_safe) is int else None))

    def _array(self) -> None:
        """An array of numpy, as numpy.save(3) has written it in `_worker`: numbers and a shape."""
        from numpy.lib import format as npy

        kind, data = self._stack.pop()
        if type(data) is not bytes:
            raise TypeError("an array is no bytes")
        stream = io.BytesIO(data)
        header = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(stream)
        # It is made before it is read.
        if prod(shape) * max(dtype.itemsize, 1) > len(data):
            raise ValueError("an array is larger than its numbers")
        stream.seek(0)
        array = npy.read_array(stream, allow_pickle=False)
        self._push(array[()] if kind == "scalar" else array, _CONTAINER + len(data))


def _simple(kind: Any, *types: type) -> Callable[..., Any]:
    """Makes a value of a few others, which are of these types."""

    def make(*arguments: Any) -> Any:
        for argument in arguments:
            if type(argument) not in types or (type(argument) is int and abs(argument) >> 64):
                raise TypeError(f"a {kind.__name__} is made of something else")
        return kind(*arguments)

    return make


def _counter(counts: Any) -> Any:
    if type(counts) is not dict:
        raise TypeError("a Counter is made of something else")
    return Counter(counts)


def _deque(items: Any = (), maxlen: Any = None) -> Any:
    if items not in ([], ()) or type(maxlen) not in (int, type(None)):
        raise TypeError("a deque is made of something else")
    return deque(maxlen=maxlen)


def _ordered() -> Any:
    return OrderedDict()


def _uuid(*arguments: Any) -> Any:
    if arguments:
        raise TypeError("a UUID is made of something else")
    # What it is comes behind it.
    return UUID.__new__(UUID)


# What is made of plain values, does nothing else when it is made, and is no larger than what it is made of. What pickle
# itself knows (numbers, text, bytes, lists, tuples, dicts, sets) needs no name.
_MAKERS: dict[type, Callable[..., Any]] = {
    complex: _simple(complex, float),
    Counter: _counter,
    OrderedDict: _ordered,
    deque: _deque,
    date: _simple(date, bytes),
    datetime: _simple(datetime, bytes, timezone),
    day_time: _simple(day_time, bytes, timezone),
    timedelta: _simple(timedelta, int),
    timezone: _simple(timezone, timedelta, str),
    Decimal: _simple(Decimal, str),
    UUID: _uuid,
}
# Values whose hash looks at more than themselves, or at much.
_HEAVY = (tuple, frozenset, int, Decimal)
_STOP = pickle.STOP[0]
_OPCODES: dict[int, Callable[[_Reader], object]] = {
    code[0]: act
    for code, act in (
        (pickle.PROTO, lambda reader: reader._take(1)),
        (pickle.FRAME, lambda reader: reader._take(8)),
        (pickle.MARK, lambda reader: reader._marks.append(len(reader._stack))),
        (pickle.POP, lambda reader: reader._stack.pop()),
        (pickle.POP_MARK, _Reader._marked),
        (pickle.MEMOIZE, _Reader._memoize),
        (pickle.BINGET, lambda reader: reader._get(1)),
        (pickle.LONG_BINGET, lambda reader: reader._get(4)),
        (pickle.LONG1, lambda reader: reader._long(1)),
        (pickle.LONG4, lambda reader: reader._long(4)),
        (pickle.SHORT_BINUNICODE, lambda reader: reader._text(1)),
        (pickle.BINUNICODE, lambda reader: reader._text(4)),
        (pickle.BINUNICODE8, lambda reader: reader._text(8)),
        (pickle.SHORT_BINBYTES, lambda reader: reader._bytes(1)),
        (pickle.BINBYTES, lambda reader: reader._bytes(4)),
        (pickle.BINBYTES8, lambda reader: reader._bytes(8)),
        (pickle.BYTEARRAY8, lambda reader: reader._bytes(8, bytearray)),
        (pickle.EMPTY_TUPLE, lambda reader: reader._tuple([])),
        (pickle.TUPLE1, lambda reader: reader._tuple_of(1)),
        (pickle.TUPLE2, lambda reader: reader._tuple_of(2)),
        (pickle.TUPLE3, lambda reader: reader._tuple_of(3)),
        (pickle.TUPLE, lambda reader: reader._tuple(reader._marked())),
        (pickle.EMPTY_LIST, lambda reader: reader._push([], _TEXT)),
        (pickle.APPEND, lambda reader: reader._append([reader._stack.pop()])),
        (pickle.APPENDS, lambda reader: reader._append(reader._marked())),
        (pickle.EMPTY_DICT, lambda reader: reader._push({}, _TEXT)),
        (pickle.SETITEM, lambda reader: reader._set_items([reader._stack.pop(-2), reader._stack.pop()])),
        (pickle.SETITEMS, lambda reader: reader._set_items(reader._marked())),
        (pickle.EMPTY_SET, lambda reader: reader._push(set(), _CONTAINER)),
        (pickle.ADDITEMS, _Reader._add_items),
        (pickle.FROZENSET, _Reader._frozenset),
        (pickle.STACK_GLOBAL, _Reader._find),
        (pickle.REDUCE, _Reader._make),
        (pickle.NEWOBJ, _Reader._make),
        (pickle.BUILD, _Reader._build),
        (pickle.BINPERSID, _Reader._array),
    )
}
