"""CONFIG GET and SET, compared with the real server's answers."""

from __future__ import annotations

import pytest

from node.settings import NodeSettings
from runtime.quoting import split_quoted
from tests.node.conftest import Pair
from tests.node.raw_client import bulk_strings

CONVERSATIONS = {
    "what cannot be set": """
        config set foo bar
        config set maxmemory
        config set maxmemory 1 maxmemory 2
        config set MAXMEMORY 1 maxmemory 2
        config set daemonize yes
        config set dir /tmp
        config set timeout 1 foo 2
        config set port abc
        config set user default
        config set list-max-ziplist-entries 1
        config foo
        config
        config get
        config rewrite
        config resetstat x
    """,
    "all or nothing": """
        config set maxmemory 1 timeout x
        config get maxmemory
        config set timeout 5 maxmemory 1gb hz 20
        config get timeout
        config get maxmemory
        config get hz
    """,
    "aliases": """
        config set slave-priority 7
        config get slave-priority
        config get replica-priority
        config set slave-priority 1 replica-priority 2
        config get replica-priority
        config set min-slaves-to-write 1
        config get min-replicas-to-write
        config set lua-time-limit 100
        config get busy-reply-threshold
        config set hash-max-ziplist-entries 5
        config get hash-max-listpack-entries
    """,
    "patterns": """
        config get MAXMEMORY
        config get foo
        config get watchdog-period
        config get *watchdog*
        config get ""
        config get [a-b]ind-source-addr
        config get T?MEOUT
        config get timeout timeout TIME*T
        config get aof_rewrite_cpulist
        config get aof-rewrite-cpulist
        config get user
        config get rename-command
    """,
    "numbers": """
        config set tcp-keepalive 2147483648
        config set tcp-keepalive 1e3
        config set tcp-keepalive 007
        config set tcp-keepalive " 1"
        config set tcp-keepalive +1
        config set tcp-keepalive -1
        config set tcp-keepalive ""
        config set tcp-keepalive 5
        config get tcp-keepalive
        config set tcp-keepalive 65535
        config get tcp-keepalive
        config set repl-backlog-size 5
        config get repl-backlog-size
        config set repl-backlog-size 0
        config set hz 0
        config get hz
        config set hz 10000
        config get hz
        config set active-expire-effort 11
        config set slowlog-log-slower-than -2
        config set slowlog-log-slower-than -1
        config get slowlog-log-slower-than
        config set list-max-listpack-size -5
        config get list-max-listpack-size
    """,
    "sizes": """
        config set maxmemory ""
        config set maxmemory k
        config set maxmemory 1K
        config get maxmemory
        config set maxmemory 1Kb
        config get maxmemory
        config set maxmemory 1.5gb
        config set maxmemory 1tb
        config set maxmemory -1
        config set maxmemory 18446744073709551615
        config get maxmemory
        config set proto-max-bulk-len 1
        config set maxmemory 1 x
        config set maxmemory
        config set maxmemory-clients 5%
        config get maxmemory-clients
        config set maxmemory-clients 101%
        config set maxmemory-clients 1mb
        config get maxmemory-clients
    """,
    "words": """
        config set LOGLEVEL Verbose
        config get loglevel
        config set appendfsync loud
        config set appendfsync ALWAYS
        config get appendfsync
        config set stop-writes-on-bgsave-error maybe
        config set stop-writes-on-bgsave-error NO
        config get stop-writes-on-bgsave-error
        config set acl-pubsub-default nobody
        config set cluster-announce-hostname a_b
        config set cluster-announce-hostname a.b-c
        config get cluster-announce-hostname
    """,
    "save points": """
        config set save " 3600  1 "
        config set save "3600 1 60 2"
        config get save
        config set save "3600"
        config set save "0 1"
        config set save ""
        config get save
    """,
    "buffer limits": """
        config set client-output-buffer-limit "slave 1mb 2mb 3 pubsub 1 2 3"
        config get client-output-buffer-limit
        config set client-output-buffer-limit ""
        config set client-output-buffer-limit "replica 5 6 7"
        config get client-output-buffer-limit
        config set client-output-buffer-limit "slave 1mb 2mb -3"
        config set client-output-buffer-limit "other 1 2 3"
        config set client-output-buffer-limit "normal 1 2"
    """,
    "events": """
        config set notify-keyspace-events AKE
        config get notify-keyspace-events
        config set notify-keyspace-events Q
        config set notify-keyspace-events Elg
        config get notify-keyspace-events
        config set notify-keyspace-events KEg$lshzxetdnm
        config get notify-keyspace-events
        config set notify-keyspace-events ""
        config get notify-keyspace-events
    """,
    "lists": """
        config set latency-tracking-info-percentiles ""
        config get latency-tracking-info-percentiles
        config set latency-tracking-info-percentiles "50 99.5 100"
        config get latency-tracking-info-percentiles
        config set latency-tracking-info-percentiles "101"
        config set latency-tracking-info-percentiles "x"
        config set latency-tracking-info-percentiles "1 101 x"
        config set latency-tracking-info-percentiles "1 x 101"
        config set oom-score-adj-values "1 2"
        config set oom-score-adj-values "1 2 3"
        config get oom-score-adj-values
        config set shutdown-on-sigterm "now force"
        config get shutdown-on-sigterm
        config set shutdown-on-sigterm "save nosave"
        config set shutdown-on-sigterm ""
        config set shutdown-on-sigterm "default"
        config get shutdown-on-sigterm
    """,
    "many clients": """
        config set maxclients 2000000
        config get maxclients
        config set maxclients 0
        config set maxclients 500
        config get maxclients
    """,
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(name: str, pair: Pair) -> None:
    ours, theirs = pair.connect()
    before = [_all(client.ask("CONFIG", "GET", "*")) for client in (ours, theirs)]
    try:
        for line in CONVERSATIONS[name].strip().splitlines():
            words = split_quoted(line.strip().encode())
            assert words
            assert (words, ours.ask(*words)) == (words, theirs.ask(*words))
    finally:
        for client, values in zip((ours, theirs), before, strict=True):
            for directive, value in _all(client.ask("CONFIG", "GET", "*")).items():
                if value != values[directive]:
                    client.ask("CONFIG", "SET", directive, values[directive])


def test_every_directive_of_redis_is_there_with_its_default(pair: Pair) -> None:
    ours, theirs = (_all(client.ask("CONFIG", "GET", "*")) for client in pair.connect())
    own = {
        b"cluster-announce-client-network": b"",
        # Of 7.2.
        b"cluster-announce-human-nodename": b"",
        b"locale-collate": b"",
        b"set-max-listpack-entries": b"128",
        b"set-max-listpack-value": b"64",
    }
    started_with = (b"port", b"dir")
    assert {name: value for name, value in ours.items() if name not in started_with} == {
        **{name: value for name, value in theirs.items() if name not in started_with},
        **own,
    }


def test_the_same_directives_can_be_changed(pair: Pair) -> None:
    ours, theirs = pair.connect()
    # Listening elsewhere takes a restart here.
    exceptions = (b"port", b"bind", b"tls-port")
    for name, value in _all(theirs.ask("CONFIG", "GET", "*")).items():
        if name in exceptions:
            continue
        answers = [client.ask("CONFIG", "SET", name, value) for client in (ours, theirs)]
        assert answers[0] == answers[1], name


def test_every_kind_writes_what_it_can_read() -> None:
    settings = NodeSettings()
    for field in NodeSettings.model_fields:
        kind, value = settings.kind(field), getattr(settings, field)
        words = [split_quoted(line.encode()) for line in kind.rewrite(value)]
        for line in words:
            assert line is not None
            again = kind.merge(value, kind.parse([word.decode() for word in line]), first=True)
            assert kind.check(again) == again


def _all(reply: bytes) -> dict[bytes, bytes]:
    """CONFIG GET's answer under RESP2."""
    items = bulk_strings(reply)
    return dict(zip(items[::2], items[1::2], strict=True))
