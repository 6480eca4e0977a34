"""What a connection can ask of a node beyond what every server offers: a database, and a pause of all clients."""

from __future__ import annotations

import asyncio

from node.call import Call
from node.pause import PausePurpose
from node.timeouts import seconds_of
from wire.arguments import INT64_MAX, parse_int32, parse_integer
from wire.command import ADMIN, FAST, LOADING, NOSCRIPT, STALE, command
from wire.errors import Error, wrong_subcommand
from wire.reply import OK, Reply


@command(
    "SELECT",
    arity=2,
    flags=LOADING | STALE | FAST,
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    summary="Changes the selected database.",
    syntax="index",
)
def select(call: Call) -> Reply:
    index = parse_int32(call.argv[1])
    if call.node.settings.cluster_enabled and index:
        raise Error(b"ERR SELECT is not allowed in cluster mode")
    try:
        call.select(index)
    except IndexError:
        raise Error(b"ERR DB index is out of range") from None
    return OK


@command(
    "CLIENT|PAUSE",
    arity=-3,
    flags=ADMIN | NOSCRIPT | LOADING | STALE,
    group="connection",
    since="2.9.50",
    complexity="O(1)",
    summary="Suspends commands processing.",
    syntax="timeout [WRITE | ALL]",
    history=(("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option."),),
)
def client_pause(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 4:
        raise wrong_subcommand(argv)
    everything = True
    if len(argv) == 4:
        if argv[3].upper() not in (b"WRITE", b"ALL"):
            raise Error(b"ERR CLIENT PAUSE mode must be WRITE or ALL")
        everything = argv[3].upper() == b"ALL"
    timeout_ms = parse_integer(argv[2], b"ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise Error(b"ERR timeout is negative")
    if timeout_ms + call.front.clock.wall_ms() > INT64_MAX:
        raise Error(b"ERR timeout is out of range")
    until = asyncio.get_running_loop().time() + seconds_of(timeout_ms)
    call.node.pauses.begin(PausePurpose.CLIENT_COMMAND, until, everything=everything)
    return OK


@command(
    "CLIENT|UNPAUSE",
    arity=2,
    flags=ADMIN | NOSCRIPT | LOADING | STALE,
    group="connection",
    since="6.2.0",
    complexity="O(N) Where N is the number of paused clients",
    summary="Resumes processing commands from paused clients.",
)
def client_unpause(call: Call) -> Reply:
    call.node.pauses.end(PausePurpose.CLIENT_COMMAND)
    return OK
