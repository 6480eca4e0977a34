"""The sections of INFO that the node's own parts make, each a function of the parts it describes.

A field for which this server has no counterpart (allocator, Lua, threads) is there with a neutral value, because
monitors look for it. Memory is what the operating system says the process uses: Python does not tell more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from node.expiry import ActiveExpiry
from node.keyspace import Keyspace
from node.session import NodeSession
from node.settings import NodeSettings
from node.stats import Traffic
from runtime import Runtime
from wire.clients import Clients
from wire.front import REDIS_VERSION, SHARDLAB_VERSION
from wire.pubsub import Broker
from wire.table import Command, CommandTable

if TYPE_CHECKING:
    from node.node import Node

Fields = list[tuple[str, object]]
_LRU_CLOCK_BITS = 24


def server(node: Node) -> Fields:
    runtime, settings = node.runtime, node.settings
    described = runtime.process.description()
    now_us = runtime.clock.wall_us()
    uptime_s = (now_us // 1000 - node.started_at_ms) // 1000
    return [
        ("redis_version", REDIS_VERSION),
        ("redis_git_sha1", "00000000"),
        ("redis_git_dirty", 0),
        ("redis_build_id", "0"),
        ("redis_mode", node.mode),
        ("os", described["os"]),
        ("arch_bits", described["bits"]),
        ("monotonic_clock", "POSIX clock_gettime"),
        ("multiplexing_api", "epoll"),
        ("atomicvar_api", "none"),
        ("gcc_version", "0.0.0"),
        ("process_id", runtime.pid),
        ("process_supervised", settings.supervised),
        ("run_id", node.run_id),
        ("tcp_port", settings.port),
        ("server_time_usec", now_us),
        ("uptime_in_seconds", uptime_s),
        ("uptime_in_days", uptime_s // 86400),
        ("hz", settings.hz),
        ("configured_hz", settings.hz),
        ("lru_clock", now_us // 1_000_000 & (1 << _LRU_CLOCK_BITS) - 1),
        ("executable", described["executable"]),
        ("config_file", node.config_file),
        ("io_threads_active", 0),
        # Ours, behind Redis' fields.
        ("shardlab_version", SHARDLAB_VERSION),
        ("interpreter", described["interpreter"]),
        ("event_loop", type(asyncio.get_running_loop()).__module__.partition(".")[0]),
    ]


def clients(clients: Clients[NodeSession], cluster_connections: int, tracking_clients: int) -> Fields:
    blocked = sum(session.parked for session in clients)
    return [
        ("connected_clients", sum(session.replica is None for session in clients)),
        ("cluster_connections", cluster_connections),
        ("maxclients", clients.max),
        ("client_recent_max_input_buffer", 0),
        ("client_recent_max_output_buffer", 0),
        ("blocked_clients", blocked),
        ("tracking_clients", tracking_clients),
        ("clients_in_timeout_table", 0),
    ]


def memory(runtime: Runtime, settings: NodeSettings, backlog_bytes: int) -> Fields:
    usage = runtime.process.usage()
    used, peak = usage.resident_bytes, max(usage.resident_peak_bytes, usage.resident_bytes)
    machine = int(runtime.process.description()["machine_bytes"])
    return [
        ("used_memory", used),
        ("used_memory_human", human_size(used)),
        ("used_memory_rss", used),
        ("used_memory_rss_human", human_size(used)),
        ("used_memory_peak", peak),
        ("used_memory_peak_human", human_size(peak)),
        ("used_memory_peak_perc", f"{100 * used / peak:.2f}%"),
        ("used_memory_overhead", 0),
        ("used_memory_startup", 0),
        ("used_memory_dataset", used),
        ("used_memory_dataset_perc", "100.00%"),
        ("allocator_allocated", used),
        ("allocator_active", used),
        ("allocator_resident", used),
        ("total_system_memory", machine),
        ("total_system_memory_human", human_size(machine)),
        *((name, 0) for name in ("used_memory_lua", "used_memory_vm_eval")),
        ("used_memory_lua_human", human_size(0)),
        *((name, 0) for name in ("used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions")),
        *((name, 0) for name in ("number_of_libraries", "used_memory_vm_functions", "used_memory_vm_total")),
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
        ("rss_overhead_ratio", "1.00"),
        ("rss_overhead_bytes", 0),
        ("mem_fragmentation_ratio", "1.00"),
        ("mem_fragmentation_bytes", 0),
        ("mem_not_counted_for_evict", 0),
        ("mem_replication_backlog", backlog_bytes),
        *((name, 0) for name in ("mem_total_replication_buffers", "mem_clients_slaves", "mem_clients_normal")),
        *((name, 0) for name in ("mem_cluster_links", "mem_aof_buffer")),
        ("mem_allocator", "libc"),
        *((name, 0) for name in ("active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects")),
    ]


def stats(node: Node, traffic: Traffic, keyspace: Keyspace, expiry: ActiveExpiry, broker: Broker) -> Fields:
    replicas, errors = node.replication.replicas, node.executor.errors
    return [
        ("total_connections_received", node.clients.total),
        ("total_commands_processed", node.executor.processed),
        ("instantaneous_ops_per_sec", round(traffic.commands.per_second)),
        ("total_net_input_bytes", traffic.bytes_in),
        ("total_net_output_bytes", traffic.bytes_out),
        ("total_net_repl_input_bytes", 0),
        ("total_net_repl_output_bytes", 0),
        ("instantaneous_input_kbps", f"{traffic.input.per_second / 1024:.2f}"),
        ("instantaneous_output_kbps", f"{traffic.output.per_second / 1024:.2f}"),
        ("instantaneous_input_repl_kbps", "0.00"),
        ("instantaneous_output_repl_kbps", "0.00"),
        ("rejected_connections", node.clients.rejected),
        ("sync_full", replicas.full_resyncs),
        ("sync_partial_ok", replicas.partial_resyncs),
        ("sync_partial_err", replicas.partial_resyncs_refused),
        ("expired_keys", keyspace.expired_keys),
        ("expired_stale_perc", f"{expiry.stale_percent:.2f}"),
        ("expired_time_cap_reached_count", expiry.time_cap_reached),
        ("expire_cycle_cpu_milliseconds", 0),
        *((name, 0) for name in ("evicted_keys", "evicted_clients")),
        *((name, 0) for name in ("total_eviction_exceeded_time", "current_eviction_exceeded_time")),
        ("keyspace_hits", keyspace.hits),
        ("keyspace_misses", keyspace.misses),
        ("pubsub_channels", len(broker.channels)),
        ("pubsub_patterns", len(broker.patterns)),
        ("pubsubshard_channels", len(broker.shard_channels)),
        *((name, 0) for name in ("latest_fork_usec", "total_forks", "migrate_cached_sockets")),
        *((name, 0) for name in ("slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses")),
        *((name, 0) for name in ("active_defrag_key_hits", "active_defrag_key_misses")),
        *((name, 0) for name in ("total_active_defrag_time", "current_active_defrag_time")),
        ("tracking_total_keys", node.tracking.key_count),
        ("tracking_total_items", node.tracking.item_count),
        ("tracking_total_prefixes", node.tracking.prefix_count),
        ("unexpected_error_replies", 0),
        ("total_error_replies", sum(errors.values())),
        ("dump_payload_sanitizations", 0),
        *((name, 0) for name in ("total_reads_processed", "total_writes_processed")),
        *((name, 0) for name in ("io_threaded_reads_processed", "io_threaded_writes_processed")),
        *((name, 0) for name in ("reply_buffer_shrinks", "reply_buffer_expands")),
    ]


def cpu(runtime: Runtime) -> Fields:
    usage = runtime.process.usage()
    return [
        ("used_cpu_sys", f"{usage.system_s:.6f}"),
        ("used_cpu_user", f"{usage.user_s:.6f}"),
        ("used_cpu_sys_children", f"{usage.children_system_s:.6f}"),
        ("used_cpu_user_children", f"{usage.children_user_s:.6f}"),
        ("used_cpu_sys_main_thread", f"{usage.system_s:.6f}"),
        ("used_cpu_user_main_thread", f"{usage.user_s:.6f}"),
    ]


def command_stats(table: CommandTable) -> Fields:
    return [(f"cmdstat_{command.name}", _calls(command)) for command in table.every() if _was_asked(command)]


def _was_asked(command: Command) -> bool:
    return bool(command.calls or command.rejected_calls or command.failed_calls)


def _calls(command: Command) -> str:
    usec = command.nanoseconds // 1000
    each = command.nanoseconds / 1000 / command.calls if command.calls else 0.0
    return (
        f"calls={command.calls},usec={usec},usec_per_call={each:.2f},rejected_calls={command.rejected_calls},"
        f"failed_calls={command.failed_calls}"
    )


def error_stats(errors: dict[bytes, int]) -> Fields:
    return [(f"errorstat_{code.decode()}", f"count={count}") for code, count in errors.items()]


def keyspace(keyspace: Keyspace) -> Fields:
    return [
        (
            f"db{database.index}",
            f"keys={database.size},expires={database.volatile},avg_ttl={round(database.avg_ttl_ms)}",
        )
        for database in keyspace.databases()
        if database.size
    ]


def human_size(size: int) -> str:
    """Bytes for people, as Redis writes them: 1.93M."""
    if size < 1024:
        return f"{size}B"
    for unit, factor in (("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)):
        if size < factor * 1024:
            return f"{size / factor:.2f}{unit}"
    return f"{size / (1 << 50):.2f}P"
