"""Hashes, field by field. What lists fields is in `node.commands.hash_listing`, what counts in `hash_counters`."""

from __future__ import annotations

from node.call import Call
from node.commands.hash_access import drop_if_empty, find_field, look_up, look_up_each
from node.notifications import HASH
from node.structures.hashes import Hash
from node.structures.table import Table
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import WRONGTYPE, Error, wrong_arity
from wire.reply import OK, Reply


@command(
    "HSET",
    arity=-4,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since="2.0.0",
    complexity="O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called "
    "with multiple field/value pairs.",
    summary="Set the string value of a hash field",
    syntax="key field value [field value ...]",
    history=(("4.0.0", "Accepts multiple `field` and `value` arguments."),),
)
def hset(call: Call) -> Reply:
    argv = call.argv
    if len(argv) != 4:
        return _set_fields(call)
    _, name, field, value = argv
    db = call.db
    keyspace = call.keyspace
    # What `Database.get_as`, `Hash.set` and `Database.changed` do, without the calls where nothing is to be looked at
    # and nobody to be told.
    if name is keyspace.key and not db.looks_closer:
        hash_ = db.shards[keyspace.slot].get(name)
    else:
        hash_ = db.get(name)
    if type(hash_) is Hash:
        if hash_.expiry is not None:
            return _set_fields(call)
        fields = hash_.fields
        added = fields.put(field, value) if type(fields) is Table else hash_.set(field, value, keyspace.limits)
        keyspace.dirty += 1
        if db.attended:
            db.changed(name, 0)
            call.notify(HASH, b"hset", name)
    elif hash_ is None:
        hash_ = Hash()
        added = hash_.set(field, value, keyspace.limits)
        hash_.pack(keyspace.limits.shapes)
        db.put(name, hash_)
        call.notify(HASH, b"hset", name)
    else:
        raise Error(WRONGTYPE)
    return added


@command(
    "HMSET",
    arity=-4,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the number of fields being set.",
    summary="Set multiple hash fields to multiple values",
    syntax="key field value [field value ...]",
    deprecated=("4.0.0", "`HSET` with multiple field-value pairs"),
)
def hmset(call: Call) -> Reply:
    _set_fields(call)
    return OK


def _set_fields(call: Call) -> int:
    """HSET and HMSET; how many fields are new."""
    argv = call.argv
    count = len(argv) // 2 - 1
    if len(argv) % 2:
        raise wrong_arity(call.command.name)
    name = argv[1]
    db = call.db
    hash_ = db.get_as(name, Hash)
    is_new = hash_ is None
    if hash_ is None:
        hash_ = Hash()
    limits = call.keyspace.limits
    added = 0
    for at in range(2, len(argv), 2):
        added += hash_.set(argv[at], argv[at + 1], limits)
    if is_new:
        hash_.pack(limits.shapes)
        db.put(name, hash_)
        call.keyspace.dirty += count - 1
    else:
        db.changed(name, count)
    if call.keyspace.notifier.flags:
        call.notify(HASH, b"hset", name)
    return added


@command(
    "HSETNX",
    arity=4,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Set the value of a hash field, only if the field does not exist",
    syntax="key field value",
)
def hsetnx(call: Call) -> Reply:
    _, name, field, value = call.argv
    hash_, found = find_field(call, name, field)
    if found is not None:
        return 0
    if hash_ is not None:
        hash_.persist(field)
    store_field(call, hash_, field, value)
    call.notify(HASH, b"hset", name)
    return 1


def store_field(call: Call, hash_: Hash | None, field: bytes, value: bytes) -> int | None:
    """Set a field in the hash of the command's key, which is made if it is None.

    Its time to live stays, and is returned, in Unix milliseconds.
    """
    kept = Hash() if hash_ is None else hash_
    when_ms = kept.update(field, value, call.keyspace.limits)
    if hash_ is None:
        call.db.put(call.argv[1], kept)
    else:
        call.db.changed(call.argv[1])
    return when_ms


@command(
    "HGET",
    arity=3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Get the value of a hash field",
    syntax="key field",
)
def hget(call: Call) -> Reply:
    _, name, field = call.argv
    hash_ = call.db.read_as(name, Hash)
    if hash_ is None:
        return None
    return hash_.fields.get(field) if hash_.expiry is None else look_up(call, name, hash_, field)


@command(
    "HMGET",
    arity=-3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the number of fields being requested.",
    summary="Get the values of all the given hash fields",
    syntax="key field [field ...]",
)
def hmget(call: Call) -> Reply:
    argv = call.argv
    hash_ = call.db.read_as(argv[1], Hash)
    if hash_ is None:
        return [None] * (len(argv) - 2)
    if hash_.expiry is not None:
        return look_up_each(call, argv[1], hash_, argv[2:])
    return [*map(hash_.fields.get, argv[2:])]


@command(
    "HDEL",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "delete"),
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the number of fields to be removed.",
    summary="Delete one or more hash fields",
    syntax="key field [field ...]",
    history=(("2.4.0", "Accepts multiple `field` arguments."),),
)
def hdel(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    hash_ = call.db.get_as(name, Hash)
    if hash_ is None:
        return 0
    deleted = hash_.remove(argv[2:])
    if deleted:
        call.db.changed(name, deleted)
        call.notify(HASH, b"hdel", name)
        drop_if_empty(call, name, hash_)
    return deleted


@command(
    "HLEN",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Get the number of fields in a hash",
    syntax="key",
)
def hlen(call: Call) -> Reply:
    hash_ = call.db.read_as(call.argv[1], Hash)
    return 0 if hash_ is None else len(hash_.fields)


@command(
    "HSTRLEN",
    arity=3,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="hash",
    since="3.2.0",
    complexity="O(1)",
    summary="Get the length of the value of a hash field",
    syntax="key field",
)
def hstrlen(call: Call) -> Reply:
    _, name, field = call.argv
    hash_ = call.db.read_as(name, Hash)
    return 0 if hash_ is None else len(look_up(call, name, hash_, field) or b"")


@command(
    "HEXISTS",
    arity=3,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Determine if a hash field exists",
    syntax="key field",
)
def hexists(call: Call) -> Reply:
    _, name, field = call.argv
    hash_ = call.db.read_as(name, Hash)
    return int(hash_ is not None and look_up(call, name, hash_, field) is not None)
