"""What a group's consumers have got and not acknowledged: looking at it, and giving it to others."""

from __future__ import annotations

from node.call import Call
from node.commands.stream_arguments import parse_end, parse_id, parse_start
from node.commands.stream_groups import consumer_of, group_of, propagate_claim, propagate_position
from node.structures.consumer_groups import Consumer, Group
from node.structures.stream_ids import format_id
from node.structures.streams import Stream
from wire.arguments import parse_integer
from wire.command import FAST, READONLY, WRITE, command, key
from wire.errors import SYNTAX, WRONGTYPE, Error, until_nul
from wire.reply import NIL_ARRAY, Encoded, Reply

# XAUTOCLAIM looks at so many times COUNT entries.
_ATTEMPTS = 10
_DEFAULT_COUNT = 100
# Redis makes room for that many ids.
_COUNT_MAX = ((1 << 63) - 1) // 16
_NOT_POSITIVE = b"ERR COUNT must be > 0"
_UNPREDICTABLE = ("nondeterministic_output",)


@command(
    "XPENDING",
    arity=-3,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="stream",
    since="5.0.0",
    complexity="O(N) with N being the number of elements returned, so asking for a small fixed number of entries per "
    "call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the "
    "command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an "
    "additional O(N) time for iterating every consumer.",
    summary="Return information and entries from a stream consumer group pending entries list, that are messages "
    "fetched but never acknowledged.",
    syntax="key group [[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
    history=(("6.2.0", "Added the `IDLE` option and exclusive range intervals."),),
    tips=_UNPREDICTABLE,
)
def xpending(call: Call) -> Reply:
    argv = call.argv
    _, name, group_name, *options = argv
    if not options:
        return _summary(group_of(call.db.read_as(name, Stream), name, group_name))
    if not 3 <= len(options) <= 6:
        raise Error(SYNTAX)
    idle_ms = 0
    if options[0].upper() == b"IDLE":
        idle_ms = parse_integer(options[1])
        if len(options) < 5:
            raise Error(SYNTAX)
        options = options[2:]
    count = max(parse_integer(options[2]), 0)
    start, end = parse_start(options[0]), parse_end(options[1])
    group = group_of(call.db.read_as(name, Stream), name, group_name)
    pending = group.pending
    if len(options) > 3:
        consumer = group.consumers.get(options[3])
        if consumer is None:
            return []
        pending = consumer.pending
    now_ms = call.keyspace.now_ms
    deliveries, latest_ms = group.deliveries, now_ms - idle_ms
    found: list[Reply] = []
    for entry_id in pending.since(start):
        if entry_id > end or len(found) >= count:
            break
        delivery = deliveries[entry_id]
        # There may be a million that have not waited for so long.
        if delivery.time_ms <= latest_ms or idle_ms <= 0:
            waited_ms = max(now_ms - delivery.time_ms, 0)
            found.append([format_id(entry_id), delivery.consumer.name, waited_ms, delivery.count])
    return found


def _summary(group: Group) -> Reply:
    pending = group.pending
    if not len(pending):
        return [0, None, None, NIL_ARRAY]
    each = [[one.name, b"%d" % len(one.pending)] for one in group.consumers_by_name() if len(one.pending)]
    return [len(pending), format_id(pending.first()), format_id(pending.last()), each]


class _Claim:
    """Options of XCLAIM; raises Error for what makes no sense."""

    __slots__ = ("count", "force", "just_id", "last_id", "time_ms")

    def __init__(self, call: Call, options: list[bytes]) -> None:
        self.force = self.just_id = False
        # RETRYCOUNT; -1 without.
        self.count = -1
        self.last_id = 0
        now_ms = call.keyspace.now_ms
        time_ms = -1
        rest = iter(options)
        left = len(options)
        for option in rest:
            word = option.upper()
            left -= 1
            if word == b"FORCE":
                self.force = True
            elif word == b"JUSTID":
                self.just_id = True
            elif word in (b"IDLE", b"TIME", b"RETRYCOUNT") and left:
                number = parse_integer(next(rest), b"ERR Invalid %b option argument for XCLAIM" % word)
                left -= 1
                if word == b"IDLE":
                    time_ms = now_ms - number
                elif word == b"TIME":
                    time_ms = number
                else:
                    self.count = number
            elif word == b"LASTID" and left:
                self.last_id = parse_id(next(rest), strict=True)
                left -= 1
            else:
                raise Error(b"ERR Unrecognized XCLAIM option '%b'" % until_nul(option))
        # A time that cannot be is now.
        self.time_ms = time_ms if 0 <= time_ms <= now_ms else now_ms


@command(
    "XCLAIM",
    arity=-6,
    flags=WRITE | FAST,
    keys=key(1, "RW", "update"),
    group="stream",
    since="5.0.0",
    complexity="O(log N) with N being the number of messages in the PEL of the consumer group.",
    summary="Changes (or acquires) ownership of a message in a consumer group, as if the message was delivered to the "
    "specified consumer.",
    syntax="key group consumer min-idle-time id [id ...] [IDLE ms:integer] [TIME unix-time-milliseconds:unix-time] "
    "[RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
    tips=_UNPREDICTABLE,
)
def xclaim(call: Call) -> Reply:
    _, name, group_name, consumer_name, idle_text, *words = call.argv
    stream = call.db.read_as(name, Stream)
    group = group_of(stream, name, group_name)
    assert stream is not None
    idle_ms = max(parse_integer(idle_text, b"ERR Invalid min-idle-time argument for XCLAIM"), 0)
    ids = []
    for word in words:
        try:
            ids.append(parse_id(word, strict=True))
        except Error:
            break
    claim = _Claim(call, words[len(ids) :])
    position_told = claim.last_id <= group.last_id
    group.last_id = max(group.last_id, claim.last_id)
    call.propagate_nothing()
    consumer: Consumer | None = None
    replies: list[Reply] = []
    now_ms = call.keyspace.now_ms
    for entry_id in ids:
        delivery = group.deliveries.get(entry_id)
        entry = stream.entry(entry_id)
        if entry is None:
            if delivery is not None:
                position_told = True
                _forget_deleted(call, group, entry_id)
            continue
        if delivery is None:
            if not claim.force:
                continue
        elif idle_ms and now_ms - delivery.time_ms < idle_ms:
            continue
        if consumer is None:
            consumer = consumer_of(call, name, group, consumer_name)
        count = 1 if delivery is None else delivery.count
        if claim.count >= 0:
            count = claim.count
        elif not claim.just_id:
            count += 1
        delivery = group.deliver(entry_id, consumer, claim.time_ms, count)
        consumer.active_ms = now_ms
        replies.append(format_id(entry_id) if claim.just_id else Encoded(entry))
        propagate_claim(call, name, group_name, group, entry_id, delivery)
        position_told = True
        call.keyspace.dirty += 1
    if not position_told:
        propagate_position(call, name, group_name, group)
        call.keyspace.dirty += 1
    return replies


def _forget_deleted(call: Call, group: Group, entry_id: int) -> None:
    """An entry that is still pending is no more in the stream: nobody can get it."""
    _, name, group_name, *_ = call.argv
    propagate_claim(call, name, group_name, group, entry_id, group.deliveries[entry_id])
    group.acknowledge(entry_id)
    call.keyspace.dirty += 1


@command(
    "XAUTOCLAIM",
    arity=-6,
    flags=WRITE | FAST,
    keys=key(1, "RW", "delete"),
    group="stream",
    since="6.2.0",
    complexity="O(1) if COUNT is small.",
    summary="Changes (or acquires) ownership of messages in a consumer group, as if the messages were delivered to the "
    "specified consumer.",
    syntax="key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
    history=(
        ("7.0.0", "Added an element to the reply array, containing deleted entries the command cleared from the PEL"),
    ),
    tips=_UNPREDICTABLE,
    brief_words=0,
)
def xautoclaim(call: Call) -> Reply:
    _, name, group_name, consumer_name, idle_text, start_text, *options = call.argv
    # The key is looked up before the arguments are looked at, and what it holds behind them, as in Redis.
    stream = call.db.read(name)
    idle_ms = max(parse_integer(idle_text, b"ERR Invalid min-idle-time argument for XAUTOCLAIM"), 0)
    start = parse_start(start_text)
    count, just_id = _parse_autoclaim(options)
    if stream is not None and type(stream) is not Stream:
        raise Error(WRONGTYPE)
    group = group_of(stream, name, group_name)
    assert stream is not None
    call.propagate_nothing()
    consumer: Consumer | None = None
    now_ms = call.keyspace.now_ms
    replies: list[Reply] = []
    deleted: list[int] = []
    attempts = count * _ATTEMPTS
    cursor = 0
    for entry_id in group.pending.since(start):
        if not attempts or not count:
            cursor = entry_id
            break
        attempts -= 1
        delivery = group.deliveries[entry_id]
        entry = stream.entry(entry_id)
        if entry is None:
            # Taken out below: not while the ids are being walked.
            deleted.append(entry_id)
            propagate_claim(call, name, group_name, group, entry_id, delivery)
            count -= 1
            continue
        if idle_ms and now_ms - delivery.time_ms < idle_ms:
            continue
        if consumer is None:
            consumer = consumer_of(call, name, group, consumer_name)
        delivery = group.deliver(entry_id, consumer, now_ms, delivery.count + (not just_id))
        consumer.active_ms = now_ms
        replies.append(format_id(entry_id) if just_id else Encoded(entry))
        propagate_claim(call, name, group_name, group, entry_id, delivery)
        call.keyspace.dirty += 1
        count -= 1
    for entry_id in deleted:
        group.acknowledge(entry_id)
        call.keyspace.dirty += 1
    return [format_id(cursor), replies, [format_id(entry_id) for entry_id in deleted]]


def _parse_autoclaim(options: list[bytes]) -> tuple[int, bool]:
    """COUNT, and whether JUSTID is there; raises Error."""
    count, just_id = _DEFAULT_COUNT, False
    rest = iter(options)
    for option in rest:
        word = option.upper()
        if word == b"JUSTID":
            just_id = True
            continue
        number = next(rest, None) if word == b"COUNT" else None
        if number is None:
            raise Error(SYNTAX)
        count = parse_integer(number, _NOT_POSITIVE)
        if not 1 <= count <= _COUNT_MAX:
            raise Error(_NOT_POSITIVE)
    return count, just_id
