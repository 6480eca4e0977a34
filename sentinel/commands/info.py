"""INFO: the sections of a sentinel, with the fields of any Redis server.

What a sentinel has no counterpart for (data, replicas, scripts, threads) is there with a neutral value, because
monitors look for it.
"""

from __future__ import annotations

from runtime.settings import to_bytes, to_text
from sentinel.call import Call
from sentinel.instances import Master
from wire.command import LOADING, STALE, command
from wire.front import REDIS_VERSION
from wire.reply import Reply, Verbatim

_LRU_CLOCK_BITS = 24


@command(
    "INFO",
    arity=-1,
    flags=LOADING | STALE,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Get information and statistics about the server",
    categories=("dangerous",),
    syntax="[section [section ...]]",
)
def info(call: Call) -> Reply:
    asked = [to_text(word).lower() for word in call.argv[1:]] or ["default"]
    everything = any(word in ("default", "all", "everything") for word in asked)
    shown = [
        f"# {_TITLES.get(name, name.capitalize())}\r\n"
        + "".join(f"{field}:{value}\r\n" for field, value in lines(call).items())
        for name, lines in _SECTIONS.items()
        if everything or name in asked
    ]
    return Verbatim(to_bytes("\r\n".join(shown)))


_Lines = dict[str, str | int]


def _server(call: Call) -> _Lines:
    sentinel = call.sentinel
    described = sentinel.process.description()
    now_us = sentinel.clock.wall_us()
    uptime_s = (now_us // 1_000 - sentinel.started_at_ms) // 1_000
    return {
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "redis_mode": "sentinel",
        "os": described["os"],
        "arch_bits": described["bits"],
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "epoll",
        "atomicvar_api": "none",
        "gcc_version": "0.0.0",
        "process_id": sentinel.pid,
        "process_supervised": "no",
        "run_id": sentinel.run_id,
        "tcp_port": call.knowledge.port,
        "server_time_usec": now_us,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86_400,
        "hz": 10,
        "configured_hz": 10,
        "lru_clock": now_us // 1_000_000 & (1 << _LRU_CLOCK_BITS) - 1,
        "executable": described["executable"],
        "config_file": sentinel.config_path,
        "io_threads_active": 0,
    }


def _clients(call: Call) -> _Lines:
    clients = call.front.clients
    return {
        "connected_clients": len(clients),
        "cluster_connections": 0,
        "maxclients": clients.max,
        "client_recent_max_input_buffer": 0,
        "client_recent_max_output_buffer": 0,
        "blocked_clients": 0,
        "tracking_clients": 0,
        "clients_in_timeout_table": 0,
    }


def _cpu(call: Call) -> _Lines:
    usage = call.sentinel.process.usage()
    return {
        "used_cpu_sys": f"{usage.system_s:.6f}",
        "used_cpu_user": f"{usage.user_s:.6f}",
        "used_cpu_sys_children": f"{usage.children_system_s:.6f}",
        "used_cpu_user_children": f"{usage.children_user_s:.6f}",
        "used_cpu_sys_main_thread": f"{usage.system_s:.6f}",
        "used_cpu_user_main_thread": f"{usage.user_s:.6f}",
    }


def _stats(call: Call) -> _Lines:
    clients, broker, service = call.front.clients, call.front.broker, call.sentinel.service
    return {
        "total_connections_received": clients.total,
        "total_commands_processed": service.processed,
        "instantaneous_ops_per_sec": 0,
        "total_net_input_bytes": service.bytes_in,
        "total_net_output_bytes": service.bytes_out,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": "0.00",
        "instantaneous_output_kbps": "0.00",
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": clients.rejected,
        **dict.fromkeys(("sync_full", "sync_partial_ok", "sync_partial_err", "expired_keys"), 0),
        "expired_stale_perc": "0.00",
        **dict.fromkeys(_NO_DATA, 0),
        "pubsub_channels": len(broker.channels),
        "pubsub_patterns": len(broker.patterns),
        "pubsubshard_channels": len(broker.shard_channels),
        **dict.fromkeys(_NO_PROCESSES, 0),
        "total_error_replies": service.errors,
        **dict.fromkeys(_NO_THREADS, 0),
    }


_NO_DATA = (
    *("expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds", "evicted_keys", "evicted_clients"),
    *("total_eviction_exceeded_time", "current_eviction_exceeded_time", "keyspace_hits", "keyspace_misses"),
)
_NO_PROCESSES = (
    *("latest_fork_usec", "total_forks", "migrate_cached_sockets", "slave_expires_tracked_keys"),
    *("active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses"),
    *("total_active_defrag_time", "current_active_defrag_time"),
    *("tracking_total_keys", "tracking_total_items", "tracking_total_prefixes", "unexpected_error_replies"),
)
_NO_THREADS = (
    *("dump_payload_sanitizations", "total_reads_processed", "total_writes_processed"),
    *("io_threaded_reads_processed", "io_threaded_writes_processed"),
    *("reply_buffer_shrinks", "reply_buffer_expands"),
)


def _sentinel(call: Call) -> _Lines:
    knowledge, tilt = call.knowledge, call.sentinel.machine.tilt
    lines: _Lines = {
        "sentinel_masters": len(knowledge.masters),
        "sentinel_tilt": int(tilt.active),
        "sentinel_tilt_since_seconds": tilt.since_seconds(call.sentinel.now_ms()),
        "sentinel_running_scripts": 0,
        "sentinel_scripts_queue_length": 0,
        "sentinel_simulate_failure_flags": knowledge.crash_after_election + 2 * knowledge.crash_after_promotion,
    }
    for number, master in enumerate(knowledge.masters.values()):
        host, port = knowledge.shown(master.address), master.address.port
        lines[f"master{number}"] = (
            f"name={master.name},status={_status(master)},address={host}:{port},"
            f"slaves={len(master.replicas)},sentinels={len(master.peers) + 1}"
        )
    return lines


def _status(master: Master) -> str:
    if master.odown:
        return "odown"
    return "sdown" if master.sdown else "ok"


_SECTIONS = {"server": _server, "clients": _clients, "stats": _stats, "cpu": _cpu, "sentinel": _sentinel}
_TITLES = {"cpu": "CPU"}
