"""Commands of replication: what operators say, and what replicas say to their master.

A replica's connection starts as any client's; PSYNC or SYNC makes it a replica for good. What these commands
do belongs to `node.replication`; here their words are read.
"""

from __future__ import annotations

from cluster.events import PromoteSelf
from node.call import Call
from node.replication.info import role as role_reply
from node.replication.peer import ReplicaPeer
from runtime.quoting import split_quoted
from wire.arguments import parse_integer
from wire.command import (
    ADMIN,
    ALLOW_BUSY,
    FAST,
    LOADING,
    NO_ASYNC_LOADING,
    NO_MULTI,
    NOSCRIPT,
    STALE,
    command,
)
from wire.errors import SYNTAX, Error
from wire.reply import NO_REPLY, OK, Reply, Simple

_INVALID_PORT = b"ERR Invalid master port"
_BAD_TIMEOUT = b"ERR FAILOVER timeout must be greater than 0"
_SUMMARY = "Make the server a replica of another instance, or promote it as master."


@command(
    "REPLICAOF",
    arity=3,
    flags=ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,
    group="server",
    since="5.0.0",
    complexity="O(1)",
    summary=_SUMMARY,
    syntax="host port | NO ONE",
)
def replicaof(call: Call) -> Reply:
    node = call.node
    if node.settings.cluster_enabled:
        raise Error(b"ERR REPLICAOF not allowed in cluster mode.")
    if node.replication.failover.under_way:
        raise Error(b"ERR REPLICAOF not allowed while failing over.")
    _, host, port = call.argv
    if host.lower() == b"no" and port.lower() == b"one":
        if node.replication.is_replica:
            node.log.notice(f"MASTER MODE enabled (user request from '{call.session.address}')")
            node.replication.promote()
        return OK
    number = parse_integer(port, _INVALID_PORT)
    if not 0 <= number <= 65535:
        raise Error(_INVALID_PORT)
    target = (host.decode("utf-8", "replace"), number)
    if node.replication.upstream.master == target:
        return Simple(b"OK Already connected to specified master")
    node.log.notice(f"REPLICAOF {target[0]}:{number} enabled (user request from '{call.session.address}')")
    node.replication.follow(*target)
    return OK


@command(
    "SLAVEOF",
    arity=3,
    flags=ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary=_SUMMARY,
    syntax="host port | NO ONE",
    deprecated=("5.0.0", "`REPLICAOF`"),
)
def slaveof(call: Call) -> Reply:
    assert replicaof.handler is not None
    return replicaof.handler(call)


@command(
    "FAILOVER",
    arity=-1,
    flags=ADMIN | NOSCRIPT | STALE,
    group="server",
    since="6.2.0",
    complexity="O(1)",
    summary="Start a coordinated failover between this server and one of its replicas.",
    syntax="[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
)
def failover(call: Call) -> Reply:
    node, argv = call.node, call.argv
    if node.settings.cluster_enabled:
        raise Error(b"ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.")
    under_way = node.replication.failover
    if len(argv) == 2 and argv[1].lower() == b"abort":
        if not under_way.under_way:
            raise Error(b"ERR No failover in progress.")
        under_way.abort("Failover manually aborted")
        return OK
    target: tuple[str, int] | None = None
    timeout_ms = 0
    force = False
    words = iter(argv[1:])
    for word in words:
        option = word.lower()
        if option == b"timeout" and not timeout_ms and (value := next(words, None)) is not None:
            timeout_ms = parse_integer(value)
            if timeout_ms < 1:
                raise Error(_BAD_TIMEOUT)
        elif option == b"to" and target is None:
            host, port = next(words, None), next(words, None)
            if host is None or port is None:
                raise Error(SYNTAX)
            target = (host.decode("utf-8", "replace"), parse_integer(port))
        elif option == b"force" and not force:
            force = True
        else:
            raise Error(SYNTAX)
    if under_way.under_way:
        raise Error(b"ERR FAILOVER already in progress.")
    if node.replication.is_replica:
        raise Error(b"ERR FAILOVER is not valid when server is a replica.")
    under_way.request(target, timeout_ms, force=force)
    return OK


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
    return role_reply(call.node.replication)


@command(
    "PSYNC",
    arity=-3,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,
    group="server",
    since="2.8.0",
    complexity="",
    summary="Internal command used for replication",
    syntax="replicationid offset",
)
def psync(call: Call) -> Reply:
    argv = call.argv
    if call.session.replica is not None:
        return NO_REPLY
    if len(argv) > 3 and argv[3].lower() == b"failover":
        _take_over(call, argv[1])
    _check_may_attach(call)
    offset = parse_integer(argv[2])
    # The replica asks for the byte behind what it has.
    if call.node.cluster is not None and not call.node.cluster.gives_copy(offset - 1):
        raise Error(b"NOMASTERLINK Can't SYNC while a replica has more data than its master")
    call.node.replication.replicas.psync(call.session, argv[1], offset)
    return NO_REPLY


def _take_over(call: Call, replid: bytes) -> None:
    """Our master asks us to be the master from here on (its operator ran FAILOVER)."""
    replication = call.node.replication
    if not replication.is_replica:
        raise Error(b"ERR PSYNC FAILOVER can't be sent to a master.")
    if replid.lower() != replication.history.replid:
        raise Error(b"ERR PSYNC FAILOVER replid must match my replid.")
    call.node.log.warning(f"Failover request received for replid {replid.decode('ascii', 'replace')}.")
    if call.node.cluster is not None:
        # The cluster decides who is a replica.
        call.node.cluster.bus.operate(PromoteSelf())
    else:
        replication.promote()
    call.node.log.notice(f"MASTER MODE enabled (failover request from '{call.session.address}')")


@command(
    "SYNC",
    arity=1,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,
    group="server",
    since="1.0.0",
    complexity="",
    summary="Internal command used for replication",
)
def sync(call: Call) -> Reply:
    if call.session.replica is None:
        _check_may_attach(call)
        call.node.replication.replicas.sync(call.session)
    return NO_REPLY


def _check_may_attach(call: Call) -> None:
    """Raises Error when the client cannot become a replica now."""
    replication = call.node.replication
    if replication.failover.under_way:
        raise Error(b"NOMASTERLINK Can't SYNC while failing over")
    if replication.is_replica and not replication.link_up:
        raise Error(b"NOMASTERLINK Can't SYNC while not connected with my master")
    if call.session.out:
        # The reply that waits would land in the middle of the stream.
        raise Error(b"ERR SYNC and PSYNC are invalid with pending output")
    peer = replication.replicas.introduced(call.session)
    if peer.without_data and not peer.eof:
        raise Error(b"ERR Filtered replica requires EOF capability")


@command(
    "REPLCONF",
    arity=-1,
    flags=ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY,
    group="server",
    since="3.0.0",
    complexity="O(1)",
    summary="An internal command for configuring the replication stream",
)
def replconf(call: Call) -> Reply:
    argv = call.argv
    if len(argv) % 2 == 0:
        raise Error(SYNTAX)
    replicas = call.node.replication.replicas
    session = call.session
    for index in range(1, len(argv), 2):
        option, value = argv[index].lower(), argv[index + 1]
        if option == b"ack":
            # A further pair belongs to it: FACK, of Redis 7.2. Never answered, not even by an error.
            if session.replica is not None and value.isdigit():
                replicas.acknowledge(session.replica, int(value), _synced_offset(argv[index + 2 :]))
            return NO_REPLY
        if option == b"getack":
            # For replicas, in the stream; the replica's side has seen to it.
            return NO_REPLY
        _describe(replicas.introduced(session), option, value, argv[index])
    return OK


def _synced_offset(pair: list[bytes]) -> int:
    return int(pair[1]) if len(pair) == 2 and pair[0].lower() == b"fack" and pair[1].isdigit() else 0


def _describe(peer: ReplicaPeer, option: bytes, value: bytes, shown: bytes) -> None:
    """One thing that a replica says about itself."""
    if option == b"listening-port":
        peer.port = parse_integer(value)
    elif option == b"ip-address":
        if len(value) > 255:
            raise Error(b"ERR REPLCONF ip-address provided by replica instance is too long: %d bytes" % len(value))
        peer.ip = value
    elif option == b"capa":
        # What we do not know of is a newer version's, and none of our business.
        if value.lower() == b"eof":
            peer.eof = True
        elif value.lower() == b"psync2":
            peer.psync2 = True
    elif option == b"rdb-only":
        chosen = parse_integer(value)
        if chosen not in (0, 1):
            raise Error(b"ERR value is out of range, value must between 0 and 1")
        peer.rdb_only = chosen == 1
    elif option == b"rdb-filter-only":
        words = split_quoted(value)
        if words is None:
            raise Error(b"ERR Missing rdb-filter-only values")
        for word in words:
            if word.lower() != b"functions":
                raise Error(b"ERR Unsupported rdb-filter-only option: %b" % word)
        peer.without_data = True
    else:
        raise Error(b"ERR Unrecognized REPLCONF option: %b" % shown)
