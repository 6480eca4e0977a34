"""CLUSTER for operators: the subcommands that change something. What can be looked at is in `cluster_view`.

A handler parses words and numbers, in Redis' order and words, and hands an order to the rules, which refuse or carry
it out. On a node that is not in cluster mode all of them refuse.
"""

from __future__ import annotations

from cluster.events import (
    AddSlots,
    BumpEpoch,
    Command,
    DelSlots,
    Failover,
    FailoverMode,
    FlushSlots,
    Forget,
    Meet,
    Refused,
    Replicate,
    Reset,
    SaveConfig,
    SetConfigEpoch,
    SetSlotImporting,
    SetSlotMigrating,
    SetSlotNode,
    SetSlotStable,
)
from cluster.slots import SLOTS
from node.call import Call
from node.clustering import Clustering
from node.commands.cluster_help import in_cluster
from runtime.settings import to_bytes, to_text
from wire.arguments import parse_integer
from wire.command import ADMIN, NO_ASYNC_LOADING, NOSCRIPT, STALE, command
from wire.errors import SYNTAX, Error, until_nul, wrong_arity, wrong_subcommand
from wire.reply import OK, Reply, Simple

_ORDER = ADMIN | STALE | NO_ASYNC_LOADING


def parse_slot(word: bytes) -> int:
    """A slot's number; raises Error."""
    slot = parse_integer(word, b"ERR Invalid or out of range slot")
    if not 0 <= slot < SLOTS:
        raise Error(b"ERR Invalid or out of range slot")
    return slot


def _slot_ranges(words: list[bytes]) -> tuple[int, ...]:
    slots: list[int] = []
    for first_word, last_word in zip(words[::2], words[1::2], strict=True):
        first, last = parse_slot(first_word), parse_slot(last_word)
        if first > last:
            raise Error(b"ERR start slot number %d is greater than end slot number %d" % (first, last))
        slots += range(first, last + 1)
    return tuple(slots)


def _id(word: bytes) -> str:
    """A node id as the tables have it; whatever it is not is simply nobody's."""
    return to_text(until_nul(word))


def _order(cluster: Clustering, order: Command) -> Reply:
    try:
        answer = cluster.bus.operate(order)
    except Refused as refusal:
        raise Error(to_bytes(refusal.text)) from None
    return OK if answer == "OK" else Simple(answer.encode())


@command(
    "CLUSTER|MEET",
    arity=-4,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Force a node cluster to handshake with another node",
    syntax="ip port [cluster_bus_port:integer]",
    history=(("4.0.0", "Added the optional `cluster_bus_port` argument."),),
)
def meet(call: Call) -> Reply:
    cluster = in_cluster(call)
    if len(call.argv) > 5:
        raise wrong_subcommand(call.argv)
    ip, port = call.argv[2:4]
    number = parse_integer(port, b"ERR Invalid TCP base port specified: %b" % port)
    bus_number = None
    if len(call.argv) == 5:
        bus_port = call.argv[4]
        bus_number = parse_integer(bus_port, b"ERR Invalid TCP bus port specified: %b" % bus_port)
    return _order(cluster, Meet(_id(ip), number, bus_number))


@command(
    "CLUSTER|FORGET",
    arity=3,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Remove a node from the nodes table",
    syntax="node-id",
)
def forget(call: Call) -> Reply:
    return _order(in_cluster(call), Forget(_id(call.argv[2])))


@command(
    "CLUSTER|REPLICATE",
    arity=3,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Reconfigure a node as a replica of the specified master node",
    syntax="node-id",
)
def replicate(call: Call) -> Reply:
    return _order(in_cluster(call), Replicate(_id(call.argv[2])))


@command(
    "CLUSTER|FAILOVER",
    arity=-2,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Forces a replica to perform a manual failover of its master.",
    syntax="[FORCE | TAKEOVER]",
)
def failover(call: Call) -> Reply:
    cluster = in_cluster(call)
    if len(call.argv) > 3:
        raise wrong_subcommand(call.argv)
    mode = FailoverMode.DEFAULT
    if len(call.argv) == 3:
        word = call.argv[2].lower()
        if word not in (b"force", b"takeover"):
            raise Error(SYNTAX)
        mode = FailoverMode(word.decode())
    return _order(cluster, Failover(mode))


@command(
    "CLUSTER|RESET",
    arity=-2,
    flags=ADMIN | STALE | NOSCRIPT,
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
    summary="Reset a Redis Cluster node",
    syntax="[HARD | SOFT]",
)
def reset(call: Call) -> Reply:
    cluster = in_cluster(call)
    if len(call.argv) > 3:
        raise wrong_subcommand(call.argv)
    word = call.argv[2].lower() if len(call.argv) == 3 else b"soft"
    if word not in (b"hard", b"soft"):
        raise Error(SYNTAX)
    return _order(cluster, Reset(hard=word == b"hard"))


@command(
    "CLUSTER|ADDSLOTS",
    arity=-3,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the total number of hash slot arguments",
    summary="Assign new hash slots to receiving node",
    syntax="slot [slot ...]",
)
def addslots(call: Call) -> Reply:
    cluster = in_cluster(call)
    return _order(cluster, AddSlots(tuple(parse_slot(word) for word in call.argv[2:])))


@command(
    "CLUSTER|ADDSLOTSRANGE",
    arity=-4,
    flags=_ORDER,
    group="cluster",
    since="7.0.0",
    complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
    summary="Assign new hash slots to receiving node",
    syntax="start-slot end-slot [start-slot end-slot ...]",
)
def addslotsrange(call: Call) -> Reply:
    cluster = in_cluster(call)
    if len(call.argv) % 2:
        raise wrong_arity("cluster|addslotsrange")
    return _order(cluster, AddSlots(_slot_ranges(call.argv[2:])))


@command(
    "CLUSTER|DELSLOTS",
    arity=-3,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the total number of hash slot arguments",
    summary="Set hash slots as unbound in receiving node",
    syntax="slot [slot ...]",
)
def delslots(call: Call) -> Reply:
    cluster = in_cluster(call)
    return _order(cluster, DelSlots(tuple(parse_slot(word) for word in call.argv[2:])))


@command(
    "CLUSTER|DELSLOTSRANGE",
    arity=-4,
    flags=_ORDER,
    group="cluster",
    since="7.0.0",
    complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
    summary="Set hash slots as unbound in receiving node",
    syntax="start-slot end-slot [start-slot end-slot ...]",
)
def delslotsrange(call: Call) -> Reply:
    cluster = in_cluster(call)
    if len(call.argv) % 2:
        raise wrong_arity("cluster|delslotsrange")
    return _order(cluster, DelSlots(_slot_ranges(call.argv[2:])))


@command(
    "CLUSTER|FLUSHSLOTS",
    arity=2,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Delete a node's own slots information",
)
def flushslots(call: Call) -> Reply:
    return _order(in_cluster(call), FlushSlots())


@command(
    "CLUSTER|SETSLOT",
    arity=-4,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Bind a hash slot to a specific node",
    syntax="slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
)
def setslot(call: Call) -> Reply:
    cluster = in_cluster(call)
    if cluster.state.myself.is_replica:
        # Redis says so before it looks at the slot.
        raise Error(b"ERR Please use SETSLOT only with masters.")
    slot = parse_slot(call.argv[2])
    action = call.argv[3].lower()
    match action, [_id(word) for word in call.argv[4:]]:
        case b"stable", []:
            return _order(cluster, SetSlotStable(slot))
        case b"migrating", [node_id]:
            return _order(cluster, SetSlotMigrating(slot, node_id))
        case b"importing", [node_id]:
            return _order(cluster, SetSlotImporting(slot, node_id))
        case b"node", [node_id]:
            return _order(cluster, SetSlotNode(slot, node_id))
        case _:
            raise Error(b"ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")


@command(
    "CLUSTER|SET-CONFIG-EPOCH",
    arity=3,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Set the configuration epoch in a new node",
    syntax="config-epoch",
)
def set_config_epoch(call: Call) -> Reply:
    cluster = in_cluster(call)
    return _order(cluster, SetConfigEpoch(parse_integer(call.argv[2])))


@command(
    "CLUSTER|BUMPEPOCH",
    arity=2,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Advance the cluster config epoch",
    tips=("nondeterministic_output",),
)
def bumpepoch(call: Call) -> Reply:
    return _order(in_cluster(call), BumpEpoch())


@command(
    "CLUSTER|SAVECONFIG",
    arity=2,
    flags=_ORDER,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Forces the node to save cluster state on disk",
)
def saveconfig(call: Call) -> Reply:
    return _order(in_cluster(call), SaveConfig())
