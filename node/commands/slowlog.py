"""SLOWLOG: the commands that took long."""

from __future__ import annotations

from node.call import Call
from wire.arguments import parse_integer
from wire.command import ADMIN, LOADING, STALE, command, container
from wire.commands.help import help_lines
from wire.errors import Error, wrong_subcommand
from wire.reply import OK, Reply

_DEFAULT_COUNT = 10

slowlog = container(
    "SLOWLOG",
    group="server",
    since="2.2.12",
    summary="A container for slow log commands.",
    help=(
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
    ),
)


@command(
    "SLOWLOG|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="6.2.0",
    complexity="O(1)",
    summary="Show helpful text about the different subcommands",
)
def slowlog_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(slowlog)


@command(
    "SLOWLOG|GET",
    arity=-2,
    flags=ADMIN | LOADING | STALE,
    group="server",
    since="2.2.12",
    complexity="O(N) where N is the number of entries returned",
    summary="Returns the slow log's entries.",
    syntax="[count]",
    tips=("request_policy:all_nodes", "nondeterministic_output"),
    history=(("4.0.0", "Added client IP address, port and name to the reply."),),
)
def slowlog_get(call: Call) -> Reply:
    argv, entries = call.argv, call.node.slow_log.entries
    if len(argv) > 3:
        raise wrong_subcommand(argv)
    count = _DEFAULT_COUNT
    if len(argv) == 3:
        refusal = b"ERR count should be greater than or equal to -1"
        count = parse_integer(argv[2], refusal)
        if count < -1:
            raise Error(refusal)
    chosen = list(entries) if count < 0 else list(entries)[:count]
    return [
        [entry.id, entry.at_s, entry.duration_us, list(entry.argv), entry.address.encode(), entry.name]
        for entry in chosen
    ]


@command(
    "SLOWLOG|LEN",
    arity=2,
    flags=ADMIN | LOADING | STALE,
    group="server",
    since="2.2.12",
    complexity="O(1)",
    summary="Returns the number of entries in the slow log.",
    tips=("request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"),
)
def slowlog_len(call: Call) -> Reply:
    return len(call.node.slow_log.entries)


@command(
    "SLOWLOG|RESET",
    arity=2,
    flags=ADMIN | LOADING | STALE,
    group="server",
    since="2.2.12",
    complexity="O(N) where N is the number of entries in the slowlog",
    summary="Clears all entries from the slow log.",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def slowlog_reset(call: Call) -> Reply:
    call.node.slow_log.entries.clear()
    return OK
