"""SENTINEL's changing side: what is watched, forced failovers, failures to rehearse. `options` has SET and CONFIG."""

from __future__ import annotations

from sentinel.address import is_ip
from sentinel.call import Call, at_least
from sentinel.driver import look_up
from sentinel.events import Flush, ForceFailover, Monitor, Remove, Reset, SimulateFailure
from sentinel.periods import DEBUG_NAMES
from wire.arguments import parse_integer
from wire.command import ADMIN, command
from wire.errors import Error
from wire.glob import matches
from wire.reply import OK, Reply


@command(
    "SENTINEL|FAILOVER",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Force a failover",
    syntax="master-name",
)
def failover(call: Call) -> Reply:
    call.order(ForceFailover(call.master().name))
    return OK


@command(
    "SENTINEL|MONITOR",
    arity=6,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Start monitoring",
    syntax="name ip port quorum",
)
def monitor(call: Call) -> Reply:
    quorum = parse_integer(call.argv[5], b"ERR Invalid quorum")
    port = parse_integer(call.argv[4], b"ERR Invalid port")
    if quorum <= 0:
        raise Error(b"ERR Quorum must be 1 or greater.")
    name, host = call.text(2), call.text(3)
    if is_ip(host):
        return _monitor(call, name, host, host, port, quorum)
    if not call.knowledge.memory.resolve_hostnames:
        raise Error(b"ERR Invalid IP address or hostname specified")
    call.sentinel.tasks.start(f"monitor-{name}", _monitor_by_name(call, name, host, port, quorum))
    return call.park()


async def _monitor_by_name(call: Call, name: str, host: str, port: int, quorum: int) -> None:
    ip = await look_up(host)
    reply: Reply
    try:
        if ip is None:
            raise Error(b"ERR Invalid IP address or hostname specified")
        reply = _monitor(call, name, host, ip, port, quorum)
    except Error as error:
        reply = error.with_traceback(None)
    call.session.answer_later(reply)


def _monitor(call: Call, name: str, host: str, ip: str, port: int, quorum: int) -> Reply:
    if not 0 <= port <= 65535:
        raise Error(b"ERR Invalid port number.")
    if name in call.knowledge.masters:
        raise Error(b"ERR Duplicate master name.")
    call.order(Monitor(name, host, ip, port, quorum))
    return OK


@command(
    "SENTINEL|REMOVE",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Stop monitoring",
    syntax="master-name",
)
def remove(call: Call) -> Reply:
    call.order(Remove(call.master().name))
    return OK


@command(
    "SENTINEL|RESET",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(N) where N is the number of monitored masters",
    summary="Reset masters by name pattern",
    syntax="pattern",
)
def reset(call: Call) -> Reply:
    names = tuple(name for name in call.knowledge.masters if matches(call.argv[2], name.encode()))
    call.order(Reset(names))
    return len(names)


@command(
    "SENTINEL|FLUSHCONFIG",
    arity=2,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Rewrite configuration file",
)
def flushconfig(call: Call) -> Reply:
    call.order(Flush())
    return OK


@command(
    "SENTINEL|SIMULATE-FAILURE",
    arity=-3,
    flags=ADMIN,
    group="sentinel",
    since="3.2.0",
    complexity="O(1)",
    summary="Simulate failover scenarios",
    syntax="[CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
)
def simulate_failure(call: Call) -> Reply:
    wanted = [word.lower() for word in call.argv[2:]]
    if b"help" in wanted:
        return [b"crash-after-election", b"crash-after-promotion"]
    if not all(word in (b"crash-after-election", b"crash-after-promotion") for word in wanted):
        raise Error(b"ERR Unknown failure simulation specified")
    election, promotion = b"crash-after-election" in wanted, b"crash-after-promotion" in wanted
    if election:
        call.sentinel.log.warning(
            "Failure simulation: this Sentinel will crash after being successfully elected as failover leader"
        )
    if promotion:
        call.sentinel.log.warning(
            "Failure simulation: this Sentinel will crash after promoting the selected replica to master"
        )
    call.order(SimulateFailure(election, promotion))
    return OK


@command(
    "SENTINEL|DEBUG",
    arity=-2,
    flags=ADMIN,
    group="sentinel",
    since="7.0.0",
    complexity="O(N) where N is the number of configurable parameters",
    summary="List or update the current configurable parameters",
    syntax="[parameter value [parameter value ...]]",
)
def debug(call: Call) -> Reply:
    periods = call.sentinel.machine.periods
    if len(call.argv) == 2:
        return {name.encode(): b"%d" % getattr(periods, field) for name, field in DEBUG_NAMES.items()}
    for at in range(2, len(call.argv), 2):
        option = call.argv[at]
        field = DEBUG_NAMES.get(call.text(at).upper())
        if field is None or at + 1 == len(call.argv):
            raise Error(b"ERR Unknown option or number of arguments for SENTINEL DEBUG '%b'" % option)
        refusal = b"ERR Invalid argument '%b' for SENTINEL DEBUG '%b'" % (call.argv[at + 1], option)
        setattr(periods, field, at_least(call.argv[at + 1], 1, refusal))
    return OK
