"""A node's part in replication: the master's side and the replica's side, and the change between the two.

Puts the parts together and owns what a change of role means for the rest of the node: which commands are
refused, who expires keys, whether the executor feeds the stream. What this offers is listed in the package's
docstring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.execute import Executor
from node.gates import READ_ONLY, STALE, Conditions
from node.keyspace import Keyspace
from node.persistence.child import Child
from node.persistence.loading import Loader
from node.persistence.rdb_errors import RdbError
from node.persistence.saving import Saver
from node.persistence.snapshot import ReplicationMark
from node.propagation import Propagation
from node.replication.applier import Applier
from node.replication.failover import Failover
from node.replication.history import History
from node.replication.master import Master
from node.replication.settings import ReplicationSettings
from node.replication.upstream import Upstream
from node.session import NodeSession
from runtime import Runtime, Tasks
from runtime.dial import Dialler
from wire.clients import Clients
from wire.turn import Turn


class Replication:
    """Both sides of one node."""

    __slots__ = (
        "_applier",
        "_clients",
        "_conditions",
        "_keyspace",
        "_loader",
        "_on_role",
        "_propagation",
        "_runtime",
        "_saver",
        "_session",
        "_settings",
        "_update_expiry_mode",
        "failover",
        "history",
        "replicas",
        "upstream",
    )

    def __init__(
        self,
        settings: ReplicationSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        executor: Executor,
        propagation: Propagation,
        turn: Turn,
        conditions: Conditions,
        saver: Saver,
        loader: Loader,
        child: Child,
        session: NodeSession,
        clients: Clients[NodeSession],
        tasks: Tasks,
        *,
        over_limit: Callable[[NodeSession, int], bool],
        offset_frozen: Callable[[], bool],
        update_expiry_mode: Callable[[], None],
        hold_writes: Callable[[bool], None],
        stream_paused: Callable[[bool], bool],
        on_role: Callable[[], None],
        dial: Dialler,
    ) -> None:
        """`session` is the client as which the master's stream runs, and is among `clients` while it comes.

        `over_limit(session, unsent)` says whether a replica has too much unsent; `offset_frozen()` whether nothing
        may be added to the stream, because of a failover; `hold_writes` holds clients' writes back or lets them go,
        for the same reason; `stream_paused(writes)` says whether a piece of our master's stream must wait; `on_role` is
        called when this node has become a master or a replica, after everything here is in place; `dial` opens a
        connection to a master.
        """
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._propagation = propagation
        self._conditions = conditions
        self._saver = saver
        self._loader = loader
        self._update_expiry_mode = update_expiry_mode
        self._on_role = on_role
        session.from_master = True
        session.superuser = True
        self._session = session
        self._clients = clients
        self.history = History(self._new_replid())
        # The replicas of this node.
        self.replicas = Master(
            settings,
            runtime,
            keyspace,
            self.history,
            turn,
            conditions,
            propagation,
            saver,
            child,
            over_limit,
            offset_frozen,
            lambda: self.is_replica,
        )
        # FAILOVER, while it is under way.
        self.failover = Failover(runtime.log, self.replicas, self.follow, self.promote, hold_writes)
        self.replicas.on_acknowledged = self.failover.check
        self._applier = Applier(
            runtime, keyspace, executor, self.replicas.feed, session, update_expiry_mode, stream_paused
        )
        # The master of this node.
        self.upstream = Upstream(
            settings,
            runtime,
            keyspace,
            loader,
            self.replicas,
            self._applier,
            tasks,
            self.failover,
            dial,
            self._link_changed,
        )
        session.hang_up = self.upstream.hang_up
        propagation.stream_offset = lambda: self.history.offset
        saver.mark = self._mark
        turn.steps.append(self.replicas.end_turn)

    # Facts

    @property
    def is_replica(self) -> bool:
        return self.upstream.master is not None

    @property
    def offset(self) -> int:
        """The number of the last byte of the history that this node has applied."""
        return self.history.offset

    @property
    def data_offset(self) -> int:
        """`offset`; 0 for a replica that has thrown its data away for a copy, or has another master's, until that is
        whole."""
        return 0 if self.upstream.has_no_data else self.history.offset

    @property
    def link_up(self) -> bool:
        """The master's stream is arriving."""
        return self.upstream.up

    @property
    def may_hold_back(self) -> bool:
        """Whether something of this turn has not left yet; without a backlog that is not known."""
        feed = self.replicas.feed
        return feed.backlog is None or bool(feed.pieces)

    def data_age_ms(self) -> float | None:
        """How long ago the data was known to be fresh: since the master was last heard of, or the link broke.

        None on a master, and on a replica that has never been in sync.
        """
        now = asyncio.get_running_loop().time()
        since = self.upstream.last_io_at if self.link_up else self.upstream.down_since
        return None if since is None else (now - since) * 1000

    # Changes of role

    def follow(self, host: str, port: int, *, unrelated: bool = False) -> None:
        """Become a replica of that node, or stay one; `unrelated` to what it has is what is here."""
        if self.upstream.master == (host, port):
            return
        if not self.is_replica:
            self._runtime.log.notice(
                "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be "
                "able to synchronize with the new master with just a partial transfer."
            )
            self.replicas.end_turn()
        self.upstream.follow(host, port, unrelated=unrelated)
        self._runtime.log.role = "S"
        self._role_changed()

    def promote(self) -> None:
        """Become a master; the data stays, and whoever has it too can go on with us."""
        if not self.is_replica:
            return
        self.upstream.leave()
        self.upstream.down_since = None
        self.upstream.unrelated = False
        replicas = self.replicas
        replicas.end_turn()
        if self.upstream.unsure:
            # Promoted with half a copy thrown away: nobody has had what this node has now.
            self.upstream.unsure = False
            self.history.restart(self._new_replid())
        else:
            self.history.branch(self._new_replid())
        self._runtime.log.notice(
            f"Setting secondary replication ID to {self.history.replid2.decode()}, valid up to offset: "
            f"{self.history.second_offset}. New replication ID is {self.history.replid.decode()}"
        )
        replicas.drop_all()
        replicas.feed.reselect()
        self._runtime.log.role = "M"
        self._role_changed()

    def _role_changed(self) -> None:
        self.replicas.role_changed()
        self.update_conditions()
        self._update_expiry_mode()
        self._on_role()

    def _link_changed(self) -> None:
        self.update_conditions()
        session, clients = self._session, self._clients
        listed = session.id in clients.by_id
        if self.link_up and not listed:
            assert self.upstream.master is not None
            assert self.upstream.link is not None
            host, port = self.upstream.master
            session.id = clients.next_id()
            session.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            session.local_address = self.upstream.link.local_address
            session.created_at_ms = session.last_seen_ms = self._runtime.clock.wall_ms()
            clients.enlist(session)
        elif listed and not self.link_up:
            clients.remove(session)

    def update_conditions(self) -> None:
        """Refuse what a replica refuses; asked again after CONFIG SET."""
        settings = self._settings
        self._conditions.set(READ_ONLY, self.is_replica and settings.replica_read_only)
        stale = self.is_replica and not self.link_up and not settings.replica_serve_stale_data
        self._conditions.set(STALE, stale)
        self.replicas.update_good_replicas()

    # Starting, living, stopping

    async def load_at_start(self, *, as_replica: bool) -> bool:
        """Load the snapshot, if there is one; True if there was. Raises RdbError or OSError, after logging it.

        A replica that finds its place in the history may continue there when it follows its master; a master lets
        the replicas it had continue.
        """
        log = self._runtime.log
        started_ns = self._runtime.clock.perf_ns()
        try:
            disk = self._saver.disk()
            if not disk.exists(self._settings.dbfilename):
                return False
            data = disk.read(self._settings.dbfilename)
            target = await self._loader.load(data, drop_expired=not as_replica)
        except OSError as error:
            log.warning(f"Fatal error loading the DB: {error.strerror}. Exiting.")
            raise
        except RdbError as error:
            for line in error.lines:
                log.warning(line)
            raise
        took_s = (self._runtime.clock.perf_ns() - started_ns) / 1e9
        log.notice(f"DB loaded from disk: {took_s:.3f} seconds")
        if target.mark is not None:
            self._go_on_from(target.mark, target.expired, as_replica=as_replica)
        return True

    def _go_on_from(self, mark: ReplicationMark, expired: list[tuple[int, bytes]], *, as_replica: bool) -> None:
        if as_replica:
            self.history.adopt(mark.replid, mark.offset)
            self._applier.begin(mark.database)
            return
        self.history.grow_out_of(mark.replid, mark.offset)
        self.replicas.open_backlog()
        # What was left out of the load as expired is still there in the replicas that continue.
        self._propagation.feed_commands([(index, (b"DEL", key)) for index, key in expired], atomic=False)

    def cron(self) -> None:
        """Once a second."""
        self.upstream.cron()
        self.replicas.cron()

    def detached(self, session: NodeSession) -> None:
        """A client is gone; it may have been a replica, or have waited for some."""
        self.replicas.detached(session)

    def stop(self) -> None:
        """The node ends."""
        self.replicas.copies.stop()
        self.failover.stop()
        self.upstream.stop()

    def _mark(self) -> ReplicationMark | None:
        """What a snapshot made now says of our place in a history; nothing if nobody could continue from it."""
        feed = self.replicas.feed
        feed.flush()
        if feed.backlog is None:
            return None
        database = self._applier.database if self.is_replica else feed.database
        return ReplicationMark(self.history.replid, self.history.offset, database)

    def forget_history(self) -> None:
        """Begin a history that nobody can continue with (DEBUG CHANGE-REPL-ID)."""
        self.history.restart(self._new_replid())

    def _new_replid(self) -> bytes:
        return self._runtime.random.hex_id("replid").encode()
