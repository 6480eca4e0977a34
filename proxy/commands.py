"""Commands that the proxy answers by itself, beside those of any connection (`wire.commands`).

Towards its clients the proxy is one Redis without cluster mode and with one database, and these say so.
"""

from __future__ import annotations

from proxy.call import ProxyCall
from wire.arguments import parse_integer
from wire.command import FAST, LOADING, STALE, command
from wire.errors import Error
from wire.reply import OK, Reply, Verbatim

_NO_CLUSTER = b"ERR This instance has cluster support disabled"
_OWN = LOADING | STALE


@command(
    "SELECT",
    arity=2,
    flags=_OWN | FAST,
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    summary="Changes the selected database.",
    syntax="index",
)
def select(call: ProxyCall) -> Reply:
    if parse_integer(call.argv[1], b"ERR value is not an integer or out of range") != 0:
        raise Error(b"ERR DB index is out of range")
    return OK


@command(
    "TIME",
    arity=1,
    flags=_OWN | FAST,
    group="server",
    since="2.6.0",
    complexity="O(1)",
    summary="Returns the server time.",
)
def time(call: ProxyCall) -> Reply:
    seconds, microseconds = divmod(call.front.clock.wall_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % microseconds]


@command(
    "INFO",
    arity=-1,
    flags=_OWN,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns information and statistics about the server.",
    syntax="[section [section ...]]",
)
def info(call: ProxyCall) -> Reply:
    return Verbatim(call.info(call.argv[1:]))


def _disabled(name: str, arity: int) -> object:
    """A command of cluster mode, refused as by a server without it."""

    def refuse(call: ProxyCall) -> Reply:  # noqa: ARG001 - the same for everybody
        raise Error(_NO_CLUSTER)

    return command(
        name,
        arity=arity,
        flags=_OWN,
        group="cluster",
        since="3.0.0",
        complexity="O(1)",
        summary="Belongs to cluster mode, which the proxy hides.",
    )(refuse)


cluster = _disabled("CLUSTER", -2)
readonly = _disabled("READONLY", 1)
readwrite = _disabled("READWRITE", 1)
asking = _disabled("ASKING", 1)
