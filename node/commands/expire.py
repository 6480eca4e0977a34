"""Times to live: setting, asking and dropping them.

A time is kept and propagated as absolute Unix milliseconds, so that a replica, a log that is replayed later and
this node all let the key go at the same moment.
"""

from __future__ import annotations

from node.arguments import invalid_expire_time
from node.call import Call
from node.database import DELETE_EXPIRED
from node.notifications import GENERIC
from wire.arguments import INT64_MAX, INT64_MIN, parse_integer
from wire.command import FAST, READONLY, WRITE, command, key
from wire.errors import Error, until_nul
from wire.reply import Reply

_OPTIONS = (b"NX", b"XX", b"GT", b"LT")
_HISTORY = (("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`."),)
_NO_KEY = -2
_NO_EXPIRY = -1


@command(
    "EXPIRE",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Sets the expiration time of a key in seconds.",
    syntax="key seconds [NX | XX | GT | LT]",
    history=_HISTORY,
)
def expire(call: Call) -> Reply:
    return _expire(call, 1000, relative=True)


@command(
    "PEXPIRE",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="generic",
    since="2.6.0",
    complexity="O(1)",
    summary="Sets the expiration time of a key in milliseconds.",
    syntax="key milliseconds [NX | XX | GT | LT]",
    history=_HISTORY,
)
def pexpire(call: Call) -> Reply:
    return _expire(call, 1, relative=True)


@command(
    "EXPIREAT",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="generic",
    since="1.2.0",
    complexity="O(1)",
    summary="Sets the expiration time of a key to a Unix timestamp.",
    syntax="key unix-time-seconds [NX | XX | GT | LT]",
    history=_HISTORY,
)
def expireat(call: Call) -> Reply:
    return _expire(call, 1000, relative=False)


@command(
    "PEXPIREAT",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="generic",
    since="2.6.0",
    complexity="O(1)",
    summary="Sets the expiration time of a key to a Unix milliseconds timestamp.",
    syntax="key unix-time-milliseconds [NX | XX | GT | LT]",
    history=_HISTORY,
)
def pexpireat(call: Call) -> Reply:
    return _expire(call, 1, relative=False)


def _expire(call: Call, unit_ms: int, *, relative: bool) -> int:
    name, time, *options = call.argv[1:]
    conditions = _conditions(options)
    moment = parse_integer(time) * unit_ms
    if not INT64_MIN <= moment <= INT64_MAX:
        raise invalid_expire_time(call)
    if relative:
        moment += call.keyspace.now_ms
        if moment > INT64_MAX:
            raise invalid_expire_time(call)
    db = call.db
    if db.get(name) is None or not _allowed(conditions, db.expire_time(name), moment):
        return 0
    if moment <= call.keyspace.now_ms and call.keyspace.expiry == DELETE_EXPIRED:
        # Only a master deletes; a replica, and a log that is replayed, keep what their master will delete.
        db.delete(name)
        call.notify(GENERIC, b"del", name)
        call.propagate(b"DEL", name)
        return 1
    db.set_expire_time(name, moment)
    db.changed(name)
    call.notify(GENERIC, b"expire", name)
    if relative or unit_ms != 1:
        # The conditions stay: a replica weighs them against its own copy.
        call.propagate(b"PEXPIREAT", name, b"%d" % moment, *options)
    return 1


def _conditions(options: list[bytes]) -> list[bytes]:
    """The conditions in upper case; raises Error for an unknown one and for those that exclude each other."""
    conditions = [option.upper() for option in options]
    for given, option in zip(conditions, options, strict=True):
        if given not in _OPTIONS:
            raise Error(b"ERR Unsupported option %b" % until_nul(option))
    if b"NX" in conditions and any(given != b"NX" for given in conditions):
        raise Error(b"ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"GT" in conditions and b"LT" in conditions:
        raise Error(b"ERR GT and LT options at the same time are not compatible")
    return conditions


def _allowed(conditions: list[bytes], current: int | None, moment: int) -> bool:
    """Whether the new time may replace the current one; None stands for never, which is later than any time."""
    for condition in conditions:
        if condition == b"NX" and current is not None:
            return False
        if condition == b"XX" and current is None:
            return False
        if condition == b"GT" and (current is None or moment <= current):
            return False
        if condition == b"LT" and current is not None and moment >= current:
            return False
    return True


@command(
    "PERSIST",
    arity=2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="generic",
    since="2.2.0",
    complexity="O(1)",
    summary="Removes the expiration time of a key.",
    syntax="key",
)
def persist(call: Call) -> Reply:
    name = call.argv[1]
    if call.db.get(name) is None or not call.db.persist(name):
        return 0
    call.db.changed(name)
    call.notify(GENERIC, b"persist", name)
    return 1


@command(
    "TTL",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the expiration time in seconds of a key.",
    syntax="key",
    tips=("nondeterministic_output",),
    history=(("2.8.0", "Added the -2 reply."),),
)
def ttl(call: Call) -> Reply:
    return _in_seconds(_time_left(call))


@command(
    "PTTL",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="generic",
    since="2.6.0",
    complexity="O(1)",
    summary="Returns the expiration time in milliseconds of a key.",
    syntax="key",
    tips=("nondeterministic_output",),
    history=(("2.8.0", "Added the -2 reply."),),
)
def pttl(call: Call) -> Reply:
    return _time_left(call)


@command(
    "EXPIRETIME",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="generic",
    since="7.0.0",
    complexity="O(1)",
    summary="Returns the expiration time of a key as a Unix timestamp.",
    syntax="key",
)
def expiretime(call: Call) -> Reply:
    return _in_seconds(_expire_time(call))


@command(
    "PEXPIRETIME",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="generic",
    since="7.0.0",
    complexity="O(1)",
    summary="Returns the expiration time of a key as a Unix milliseconds timestamp.",
    syntax="key",
)
def pexpiretime(call: Call) -> Reply:
    return _expire_time(call)


def _expire_time(call: Call) -> int:
    """In Unix milliseconds; -2 without the key, -1 without a time."""
    name = call.argv[1]
    if call.db.peek_counted(name) is None:
        return _NO_KEY
    moment = call.db.expire_time(name)
    return _NO_EXPIRY if moment is None else moment


def _time_left(call: Call) -> int:
    moment = _expire_time(call)
    return moment if moment in (_NO_KEY, _NO_EXPIRY) else max(moment - call.keyspace.now_ms, 0)


def _in_seconds(time_ms: int) -> int:
    return time_ms if time_ms < 0 else (time_ms + 500) // 1000
