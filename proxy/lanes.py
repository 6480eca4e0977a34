"""Links by node and by slot, one set for each way of being connected.

Replies are forwarded as they come, so a RESP3 client needs RESP3 links; and a node checks permissions by connection,
so clients that brought credentials of their own need links that carry those. Such a way is a `Lane`. Besides the
shared links a lane lends private ones, for commands that block and for watched keys: each is used by one client at a
time and kept for the next.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.slot_map import SLOTS, Address, SlotMap
from proxy.upstream import Link, LinkWorld
from wire.outward import Greeting

# Private links that wait for their next user, for each node of a lane.
_SPARE_MAX = 16


class Lane:
    """The links of one protocol and one set of credentials."""

    __slots__ = ("_links", "_spare", "_world", "by_slot", "greeting", "users")

    def __init__(self, greeting: Greeting, world: LinkWorld) -> None:
        self._world = world
        # Shared links by node.
        self._links: dict[Address, Link] = {}
        # Private links nobody uses, by node.
        self._spare: dict[Address, list[Link]] = {}
        # The shared link for each slot: what the hot path looks at. None: nobody serves the slot.
        self.by_slot: list[Link | None] = [None] * SLOTS
        self.greeting = greeting
        # Clients on this lane.
        self.users = 0
        self.follow(world.topology.slot_map, None)

    def link(self, address: Address) -> Link:
        """The shared link to a node."""
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = Link(address, self.greeting, self._world)
        return link

    def any(self, number: int) -> Link | None:
        """A link for a command that any master can answer: the one that `number` falls on, or another that is more
        likely to answer; None when no master is known."""
        links = [self.link(address) for address in self._world.topology.slot_map.masters()]
        if not links:
            return None
        links = links[number % len(links) :] + links[: number % len(links)]
        return next((link for link in links if link.up), None) or next(
            (link for link in links if link.usable), links[0]
        )

    def borrow(self, address: Address) -> Link:
        """A private link to a node: `give_back` it in the state it was in, or close it."""
        spare = self._spare.get(address)
        while spare:
            link = spare.pop()
            if link.up:
                return link
        link = Link(address, self.greeting, self._world)
        link.patient = True
        return link

    def give_back(self, link: Link) -> None:
        """The user of a private link needs it no more."""
        spare = self._spare.setdefault(link.address, [])
        link.on_lost = None
        if link.closed or not link.up or not link.idle or len(spare) >= _SPARE_MAX:
            link.close()
            return
        spare.append(link)

    def follow(self, slot_map: SlotMap, slot: int | None) -> None:
        """The slot map changed, or only the owner of `slot`."""
        owner = slot_map.owners[slot] if slot is not None else None
        if slot is not None and owner is not None:
            self.by_slot[slot] = self.link(owner)
            return
        by_slot: list[Link | None] = [None] * SLOTS
        for first, last, owner in slot_map.ranges():
            by_slot[first : last + 1] = [self.link(owner)] * (last + 1 - first)
        self.by_slot[:] = by_slot
        known = dict.fromkeys(slot_map.nodes())
        for address, link in list(self._links.items()):
            if address not in known and link.idle:
                del self._links[address]
                link.close()
        for address in [address for address in self._spare if address not in known]:
            for link in self._spare.pop(address):
                link.close()

    def check_silence(self) -> None:
        """Give up links to nodes that have gone silent; see `Link.check_silence`."""
        masters = self._world.topology.slot_map.masters()
        for link in list(self._links.values()):
            link.check_silence(link.address in masters)

    def close(self) -> None:
        for link in list(self._links.values()):
            link.close()
        for spare in self._spare.values():
            for link in spare:
                link.close()
        self._spare.clear()

    def links_up(self) -> int:
        """How many shared connections are open."""
        return sum(link.up for link in self._links.values())


class Lanes:
    """Every lane in use."""

    __slots__ = ("_lanes", "_next", "_plain", "_shared", "_world")

    def __init__(self, greeting: Greeting, world: LinkWorld, connections: int) -> None:
        self._world = world
        # What the proxy itself says to nodes; clients without credentials of their own use that.
        self._plain = greeting
        # Connections to each node for a lane's clients, and which of them the next client gets.
        self._shared = connections
        self._next = 0
        # By greeting and number.
        self._lanes: dict[tuple[Greeting, int], Lane] = {}
        world.topology.listeners.append(self._follow)

    def enter(self, proto: int, user: bytes = b"", password: bytes = b"") -> Lane:
        """The lane for a new user: leave it when done."""
        greeting = replace(self._plain, proto=proto)
        if password:
            greeting = replace(greeting, user=user, password=password)
        self._next = (self._next + 1) % self._shared
        lane = self._lanes.get((greeting, self._next))
        if lane is None:
            lane = self._lanes[greeting, self._next] = Lane(greeting, self._world)
        lane.users += 1
        return lane

    def leave(self, lane: Lane) -> None:
        """A user has gone. Lanes with a client's own credentials do not outlive their last user."""
        lane.users -= 1
        if lane.users == 0 and lane.greeting.password != self._plain.password:
            self._lanes = {key: other for key, other in self._lanes.items() if other is not lane}
            lane.close()

    def check_silence(self) -> None:
        for lane in list(self._lanes.values()):
            lane.check_silence()

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()

    def links_up(self) -> int:
        return sum(lane.links_up() for lane in self._lanes.values())

    def _follow(self, slot: int | None) -> None:
        for lane in self._lanes.values():
            lane.follow(self._world.topology.slot_map, slot)
