"""Groups of consumers of a stream: making, moving and removing them and their consumers, and acknowledging.

Redis tells replicas of the effects on a group in commands of its own choice (`propagate_claim`, `propagate_position`),
whatever the client's command was; the other commands for groups use them, too.
"""

from __future__ import annotations

from node.call import Call
from node.commands.stream_arguments import parse_id
from node.notifications import STREAM
from node.structures.consumer_groups import UNKNOWN, Consumer, Delivery, Group
from node.structures.stream_ids import format_id
from node.structures.streams import Stream
from wire.arguments import parse_integer
from wire.command import DENYOOM, FAST, LOADING, STALE, WRITE, command, container, key
from wire.commands.help import help_lines
from wire.errors import Error, until_nul, wrong_subcommand
from wire.reply import OK, Reply

_NO_STREAM = (
    b"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM "
    b"option to create an empty stream automatically."
)
# Words behind the id; options are not to be repeated.
_CREATE_OPTIONS_MAX = 3
_SETID_OPTIONS_MAX = 2

xgroup = container(
    "XGROUP",
    group="stream",
    since="5.0.0",
    summary="A container for consumer groups commands",
    help=(
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
    ),
)


def group_of(stream: Stream | None, name: bytes, group_name: bytes) -> Group:
    """A group that must exist; raises Error."""
    group = None if stream is None else stream.groups.get(group_name)
    if group is None:
        raise Error(b"NOGROUP No such key '%b' or consumer group '%b'" % (until_nul(name), until_nul(group_name)))
    return group


def no_such_group(name: bytes, group_name: bytes) -> Error:
    return Error(b"NOGROUP No such consumer group '%b' for key name '%b'" % (until_nul(group_name), until_nul(name)))


def consumer_of(call: Call, name: bytes, group: Group, consumer_name: bytes) -> Consumer:
    """The consumer of this name, made if need be, which is seen by asking."""
    consumer = group.consumers.get(consumer_name)
    if consumer is None:
        consumer = group.consumers[consumer_name] = Consumer(consumer_name, call.keyspace.now_ms)
        call.notify(STREAM, b"xgroup-createconsumer", name)
        call.keyspace.dirty += 1
    consumer.seen_ms = call.keyspace.now_ms
    return consumer


def propagate_claim(call: Call, name: bytes, group_name: bytes, group: Group, entry_id: int, made: Delivery) -> None:
    """Replicas: this entry is with this consumer now, and the group has come so far."""
    times = (b"TIME", b"%d" % made.time_ms, b"RETRYCOUNT", b"%d" % made.count)
    ends = (b"FORCE", b"JUSTID", b"LASTID", format_id(group.last_id))
    call.propagate(b"XCLAIM", name, group_name, made.consumer.name, b"0", format_id(entry_id), *times, *ends)


def propagate_position(call: Call, name: bytes, group_name: bytes, group: Group) -> None:
    """Replicas: the group has come so far."""
    read = b"%d" % group.entries_read
    call.propagate(b"XGROUP", b"SETID", name, group_name, format_id(group.last_id), b"ENTRIESREAD", read)


@command(
    "XGROUP|CREATE",
    arity=-5,
    flags=WRITE | DENYOOM,
    keys=key(2, "RW", "insert"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="Create a consumer group.",
    syntax="key groupname <id | $> [MKSTREAM] [ENTRIESREAD entries_read:integer]",
    history=(("7.0.0", "Added the `entries_read` named argument."),),
)
def xgroup_create(call: Call) -> Reply:
    _, _, name, group_name, text, *options = call.argv
    make_stream, entries_read = _parse_options(call, options, creating=True)
    stream = call.db.get_as(name, Stream)
    if stream is None and not make_stream:
        raise Error(_NO_STREAM)
    if len(options) > _CREATE_OPTIONS_MAX:
        raise wrong_subcommand(call.argv)
    last_id = _parse_position(stream, text, strict=True)
    if stream is None:
        stream = Stream()
        call.db.put(name, stream)
        call.keyspace.dirty -= 1
    if group_name in stream.groups:
        raise Error(b"BUSYGROUP Consumer Group name already exists")
    stream.groups[group_name] = Group(last_id, entries_read)
    call.db.changed(name)
    call.notify(STREAM, b"xgroup-create", name)
    return OK


@command(
    "XGROUP|SETID",
    arity=-5,
    flags=WRITE,
    keys=key(2, "RW", "update"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="Set a consumer group to an arbitrary last delivered ID value.",
    syntax="key groupname <id | $> [ENTRIESREAD entries_read:integer]",
    history=(("7.0.0", "Added the optional `entries_read` argument."),),
)
def xgroup_setid(call: Call) -> Reply:
    _, _, name, _, text, *options = call.argv
    _, entries_read = _parse_options(call, options, creating=False)
    stream, group = _existing(call)
    if len(options) > _SETID_OPTIONS_MAX:
        raise wrong_subcommand(call.argv)
    group.last_id = _parse_position(stream, text, strict=False)
    group.entries_read = entries_read
    call.keyspace.dirty += 1
    call.notify(STREAM, b"xgroup-setid", name)
    return OK


def _parse_options(call: Call, options: list[bytes], *, creating: bool) -> tuple[bool, int]:
    """Whether MKSTREAM is there, and ENTRIESREAD; raises Error."""
    make_stream, entries_read = False, UNKNOWN
    rest = iter(options)
    for option in rest:
        word = option.upper()
        if word == b"MKSTREAM" and creating:
            make_stream = True
            continue
        number = next(rest, None) if word == b"ENTRIESREAD" else None
        if number is None:
            raise wrong_subcommand(call.argv)
        entries_read = parse_integer(number)
        if entries_read < UNKNOWN:
            raise Error(b"ERR value for ENTRIESREAD must be positive or -1")
    return make_stream, entries_read


def _parse_position(stream: Stream | None, text: bytes, *, strict: bool) -> int:
    """Where a group begins to read: an id, or "$" for the end of the stream as it is."""
    if text == b"$":
        return 0 if stream is None else stream.last_id
    return parse_id(text, strict=strict)


def _existing(call: Call) -> tuple[Stream, Group]:
    """The stream and the group that a subcommand is about; raises Error."""
    _, _, name, group_name, *_ = call.argv
    stream = call.db.get_as(name, Stream)
    if stream is None:
        raise Error(_NO_STREAM)
    group = stream.groups.get(group_name)
    if group is None:
        raise no_such_group(name, group_name)
    return stream, group


@command(
    "XGROUP|DESTROY",
    arity=4,
    flags=WRITE,
    keys=key(2, "RW", "delete"),
    group="stream",
    since="5.0.0",
    complexity="O(N) where N is the number of entries in the group's pending entries list (PEL).",
    summary="Destroy a consumer group.",
    syntax="key groupname",
)
def xgroup_destroy(call: Call) -> Reply:
    _, _, name, group_name = call.argv
    stream = call.db.get_as(name, Stream)
    if stream is None:
        raise Error(_NO_STREAM)
    if stream.groups.pop(group_name, None) is None:
        return 0
    # Whoever waits for something of the group is told that it is gone.
    call.db.changed(name)
    call.notify(STREAM, b"xgroup-destroy", name)
    return 1


@command(
    "XGROUP|CREATECONSUMER",
    arity=5,
    flags=WRITE | DENYOOM,
    keys=key(2, "RW", "insert"),
    group="stream",
    since="6.2.0",
    complexity="O(1)",
    summary="Create a consumer in a consumer group.",
    syntax="key groupname consumername",
)
def xgroup_createconsumer(call: Call) -> Reply:
    _, group = _existing(call)
    if call.argv[4] in group.consumers:
        return 0
    consumer_of(call, call.argv[2], group, call.argv[4])
    return 1


@command(
    "XGROUP|DELCONSUMER",
    arity=5,
    flags=WRITE,
    keys=key(2, "RW", "delete"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="Delete a consumer from a consumer group.",
    syntax="key groupname consumername",
)
def xgroup_delconsumer(call: Call) -> Reply:
    _, group = _existing(call)
    consumer = group.consumers.get(call.argv[4])
    if consumer is None:
        return 0
    pending = len(consumer.pending)
    group.remove_consumer(consumer)
    call.db.changed(call.argv[2])
    call.notify(STREAM, b"xgroup-delconsumer", call.argv[2])
    return pending


@command(
    "XGROUP|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="Show helpful text about the different subcommands",
)
def xgroup_help(_: Call) -> Reply:
    return help_lines(xgroup)


@command(
    "XACK",
    arity=-4,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="stream",
    since="5.0.0",
    complexity="O(1) for each message ID processed.",
    summary="Marks a pending message as correctly processed, effectively removing it from the pending entries list of "
    "the consumer group. Return value of the command is the number of messages successfully acknowledged, that is, the "
    "IDs we were actually able to resolve in the PEL.",
    syntax="key group id [id ...]",
)
def xack(call: Call) -> Reply:
    _, name, group_name, *texts = call.argv
    stream = call.db.read_as(name, Stream)
    group = None if stream is None else stream.groups.get(group_name)
    if group is None:
        return 0
    acknowledged = 0
    for entry_id in [parse_id(text, strict=True) for text in texts]:
        acknowledged += group.acknowledge(entry_id)
    call.keyspace.dirty += acknowledged
    return acknowledged
