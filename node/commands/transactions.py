"""MULTI, EXEC and WATCH: commands queued by one client and run in one go, unless a watched key was touched.

The executor queues (`node.slow_lane`); EXEC runs the queue through `node.indirect`, so that all effects are
collected and passed on together, in MULTI and EXEC when there are several.
"""

from __future__ import annotations

from node.call import Call
from wire.acl.accounts import forbidden_since
from wire.command import ALLOW_BUSY, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE, UNQUEUED, command, keys
from wire.encoder import encode_into
from wire.errors import EXECABORT, Error
from wire.reply import NIL_ARRAY, OK, Raw, Reply
from wire.session import RESTRICTED

_FLAGS = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY


@command(
    "MULTI",
    arity=1,
    flags=_FLAGS | UNQUEUED,
    group="transactions",
    since="1.2.0",
    complexity="O(1)",
    summary="Starts a transaction.",
)
def multi(call: Call) -> Reply:
    if call.session.transaction is not None:
        raise Error(b"ERR MULTI calls can not be nested")
    call.session.begin()
    return OK


@command(
    "EXEC",
    arity=1,
    flags=NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG | UNQUEUED,
    group="transactions",
    since="1.2.0",
    complexity="Depends on commands in the transaction",
    summary="Executes all commands in a transaction.",
)
def exec_(call: Call) -> Reply:
    session = call.session
    transaction = session.transaction
    if transaction is None:
        raise Error(b"ERR EXEC without MULTI")
    broken = session.watch_broken()
    # From here on this client's own commands cannot break its transaction.
    session.unwatch()
    call.node.in_transaction = True
    try:
        if transaction.aborted:
            raise Error(EXECABORT)
        if broken:
            return NIL_ARRAY
        pieces = [b"*%d\r\n" % len(transaction.queue)]
        run = call.node.executor.indirect.run
        restricted = session.mask & RESTRICTED
        for command, argv in transaction.queue:
            denial = call.node.accounts.denial(session, command, argv, b"multi") if restricted else None
            if denial is not None:
                encode_into(pieces, Error(forbidden_since(denial)), session.proto)
                continue
            # Encoded at once: a later command may change the value in place, or the protocol (HELLO).
            encode_into(pieces, run(call, command, argv), session.proto)
        return Raw(b"".join(pieces))
    finally:
        call.node.in_transaction = False
        session.end_transaction()


@command(
    "DISCARD",
    arity=1,
    flags=_FLAGS | UNQUEUED,
    group="transactions",
    since="2.0.0",
    complexity="O(N), when N is the number of queued commands",
    summary="Discards a transaction.",
    brief_words=0,
)
def discard(call: Call) -> Reply:
    if call.session.transaction is None:
        raise Error(b"ERR DISCARD without MULTI")
    call.session.end_transaction()
    return OK


@command(
    "WATCH",
    arity=-2,
    flags=_FLAGS | UNQUEUED,
    keys=keys(1, -1, 1, "RO"),
    group="transactions",
    since="2.2.0",
    complexity="O(1) for every key.",
    summary="Monitors changes to keys to determine the execution of a transaction.",
    syntax="key [key ...]",
)
def watch(call: Call) -> Reply:
    session, db = call.session, call.db
    if session.transaction is not None:
        raise Error(b"ERR WATCH inside MULTI is not allowed")
    for name in call.argv[1:]:
        if (db, name) not in session.watched:
            session.watched[db, name] = db.is_alive(name)
            db.watch(name, session)
    return OK


@command(
    "UNWATCH",
    arity=1,
    flags=_FLAGS,
    group="transactions",
    since="2.2.0",
    complexity="O(1)",
    summary="Forgets about watched keys of a transaction.",
)
def unwatch(call: Call) -> Reply:
    call.session.unwatch()
    return OK
