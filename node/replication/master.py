"""The master's side: the replicas attached to this node and the stream they get.

A replica of ours may itself have replicas (a chain), so this side works the same in a replica; only then
the stream is relayed instead of fed, and nothing is put into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.gates import TOO_FEW_REPLICAS, Conditions
from node.keyspace import Keyspace
from node.persistence.child import Child
from node.persistence.saving import Saver
from node.propagation import Propagation
from node.replication.copies import Copies
from node.replication.feed import GETACK, PING, Feed
from node.replication.history import History
from node.replication.peer import PeerState, ReplicaPeer
from node.replication.psync import Continue, decide
from node.replication.settings import ReplicationSettings
from node.replication.waits import Waits
from node.session import NodeSession
from runtime import Runtime
from runtime.sockets import gather_small_writes
from wire.turn import Turn

# Redis keeps at least this much, whatever `repl-backlog-size` says.
BACKLOG_MIN = 16 * 1024


class Master:
    """Attached replicas: how each got its data, what it has acknowledged, and whether it is still there."""

    __slots__ = (
        "_conditions",
        "_cron_runs",
        "_getack_wanted",
        "_introduced",
        "_is_replica",
        "_listening",
        "_no_peers_since",
        "_offset_frozen",
        "_over_limit",
        "_propagation",
        "_runtime",
        "_settings",
        "_turn",
        "copies",
        "feed",
        "full_resyncs",
        "on_acknowledged",
        "partial_resyncs",
        "partial_resyncs_refused",
        "peers",
        "waits",
    )

    def __init__(
        self,
        settings: ReplicationSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        history: History,
        turn: Turn,
        conditions: Conditions,
        propagation: Propagation,
        saver: Saver,
        child: Child,
        over_limit: Callable[[NodeSession, int], bool],
        offset_frozen: Callable[[], bool],
        is_replica: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._turn = turn
        self._conditions = conditions
        self._propagation = propagation
        # Whether the executor feeds us: only a master's own writes, and only if somebody may want them.
        self._listening = False
        # Whether a client may have so many bytes unsent (`client-output-buffer-limit`).
        self._over_limit = over_limit
        # Whether a planned failover waits for replicas to reach our offset: it must not move on its own then.
        self._offset_frozen = offset_frozen
        # Whether this node has a master itself.
        self._is_replica = is_replica
        self.feed = Feed(history, self._send, turn.request)
        self.copies = Copies(settings, runtime, keyspace, self.feed, saver, child, self._online)
        self.waits = Waits()
        # Clients that have told us what kind of replica they are, but have not asked for the stream yet.
        self._introduced: dict[NodeSession, ReplicaPeer] = {}
        # The replicas, in order of attaching.
        self.peers: dict[NodeSession, ReplicaPeer] = {}
        # Loop time since which there has been none: the backlog is not kept for ever.
        self._no_peers_since = asyncio.get_running_loop().time()
        # A client waits for acknowledgements that nobody has been asked for yet.
        self._getack_wanted = False
        # Told when a replica has acknowledged something.
        self.on_acknowledged: Callable[[], None] = _nothing
        self._cron_runs = 0
        # For INFO.
        self.full_resyncs = 0
        self.partial_resyncs = 0
        self.partial_resyncs_refused = 0

    # Attaching

    def introduced(self, session: NodeSession) -> ReplicaPeer:
        """What is known of the replica behind `session`, whether or not it is attached yet (REPLCONF)."""
        if session.replica is not None:
            return session.replica
        return self._introduced.setdefault(session, ReplicaPeer(session))

    def psync(self, session: NodeSession, replid: bytes, offset: int) -> None:
        """The replica behind `session` wants the stream from byte `offset` of the history `replid` on."""
        peer = self._attach(session)
        log = self._runtime.log
        log.notice(f"Replica {peer.name} asks for synchronization")
        self.feed.flush()
        answer = decide(self.feed.history, self.feed.backlog, replid, offset)
        if isinstance(answer, Continue):
            self._continue(peer, answer.offset)
            return
        if answer.reason:
            log.notice(f"Partial resynchronization not accepted: {answer.reason}")
            self.partial_resyncs_refused += 1
        else:
            log.notice(f"Full resync requested by replica {peer.name}")
        self._copy(peer)

    def sync(self, session: NodeSession) -> None:
        """SYNC: a copy and then the stream, for a replica that knows nothing of histories."""
        peer = self._attach(session)
        peer.old = True
        self._runtime.log.notice(f"Replica {peer.name} asks for synchronization")
        self._copy(peer)

    def _attach(self, session: NodeSession) -> ReplicaPeer:
        peer = self.introduced(session)
        self._introduced.pop(session, None)
        session.replica = peer
        self.peers[session] = peer
        if self._settings.repl_disable_tcp_nodelay and session.connection is not None:
            gather_small_writes(session.connection.transport)
        return peer

    def _continue(self, peer: ReplicaPeer, offset: int) -> None:
        assert self.feed.backlog is not None
        missed = self.feed.backlog.since(offset)
        self.partial_resyncs += 1
        self._runtime.log.notice(
            f"Partial resynchronization request from {peer.name} accepted. Sending {len(missed)} bytes of backlog "
            f"starting from offset {offset}."
        )
        name = b" " + self.feed.history.replid if peer.psync2 else b""
        peer.write(b"+CONTINUE%b\r\n%b" % (name, missed))
        peer.ack_offset = offset - 1
        self._online(peer)
        peer.release()

    def _copy(self, peer: ReplicaPeer) -> None:
        self.full_resyncs += 1
        if self.feed.backlog is None:
            # What this node did so far was never recorded: a new name keeps anybody from asking for it.
            history = self.feed.history
            history.restart(self._runtime.random.hex_id("replid").encode())
            self.open_backlog()
            self._runtime.log.notice(
                f"Replication backlog created, my new replication IDs are '{history.replid.decode()}' and "
                f"'{history.replid2.decode()}'"
            )
        self.copies.request(peer)

    def open_backlog(self) -> None:
        """Keep the stream from here on, if it is not kept yet."""
        if self.feed.backlog is None:
            self.feed.flush()
            self.feed.open_backlog(max(self._settings.repl_backlog_size, BACKLOG_MIN))
        self.update_listening()

    def resize_backlog(self) -> None:
        """`repl-backlog-size` changed."""
        if self.feed.backlog is not None:
            self.feed.flush()
            self.feed.backlog.resize(max(self._settings.repl_backlog_size, BACKLOG_MIN))

    def close_backlog(self) -> None:
        """Keep nothing: what is kept belongs to a history that this node no longer has."""
        self.feed.close_backlog()
        self.update_listening()

    def update_listening(self) -> None:
        """Have the executor feed us, or not any more."""
        wanted = self.feed.backlog is not None and not self._is_replica()
        if wanted is self._listening:
            return
        self._listening = wanted
        self._propagation.set_stream(self.feed if wanted else None)

    def _online(self, peer: ReplicaPeer) -> None:
        """The replica has its data. Whether it may have the stream already is for the caller to say."""
        if peer.rdb_only:
            peer.session.close()
            return
        peer.state = PeerState.ONLINE
        peer.ack_at = asyncio.get_running_loop().time()
        self._runtime.log.notice(f"Synchronization with replica {peer.name} succeeded")
        first = self.feed.history.offset == 0 and not self._is_replica()
        if first and self._settings.cluster_enabled and not peer.old:
            # A replica that announces offset 0 counts as not yet synchronized, and CLUSTER SLOTS leaves it out. With
            # nothing written yet, that would last until the first periodic PING. Who came by SYNC announces nothing,
            # and reads what was written from the first byte on.
            self.feed.append(PING)
        self.update_good_replicas()

    # The stream

    def _send(self, data: bytes) -> None:
        """This turn's bytes, to all."""
        for peer in self.peers.values():
            if not peer.held:
                peer.write(data)
            elif peer.kept_size and self._over_limit(peer.session, peer.unsent):
                self._runtime.log.warning(f"Client {peer.name} closed for overcoming of output buffer limits.")
                peer.drop()

    def end_turn(self) -> None:
        """A step of the turn: what was fed goes out."""
        if self._getack_wanted and not self._offset_frozen():
            self._getack_wanted = False
            if self.peers and not self._is_replica():
                self.feed.append(GETACK)
        self.feed.flush()

    # What replicas say

    def acknowledge(self, peer: ReplicaPeer, offset: int, synced: int) -> None:
        """REPLCONF ACK: the replica has applied everything up to `offset`, and its log is synced up to `synced`."""
        peer.ack_offset = max(peer.ack_offset, offset)
        peer.synced_offset = max(peer.synced_offset, synced)
        peer.ack_at = asyncio.get_running_loop().time()
        if peer.state is PeerState.ONLINE and peer.held:
            peer.release()
        if self.waits:
            self.waits.check()
        self.on_acknowledged()
        if self._settings.min_replicas_to_write:
            self.update_good_replicas()

    def acknowledged(self, offset: int) -> int:
        """How many replicas have everything up to `offset`."""
        return sum(peer.state is PeerState.ONLINE and peer.ack_offset >= offset for peer in self.peers.values())

    def synced(self, offset: int) -> int:
        """How many replicas have everything up to `offset` on their disks."""
        return sum(peer.state is PeerState.ONLINE and peer.synced_offset >= offset for peer in self.peers.values())

    def ask_for_acknowledgements(self) -> None:
        """Send GETACK at the end of this turn."""
        self._getack_wanted = True
        self._turn.request()

    @property
    def good_replicas(self) -> int:
        """Online replicas that were heard of within `min-replicas-max-lag`."""
        now = asyncio.get_running_loop().time()
        lag_max = self._settings.min_replicas_max_lag
        return sum(peer.state is PeerState.ONLINE and int(now - peer.ack_at) <= lag_max for peer in self.peers.values())

    def update_good_replicas(self) -> None:
        """Refuse or allow writes by `min-replicas-to-write`, which `min-replicas-max-lag 0` takes out of force."""
        wanted = self._settings.min_replicas_to_write if self._settings.min_replicas_max_lag else 0
        too_few = wanted > 0 and not self._is_replica() and self.good_replicas < wanted
        self._conditions.set(TOO_FEW_REPLICAS, too_few)

    # Leaving

    def detached(self, session: NodeSession) -> None:
        """The connection is gone, replica or not."""
        self._introduced.pop(session, None)
        self.waits.forget(session)
        peer = self.peers.pop(session, None)
        if peer is None:
            return
        self._runtime.log.notice(f"Connection with replica {peer.name} lost.")
        self.copies.forget(peer)
        peer.forget()
        self._no_peers_since = asyncio.get_running_loop().time()
        self.update_good_replicas()

    def role_changed(self) -> None:
        """This node has become a master or a replica."""
        self.update_listening()
        self._no_peers_since = asyncio.get_running_loop().time()
        if self._is_replica():
            self.waits.abandon()

    def drop_all(self) -> None:
        """Hang up on every replica: the history goes by another name now, and they must ask again."""
        for peer in self.peers.values():
            peer.drop()

    # Once a second

    def cron(self) -> None:
        now = asyncio.get_running_loop().time()
        settings = self._settings
        self._cron_runs += 1
        self.copies.keep_alive()
        for peer in self.peers.values():
            if peer.state is PeerState.ONLINE:
                if not peer.old and now - peer.ack_at > settings.repl_timeout:
                    self._runtime.log.warning(f"Disconnecting timedout replica (streaming sync): {peer.name}")
                    peer.drop()
            elif peer.stalled_s(now) > settings.repl_timeout:
                # The copy waits for the slowest: one that takes nothing would keep the others from theirs.
                self._runtime.log.warning(f"Disconnecting timedout replica (full sync): {peer.name}")
                peer.drop()
        if self._is_replica():
            return
        if self.peers and self._cron_runs % settings.repl_ping_replica_period == 0 and not self._offset_frozen():
            self.feed.append(PING)
        if settings.min_replicas_to_write:
            self.update_good_replicas()
        self._age_backlog(now)

    def _age_backlog(self, now: float) -> None:
        """A backlog that nobody has come back to for long is given up, and the history's name with it."""
        ttl = self._settings.repl_backlog_ttl
        if not ttl or self.peers or self.feed.backlog is None or now - self._no_peers_since <= ttl:
            return
        self.feed.history.restart(self._runtime.random.hex_id("replid").encode())
        self.close_backlog()
        self._runtime.log.notice(f"Replication backlog freed after {ttl} seconds without connected replicas.")


def _nothing() -> None:
    pass
