"""WAIT and WAITAOF: a client asks who has what it wrote, and waits until enough have."""

from __future__ import annotations

from node.call import Call
from wire.arguments import INT64_MAX, parse_integer
from wire.command import NOSCRIPT, command
from wire.errors import Error
from wire.reply import Reply

_NO_WAIT = (
    b"ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured "
    b"to be writable (which is not the default) writes to replicas are just local and are not propagated."
)
_NO_WAITAOF = (
    b"ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and "
    b"are not propagated."
)
_NO_LOG = b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


@command(
    "WAIT",
    arity=3,
    flags=NOSCRIPT,
    group="generic",
    since="3.0.0",
    complexity="O(1)",
    summary="Wait for the synchronous replication of all the write commands sent in the context of the current "
    "connection",
    syntax="numreplicas timeout",
    categories=("connection",),
    tips=("request_policy:all_shards", "response_policy:agg_min"),
)
def wait(call: Call) -> Reply:
    if call.node.replication.is_replica:
        raise Error(_NO_WAIT)
    count = parse_integer(call.argv[1])
    timeout_ms = _timeout(call.argv[2])
    offset = call.session.write_offset
    replicas = call.node.replication.replicas

    def reached() -> bool:
        return replicas.acknowledged(offset) >= count

    if reached() or not call.may_block:
        return replicas.acknowledged(offset)
    replicas.waits.add(call.session, reached, lambda: replicas.acknowledged(offset), timeout_ms)
    replicas.ask_for_acknowledgements()
    return call.park()


@command(
    "WAITAOF",
    arity=4,
    flags=NOSCRIPT,
    group="generic",
    since="7.2.0",
    complexity="O(1)",
    summary="Blocks until all of the preceding write commands sent by the connection are written to the append-only "
    "file of the master and/or replicas.",
    syntax="numlocal numreplicas timeout",
    categories=("connection",),
    tips=("request_policy:all_shards", "response_policy:agg_min"),
)
def waitaof(call: Call) -> Reply:
    local = _in_range(call.argv[1], 1, b"ERR value is out of range, value must between 0 and 1")
    count = _in_range(call.argv[2], INT64_MAX, b"ERR value is out of range, must be positive")
    timeout_ms = _timeout(call.argv[3])
    settings, append_only = call.node.settings, call.node.append_only
    if call.node.replication.is_replica:
        raise Error(_NO_WAITAOF)
    if local and not settings.appendonly:
        raise Error(_NO_LOG)
    offset, position = call.session.write_offset, append_only.log.fed
    replicas = call.node.replication.replicas

    def reached() -> bool:
        if local and not settings.appendonly:
            return True  # it was switched off meanwhile: the client is told so
        return append_only.has_synced(position) >= local and replicas.synced(offset) >= count

    def report() -> Reply:
        if local and not settings.appendonly:
            return Error(_NO_LOG)
        return [int(append_only.has_synced(position)), replicas.synced(offset)]

    if reached() or not call.may_block:
        return report()
    replicas.waits.add(call.session, reached, report, timeout_ms)
    if count:
        replicas.ask_for_acknowledgements()
    return call.park()


def _in_range(text: bytes, most: int, refusal: bytes) -> int:
    number = parse_integer(text)
    if not 0 <= number <= most:
        raise Error(refusal)
    return number


def _timeout(text: bytes) -> int:
    """Milliseconds; 0 is for ever."""
    timeout_ms = parse_integer(text, b"ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise Error(b"ERR timeout is negative")
    return timeout_ms
