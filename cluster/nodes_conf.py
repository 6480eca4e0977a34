"""nodes.conf: what a node remembers of its cluster, in Redis' own file format.

Owns the text form of the cluster's tables: a line a node, as CLUSTER NODES shows it too, and `vars` lines. Knows
nothing of disks (`conf_file`), nor of when it must be written.

Redis 7.0's form is written, which every later Redis and Valkey reads; the auxiliary fields that 7.2 puts behind
the address are read. What 7.0 has no place for (shard ids, and what only we know) goes to `vars` lines of its own: a
real Redis skips variables it does not know, so the file stays loadable by it, and by us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.endpoints import ClientNetwork, is_host
from cluster.membership import ClusterState, NodeEntry
from cluster.messages import BUS_PORT_OFFSET, FLAG_NAMES, NodeFlag
from cluster.slots import SLOTS, from_ranges, ranges

# To the letter what redis-server 7.0 logs before it exits.
CORRUPT = "Unrecoverable error: corrupted cluster config file."
_FIELDS_MIN = 8
_FLAGS_BY_NAME = {name: flag for flag, name in FLAG_NAMES.items()} | {"noflags": NodeFlag(0)}
_ID = re.compile(r"[0-9a-f]{40}\Z")
_OPEN_SLOT = re.compile(r"\[(\d+)-([<>])-([0-9a-f]{40})\]\Z")
_SLOT_RANGE = re.compile(r"(\d+)(?:-(\d+))?\Z")
_AUX_SHARD_ID = "shard-id"
# Names 7.2 and Valkey give to auxiliary fields; a file with any other is not theirs.
_AUX_NAMES = frozenset({_AUX_SHARD_ID, "nodename", "tls-port", "tcp-port", "client-ipv4", "client-ipv6"})
_EPOCHS = "vars currentEpoch "
_VAR_CLIENT_NETWORK = "shardlab-client-network"
_VAR_SHARD_ID = "shardlab-shard-id"


class NodesConfError(Exception):
    """The file cannot be used; the text is what Redis logs before it exits with status 1."""


# ---- writing


def render(state: ClusterState) -> bytes:
    """The whole file. Its last line is always there, so that a file without it is known to have lost its end."""
    lines = [node_line(state, node, node_address(node)) for node in state.nodes.values() if not node.handshake]
    lines += [
        f"vars {_VAR_CLIENT_NETWORK} {node.id},{rule}"
        for node in state.nodes.values()
        if not node.handshake
        for rule in node.client_networks
    ]
    lines += [
        f"vars {_VAR_SHARD_ID} {node.id},{node.shard}"
        for node in state.nodes.values()
        if node.master is None and node.shard != node.id and not node.handshake
    ]
    lines.append(f"{_EPOCHS}{state.current_epoch} lastVoteEpoch {state.last_vote_epoch}")
    return ("\n".join(lines) + "\n").encode()


def node_address(node: NodeEntry, port: int = 0) -> str:
    """The address column as nodes know it; `port` is another one for clients (0: the usual one)."""
    address = f"{node.ip}:{port or node.port}@{node.cport}"
    return f"{address},{node.hostname}" if node.hostname else address


def node_line(state: ClusterState, node: NodeEntry, address: str) -> str:
    """The node's line, in nodes.conf and (with the address the client is to be told) in CLUSTER NODES."""
    fields = [
        node.id,
        address,
        flag_names(node.flags),
        "-" if node.master is None else node.master.id,
        str(state.wall_ms(node.ping_sent_at)),
        str(state.wall_ms(state.answered_at(node))),
        # A replica shows the epoch of the slots it copies.
        str(node.claim.config_epoch),
        "connected" if node.myself or node.link is not None else "disconnected",
        *(str(first) if first == last else f"{first}-{last}" for first, last in ranges(node.slots)),
    ]
    if node.myself:
        fields += _open_slots(state)
    return " ".join(fields)


def _open_slots(state: ClusterState) -> list[str]:
    """Where our slots are going and others' are coming from, by slot."""
    open_slots = {slot: f"[{slot}-<-{node.id}]" for slot, node in state.importing.items()}
    open_slots |= {slot: f"[{slot}->-{node.id}]" for slot, node in state.migrating.items()}
    return [open_slots[slot] for slot in sorted(open_slots)]


def flag_names(flags: NodeFlag) -> str:
    """The flags' names joined by commas; `noflags` when none has a name."""
    return ",".join(name for flag, name in FLAG_NAMES.items() if flags & flag) or "noflags"


# ---- reading


def parse(data: bytes, now_ms: float) -> ClusterState:
    """The tables written in the file, as of `now_ms`; raises NodesConfError for anything else than such a file.

    Stricter than Redis in one way: where it reads garbage as the number 0, the file counts as corrupt.
    """
    try:
        return _Reader(now_ms).read(data.decode("ascii"))
    except ValueError as error:
        raise NodesConfError(CORRUPT) from error


class _Reader:
    """One reading of a file. Lines name nodes that only later lines describe, so nodes are made at first mention."""

    def __init__(self, now_ms: float) -> None:
        self._now_ms = now_ms
        # Every node mentioned so far; the dict's order becomes the table's.
        self._nodes: dict[str, NodeEntry] = {}
        self._myself: NodeEntry | None = None
        # Ties and slots are applied at the end, when all nodes are there: (replica, master), and as in the tables.
        self._masters: list[tuple[NodeEntry, NodeEntry]] = []
        self._slots: list[tuple[NodeEntry, int]] = []
        self._migrating: dict[int, NodeEntry] = {}
        self._importing: dict[int, NodeEntry] = {}
        self._variables: dict[str, int] = {"currentEpoch": 0, "lastVoteEpoch": 0}

    def read(self, text: str) -> ClusterState:
        for line in text.split("\n"):
            words = line.split()
            if not words:
                continue
            if words[0] == "vars":
                self._read_variables(words[1:])
            elif len(words) < _FIELDS_MIN:
                raise ValueError("too few fields")
            else:
                self._read_node(words)
        return self._state()

    def _read_variables(self, words: list[str]) -> None:
        for name, value in _pairs(words):
            if name in self._variables:
                self._variables[name] = _number(value)
            elif name == _VAR_CLIENT_NETWORK:
                node_id, _, rule = value.partition(",")
                node = self._node(node_id)
                node.client_networks += (ClientNetwork.parse(rule),)
            elif name == _VAR_SHARD_ID:
                node_id, _, shard_id = value.partition(",")
                self._node(node_id).shard_id = _checked_id(shard_id)

    def _read_node(self, words: list[str]) -> None:
        node_id, address, flags, master, ping_sent, pong_received, epoch, _connected = words[:_FIELDS_MIN]
        node = self._node(node_id)
        _read_address(node, address)
        for name in flags.split(","):
            if name not in _FLAGS_BY_NAME:
                raise ValueError(f"unknown flag {name}")
        node.flags = NodeFlag(sum(_FLAGS_BY_NAME[name] for name in dict.fromkeys(flags.split(","))))
        if node.myself:
            if self._myself is not None:
                raise ValueError("two nodes are myself")
            self._myself = node
        if node.fail:
            node.fail_at = self._now_ms
        if master != "-":
            self._masters.append((node, self._node(master)))
        # Times of another boot mean nothing; that there was a ping, or a pong, does.
        node.ping_sent_at = self._now_ms if _number(ping_sent) else None
        node.pong_received_at = self._now_ms if _number(pong_received) else None
        # A replica's epoch column is its master's.
        node.config_epoch = _number(epoch) if master == "-" else 0
        for word in words[_FIELDS_MIN:]:
            self._read_slots(node, word)

    def _read_slots(self, node: NodeEntry, word: str) -> None:
        match = _OPEN_SLOT.match(word)
        if match is not None:
            table = self._migrating if match[2] == ">" else self._importing
            table[_slot_number(match[1])] = self._node(match[3])
            return
        match = _SLOT_RANGE.match(word)
        if match is None:
            raise ValueError(f"not slots: {word}")
        first = _slot_number(match[1])
        last = first if match[2] is None else _slot_number(match[2])
        if first <= last:
            self._slots.append((node, from_ranges([(first, last)])))

    def _node(self, node_id: str) -> NodeEntry:
        node = self._nodes.get(node_id)
        if node is None:
            node = self._nodes[node_id] = NodeEntry(_checked_id(node_id))
            node.created_at = self._now_ms
        return node

    def _state(self) -> ClusterState:
        if self._myself is None:
            raise ValueError("no node is myself")
        state = ClusterState(self._myself)
        for node in self._nodes.values():
            if not node.myself:
                state.add(node)
        for node, master in self._masters:
            if node is master:
                raise ValueError("a replica of itself")
            state.become_replica(node, master)
        for node, slots in self._slots:
            if not node.is_master:
                raise ValueError("slots of a node that is no master")
            # Where two lines claim a slot the first has it, as in Redis.
            taken = 0
            for other in state.nodes.values():
                taken |= other.slots
            state.assign(slots & ~taken, node)
        for slot, other in self._migrating.items():
            state.open_slot(state.migrating, slot, other)
        for slot, other in self._importing.items():
            state.open_slot(state.importing, slot, other)
        state.last_vote_epoch = self._variables["lastVoteEpoch"]
        state.current_epoch = self._variables["currentEpoch"]
        # An epoch may have been saved with its node just before the power went.
        state.current_epoch = state.epoch_max()
        return state


def _checked_id(text: str) -> str:
    if _ID.match(text) is None:
        raise ValueError(f"not an id: {text}")
    return text


def _read_address(node: NodeEntry, text: str) -> None:
    """``ip:port[@cport][,hostname[,aux=value…]]``."""
    address, *more = text.split(",")
    ip, colon, ports = address.rpartition(":")
    if not colon or (ip and not is_host(ip)):
        raise ValueError(f"not an address: {text}")
    port, at, cport = ports.partition("@")
    node.ip, node.port = ip, _number(port)
    node.cport = _number(cport) if at else node.port + BUS_PORT_OFFSET
    if more and more[0]:
        if not is_host(more[0]):
            raise ValueError(f"not a host name: {more[0]}")
        node.hostname = more[0]
    for aux in more[1:]:
        name, equals, value = aux.partition("=")
        if not equals or name not in _AUX_NAMES:
            raise ValueError(f"unknown auxiliary field: {aux}")
        if name == _AUX_SHARD_ID:
            node.shard_id = _checked_id(value)


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    if len(words) % 2:
        raise ValueError("a variable without value")
    return zip(words[::2], words[1::2], strict=True)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ValueError(f"not a number: {text}")
    return int(text)


def _slot_number(text: str) -> int:
    slot = _number(text)
    if slot >= SLOTS:
        raise ValueError(f"not a slot: {text}")
    return slot
