"""SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF: data to disk on request. How that is done is `node.persistence`'s business."""

from __future__ import annotations

from node.call import Call
from node.persistence.rdb_errors import RdbError
from wire.command import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE, command
from wire.errors import SYNTAX, Error
from wire.reply import OK, Reply, Simple


def reload(call: Call) -> Reply:
    """DEBUG RELOAD: save everything and load it again, in one go."""
    node = call.node
    options = [option.upper() for option in call.argv[2:]]
    if any(option not in (b"MERGE", b"NOFLUSH", b"NOSAVE") for option in options):
        raise Error(b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    if b"NOSAVE" not in options:
        node.saver.save()
    try:
        data = node.saver.disk().read(node.settings.dbfilename)
        node.loader.reload(data, flush=b"NOFLUSH" not in options, merge=b"MERGE" in options)
    except (OSError, RdbError):
        raise Error(b"ERR Error trying to load the RDB dump") from None
    node.log.warning("DB reloaded by DEBUG RELOAD")
    return OK


def load_log(call: Call) -> Reply:
    """DEBUG LOADAOF: throw everything away and repeat the log."""
    call.node.append_only.reload()
    call.node.saver.forget_changes()
    return OK


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
