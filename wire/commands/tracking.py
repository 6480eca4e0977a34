"""CLIENT TRACKING and its kin: client-side caching, which is not offered. Who asks is told so."""

from __future__ import annotations

from wire.call import Call
from wire.command import LOADING, NOSCRIPT, STALE, command
from wire.commands.client import switch
from wire.errors import Error
from wire.reply import OK, Reply, ReplySet

_FLAGS = NOSCRIPT | LOADING | STALE


@command(
    "CLIENT|TRACKING",
    arity=-3,
    flags=_FLAGS,
    group="connection",
    since="6.0.0",
    complexity="O(1). Some options may introduce additional complexity.",
    summary="Controls server-assisted client-side caching for the connection.",
    syntax="<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
)
def client_tracking(call: Call) -> Reply:
    if switch(call.argv[2]):
        # Saying yes and sending no invalidation would let clients serve stale data from their caches for ever.
        raise Error(b"ERR Shardlab does not offer client-side caching")
    return OK


@command(
    "CLIENT|CACHING",
    arity=3,
    flags=_FLAGS,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Instructs the server whether to track the keys in the next request.",
    syntax="<YES | NO>",
)
def client_caching(call: Call) -> Reply:  # noqa: ARG001 - nobody can be in tracking mode
    raise Error(
        b"ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
    )


@command(
    "CLIENT|GETREDIR",
    arity=2,
    flags=_FLAGS,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Returns the client ID to which the connection's tracking notifications are redirected.",
)
def client_getredir(call: Call) -> Reply:  # noqa: ARG001 - nobody can be in tracking mode
    return -1


@command(
    "CLIENT|TRACKINGINFO",
    arity=2,
    flags=_FLAGS,
    group="connection",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns information about server-assisted client-side caching for the connection.",
)
def client_trackinginfo(call: Call) -> Reply:  # noqa: ARG001 - nobody can be in tracking mode
    return {b"flags": ReplySet([b"off"]), b"redirect": -1, b"prefixes": []}
