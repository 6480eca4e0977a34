"""The node as a member of a cluster: ties the bus to the keyspace, to replication and to clients.

Owns what exists only in cluster mode: nodes.conf, the rules' machine, the bus, the redirections, and the table of
slots that the executor looks keys up in. `Facts` are what the rules read of the node, `Member` is what they ask of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from cluster.bus import Bus
from cluster.endpoints import Endpoint, endpoint
from cluster.machine import ClusterMachine, new_state
from cluster.membership import ClusterState, NodeEntry
from cluster.nodes_conf import NodesConfFile, parse, render
from cluster.settings import ClusterSettings
from cluster.slots import SLOTS
from node.execute import Executor
from node.gates import Gatekeeper
from node.keyspace import Keyspace
from node.pause import PausePurpose, Pauses
from node.redirection import Redirection, client_ip
from runtime import Disk, Runtime, Tasks
from wire.pubsub import Broker
from wire.session import Session


class Replica(Protocol):
    """What is needed of replication."""

    @property
    def offset(self) -> int: ...

    @property
    def link_up(self) -> bool: ...

    def data_age_ms(self) -> float | None: ...

    def follow(self, host: str, port: int) -> None: ...

    def promote(self) -> None: ...


class Clustering:
    """The cluster side of one node. Making it locks and reads nodes.conf; raises NodesConfError."""

    def __init__(
        self,
        disk: Disk,
        conf_name: str,
        settings: ClusterSettings,
        runtime: Runtime,
        tasks: Tasks,
        keyspace: Keyspace,
        replication: Replica,
        broker: Broker,
        executor: Executor,
        gatekeeper: Gatekeeper,
        pauses: Pauses,
        fatal: Callable[[], None],
    ) -> None:
        self._keyspace = keyspace
        self._replication = replication
        self._broker = broker
        self._executor = executor
        self._pauses = pauses
        self._log = runtime.log
        # Ends the process at once, with status 1.
        self._fatal = fatal
        self._settings = settings
        self._conf = NodesConfFile(disk, conf_name)
        self.machine = self._load(runtime, settings)
        self.bus = Bus(self.machine, self, self._conf, runtime.clock, runtime.log, tasks)
        self.redirection = Redirection(self.state, keyspace)
        # One byte a slot: 1 where its keys are all here, and here only. Changed in place.
        self._owned = bytearray(SLOTS)
        executor.use_slots(self._owned)
        gatekeeper.redirect = self.redirection

    def _load(self, runtime: Runtime, settings: ClusterSettings) -> ClusterMachine:
        """The rules, in the state that nodes.conf remembers or a new node's."""
        stored = self._conf.open()
        rng = runtime.random.stream("cluster")
        if stored:
            state = parse(stored, asyncio.get_running_loop().time() * 1000)
            self._log.notice(f"Node configuration loaded, I'm {state.myself.id}")
        else:
            state = new_state(runtime.random.hex_id("node-id"))
            # A node that has told others its name must not wake up with another one.
            self._conf.save(render(state), fsync=True)
            self._log.notice(f"No cluster configuration found, I'm {state.myself.id}")
        return ClusterMachine(state, settings, self, rng)

    @property
    def state(self) -> ClusterState:
        """The tables, to be read."""
        return self.machine.state

    async def open(self, hosts: Sequence[str]) -> None:
        """Listen on the bus; raises BindError. The data set is loaded by now."""
        await self.bus.open(hosts, self._settings.bus_port)

    def start(self) -> None:
        self.bus.start()

    async def close(self) -> None:
        await self.bus.close()
        self._conf.close()

    def configure(self, **changes: Any) -> None:
        """CONFIG SET of directives that the rules know, by the names of `ClusterSettings`."""
        self._settings = replace(self._settings, **changes)
        self.bus.reconfigure(self._settings)

    def told(self, node: NodeEntry, session: Session) -> Endpoint:
        """How this client reaches `node`."""
        return endpoint(node, client_ip(session), self.redirection.preferred_endpoint)

    # ---- `cluster.events.Facts`

    def replication_offset(self) -> int:
        return self._replication.offset

    def master_link_up(self) -> bool:
        return self._replication.link_up

    def master_silence_ms(self) -> float | None:
        return self._replication.data_age_ms()

    def keys_in_slot(self, slot: int) -> int:
        return len(self._keyspace.database(0).shards[slot])

    def dataset_empty(self) -> bool:
        return self._keyspace.is_empty()

    # ---- `cluster.bus.Member`

    def follow(self, ip: str, port: int) -> None:
        self._replication.follow(ip, port)

    def promote(self) -> None:
        self._replication.promote()

    def empty(self) -> None:
        self._keyspace.clear()

    def drop_slots(self, slots: tuple[int, ...]) -> None:
        """The keys have another home now. Our replicas are told, as they are from Redis 7.2 on: they cannot know."""
        database = self._keyspace.database(0)
        for slot in slots:
            keys = list(database.shards[slot])
            if keys:
                database.drop_slot(slot)
                self._keyspace.effects += [(0, (b"DEL", key)) for key in keys]
        self._executor.pass_on_effects()

    def topology_changed(self) -> None:
        self._owned[:] = self.machine.view.owned

    def state_changed(self, ok: bool) -> None:  # noqa: ARG002 - it is in the tables, too
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
        self._log.warning(f"Fatal: can't update cluster config file: {error.strerror}")
        self._fatal()
