"""Keys of any type, by name. What lists or flushes whole databases is in `node.commands.databases`."""

from __future__ import annotations

from node.call import Call
from node.database import Database, Value
from node.notifications import GENERIC
from wire.arguments import parse_int32
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key, keys
from wire.errors import NO_SUCH_KEY, SAME_OBJECT, SYNTAX, Error
from wire.reply import OK, Reply, Simple

_STRING = Simple(b"string")
_NONE = Simple(b"none")


@command(
    "DEL",
    arity=-2,
    flags=WRITE,
    keys=keys(1, -1, 1, "RM", "delete"),
    group="generic",
    since="1.0.0",
    complexity="O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than "
    "a string, the individual complexity for this key is O(M) where M is the number of elements in it.",
    summary="Deletes one or more keys.",
    syntax="key [key ...]",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)
def del_(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 2:
        return _delete(call, argv)
    if not call.db.delete(argv[1]):
        return 0
    if call.keyspace.notifier.flags:
        call.notify(GENERIC, b"del", argv[1])
    return 1


@command(
    "UNLINK",
    arity=-2,
    flags=WRITE | FAST,
    keys=keys(1, -1, 1, "RM", "delete"),
    group="generic",
    since="4.0.0",
    complexity="O(1) for each key removed regardless of its size. Then the memory is reclaimed, in O(N) where N is the "
    "number of allocations the deleted objects were composed of.",
    summary="Asynchronously deletes one or more keys.",
    syntax="key [key ...]",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)
def unlink(call: Call) -> Reply:
    return _delete(call, call.argv)


def _delete(call: Call, argv: list[bytes]) -> int:
    deleted = 0
    for name in argv[1:]:
        if call.db.delete(name):
            call.notify(GENERIC, b"del", name)
            deleted += 1
    return deleted


@command(
    "EXISTS",
    arity=-2,
    flags=READONLY | FAST,
    keys=keys(1, -1, 1, "RO"),
    group="generic",
    since="1.0.0",
    complexity="O(N) where N is the number of keys to check.",
    summary="Determines whether one or more keys exist.",
    syntax="key [key ...]",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
    history=(("3.0.3", "Accepts multiple `key` arguments."),),
)
def exists(call: Call) -> Reply:
    argv = call.argv
    if len(argv) == 2:
        return 0 if call.db.peek_counted(argv[1]) is None else 1
    return sum(call.db.peek_counted(name) is not None for name in argv[1:])


@command(
    "TOUCH",
    arity=-2,
    flags=READONLY | FAST,
    keys=keys(1, -1, 1, "RO"),
    group="generic",
    since="3.2.1",
    complexity="O(N) where N is the number of keys that will be touched.",
    summary="Returns the number of existing keys out of those specified after updating the time they were last "
    "accessed.",
    syntax="key [key ...]",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)
def touch(call: Call) -> Reply:
    uses = call.keyspace.uses
    quiet = uses is not None and uses.quiet
    if uses is not None:
        # The one command that is a use for clients with NO-TOUCH too.
        uses.quiet = False
    found = sum(call.db.read(name) is not None for name in call.argv[1:])
    if uses is not None:
        uses.quiet = quiet
    return found


@command(
    "TYPE",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Determines the type of value stored at a key.",
    syntax="key",
)
def type_(call: Call) -> Reply:
    value = call.db.peek_counted(call.argv[1])
    return _NONE if value is None else Simple(kind_of(value))


def kind_of(value: Value) -> bytes:
    """The name of the value's type; what is no string says it itself."""
    kind: bytes = b"string" if isinstance(value, (bytes, bytearray)) else value.kind
    return kind


@command(
    "RENAME",
    arity=3,
    flags=WRITE,
    keys=key(1, "RW", "access", "delete") + key(2, "OW", "update"),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Renames a key and overwrites the destination.",
    syntax="key newkey",
)
def rename(call: Call) -> Reply:
    _rename(call, replace=True)
    return OK


@command(
    "RENAMENX",
    arity=3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete") + key(2, "OW", "insert"),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Renames a key only when the target key name doesn't exist.",
    syntax="key newkey",
    history=(("3.2.0", "The command no longer returns an error when source and destination names are the same."),),
)
def renamenx(call: Call) -> Reply:
    return int(_rename(call, replace=False))


def _rename(call: Call, *, replace: bool) -> bool:
    _, name, new_name = call.argv
    db = call.db
    value = db.get(name)
    if value is None:
        raise Error(NO_SUCH_KEY)
    if name == new_name:
        return False
    moment = db.expire_time(name)
    if db.get(new_name) is not None:
        if not replace:
            return False
        db.remove(new_name)
    dirty = call.keyspace.dirty
    _add(db, new_name, value, moment)
    db.remove(name)
    call.keyspace.dirty = dirty + 1
    call.notify(GENERIC, b"rename_from", name)
    call.notify(GENERIC, b"rename_to", new_name)
    return True


def _add(db: Database, name: bytes, value: Value, moment: int | None) -> None:
    """Put a value in its new place, its time to live with it."""
    db.put(name, value)
    db.await_fields(name, value)
    if moment is not None:
        db.set_expire_time(name, moment)


@command(
    "COPY",
    arity=-3,
    flags=WRITE | DENYOOM,
    keys=key(1, "RO", "access") + key(2, "OW", "update"),
    group="generic",
    since="6.2.0",
    complexity="O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
    summary="Copies the value of a key to a new key.",
    syntax="source destination [DB destination-db] [REPLACE]",
)
def copy(call: Call) -> Reply:
    argv = call.argv
    _, name, new_name = argv[:3]
    source, target = call.db, call.db
    replace = False
    index = 3
    while index < len(argv):
        option = argv[index].upper()
        if option == b"REPLACE":
            replace = True
        elif option == b"DB" and index + 1 < len(argv):
            index += 1
            target = database_numbered(call, argv[index])
        else:
            raise Error(SYNTAX)
        index += 1
    if target.index and call.node.mode == "cluster":
        raise Error(b"ERR Copying to another database is not allowed in cluster mode")
    if source is target and name == new_name:
        raise Error(SAME_OBJECT)
    value = source.read(name)
    if value is None:
        return 0
    if target.get(new_name) is not None:
        if not replace:
            return 0
        target.remove(new_name)
        call.keyspace.dirty -= 1
    _add(target, new_name, value if type(value) is bytes else value.copy(), source.expire_time(name))
    call.keyspace.notifier.notify(GENERIC, b"copy_to", new_name, target.index)
    return 1


@command(
    "MOVE",
    arity=3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "update"),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Moves a key to another database.",
    syntax="key db",
)
def move(call: Call) -> Reply:
    if call.node.mode == "cluster":
        raise Error(b"ERR MOVE is not allowed in cluster mode")
    _, name, number = call.argv
    source = call.db
    target = database_numbered(call, number)
    if source is target:
        raise Error(SAME_OBJECT)
    value = source.get(name)
    if value is None or target.get(name) is not None:
        return 0
    _add(target, name, value, source.expire_time(name))
    source.remove(name)
    call.keyspace.dirty -= 1
    call.notify(GENERIC, b"move_from", name)
    call.keyspace.notifier.notify(GENERIC, b"move_to", name, target.index)
    return 1


def database_numbered(call: Call, text: bytes) -> Database:
    """The database whose number an argument gives; raises Error when there is none."""
    number = parse_int32(text)
    try:
        return call.keyspace.database(number)
    except IndexError:
        raise Error(b"ERR DB index is out of range") from None
