"""String commands: a value is bytes stored whole, or a bytearray once it was changed in place."""

from __future__ import annotations

from node.call import Call
from node.notifications import STRING
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.reply import OK, Reply


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
    keys=key(1, "RW", "access", "update", "variable_flags"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
    syntax="key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
    "PXAT unix-time-milliseconds | KEEPTTL]",
)
def set_(call: Call) -> Reply:
    argv = call.argv
    if len(argv) == 3:
        call.db.put(argv[1], argv[2])
        if call.keyspace.notifier.flags:
            call.notify(STRING, b"set", argv[1])
        return OK
    raise NotImplementedError
