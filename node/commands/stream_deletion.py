"""XDELEX and XACKDEL (Redis 8.2): entries deleted, and acknowledged, with an eye to what groups of consumers know.

Each answers with a number an id: -1 (there is none), 1 (deleted), 2 (still referenced). Replicas and the log are told
by XACK and XDEL, which older versions know.
"""

from __future__ import annotations

from node.call import Call
from node.commands.stream_arguments import parse_id
from node.notifications import STREAM
from node.structures.stream_references import DELETED, KEEPREF, NO_ENTRY, REFERENCED, WAYS, Deletion
from node.structures.streams import Stream
from wire.arguments import parse_integer
from wire.command import FAST, WRITE, command, key
from wire.errors import SYNTAX, Error
from wire.reply import Reply

_SINCE = "8.2.0"
_WHAT = "[KEEPREF | DELREF | ACKED] IDS <numids:integer id [id ...]>"
_NOT_POSITIVE = b"ERR Number of IDs must be a positive integer"
_MISCOUNTED = b"ERR The `numids` parameter must match the number of arguments"
_NO_IDS = b"ERR IDS option is required"


@command(
    "XDELEX",
    arity=-5,
    flags=WRITE | FAST,
    keys=key(1, "RW", "delete"),
    group="stream",
    since=_SINCE,
    complexity="O(1) for each single item to delete in the stream, regardless of the stream size.",
    summary="Deletes one or multiple entries from the stream.",
    syntax="key " + _WHAT,
)
def xdelex(call: Call) -> Reply:
    name = call.argv[1]
    stream = call.db.get_as(name, Stream)
    way, texts = _asked(call.argv, 2)
    if stream is None:
        return [NO_ENTRY] * len(texts)
    ids = [parse_id(text, strict=True) for text in texts]
    deletion = Deletion(stream, way)
    codes = [deletion.delete(entry_id) for entry_id in ids]
    _conclude(call, name, deletion)
    return codes


@command(
    "XACKDEL",
    arity=-6,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update", "delete"),
    group="stream",
    since=_SINCE,
    complexity="O(1) for each message ID processed.",
    summary="Acknowledges and deletes one or multiple messages for a stream consumer group.",
    syntax="key group " + _WHAT,
)
def xackdel(call: Call) -> Reply:
    _, name, group_name, *_ = call.argv
    stream = call.db.read_as(name, Stream)
    way, texts = _asked(call.argv, 3)
    group = None if stream is None else stream.groups.get(group_name)
    if stream is None or group is None:
        return [NO_ENTRY] * len(texts)
    ids = [parse_id(text, strict=True) for text in texts]
    deletion = Deletion(stream, way)
    codes: list[int] = []
    for entry_id in ids:
        if not deletion.acknowledge(group_name, group, entry_id):
            codes.append(NO_ENTRY)
        else:
            # One that was pending, but has been deleted before, counts as deleted.
            codes.append(REFERENCED if deletion.delete(entry_id) == REFERENCED else DELETED)
    _conclude(call, name, deletion)
    return codes


def _asked(argv: list[bytes], at: int) -> tuple[bytes, list[bytes]]:
    """How to delete, and which ids; raises Error."""
    way = b""
    ids: list[bytes] = []
    while at < len(argv):
        word = argv[at].upper()
        if word in WAYS and not way:
            way = word
            at += 1
        elif word == b"IDS" and at + 1 < len(argv):
            count = parse_integer(argv[at + 1], _NOT_POSITIVE)
            if count <= 0:
                raise Error(_NOT_POSITIVE)
            at += 2
            if count > len(argv) - at:
                raise Error(_MISCOUNTED)
            ids = argv[at : at + count]
            at += count
        else:
            raise Error(SYNTAX)
    if not ids:
        raise Error(_NO_IDS)
    return way or KEEPREF, ids


def _conclude(call: Call, name: bytes, deletion: Deletion) -> None:
    changes = deletion.finish()
    if deletion.deleted:
        call.db.changed(name, 0)
        call.notify(STREAM, b"xdel", name)
    call.keyspace.dirty += changes
    for told in deletion.told(name):
        call.propagate(*told)
