"""The links of the mesh: every node dials every other one, and accepts one link from it.

Owns which node is at the other end of which link, from dialling to closing, and the addresses nodes are dialled at.
What is said on a link is `outgoing`'s; the sockets are `sockets`'.
"""

from __future__ import annotations

from cluster import outgoing
from cluster.context import Context
from cluster.events import CloseLink, Dial, FollowMaster
from cluster.membership import NodeEntry
from cluster.messages import Header, MessageType


def dial_missing(ctx: Context, due: list[NodeEntry]) -> None:
    """Dial every node that has an address and no link from us; one without link is always among the `due`."""
    for node in due:
        if node.link is None and ctx.state.nodes.get(node.id) is node and not node.noaddr and node.ip and node.cport:
            ctx.link_number += 1
            node.link, node.link_at, node.link_ready = ctx.link_number, ctx.now_ms, False
            node.link_asked_at = None
            ctx.link_nodes[ctx.link_number] = node
            ctx.emit(Dial(ctx.link_number, node.ip, node.cport))


def connected(ctx: Context, link: int) -> None:
    """Our link to a node is up: greet it. MEET asks a stranger to take us in; PING is for those that know us."""
    node = ctx.link_nodes.get(link)
    if node is None:
        return
    node.link_ready = True
    ctx.state.attention.soon(node)
    # Until it has answered: a link may break with the greeting on it, and a stranger takes in nobody who only pings.
    # (Redis sends MEET once.)
    outgoing.ping_on_link(ctx, node, MessageType.MEET if node.meet else MessageType.PING)
    ctx.state.untell(node)


def ended(ctx: Context, link: int) -> None:
    """A link ended, or could not be made. It is dialled again at the next tick."""
    node = ctx.link_nodes.pop(link, None)
    if node is None:
        return
    if node.inbound_link == link:
        node.inbound_link = None
    if node.link != link:
        return
    was_ready = node.link_ready
    node.link, node.link_ready = None, False
    ctx.state.untell(node)
    ctx.state.attention.soon(node)
    # A node that cannot be reached cannot be asked, and would never be suspected: the wait for its answer starts with
    # the failure to reach it. (One that takes datagrams is asked that way.)
    if not was_ready and node.ping_sent_at is None and not node.handshake:
        outgoing.ping(ctx, node)


def drop(ctx: Context, node: NodeEntry) -> None:
    """Close our link to a node; it is dialled again, perhaps elsewhere, at the next tick."""
    if node.link is not None:
        ctx.link_nodes.pop(node.link, None)
        ctx.emit(CloseLink(node.link))
        node.link, node.link_ready = None, False
        ctx.state.untell(node)
        ctx.state.attention.soon(node)


def drop_all(ctx: Context, node: NodeEntry) -> None:
    """Close the links both ways: the node leaves the table."""
    drop(ctx, node)
    if node.inbound_link is not None:
        ctx.link_nodes.pop(node.inbound_link, None)
        ctx.emit(CloseLink(node.inbound_link))
        node.inbound_link = None


def bind_inbound(ctx: Context, link: int, node: NodeEntry) -> None:
    """The first message of a known node on a link tells whose it is. A second link from it replaces the first."""
    if link in ctx.link_nodes:
        return
    if node.inbound_link is not None:
        ctx.link_nodes.pop(node.inbound_link, None)
        ctx.emit(CloseLink(node.inbound_link))
        if node.datagrams:
            # It dials anew. Perhaps its machine lost power, and our own link leads to its former life.
            outgoing.ask_link(ctx, node)
    node.inbound_link = link
    ctx.link_nodes[link] = node


def update_address(ctx: Context, node: NodeEntry, header: Header, peer_ip: str) -> None:
    """Believe the address a node's PING comes with, over the one we have: containers and reboots move nodes."""
    ip = header.ip or peer_ip
    if (ip, header.port, header.cport, header.pport) == (node.ip, node.port, node.cport, node.pport):
        return
    node.ip, node.port, node.cport, node.pport = ip, header.port, header.cport, header.pport
    node.noaddr = False
    drop(ctx, node)
    # Without an address it was perhaps not looked at any more.
    ctx.state.attention.soon(node)
    ctx.state.topology_changed = True
    ctx.changed()
    ctx.notice(f"Address updated for node {node.called}, now {ip}:{header.port}")
    if ctx.myself.master is node:
        follow_address(ctx)


def follow_address(ctx: Context) -> None:
    """Have replication follow our master at the address we know; again when that address changes."""
    master = ctx.myself.master
    if master is None or master.noaddr or not master.ip or not master.port:
        return
    plain = ctx.settings.follow_pport and master.pport
    target = (master.id, master.ip, master.pport if plain else master.port)
    if target != ctx.followed:
        ctx.followed = target
        ctx.emit(FollowMaster(*target, unrelated=ctx.unrelated))
