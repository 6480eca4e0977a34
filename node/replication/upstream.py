"""The replica's side: which master this node follows, and how the data gets here.

Connects, and connects again when the link breaks; takes a full copy where the master cannot go on from where we
are; has the stream applied. What the bytes on the link mean is `link`'s business, what the stream does `applier`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from node.keyspace import Keyspace
from node.persistence.arriving import Arriving
from node.persistence.loading import KeyspaceTarget, Loader
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_reader import checking
from node.replication.applier import Applier
from node.replication.failover import Failover
from node.replication.handshake import Introduction
from node.replication.link import LinkPhase, MasterLink
from node.replication.master import Master
from node.replication.settings import ReplicationSettings
from node.replication.stream import StreamError
from runtime import Runtime, Tasks
from runtime.dial import Dialler
from wire.encoder import encode_command

_RETRY_AFTER_S = 1.0
# A sign of life while a copy is loaded, so that the master does not take us for dead.
_SIGN_OF_LIFE_S = 1.0


class LinkState(Enum):
    """How the bond with the master stands; the values are what ROLE shows."""

    CONNECT = "connect"
    CONNECTING = "connecting"
    HANDSHAKE = "handshake"
    SYNC = "sync"
    CONNECTED = "connected"


class Upstream:
    """The bond of a replica with its master; idle while this node is a master itself."""

    __slots__ = (
        "_applier",
        "_arriving",
        "_asked",
        "_connecting",
        "_copy_offset",
        "_copy_replid",
        "_dial",
        "_failover",
        "_keyspace",
        "_loader",
        "_loading",
        "_master_side",
        "_on_state",
        "_retry",
        "_runtime",
        "_settings",
        "_tasks",
        "before_copy",
        "copied",
        "down_since",
        "link",
        "master",
        "state",
        "synced_offset",
        "unrelated",
        "unsure",
    )

    def __init__(
        self,
        settings: ReplicationSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        loader: Loader,
        master_side: Master,
        applier: Applier,
        tasks: Tasks,
        failover: Failover,
        dial: Dialler,
        on_state: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._loader = loader
        # Our own replicas, who get what we get.
        self._master_side = master_side
        self._applier = applier
        self._dial = dial
        # Called after `state` or `master` changed.
        self._on_state = on_state
        self._tasks = tasks
        # While it is in progress our master is asked to become that first, and its answer ends it.
        self._failover = failover
        # Called before the data is thrown away for a copy, and when the copy has been loaded: the log begins anew.
        self.before_copy: Callable[[], None] = _nothing
        self.copied: Callable[[], None] = _nothing
        # The master's address; None while this node is a master.
        self.master: tuple[str, int] | None = None
        self.state = LinkState.CONNECT
        # The connection under way or up, and the tasks that open it and that load its copy.
        self.link: MasterLink | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        # The copy that is loaded while it comes, if the one under way is.
        self._arriving: Arriving | None = None
        self._retry: asyncio.TimerHandle | None = None
        # The offset up to which everything is on our disk; None while nothing is logged.
        self.synced_offset: Callable[[], int | None] = lambda: None
        # The master asked how far we are, and may not yet know that the disk is as far.
        self._asked = False
        # Where the copy under way stands.
        self._copy_replid = b""
        self._copy_offset = -1
        # The old data was thrown away for a copy that did not get here whole: only a full copy will do.
        self.unsure = False
        # What is here is another master's: as a copy of ours it counts for nothing.
        self.unrelated = False
        # Loop time since which the link is down; None if it has never been up since this node became a replica.
        self.down_since: float | None = None

    # What operators and the cluster ask for

    def follow(self, host: str, port: int, *, unrelated: bool = False) -> None:
        """Become, or stay, a replica of the node at this address."""
        if self.master == (host, port):
            return
        self.leave()
        self.master = (host, port)
        if unrelated:
            self.unrelated = True
            self.down_since = None
        self._become(LinkState.CONNECT)
        self._connect()

    def leave(self) -> None:
        """Let go of the master, if there is one; the data stays, except half a copy."""
        self._cut()
        self._become(LinkState.CONNECT)
        self.master = None
        self._on_state()

    @property
    def has_no_data(self) -> bool:
        """Nothing here is the master's."""
        return self.unsure or self.unrelated

    @property
    def up(self) -> bool:
        """The stream is being applied."""
        return self.master is not None and self.state is LinkState.CONNECTED

    @property
    def last_io_at(self) -> float | None:
        """Loop time at which the master was last heard of on this link."""
        return self.link.last_io_at if self.link is not None else None

    @property
    def read_offset(self) -> int:
        """The offset with what has been read but cannot be applied yet."""
        return self._master_side.feed.history.offset + self._applier.unapplied

    def acknowledge(self, offset: int | None = None) -> None:
        """Tell the master how far we are, and, if we keep a log, how much of that is on the disk."""
        if self.link is not None and self.state is LinkState.CONNECTED and self._copy_offset != -1:
            at = self._master_side.feed.history.offset if offset is None else offset
            words = [b"REPLCONF", b"ACK", b"%d" % at]
            synced = self.synced_offset()
            if synced is not None:
                words += (b"FACK", b"%d" % synced)
            self.link.send(encode_command(words))

    def note_synced(self) -> None:
        """More of our log is on the disk: a master that asked how far we are may wait for just that."""
        if self._asked and self.synced_offset() == self._master_side.feed.history.offset:
            self._asked = False
            self.acknowledge()

    def hang_up(self) -> None:
        """An operator kills the link (CLIENT KILL): as if it had broken."""
        link = self.link
        if link is not None:
            link.close()
            self.lost(link)

    def cron(self) -> None:
        """Once a second: acknowledge, and give up a master that has fallen silent."""
        if self.master is None or self.link is None:
            return
        if self._loading is not None and (self._arriving is None or not self._arriving.starved):
            return
        silent_s = asyncio.get_running_loop().time() - self.link.last_io_at
        if silent_s > self._settings.repl_timeout:
            self._log_silence()
            self._cut()
            self._become(LinkState.CONNECT)
            self._connect()
            return
        self.acknowledge()

    def stop(self) -> None:
        """The node ends; the data stays as it is."""
        self.master = None
        self._cut()

    # Connecting

    def _connect(self) -> None:
        assert self.master is not None, "nobody to connect to"
        self._retry = None
        host, port = self.master
        self._runtime.log.notice(f"Connecting to MASTER {host}:{port}")
        history = self._master_side.feed.history
        settings = self._settings
        auth: tuple[bytes, ...] = ()
        if settings.masterauth:
            auth = (settings.masterauth.encode(),)
            if settings.masteruser:
                auth = (settings.masteruser.encode(), *auth)
        introduction = Introduction(
            auth=auth,
            port=settings.replica_announce_port
            or (settings.tls_port if settings.tls_replication and settings.tls_port else settings.port),
            ip=settings.replica_announce_ip.encode(),
            replid=b"?" if self.unsure else history.replid,
            offset=-1 if self.unsure else history.offset + 1,
            failover=self._failover.in_progress,
        )
        self.link = MasterLink(introduction, self, settings.tcp_keepalive)
        self._become(LinkState.CONNECTING)
        self._connecting = self._tasks.start("connect-to-master", self._open(self.link, host, port))

    async def _open(self, link: MasterLink, host: str, port: int) -> None:
        try:
            await self._dial(lambda: link, host, port)
        except OSError as error:
            if link is self.link:
                self._connecting = None
                reason = error.strerror or str(error)
                self._runtime.log.warning(f"Error condition on socket for SYNC: {reason}")
                self._again(_RETRY_AFTER_S)
            return
        if link is self.link:
            self._connecting = None
            self._runtime.log.notice("MASTER <-> REPLICA sync started")
            if self.state is LinkState.CONNECTING:
                self._become(LinkState.HANDSHAKE)

    def _again(self, delay_s: float) -> None:
        """The link is gone: open another after a while."""
        self._cut()
        self._become(LinkState.CONNECT)
        if self.master is not None:
            self._retry = asyncio.get_running_loop().call_later(delay_s, self._connect)

    def _cut(self) -> None:
        """Drop the link and all that goes with it."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self.link is not None:
            self.link.close()
            self.link = None
        if self._loading is not None:
            self._loading.cancel()
            self._loading = self._arriving = None
            self._discard_half_a_copy()
        self._applier.begin()

    def _become(self, state: LinkState) -> None:
        if self.state is LinkState.CONNECTED and state is not LinkState.CONNECTED:
            self.down_since = asyncio.get_running_loop().time()
        self.state = state
        self._on_state()

    def _log_silence(self) -> None:
        if self.state is LinkState.CONNECTED:
            text = "MASTER timeout: no data nor PING received..."
        elif self.state is LinkState.SYNC:
            text = (
                "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' "
                "parameter in redis.conf to a larger value."
            )
        else:
            text = "Timeout connecting to the MASTER..."
        self._runtime.log.warning(text)

    # What the link reports (`LinkOwner`)

    def failed(self, link: MasterLink, reason: str, *, psync_refused: bool) -> None:
        if link is not self.link:
            return
        self._runtime.log.warning(reason)
        self._again(_RETRY_AFTER_S)
        if psync_refused:
            self._failover.answered(accepted=False)

    def lost(self, link: MasterLink) -> None:
        if link is not self.link or (self._loading is not None and (self._arriving is None or self._arriving.ended)):
            return  # a copy that is here whole will be loaded all the same
        was_connected = self.state is LinkState.CONNECTED
        self._runtime.log.warning("Connection with master lost." if was_connected else "Link with MASTER broke in sync")
        # A stream that broke is resumed at once if it can be; a master that hangs up on us is not to be harassed.
        self._again(0 if was_connected else _RETRY_AFTER_S)

    def resumed(self, replid: bytes) -> None:
        log = self._runtime.log
        log.notice("Successful partial resynchronization with master.")
        self._failover.answered(accepted=True)
        self.unrelated = False
        side = self._master_side
        if replid:
            # Our master was promoted since: same data, new name. Our own replicas must learn it too.
            side.feed.flush()
            side.feed.history.branch(replid)
            log.notice(f"Master replication ID changed to {replid.decode()}")
            side.drop_all()
        side.open_backlog()
        self._copy_offset = side.feed.history.offset
        self._become(LinkState.CONNECTED)
        log.notice("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")

    def copy_announced(self, link: MasterLink, replid: bytes, offset: int) -> Callable[[bytes], None] | None:
        self._copy_replid = replid
        self._copy_offset = offset
        self._become(LinkState.SYNC)
        self._failover.answered(accepted=True)
        if replid:
            self._runtime.log.notice(f"Full resync from master: {replid.decode()}:{offset}")
        else:
            self._runtime.log.notice("Retrying with SYNC...")
        how = self._settings.repl_diskless_load
        if how == "disabled" or (how == "on-empty-db" and not self._keyspace.is_empty()):
            return None
        self._arriving = arriving = Arriving(link.hold)
        self._loading = self._tasks.start("load-copy", self._load(link, arriving, aside=how == "swapdb"))
        return arriving.feed

    def copy_received(self, link: MasterLink, copy: bytes, *, acknowledge: bool) -> None:
        if self._arriving is not None:
            self._arriving.end(acknowledge=acknowledge)
        else:
            self._loading = self._tasks.start("load-copy", self._load(link, copy, acknowledge=acknowledge))

    def streamed(self, link: MasterLink, data: bytes) -> None:
        try:
            self._answer(self._applier.receive(data))
        except StreamError as error:
            self._runtime.log.warning(f"Master stream corruption: {error}")
            link.close()
            self._again(_RETRY_AFTER_S)

    def go_on(self) -> None:
        """A pause may be over: apply what it has held back."""
        self._answer(self._applier.go_on())

    def _answer(self, asked_for: int | None) -> None:
        if asked_for is not None:
            self._asked = True
            self.acknowledge(asked_for)

    # Loading

    async def _load(
        self, link: MasterLink, copy: bytes | Arriving, *, acknowledge: bool = False, aside: bool = False
    ) -> None:
        """Put the copy in the place of our data; `aside`, these stay until it is whole."""
        log = self._runtime.log
        loop = asyncio.get_running_loop()
        signed_at = loop.time()

        def sign_of_life() -> None:
            nonlocal signed_at
            if loop.time() - signed_at > _SIGN_OF_LIFE_S:
                signed_at = loop.time()
                link.send(b"\n")

        try:
            if isinstance(copy, Arriving):
                load = self._load_aside if aside else self._load_in_place
                target = await load(copy, sign_of_life)
                acknowledge = await copy.wait_end()
            else:
                for _ in checking(copy):
                    await asyncio.sleep(0)
                target = await self._load_in_place(copy, sign_of_life)
        except RdbError as error:
            for line in error.lines:
                log.warning(line)
            log.warning("Failed trying to load the MASTER synchronization DB from socket")
            self._loading = self._arriving = None
            self._discard_half_a_copy()
            self._again(_RETRY_AFTER_S)
            return
        self._loading = self._arriving = None
        self.unsure = self.unrelated = False
        side = self._master_side
        # After SYNC nobody told us the history's name: a name of our own keeps others from asking us for it.
        replid = self._copy_replid or self._runtime.random.hex_id("replid").encode()
        side.feed.history.adopt(replid, max(self._copy_offset, 0))
        side.open_backlog()
        self._applier.begin(target.mark.database if target.mark is not None else 0)
        self.copied()
        self._become(LinkState.CONNECTED)
        log.notice("MASTER <-> REPLICA sync: Finished with success")
        if link.phase is LinkPhase.CLOSED:
            self.lost(link)  # it broke meanwhile: go on from the copy
            return
        if acknowledge:
            self.acknowledge()
        link.begin_stream()

    async def _load_in_place(self, copy: bytes | Arriving, sign_of_life: Callable[[], None]) -> KeyspaceTarget:
        log = self._runtime.log
        log.notice("MASTER <-> REPLICA sync: Flushing old data")
        # From here on what we have is neither the old history nor yet the new one.
        self.unsure = True
        self._leave_history()
        if not self._keyspace.is_empty():
            self._keyspace.clear()
        log.notice("MASTER <-> REPLICA sync: Loading DB in memory")
        if isinstance(copy, Arriving):
            return await self._loader.load_arriving(copy, after_slice=sign_of_life)
        return await self._loader.load(copy, drop_expired=False, checked=True, after_slice=sign_of_life)

    async def _load_aside(self, copy: Arriving, sign_of_life: Callable[[], None]) -> KeyspaceTarget:
        """`swapdb`: the old data stay until the new are whole; clients see them while they are of the same history."""
        log = self._runtime.log
        log.notice("MASTER <-> REPLICA sync: Loading DB in memory")
        serve = self._copy_replid == self._master_side.feed.history.replid
        aside, target = await self._loader.load_aside(copy, serve=serve, after_slice=sign_of_life)
        log.notice("MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
        self._loader.put_in_place(aside, target)
        self._leave_history()
        return target

    def _leave_history(self) -> None:
        """The old data go: who replicates them from us must ask again, and the log begins anew."""
        self.before_copy()
        self._master_side.drop_all()
        self._master_side.close_backlog()

    def _discard_half_a_copy(self) -> None:
        """Loading was broken off: if the old data is gone already, show none rather than some of the new."""
        if self.unsure:
            self._keyspace.clear()


def _nothing() -> None:
    pass
