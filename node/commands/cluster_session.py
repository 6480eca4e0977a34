"""What a client chooses for its own connection in a cluster: ASKING, READONLY, READWRITE."""

from __future__ import annotations

from node.call import Call
from node.commands.cluster_help import in_cluster
from node.gates import ONE_SHOT
from wire.command import FAST, LOADING, STALE, command
from wire.reply import OK, Reply


@command(
    "ASKING",
    arity=1,
    flags=FAST,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Sent by cluster clients after an -ASK redirect",
    categories=("connection",),
)
def asking(call: Call) -> Reply:
    in_cluster(call)
    call.session.asking = True
    call.session.mask |= ONE_SHOT
    return OK


@command(
    "READONLY",
    arity=1,
    flags=FAST | LOADING | STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Enables read queries for a connection to a cluster replica node",
    categories=("connection",),
)
def readonly(call: Call) -> Reply:
    in_cluster(call)
    call.session.readonly = True
    return OK


@command(
    "READWRITE",
    arity=1,
    flags=FAST | LOADING | STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Disables read queries for a connection to a cluster replica node",
    categories=("connection",),
)
def readwrite(call: Call) -> Reply:
    in_cluster(call)
    call.session.readonly = False
    return OK
