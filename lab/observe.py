"""What each process of a lab says of itself now, asked of all of them at once.

An observation never fails: a process that is dead, paused or silent has one too, which says so. The
table shows observations; `lab.readiness` judges them.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import hiredis

from lab.ask import NoAnswerError, ask, info_fields, pairs
from lab.authority import Certificates
from lab.drivers.process import Life
from lab.lab_file import Entry, Lab
from lab.topology import Role


@dataclass(frozen=True, slots=True)
class NodeView:
    """A data node's own account."""

    node_id: str
    # "master" or "replica", as it is now.
    role: str
    # host:port of the master it follows; empty for a master.
    master: str
    # CLUSTER INFO's cluster_state and cluster_slots_ok: does this node think that the cluster works?
    cluster_state: str
    slots_ok: int
    # Slots that it serves as their master, as ranges.
    slots: tuple[tuple[int, int], ...]
    epoch: int
    # A replica's link to its master is up and the first copy is complete.
    link_up: bool
    offset: int
    # A master's replicas by host:port that are in sync (INFO: state=online).
    online_replicas: tuple[str, ...]
    keys: int


@dataclass(frozen=True, slots=True)
class ShardWatch:
    """One master as one sentinel sees it."""

    name: str
    address: str
    # Empty when all is well; else the words of SENTINEL MASTER's flags, or what it cannot reach.
    troubles: tuple[str, ...]
    # Reached and well: replicas by host:port, and other sentinels by id.
    replicas: tuple[str, ...]
    sentinels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One process at one moment."""

    name: str
    role: Role
    address: str
    life: Life
    # Why there is no view although the process runs: "Connection refused", "LOADING ...", "no answer in time".
    silence: str = ""
    node: NodeView | None = None
    watches: tuple[ShardWatch, ...] = field(default=())
    # A proxy reaches the nodes behind it.
    answers: bool = False

    @property
    def state(self) -> str:
        """One word for people."""
        if self.life is not Life.RUNNING:
            return self.life.value
        return "silent" if self.silence else "running"


async def observe(lab: Lab, *, timeout: float = 0.5) -> list[Observation]:
    """One observation of every process, in the order of `lab.json`."""
    return list(await asyncio.gather(*(observe_one(entry, timeout=timeout) for entry in lab.processes)))


async def observe_one(entry: Entry, *, timeout: float = 0.5) -> Observation:
    """What `entry`'s process says, or why it says nothing."""
    seen = Observation(entry.name, entry.role, f"{entry.host}:{entry.port}", entry.life)
    if seen.life is not Life.RUNNING:
        # Not asked: a paused process' kernel accepts the connection, and the asker would wait out the deadline.
        return seen
    try:
        return await _LOOK[entry.role](entry, seen, timeout)
    except NoAnswerError as error:
        silence = str(error)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        # Something else listens there, or it speaks nonsense: an answer, but not one that can be read.
        silence = f"unreadable answer ({type(error).__name__}: {error})"
    return Observation(seen.name, seen.role, seen.address, seen.life, silence=silence)


async def _ask(entry: Entry, *questions: str, timeout: float) -> list[Any]:
    return await ask(entry.address, *questions, timeout=timeout, tls=_context(entry.tls))


@lru_cache(8)
def _context(folder: Path | None) -> ssl.SSLContext | None:
    # The files are read once, and not at every look at every process.
    return None if folder is None else Certificates(folder).context()


async def _look_at_node(entry: Entry, seen: Observation, timeout: float) -> Observation:
    replication, cluster, table, keys = _no_errors(
        await _ask(entry, "INFO replication", "CLUSTER INFO", "CLUSTER NODES", "DBSIZE", timeout=timeout)
    )
    info, state = info_fields(replication), info_fields(cluster)
    myself = next(words for line in table.splitlines() if "myself" in (words := line.split())[2].split(","))
    is_master = info["role"] == "master"
    replicas = [pairs_of_info(value) for name, value in info.items() if name.startswith("slave") and name[5:].isdigit()]
    view = NodeView(
        node_id=myself[0],
        role="master" if is_master else "replica",
        master="" if is_master else f"{info['master_host']}:{info['master_port']}",
        cluster_state=state["cluster_state"],
        slots_ok=int(state["cluster_slots_ok"]),
        slots=tuple(_ranges(myself[8:])) if is_master else (),
        epoch=int(state["cluster_my_epoch"]),
        link_up=is_master or (info["master_link_status"] == "up" and info["master_sync_in_progress"] == "0"),
        offset=int(info["master_repl_offset"] if is_master else info["slave_repl_offset"]),
        online_replicas=tuple(
            f"{replica['ip']}:{replica['port']}" for replica in replicas if replica["state"] == "online"
        ),
        keys=keys,
    )
    return Observation(seen.name, seen.role, seen.address, seen.life, node=view)


async def _look_at_sentinel(entry: Entry, seen: Observation, timeout: float) -> Observation:
    (masters,) = _no_errors(await _ask(entry, "SENTINEL MASTERS", timeout=timeout))
    shards = [pairs(master) for master in masters]
    questions = [f"SENTINEL {what} {shard['name']}" for shard in shards for what in ("REPLICAS", "SENTINELS")]
    answers = _no_errors(await _ask(entry, *questions, timeout=timeout)) if questions else []
    watches = [
        _watch(shard, [pairs(replica) for replica in replicas], [pairs(sentinel) for sentinel in sentinels])
        for shard, replicas, sentinels in zip(shards, answers[::2], answers[1::2], strict=True)
    ]
    return Observation(seen.name, seen.role, seen.address, seen.life, watches=tuple(watches))


def _watch(shard: dict[str, str], replicas: list[dict[str, str]], sentinels: list[dict[str, str]]) -> ShardWatch:
    troubles = [flag for flag in shard["flags"].split(",") if flag != "master"]
    return ShardWatch(
        name=shard["name"],
        address=f"{shard['ip']}:{shard['port']}",
        troubles=tuple(troubles),
        # Known from the configuration file is not enough: the replica's INFO must have been read once.
        replicas=tuple(
            f"{replica['ip']}:{replica['port']}"
            for replica in replicas
            if replica["flags"] == "slave" and replica["master-link-status"] == "ok"
        ),
        sentinels=tuple(other["runid"] for other in sentinels if other["flags"] == "sentinel"),
    )


async def _look_at_proxy(entry: Entry, seen: Observation, timeout: float) -> Observation:
    _no_errors(await _ask(entry, "PING", timeout=timeout))
    try:
        # A key of each shard of three: the proxy has found its way to all of them.
        (reply,) = await _ask(entry, "EXISTS b key:2 foo", timeout=timeout)
    except NoAnswerError:
        # While a master is missing the proxy holds what it cannot serve. That is no silence of its own.
        reply = None
    return Observation(seen.name, seen.role, seen.address, seen.life, answers=isinstance(reply, int))


_LOOK = {Role.NODE: _look_at_node, Role.SENTINEL: _look_at_sentinel, Role.PROXY: _look_at_proxy}


def _no_errors(replies: list[Any]) -> list[Any]:
    """The replies as they are; raises NoAnswerError with the first error among them (LOADING, NOAUTH ...)."""
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise NoAnswerError(str(reply))
    return replies


def pairs_of_info(value: str) -> dict[str, str]:
    """`ip=127.0.0.1,port=7003,state=online,...` as a dictionary."""
    return dict(part.split("=", 1) for part in value.split(","))


def _ranges(words: list[str]) -> list[tuple[int, int]]:
    """Slot ranges of a CLUSTER NODES line; slots that are being moved (in brackets) are left out."""
    ranges = []
    for word in words:
        if not word.startswith("["):
            first, _, last = word.partition("-")
            ranges.append((int(first), int(last or first)))
    return ranges
