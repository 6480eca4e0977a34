"""DEBUG: ways to hurt a node on purpose, for tests and lessons. Open only where `enable-debug-command` says so."""

from __future__ import annotations

from collections.abc import Callable

from cluster.messages import MessageType
from node.call import Call
from node.commands.config import rewrite
from node.commands.debug_data import (
    describe_listpack,
    describe_object,
    describe_quicklist,
    describe_string,
    digest,
    digest_values,
    populate,
    table_of_key,
    tables_of_database,
)
from node.commands.debug_protocol import protocol
from node.commands.persistence import load_log, reload
from node.protection import check_command
from node.settings import NodeSettings
from runtime.directives import parse_size
from runtime.settings import to_text
from wire.arguments import parse_integer
from wire.command import ADMIN, LOADING, NOSCRIPT, STALE, command
from wire.errors import Error, wrong_subcommand
from wire.reply import OK, Reply, Simple

# More arguments than any request has.
_ANY = 1 << 31
_CLUSTERS_ONLY = b"ERR Debug option only available for cluster mode enabled setup!"
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
    check_command(b"DEBUG", call.node.settings.enable_debug_command, call.session)
    name = call.argv[1].upper()
    found = _SUBCOMMANDS.get(name)
    if found is None or not found[0] <= len(call.argv) <= found[1]:
        raise wrong_subcommand(call.argv)
    return found[2](call)


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


def _rewrite_everything(call: Call) -> Reply:
    return rewrite(call, NodeSettings.directives())


def _pause_cron(call: Call) -> Reply:
    call.node.cron.paused = call.argv[2] != b"0"
    return OK


def _set_active_expire(call: Call) -> Reply:
    call.node.expiry.enabled = call.argv[2] != b"0"
    return OK


def _skip_checksums(call: Call) -> Reply:
    call.node.skips_checksums = call.argv[2] != b"0"
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


def _change_replication_id(call: Call) -> Reply:
    """Make every replica need a full copy."""
    call.node.replication.forget_history()
    return OK


def _replicate(call: Call) -> Reply:
    """Tell replicas and the log of a command that is not run here."""
    call.propagate(*call.argv[2:])
    return OK


def _deny_scripts(call: Call) -> Reply:
    call.node.gateway.permits_all = call.argv[2] != b"0"
    return OK


def _break_links(call: Call) -> Reply:
    """CLUSTERLINK KILL direction id."""
    _, _, kill, direction, node = call.argv
    if kill.upper() != b"KILL":
        raise wrong_subcommand(call.argv)
    cluster = call.node.cluster
    if cluster is None:
        raise Error(_CLUSTERS_ONLY)
    node_id = node.decode("utf-8", "replace")
    if node_id not in cluster.state.nodes:
        raise Error(b"ERR Unknown node %b" % node)
    word = direction.upper()
    if word not in (b"TO", b"FROM", b"ALL"):
        raise Error(b"ERR Unknown direction %b" % direction)
    cluster.bus.break_links(node_id, to=word != b"FROM", from_=word != b"TO")
    return OK


def _drop_messages(call: Call) -> Reply:
    number = parse_integer(call.argv[2])
    if call.node.cluster is not None:
        known = number in MessageType.__members__.values()
        call.node.cluster.bus.dropped = MessageType(number) if known else None
    return OK


def _structure_sizes(_: Call) -> Reply:
    """Of Redis' structures, which are not here; tests only see whether the machine has 64 bits."""
    return b"bits:64 robj:16 dictentry:24 sdshdr5:1 sdshdr8:3 sdshdr16:5 sdshdr32:9 sdshdr64:17 "


def _string_match_test(_: Call) -> Reply:
    return Simple(b"Apparently Redis did not crash: test passed")


def _accept(_: Call) -> Reply:
    """Switches of things that are not here: tests set them, and expect to go on."""
    return OK


def _reply_buffer(call: Call) -> Reply:
    if call.argv[2].upper() not in (b"PEAK-RESET-TIME", b"RESIZING"):
        raise wrong_subcommand(call.argv)
    return OK


def _help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    lines = ("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", *_HELP)
    return [Simple(line.encode()) for line in lines]


# Subcommand to the fewest and the most arguments, both names included, and what it does.
_SUBCOMMANDS: dict[bytes, tuple[int, int, Callable[[Call], Reply]]] = {
    b"SLEEP": (3, 3, _sleep),
    b"SEGFAULT": (2, 2, _segfault),
    b"PANIC": (2, 2, _panic),
    b"ASSERT": (2, 2, _panic),
    b"RELOAD": (2, _ANY, reload),
    b"LOADAOF": (2, 2, load_log),
    b"CLUSTERLINK": (5, 5, _break_links),
    b"DROP-CLUSTER-PACKET-FILTER": (3, 3, _drop_messages),
    b"CONFIG-REWRITE-FORCE-ALL": (2, 2, _rewrite_everything),
    b"CHANGE-REPL-ID": (2, 2, _change_replication_id),
    b"REPLICATE": (3, _ANY, _replicate),
    b"POPULATE": (3, 5, populate),
    b"SET-ACTIVE-EXPIRE": (3, 3, _set_active_expire),
    b"SET-DISABLE-DENY-SCRIPTS": (3, 3, _deny_scripts),
    b"ERROR": (3, 3, _error),
    b"LOG": (3, 3, _log),
    b"PROTOCOL": (3, 3, protocol),
    b"OBJECT": (3, 3, describe_object),
    b"SDSLEN": (3, 3, describe_string),
    b"LISTPACK": (3, 3, describe_listpack),
    b"QUICKLIST": (3, 4, describe_quicklist),
    b"HTSTATS": (3, 3, tables_of_database),
    b"HTSTATS-KEY": (3, 3, table_of_key),
    b"STRUCTSIZE": (2, 2, _structure_sizes),
    b"DIGEST": (2, 2, digest),
    b"DIGEST-VALUE": (2, _ANY, digest_values),
    b"STRINGMATCH-TEST": (2, 2, _string_match_test),
    b"QUICKLIST-PACKED-THRESHOLD": (3, 3, _packed_threshold),
    b"SET-SKIP-CHECKSUM-VALIDATION": (3, 3, _skip_checksums),
    b"PAUSE-CRON": (3, 3, _pause_cron),
    b"AOF-FLUSH-SLEEP": (3, 3, _accept),
    b"DICT-RESIZING": (3, 3, _accept),
    b"LEAK": (3, 3, _accept),
    b"REPLYBUFFER": (4, 4, _reply_buffer),
    b"HELP": (2, 2, _help),
}
_HELP = (
    "AOF-FLUSH-SLEEP | DICT-RESIZING | LEAK <value>",
    "    Accepted and without effect, like REPLYBUFFER.",
    "CHANGE-REPL-ID",
    "    Change the replication IDs of the instance, so that replicas need a full copy.",
    "CLUSTERLINK KILL <to|from|all> <node-id>",
    "    Break the links of the cluster bus to a node, from it, or both.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE, with every directive.",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "DROP-CLUSTER-PACKET-FILTER <packet-type>",
    "    Ignore all messages of the cluster bus of that type (a number; -1: none).",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message.",
    "HTSTATS <dbid> | HTSTATS-KEY <key>",
    "    Return the sizes of the tables of a database or of a value.",
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
    "QUICKLIST | LISTPACK <key>",
    "    Check that the value is encoded so.",
    "PAUSE-CRON <0|1>",
    "    Stop periodic work, and go on with it.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>, or with another prefix. Replicas do not get them.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type: string, integer, double, bignum, null, array, set, map,",
    "    attrib, push, verbatim, true, false.",
    "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
    "    Save the RDB on disk and reload it back to memory. NOSAVE: take the file that is there. NOFLUSH: keep what is",
    "    in memory. MERGE: keys of the file take the place of those in memory.",
    "REPLICATE <command>",
    "    Replicate the command, which is not run here, to replicas.",
    "SDSLEN <key>",
    "    Show how long a key and its string are.",
    "SEGFAULT",
    "    Crash the server by SIGSEGV.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not accessed.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Let scripts run the commands that are denied to them.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Let RESTORE take payloads whose checksum is wrong.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "HELP",
    "    Prints this help.",
)
