"""CONFIG SET: several directives at once, all or none, in force at once.

Most code reads `NodeSettings` when it needs it, so a new value needs no more than being there. Whoever keeps a copy,
or must act when a directive changes, has a line here: the directive and a function that brings that part of the node
up to date with the settings. Such a function may refuse (ValueError, Redis' words); then everything is as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cluster.bus import BusPortError
from node.persistence.aof.append_only import AofState
from node.protection import allows
from node.replication.master import BACKLOG_MIN
from node.settings import NodeSettings
from node.structures.limits import CompactLimits
from runtime import Level
from runtime.directives import Kind, Words
from runtime.process import RESERVED_FILES
from runtime.settings import to_bytes
from runtime.tls import TlsError
from wire.acl.acl_file import AclFile
from wire.errors import LOADING, Error, until_nul
from wire.listener import BindError

if TYPE_CHECKING:
    from node.node import Node
    from wire.session import Session

_Applier = Callable[["Node"], None]
# What cannot be changed while data are being loaded, whether clients are served meanwhile or not.
_FIXED_WHILE_LOADING = frozenset({"appendonly", "repl_diskless_load", "dir"})


def set_directives(node: Node, session: Session, pairs: list[tuple[str, str]]) -> Callable[[], None]:
    """Give directives new values; returns what takes them back. Raises Error, and then nothing has changed."""
    settings = node.settings
    changes = [(name, _field(name), text) for name, text in pairs]
    for at, (name, field, _) in enumerate(changes):
        kind = settings.kind(field)
        if any(name.lower() == other.lower() for other, _, _ in changes[:at]):
            raise _failed(name, "duplicate parameter")
        if kind.fixed:
            raise _failed(name, "can't set immutable config")
        if kind.protected and not allows(settings.enable_protected_configs, session):
            raise _failed(name, "can't set protected config")
        if node.loader.active and field in _FIXED_WHILE_LOADING:
            raise Error(LOADING)
    before = {field: getattr(settings, field) for _, field, _ in changes}

    def take_back() -> None:
        for field, value in before.items():
            setattr(settings, field, value)
        for applier in {applier: None for field in before if (applier := _applier(field)) is not None}:
            applier(node)

    try:
        for name, field, text in changes:
            _take(settings, name, field, text)
        appliers: dict[_Applier, str] = {}
        for name, field, _ in changes:
            applier = _applier(field)
            if applier is not None:
                appliers.setdefault(applier, name)
        for applier, name in appliers.items():
            try:
                applier(node)
            except ValueError as error:
                raise _failed(name.lower(), str(error)) from None
    except Error:
        take_back()
        raise
    return take_back


def needs_reopening(node: Node) -> bool:
    """Whether what has been set takes effect only with `reopen`."""
    return node.ports.outdated or (node.cluster is not None and node.cluster.outdated)


async def reopen(node: Node, pairs: list[tuple[str, str]], take_back: Callable[[], None]) -> Error | None:
    """Listen where the directives `pairs` say; when that cannot be done, all is as before. Returns the refusal then."""
    try:
        await _reopen(node)
    except (BindError, BusPortError):
        take_back()
        try:
            await _reopen(node)
        except (BindError, BusPortError) as error:
            # Somebody else was quicker to listen there.
            node.log.warning(f"Warning: {error}")
        names = [name for name, _ in pairs]
        if any(name.lower() == "bind" for name in names):
            return _failed("bind", "Failed to bind to specified addresses.")
        name = next(name for name in names if name.lower() in ("port", "tls-port", "tls-cluster"))
        return _failed(name, "Unable to listen on this port. Check server logs.")
    return None


async def _reopen(node: Node) -> None:
    await node.ports.open()
    node.title.show()
    if node.cluster is not None and node.cluster.outdated:
        await node.cluster.reopen()


def _field(name: str) -> str:
    field = NodeSettings.field(name.lower())
    if field is None or (NodeSettings.kind(field).hidden and NodeSettings.kind(field).fixed):
        raise Error(b"ERR Unknown option or number of arguments for CONFIG SET - '%b'" % until_nul(to_bytes(name)))
    return field


def _take(settings: NodeSettings, name: str, field: str, text: str) -> None:
    kind: Kind = settings.kind(field)
    words = Words(text.split(" ") if text else ()) if kind.many else Words((text,))
    try:
        # By way of the model, like every other assignment.
        setattr(settings, field, kind.merge(getattr(settings, field), kind.parse(words), first=True))
    except ValidationError as error:
        raise _failed(name.lower(), error.errors()[0]["msg"]) from None
    except ValueError as error:
        raise _failed(name.lower(), str(error)) from None


def _failed(name: str, reason: str) -> Error:
    return Error(b"ERR CONFIG SET failed (possibly related to argument '%b') - %b" % (to_bytes(name), to_bytes(reason)))


def _max_clients(node: Node) -> None:
    wanted = node.settings.maxclients
    allowed = node.runtime.process.allow_files(wanted + RESERVED_FILES)
    if allowed < wanted + RESERVED_FILES:
        raise ValueError(
            f"The operating system is not able to handle the specified number of clients, try with "
            f"{allowed - RESERVED_FILES}"
        )
    node.clients.max = wanted


def _password(node: Node) -> None:
    node.accounts.require_password(to_bytes(node.settings.requirepass))


def _users(node: Node) -> None:
    accounts, settings = node.accounts, node.settings
    accounts.rules.all_channels = settings.acl_pubsub_default == "allchannels"
    accounts.log.max = settings.acllog_max_len
    accounts.log.trim()


def _tracking(node: Node) -> None:
    node.tracking.limit(node.settings.tracking_table_max_keys)


def _events(node: Node) -> None:
    node.keyspace.notify(node.settings.notify_keyspace_events)


def _limits(node: Node) -> None:
    settings, service = node.settings, node.service
    service.limit_output(dict(settings.client_output_buffer_limit))
    service.limit_requests(settings.proto_max_bulk_len, settings.client_query_buffer_limit)


def _log_level(node: Node) -> None:
    node.log.level = Level[node.settings.loglevel.upper()]


def _keepalive(node: Node) -> None:
    node.ports.keep_alive(node.settings.tcp_keepalive)


def _expiry(node: Node) -> None:
    node.expiry.effort = node.settings.active_expire_effort


def _memory(node: Node) -> None:
    node.eviction.configured()
    node.buffers.configured()


def _oom_score(node: Node) -> None:
    if not node.oom_score.apply():
        raise ValueError("Failed to set current oom_score_adj. Check server logs.")


def _title(node: Node) -> None:
    node.title.show()


def _slow_log(node: Node) -> None:
    node.slow_log.configure(node.settings.slowlog_log_slower_than, node.settings.slowlog_max_len)
    node.slow_commands.configured()


def _latency(node: Node) -> None:
    node.latency.threshold_ms = node.settings.latency_monitor_threshold
    node.slow_commands.configured()


def _latency_tracking(node: Node) -> None:
    for command in node.table.every():
        command.settle().kept = node.settings.latency_tracking
    node.slow_commands.configured()


def _compact_limits(node: Node) -> None:
    settings = node.settings
    node.keyspace.limits = CompactLimits(
        hash_entries=settings.hash_max_listpack_entries,
        hash_value=settings.hash_max_listpack_value,
        intset_entries=settings.set_max_intset_entries,
        zset_entries=settings.zset_max_listpack_entries,
        zset_value=settings.zset_max_listpack_value,
        shapes=node.keyspace.limits.shapes,
    )


def _folder(node: Node) -> None:
    try:
        node.settings.dir = node.runtime.files.folder(node.settings.dir).path
    except OSError as error:
        raise ValueError(error.strerror) from None


def _snapshots(node: Node) -> None:
    node.saver.update_condition()


def _replication(node: Node) -> None:
    node.replication.update_conditions()


def _backlog(node: Node) -> None:
    node.service.output_limits.replica_min = node.settings.repl_backlog_size
    node.replication.replicas.resize_backlog()


def _backlog_changed(node: Node) -> None:
    """What is too small a file may say, but nobody may choose (Redis: `resizeReplicationBacklog`)."""
    node.settings.repl_backlog_size = max(node.settings.repl_backlog_size, BACKLOG_MIN)
    _backlog(node)


def _cluster(node: Node) -> None:
    if node.cluster is not None:
        node.cluster.configured()


def _tls(node: Node) -> None:
    try:
        node.ports.configure_tls()
    except TlsError:
        raise ValueError("Unable to update TLS configuration. Check server logs.") from None
    _cluster(node)


def _append_only(node: Node) -> None:
    append_only = node.append_only
    if not node.settings.appendonly:
        append_only.switch_off()
    elif append_only.state is AofState.OFF and not append_only.switch_on(now=not node.in_transaction):
        raise ValueError("Unable to turn on AOF. Check server logs.")


def _history_of_log(node: Node) -> None:
    node.append_only.delete_history()


_APPLIERS: dict[str, _Applier] = {
    "maxclients": _max_clients,
    "requirepass": _password,
    "tracking_table_max_keys": _tracking,
    "acl_pubsub_default": _users,
    "acllog_max_len": _users,
    "notify_keyspace_events": _events,
    "client_output_buffer_limit": _limits,
    "proto_max_bulk_len": _limits,
    "client_query_buffer_limit": _limits,
    "loglevel": _log_level,
    "tcp_keepalive": _keepalive,
    "active_expire_effort": _expiry,
    "maxmemory": _memory,
    "maxmemory_clients": _memory,
    "maxmemory_policy": _memory,
    "replica_ignore_maxmemory": _memory,
    "oom_score_adj": _oom_score,
    "oom_score_adj_values": _oom_score,
    "proc_title_template": _title,
    "slowlog_log_slower_than": _slow_log,
    "slowlog_max_len": _slow_log,
    "latency_monitor_threshold": _latency,
    "latency_tracking": _latency_tracking,
    "hash_max_listpack_entries": _compact_limits,
    "hash_max_listpack_value": _compact_limits,
    "set_max_intset_entries": _compact_limits,
    "zset_max_listpack_entries": _compact_limits,
    "zset_max_listpack_value": _compact_limits,
    "dir": _folder,
    "save": _snapshots,
    "stop_writes_on_bgsave_error": _snapshots,
    "replica_read_only": _replication,
    "replica_serve_stale_data": _replication,
    "min_replicas_to_write": _replication,
    "min_replicas_max_lag": _replication,
    "repl_backlog_size": _backlog_changed,
    "repl_ping_replica_period": _cluster,
    "port": _cluster,
    "appendonly": _append_only,
    "aof_disable_auto_gc": _history_of_log,
}


def _applier(field: str) -> _Applier | None:
    if field.startswith("tls_"):
        return _tls
    return _cluster if field.startswith("cluster_") else _APPLIERS.get(field)


def apply_at_start(node: Node) -> None:
    """Bring the parts that keep copies up to date with the settings a node starts with."""
    for applier in (
        _users,
        _tracking,
        _password,
        _events,
        _limits,
        _backlog,
        _keepalive,
        _expiry,
        _memory,
        _slow_log,
        _latency,
        _latency_tracking,
        _compact_limits,
    ):
        applier(node)
    # That the kernel refuses keeps no server from starting.
    node.oom_score.apply()
    _load_users(node)


def _load_users(node: Node) -> None:
    """The users that the configuration names, or its ACL file; raises AccountsError."""
    settings = node.settings
    file = AclFile(node.runtime.files, settings.aclfile, node.log) if settings.aclfile else None
    node.accounts.load_at_start(settings.user, file)


def shown(node: Node, field: str) -> str:
    """The value of a directive as CONFIG GET shows it: what is in force, where that is not the setting."""
    value: Any = getattr(node.settings, field)
    if field == "replicaof":
        value = node.replication.upstream.master
    return node.settings.kind(field).show(value)
