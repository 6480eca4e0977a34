"""SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF: data to disk on request. How that is done is `node.persistence`'s business."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from node.call import Call
from node.persistence.rdb_errors import RdbError
from wire.command import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE, command
from wire.errors import LOADING as LOADING_TEXT
from wire.errors import SYNTAX, Error
from wire.reply import OK, Reply, Simple
from wire.session import CLOSING

_CANNOT_LOAD = b"ERR Error trying to load the RDB dump"
_DONE = object()


def reload(call: Call) -> Reply:
    """DEBUG RELOAD: save everything and load it again."""
    node = call.node
    options = [option.upper() for option in call.argv[2:]]
    if any(option not in (b"MERGE", b"NOFLUSH", b"NOSAVE") for option in options):
        raise Error(b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    if node.loader.active:
        raise Error(LOADING_TEXT)
    if b"NOSAVE" not in options:
        node.saver.save()
    try:
        data = node.saver.disk().read(node.settings.dbfilename)
    except OSError:
        raise Error(_CANNOT_LOAD) from None

    def steps() -> Iterator[None]:
        try:
            yield from node.loader.reload(data, flush=b"NOFLUSH" not in options, merge=b"MERGE" in options)
        except RdbError:
            raise Error(_CANNOT_LOAD) from None
        node.log.warning("DB reloaded by DEBUG RELOAD")

    return _load(call, steps())


def load_log(call: Call) -> Reply:
    """DEBUG LOADAOF: throw everything away and repeat the log."""
    node = call.node
    if node.loader.active:
        raise Error(LOADING_TEXT)

    def steps() -> Iterator[None]:
        yield from node.append_only.reload()
        node.saver.forget_changes()

    return _load(call, steps())


def _load(call: Call, steps: Iterator[None]) -> Reply:
    """Take all the steps. While many are to be taken, other clients are told -LOADING, as in Redis.

    At once where nobody may wait, and where others could come in between with commands or data: on a replica, and in a
    cluster, which may make this node one.
    """
    node, session = call.node, call.session
    if not call.may_block or node.replication.is_replica or node.cluster is not None:
        for _ in steps:
            pass
        return OK
    if next(steps, _DONE) is _DONE:
        return OK

    async def go_on() -> None:
        reply: Reply = OK
        try:
            for _ in steps:
                await asyncio.sleep(0)
        except Error as error:
            reply = error.with_traceback(None)
        if not session.mask & CLOSING:
            session.answer_later(reply)

    parked = call.park()
    node.tasks.start("load again", go_on())
    return parked


@command(
    "SAVE",
    arity=1,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,
    group="server",
    since="1.0.0",
    complexity="O(N) where N is the total number of keys in all databases",
    summary="Synchronously save the dataset to disk",
)
def save(call: Call) -> Reply:
    call.node.saver.save()
    return OK


@command(
    "BGSAVE",
    arity=-1,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Asynchronously save the dataset to disk",
    syntax="[SCHEDULE]",
    history=(("3.2.2", "Added the `SCHEDULE` option."),),
    brief_words=0,
)
def bgsave(call: Call) -> Reply:
    argv = call.argv
    schedule = len(argv) == 2 and argv[1].lower() == b"schedule"
    if len(argv) > 1 and not schedule:
        raise Error(SYNTAX)
    if call.node.saver.save_in_background(schedule=schedule, now=call.session.transaction is None):
        return Simple(b"Background saving started")
    return Simple(b"Background saving scheduled")


@command(
    "BGREWRITEAOF",
    arity=1,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Asynchronously rewrite the append-only file",
    brief_words=0,
)
def bgrewriteaof(call: Call) -> Reply:
    if call.node.append_only.rewrite(now=call.session.transaction is None):
        return Simple(b"Background append only file rewriting started")
    return Simple(b"Background append only file rewriting scheduled")


@command(
    "LASTSAVE",
    arity=1,
    flags=LOADING | STALE | FAST,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Get the UNIX time stamp of the last successful save to disk",
    categories=("admin", "dangerous"),
    tips=("nondeterministic_output",),
)
def lastsave(call: Call) -> Reply:
    return call.node.saver.last_save_at_s
