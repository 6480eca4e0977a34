"""XINFO: what is known of a stream, its groups and their consumers."""

from __future__ import annotations

from itertools import islice

from node.call import Call
from node.commands.stream_groups import no_such_group
from node.structures.consumer_groups import UNKNOWN, Consumer, Group, OrderedIds
from node.structures.radix import radix_tree_nodes
from node.structures.stream_ids import ID_MAX, format_id
from node.structures.streams import Stream
from wire.arguments import parse_integer
from wire.command import LOADING, READONLY, STALE, command, container, key
from wire.commands.help import help_lines
from wire.errors import NO_SUCH_KEY, Error, wrong_subcommand
from wire.reply import Encoded, Reply

# How much FULL shows of each list, unless COUNT says otherwise.
_DEFAULT_COUNT = 10

xinfo = container(
    "XINFO",
    group="stream",
    since="5.0.0",
    summary="A container for stream introspection commands",
    help=(
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
    ),
)


def _stream_of(call: Call) -> Stream:
    """The stream that a subcommand is about; raises Error."""
    stream = call.db.read_as(call.argv[2], Stream)
    if stream is None:
        raise Error(NO_SUCH_KEY)
    return stream


@command(
    "XINFO|STREAM",
    arity=-3,
    flags=READONLY,
    keys=key(2, "RO", "access"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="Get information about a stream",
    syntax="key [FULL [COUNT count]]",
    history=(
        ("6.0.0", "Added the `FULL` modifier."),
        (
            "7.0.0",
            "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag` "
            "fields",
        ),
    ),
)
def xinfo_stream(call: Call) -> Reply:
    stream = _stream_of(call)
    options = call.argv[3:]
    told: dict[bytes, Reply] = {
        b"length": stream.length,
        b"radix-tree-keys": len(stream.nodes()),
        b"radix-tree-nodes": radix_tree_nodes(stream.bases()),
        b"last-generated-id": format_id(stream.last_id),
        b"max-deleted-entry-id": format_id(stream.max_deleted_id),
        b"entries-added": stream.added,
        b"recorded-first-entry-id": format_id(stream.first_id),
    }
    if options:
        count = _parse_full(call, options)
        found, entries = stream.range(0, ID_MAX, count or -1)
        told[b"entries"] = Encoded(b"*%d\r\n%b" % (found, entries))
        told[b"groups"] = [_group_in_full(stream, name, group, count) for name, group in stream.groups_by_name()]
        return told
    _, first = stream.range(0, ID_MAX, 1)
    _, last = stream.range_back(0, ID_MAX, 1)
    told[b"groups"] = len(stream.groups)
    told[b"first-entry"] = Encoded(first) if first else None
    told[b"last-entry"] = Encoded(last) if last else None
    return told


def _parse_full(call: Call, options: list[bytes]) -> int:
    """How much FULL is to show; 0: everything. Raises Error."""
    if options[0].upper() != b"FULL" or len(options) not in (1, 3) or (options[1:2] and options[1].upper() != b"COUNT"):
        raise wrong_subcommand(call.argv)
    count = parse_integer(options[2]) if len(options) == 3 else _DEFAULT_COUNT
    return _DEFAULT_COUNT if count < 0 else count


def _group_in_full(stream: Stream, name: bytes, group: Group, count: int) -> Reply:
    def shown(pending: OrderedIds) -> list[int]:
        return list(islice(pending.since(0), count or None))

    pending = []
    for entry_id in shown(group.pending):
        delivery = group.deliveries[entry_id]
        pending.append([format_id(entry_id), delivery.consumer.name, delivery.time_ms, delivery.count])

    def consumer_in_full(consumer: Consumer) -> Reply:
        own = [
            [format_id(entry_id), group.deliveries[entry_id].time_ms, group.deliveries[entry_id].count]
            for entry_id in shown(consumer.pending)
        ]
        return {
            b"name": consumer.name,
            b"seen-time": consumer.seen_ms,
            b"pel-count": len(consumer.pending),
            b"pending": own,
        }

    return {
        b"name": name,
        b"last-delivered-id": format_id(group.last_id),
        b"entries-read": None if group.entries_read == UNKNOWN else group.entries_read,
        b"lag": _lag(stream, group),
        b"pel-count": len(group.pending),
        b"pending": pending,
        b"consumers": [consumer_in_full(consumer) for consumer in group.consumers_by_name()],
    }


def _lag(stream: Stream, group: Group) -> int | None:
    """How many entries the group has not read yet; None when the ids do not tell."""
    if not stream.added:
        return 0
    read = group.entries_read
    if read == UNKNOWN or stream.has_gaps_since(group.last_id):
        read = stream.position_of(group.last_id)
    return None if read == UNKNOWN else stream.added - read


@command(
    "XINFO|GROUPS",
    arity=3,
    flags=READONLY,
    keys=key(2, "RO", "access"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="List the consumer groups of a stream",
    syntax="key",
    history=(("7.0.0", "Added the `entries-read` and `lag` fields"),),
)
def xinfo_groups(call: Call) -> Reply:
    stream = _stream_of(call)
    return [
        {
            b"name": name,
            b"consumers": len(group.consumers),
            b"pending": len(group.pending),
            b"last-delivered-id": format_id(group.last_id),
            b"entries-read": None if group.entries_read == UNKNOWN else group.entries_read,
            b"lag": _lag(stream, group),
        }
        for name, group in stream.groups_by_name()
    ]


@command(
    "XINFO|CONSUMERS",
    arity=4,
    flags=READONLY,
    keys=key(2, "RO", "access"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="List the consumers in a consumer group",
    syntax="key groupname",
    tips=("nondeterministic_output",),
)
def xinfo_consumers(call: Call) -> Reply:
    stream = _stream_of(call)
    _, _, name, group_name = call.argv
    group = stream.groups.get(group_name)
    if group is None:
        raise no_such_group(name, group_name)
    now_ms = call.keyspace.now_ms
    return [
        {b"name": one.name, b"pending": len(one.pending), b"idle": max(now_ms - one.seen_ms, 0)}
        for one in group.consumers_by_name()
    ]


@command(
    "XINFO|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="Show helpful text about the different subcommands",
)
def xinfo_help(_: Call) -> Reply:
    return help_lines(xinfo)
