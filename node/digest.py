"""DEBUG DIGEST: one number for all that a server holds, the same as a real redis-server's for the same data.

Two operations on 160-bit numbers. `joined` takes something in whose order does not matter (exclusive or with its
SHA-1); `followed` takes it in its place (the SHA-1 of that). A database is joined from its keys, a set from its
members; a list follows its elements, a hash's pair is its field followed by its value. The sum depends on neither
the way a value is kept nor the order of what has none; idle times and encodings do not count.

Each type has a function in `DIGESTS`, which takes a digest (of the key's name, the type and what came before) and
the value. A new type of the keyspace adds a row. (A stream, type 6, follows its entries: of each the id as
``ms.seq``, then its fields and values in turns.)
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from struct import Struct
from typing import Any

from node.database import Database, Value, slot_of
from node.keyspace import Keyspace
from node.structures.hashes import Hash
from node.structures.lists import Quicklist
from node.structures.sets import Set
from node.structures.sortedsets import SortedSet
from node.structures.stream_ids import SEQUENCE_BITS, SEQUENCE_MAX
from node.structures.streams import Stream

_SIZE = 20
_U32_BIG = Struct(">I")

# Redis' numbers of the types.
_STRING, _LIST, _SET, _ZSET, _HASH, _MODULE, _STREAM = range(7)
# What stands for a key with a time to live, whichever it is.
_EXPIRES = b"!!expire!!"
# The same for a field of a hash, as Redis 7.4 has it.
_FIELD_EXPIRES = b"!!hexpire!!"


def joined(digest: int, data: bytes | bytearray) -> int:
    """The digest with `data` in it, in any place."""
    return digest ^ int.from_bytes(sha1(data, usedforsecurity=False).digest(), "big")


def followed(digest: int, data: bytes | bytearray) -> int:
    """The digest with `data` behind what it has."""
    return int.from_bytes(sha1(_bytes(joined(digest, data)), usedforsecurity=False).digest(), "big")


def _bytes(digest: int) -> bytes:
    return digest.to_bytes(_SIZE, "big")


def _digest_list(digest: int, value: Quicklist) -> int:
    for item in value:
        digest = followed(digest, item)
    return digest


def _digest_set(digest: int, value: Set) -> int:
    for member in value.members:
        digest = joined(digest, member)
    return digest


def _digest_zset(digest: int, value: SortedSet) -> int:
    for member, score in value.scores.items():
        digest = joined(digest, _bytes(followed(followed(0, member), b"%.17g" % score)))
    return digest


def _digest_hash(digest: int, value: Hash) -> int:
    for field, text in value.fields.items():
        of_pair = followed(followed(0, field), text)
        if value.expire_time(field) is not None:
            of_pair = joined(of_pair, _FIELD_EXPIRES)
        digest = joined(digest, _bytes(of_pair))
    return digest


def _digest_stream(digest: int, value: Stream) -> int:
    for node in value.nodes():
        for place in range(node.first, node.stop()):
            entry_id = node.id_at(place)
            digest = followed(digest, b"%d.%d" % (entry_id >> SEQUENCE_BITS, entry_id & SEQUENCE_MAX))
            for part in node.items_at(place):
                digest = followed(digest, part)
    return digest


# By class: Redis' number of the type, and how its contents are taken in.
DIGESTS: dict[type, tuple[int, Callable[[int, Any], int]]] = {
    bytes: (_STRING, followed),
    bytearray: (_STRING, followed),
    Quicklist: (_LIST, _digest_list),
    Set: (_SET, _digest_set),
    SortedSet: (_ZSET, _digest_zset),
    Hash: (_HASH, _digest_hash),
    Stream: (_STREAM, _digest_stream),
}


def _with_value(digest: int, value: Value, *, expires: bool) -> int:
    number, contents = DIGESTS[type(value)]
    digest = contents(followed(digest, _U32_BIG.pack(number)), value)
    return joined(digest, _EXPIRES) if expires else digest


def digest_of_key(database: Database, key: bytes) -> str:
    """DEBUG DIGEST-VALUE: of a key's value and whether it expires, 40 hex digits; zeros when there is none."""
    # Also that of a key which has expired and is still there.
    value = database.shards[slot_of(key)].get(key)
    if value is None:
        return "0" * (2 * _SIZE)
    return _bytes(_with_value(0, value, expires=database.expire_time(key) is not None)).hex()


def digest_of_all(keyspace: Keyspace) -> str:
    """DEBUG DIGEST: of all databases, 40 hex digits."""
    digest = 0
    for database in keyspace.databases():
        if not database.size:
            continue
        digest = followed(digest, _U32_BIG.pack(database.index))
        for shard in database.shards:
            for key, value in shard.items():
                of_key = _with_value(followed(0, key), value, expires=database.expire_time(key) is not None)
                digest = joined(digest, _bytes(of_key))
    return _bytes(digest).hex()
