"""A data node: puts the parts together from `(settings, runtime)`, starts and stops them, and does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node import commands, stretches
from node.blocking import BlockedClients
from node.call import Call
from node.client_rounds import ClientRounds
from node.clustering import Clustering
from node.crash import report_crash
from node.cron import Cron
from node.database import DELETE_EXPIRED, HIDE_EXPIRED
from node.error_codes import ErrorCodes
from node.execute import Executor
from node.expiry import ActiveExpiry
from node.gates import Conditions, Gatekeeper, gates_of
from node.idle import IdleClients
from node.keyspace import Keyspace
from node.latency import LatencyMonitor
from node.logo import logo
from node.memory.buffers import ClientMemory
from node.memory.eviction import Eviction
from node.memory.freeing import Graveyard
from node.memory.quiet import Quiet
from node.migration import Migrations
from node.monitor import Monitor
from node.notifications import Notifier
from node.oom_score import OomScore
from node.pause import PausePurpose, Pauses
from node.persistence.aof.append_only import AppendOnly
from node.persistence.child import Child
from node.persistence.loading import Loader
from node.persistence.saving import Saver
from node.ports import Ports
from node.process_title import ProcessTitle
from node.propagation import Propagation
from node.protected_mode import ProtectedMode
from node.reconfigure import apply_at_start
from node.replication.peer import PeerState
from node.replication.replication import Replication
from node.scripting.debug_sessions import DebugSessions
from node.scripting.declared import Declared
from node.scripting.engine import ScriptEngine
from node.scripting.functions import Libraries
from node.scripting.gateway import Gateway
from node.scripting.scripts import Scripts
from node.service import NodeService
from node.session import NodeSession
from node.settings import NodeSettings
from node.shutdown import Shutdown
from node.slot_walks import SlotWalks
from node.slow_commands import SlowCommands
from node.slowlog import SlowLog
from node.stats import SAMPLE_PERIOD_S, Traffic
from node.tracking import Tracking
from runtime import Runtime, Tasks
from wire.acl.accounts import Accounts
from wire.clients import Clients
from wire.front import Front
from wire.pubsub import Broker
from wire.table import CommandTable
from wire.turn import Turn


class Node:
    """One data node. Its parts are public: commands reach them by name through `Call.node`."""

    def __init__(self, settings: NodeSettings, runtime: Runtime, config_file: str = "") -> None:
        self.settings = settings
        # The file the settings came from, which CONFIG REWRITE rewrites; "" when there is none.
        self.config_file = config_file
        self.runtime = runtime
        self.log = runtime.log
        self.run_id = runtime.random.hex_id("run-id")
        self.started_at_ms = runtime.clock.wall_ms()
        self.turn = Turn(asyncio.get_running_loop())
        # EXEC runs: nothing may look at the data as if they were whole.
        self.in_transaction = False
        # DEBUG SET-SKIP-CHECKSUM-VALIDATION: RESTORE takes damaged payloads.
        self.skips_checksums = False
        self.clients: Clients[NodeSession] = Clients(settings.maxclients)
        self.broker = Broker()
        self.table = CommandTable(commands.MODULES, gates_of)
        self.quiet = Quiet(self.table, runtime.clock)
        stretches.attach(self.table)
        self.accounts = Accounts(self.table, self.clients, runtime.clock, runtime.random)
        for old, new in settings.rename_command:
            self.table.rename(old, new)
        self.front = Front(
            clock=runtime.clock,
            clients=self.clients,
            broker=self.broker,
            table=self.table,
            credentials=self.accounts,
            identity=self,
        )
        self.notifier = Notifier(self.broker)
        self.keyspace = Keyspace(settings.databases, self.notifier)
        self.graveyard = Graveyard(runtime.clock)
        self.keyspace.bury = self.graveyard.bury
        self.slot_walks = SlotWalks(runtime.random.stream("slot-walks"))
        self.conditions = Conditions(self.clients)
        self.gatekeeper = Gatekeeper(self.conditions)
        self.gatekeeper.forbid = self.accounts.forbid
        self.monitor = Monitor(self.conditions, runtime.clock)
        self.propagation = Propagation()
        self.slow_log = SlowLog(runtime.clock)
        self.latency = LatencyMonitor(runtime.clock)
        self.slow_commands = SlowCommands(self.table, self.slow_log, self.latency)
        self.blocked = BlockedClients()
        self.tracking = Tracking(self.keyspace, self.clients, self.turn)
        self.errors = ErrorCodes(runtime.log)
        self.executor = Executor(
            self.table,
            self.keyspace,
            self.propagation,
            self.gatekeeper,
            self.monitor,
            self.slow_commands,
            self.blocked,
            self.tracking,
            self.errors,
            runtime.clock,
        )
        self.pauses = Pauses(self.conditions, self.clients, self._pauses_changed)
        self.shutdown = Shutdown(
            settings,
            runtime.log,
            self.pauses,
            self._save_before_end,
            lambda: len(self.replication.replicas.peers),
            self._lagging_replicas,
            self.end,
        )
        self.expiry = ActiveExpiry(
            self.keyspace,
            runtime.clock,
            self.executor.aftermath.pass_on_by_themselves,
            self._data_are_frozen,
            lambda: self.replication.is_replica,
            self.latency,
        )
        self.eviction = Eviction(
            settings,
            runtime,
            self.keyspace,
            self.conditions,
            buffers=lambda: self.buffers.buffers().counted,
            pass_on=self.executor.aftermath.pass_on_by_themselves,
            frozen=self._data_are_frozen,
            is_replica=lambda: self.replication.is_replica,
            latency=self.latency,
        )
        self.executor.limit_memory(self.eviction)
        self.buffers = ClientMemory(
            settings,
            self.clients,
            self.turn,
            runtime.log,
            lambda: self.replication.replicas.feed.backlog,
            lambda: self.append_only.log.buffered,
            lambda: 0 if self.cluster is None else self.cluster.bus.unsent_bytes,
        )
        self.gateway = Gateway(
            self.table,
            self.executor,
            self.keyspace,
            self.conditions,
            self.gatekeeper,
            runtime.log,
            runtime.clock,
            self.accounts,
            self._inner_session(),
            clustered=settings.cluster_enabled,
        )
        self.scripting = ScriptEngine(
            settings,
            runtime.clock,
            self.keyspace,
            self.conditions,
            self.gateway,
            self.executor.aftermath.conclude,
            runtime.log,
        )
        self.scripts = Scripts(self.scripting)
        self.libraries = Libraries(self.scripting, self.gateway)
        self.keyspace.functions = self.libraries
        self.executor.aftermath.is_busy = lambda: self.scripting.is_busy
        self.gatekeeper.flags_of = Declared(self.scripts, self.libraries).flags
        self.service = NodeService(
            self.turn,
            self.front,
            self.clients,
            self.executor,
            self.conditions,
            self.monitor,
            lambda session: Call(self, session),
            self._session_closed,
        )
        self.ports = Ports(settings, runtime, self.service)
        self.service.denied = ProtectedMode(settings, self.accounts).denial
        self.tasks = Tasks(self._task_died)
        self.debug_sessions = DebugSessions(settings, runtime, self.scripting, self.tasks)
        self.migrations = Migrations(
            self.tasks,
            self.pauses,
            self.executor.aftermath.conclude,
            lambda: self.replication.is_replica,
            lambda: self.ports.tls.client if settings.tls_cluster else None,
        )
        self.title = ProcessTitle(settings, runtime.process, config_file)
        self.child = Child(settings, runtime, self.keyspace, self.tasks, self.latency, self.title)
        self.saver = Saver(settings, runtime, self.keyspace, self.conditions, self.child)
        self.saver.used_memory = self.eviction.used_bytes
        self.loader = Loader(settings, runtime, self.keyspace, self.conditions, self._update_expiry_mode)
        # Before replication: its step of the turn comes first.
        self.append_only = AppendOnly(
            settings,
            runtime,
            self.keyspace,
            self.executor,
            self.propagation,
            self.turn,
            self.conditions,
            self.loader,
            self.child,
            self._inner_session(),
            self.tasks,
            self.saver.remarks,
            self.latency,
        )
        self.oom_score = OomScore(settings, runtime.process, runtime.log, lambda: self.replication.is_replica)
        self.child.began = self.oom_score.apply_to_child
        self.replication = Replication(
            settings,
            runtime,
            self.keyspace,
            self.executor,
            self.propagation,
            self.turn,
            self.conditions,
            self.saver,
            self.loader,
            self.child,
            self._inner_session(),
            self.clients,
            self.tasks,
            over_limit=self.service.output_limits.exceeded,
            offset_frozen=self._stream_is_frozen,
            update_expiry_mode=self._update_expiry_mode,
            hold_writes=self._hold_writes,
            stream_paused=self.pauses.hold_stream,
            on_role=self._role_changed,
            dial=self.ports.dialler("tls-replication"),
        )
        self.append_only.log.stream_offset = self.propagation.stream_offset
        self.append_only.log.on_sync = self._log_synced
        self.replication.upstream.synced_offset = lambda: self.append_only.replicated
        self.replication.upstream.before_copy = self._data_go
        self.replication.upstream.copied = self.append_only.resume
        # None outside cluster mode. Making it locks and reads nodes.conf.
        self.cluster: Clustering | None = None
        # Cluster mode: carries a published message (channel, message, whether sharded) to the other nodes.
        self.relay_message: Callable[[bytes, bytes, bool], None] | None = None
        if settings.cluster_enabled:
            self.cluster = Clustering(
                settings,
                runtime,
                runtime.files.folder(settings.dir),
                self.tasks,
                self.keyspace,
                self.replication,
                self.broker,
                self.executor,
                self.gatekeeper,
                self.blocked,
                self.pauses,
                self.turn,
                self.conditions,
                lambda: self.end(1),
                self.ports,
            )
            self.relay_message = self.cluster.relay
        self.traffic = Traffic(self.clients, self.turn, lambda: self.table.settled_calls)
        self.cron = self._make_cron()
        apply_at_start(self)
        # The exit status, once the node is to end: SHUTDOWN, a signal, or a failure that must not be survived.
        self.ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    # `wire.front.Identity`

    @property
    def mode(self) -> str:
        return "cluster" if self.settings.cluster_enabled else "standalone"

    def role(self) -> str:
        return "replica" if self.replication.is_replica else "master"

    async def start(self) -> None:
        """Open the ports and load the data; returns when clients can be served.

        Raises TlsError, BindError, and OSError, RdbError, AofError or KeysInOtherDatabasesError when the data cannot be
        loaded or kept.
        """
        settings = self.settings
        cluster = self.cluster
        as_replica = settings.replicaof is not None or (cluster is not None and not cluster.state.myself.is_master)
        self.log.role = "S" if as_replica else "M"
        self.title.show()
        self.ports.configure_tls()
        # Clients come by the first address while the next is being opened. They wait, as for redis-server's first turn:
        # there are no data yet, and what an empty node tells them, or takes from them, is wrong.
        self.pauses.begin(PausePurpose.START, float("inf"), everything=True)
        await self.ports.open()
        await self.ports.open_unix()
        if settings.always_show_logo:
            self.log.block(logo(settings, self.runtime.pid))
        # Redis' own test harness takes it, behind the process id, for the sign that a server listens.
        self.log.warning("Server initialized")
        self.cron.start()
        if cluster is not None:
            await cluster.open()
        # From here to the load, or to the end, there is nothing to wait for.
        self.pauses.end(PausePurpose.START)
        if settings.appendonly:
            await self.append_only.load_at_start()
        else:
            await self.replication.load_at_start(as_replica=as_replica)
            self.append_only.resume()
        if settings.replicaof is not None:
            self.replication.follow(*settings.replicaof)
        if cluster is not None:
            cluster.start()

    async def stop(self) -> None:
        """Close every connection and end every task. What is to be saved has been saved."""
        self.cron.stop()
        self.eviction.stop()
        self.expiry.stop()
        self.graveyard.stop()
        self.slot_walks.stop()
        await self.ports.close()
        self.replication.stop()
        self.append_only.stop()
        self.child.kill()
        self.debug_sessions.stop()
        if self.cluster is not None:
            await self.cluster.close()
        for session in self.clients:
            session.drop()
        await self.tasks.cancel_all()
        self.migrations.idle.close()

    def end(self, status: int) -> None:
        """Ask whoever runs the node to stop it and end with this exit status; the first one asked for counts."""
        if not self.ending.done():
            self.ending.set_result(status)

    def _make_cron(self) -> Cron:
        idle = IdleClients(self.settings, self.runtime.clock, self.log)
        looks = (idle.look, self.service.look, self.buffers.look)
        cron = Cron(self.settings)
        cron.add(self.shutdown.cron)
        cron.add(self.expiry.cycle)
        cron.add(ClientRounds(self.settings, self.clients, *looks).beat)
        cron.add(self.eviction.cron)
        cron.add(self.quiet.tick, SAMPLE_PERIOD_S)
        cron.add(self.table.settle, SAMPLE_PERIOD_S)
        cron.add(self.traffic.sample, SAMPLE_PERIOD_S)
        cron.add(self.executor.singles.reopen, SAMPLE_PERIOD_S)
        cron.add(self.append_only.cron)
        cron.add(self.append_only.log.cron, 1)
        cron.add(self._save_when_due, 1)
        cron.add(self.replication.cron, 1)
        return cron

    def _inner_session(self) -> NodeSession:
        """A session that belongs to no connection: the client as which our master's stream runs."""
        session = NodeSession(0, None, self.started_at_ms)
        session.call = Call(self, session)
        return session

    def _task_died(self, name: str, failure: BaseException) -> None:
        report_crash(self.log, f"task {name} died", failure)
        self.end(1)

    def _update_expiry_mode(self) -> None:
        """Who may delete expired keys: a master whose clients are not paused."""
        is_master = not self.replication.is_replica
        self.keyspace.expiry = DELETE_EXPIRED if is_master and not self.pauses.active else HIDE_EXPIRED

    def _pauses_changed(self) -> None:
        self._update_expiry_mode()
        if self.replication.is_replica:
            # Not in the middle of the command that ended the pause.
            asyncio.get_running_loop().call_soon(self.replication.upstream.go_on)

    def _role_changed(self) -> None:
        self._update_expiry_mode()
        self.eviction.configured()
        self.oom_score.apply()
        if self.replication.is_replica:
            self.blocked.abandon()
        else:
            # A copy that was broken off left the log switched off.
            self.append_only.resume()

    def _data_go(self) -> None:
        """A copy of our master's data takes the place of ours."""
        self.append_only.suspend()
        self.tracking.flushed()

    def _log_synced(self) -> None:
        """More of the log is on the disk: clients may wait for that, and so may those of our master."""
        if self.replication.replicas.waits:
            self.replication.replicas.waits.check()
        if self.replication.is_replica:
            self.replication.upstream.note_synced()

    def _hold_writes(self, held: bool) -> None:
        """FAILOVER: it ends by itself, or by its operator's word."""
        if held:
            self.pauses.begin(PausePurpose.FAILOVER, float("inf"), everything=False)
        else:
            self.pauses.end(PausePurpose.FAILOVER)

    def _stream_is_frozen(self) -> bool:
        """Whether this node must add nothing to the replication stream: a replica is taking over, or may have."""
        return self.pauses.holds(PausePurpose.FAILOVER) or (self.cluster is not None and self.cluster.doubt.is_there)

    def _data_are_frozen(self) -> bool:
        """Whether nothing but commands may change data now: a script stands still in the middle of its work, too."""
        return self.scripting.is_busy or self._stream_is_frozen()

    def _save_when_due(self) -> None:
        """Save points; what has been loaded in part is not to take the place of what is on disk."""
        if not self.loader.active:
            self.saver.cron()

    def _save_before_end(self, save: bool | None) -> None:
        """What is logged, and the last snapshot; raises Error when it cannot be written."""
        self.append_only.before_shutdown()
        if self.loader.active:
            # What is in memory is less than what is on disk.
            return
        with self.runtime.process.interrupted_by("SIGINT"):
            self.saver.before_shutdown(save=save)

    def _lagging_replicas(self) -> list[str]:
        """Each replica that has not acknowledged everything, and how it stands."""
        now, offset = asyncio.get_running_loop().time(), self.replication.offset
        return [
            f"{peer.name} reported offset {offset - peer.ack_offset} behind master, lag="
            f"{round(now - peer.ack_at) if peer.state is PeerState.ONLINE else 0}, state={peer.state.value}."
            for peer in self.replication.replicas.peers.values()
            if peer.ack_offset < offset
        ]

    def _session_closed(self, session: NodeSession) -> None:
        self.tracking.stop(session)
        self.service.output_limits.forget(session)
        self.buffers.forget(session)
        if session.connection is not None:
            self.traffic.ended(session.connection.bytes_in, session.connection.bytes_out)
        self.blocked.forget(session)
        self.replication.detached(session)
