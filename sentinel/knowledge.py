"""Everything one sentinel knows: itself, its masters, and the links that lead to their instances.

Owns creation and disposal, so that a link is opened when the first instance needs it and closed
with the last. What the knowledge means is left to the rules (`down`, `election`, `failover` …).
"""

from __future__ import annotations

from collections.abc import Iterator

from sentinel.address import Address
from sentinel.events import Close, Effect, Half
from sentinel.instances import DataInstance, Instance, Master, Peer, Replica
from sentinel.link import Link
from sentinel.settings import MasterMemory, Memory

# How long after our own start an instance that has not answered yet is waited for.
START_GRACE_MS = 5_000


class Knowledge:
    """The state of the machine, to be read by rules and commands alike."""

    __slots__ = (
        "_grace",
        "_last_link",
        "_peer_links",
        "crash_after_election",
        "crash_after_promotion",
        "durable",
        "links",
        "masters",
        "memory",
        "port",
        "requirepass",
        "users",
    )

    def __init__(self, memory: Memory, port: int, requirepass: str | None, now: int) -> None:
        # Our own identity and options; its `masters` and `current_epoch` are current only in `remembered()`.
        self.memory = memory
        # The port we listen on, unless `announce-port` says otherwise to others.
        self.port = port
        # Our own password, which other sentinels are expected to have as well unless `sentinel-pass` is set.
        self.requirepass = requirepass
        # Whether what we last decided is on disk. While it is not, we neither vote nor stand for election.
        self.durable = True
        # Moments at which SENTINEL SIMULATE-FAILURE wants this process to end.
        self.crash_after_election = False
        self.crash_after_promotion = False
        # By name, in the order of the configuration.
        self.masters: dict[str, Master] = {}
        # All open or opening links, by number.
        self.links: dict[int, Link] = {}
        # Who uses a link: one instance, or the peers of several masters.
        self.users: dict[int, list[tuple[Master, Instance]]] = {}
        # Links to other sentinels, by id and place: they are shared.
        self._peer_links: dict[tuple[str, tuple[str, int]], Link] = {}
        self._last_link = 0
        # How long instances made from now on may take to answer for the first time.
        self._grace = START_GRACE_MS
        for record in memory.masters:
            self._recall(record, now)
        self._grace = 0

    @property
    def my_id(self) -> str:
        return self.memory.my_id

    @property
    def current_epoch(self) -> int:
        return self.memory.current_epoch

    def remembered(self) -> Memory:
        """All that survives a restart, as it is now."""
        masters = tuple(master.remembered(self.memory.announce_hostnames) for master in self.masters.values())
        return self.memory.model_copy(update={"masters": masters})

    def shown(self, address: Address) -> str:
        """The host of `address` as others are told it."""
        return address.shown(self.memory.announce_hostnames)

    def master_at(self, ip: str, port: int) -> Master | None:
        """The monitored master at that address."""
        for master in self.masters.values():
            if master.address.port == port and ip in (master.address.ip, master.address.host):
                return master
        return None

    def owner(self, link: int) -> tuple[Master, Instance] | None:
        """The instance at the other end of a link, and its master; the first of several."""
        users = self.users.get(link)
        return users[0] if users else None

    def add_master(self, record: MasterMemory, address: Address, now: int) -> Master:
        master = Master(record.name, address, self._new_link(now, listens=True), record.options, now)
        master.config_epoch = record.config_epoch
        master.leader_epoch = record.leader_epoch
        self.masters[record.name] = master
        self.users[master.link.number] = [(master, master)]
        return master

    def add_replica(self, master: Master, address: Address, now: int) -> Replica:
        replica = Replica(address, self._new_link(now, listens=True), now)
        master.replicas[address.place] = replica
        self.users[replica.link.number] = [(master, replica)]
        return replica

    def add_peer(self, master: Master, address: Address, run_id: str, now: int) -> Peer:
        key = (run_id, address.place)
        link = self._peer_links.get(key)
        if link is None:
            link = self._peer_links[key] = self._new_link(now, listens=False)
            self.users[link.number] = []
        else:
            link.references += 1
        peer = Peer(address, link, now, run_id)
        master.peers[run_id] = peer
        self.users[link.number].append((master, peer))
        return peer

    def forget(self, instance: Instance) -> list[Effect]:
        """Drop the instance's claim on its link; the caller has taken it out of its master."""
        link = instance.link
        users = self.users[link.number]
        users[:] = [(master, user) for master, user in users if user is not instance]
        link.references -= 1
        if users:
            return []
        del self.links[link.number], self.users[link.number]
        self._peer_links = {key: other for key, other in self._peer_links.items() if other is not link}
        halves = (Half.COMMAND, Half.PUBSUB) if link.listens else (Half.COMMAND,)
        return [Close(link.number, half) for half in halves]

    def relink(self, master: Master, address: Address, now: int) -> list[Effect]:
        """Point `master` at another address, with a new link."""
        effects = self.forget(master)
        master.address = address
        master.link = self._new_link(now, listens=True)
        self.users[master.link.number] = [(master, master)]
        return effects

    def _new_link(self, now: int, *, listens: bool) -> Link:
        self._last_link += 1
        link = self.links[self._last_link] = Link(self._last_link, now, listens, judged_from=now + self._grace)
        return link

    def _recall(self, record: MasterMemory, now: int) -> None:
        master = self.add_master(record, Address.of(record.host, record.port), now)
        for replica in record.replicas:
            address = Address.of(replica.host, replica.port)
            if address.place != master.address.place and address.place not in master.replicas:
                self.add_replica(master, address, now)
        for known in record.sentinels:
            if known.run_id != self.my_id:
                self.add_peer(master, Address.of(known.host, known.port), known.run_id, now)


def data_instances(master: Master) -> Iterator[DataInstance]:
    """The master, then its replicas."""
    yield master
    yield from master.replicas.values()


def all_instances(master: Master) -> Iterator[Instance]:
    """The master, its replicas, the other sentinels."""
    yield from data_instances(master)
    yield from master.peers.values()
