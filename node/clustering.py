"""The node as a member of a cluster: ties the bus to the keyspace, to replication and to clients.

Owns what exists only in cluster mode: nodes.conf, the machine with the rules, the bus, the redirections, and the table
of slots that the executor looks keys up in. `Facts` are what the rules read of the node, `Member` is what they ask of
it; this class is both, and passes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from cluster.bus import Bus, BusPortError
from cluster.conf_file import NodesConfFile
from cluster.endpoints import Endpoint, PreferredEndpoint, endpoint
from cluster.machine import ClusterMachine, new_state
from cluster.membership import ClusterState, NodeEntry
from cluster.messages import BUS_PORT_OFFSET
from cluster.nodes_conf import NodesConfError, parse, render
from cluster.settings import ClusterSettings
from cluster.slots import SLOTS
from node.blocking import BlockedClients
from node.doubt import Doubt
from node.execute import Executor
from node.gates import STANDS_BACK, Conditions, Gatekeeper
from node.keyspace import Keyspace
from node.pause import PausePurpose, Pauses
from node.ports import Ports
from node.redirection import Redirection, ip_of
from node.settings import NodeSettings
from node.shard_channels import ShardChannels
from runtime import Disk, Runtime, Tasks
from wire.pubsub import Broker
from wire.session import Session
from wire.turn import Turn

_PORT_MAX = 65535
_CANNOT_SAVE = "Fatal: can't update cluster config file: "


class KeysInOtherDatabasesError(Exception):
    """The snapshot has keys in a database other than 0: a cluster knows no other."""


class Replica(Protocol):
    """What is needed of replication (`node.replication`)."""

    @property
    def offset(self) -> int: ...

    @property
    def data_offset(self) -> int: ...

    @property
    def link_up(self) -> bool: ...

    @property
    def may_hold_back(self) -> bool: ...

    def data_age_ms(self) -> float | None: ...

    def follow(self, host: str, port: int, *, unrelated: bool) -> None: ...

    def promote(self) -> None: ...


class Clustering:
    """The cluster side of one node. Making it locks and reads nodes.conf; raises NodesConfError."""

    def __init__(
        self,
        settings: NodeSettings,
        runtime: Runtime,
        disk: Disk,
        tasks: Tasks,
        keyspace: Keyspace,
        replication: Replica,
        broker: Broker,
        executor: Executor,
        gatekeeper: Gatekeeper,
        blocked: BlockedClients,
        pauses: Pauses,
        turn: Turn,
        conditions: Conditions,
        fatal: Callable[[], None],
        ports: Ports,
    ) -> None:
        self._settings = settings
        self._keyspace = keyspace
        self._replication = replication
        self._broker = broker
        self._executor = executor
        self._blocked = blocked
        self._pauses = pauses
        self._turn = turn
        self._conditions = conditions
        self._log = runtime.log
        # Ends the process at once, with status 1.
        self._fatal = fatal
        self._ports = ports
        self._loop = asyncio.get_running_loop()
        # Where the bus listens, and whether with TLS; None before `open`.
        self._bus_port: int | None = None
        self._bus_has_tls = False
        self._conf = NodesConfFile(disk, settings.cluster_config_file)
        # The rules; their tables are what CLUSTER's reports show.
        self.machine = self._load(runtime)
        self.bus = Bus(self.machine, self, self._conf, runtime.clock, runtime.log, tasks)
        self.redirection = Redirection(self.state, keyspace, settings)
        self._shard_channels = ShardChannels(self.state, broker)
        self.bus.dial = ports.dialler("tls-cluster")
        self.bus.sendbuf_limit = settings.cluster_link_sendbuf_limit
        # One byte a slot: 1 where its keys are all here, and nowhere else. Changed in place: the executor holds it.
        self._owned = bytearray(SLOTS)
        executor.use_slots(self._owned)
        gatekeeper.redirect = self.redirection
        # Whether what runs here still counts.
        self.doubt = Doubt(self.machine, self.bus, turn, self._loop)

    def _load(self, runtime: Runtime) -> ClusterMachine:
        """The rules, in the state that nodes.conf remembers or a new node's."""
        stored = self._conf.open()
        if stored:
            state = parse(stored, self._loop.time() * 1000)
            self._log.notice(f"Node configuration loaded, I'm {state.myself.id}")
        else:
            state = new_state(runtime.random.hex_id("node-id"), runtime.random.hex_id("shard-id"))
            # A node that has told others its name must not wake up with another one.
            try:
                self._conf.save(render(state), fsync=True)
            except OSError as error:
                raise NodesConfError(f"{_CANNOT_SAVE}{error.strerror}") from error
            self._log.notice(f"No cluster configuration found, I'm {state.myself.id}")
        return ClusterMachine(state, self._cluster_settings(), self, runtime.random.stream("cluster"))

    @property
    def state(self) -> ClusterState:
        """The tables, to be read."""
        return self.machine.state

    # ---- life

    async def open(self) -> None:
        """Listen on the bus; raises BusPortError."""
        port = bus_port(self._settings)
        if port > _PORT_MAX:
            raise BusPortError(
                "Redis port number too high. Cluster communication port is 10,000 port numbers higher than your "
                "Redis port. Your Redis port number must be 55535 or less."
            )
        self._bus_port = port
        await self.reopen()

    @property
    def outdated(self) -> bool:
        """Whether CONFIG SET of `tls-cluster` waits for `reopen`."""
        return self._bus_port is not None and self._bus_has_tls is not self._settings.tls_cluster

    async def reopen(self) -> None:
        """Listen on the bus, with TLS if the settings say so; raises BusPortError."""
        assert self._bus_port is not None, "reopened before it was opened"
        self._bus_has_tls = self._settings.tls_cluster
        await self.bus.open(self._settings.bind, self._bus_port, self._ports.tls.server if self._bus_has_tls else None)

    def start(self) -> None:
        """Take part in the cluster. The data set is loaded by now; raises KeysInOtherDatabasesError."""
        if self.state.myself.is_master and any(other.size for other in self._keyspace.databases() if other.index):
            raise KeysInOtherDatabasesError(
                "You can't have keys in a DB different than DB 0 when in Cluster mode. Exiting."
            )
        self.bus.start()
        # Clients may have changed settings while the data set was loaded.
        self.configured()

    async def close(self) -> None:
        await self.bus.close()
        self._conf.close()

    def configured(self) -> None:
        """CONFIG SET changed something: have the rules know, if it concerns them."""
        settings = self._cluster_settings()
        if settings != self.machine.settings:
            self.bus.reconfigure(settings)
        self.bus.sendbuf_limit = self._settings.cluster_link_sendbuf_limit

    def _cluster_settings(self) -> ClusterSettings:
        # The bus stays where it was opened, whatever becomes of the clients' port.
        return cluster_settings(self._settings, self._bus_port or bus_port(self._settings))

    # ---- for commands

    def gives_copy(self, offset: int) -> bool:
        """Whether a replica that has `offset` may get a copy of what is here in exchange for it."""
        return not self.machine.view.returning or offset <= self._replication.offset

    def told(self, node: NodeEntry, session: Session) -> Endpoint:
        """How this client reaches `node`."""
        preferred = PreferredEndpoint(self._settings.cluster_preferred_endpoint_type)
        told = endpoint(node, ip_of(session.address), preferred, plain=self.redirection.plain(session))
        if node.myself and not node.ip and preferred is PreferredEndpoint.IP and not told.by_network:
            # Nobody has told us yet what we are called; what this client calls us is true at least for it.
            return replace(told, host=ip_of(session.local_address))
        return told

    def relay(self, channel: bytes, message: bytes, sharded: bool) -> None:
        """A client of ours published: the other nodes' clients get it, too."""
        self.bus.publish(channel, message, sharded=sharded)

    # ---- `cluster.events.Facts`

    def replication_offset(self) -> int:
        return self._replication.data_offset

    def master_silence_ms(self) -> float | None:
        return self._replication.data_age_ms()

    def keys_in_slot(self, slot: int) -> int:
        return len(self._keyspace.database(0).shards[slot])

    def dataset_empty(self) -> bool:
        return self._keyspace.is_empty()

    # ---- `cluster.member.Member`

    def follow(self, ip: str, port: int, *, unrelated: bool) -> None:
        if self.doubt.is_there and self._replication.may_hold_back:
            # Replies that are still held back belong to writes that the new master does not know. Without any, what
            # was read was true when it was asked for, and is answered.
            self._turn.discard()
        self._replication.follow(ip, port, unrelated=unrelated)

    def promote(self) -> None:
        self._replication.promote()

    def empty(self) -> None:
        self._keyspace.clear()

    def drop_slots(self, slots: tuple[int, ...]) -> None:
        """The keys have another home now. Our replicas are told, as they are from Redis 7.2 on: they cannot know."""
        # Who blocks on one of these keys is told where it went, not that it was deleted.
        self._blocked.refuse(self.redirection.lost)
        database = self._keyspace.database(0)
        for slot in slots:
            keys = list(database.shards[slot])
            if keys:
                database.drop_slot(slot)
                self._keyspace.effects += [(0, (b"DEL", key)) for key in keys]
        self._executor.aftermath.pass_on_by_themselves()

    def topology_changed(self) -> None:
        self._owned[:] = self.machine.view.owned
        self._blocked.refuse(self.redirection.lost)
        self._conditions.set(STANDS_BACK, self.machine.view.stands_back)
        self._shard_channels.follow_slots()

    def state_changed(self, ok: bool) -> None:  # noqa: ARG002 - the view has it, too
        self.topology_changed()

    def pause_writes(self, until_ms: float) -> None:
        self._pauses.begin(PausePurpose.FAILOVER, until_ms / 1000, everything=False)

    def unpause_writes(self) -> None:
        self._pauses.end(PausePurpose.FAILOVER)

    def deliver(self, channel: bytes, payload: bytes, sharded: bool) -> None:
        if sharded:
            self._broker.spublish(channel, payload)
        else:
            self._broker.publish(channel, payload)

    def cannot_save(self, error: OSError) -> None:
        self._log.warning(f"{_CANNOT_SAVE}{error.strerror}")
        self._fatal()


def bus_port(settings: NodeSettings) -> int:
    """Where the bus listens."""
    return settings.cluster_port or (settings.tls_port if settings.tls_cluster else settings.port) + BUS_PORT_OFFSET


def cluster_settings(settings: NodeSettings, bus_port: int) -> ClusterSettings:
    """The part of a node's settings that the rules know, with what is announced in place of what is not."""
    port, pport = settings.cluster_announce_port or settings.port, 0
    if settings.tls_cluster:
        # With an announced port of TLS goes the announced one without it, and no other (Redis 7.0).
        pport = settings.cluster_announce_port if settings.cluster_announce_tls_port else settings.port
        port = settings.cluster_announce_tls_port or settings.cluster_announce_port or settings.tls_port
    return ClusterSettings(
        port=port,
        pport=pport,
        follow_pport=settings.tls_cluster and not settings.tls_replication,
        bus_port=settings.cluster_announce_bus_port or bus_port,
        announce_ip=settings.cluster_announce_ip,
        hostname=settings.cluster_announce_hostname,
        nodename=settings.cluster_announce_human_nodename,
        client_networks=settings.cluster_announce_client_network,
        node_timeout_ms=settings.cluster_node_timeout,
        ping_interval_ms=settings.cluster_ping_interval,
        replica_validity_factor=settings.cluster_replica_validity_factor,
        migration_barrier=settings.cluster_migration_barrier,
        allow_replica_migration=settings.cluster_allow_replica_migration,
        require_full_coverage=settings.cluster_require_full_coverage,
        replica_no_failover=settings.cluster_replica_no_failover,
        repl_ping_period_ms=settings.repl_ping_replica_period * 1000,
        # Datagrams would go round the encryption, and round the certificates.
        datagram_heartbeats=not settings.tls_cluster,
    )
