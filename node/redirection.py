"""Where a command's keys live: here, or the redirection that says where.

The executor asks only about commands whose slot is not plainly ours (the slow lane); so this file may take its time
and follow the cluster specification ("MOVED Redirection", "ASK redirection", "Multiple keys operations") line by
line. It looks at the cluster's tables and at the keys; it changes neither.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.endpoints import PreferredEndpoint, endpoint
from cluster.membership import ClusterState, NodeEntry
from cluster.slots import key_slot
from node.gates import is_write
from node.keyspace import Keyspace
from node.session import NodeSession
from node.settings import NodeSettings
from wire.command import ASKING
from wire.errors import Error
from wire.session import Session
from wire.table import Command

CROSSSLOT = b"CROSSSLOT Keys in request don't hash to the same slot"
TRYAGAIN = b"TRYAGAIN Multiple keys request during rehashing of slot"
UNBOUND = b"CLUSTERDOWN Hash slot not served"
DOWN = b"CLUSTERDOWN The cluster is down"
DOWN_READS_ONLY = b"CLUSTERDOWN The cluster is down and only accepts read commands"

_SHARD_CHANNELS = frozenset({"ssubscribe", "sunsubscribe", "spublish"})


class Redirection:
    """Answers for one node; called with a session, a command, its flags (those of its script where that declares some)
    and its arguments (`node.gates.Gatekeeper.redirect`).
    """

    __slots__ = ("_keyspace", "_settings", "_state")

    def __init__(self, state: ClusterState, keyspace: Keyspace, settings: NodeSettings) -> None:
        self._state = state
        self._keyspace = keyspace
        self._settings = settings

    def __call__(self, session: NodeSession, command: Command, flags: int, argv: list[bytes]) -> Error | None:
        """None when the command may run here, or nothing in it has a slot."""
        parts = list(_parts(session, command, argv))
        keys = [key for _, those in parts for key in those]
        if not keys:
            return None
        slot = key_slot(keys[0])
        owner = self._state.owner[slot]
        if owner is None:
            return Error(UNBOUND)
        if any(key_slot(key) != slot for key in keys if key != keys[0]):
            return Error(CROSSSLOT)
        # Channels hold no data, so nothing about them is missing at either end of an open slot.
        data = [key for part, those in parts if part.name not in _SHARD_CHANNELS for key in those]
        on_channels = len(data) < len(keys)
        writes = is_write(session, command, flags)
        down = self._down(channels=on_channels, data=bool(data), writes=writes)
        if down is not None:
            return Error(down)

        myself = self._state.myself
        target = self._state.migrating.get(slot) if owner is myself else None
        importing = target is None and slot in self._state.importing
        # MIGRATE is how the keys get from one end of an open slot to the other.
        if command.name == "migrate" and (target is not None or importing):
            return None
        missing = self._missing(slot, data)
        if target is not None and missing:
            if missing < len(data):
                return Error(TRYAGAIN)
            return self._redirect(b"ASK", slot, target, session)
        # The same key twice is one key, and cannot be split by a migration.
        if importing and (session.asking or flags & ASKING):
            return Error(TRYAGAIN) if missing and any(key != data[0] for key in data) else None
        if owner is myself:
            return None
        if owner is myself.master and not writes and (session.readonly or on_channels):
            return None
        return self._redirect(b"MOVED", slot, owner, session)

    def lost(self, session: NodeSession, command: Command, argv: list[bytes]) -> Error | None:
        """Why a client that blocks on the keys of a command must go; None while they may still come to life here.

        While its slot is open it stays: the keys do not exist, and nobody can say where they will.
        """
        slot = next(key_slot(key) for _, keys in _parts(session, command, argv) for key in keys)
        writes = is_write(session, command, command.flags)
        down = self._down(channels=False, data=True, writes=writes)
        if down is not None:
            return Error(down)
        owner, myself = self._state.owner[slot], self._state.myself
        if owner is myself or slot in self._state.importing:
            return None
        if owner is None:
            return Error(UNBOUND)
        if owner is myself.master and not writes and session.readonly:
            return None
        return self._redirect(b"MOVED", slot, owner, session)

    def plain(self, session: Session) -> bool:
        """Whether the client speaks no TLS while the nodes do among themselves: then it must hear of other ports."""
        return self._settings.tls_cluster and not session.secure

    def _down(self, *, channels: bool, data: bool, writes: bool) -> bytes | None:
        """Why nothing (or no such command) may be served while the cluster is down; None when it is not, or may."""
        if self._state.ok:
            return None
        if channels and not self._settings.cluster_allow_pubsubshard_when_down:
            return DOWN
        if not data:
            return None
        if not self._settings.cluster_allow_reads_when_down:
            return DOWN
        return DOWN_READS_ONLY if writes else None

    def _missing(self, slot: int, keys: list[bytes]) -> int:
        """How many of the keys are not here; a logically expired one is not."""
        database = self._keyspace.database(0)
        shard = database.shards[slot]
        return sum(key not in shard or database.is_expired(key) for key in keys)

    def _redirect(self, word: bytes, slot: int, node: NodeEntry, session: Session) -> Error:
        preferred = PreferredEndpoint(self._settings.cluster_preferred_endpoint_type)
        told = endpoint(node, ip_of(session.address), preferred, plain=self.plain(session))
        return Error(b"%b %d %b:%d" % (word, slot, told.host.encode(), told.port))


def ip_of(address: str) -> str:
    """The host of a session's ``ip:port``; "" when there is none, as of a Unix socket's ``path:0``."""
    host, _, port = address.rpartition(":")
    return "" if port == "0" else host.strip("[]")


def _parts(session: NodeSession, command: Command, argv: list[bytes]) -> Iterator[tuple[Command, list[bytes]]]:
    """The command and its keys; of EXEC, all that is queued."""
    if command.name == "exec":
        if session.transaction is not None:
            for queued, arguments in session.transaction.queue:
                yield queued, [arguments[at] for at in queued.spec.keys_in(arguments)]
        return
    yield command, [argv[at] for at in command.spec.keys_in(argv)]
