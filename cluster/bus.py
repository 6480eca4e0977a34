"""The bus's driver: performs what the cluster's rules decide, and tells them what happens.

Owns the sockets, the timer and nodes.conf; decides nothing. Events go to `ClusterMachine.step` one at a time, and its
effects are performed in their order before the next event is looked at, so a `Save` is on disk before the `Send` that
rests on it. What concerns the node and not the bus (follow that master, drop those keys) is handed to a `Member`.

Links are numbered: outbound ones by the machine, above zero, inbound ones here, below zero and never twice.
"""

from __future__ import annotations

import asyncio
import errno
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cluster.codec import encode
from cluster.conf_file import NodesConfFile
from cluster.datagrams import Datagrams
from cluster.events import (
    Answer,
    BecomeMaster,
    Broadcast,
    CloseLink,
    Command,
    Deliver,
    Dial,
    DropKeysInSlots,
    Effect,
    EmptyDataset,
    Event,
    FollowMaster,
    Heard,
    LinkDown,
    LinkId,
    LinkUp,
    LogLine,
    Operator,
    PauseWrites,
    PublishToCluster,
    Received,
    ReceivedDatagram,
    Reconfigured,
    Save,
    Send,
    SendDatagram,
    SlotsChanged,
    Started,
    StateChanged,
    Tick,
    UnpauseWrites,
)
from cluster.machine import ClusterMachine
from cluster.member import Member
from cluster.messages import Message, MessageType, Publish
from cluster.nodes_conf import render
from cluster.settings import ClusterSettings
from cluster.sockets import BusLink
from runtime import Clock, Log, Tasks
from runtime.dial import Dialler, dial
from runtime.sockets import reason
from runtime.tls import Context

_BACKLOG = 511
# How `bind` names all addresses; and why one written ``-address`` is passed over.
_ANY = {"*": "0.0.0.0", "::*": "::"}
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
# How long what was saved without a sync may stay so: a power cut loses no more of a resharding than that.
_SETTLE_S = 1.0


class BusPortError(Exception):
    """The bus cannot listen; the text is the last that Redis logs before it exits with status 1."""


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A line of CLUSTER LINKS."""

    inbound: bool
    node_id: str
    created_at_ms: int
    unsent_bytes: int


class Bus:
    """The bus of one node."""

    __slots__ = (
        "_clock",
        "_conf",
        "_events",
        "_held",
        "_inbound",
        "_links",
        "_log",
        "_loop",
        "_machine",
        "_member",
        "_perform",
        "_servers",
        "_settling",
        "_stepping",
        "_taking_part",
        "_tasks",
        "_timer",
        "_timer_at",
        "datagrams",
        "dial",
        "dropped",
        "limit_exceeded",
        "received",
        "sendbuf_limit",
        "sent",
    )

    def __init__(
        self, machine: ClusterMachine, member: Member, conf: NodesConfFile, clock: Clock, log: Log, tasks: Tasks
    ) -> None:
        self._machine = machine
        self._member = member
        self._conf = conf
        self._clock = clock
        self._log = log
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self.datagrams = Datagrams(self._received_datagram, tasks)
        # Opens a connection to another node's bus.
        self.dial: Dialler = dial
        # All links by number, dialled ones from the moment of dialling.
        self._links: dict[LinkId, BusLink] = {}
        # The number of the last inbound link.
        self._inbound = 0
        # What clients published in this turn of the loop, by link: it leaves in one piece at its end.
        self._held: dict[BusLink, list[bytes]] = {}
        # Between `start` and `close`, or the failure to save. Otherwise nothing is taken in, and nobody is answered.
        self._taking_part = False
        # Events that came while a step's effects were being performed.
        self._events: deque[Event] = deque()
        self._stepping = False
        # The timer for what was saved without a sync.
        self._settling: asyncio.TimerHandle | None = None
        # The timer for the machine's deadline.
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        # `cluster-link-sendbuf-limit`, in bytes; 0: none. And how often it closed a link.
        self.sendbuf_limit = 0
        self.limit_exceeded = 0
        # DEBUG DROP-CLUSTER-PACKET-FILTER: messages of this kind count as never received.
        self.dropped: MessageType | None = None
        # Messages by kind, for CLUSTER INFO.
        self.sent: Counter[MessageType] = Counter()
        self.received: Counter[MessageType] = Counter()
        self._perform: dict[type, Callable[[Any], None]] = self._performers()

    # ---- life

    async def open(self, hosts: Sequence[str], port: int, tls: Context | None = None) -> None:
        """Listen on `port` of each host (as in `bind`), for links and for datagrams, and no longer where it was before.

        With `tls` there are no datagrams. Raises BusPortError.
        """
        self._stop_listening()
        bound = []
        for host in hosts:
            name = host.removeprefix("-")
            try:
                await self._listen(_ANY.get(name, name), port, tls)
            except OSError as error:
                if host != name and error.errno in _NO_SUCH_ADDRESS:
                    continue
                await self.close()
                self._log.warning(
                    f"Warning: Could not create server listening sockets {name}:{port}: bind: {reason(error)}"
                )
                raise BusPortError(f"Failed listening on port {port} (cluster), aborting.") from error
            bound.append(name)
        if not bound:
            raise BusPortError(f"Failed listening on port {port} (cluster), aborting.")

    async def _listen(self, address: str, port: int, tls: Context | None) -> None:
        server = await self._loop.create_server(
            self._accept, address, port, backlog=_BACKLOG, reuse_address=True, ssl=tls
        )
        self._servers.append(server)
        if tls is None:
            await self.datagrams.open(address, port)

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        self.datagrams.close()

    def start(self) -> None:
        """Begin to take part in the cluster. Who knocks earlier, while data is loaded, is turned away."""
        self._taking_part = True
        self._step(Started())

    async def close(self) -> None:
        """Stop taking part. nodes.conf stays locked until its owner closes it."""
        self._taking_part = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timer_at = None
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        self._stop_listening()
        self._held.clear()
        for link in list(self._links.values()):
            link.close()
        self._links.clear()

    # ---- what the node asks

    def operate(self, command: Command) -> str:
        """Perform an operator's command and return its reply; raises `cluster.events.Refused`."""
        return self._step(Operator(command))

    def publish(self, channel: bytes, payload: bytes, *, sharded: bool) -> None:
        """Pass a client's message on to the other nodes."""
        self._step(PublishToCluster(channel, payload, sharded))

    def reconfigure(self, settings: ClusterSettings) -> None:
        """Settings changed at run time."""
        self._step(Reconfigured(settings))

    def catch_up(self) -> None:
        """Let the rules see how late it is: the process was stopped, and its next timer comes after its clients."""
        self._tick()

    def links(self) -> list[LinkInfo]:
        """All links whose other end is known, by node."""
        infos = []
        for node in self._machine.state.nodes.values():
            for number in (node.link, node.inbound_link):
                link = None if number is None else self._links.get(number)
                if link is not None and link.peer_ip:
                    infos.append(LinkInfo(link.is_inbound, node.id, link.created_at_ms, self._waiting(link)))
        return infos

    @property
    def unsent_bytes(self) -> int:
        """What waits to be sent on links."""
        return sum(map(self._waiting, self._links.values()))

    def _waiting(self, link: BusLink) -> int:
        return link.unsent_bytes + sum(map(len, self._held.get(link, ())))

    def break_links(self, node_id: str, *, to: bool, from_: bool) -> None:
        """Close our link to a node, or its link to us, or both, as if the network had (DEBUG CLUSTERLINK)."""
        node = self._machine.state.nodes[node_id]
        for wanted, number in ((to, node.link), (from_, node.inbound_link)):
            link = self._links.get(number) if wanted and number is not None else None
            if link is not None:
                link.close()
                self.link_ended(link)

    # ---- stepping

    def _step(self, event: Event) -> str:
        """Take one step, or queue the event when a step is under way; returns the answer to an operator."""
        if self._stepping:
            # An effect made the node do something that is an event again; it waits until the effects are done.
            assert not isinstance(event, Operator), "an operator's command inside another step"
            self._events.append(event)
            return ""
        if not self._taking_part:
            return ""
        self._stepping = True
        try:
            answer = self._take(event)
            while self._events:
                answer = self._take(self._events.popleft()) or answer
        finally:
            self._stepping = False
            self._events.clear()
        deadline = self._machine.deadline()
        if deadline != self._timer_at:
            self._set_timer(deadline)
        return answer

    def _take(self, event: Event) -> str:
        answer = ""
        for effect in self._machine.step(self._loop.time() * 1000, self._clock.wall_ms(), event):
            perform = self._perform.get(type(effect))
            if perform is not None:
                perform(effect)
            elif isinstance(effect, Answer):
                answer = effect.text
            else:
                assert isinstance(effect, Save), effect
                try:
                    self._conf.save(render(self._machine.state), fsync=effect.fsync)
                except OSError as error:
                    self._give_up(error)
                    return ""
                if self._settling is None and not self._conf.settled:
                    self._settling = self._loop.call_later(_SETTLE_S, self._settle)
        return answer

    def _settle(self) -> None:
        self._settling = None
        try:
            self._conf.settle()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """What comes after rests on what could not be saved."""
        self._taking_part = False
        self._events.clear()
        self._member.cannot_save(error)

    def _set_timer(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = None if deadline is None else self._loop.call_at(deadline / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = self._timer_at = None
        self._step(Tick())

    # ---- effects

    def _performers(self) -> dict[type, Callable[[Any], None]]:
        """How each effect is performed, but for `Answer` and `Save`, which are the step's own (`_take`)."""
        member = self._member
        table: dict[type, Callable[[Any], None]] = {}

        def on(kind: type[_E], perform: Callable[[_E], None]) -> None:
            table[kind] = perform

        on(Dial, self._dial)
        on(CloseLink, self._close_link)
        on(Send, lambda effect: self._send((effect.link,), effect.message))
        on(Broadcast, lambda effect: self._send(effect.links, effect.message))
        on(SendDatagram, self._send_datagram)
        on(LogLine, lambda effect: self._log.line(effect.level, effect.text))
        on(FollowMaster, lambda effect: member.follow(effect.ip, effect.port, unrelated=effect.unrelated))
        on(BecomeMaster, lambda effect: member.promote())
        on(EmptyDataset, lambda effect: member.empty())
        on(DropKeysInSlots, lambda effect: member.drop_slots(effect.slots))
        on(SlotsChanged, lambda effect: member.topology_changed())
        on(StateChanged, lambda effect: member.state_changed(effect.ok))
        on(PauseWrites, lambda effect: member.pause_writes(effect.until_ms))
        on(UnpauseWrites, lambda effect: member.unpause_writes())
        on(Deliver, lambda effect: member.deliver(effect.channel, effect.payload, effect.sharded))
        return table

    def _dial(self, effect: Dial) -> None:
        link = BusLink(self, effect.link, self._clock.wall_ms())
        self._links[link.number] = link
        link.dialled_by(self._tasks.start("bus dial", self._connect(link, effect.ip, effect.port)))

    async def _connect(self, link: BusLink, ip: str, port: int) -> None:
        try:
            await self.dial(lambda: link, ip, port)
        except OSError:
            self.link_ended(link)

    def _close_link(self, effect: CloseLink) -> None:
        link = self._links.pop(effect.link, None)
        if link is not None:
            link.close()

    def _send(self, numbers: tuple[LinkId, ...], message: Message) -> None:
        data = encode(message)
        kind = message.kind
        assert kind is not None, message
        for number in numbers:
            link = self._links.get(number)
            if link is None:
                continue
            self.sent[kind] += 1
            if isinstance(message.body, Publish):
                if not self._held:
                    self._loop.call_soon(self._send_held)
                self._held.setdefault(link, []).append(data)
            else:
                self._write(link, b"".join((*self._held.pop(link), data)) if link in self._held else data)

    def _send_held(self) -> None:
        while self._held:
            link = next(iter(self._held))
            data = b"".join(self._held.pop(link))
            # It may have ended since.
            if self._links.get(link.number) is link:
                self._write(link, data)

    def _write(self, link: BusLink, data: bytes) -> None:
        link.send(data)
        if self.sendbuf_limit and link.unsent_bytes > self.sendbuf_limit:
            self._log.warning(
                f"Freeing outgoing cluster link to {link.peer_ip}: {link.unsent_bytes} bytes wait to be sent"
            )
            self.limit_exceeded += 1
            link.close()
            self.link_ended(link)

    def _send_datagram(self, effect: SendDatagram) -> None:
        message = effect.message
        kind = message.kind
        assert kind is not None, effect
        self.datagrams.send(effect.ip, effect.port, encode(message))
        self.sent[kind] += 1

    # ---- what happens on sockets

    def _accept(self) -> BusLink:
        self._inbound -= 1
        link = BusLink(self, self._inbound, self._clock.wall_ms())
        if self._taking_part:
            self._links[link.number] = link
        else:
            link.close()
        return link

    def link_opened(self, link: BusLink) -> None:
        if not link.is_inbound:
            self._step(LinkUp(link.number))

    def link_heard(self, link: BusLink) -> None:
        self._step(Heard(link.number))

    def link_received(self, link: BusLink, message: Message) -> None:
        if self._takes(message):
            self._step(Received(link.number, message, link.peer_ip, link.local_ip))

    def link_garbled(self, link: BusLink, reason: str) -> None:
        self._log.verbose(f"Bad message on the cluster bus from {link.peer_ip or 'unknown'}: {reason}")

    def link_ended(self, link: BusLink) -> None:
        # The machine may have closed the link, and dialled again, before the socket noticed.
        if self._links.pop(link.number, None) is not None:
            self._step(LinkDown(link.number))

    def _received_datagram(self, message: Message, peer_ip: str, peer_port: int, local_ip: str) -> None:
        if self._takes(message):
            self._step(ReceivedDatagram(message, peer_ip, peer_port, local_ip))

    def _takes(self, message: Message) -> bool:
        """Count a message; False when it is to be ignored."""
        kind = message.kind
        if kind is None:
            return True
        self.received[kind] += 1
        return kind is not self.dropped


_E = TypeVar("_E", bound=Effect)
