"""A node's settings: every directive of the redis.conf of Redis 7.0 and 7.2, and ours.

Fields are directives with underscores for dashes, defaults are Redis'. Code reads fields (`settings.repl_timeout`)
when it needs them, because CONFIG SET changes them in place; what must happen at once when one changes is
`node.reconfigure`'s business. Directives of features that do not exist here are checked and kept, so that an
existing redis.conf loads; `INERT` names them, and the log says so at the start.
"""

# ruff: noqa: RUF012 - pydantic gives every instance its own copy of a mutable default

from __future__ import annotations

from typing import Annotated, ClassVar

from cluster.endpoints import ClientNetwork
from node.directives import (
    Addresses,
    BufferLimits,
    ClientNetworks,
    Entries,
    EventClasses,
    MasterAddress,
    OomScores,
    Percentiles,
    SavePoints,
    ShutdownOptions,
    file_name,
    host_name,
    node_name,
)
from node.output_limits import OutputLimit
from node.title_template import why_invalid
from runtime.directives import (
    INT_MAX,
    LONG_MAX,
    Choice,
    Flag,
    Hint,
    Integer,
    Octal,
    Settings,
    Size,
    SizeOrShare,
    Text,
)

_MB = 1024 * 1024
_UINT_MAX = 2**32 - 1
_ULONG_MAX = 2**64 - 1

YesNo = Annotated[bool, Flag()]
YesNoAtStart = Annotated[bool, Flag(fixed=True)]
Natural = Annotated[int, Integer(0)]
Positive = Annotated[int, Integer(1)]
Port = Annotated[int, Integer(0, 65535)]
Long = Annotated[int, Integer(0, LONG_MAX)]
Bytes = Annotated[int, Size()]
Any_ = Annotated[str, Text()]
TextAtStart = Annotated[str, Text(fixed=True)]
Protection = Annotated[str, Choice("no", "yes", "local", fixed=True)]
Shutdown = Annotated[tuple[str, ...], ShutdownOptions()]


class NodeSettings(Settings):
    """What an operator can choose."""

    # Network
    bind: Annotated[list[str], Addresses()] = ["*", "-::*"]
    bind_source_addr: Any_ = ""
    port: Port = 6379
    tcp_backlog: Annotated[int, Integer(0, fixed=True)] = 511
    tcp_keepalive: Natural = 300
    timeout: Natural = 0
    protected_mode: YesNo = True
    unixsocket: TextAtStart = ""
    unixsocketperm: Annotated[int, Octal(0, 0o777, fixed=True)] = 0
    maxclients: Annotated[int, Integer(1, _UINT_MAX)] = 10000
    maxmemory_clients: Annotated[int, SizeOrShare()] = 0
    client_query_buffer_limit: Annotated[int, Size(_MB)] = 1024 * _MB
    client_output_buffer_limit: Annotated[dict[str, OutputLimit], BufferLimits()] = {
        "normal": OutputLimit(0, 0, 0),
        "replica": OutputLimit(256 * _MB, 64 * _MB, 60),
        "pubsub": OutputLimit(32 * _MB, 8 * _MB, 60),
    }
    proto_max_bulk_len: Annotated[int, Size(_MB)] = 512 * _MB
    tracking_table_max_keys: Long = 1_000_000
    socket_mark_id: Annotated[int, Integer(0, _UINT_MAX, fixed=True)] = 0
    io_threads: Annotated[int, Integer(1, 128, fixed=True)] = 1
    io_threads_do_reads: YesNoAtStart = False

    # Process
    daemonize: YesNoAtStart = False
    supervised: Annotated[str, Choice("upstart", "systemd", "auto", "no", fixed=True)] = "no"
    pidfile: TextAtStart = ""
    dir: Annotated[str, Text(protected=True)] = "."
    loglevel: Annotated[str, Choice("debug", "verbose", "notice", "warning", newer=("nothing",))] = "notice"
    logfile: TextAtStart = ""
    syslog_enabled: YesNoAtStart = False
    syslog_ident: TextAtStart = "redis"
    syslog_facility: Annotated[
        str,
        Choice("user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7", fixed=True),
    ] = "local0"
    databases: Annotated[int, Integer(1, fixed=True)] = 16
    hz: Annotated[int, Hint(0, INT_MAX, (1, 500))] = 10
    dynamic_hz: YesNo = True
    always_show_logo: YesNoAtStart = False
    set_proc_title: YesNoAtStart = True
    proc_title_template: Annotated[str, Text(why_invalid)] = "{title} {listen-addr} {server-mode}"
    crash_log_enabled: YesNo = True
    crash_memcheck_enabled: YesNo = True
    use_exit_on_panic: Annotated[bool, Flag(hidden=True)] = False
    watchdog_period: Annotated[int, Integer(0, hidden=True)] = 0
    ignore_warnings: Any_ = ""
    disable_thp: YesNoAtStart = True
    oom_score_adj: Annotated[str, Choice("no", "yes", "relative", "absolute")] = "no"
    oom_score_adj_values: Annotated[list[str], OomScores()] = ["0", "200", "800"]
    server_cpulist: TextAtStart = ""
    bio_cpulist: TextAtStart = ""
    aof_rewrite_cpulist: TextAtStart = ""
    bgsave_cpulist: TextAtStart = ""
    shutdown_timeout: Natural = 10
    shutdown_on_sigint: Shutdown = ("default",)
    shutdown_on_sigterm: Shutdown = ("default",)
    enable_protected_configs: Protection = "no"
    enable_debug_command: Protection = "no"
    enable_module_command: Protection = "no"
    propagation_error_behavior: Annotated[str, Choice("ignore", "panic", "panic-on-replicas")] = "ignore"

    # Access
    requirepass: Annotated[str, Text(secret=True)] = ""
    aclfile: TextAtStart = ""
    acllog_max_len: Long = 128
    acl_pubsub_default: Annotated[str, Choice("allchannels", "resetchannels")] = "resetchannels"
    user: Annotated[list[tuple[str, ...]], Entries(1)] = []
    rename_command: Annotated[list[tuple[str, ...]], Entries(2, 2)] = []
    loadmodule: Annotated[list[tuple[str, ...]], Entries(1)] = []

    # Snapshots
    save: Annotated[list[tuple[int, int]], SavePoints()] = [(3600, 1), (300, 100), (60, 10000)]
    dbfilename: Annotated[str, file_name("dbfilename", "filename", may_be_empty=True)] = "dump.rdb"
    rdbcompression: YesNo = True
    rdbchecksum: YesNoAtStart = True
    rdb_del_sync_files: YesNo = False
    rdb_save_incremental_fsync: YesNo = True
    rdb_key_save_delay: Annotated[int, Integer(-INT_MAX - 1, hidden=True)] = 0
    key_load_delay: Annotated[int, Integer(-INT_MAX - 1, hidden=True)] = 0
    loading_process_events_interval_bytes: Annotated[int, Integer(1024, hidden=True)] = 2 * _MB
    stop_writes_on_bgsave_error: YesNo = True
    sanitize_dump_payload: Annotated[str, Choice("no", "yes", "clients")] = "no"

    # Append-only file
    appendonly: YesNo = False
    appendfilename: Annotated[str, file_name("appendfilename", "filename")] = "appendonly.aof"
    appenddirname: Annotated[str, file_name("appenddirname", "dirname")] = "appendonlydir"
    appendfsync: Annotated[str, Choice("everysec", "always", "no")] = "everysec"
    no_appendfsync_on_rewrite: YesNo = False
    auto_aof_rewrite_percentage: Natural = 100
    auto_aof_rewrite_min_size: Bytes = 64 * _MB
    aof_load_truncated: YesNo = True
    aof_use_rdb_preamble: YesNo = True
    aof_timestamp_enabled: YesNo = False
    aof_rewrite_incremental_fsync: YesNo = True
    aof_disable_auto_gc: YesNo = False

    # Replication
    replicaof: Annotated[tuple[str, int] | None, MasterAddress(fixed=True)] = None
    masteruser: Annotated[str, Text(secret=True)] = ""
    masterauth: Annotated[str, Text(secret=True)] = ""
    replica_serve_stale_data: YesNo = True
    replica_read_only: YesNo = True
    replica_priority: Natural = 100
    replica_announced: YesNo = True
    replica_announce_ip: Any_ = ""
    replica_announce_port: Port = 0
    replica_ignore_maxmemory: YesNo = True
    replica_ignore_disk_write_errors: YesNo = False
    replica_lazy_flush: YesNo = False
    repl_diskless_sync: YesNo = True
    repl_diskless_sync_delay: Natural = 5
    repl_diskless_sync_max_replicas: Natural = 0
    repl_diskless_load: Annotated[str, Choice("disabled", "on-empty-db", "swapdb")] = "disabled"
    repl_ping_replica_period: Positive = 10
    repl_timeout: Positive = 60
    repl_disable_tcp_nodelay: YesNo = False
    repl_backlog_size: Annotated[int, Size(1)] = _MB
    repl_backlog_ttl: Long = 3600
    min_replicas_to_write: Natural = 0
    min_replicas_max_lag: Natural = 10

    # Cluster
    cluster_enabled: YesNoAtStart = False
    cluster_config_file: TextAtStart = "nodes.conf"
    cluster_port: Annotated[int, Integer(0, 65535, fixed=True)] = 0
    cluster_node_timeout: Long = 15000
    # 7.2, and of use to tests only: the cluster's news spread sooner.
    cluster_ping_interval: Annotated[int, Integer(0, LONG_MAX, hidden=True)] = 0
    cluster_replica_validity_factor: Natural = 10
    cluster_migration_barrier: Natural = 1
    cluster_allow_replica_migration: YesNo = True
    cluster_require_full_coverage: YesNo = True
    cluster_replica_no_failover: YesNo = False
    cluster_allow_reads_when_down: YesNo = False
    cluster_allow_pubsubshard_when_down: YesNo = True
    cluster_link_sendbuf_limit: Annotated[int, Size(0, _ULONG_MAX)] = 0
    cluster_announce_ip: Any_ = ""
    cluster_announce_port: Port = 0
    cluster_announce_tls_port: Port = 0
    cluster_announce_bus_port: Port = 0
    cluster_announce_hostname: Annotated[str, Text(host_name)] = ""
    # 7.2: how this node is called in the logs of others.
    cluster_announce_human_nodename: Annotated[str, Text(node_name)] = ""
    cluster_preferred_endpoint_type: Annotated[str, Choice("ip", "hostname", "unknown-endpoint")] = "ip"
    # Ours: what clients of certain networks are told to reach this node by (`cluster.endpoints`).
    cluster_announce_client_network: Annotated[tuple[ClientNetwork, ...], ClientNetworks()] = ()

    # Memory, expiry and eviction
    maxmemory: Annotated[int, Size(0, _ULONG_MAX)] = 0
    maxmemory_policy: Annotated[
        str,
        Choice(
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "noeviction",
        ),
    ] = "noeviction"
    maxmemory_samples: Positive = 5
    maxmemory_eviction_tenacity: Annotated[int, Integer(0, 100)] = 10
    lfu_log_factor: Natural = 10
    lfu_decay_time: Natural = 1
    active_expire_effort: Annotated[int, Integer(1, 10)] = 1
    lazyfree_lazy_eviction: YesNo = False
    lazyfree_lazy_expire: YesNo = False
    lazyfree_lazy_server_del: YesNo = False
    lazyfree_lazy_user_del: YesNo = False
    lazyfree_lazy_user_flush: YesNo = False
    activerehashing: YesNo = True
    activedefrag: YesNo = False
    active_defrag_ignore_bytes: Annotated[int, Size(1)] = 100 * _MB
    active_defrag_threshold_lower: Annotated[int, Integer(0, 1000)] = 10
    active_defrag_threshold_upper: Annotated[int, Integer(0, 1000)] = 100
    active_defrag_cycle_min: Annotated[int, Integer(1, 99)] = 1
    active_defrag_cycle_max: Annotated[int, Integer(1, 99)] = 25
    active_defrag_max_scan_fields: Annotated[int, Integer(1, LONG_MAX)] = 1000
    jemalloc_bg_thread: YesNo = True

    # Data types
    hash_max_listpack_entries: Long = 512
    hash_max_listpack_value: Bytes = 64
    list_max_listpack_size: Annotated[int, Integer(-INT_MAX - 1)] = -2
    list_compress_depth: Natural = 0
    set_max_intset_entries: Long = 512
    # 7.2: small sets of words that are compact. Here they are not, as in 7.0.
    set_max_listpack_entries: Long = 128
    set_max_listpack_value: Bytes = 64
    zset_max_listpack_entries: Long = 128
    zset_max_listpack_value: Bytes = 64
    hll_sparse_max_bytes: Bytes = 3000
    stream_node_max_bytes: Bytes = 4096
    stream_node_max_entries: Long = 100

    # Scripts, events, observation
    busy_reply_threshold: Long = 5000
    notify_keyspace_events: Annotated[int, EventClasses()] = 0
    slowlog_log_slower_than: Annotated[int, Integer(-1, LONG_MAX)] = 10000
    slowlog_max_len: Long = 128
    latency_monitor_threshold: Long = 0
    # 7.2: scripts compare strings by their bytes here.
    locale_collate: Any_ = ""
    latency_tracking: YesNo = True
    latency_tracking_info_percentiles: Annotated[list[float], Percentiles()] = [50.0, 99.0, 99.9]

    # TLS
    tls_port: Port = 0
    tls_cluster: YesNo = False
    tls_replication: YesNo = False
    tls_auth_clients: Annotated[str, Choice("no", "yes", "optional")] = "yes"
    tls_prefer_server_ciphers: YesNo = False
    tls_session_caching: YesNo = True
    tls_session_cache_size: Natural = 20480
    tls_session_cache_timeout: Natural = 300
    tls_cert_file: Any_ = ""
    tls_key_file: Any_ = ""
    tls_key_file_pass: Annotated[str, Text(secret=True)] = ""
    tls_client_cert_file: Any_ = ""
    tls_client_key_file: Any_ = ""
    tls_client_key_file_pass: Annotated[str, Text(secret=True)] = ""
    tls_dh_params_file: Any_ = ""
    tls_ca_cert_file: Any_ = ""
    tls_ca_cert_dir: Any_ = ""
    tls_protocols: Any_ = ""
    tls_ciphers: Any_ = ""
    tls_ciphersuites: Any_ = ""

    aliases: ClassVar[dict[str, str]] = {
        "slaveof": "replicaof",
        "slave-serve-stale-data": "replica-serve-stale-data",
        "slave-read-only": "replica-read-only",
        "slave-priority": "replica-priority",
        "slave-announce-ip": "replica-announce-ip",
        "slave-announce-port": "replica-announce-port",
        "slave-ignore-maxmemory": "replica-ignore-maxmemory",
        "slave-lazy-flush": "replica-lazy-flush",
        "repl-ping-slave-period": "repl-ping-replica-period",
        "min-slaves-to-write": "min-replicas-to-write",
        "min-slaves-max-lag": "min-replicas-max-lag",
        "cluster-slave-no-failover": "cluster-replica-no-failover",
        "cluster-slave-validity-factor": "cluster-replica-validity-factor",
        "hash-max-ziplist-entries": "hash-max-listpack-entries",
        "hash-max-ziplist-value": "hash-max-listpack-value",
        "list-max-ziplist-size": "list-max-listpack-size",
        "zset-max-ziplist-entries": "zset-max-listpack-entries",
        "zset-max-ziplist-value": "zset-max-listpack-value",
        "lua-time-limit": "busy-reply-threshold",
    }
    retired: ClassVar[tuple[str, ...]] = (
        "list-max-ziplist-entries",
        "list-max-ziplist-value",
        "lua-replicate-commands",
    )


# Directives whose feature is not here: given another value than the default, they change nothing.
INERT = (
    "supervised",
    "syslog-enabled",
    "io-threads",
    "activedefrag",
    "set-max-listpack-entries",
    "set-max-listpack-value",
    "locale-collate",
    # Python's `ssl` has no cache of sessions for servers.
    "tls-session-cache-size",
    "tls-session-cache-timeout",
)
