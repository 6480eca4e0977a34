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

from node.call import Call
from node.commands.counters import SHARED, SMALL, TEXTS
from node.structures.hashes import Hash
from node.structures.lists import Quicklist
from node.structures.sets import Set
from node.structures.stream_ids import ID_MAX, SEQUENCE_BITS
from node.structures.streams import Stream
from wire.encoder import BULK_HEADERS, CRLF, INTEGERS, NIL_2, NIL_3, encode_items
from wire.table import CommandTable, Stretch, StretchNotes

_OK = b"+OK\r\n"
# With more bytes, entries of a stream are looked at one by one.
_STREAM_BYTES_MAX = 1 << 20


def _get(call: Call, commands: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    db = call.db
    keyspace = call.keyspace
    shards = db.shards
    volatile = db.volatile
    out = call.session.out
    nil = NIL_2 if call.session.proto == 2 else NIL_3
    done = missed = 0
    for _, key in commands:
        slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
        if not owned[slot]:
            break
        value = shards[slot].get(key)
        if type(value) is bytes:
            if volatile:
                expires = db.expires[slot]
                if expires is not None and key in expires:
                    break
            length = len(value)
            if length < 1024:
                out += (BULK_HEADERS[length], value, CRLF)
            else:
                out.append(b"$%d\r\n%b\r\n" % (length, value))
        elif value is None:
            missed += 1
            out.append(nil)
        else:
            break
        done += 1
    keyspace.hits += done - missed
    keyspace.misses += missed
    return done


def _set(call: Call, commands: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    db = call.db
    keyspace = call.keyspace
    shards = db.shards
    volatile = db.volatile
    done = created = 0
    for _, key, value in commands:
        slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
        if not owned[slot]:
            break
        shard = shards[slot]
        old = shard.get(key)
        if old is None:
            created += 1
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


def _incr(call: Call, commands: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    db = call.db
    keyspace = call.keyspace
    shards = db.shards
    volatile = db.volatile
    append = call.session.out.append
    done = created = 0
    for _, key in commands:
        slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
        if not owned[slot]:
            break
        shard = shards[slot]
        old = shard.get(key)
        if old is None:
            created += 1
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


def _push(call: Call, commands: list[list[bytes]], owned: bytearray, *, left: bool) -> int:
    """Elements for one list."""
    key = commands[0][1]
    value = _structure(call, key, owned)
    if type(value) is not Quicklist:
        return 0
    items = []
    for _, name, item in commands:
        if name != key:
            break
        items.append(item)
    length = value.extend_left(items) if left else value.extend_right(items)
    done = len(items)
    call.keyspace.dirty += done
    call.session.out += [b":%d\r\n" % number for number in range(length - done + 1, length + 1)]
    return done


def _lpush(call: Call, commands: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    return _push(call, commands, owned, left=True)


def _rpush(call: Call, commands: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    return _push(call, commands, owned, left=False)


def _sadd(call: Call, commands: list[list[bytes]], owned: bytearray, notes: StretchNotes) -> int:
    """Members of one set."""
    key = commands[0][1]
    value = _structure(call, key, owned)
    if type(value) is not Set:
        return 0
    add = value.add
    most = call.keyspace.limits.intset_entries
    append = call.session.out.append
    done = 0
    for _, name, member in commands:
        if name != key:
            break
        added = add(member, most)
        if not added:
            notes.unchanged.append(done)
        append(INTEGERS[added])
        done += 1
    call.keyspace.dirty += done - len(notes.unchanged)
    return done


def _hset(call: Call, commands: list[list[bytes]], owned: bytearray, _notes: StretchNotes) -> int:
    """Fields of one hash."""
    key = commands[0][1]
    value = _structure(call, key, owned)
    if type(value) is not Hash or value.expiry is not None:
        return 0
    set_field = value.set
    limits = call.keyspace.limits
    append = call.session.out.append
    done = 0
    for _, name, field, text in commands:
        if name != key:
            break
        append(INTEGERS[set_field(field, text, limits)])
        done += 1
    call.keyspace.dirty += done
    return done


def _xadd(call: Call, commands: list[list[bytes]], owned: bytearray, notes: StretchNotes) -> int:
    """Entries of one stream, whose ids are for us to choose."""
    key, rest = commands[0][1], commands[0][3:]
    value = _structure(call, key, owned)
    if type(value) is not Stream or len(rest) & 1:
        return 0
    rows = []
    length = 0
    for argv in commands:
        if argv[1] != key or argv[2] != b"*":
            break
        rows.append(argv[3:])
        length += sum(map(len, argv))
    keyspace = call.keyspace
    first_id = max(keyspace.now_ms << SEQUENCE_BITS, value.last_id + 1)
    if not rows or length > _STREAM_BYTES_MAX:
        return 0
    last_id = first_id + len(rows) - 1
    if last_id > ID_MAX or first_id >> SEQUENCE_BITS != last_id >> SEQUENCE_BITS:
        return 0
    settings = call.node.settings
    ids, contents = value.append_run(first_id, rows, settings.stream_node_max_bytes, settings.stream_node_max_entries)
    keyspace.dirty += len(rows)
    call.session.out += ids
    head = b"*%d\r\n%b" % (len(rest) + 3, encode_items(commands[0][:2]))
    notes.effects = b"".join([piece for pair in zip(ids, contents, strict=True) for piece in (head, *pair)])
    return len(rows)


def _structure(call: Call, key: bytes, owned: bytearray) -> object:
    """What `key` holds; None also where that takes a closer look."""
    db = call.db
    slot = call.keyspace.slot_of(key)
    if not owned[slot]:
        return None
    expires = db.expires[slot]
    if expires is not None and key in expires:
        return None
    return db.shards[slot].get(key)


# By the command's name; each for this many arguments, the name included (0: for any number).
_STRETCHES: dict[str, tuple[int, Stretch]] = {
    "get": (2, _get),
    "set": (3, _set),
    "incr": (2, _incr),
    "lpush": (3, _lpush),
    "rpush": (3, _rpush),
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
