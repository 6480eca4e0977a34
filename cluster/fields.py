"""Fields of bus messages, checked one by one: ids, texts, and records of a fixed size.

Everything here refuses by `MalformedMessageError`. Text is checked because it ends up in lines of nodes.conf and of
CLUSTER NODES, where a blank, a comma or a line break from a peer would forge what follows.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Any

from cluster.endpoints import HOST_LENGTH_MAX, is_host
from cluster.messages import ID_LENGTH

_ID = re.compile(rb"[0-9a-f]{40}\Z")


class BusProtocolError(ValueError):
    """A peer sent something that is not a bus message."""


class BrokenFrameError(BusProtocolError):
    """The stream cannot be read any further: close the link."""


class MalformedMessageError(BusProtocolError):
    """This message is to be ignored; the stream goes on behind it."""


# The fields of the nodes of a big cluster: the same ones come again and again, a hundred in each heartbeat.
_REMEMBERED = 4096


@lru_cache(_REMEMBERED)
def node_id(raw: bytes) -> str:
    """40 lower-case hexadecimal digits."""
    if _ID.match(raw) is None:
        raise MalformedMessageError(f"not a node id: {raw[:ID_LENGTH]!r}")
    return raw.decode("ascii")


def text(raw: bytes) -> str:
    """ASCII up to the first NUL, or to the end of a field without one."""
    data, _, _ = raw.partition(b"\0")
    if len(data) > HOST_LENGTH_MAX:
        raise MalformedMessageError(f"a text of {len(data)} bytes")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedMessageError(f"not text: {data!r}") from None


def nodename(raw: bytes) -> str:
    """What people call a node: it may be nearly anything, and is for lines of the log, which it must not break."""
    data, _, _ = raw.partition(b"\0")
    name = data[:HOST_LENGTH_MAX].decode("ascii", "replace")
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in name)


@lru_cache(_REMEMBERED)
def host(raw: bytes) -> str:
    """A host name or an address, or "" for none."""
    name = text(raw)
    if name and not is_host(name):
        raise MalformedMessageError(f"not a host: {name!r}")
    return name


def exactly(layout: struct.Struct, data: bytes) -> tuple[Any, ...]:
    """The fields of a record that must fill `data`."""
    if len(data) != layout.size:
        raise MalformedMessageError(f"{len(data)} bytes where {layout.size} belong")
    return layout.unpack(data)
