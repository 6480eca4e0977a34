"""Fields read or written, and deleted or given times to live, in one step (Redis 8.0; its own order of refusals).

Replicas and the log get HDEL, HPEXPIREAT or HPERSIST, which 7.4 knows, and HSETEX as it is, with an absolute time.
"""

from __future__ import annotations

from node.arguments import EXPIRE_UNITS
from node.call import Call
from node.commands.hash_access import drop_if_empty, is_due
from node.commands.hash_expiry import FIELDS, field_moment, is_past, named_fields
from node.database import DELETE_EXPIRED
from node.notifications import HASH
from node.structures.hashes import Hash
from wire.arguments import INT32_MAX, parse_integer
from wire.command import DENYOOM, FAST, WRITE, command, key
from wire.errors import Error, wrong_arity
from wire.reply import Reply

_SINCE = "8.0.0"
_TIMES = "EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds"

_BAD_COUNT = b"ERR invalid number of fields"
_NO_TIME = b"ERR missing expire time"
_TWO_CONDITIONS = b"ERR Only one of FXX or FNX arguments can be specified"
_TWO_TIMES = b"ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"


@command(
    "HGETDEL",
    arity=-5,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete"),
    group="hash",
    since=_SINCE,
    complexity="O(N) where N is the number of specified fields",
    summary="Returns the value of a field and deletes it from the hash.",
    syntax="key " + FIELDS,
)
def hgetdel(call: Call) -> Reply:
    name = call.argv[1]
    hash_ = call.db.get_as(name, Hash)
    fields = named_fields(call.argv, 2)
    if hash_ is None:
        return [None] * len(fields)
    before = len(hash_)
    deleted = 0
    values: list[bytes | None] = []
    for field in fields:
        values.append(_meet(call, name, hash_, field))
        if values[-1] is not None:
            deleted += hash_.remove([field])
    if len(hash_) < before:
        call.db.changed(name, deleted)
        if before - len(hash_) > deleted:
            call.notify(HASH, b"hexpired", name)
        if deleted:
            call.notify(HASH, b"hdel", name)
            call.propagate(b"HDEL", name, *fields)
        drop_if_empty(call, name, hash_)
    return values


def _meet(call: Call, name: bytes, hash_: Hash, field: bytes) -> bytes | None:
    """The field's value. One whose time has passed is deleted; the key stays for now, and nobody is told yet."""
    if not is_due(call, hash_, field):
        return hash_.fields.get(field)
    if call.keyspace.expiry == DELETE_EXPIRED:
        call.keyspace.delete_fields(call.db, name, hash_, [field])
    return None


@command(
    "HGETEX",
    arity=-5,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "update", notes="RW and UPDATE because it changes the TTL"),
    group="hash",
    since=_SINCE,
    complexity="O(N) where N is the number of specified fields",
    summary="Get the value of one or more fields of a given hash key, and optionally set their expiration.",
    syntax=f"key [{_TIMES} | PERSIST] " + FIELDS,
)
def hgetex(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    hash_ = call.db.get_as(name, Hash)
    option = argv[2].upper()
    persists = option == b"PERSIST"
    when_ms: int | None = None
    if option in EXPIRE_UNITS:
        unit_ms, relative = EXPIRE_UNITS[option]
        when_ms = field_moment(call, argv[3], unit_ms, relative=relative)
    fields_at = 2 if when_ms is None and not persists else 3 if persists else 4
    fields = named_fields(argv, fields_at)
    if hash_ is None:
        return [None] * len(fields)
    past = when_ms is not None and is_past(call, when_ms)
    before = len(hash_)
    updated = deleted = 0
    values: list[bytes | None] = []
    for field in fields:
        values.append(_meet(call, name, hash_, field))
        if values[-1] is None:
            continue
        if past:
            call.keyspace.delete_fields(call.db, name, hash_, [field])
            deleted += 1
        elif when_ms is not None:
            hash_.expire_at(field, when_ms)
            updated += 1
        elif persists:
            updated += hash_.persist(field)
    if not updated and len(hash_) == before:
        return values
    call.db.changed(name, updated + deleted)
    if before - len(hash_) > deleted:
        call.notify(HASH, b"hexpired", name)
    if deleted:
        call.notify(HASH, b"hdel", name)
        call.propagate_nothing()
    elif updated and when_ms is not None:
        call.notify(HASH, b"hexpire", name)
        call.propagate(b"HPEXPIREAT", name, b"%d" % when_ms, *argv[fields_at:])
    elif updated:
        call.notify(HASH, b"hpersist", name)
        call.propagate(b"HPERSIST", name, *argv[fields_at:])
    drop_if_empty(call, name, hash_)
    return values


@command(
    "HSETEX",
    arity=-6,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="hash",
    since=_SINCE,
    complexity="O(N) where N is the number of fields being set.",
    summary="Set the value of one or more fields of a given hash key, and optionally set their expiration.",
    syntax=f"key [FNX | FXX] [{_TIMES} | KEEPTTL] FIELDS <numfields:integer field value [field value ...]>",
)
def hsetex(call: Call) -> Reply:
    asked = _Asked(call)
    argv = call.argv
    name = argv[1]
    pairs_at = asked.pairs_at
    hash_ = call.db.get_as(name, Hash)
    if hash_ is None and asked.condition == b"FXX":
        return 0
    if hash_ is not None and asked.condition:
        before = len(hash_)
        wanted = asked.condition == b"FXX"
        met = all((_meet(call, name, hash_, field) is not None) == wanted for field in argv[pairs_at::2])
        if not met:
            if len(hash_) < before:
                call.db.changed(name, 0)
                drop_if_empty(call, name, hash_)
            return 0
    is_new = hash_ is None
    if hash_ is None:
        hash_ = Hash()
        call.db.put(name, hash_)
        call.keyspace.dirty -= 1
    _set_pairs(call, name, hash_, asked, is_new=is_new)
    drop_if_empty(call, name, hash_)
    return 1


def _set_pairs(call: Call, name: bytes, hash_: Hash, asked: _Asked, *, is_new: bool) -> None:
    argv, pairs_at, when_ms = call.argv, asked.pairs_at, asked.when_ms
    keyspace = call.keyspace
    past = when_ms is not None and is_past(call, when_ms)
    for at in range(pairs_at, len(argv), 2):
        field = argv[at]
        if asked.keeps:
            hash_.update(field, argv[at + 1], keyspace.limits)
        else:
            hash_.set(field, argv[at + 1], keyspace.limits)
        if past:
            keyspace.delete_fields(call.db, name, hash_, [field])
        elif when_ms is not None:
            hash_.expire_at(field, when_ms)
    if is_new:
        hash_.pack(keyspace.limits.shapes)
    call.db.changed(name, (len(argv) - pairs_at) // 2)
    call.notify(HASH, b"hset", name)
    if past:
        call.notify(HASH, b"hdel", name)
        call.propagate_nothing()
    elif when_ms is not None:
        call.notify(HASH, b"hexpire", name)
        at = asked.time_at
        call.propagate(*argv[: at - 1], b"PXAT", b"%d" % when_ms, *argv[at + 1 :])


class _Asked:
    """The options of HSETEX, read in the order in which they stand; raises Error."""

    __slots__ = ("condition", "keeps", "pairs_at", "time_at", "when_ms")

    def __init__(self, call: Call) -> None:
        argv = call.argv
        # FNX or FXX, or nothing; KEEPTTL.
        self.condition = b""
        self.keeps = False
        # The time that is asked for, in Unix milliseconds, and which argument says it.
        self.when_ms: int | None = None
        self.time_at = 0
        at = 2
        while (option := argv[at].upper()) != b"FIELDS":
            if option in EXPIRE_UNITS or option == b"KEEPTTL":
                if self.keeps or self.time_at:
                    raise Error(_TWO_TIMES)
                if option == b"KEEPTTL":
                    self.keeps = True
                else:
                    at += 1
                    if at == len(argv):
                        raise Error(_NO_TIME)
                    unit_ms, relative = EXPIRE_UNITS[option]
                    self.when_ms = field_moment(call, argv[at], unit_ms, relative=relative)
                    self.time_at = at
            elif option in (b"FNX", b"FXX"):
                if self.condition:
                    raise Error(_TWO_CONDITIONS)
                self.condition = option
            else:
                raise Error(b"ERR unknown argument: " + argv[at].partition(b"\0")[0])
            at += 1
            if at == len(argv):
                raise wrong_arity(call.command.name)
        if at >= len(argv) - 3:
            raise wrong_arity(call.command.name)
        count = parse_integer(argv[at + 1], _BAD_COUNT)
        if not 0 < count <= INT32_MAX:
            raise Error(_BAD_COUNT)
        self.pairs_at = at + 2
        if len(argv) - self.pairs_at != 2 * count:
            raise wrong_arity(call.command.name)
