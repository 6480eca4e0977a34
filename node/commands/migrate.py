"""MIGRATE: keys to another server. How they travel is `node.migration`'s business."""

from __future__ import annotations

from node.call import Call
from node.migration import Order
from node.persistence.payload import serialized
from runtime.settings import to_text
from wire.arguments import parse_integer
from wire.command import WRITE, KeySpec, command
from wire.errors import SYNTAX, Error
from wire.key_places import migrated
from wire.outward import Greeting
from wire.reply import Reply, Simple

_USUAL_TIMEOUT_MS = 1000


@command(
    "MIGRATE",
    arity=-6,
    flags=WRITE,
    keys=(
        KeySpec(3, ("RW", "access", "delete")),
        KeySpec(
            -2,
            ("RW", "access", "delete", "incomplete"),
            keyword="KEYS",
            last=-1,
        ),
    ),
    find_keys=migrated,
    group="generic",
    since="2.6.0",
    complexity="This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target "
    "instance. See the pages of these commands for time complexity. Also an O(N) data transfer between the two "
    "instances is performed.",
    summary="Atomically transfers a key from one Redis instance to another.",
    syntax='host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] '
    "[KEYS key [key ...]]",
    categories=("keyspace", "dangerous"),
    tips=("nondeterministic_output",),
    history=(
        ("3.0.0", "Added the `COPY` and `REPLACE` options."),
        ("3.0.6", "Added the `KEYS` option."),
        ("4.0.7", "Added the `AUTH` option."),
        ("6.0.0", "Added the `AUTH2` option."),
    ),
)
def migrate(call: Call) -> Reply:
    _, host, port_text, only, database_text, timeout_text, *options = call.argv
    copy = replace = False
    user = password = b""
    names = [only]
    at = 0
    while at < len(options):
        option, left = options[at].upper(), len(options) - at - 1
        if option == b"COPY":
            copy = True
        elif option == b"REPLACE":
            replace = True
        elif option == b"AUTH" and left >= 1:
            password = options[at + 1]
            at += 1
        elif option == b"AUTH2" and left >= 2:
            user, password = options[at + 1 : at + 3]
            at += 2
        elif option == b"KEYS":
            if only:
                raise Error(b"ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
            names = options[at + 1 :]
            break
        else:
            raise Error(SYNTAX)
        at += 1
    timeout_ms, database = parse_integer(timeout_text), parse_integer(database_text)
    if timeout_ms <= 0:
        timeout_ms = _USUAL_TIMEOUT_MS
    entries = _entries(call, names)
    if not entries:
        return Simple(b"NOKEY")
    if not call.may_block:
        raise Error(b"ERR MIGRATE waits for another server, and nothing may wait inside a transaction or a script")
    order = Order(
        host=to_text(host),
        # A port that is no number is one where nobody listens.
        port=int(port_text) if port_text.isdigit() and int(port_text) < 1 << 16 else 0,
        greeting=Greeting(user=user, password=password, database=database),
        timeout_ms=timeout_ms,
        entries=entries,
        copy=copy,
        replace=replace,
        restore=b"RESTORE-ASKING" if call.node.cluster is not None else b"RESTORE",
    )
    return call.node.migrations.start(call, order)


def _entries(call: Call, names: list[bytes]) -> list[tuple[bytes, int, bytes]]:
    """The keys that there are, each with what is left of its time and its value."""
    db = call.db
    compress = call.node.settings.rdbcompression
    entries = []
    for name in dict.fromkeys(names):
        value = db.read(name)
        if value is not None:
            moment = db.expire_time(name)
            ttl_ms = 0 if moment is None else max(moment - call.keyspace.now_ms, 1)
            entries.append((name, ttl_ms, serialized(value, compress=compress)))
    return entries
