"""Memory as INFO, MEMORY STATS and MEMORY DOCTOR tell of it.

What Redis knows of its allocator and we do not of Python's stands as if there were no fragmentation: allocated, active
and resident memory are what the account says, and the process' own memory stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.memory.account import DATABASE_BYTES, PLACE_BYTES
from wire.reply import Reply

if TYPE_CHECKING:
    from node.node import Node

Fields = list[tuple[str, object]]

_MB = 1024 * 1024
# Below this there is nothing to diagnose.
_DIAGNOSED_FROM = 5 * _MB
_PEAK_FACTOR = 1.5
_RESIDENT_FACTOR = 3.0
_BUFFERS_OF_CLIENT = 200 * 1024


class Figures:
    """What there is at the moment, added up once for one report."""

    __slots__ = ("buffers", "keys", "overhead", "peak", "resident", "resident_peak", "startup", "used")

    def __init__(self, node: Node) -> None:
        usage = node.runtime.process.usage()
        databases = node.keyspace.databases()
        self.buffers = node.buffers.buffers()
        node.eviction.buffer_bytes = self.buffers.counted
        self.used = node.eviction.used_bytes() + self.uncounted
        self.peak = max(node.eviction.peak_bytes, self.used)
        self.resident = usage.resident_bytes
        self.resident_peak = max(usage.resident_peak_bytes, usage.resident_bytes)
        self.keys = sum(database.size for database in databases)
        # The first database is made at the start.
        self.startup = DATABASE_BYTES
        tables = DATABASE_BYTES * len(databases) + sum(
            PLACE_BYTES * (database.size + database.volatile) for database in databases
        )
        self.overhead = tables + self.buffers.total

    @property
    def uncounted(self) -> int:
        return self.buffers.total - self.buffers.counted

    @property
    def dataset(self) -> int:
        return max(self.used - self.overhead, 0)

    @property
    def dataset_percent(self) -> float:
        return 100 * self.dataset / max(self.used - self.startup, 1)

    @property
    def fragmentation(self) -> float:
        """Resident memory, interpreter and program included, to what is in use."""
        return self.resident / self.used


def memory(node: Node) -> Fields:
    """The section of INFO."""
    figures, settings = Figures(node), node.settings
    used, peak, buffers = figures.used, figures.peak, figures.buffers
    machine = int(node.runtime.process.description()["machine_bytes"])
    return [
        ("used_memory", used),
        ("used_memory_human", human_size(used)),
        ("used_memory_rss", figures.resident),
        ("used_memory_rss_human", human_size(figures.resident)),
        ("used_memory_peak", peak),
        ("used_memory_peak_human", human_size(peak)),
        ("used_memory_peak_perc", f"{100 * used / peak:.2f}%"),
        ("used_memory_overhead", figures.overhead),
        ("used_memory_startup", figures.startup),
        ("used_memory_dataset", figures.dataset),
        ("used_memory_dataset_perc", f"{figures.dataset_percent:.2f}%"),
        ("allocator_allocated", used),
        ("allocator_active", used),
        ("allocator_resident", used),
        ("total_system_memory", machine),
        ("total_system_memory_human", human_size(machine)),
        *((name, 0) for name in ("used_memory_lua", "used_memory_vm_eval")),
        ("used_memory_lua_human", human_size(0)),
        ("used_memory_scripts_eval", 0),
        ("number_of_cached_scripts", len(node.scripts)),
        ("number_of_functions", node.libraries.function_count),
        ("number_of_libraries", len(node.libraries.by_name)),
        *((name, 0) for name in ("used_memory_vm_functions", "used_memory_vm_total")),
        ("used_memory_vm_total_human", human_size(0)),
        *((name, 0) for name in ("used_memory_functions", "used_memory_scripts")),
        ("used_memory_scripts_human", human_size(0)),
        ("maxmemory", settings.maxmemory),
        ("maxmemory_human", human_size(settings.maxmemory)),
        ("maxmemory_policy", settings.maxmemory_policy),
        ("allocator_frag_ratio", "1.00"),
        ("allocator_frag_bytes", 0),
        ("allocator_rss_ratio", "1.00"),
        ("allocator_rss_bytes", 0),
        ("rss_overhead_ratio", f"{figures.fragmentation:.2f}"),
        ("rss_overhead_bytes", figures.resident - used),
        ("mem_fragmentation_ratio", f"{figures.fragmentation:.2f}"),
        ("mem_fragmentation_bytes", figures.resident - used),
        ("mem_not_counted_for_evict", figures.uncounted),
        ("mem_replication_backlog", buffers.backlog),
        ("mem_total_replication_buffers", buffers.stream),
        ("mem_clients_slaves", buffers.replicas + buffers.kept),
        ("mem_clients_normal", buffers.clients),
        ("mem_cluster_links", buffers.links),
        ("mem_aof_buffer", buffers.log),
        ("mem_allocator", "libc"),
        ("active_defrag_running", 0),
        ("lazyfree_pending_objects", node.graveyard.pending),
        ("lazyfreed_objects", node.graveyard.freed),
    ]


def stats(node: Node) -> dict[bytes, Reply]:
    """MEMORY STATS."""
    figures = Figures(node)
    used, buffers = figures.used, figures.buffers
    of_databases: dict[bytes, Reply] = {
        b"db.%d" % database.index: {
            b"overhead.hashtable.main": DATABASE_BYTES + PLACE_BYTES * database.size,
            b"overhead.hashtable.expires": PLACE_BYTES * database.volatile,
            b"overhead.hashtable.slot-to-keys": 0,
        }
        for database in node.keyspace.databases()
        if database.size
    }
    return {
        b"peak.allocated": figures.peak,
        b"total.allocated": used,
        b"startup.allocated": figures.startup,
        b"replication.backlog": buffers.backlog,
        b"clients.slaves": buffers.replicas + buffers.kept,
        b"clients.normal": buffers.clients,
        b"cluster.links": buffers.links,
        b"aof.buffer": buffers.log,
        b"lua.caches": 0,
        b"functions.caches": 0,
        **of_databases,
        b"overhead.total": figures.overhead,
        b"keys.count": figures.keys,
        b"keys.bytes-per-key": (used - figures.startup) // figures.keys if figures.keys else 0,
        b"dataset.bytes": figures.dataset,
        b"dataset.percentage": figures.dataset_percent,
        b"peak.percentage": 100 * used / figures.peak,
        b"allocator.allocated": used,
        b"allocator.active": used,
        b"allocator.resident": used,
        b"allocator-fragmentation.ratio": 1.0,
        b"allocator-fragmentation.bytes": 0,
        b"allocator-rss.ratio": 1.0,
        b"allocator-rss.bytes": 0,
        b"rss-overhead.ratio": figures.fragmentation,
        b"rss-overhead.bytes": figures.resident - used,
        b"fragmentation": figures.fragmentation,
        b"fragmentation.bytes": figures.resident - used,
    }


def diagnosis(node: Node) -> str:
    """MEMORY DOCTOR, in our words: what stands out, and what it may come from."""
    figures = Figures(node)
    if figures.used < _DIAGNOSED_FROM:
        return "There is too little in memory to say anything about it.\n"
    findings = []
    if figures.peak > _PEAK_FACTOR * figures.used:
        findings.append(
            "At its peak the data took more than one and a half times what they take now. The process does not give "
            "all of that back to the system, but it fills it again before it asks for more."
        )
    if figures.resident > _RESIDENT_FACTOR * figures.used:
        findings.append(
            "The process is more than three times as large as what it is known to hold: the memory is fragmented, or a "
            "large part of it was freed a short time ago."
        )
    if figures.buffers.clients > _BUFFERS_OF_CLIENT * max(len(node.clients), 1):
        findings.append("Clients have large buffers: some of them read more slowly than they ask (see CLIENT LIST).")
    if figures.buffers.replicas + figures.buffers.kept > figures.used // 4:
        findings.append("Much waits to be sent to replicas: one of them, or the way to it, is slow.")
    if not findings:
        return "Nothing stands out.\n"
    return "".join(f" * {finding}\n" for finding in findings)


def human_size(size: int) -> str:
    """Bytes for people, as Redis writes them: 1.93M."""
    if size < 1024:
        return f"{size}B"
    for unit, factor in (("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)):
        if size < factor * 1024:
            return f"{size / factor:.2f}{unit}"
    return f"{size / (1 << 50):.2f}P"
