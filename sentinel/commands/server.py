"""The commands of any Redis server that mean something else here: INFO, ROLE, PUBLISH, SHUTDOWN."""

from __future__ import annotations

from runtime.settings import to_bytes, to_text
from sentinel.call import Call
from sentinel.events import Told
from sentinel.instances import Master
from sentinel.requests import HELLO_CHANNEL
from wire.command import ADMIN, FAST, LOADING, NOSCRIPT, PUBSUB, STALE, command
from wire.errors import SYNTAX, Error
from wire.front import REDIS_VERSION
from wire.reply import NO_REPLY, Reply, Verbatim


@command(
    "ROLE",
    arity=1,
    flags=NOSCRIPT | LOADING | STALE | FAST,
    group="server",
    since="2.8.12",
    complexity="O(1)",
    summary="Return the role of the instance in the context of replication",
    categories=("admin", "dangerous"),
)
def role(call: Call) -> Reply:
    return [b"sentinel", [to_bytes(name) for name in call.knowledge.masters]]


@command(
    "PUBLISH",
    arity=3,
    flags=PUBSUB | LOADING | STALE | FAST,
    group="pubsub",
    since="2.0.0",
    complexity="O(1)",
    summary="Post a message to a channel",
    syntax="channel message",
)
def publish(call: Call) -> Reply:
    """Other sentinels introduce themselves this way; nobody else has anything to publish here."""
    if call.argv[1] != HELLO_CHANNEL.encode():
        raise Error(b"ERR Only HELLO messages are accepted by Sentinel instances.")
    call.order(Told(call.text(2)))
    return 1


@command(
    "SHUTDOWN",
    arity=-1,
    flags=ADMIN | NOSCRIPT | LOADING | STALE,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Shut down the server",
    syntax="[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
)
def shutdown(call: Call) -> Reply:
    """There is nothing to save: what a sentinel knows is on disk already."""
    if not all(word.lower() in (b"save", b"nosave", b"now", b"force") for word in call.argv[1:]):
        raise Error(SYNTAX)
    call.sentinel.log.warning("User requested shutdown...")
    call.sentinel.ask_to_stop()
    return NO_REPLY


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
    now_ms = sentinel.clock.wall_ms()
    uptime_s = (now_ms - sentinel.started_at_ms) // 1_000
    return {
        "redis_version": REDIS_VERSION,
        "redis_mode": "sentinel",
        "process_id": sentinel.pid,
        "run_id": sentinel.run_id,
        "tcp_port": call.knowledge.port,
        "server_time_usec": sentinel.clock.wall_us(),
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86_400,
        "hz": 10,
        "configured_hz": 10,
        "config_file": sentinel.config_path,
    }


def _clients(call: Call) -> _Lines:
    clients = call.front.clients
    return {"connected_clients": len(clients), "maxclients": clients.max, "blocked_clients": 0}


def _cpu(call: Call) -> _Lines:
    usage = call.sentinel.process.usage()
    return {
        "used_cpu_sys": f"{usage.system_s:.6f}",
        "used_cpu_user": f"{usage.user_s:.6f}",
        "used_cpu_sys_children": f"{usage.children_system_s:.6f}",
        "used_cpu_user_children": f"{usage.children_user_s:.6f}",
    }


def _stats(call: Call) -> _Lines:
    clients, broker = call.front.clients, call.front.broker
    return {
        "total_connections_received": clients.total,
        "total_commands_processed": call.sentinel.service.processed,
        "rejected_connections": clients.rejected,
        "pubsub_channels": len(broker.channels),
        "pubsub_patterns": len(broker.patterns),
        "pubsubshard_channels": len(broker.shard_channels),
    }


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
