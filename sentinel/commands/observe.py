"""SENTINEL's reading side: what is watched, who is master, could a failover be authorised."""

from __future__ import annotations

from runtime.settings import to_bytes
from sentinel.call import Call
from sentinel.commands.describe import master_fields, peer_fields, replica_fields
from sentinel.events import Asked
from sentinel.hello import current_address
from sentinel.knowledge import data_instances
from wire.arguments import parse_integer
from wire.command import ADMIN, command, container
from wire.commands.help import help_lines
from wire.errors import Error
from wire.reply import NIL_ARRAY, Reply, Simple

SENTINEL = container(
    "SENTINEL",
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    summary="A container for Sentinel commands",
    help=(
        "CKQUORUM <master-name>",
        "    Check if the current Sentinel configuration is able to reach the quorum",
        "    needed to failover a master and the majority needed to authorize the",
        "    failover.",
        "CONFIG SET <param> <value>",
        "    Set a global Sentinel configuration parameter.",
        "CONFIG GET <param>",
        "    Get global Sentinel configuration parameter.",
        "DEBUG [<param> <value> ...]",
        "    Show a list of configurable time parameters and their values (milliseconds).",
        "    Or update current configurable parameters values (one or more).",
        "GET-MASTER-ADDR-BY-NAME <master-name>",
        "    Return the ip and port number of the master with that name.",
        "FAILOVER <master-name>",
        "    Manually failover a master node without asking for agreement from other",
        "    Sentinels",
        "FLUSHCONFIG",
        "    Force Sentinel to rewrite its configuration on disk, including the current",
        "    Sentinel state.",
        "INFO-CACHE <master-name>",
        "    Return last cached INFO output from masters and all its replicas.",
        "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
        "    Check if the master specified by ip:port is down from current Sentinel's",
        "    point of view.",
        "MASTER <master-name>",
        "    Show the state and info of the specified master.",
        "MASTERS",
        "    Show a list of monitored masters and their state.",
        "MONITOR <name> <ip> <port> <quorum>",
        "    Start monitoring a new master with the specified name, ip, port and quorum.",
        "MYID",
        "    Return the ID of the Sentinel instance.",
        "PENDING-SCRIPTS",
        "    Get pending scripts information.",
        "REMOVE <master-name>",
        "    Remove master from Sentinel's monitor list.",
        "REPLICAS <master-name>",
        "    Show a list of replicas for this master and their state.",
        "RESET <pattern>",
        "    Reset masters for specific master name matching this pattern.",
        "SENTINELS <master-name>",
        "    Show a list of Sentinel instances for this master and their state.",
        "SET <master-name> <option> <value> [<option> <value> ...]",
        "    Set configuration parameters for certain masters.",
        "SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
        "    Simulate a Sentinel crash.",
    ),
)


@command(
    "SENTINEL|MASTERS",
    arity=2,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(N) where N is the number of masters",
    summary="List the monitored masters",
)
def masters(call: Call) -> Reply:
    knowledge, now = call.knowledge, call.sentinel.now_ms()
    return [master_fields(knowledge, master, now) for master in knowledge.masters.values()]


@command(
    "SENTINEL|MASTER",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Shows the state of a master",
    syntax="master-name",
)
def master(call: Call) -> Reply:
    return master_fields(call.knowledge, call.master(), call.sentinel.now_ms())


@command(
    "SENTINEL|REPLICAS",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="5.0.0",
    complexity="O(N) where N is the number of replicas",
    summary="List the monitored replicas",
    syntax="master-name",
)
def replicas(call: Call) -> Reply:
    return _replicas(call)


@command(
    "SENTINEL|SLAVES",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.0",
    complexity="O(N) where N is the number of slaves",
    summary="List the monitored slaves",
    syntax="master-name",
    deprecated=("5.0.0", "`SENTINEL REPLICAS`"),
)
def slaves(call: Call) -> Reply:
    return _replicas(call)


def _replicas(call: Call) -> Reply:
    """Replicas that do not want to be announced are left out."""
    owner, now = call.master(), call.sentinel.now_ms()
    return [replica_fields(call.knowledge, owner, each, now) for each in owner.replicas.values() if each.announced]


@command(
    "SENTINEL|SENTINELS",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(N) where N is the number of Sentinels",
    summary="List the Sentinel instances",
    syntax="master-name",
)
def sentinels(call: Call) -> Reply:
    owner, now = call.master(), call.sentinel.now_ms()
    return [peer_fields(call.knowledge, owner, peer, now) for peer in owner.peers.values()]


@command(
    "SENTINEL|GET-MASTER-ADDR-BY-NAME",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Get port and address of a master",
    syntax="master-name",
)
def get_master_addr_by_name(call: Call) -> Reply:
    found = call.knowledge.masters.get(call.text(2))
    if found is None:
        return NIL_ARRAY
    address = current_address(found)
    return [to_bytes(call.knowledge.shown(address)), b"%d" % address.port]


@command(
    "SENTINEL|MYID",
    arity=2,
    flags=ADMIN,
    group="sentinel",
    since="6.2.0",
    complexity="O(1)",
    summary="Get the Sentinel instance ID",
)
def myid(call: Call) -> Reply:
    return call.knowledge.my_id.encode()


@command(
    "SENTINEL|CKQUORUM",
    arity=3,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(N) where N is the number of Sentinels",
    summary="Check for a Sentinel quorum",
    syntax="master-name",
)
def ckquorum(call: Call) -> Reply:
    found = call.master()
    usable = 1 + sum(not peer.sdown for peer in found.peers.values())
    lacks = []
    if usable < found.options.quorum:
        lacks.append(b"Not enough available Sentinels to reach the specified quorum for this master")
    if usable < (len(found.peers) + 1) // 2 + 1:
        lacks.append(b"Not enough available Sentinels to reach the majority and authorize a failover")
    if lacks:
        raise Error(b"NOQUORUM %d usable Sentinels. %b" % (usable, b". ".join(lacks)))
    return Simple(b"OK %d usable Sentinels. Quorum and failover authorization can be reached" % usable)


@command(
    "SENTINEL|IS-MASTER-DOWN-BY-ADDR",
    arity=6,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Check if a master is down",
    syntax="ip port current-epoch runid",
)
def is_master_down_by_addr(call: Call) -> Reply:
    """The one question that sentinels ask each other; with an id in the last place it asks for a vote as well."""
    port, epoch = parse_integer(call.argv[3]), parse_integer(call.argv[4])
    answer = call.order(Asked(call.text(2), port, epoch, call.text(5)))
    assert answer.value is not None
    down, leader, leader_epoch = answer.value
    return [down, to_bytes(leader), leader_epoch]


@command(
    "SENTINEL|INFO-CACHE",
    arity=-3,
    flags=ADMIN,
    group="sentinel",
    since="3.2.0",
    complexity="O(N) where N is the number of instances",
    summary="Get cached INFO replies from the deployment's instances",
    syntax="nodename [nodename ...]",
)
def info_cache(call: Call) -> Reply:
    now = call.sentinel.now_ms()
    result: list[Reply] = []
    for name in dict.fromkeys(map(call.text, range(2, len(call.argv)))):
        found = call.knowledge.masters.get(name)
        if found is not None:
            entries = [
                [0 if each.info_at is None else now - each.info_at, each.info or None] for each in data_instances(found)
            ]
            result += [to_bytes(name), entries]
    return result


@command(
    "SENTINEL|PENDING-SCRIPTS",
    arity=2,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Get information about pending scripts",
)
def pending_scripts(call: Call) -> Reply:  # noqa: ARG001 - a handler's signature
    """None: scripts are kept in the configuration and shown, but not run."""
    return []


@command(
    "SENTINEL|HELP",
    arity=2,
    group="sentinel",
    since="6.2.0",
    complexity="O(1)",
    summary="Show helpful text about the different subcommands",
)
def help(call: Call) -> Reply:  # noqa: ARG001 - a handler's signature
    return help_lines(SENTINEL)
