"""Strings as whole values.

What works on a part of a string is in `node.commands.substrings`, what works on its number in `node.commands.counters`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from node.arguments import COMPARISONS, expire_moment, expire_option, parse_options
from node.call import Call
from node.commands.string_conditions import holds
from node.database import DELETE_EXPIRED
from node.notifications import GENERIC, STRING
from wire.arguments import INT32_MAX, parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key, keys, numkeys
from wire.errors import Error, wrong_arity
from wire.key_places import KeyPlace
from wire.reply import OK, Bulks, Reply

_BYTES_ALONE = frozenset((bytes,))
_BAD_NUMKEYS = b"ERR invalid numkeys value"
_EXPIRES = (b"EX", b"PX", b"EXAT", b"PXAT")
_CONDITIONS = (b"NX", b"XX", b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE")


def _one_of(names: tuple[bytes, ...], *others: bytes) -> dict[bytes, tuple[bytes, ...]]:
    """Options of which only one may be given, and none beside `others`."""
    return {name: (*others, *(rival for rival in names if rival != name)) for name in names}


# The options of SET, GETEX and MSETEX, each with those it cannot be combined with.
_SET_OPTIONS = {**_one_of(_CONDITIONS), b"GET": (), b"KEEPTTL": _EXPIRES, **_one_of(_EXPIRES, b"KEEPTTL")}
_GETEX_OPTIONS = {b"PERSIST": _EXPIRES, **_one_of(_EXPIRES, b"PERSIST")}
_MSETEX_OPTIONS = {**_one_of((b"NX", b"XX")), b"KEEPTTL": _EXPIRES, **_one_of(_EXPIRES, b"KEEPTTL")}
# Those of SET for which it reads its key.
_READING = COMPARISONS | {b"GET"}


def _set_key(argv: Sequence[bytes]) -> list[KeyPlace]:
    """SET reads its key only with the option GET, or where it compares."""
    if any(word.upper() in _READING for word in argv[3:]):
        return [(1, ("RW", "access", "update"))]
    return [(1, ("OW", "update"))]


@command(
    "GET",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the string value of a key.",
    syntax="key",
)
def get(call: Call) -> Reply:
    return call.db.read_string(call.argv[1])


@command(
    "SET",
    arity=-3,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "access", "update", "variable_flags", notes="RW and ACCESS due to the optional `GET` argument"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
    syntax="key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] "
    "[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
    history=(
        ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
        ("6.0.0", "Added the `KEEPTTL` option."),
        ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
        ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
        ("8.4.0", "Added `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` options."),
    ),
    find_keys=_set_key,
)
def set_(call: Call) -> Reply:
    argv = call.argv
    if len(argv) == 3:
        call.db.put(argv[1], argv[2])
        if call.keyspace.notifier.flags:
            call.notify(STRING, b"set", argv[1])
        return OK
    return _set_with_options(call, argv, argv[1])


def _set_with_options(call: Call, argv: list[bytes], name: bytes) -> Reply:
    options = parse_options(argv, 3, _SET_OPTIONS)
    moment = expire_option(call, options)
    db = call.db
    old = None
    compared = False
    # A time to live by itself is what is asked for most.
    if moment is None or len(options) > 1:
        if b"GET" in options:
            old = db.read_string(name)
        if b"NX" in options or b"XX" in options:
            found = db.get(name) is not None
            if found is (b"NX" in options):
                return old
        elif not COMPARISONS.isdisjoint(options):
            compared = True
            if not _is_as_believed(call, name, options):
                return old
    if b"KEEPTTL" in options and db.get(name) is not None:
        db.replace(name, argv[2])
    else:
        db.put(name, argv[2])
    call.notify(STRING, b"set", name)
    if moment is not None:
        _expire_at(call, name, moment)
        call.propagate(b"SET", name, argv[2], b"PXAT", b"%d" % moment)
    elif compared:
        # An older replica does not know them, and none needs to compare.
        call.propagate(b"SET", name, argv[2], *((b"KEEPTTL",) if b"KEEPTTL" in options else ()))
    elif b"GET" in options:
        # A replica has no use for the old value.
        call.propagate(*argv[:3], *(option for option in argv[3:] if option.upper() != b"GET"))
    return old if b"GET" in options else OK


def _is_as_believed(call: Call, name: bytes, options: dict[bytes, bytes]) -> bool:
    """Whether the string at `name` meets the one comparison among the options of SET; raises WRONGTYPE."""
    condition = next(option for option in options if option in COMPARISONS)
    if call.db.get(name) is None:
        return condition in (b"IFNE", b"IFDNE")
    value = call.db.read_string(name)
    return value is not None and holds(value, condition, options[condition])


def _expire_at(call: Call, name: bytes, moment: int) -> None:
    call.db.set_expire_time(name, moment)
    call.notify(GENERIC, b"expire", name)


@command(
    "SETNX",
    arity=3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "OW", "insert"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Set the string value of a key only when the key doesn't exist.",
    syntax="key value",
)
def setnx(call: Call) -> Reply:
    _, name, value = call.argv
    if call.db.get(name) is not None:
        return 0
    call.db.put(name, value)
    call.notify(STRING, b"set", name)
    return 1


@command(
    "SETEX",
    arity=4,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update"),
    group="string",
    since="2.0.0",
    complexity="O(1)",
    summary="Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
    syntax="key seconds value",
)
def setex(call: Call) -> Reply:
    return _set_expiring(call, 1000)


@command(
    "PSETEX",
    arity=4,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update"),
    group="string",
    since="2.6.0",
    complexity="O(1)",
    summary="Sets both string value and expiration time in milliseconds of a key. "
    "The key is created if it doesn't exist.",
    syntax="key milliseconds value",
)
def psetex(call: Call) -> Reply:
    return _set_expiring(call, 1)


def _set_expiring(call: Call, unit_ms: int) -> Reply:
    _, name, time, value = call.argv
    moment = expire_moment(call, time, unit_ms, relative=True)
    call.db.put(name, value)
    call.notify(STRING, b"set", name)
    _expire_at(call, name, moment)
    call.propagate(b"SET", name, value, b"PXAT", b"%d" % moment)
    return OK


@command(
    "GETSET",
    arity=3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the previous string value of a key after setting it to a new value.",
    syntax="key value",
    deprecated=("6.2.0", "`SET` with the `!GET` argument"),
)
def getset(call: Call) -> Reply:
    _, name, value = call.argv
    old = call.db.read_string(name)
    call.db.put(name, value)
    call.notify(STRING, b"set", name)
    call.propagate(b"SET", name, value)
    return old


@command(
    "GETDEL",
    arity=2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete"),
    group="string",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns the string value of a key after deleting the key.",
    syntax="key",
)
def getdel(call: Call) -> Reply:
    name = call.argv[1]
    value = call.db.read_string(name)
    if value is not None:
        _delete(call, name)
    return value


def _delete(call: Call, name: bytes) -> None:
    """Delete a key that exists, and have that repeated instead of the request."""
    call.db.delete(name)
    call.notify(GENERIC, b"del", name)
    call.propagate(b"DEL", name)


@command(
    "GETEX",
    arity=-2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "update", notes="RW and UPDATE because it changes the TTL"),
    group="string",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns the string value of a key after setting its expiration time.",
    syntax="key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
)
def getex(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    db = call.db
    options = parse_options(argv, 2, _GETEX_OPTIONS)
    value = db.read_string(name)
    if value is None or not options:
        return value
    moment = expire_option(call, options)
    if moment is None:
        if db.persist(name):
            db.changed(name)
            call.notify(GENERIC, b"persist", name)
            call.propagate(b"PERSIST", name)
    elif moment <= call.keyspace.now_ms and call.keyspace.expiry == DELETE_EXPIRED:
        _delete(call, name)
    else:
        _expire_at(call, name, moment)
        db.changed(name)
        call.propagate(b"PEXPIREAT", name, b"%d" % moment)
    return value


@command(
    "MGET",
    arity=-2,
    flags=READONLY | FAST,
    keys=keys(1, -1, 1, "RO", "access"),
    group="string",
    since="1.0.0",
    complexity="O(N) where N is the number of keys to retrieve.",
    summary="Atomically returns the string values of one or more keys.",
    syntax="key [key ...]",
    tips=("request_policy:multi_shard",),
)
def mget(call: Call) -> Reply:
    values = call.db.read_each(call.argv[1:])
    if _BYTES_ALONE.issuperset(map(type, values)):
        return Bulks(cast(list[bytes], values))
    # Other types than strings are not an error here, they are missing.
    return [value if type(value) is bytes else bytes(value) if type(value) is bytearray else None for value in values]


@command(
    "MSET",
    arity=-3,
    flags=WRITE | DENYOOM,
    keys=keys(1, -1, 2, "OW", "update"),
    group="string",
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
    summary="Atomically creates or modifies the string values of one or more keys.",
    syntax="key value [key value ...]",
    tips=("request_policy:multi_shard", "response_policy:all_succeeded"),
)
def mset(call: Call) -> Reply:
    _set_many(call, call.argv)
    return OK


@command(
    "MSETNX",
    arity=-3,
    flags=WRITE | DENYOOM,
    keys=keys(1, -1, 2, "OW", "insert"),
    group="string",
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
    summary="Atomically modifies the string values of one or more keys only when all keys don't exist.",
    syntax="key value [key value ...]",
    tips=("request_policy:multi_shard", "response_policy:agg_min"),
)
def msetnx(call: Call) -> Reply:
    argv = call.argv
    if len(argv) % 2 and any(call.db.get(name) is not None for name in argv[1::2]):
        return 0
    _set_many(call, argv)
    return 1


def _set_many(call: Call, argv: list[bytes]) -> None:
    if not len(argv) % 2:
        raise wrong_arity(call.command.name)
    put = call.db.put
    notifying = call.keyspace.notifier.flags
    for at in range(1, len(argv), 2):
        put(argv[at], argv[at + 1])
        if notifying:
            call.notify(STRING, b"set", argv[at])


@command(
    "MSETEX",
    arity=-4,
    flags=WRITE | DENYOOM,
    keys=numkeys(1, "OW", "update", step=2),
    group="string",
    since="8.4.0",
    complexity="O(N) where N is the number of keys to set.",
    summary="Atomically sets multiple string keys with a shared expiration in a single operation.",
    syntax="numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
    "PXAT unix-time-milliseconds | KEEPTTL]",
    tips=("request_policy:multi_shard", "response_policy:all_succeeded"),
)
def msetex(call: Call) -> Reply:
    """Replicas and the log get what servers before 8.4 know."""
    argv = call.argv
    count = parse_integer(argv[1], _BAD_NUMKEYS)
    if not 0 < count <= INT32_MAX:
        raise Error(_BAD_NUMKEYS)
    end = 2 + 2 * count
    if end > len(argv):
        raise Error(b"ERR wrong number of key-value pairs")
    options = parse_options(argv, end, _MSETEX_OPTIONS)
    moment = expire_option(call, options)
    db = call.db
    names, values = argv[2:end:2], argv[3:end:2]
    for condition in (b"NX", b"XX"):
        if condition in options and any((db.get(name) is None) is (condition == b"XX") for name in names):
            return 0
    keeps = b"KEEPTTL" in options
    for name, value in zip(names, values, strict=True):
        if keeps and db.get(name) is not None:
            db.replace(name, value)
        else:
            db.put(name, value)
        if moment is not None:
            _expire_at(call, name, moment)
        call.notify(STRING, b"set", name)
        if moment is not None:
            call.propagate(b"SET", name, value, b"PXAT", b"%d" % moment)
        elif keeps:
            call.propagate(b"SET", name, value, b"KEEPTTL")
    if not keeps and moment is None:
        call.propagate(b"MSET", *argv[2:end])
    return 1
