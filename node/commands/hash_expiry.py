"""Fields of hashes that expire by themselves (Redis 7.4; a 7.0 has no such thing).

Each command answers with a number a field. What is repeated on replicas and in the log are the effects: absolute times
of the fields that were given one, and HDEL of those whose time had passed already. What does both, reading or writing
fields and giving them times, is in `node.commands.hash_combined`.
"""

from __future__ import annotations

from node.arguments import invalid_expire_time
from node.call import Call
from node.commands.hash_access import drop_if_empty, is_due
from node.database import DELETE_EXPIRED
from node.notifications import HASH
from node.structures.hashes import Hash
from wire.arguments import parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import Error
from wire.reply import Reply

# What is answered for a field.
_NO_FIELD, _NO_TTL = -2, -1
_REFUSED, _SET, _DELETED = 0, 1, 2
# HPERSIST's own.
_PERSISTED = 1

# The latest moment that may be asked for: a quarter of what fits into the 48 bits that Redis has for it.
_MOMENT_MAX_MS = (1 << 46) - 1

_NO_FIELDS = b"ERR Mandatory argument FIELDS is missing or not at the right position"
NOT_POSITIVE = b"ERR Number of fields must be a positive integer"
# The same of those that set times.
_NO_COUNT = b"ERR Parameter `numFields` should be greater than 0"
_MISCOUNTED = b"ERR The `numfields` parameter must match the number of arguments"

_SINCE = "7.4.0"
_COMPLEXITY = "O(N) where N is the number of specified fields"
FIELDS = "FIELDS <numfields:integer field [field ...]>"
_CONDITIONS = (b"NX", b"XX", b"GT", b"LT")


def named_fields(argv: list[bytes], at: int, refusal: bytes = NOT_POSITIVE) -> list[bytes]:
    """The fields behind FIELDS and their number, which begin at argument `at` and end the request."""
    if at + 1 >= len(argv) or argv[at].upper() != b"FIELDS":
        raise Error(_NO_FIELDS)
    count = parse_integer(argv[at + 1], refusal)
    if count <= 0:
        raise Error(refusal)
    fields = argv[at + 2 :]
    if len(fields) != count:
        raise Error(_MISCOUNTED)
    return fields


@command(
    "HEXPIRE",
    arity=-6,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Set expiry for hash field using relative time to expire (seconds)",
    syntax="key seconds [NX | XX | GT | LT] " + FIELDS,
)
def hexpire(call: Call) -> Reply:
    return _expire(call, 1000, relative=True)


@command(
    "HPEXPIRE",
    arity=-6,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Set expiry for hash field using relative time to expire (milliseconds)",
    syntax="key milliseconds [NX | XX | GT | LT] " + FIELDS,
)
def hpexpire(call: Call) -> Reply:
    return _expire(call, 1, relative=True)


@command(
    "HEXPIREAT",
    arity=-6,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Set expiry for hash field using an absolute Unix timestamp (seconds)",
    syntax="key unix-time-seconds [NX | XX | GT | LT] " + FIELDS,
)
def hexpireat(call: Call) -> Reply:
    return _expire(call, 1000, relative=False)


@command(
    "HPEXPIREAT",
    arity=-6,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
    syntax="key unix-time-milliseconds [NX | XX | GT | LT] " + FIELDS,
)
def hpexpireat(call: Call) -> Reply:
    return _expire(call, 1, relative=False)


def _expire(call: Call, unit_ms: int, *, relative: bool) -> Reply:
    argv = call.argv
    name = argv[1]
    hash_ = call.db.get_as(name, Hash)
    when_ms = field_moment(call, argv[2], unit_ms, relative=relative)
    condition = argv[3].upper()
    if condition not in _CONDITIONS:
        condition = b""
    fields = named_fields(argv, 4 if condition else 3, _NO_COUNT)
    if hash_ is None:
        return [_NO_FIELD] * len(fields)
    past = is_past(call, when_ms)
    codes: list[int] = []
    given: list[bytes] = []
    for field in fields:
        if field not in hash_.fields:
            codes.append(_NO_FIELD)
        elif not _allows(condition, hash_.expire_time(field), when_ms):
            codes.append(_REFUSED)
        else:
            if past:
                call.keyspace.delete_fields(call.db, name, hash_, [field])
            else:
                hash_.expire_at(field, when_ms)
            codes.append(_DELETED if past else _SET)
            given.append(field)
    if given:
        call.db.changed(name, len(given))
        if past:
            call.notify(HASH, b"hdel", name)
            call.propagate_nothing()
            drop_if_empty(call, name, hash_)
        else:
            call.db.await_fields(name, hash_)
            call.notify(HASH, b"hexpire", name)
            # The condition holds there as it does here, and Redis repeats it.
            conditions = (argv[3],) if condition else ()
            moment = b"%d" % when_ms
            call.propagate(b"HPEXPIREAT", name, moment, *conditions, b"FIELDS", b"%d" % len(given), *given)
    return codes


def is_past(call: Call, when_ms: int) -> bool:
    """Whether fields that are given this moment are deleted at once."""
    return when_ms <= call.keyspace.now_ms and call.keyspace.expiry == DELETE_EXPIRED


def field_moment(call: Call, text: bytes, unit_ms: int, *, relative: bool) -> int:
    """When the fields are to expire, in Unix milliseconds."""
    number = parse_integer(text)
    if number < 0:
        raise Error(b"ERR invalid expire time, must be >= 0")
    when_ms = number * unit_ms + (call.keyspace.now_ms if relative else 0)
    if when_ms > _MOMENT_MAX_MS:
        raise invalid_expire_time(call)
    return when_ms


def _allows(condition: bytes, old_ms: int | None, new_ms: int) -> bool:
    """Whether a field that expires at `old_ms` may be given `new_ms`; without a time it is taken to live for ever."""
    match condition:
        case b"NX":
            return old_ms is None
        case b"XX":
            return old_ms is not None
        case b"GT":
            return old_ms is not None and new_ms > old_ms
        case b"LT":
            return old_ms is None or new_ms < old_ms
    return True


@command(
    "HTTL",
    arity=-5,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Returns the TTL in seconds of a hash field.",
    syntax="key " + FIELDS,
    tips=("nondeterministic_output",),
)
def httl(call: Call) -> Reply:
    return _times(call, 1000, relative=True)


@command(
    "HPTTL",
    arity=-5,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Returns the TTL in milliseconds of a hash field.",
    syntax="key " + FIELDS,
    tips=("nondeterministic_output",),
)
def hpttl(call: Call) -> Reply:
    return _times(call, 1, relative=True)


@command(
    "HEXPIRETIME",
    arity=-5,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
    syntax="key " + FIELDS,
)
def hexpiretime(call: Call) -> Reply:
    return _times(call, 1000, relative=False)


@command(
    "HPEXPIRETIME",
    arity=-5,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Returns the expiration time of a hash field as a Unix timestamp, in msec.",
    syntax="key " + FIELDS,
)
def hpexpiretime(call: Call) -> Reply:
    return _times(call, 1, relative=False)


def _times(call: Call, unit_ms: int, *, relative: bool) -> Reply:
    hash_ = call.db.read_as(call.argv[1], Hash)
    fields = named_fields(call.argv, 2)
    since_ms = call.keyspace.now_ms if relative else 0
    return [_time(call, hash_, field, since_ms, unit_ms) for field in fields]


def _time(call: Call, hash_: Hash | None, field: bytes, since_ms: int, unit_ms: int) -> int:
    """The field's time, a part of a unit counted as a whole one."""
    if hash_ is None or field not in hash_.fields or is_due(call, hash_, field):
        return _NO_FIELD
    when_ms = hash_.expire_time(field)
    return _NO_TTL if when_ms is None else (when_ms - since_ms + unit_ms - 1) // unit_ms


@command(
    "HPERSIST",
    arity=-5,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since=_SINCE,
    complexity=_COMPLEXITY,
    summary="Removes the expiration time for each specified field",
    syntax="key " + FIELDS,
)
def hpersist(call: Call) -> Reply:
    name = call.argv[1]
    hash_ = call.db.get_as(name, Hash)
    fields = named_fields(call.argv, 2)
    if hash_ is None:
        return [_NO_FIELD] * len(fields)
    codes = [_persist(call, hash_, field) for field in fields]
    persisted = codes.count(_PERSISTED)
    if persisted:
        call.db.changed(name, persisted)
        call.notify(HASH, b"hpersist", name)
    return codes


def _persist(call: Call, hash_: Hash, field: bytes) -> int:
    if field not in hash_.fields or is_due(call, hash_, field):
        return _NO_FIELD
    return _PERSISTED if hash_.persist(field) else _NO_TTL
