"""How a stranger becomes a node of the table: MEET, and the first answer on a link we dialled.

A node we are told to meet, or that meets us, gets a placeholder for a name. The first answer on our own link to it
tells its real one (cluster specification, "Nodes handshake").
"""

from __future__ import annotations

from cluster import links
from cluster.context import Context
from cluster.membership import NodeEntry
from cluster.messages import Header

# A handshake is given at least this long, whatever the node timeout (Redis: a second).
_HANDSHAKE_MS_MIN = 1000


def start(ctx: Context, ip: str, port: int, cport: int, *, meet: bool) -> bool:
    """Begin to greet whoever is at an address; False when we are already doing so.

    `meet`: ask it to take us in. Otherwise it has asked us, and knows us already.
    """
    for node in ctx.state.others():
        if node.handshake and (node.ip, node.port, node.cport) == (ip, port, cport):
            return False
    node = NodeEntry(ctx.random_id(), ip, port, cport)
    node.handshake = True
    node.meet = meet
    node.created_at = ctx.now_ms
    ctx.state.add(node)
    return True


def expire(ctx: Context, due: list[NodeEntry]) -> None:
    """Give up on those who have not answered. A node being greeted is always among those that are `due`."""
    patience_ms = max(ctx.settings.node_timeout_ms, _HANDSHAKE_MS_MIN)
    for node in due:
        if node.handshake and ctx.now_ms - node.created_at > patience_ms:
            forget(ctx, node)


def forget(ctx: Context, node: NodeEntry) -> None:
    """Take a node out of the table."""
    links.drop_all(ctx, node)
    ctx.heard_directly.pop(node.id, None)
    ctx.state.remove(node)


def introduced(ctx: Context, node: NodeEntry, header: Header, known: NodeEntry | None, peer_ip: str) -> bool:
    """The node at the end of a link we dialled said who it is. Returns whether it stays, as that node.

    It does not when it is somebody we know already, or ourselves: then only the greeting was superfluous.
    """
    if known is not None:
        if not known.myself:
            links.update_address(ctx, known, header, peer_ip)
        forget(ctx, node)
        return False
    ctx.debug(f"Handshake with node {header.sender} completed.")
    ctx.state.rename(node, header.sender)
    node.handshake = node.meet = False
    if header.master is None:
        ctx.state.become_master(node)
    else:
        ctx.state.become_replica(node, ctx.state.nodes.get(header.master))
    ctx.changed()
    return True


def impostor(ctx: Context, node: NodeEntry) -> None:
    """Somebody else answers at a node's address: it is not dialled there any more, and missed (`heartbeat.miss`) unless
    it is heard of anew."""
    ctx.notice(f"PONG contains mismatching sender ID. About node {node.called} at {node.ip}:{node.port}")
    links.drop(ctx, node)
    node.noaddr, node.datagrams = True, False
    node.ip, node.port, node.cport, node.pport = "", 0, 0, 0
    ctx.state.topology_changed = True
    ctx.save()
