"""What a command's handler may return, beside plain Python values.

``int``, ``bytes``, ``bytearray``, ``None``, ``float``, ``list``/``tuple`` and ``dict`` stand for themselves; these
classes and constants stand for what Python has no value for. `wire.encoder` knows RESP2 from RESP3.
"""

from __future__ import annotations

from typing import Any

# A handler's result; the encoder refuses (by assertion) whatever is not in the list above.
Reply = Any


class Simple:
    """A simple string, ``+text``."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Simple({self.text!r})"


class Verbatim(bytes):
    """Text for people: a verbatim string of format ``txt`` in RESP3, a bulk string in RESP2."""

    __slots__ = ()


class Digits(bytes):
    """A double of which other digits are shown than a double has: a double in RESP3, a bulk string in RESP2."""

    __slots__ = ()


class Raw(bytes):
    """A reply that is encoded already."""

    __slots__ = ()


class Encoded(Raw):
    """An array, encoded already, that is the same in both protocols; a script gets it as a table all the same."""

    __slots__ = ()


class Bulks(list[bytes]):
    """An array of nothing but `bytes`: it is encoded without a look at each item's type, several times as fast."""

    __slots__ = ()


class BulkSet(Bulks):
    """A set of nothing but `bytes` in RESP3, an array in RESP2."""

    __slots__ = ()


class BulkMap(Bulks):
    """Keys and values in turns, nothing but `bytes`: a map in RESP3, a flat array in RESP2."""

    __slots__ = ()


class PairMap(list[Any]):
    """Pairs of a key and a value: a map in RESP3, in which a key may come again; in RESP2 an array of pairs."""

    __slots__ = ()


class ReplySet(list[Any]):
    """A set in RESP3, an array in RESP2. A list inside, because the order must not depend on hashes."""

    __slots__ = ()


class Push(list[Any]):
    """Out-of-band data: a push in RESP3, an array in RESP2."""

    __slots__ = ()


class Several(list[Any]):
    """Several replies to one command, one after another: SUBSCRIBE confirms each channel."""

    __slots__ = ()


class _Constant:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


OK = Simple(b"OK")
QUEUED = Simple(b"QUEUED")
PONG = Simple(b"PONG")
# The null that is an array in RESP2 (``*-1``); `None` is the bulk one (``$-1``). RESP3 has one null.
NIL_ARRAY = _Constant("NIL_ARRAY")
# The command answers nothing at all (REPLCONF ACK).
NO_REPLY = _Constant("NO_REPLY")
# The command blocks: its answer comes later, and the client's next commands wait until then.
PARKED = _Constant("PARKED")
