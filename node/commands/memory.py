"""MEMORY: what a key costs, and what there is in all. There is no allocator of our own to report on."""

from __future__ import annotations

from node.call import Call
from node.memory.account import key_bytes
from node.memory.report import diagnosis, stats
from wire.arguments import INT64_MAX, parse_integer
from wire.command import LOADING, READONLY, STALE, command, container, key
from wire.commands.help import help_lines
from wire.errors import SYNTAX, Error
from wire.reply import OK, Reply, Verbatim

# Elements of a structure that are looked at, unless the command says otherwise.
_DEFAULT_SAMPLES = 5
_POLICY = ("nondeterministic_output", "request_policy:all_shards", "response_policy:special")

memory = container(
    "MEMORY",
    group="server",
    since="4.0.0",
    summary="A container for memory diagnostics commands.",
    help=(
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
    ),
)


@command(
    "MEMORY|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="4.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def memory_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(memory)


@command(
    "MEMORY|USAGE",
    arity=-3,
    flags=READONLY,
    keys=key(2, "RO"),
    group="server",
    since="4.0.0",
    complexity="O(N) where N is the number of samples.",
    summary="Estimates the memory usage of a key.",
    syntax="key [SAMPLES count]",
)
def memory_usage(call: Call) -> Reply:
    argv = call.argv
    samples = _DEFAULT_SAMPLES
    for at in range(3, len(argv), 2):
        if argv[at].upper() != b"SAMPLES" or at + 1 == len(argv):
            raise Error(SYNTAX)
        samples = parse_integer(argv[at + 1])
        if not 0 <= samples <= INT64_MAX:
            raise Error(SYNTAX)
    name = argv[2]
    value = call.db.peek(name)
    if value is None:
        return None
    return key_bytes(call.db, name, value, samples)


@command(
    "MEMORY|DOCTOR",
    arity=2,
    group="server",
    since="4.0.0",
    complexity="O(1)",
    summary="Outputs a memory problems report.",
    tips=_POLICY,
)
def memory_doctor(call: Call) -> Reply:
    return Verbatim(diagnosis(call.node).encode())


@command(
    "MEMORY|STATS",
    arity=2,
    group="server",
    since="4.0.0",
    complexity="O(1)",
    summary="Returns details about memory usage.",
    tips=_POLICY,
)
def memory_stats(call: Call) -> Reply:
    return stats(call.node)


@command(
    "MEMORY|MALLOC-STATS",
    arity=2,
    group="server",
    since="4.0.0",
    complexity="Depends on how much memory is allocated, could be slow",
    summary="Returns the allocator statistics.",
    tips=_POLICY,
)
def memory_malloc_stats(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return Verbatim(b"Stats not supported for the current allocator")


@command(
    "MEMORY|PURGE",
    arity=2,
    group="server",
    since="4.0.0",
    complexity="Depends on how much memory is allocated, could be slow",
    summary="Asks the allocator to release memory.",
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
)
def memory_purge(call: Call) -> Reply:  # noqa: ARG001 - memory is given back without being asked
    return OK
