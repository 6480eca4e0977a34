"""DEBUG: ways to hurt a node on purpose, for tests and lessons. Open only where `enable-debug-command` says so."""

from __future__ import annotations

from collections.abc import Callable

from node.call import Call
from node.commands.objects import encoding_of
from node.commands.persistence import load_log, reload
from node.digest import digest_of_all, digest_of_key
from runtime.directives import parse_size
from runtime.settings import to_text
from wire.command import ADMIN, LOADING, NOSCRIPT, STALE, command
from wire.errors import NO_SUCH_KEY, Error
from wire.reply import OK, Reply, Simple

_CLOSED = (
    b'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local '
    b"connection, otherwise you need to set this option in the configuration file, and then restart the server."
)
# A little below 4 GB.
_PACKED_THRESHOLD_MAX = (1 << 32) - (1 << 20)


@command(
    "DEBUG",
    arity=-2,
    flags=ADMIN | NOSCRIPT | LOADING | STALE,
    group="server",
    since="1.0.0",
    complexity="Depends on subcommand.",
    summary="A container for debugging commands.",
)
def debug(call: Call) -> Reply:
    allowed = call.node.settings.enable_debug_command
    if allowed == "no" or (allowed == "local" and not call.session.is_local):
        raise Error(_CLOSED)
    name = call.argv[1].upper()
    found = _SUBCOMMANDS.get(name)
    if found is None or not (len(call.argv) == found[0] or (found[0] < 0 and len(call.argv) >= -found[0])):
        raise Error(
            b"ERR unknown subcommand or wrong number of arguments for '%b'. Try DEBUG HELP." % call.argv[1][:128]
        )
    return found[1](call)


def _sleep(call: Call) -> Reply:
    """Stop everything, as a stalled machine would."""
    try:
        seconds = float(call.argv[2])
    except ValueError:
        seconds = 0.0
    call.node.runtime.process.stall(max(seconds, 0.0))
    return OK


def _segfault(call: Call) -> Reply:
    call.node.log.warning("Redis crashed by signal: 11, on request (DEBUG SEGFAULT)")
    call.node.runtime.process.die("SIGSEGV")
    return OK


def _panic(call: Call) -> Reply:
    call.node.log.warning("------------------------------------------------")
    call.node.log.warning("!!! Software Failure. Press left mouse button to continue")
    call.node.log.warning("Guru Meditation: called by Unit Test (DEBUG PANIC)")
    call.node.log.warning("------------------------------------------------")
    call.node.runtime.process.die("SIGABRT")
    return OK


def _set_active_expire(call: Call) -> Reply:
    call.node.expiry.enabled = call.argv[2] != b"0"
    return OK


def _error(call: Call) -> Reply:
    raise Error(call.argv[2])


def _log(call: Call) -> Reply:
    call.node.log.warning(f"DEBUG LOG: {call.argv[2].decode('utf-8', 'replace')}")
    return OK


def _packed_threshold(call: Call) -> Reply:
    """From which size on an element of a list has a node for itself: ours are objects of their own anyway."""
    threshold = parse_size(to_text(call.argv[2]))
    if threshold is None or threshold > _PACKED_THRESHOLD_MAX:
        raise Error(b"ERR argument must be a memory value bigger than 1 and smaller than 4gb")
    return OK


def _object(call: Call) -> Reply:
    value = call.db.get(call.argv[2])
    if value is None:
        raise Error(NO_SUCH_KEY)
    encoding = encoding_of(value)
    length = len(value) if isinstance(value, bytes | bytearray) else 0
    return Simple(
        b"Value at:0x0 refcount:1 encoding:%b serializedlength:%d lru:0 lru_seconds_idle:0" % (encoding, length)
    )


def _digest(call: Call) -> Reply:
    return Simple(digest_of_all(call.keyspace).encode())


def _digest_value(call: Call) -> Reply:
    return [Simple(digest_of_key(call.db, name).encode()) for name in call.argv[2:]]


def _help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    lines = ("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", *_HELP)
    return [Simple(line.encode()) for line in lines]


# Subcommand to the number of arguments, both names included (negative: at least so many), and what it does.
_SUBCOMMANDS: dict[bytes, tuple[int, Callable[[Call], Reply]]] = {
    b"SLEEP": (3, _sleep),
    b"SEGFAULT": (2, _segfault),
    b"PANIC": (2, _panic),
    b"ASSERT": (2, _panic),
    b"RELOAD": (2, reload),
    b"LOADAOF": (2, load_log),
    b"SET-ACTIVE-EXPIRE": (3, _set_active_expire),
    b"ERROR": (3, _error),
    b"LOG": (3, _log),
    b"OBJECT": (3, _object),
    b"DIGEST": (2, _digest),
    b"DIGEST-VALUE": (-2, _digest_value),
    b"QUICKLIST-PACKED-THRESHOLD": (3, _packed_threshold),
    b"HELP": (2, _help),
}
_HELP = (
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message.",
    "LOADAOF",
    "    Flush the AOF buffers on disk and reload the AOF in memory.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "OBJECT <key>",
    "    Show low level info about <key> and associated value.",
    "PANIC | ASSERT",
    "    Crash the server by SIGABRT.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted and without effect: elements of lists are never packed in memory.",
    "RELOAD",
    "    Save the RDB on disk and reload it back to memory.",
    "SEGFAULT",
    "    Crash the server by SIGSEGV.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not accessed.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "HELP",
    "    Prints this help.",
)
