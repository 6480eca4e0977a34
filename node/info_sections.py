"""The sections of INFO that the node's own parts make, each a function of the parts it describes.

A field for which this server has no counterpart (allocator, Lua, threads) is there with a neutral value, because
monitors look for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from node.database import Database
from node.expiry import ActiveExpiry
from node.keyspace import Keyspace
from node.session import NodeSession
from node.settings import NodeSettings
from node.stats import Traffic
from runtime import Runtime
from wire.acl.selector import Reason
from wire.clients import Clients
from wire.front import REDIS_VERSION, SHARDLAB_VERSION
from wire.pubsub import Broker
from wire.session import LISTENING, SUBSCRIBED
from wire.table import Command, CommandTable

if TYPE_CHECKING:
    from node.node import Node

Fields = list[tuple[str, object]]
_LRU_CLOCK_BITS = 24
# By the names that Redis 7.2 has for them here.
_REFUSALS = (("auth", Reason.AUTH), ("cmd", Reason.COMMAND), ("key", Reason.KEY), ("channel", Reason.CHANNEL))


def server(node: Node) -> Fields:
    runtime, settings = node.runtime, node.settings
    described, collections = runtime.process.description(), runtime.process.collections()
    now_us = runtime.clock.wall_us()
    uptime_s = (now_us // 1000 - node.started_at_ms) // 1000
    left_ms = node.shutdown.left_ms
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
        ("tcp_port", settings.port or settings.tls_port),
        ("server_time_usec", now_us),
        ("uptime_in_seconds", uptime_s),
        ("uptime_in_days", uptime_s // 86400),
        ("hz", settings.hz),
        ("configured_hz", settings.hz),
        ("lru_clock", now_us // 1_000_000 & (1 << _LRU_CLOCK_BITS) - 1),
        ("executable", described["executable"]),
        ("config_file", node.config_file),
        ("io_threads_active", 0),
        *((("shutdown_in_milliseconds", left_ms),) if left_ms is not None else ()),
        *((f"listener{at}", where) for at, where in node.ports.described()),
        # Ours, behind Redis' fields.
        ("shardlab_version", SHARDLAB_VERSION),
        ("interpreter", described["interpreter"]),
        ("compiled_modules", described["compiled"]),
        ("event_loop", type(asyncio.get_running_loop()).__module__.partition(".")[0]),
        ("gc_collections", collections.count),
        ("gc_usec", collections.total_ns // 1000),
        ("gc_longest_usec", collections.longest_ns // 1000),
    ]


def clients(node: Node, clients: Clients[NodeSession]) -> Fields:
    blocked = sum(session.parked for session in clients)
    watched = {place for session in clients for place in session.watched}
    return [
        ("connected_clients", sum(session.replica is None for session in clients)),
        ("cluster_connections", 0 if node.cluster is None else len(node.cluster.bus.links())),
        ("maxclients", clients.max),
        ("client_recent_max_input_buffer", 0),
        ("client_recent_max_output_buffer", 0),
        ("blocked_clients", blocked),
        ("tracking_clients", node.tracking.client_count),
        # Redis 7.4's, as the keys that are watched.
        ("pubsub_clients", sum(session.mask & (SUBSCRIBED | LISTENING) != 0 for session in clients)),
        ("watching_clients", sum(bool(session.watched) for session in clients)),
        ("clients_in_timeout_table", 0),
        ("total_watched_keys", len(watched)),
        # Redis 7.2's.
        ("total_blocking_keys", node.blocked.key_count()),
        ("total_blocking_keys_on_nokey", node.blocked.key_count(until_gone=True)),
    ]


def stats(node: Node, traffic: Traffic, keyspace: Keyspace, expiry: ActiveExpiry, broker: Broker) -> Fields:
    replicas, refused = node.replication.replicas, node.accounts.log.refused
    return [
        ("total_connections_received", node.clients.total),
        ("total_commands_processed", node.table.calls),
        ("instantaneous_ops_per_sec", round(traffic.commands_per_second)),
        ("total_net_input_bytes", traffic.bytes_in),
        ("total_net_output_bytes", traffic.bytes_out),
        ("total_net_repl_input_bytes", 0),
        ("total_net_repl_output_bytes", 0),
        ("instantaneous_input_kbps", f"{traffic.bytes_in_per_second / 1024:.2f}"),
        ("instantaneous_output_kbps", f"{traffic.bytes_out_per_second / 1024:.2f}"),
        ("instantaneous_input_repl_kbps", "0.00"),
        ("instantaneous_output_repl_kbps", "0.00"),
        ("rejected_connections", node.clients.rejected),
        ("sync_full", replicas.full_resyncs),
        ("sync_partial_ok", replicas.partial_resyncs),
        ("sync_partial_err", replicas.partial_resyncs_refused),
        ("expired_subkeys", keyspace.expired_fields),
        ("expired_keys", keyspace.expired_keys),
        ("expired_stale_perc", f"{expiry.stale_percent:.2f}"),
        ("expired_time_cap_reached_count", expiry.time_cap_reached),
        ("expire_cycle_cpu_milliseconds", 0),
        ("evicted_keys", keyspace.evicted_keys),
        ("evicted_clients", node.buffers.evicted),
        ("total_eviction_exceeded_time", node.eviction.exceeded_total_ms()),
        ("current_eviction_exceeded_time", node.eviction.exceeded_now_ms()),
        ("keyspace_hits", keyspace.hits),
        ("keyspace_misses", keyspace.misses),
        ("pubsub_channels", len(broker.channels)),
        ("pubsub_patterns", len(broker.patterns)),
        ("pubsubshard_channels", len(broker.shard_channels)),
        ("latest_fork_usec", node.child.last_fork_ns // 1000),
        ("total_forks", node.child.forks),
        ("migrate_cached_sockets", len(node.migrations.idle)),
        ("slave_expires_tracked_keys", len(keyspace.own_volatile)),
        *((name, 0) for name in ("active_defrag_hits", "active_defrag_misses")),
        *((name, 0) for name in ("active_defrag_key_hits", "active_defrag_key_misses")),
        *((name, 0) for name in ("total_active_defrag_time", "current_active_defrag_time")),
        ("tracking_total_keys", node.tracking.key_count),
        ("tracking_total_items", node.tracking.item_count),
        ("tracking_total_prefixes", node.tracking.prefix_count),
        ("unexpected_error_replies", 0),
        ("total_error_replies", node.errors.total),
        ("dump_payload_sanitizations", 0),
        *((name, 0) for name in ("total_reads_processed", "total_writes_processed")),
        *((name, 0) for name in ("io_threaded_reads_processed", "io_threaded_writes_processed")),
        ("client_query_buffer_limit_disconnections", node.service.overfilled),
        ("client_output_buffer_limit_disconnections", node.service.output_limits.disconnections),
        *((name, 0) for name in ("reply_buffer_shrinks", "reply_buffer_expands")),
        *((f"acl_access_denied_{name}", refused[reason]) for name, reason in _REFUSALS),
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


def latency_stats(table: CommandTable, settings: NodeSettings) -> Fields:
    """How long the runs of each command took, at the percentiles that the configuration names."""
    if not settings.latency_tracking:
        return []
    shares = settings.latency_tracking_info_percentiles
    return [
        (
            f"latency_percentiles_usec_{command.name}",
            ",".join(f"p{share:.6f}".rstrip("0").rstrip(".") + f"={_microseconds(command, share)}" for share in shares),
        )
        for command in table.every()
        if command.settle().known
    ]


def _microseconds(command: Command, share: float) -> str:
    return f"{command.durations.percentile(share) / 1000:.3f}"


def error_stats(errors: dict[bytes, int]) -> Fields:
    return [(f"errorstat_{code.decode()}", f"count={count}") for code, count in errors.items()]


def keyspace(keyspace: Keyspace) -> Fields:
    return [(f"db{database.index}", _database(database)) for database in keyspace.databases() if database.size]


def _database(database: Database) -> str:
    line = f"keys={database.size},expires={database.volatile},avg_ttl={round(database.avg_ttl_ms)}"
    # As in Redis 7.4; where there are no such hashes it is what 7.2 says.
    expiring = len(database.field_deadlines)
    return f"{line},subexpiry={expiring}" if expiring else line
