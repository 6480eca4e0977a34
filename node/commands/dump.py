"""DUMP and RESTORE: single values on their way from one server to another (`node.persistence.payload`)."""

from __future__ import annotations

from node.call import Call
from node.database import DELETE_EXPIRED
from node.notifications import GENERIC
from node.persistence.payload import deserialized, serialized
from wire.arguments import INT64_MAX, parse_integer
from wire.command import ASKING, DENYOOM, READONLY, WRITE, command, key
from wire.errors import SYNTAX, Error
from wire.reply import OK, Reply

_FREQUENCY_MAX = 255

_SYNTAX = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency:integer]"
_COMPLEXITY = "O(1) to create the new key and O(N*M) to reconstruct the serialized value, where N is the number of "
_COMPLEXITY += "objects composing the value and M their average size."
_HISTORY = (
    ("3.0.0", "Added the `REPLACE` modifier."),
    ("5.0.0", "Added the `ABSTTL` modifier."),
    ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
)


@command(
    "DUMP",
    arity=2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="generic",
    since="2.6.0",
    complexity="O(1) to access the key and O(N*M) to serialize it, where N is the number of objects composing the "
    "value and M their average size.",
    summary="Returns a serialized representation of the value stored at a key.",
    syntax="key",
    tips=("nondeterministic_output",),
)
def dump(call: Call) -> Reply:
    value = call.db.read(call.argv[1])
    return None if value is None else serialized(value, compress=call.node.settings.rdbcompression)


@command(
    "RESTORE",
    arity=-4,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update"),
    group="generic",
    since="2.6.0",
    complexity=_COMPLEXITY,
    summary="Creates a key from the serialized representation of a value.",
    syntax=_SYNTAX,
    categories=("keyspace", "dangerous"),
    history=_HISTORY,
)
def restore(call: Call) -> Reply:
    return _restore(call)


@command(
    "RESTORE-ASKING",
    arity=-4,
    flags=WRITE | DENYOOM | ASKING,
    keys=key(1, "OW", "update"),
    group="server",
    since="3.0.0",
    complexity=_COMPLEXITY,
    summary="An internal command for migrating keys in a cluster.",
    syntax=_SYNTAX,
    categories=("keyspace", "dangerous"),
    history=_HISTORY,
)
def restore_asking(call: Call) -> Reply:
    return _restore(call)


def _restore(call: Call) -> Reply:
    name, ttl_text, payload, *options = call.argv[1:]
    replace, absolute, idle_s, frequency = _parse_options(options)
    db = call.db
    if not replace and db.get(name) is not None:
        raise Error(b"BUSYKEY Target key name already exists.")
    ttl = parse_integer(ttl_text)
    if ttl < 0:
        raise Error(b"ERR Invalid TTL value, must be >= 0")
    node = call.node
    value = deserialized(payload, call.keyspace.limits, node.log.verbose, unchecked=node.skips_checksums)
    deleted = replace and db.remove(name)
    if ttl and not absolute:
        ttl += call.keyspace.now_ms
        if ttl > INT64_MAX:
            # Redis does not look for an overflow here; its time becomes one long past.
            ttl -= 1 << 64
    if ttl and ttl <= call.keyspace.now_ms and call.keyspace.expiry == DELETE_EXPIRED:
        # It has expired on the way: all that is left of the request is what it replaced.
        if deleted:
            call.notify(GENERIC, b"del", name)
            call.propagate(b"DEL", name)
        return OK
    if deleted:
        call.keyspace.dirty -= 1
    db.put(name, value)
    db.await_fields(name, value)
    if idle_s is not None:
        # It will be asked for, or somebody would not have said it.
        call.node.eviction.note_uses()
    db.set_use(name, idle_s, frequency)
    if ttl:
        db.set_expire_time(name, ttl)
        if not absolute:
            call.propagate(call.argv[0], name, b"%d" % ttl, payload, *options, b"ABSTTL")
    call.notify(GENERIC, b"restore", name)
    return OK


def _parse_options(options: list[bytes]) -> tuple[bool, bool, int | None, int | None]:
    """(REPLACE, ABSTTL, IDLETIME, FREQ)."""
    given: dict[bytes, int] = {}
    rest = iter(options)
    for option in rest:
        word = option.upper()
        if word in (b"REPLACE", b"ABSTTL"):
            given[word] = True
            continue
        other = {b"IDLETIME": b"FREQ", b"FREQ": b"IDLETIME"}.get(word)
        argument = next(rest, None)
        if other is None or other in given or argument is None:
            raise Error(SYNTAX)
        number = parse_integer(argument)
        if word == b"IDLETIME" and number < 0:
            raise Error(b"ERR Invalid IDLETIME value, must be >= 0")
        if word == b"FREQ" and not 0 <= number <= _FREQUENCY_MAX:
            raise Error(b"ERR Invalid FREQ value, must be >= 0 and <= 255")
        given[word] = number
    return b"REPLACE" in given, b"ABSTTL" in given, given.get(b"IDLETIME"), given.get(b"FREQ")
