"""Stretches: the same command over and over in one pipeline, run in one go.

Loading data, filling a queue or fetching many keys is one command repeated, and then most of its cost is what stands
around it: the call of a handler, finding the database, asking whether anybody watches. For a stretch all that is asked
once. A function here runs as many of the commands as are ordinary and stops before the first that is not (a key of
another type or about to expire, a slot that is not ours): that one, and what follows it, gets the handler in
`node.commands`, which knows everything. So nothing is decided here, and both must answer the same, which
`tests/node/test_stretches_like_redis.py` checks.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Final

from node.aftermath import LARGE
from node.call import Call
from node.commands.counters import SHARED, SMALL, TEXTS
from node.structures.hashes import Hash
from node.structures.lists import Quicklist
from node.structures.sets import Set
from node.structures.stream_ids import ID_MAX, SEQUENCE_BITS
from node.structures.streams import Stream
from node.structures.table import Table
from wire.encoder import INTEGERS, NIL_2, NIL_3, encode_items, encode_values
from wire.table import CommandTable, Stretch, StretchNotes

_OK = b"+OK\r\n"
_PONG = b"+PONG\r\n"
_ZERO, _ONE = INTEGERS[:2]
# How the reply of a number ends, by its last three digits.
_ENDS = [b"%03d\r\n" % number for number in range(1000)]
# There is no key of that name.
_ABSENT: Final = object()
_STRING_OR_NONE: Final = frozenset((bytes, type(None)))
# With more bytes, entries of a stream are looked at one by one.
_STREAM_BYTES_MAX = 1 << 20


def _ping(call: Call, columns: list[list[bytes]], _owned: bytearray, _notes: StretchNotes) -> int:
    done = len(columns[0])
    call.session.out += [_PONG] * done
    return done


def _get(call: Call, columns: list[list[bytes]], owned: bytearray, notes: StretchNotes) -> int:
    db = call.db
    keyspace = call.keyspace
    shards = db.shards
    volatile = db.volatile
    keys = columns[1]
    if not volatile and 0 not in owned and 123 not in b"".join(keys):
        # No key needs a closer look: the loop below, without what it looks at.
        crc = crc_hqx
        found = [shards[crc(key, 0) & 16383].get(key) for key in keys]
        if _STRING_OR_NONE.issuperset(map(type, found)):
            return _reply_values(call, found, notes)
    values: list[bytes | None] = []
    append = values.append
    for key in keys:
        slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
        if not owned[slot]:
            break
        value = shards[slot].get(key)
        if type(value) is bytes:
            if volatile:
                expires = db.expires[slot]
                if expires is not None and key in expires:
                    break
        elif value is not None:
            break
        append(value)
    return _reply_values(call, values, notes)


def _reply_values(call: Call, values: list[bytes | None], notes: StretchNotes) -> int:
    if notes.apart and _are_large(values):
        return 0
    missed = values.count(None)
    keyspace = call.keyspace
    keyspace.hits += len(values) - missed
    keyspace.misses += missed
    if values:
        _reply(call, values, missed, notes)
    return len(values)


def _are_large(values: Sequence[bytes | None]) -> bool:
    """Whether to copy one of them may take so long that it must be timed by itself."""
    return sum(map(len, filter(None, values))) >= LARGE


def _reply(call: Call, values: Sequence[bytes | None], missing: int, notes: StretchNotes) -> None:
    session = call.session
    if notes.apart:
        nil = NIL_2 if session.proto == 2 else NIL_3
        notes.missing = missing > 0
        session.out += [nil if value is None else b"$%d\r\n%b\r\n" % (len(value), value) for value in values]
    else:
        encode_values(session.out, values, missing, session.proto)


def _set(call: Call, columns: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    db = call.db
    keyspace = call.keyspace
    shards = db.shards
    occupied = db.occupied
    volatile = db.volatile
    done = created = 0
    for key, value in zip(columns[1], columns[2], strict=True):
        slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
        if not owned[slot]:
            break
        shard = shards[slot]
        old = shard.get(key)
        if old is None:
            created += 1
            occupied[slot] = 1
        elif type(old) is not bytes:
            break
        elif volatile:
            expires = db.expires[slot]
            if expires is not None and key in expires:
                break
        shard[key] = value
        done += 1
    db.size += created
    keyspace.dirty += done
    call.session.out += [_OK] * done
    return done


def _incr(call: Call, columns: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    db = call.db
    keyspace = call.keyspace
    shards = db.shards
    occupied = db.occupied
    volatile = db.volatile
    append = call.session.out.append
    done = created = 0
    for key in columns[1]:
        slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
        if not owned[slot]:
            break
        shard = shards[slot]
        old = shard.get(key)
        if old is None:
            created += 1
            occupied[slot] = 1
            number = 1
        else:
            if type(old) is not bytes or old not in SMALL:
                break
            if volatile:
                expires = db.expires[slot]
                if expires is not None and key in expires:
                    break
            number = SMALL[old] + 1
        shard[key] = TEXTS[number] if number < SHARED else b"%d" % number
        append(INTEGERS[number] if number < 1024 else b":%d\r\n" % number)
        done += 1
    db.size += created
    keyspace.dirty += done
    return done


def _push(call: Call, columns: list[list[bytes]], owned: bytearray, *, left: bool) -> int:
    """Elements for one list."""
    key = columns[1][0]
    value = _structure(call, key, owned)
    if type(value) is not Quicklist:
        return 0
    done = _of_one_key(columns[1])
    items = columns[2] if done == len(columns[2]) else columns[2][:done]
    length = value.extend_left(items) if left else value.extend_right(items)
    call.keyspace.dirty += done
    call.session.out += _numbers(length - done + 1, length)
    return done


def _numbers(first: int, last: int) -> list[bytes]:
    """Replies that count from one number to another, a thousand at a time: only their ends differ then."""
    replies: list[bytes] = []
    while first <= last:
        thousands, rest = divmod(first, 1000)
        ends = _ENDS[rest : rest + last - first + 1]
        if thousands:
            head = b":%d" % thousands
            replies += [head + end for end in ends]
        else:
            replies += INTEGERS[first : first + len(ends)]
        first += len(ends)
    return replies


def _lpush(call: Call, columns: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    return _push(call, columns, owned, left=True)


def _rpush(call: Call, columns: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    return _push(call, columns, owned, left=False)


def _pop(call: Call, columns: list[list[bytes]], owned: bytearray, notes: StretchNotes, *, left: bool) -> int:
    """Elements of one list, but for its last one, with which the key goes."""
    value = _structure(call, columns[1][0], owned)
    done = _of_one_key(columns[1])
    items: Sequence[bytes | None]
    if value is _ABSENT:
        items = [None] * done
    elif type(value) is Quicklist:
        length = len(value)
        done = min(done, length - 1)
        items = value.slice(0, done) if left else value.slice(length - done, length)[::-1]
        if notes.apart and _are_large(items):
            return 0
        if left:
            value.drop_left(done)
        else:
            value.drop_right(done)
        call.keyspace.dirty += done
    else:
        return 0
    if done:
        _reply(call, items, done if value is _ABSENT else 0, notes)
    return done


def _lpop(call: Call, columns: list[list[bytes]], owned: bytearray, notes: StretchNotes) -> int:
    return _pop(call, columns, owned, notes, left=True)


def _rpop(call: Call, columns: list[list[bytes]], owned: bytearray, notes: StretchNotes) -> int:
    return _pop(call, columns, owned, notes, left=False)


def _sadd(call: Call, columns: list[list[bytes]], owned: bytearray, notes: StretchNotes) -> int:
    """Members of one set."""
    key = columns[1][0]
    value = _structure(call, key, owned)
    if type(value) is not Set:
        return 0
    done = _of_one_key(columns[1])
    known = notes.unchanged = value.add_each(columns[2][:done], call.keyspace.limits.intset_entries)
    call.session.out += _ones(done, known)
    call.keyspace.dirty += done - len(known)
    return done


def _hset(call: Call, columns: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    """Fields of one hash."""
    key = columns[1][0]
    value = _structure(call, key, owned)
    if type(value) is not Hash or value.expiry is not None:
        return 0
    done = _of_one_key(columns[1])
    names, texts = columns[2][:done], columns[3]
    fields = value.fields
    if type(fields) is Table:
        known = fields.put_each(names, texts)
    else:
        set_field = value.set
        limits = call.keyspace.limits
        known = [at for at in range(done) if not set_field(names[at], texts[at], limits)]
    call.session.out += _ones(done, known)
    call.keyspace.dirty += done
    return done


def _ones(count: int, zeros: list[int]) -> list[bytes]:
    """Replies that say 1, but for those at some places, which say 0."""
    replies = [_ONE] * count
    for at in zeros:
        replies[at] = _ZERO
    return replies


def _xadd(call: Call, columns: list[list[bytes]], owned: bytearray, notes: StretchNotes) -> int:
    """Entries of one stream, whose ids are for us to choose."""
    key = columns[1][0]
    if len(columns) % 2 == 0 or columns[2][0] != b"*":
        return 0
    value = _structure(call, key, owned)
    done = min(_of_one_key(columns[1]), _of_one_key(columns[2]))
    if type(value) is not Stream:
        return 0
    rows = list(map(list, zip(*[column[:done] for column in columns[3:]], strict=True)))
    length = sum([len(text) for column in columns for text in column])
    keyspace = call.keyspace
    first_id = max(keyspace.now_ms << SEQUENCE_BITS, value.last_id + 1)
    if length > _STREAM_BYTES_MAX:
        return 0
    last_id = first_id + len(rows) - 1
    if last_id > ID_MAX or first_id >> SEQUENCE_BITS != last_id >> SEQUENCE_BITS:
        return 0
    settings = call.node.settings
    ids, contents = value.append_run(first_id, rows, settings.stream_node_max_bytes, settings.stream_node_max_entries)
    keyspace.dirty += len(rows)
    call.session.out += ids
    head = b"*%d\r\n%b" % (len(columns), encode_items([columns[0][0], key]))
    notes.effects = b"".join([piece for pair in zip(ids, contents, strict=True) for piece in (head, *pair)])
    return len(rows)


def _of_one_key(keys: list[bytes]) -> int:
    """How many of them are the same at the beginning."""
    key = keys[0]
    if keys.count(key) == len(keys):
        return len(keys)
    return next(at for at, other in enumerate(keys) if other != key)


def _structure(call: Call, key: bytes, owned: bytearray) -> object:
    """What `key` holds, `_ABSENT` if nothing; None where that takes a closer look."""
    db = call.db
    slot = call.keyspace.slot_of(key)
    if not owned[slot]:
        return None
    expires = db.expires[slot]
    if expires is not None and key in expires:
        return None
    return db.shards[slot].get(key, _ABSENT)


# By the command's name; each for this many arguments, the name included (0: for any number).
_STRETCHES: dict[str, tuple[int, Stretch]] = {
    "ping": (1, _ping),
    "get": (2, _get),
    "set": (3, _set),
    "incr": (2, _incr),
    "lpush": (3, _lpush),
    "rpush": (3, _rpush),
    "lpop": (2, _lpop),
    "rpop": (2, _rpop),
    "sadd": (3, _sadd),
    "hset": (4, _hset),
    "xadd": (0, _xadd),
}


def attach(table: CommandTable) -> None:
    """Let the commands of `table` know how their like run in one go."""
    for name, (argc, run) in _STRETCHES.items():
        command = table.all[name]
        command.stretch = run
        command.stretch_argc = argc
