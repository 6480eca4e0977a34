"""LATENCY: what held the server up, and how long each command takes."""

from __future__ import annotations

from node.call import Call
from node.latency_report import advice, graph
from runtime.settings import to_text
from wire.command import ADMIN, LOADING, NOSCRIPT, STALE, command, container
from wire.commands.help import help_lines
from wire.errors import Error, until_nul
from wire.reply import Reply, Verbatim
from wire.table import Command

_POLICY = ("nondeterministic_output", "request_policy:all_nodes", "response_policy:special")
_LATENCY = ADMIN | NOSCRIPT | LOADING | STALE

latency = container(
    "LATENCY",
    group="server",
    since="2.8.13",
    summary="A container for latency diagnostics commands.",
    help=(
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for the specified command "
        "names.",
        "    If no commands are specified then all histograms are replied.",
    ),
)


@command(
    "LATENCY|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def latency_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(latency)


@command(
    "LATENCY|LATEST",
    arity=2,
    flags=_LATENCY,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Returns the latest latency samples for all events.",
    tips=_POLICY,
)
def latency_latest(call: Call) -> Reply:
    return [
        [event.encode(), *series.samples[-1], series.worst_ms] for event, series in call.node.latency.events.items()
    ]


@command(
    "LATENCY|HISTORY",
    arity=3,
    flags=_LATENCY,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Returns timestamp-latency samples for an event.",
    syntax="event",
    tips=_POLICY,
)
def latency_history(call: Call) -> Reply:
    series = call.node.latency.events.get(to_text(call.argv[2]))
    return [] if series is None else [list(sample) for sample in series.samples]


@command(
    "LATENCY|GRAPH",
    arity=3,
    flags=_LATENCY,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Returns a latency graph for an event.",
    syntax="event",
    tips=_POLICY,
)
def latency_graph(call: Call) -> Reply:
    event = to_text(call.argv[2])
    series = call.node.latency.events.get(event)
    if series is None:
        raise Error(b"ERR No samples available for event '%b'" % until_nul(call.argv[2]))
    return Verbatim(graph(event, series, call.node.runtime.clock.wall_ms() // 1000).encode())


@command(
    "LATENCY|RESET",
    arity=-2,
    flags=_LATENCY,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Resets the latency data for one or more events.",
    syntax="[event [event ...]]",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def latency_reset(call: Call) -> Reply:
    monitor = call.node.latency
    return sum(map(monitor.reset, map(to_text, call.argv[2:]))) if len(call.argv) > 2 else monitor.reset_all()


@command(
    "LATENCY|HISTOGRAM",
    arity=-2,
    flags=_LATENCY,
    group="server",
    since="7.0.0",
    complexity="O(N) where N is the number of commands with latency information being retrieved.",
    summary="Returns the cumulative distribution of latencies of a subset or all commands.",
    syntax="[command [command ...]]",
    tips=_POLICY,
)
def latency_histogram(call: Call) -> Reply:
    table = call.node.table
    chosen: dict[str, Command] = {}
    if len(call.argv) == 2:
        chosen = {each.name: each for each in table.every()}
    for name in call.argv[2:]:
        found = table.get(to_text(name))
        if found is not None:
            chosen |= {each.name: each for each in (found, *found.subcommands.values())}
    return {name.encode(): _distribution(each) for name, each in chosen.items() if each.settle().known}


def _distribution(command: Command) -> Reply:
    durations = command.durations
    return {b"calls": durations.known, b"histogram_usec": dict(durations.cumulative())}


@command(
    "LATENCY|DOCTOR",
    arity=2,
    flags=_LATENCY,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Returns a human-readable latency analysis report.",
    tips=_POLICY,
)
def latency_doctor(call: Call) -> Reply:
    return Verbatim(advice(call.node.latency, call.node.settings, call.node.runtime.clock.wall_ms() // 1000).encode())
