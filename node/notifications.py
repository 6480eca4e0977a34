"""Keyspace notifications: what changed, published on ``__keyspace@<db>__:<key>`` and ``__keyevent@<db>__:<event>``.

`notify-keyspace-events` chooses the classes; both messages go to this node's own subscribers only, the keyspace
one first. Writers test `Notifier.flags` (zero by default) before they build anything.
"""

from __future__ import annotations

from wire.errors import Error
from wire.pubsub import Broker

KEYSPACE = 1 << 0
KEYEVENT = 1 << 1
GENERIC = 1 << 2
STRING = 1 << 3
LIST = 1 << 4
SET = 1 << 5
HASH = 1 << 6
ZSET = 1 << 7
EXPIRED = 1 << 8
EVICTED = 1 << 9
STREAM = 1 << 10
KEY_MISS = 1 << 11
MODULE = 1 << 12
NEW = 1 << 13
ALL = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE

_LETTERS = {
    "g": GENERIC,
    "$": STRING,
    "l": LIST,
    "s": SET,
    "h": HASH,
    "z": ZSET,
    "x": EXPIRED,
    "e": EVICTED,
    "t": STREAM,
    "d": MODULE,
    "n": NEW,
}


def parse_flags(text: str) -> int:
    """The classes that `text` names; raises Error for a letter Redis does not know."""
    flags = 0
    for letter in text:
        if letter == "A":
            flags |= ALL
        elif letter == "K":
            flags |= KEYSPACE
        elif letter == "E":
            flags |= KEYEVENT
        elif letter == "m":
            flags |= KEY_MISS
        elif letter in _LETTERS:
            flags |= _LETTERS[letter]
        else:
            raise Error(b"Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
    return flags


def format_flags(flags: int) -> str:
    """What CONFIG GET shows; with every class of ``A`` on, ``n`` is not shown, as in Redis 7.0."""
    if flags & ALL == ALL:
        text = "A"
    else:
        text = "".join(letter for letter, bit in _LETTERS.items() if flags & bit)
    text += "K" if flags & KEYSPACE else ""
    text += "E" if flags & KEYEVENT else ""
    return text + ("m" if flags & KEY_MISS else "")


class Notifier:
    """Publishes the events of the classes that are switched on."""

    __slots__ = ("_broker", "flags")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        # The classes wanted; zero unless K or E is among them, so that one test tells whether anybody listens.
        self.flags = 0

    def choose(self, flags: int) -> None:
        self.flags = flags if flags & (KEYSPACE | KEYEVENT) else 0

    def notify(self, kind: int, event: bytes, key: bytes, database: int) -> None:
        """`event` of class `kind` happened to `key`."""
        if not self.flags & kind:
            return
        if self.flags & KEYSPACE:
            self._broker.publish(b"__keyspace@%d__:%b" % (database, key), event)
        if self.flags & KEYEVENT:
            self._broker.publish(b"__keyevent@%d__:%b" % (database, event), key)

    def missed(self, key: bytes, database: int) -> None:
        self.notify(KEY_MISS, b"keymiss", key, database)

    def created(self, key: bytes, database: int) -> None:
        self.notify(NEW, b"new", key, database)
