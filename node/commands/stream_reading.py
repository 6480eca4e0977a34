"""Streams, read on from where one was: XREAD, and XREADGROUP on behalf of a group of consumers; both can wait.

What a group is given it owes: every entry is pending until it is acknowledged. Replicas are told of that as of a claim.
"""

from __future__ import annotations

from functools import partial

from node.blocking import NOT_YET
from node.call import Call
from node.commands.stream_arguments import parse_id
from node.commands.stream_groups import consumer_of, propagate_claim, propagate_position
from node.structures.consumer_groups import UNKNOWN, Consumer, Group
from node.structures.stream_ids import ID_MAX, format_id
from node.structures.streams import Stream
from wire.arguments import parse_integer
from wire.command import BLOCKING, READONLY, WRITE, KeySpec, command
from wire.errors import SYNTAX, Error, until_nul
from wire.key_places import streams
from wire.reply import NIL_ARRAY, Encoded, PairMap, Reply

_ONLY_NEW = b"ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
# Redis 7.0 says XREAD of either command.
_UNBALANCED = b"ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
_NO_DOLLAR = (
    b"ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by "
    b"specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
)
_NO_GROUP = b"NOGROUP No such key '%b' or consumer group '%b' in XREADGROUP with GROUP option"
_GROUP_GONE = b"NOGROUP the consumer group this client was blocked on no longer exists"
_STREAM_GONE = b"UNBLOCKED the stream key no longer exists"
_TIMEOUT = b"ERR timeout is not an integer or out of range"
# A group reads what nobody of it has got.
_NEW = -1


class _Request:
    """What XREAD or XREADGROUP asks for; raises Error for what makes no sense."""

    __slots__ = ("claim_ms", "consumer_name", "count", "group_name", "ids", "names", "noack", "timeout_ms")

    def __init__(self, call: Call, *, grouped: bool) -> None:
        argv = call.argv
        # COUNT; 0 without.
        self.count = 0
        # BLOCK; -1 without.
        self.timeout_ms = -1
        # CLAIM: after how long what is pending with another is taken over; -1 without.
        self.claim_ms = -1
        self.group_name = self.consumer_name = b""
        self.noack = False
        self.names: list[bytes] = []
        self.ids: list[bytes] = []
        at, last = 1, len(argv) - 1
        while at <= last:
            word, more = argv[at].upper(), last - at
            if word == b"BLOCK" and more:
                if call.session.connection is None:
                    raise Error(b"ERR %b command is not allowed with BLOCK option from scripts" % argv[0])
                self.timeout_ms = parse_integer(argv[at + 1], _TIMEOUT)
                if self.timeout_ms < 0:
                    raise Error(b"ERR timeout is negative")
                at += 1
            elif word == b"CLAIM" and more:
                if not grouped:
                    raise _only_for_groups(word)
                self.claim_ms = parse_integer(argv[at + 1], b"ERR min-idle-time is not an integer or out of range")
                if self.claim_ms < 0:
                    raise Error(b"ERR min-idle-time must be a positive integer")
                at += 1
            elif word == b"COUNT" and more:
                self.count = max(parse_integer(argv[at + 1]), 0)
                at += 1
            elif word == b"STREAMS" and more:
                if not more % 2 == 0:
                    raise Error(_UNBALANCED)
                self.names = argv[at + 1 : at + 1 + more // 2]
                self.ids = argv[at + 1 + more // 2 :]
                break
            elif word == b"GROUP" and more >= 2:
                if not grouped:
                    raise _only_for_groups(word)
                self.group_name, self.consumer_name = argv[at + 1 : at + 3]
                at += 2
            elif word == b"NOACK":
                if not grouped:
                    raise _only_for_groups(word)
                self.noack = True
            else:
                raise Error(SYNTAX)
            at += 1
        if not self.names:
            raise Error(SYNTAX)


def _only_for_groups(option: bytes) -> Error:
    return Error(b"ERR The %b option is only supported by XREADGROUP. You called XREAD instead." % option)


@command(
    "XREAD",
    arity=-4,
    flags=READONLY | BLOCKING,
    keys=(KeySpec(1, ("RO", "access"), keyword="STREAMS", last=-1, limit=2),),
    find_keys=streams,
    group="stream",
    since="5.0.0",
    complexity="For each stream mentioned: O(N) with N being the number of elements being returned, it means that "
    "XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will pay O(M) time in order "
    "to serve the M clients blocked on the stream getting new data.",
    summary="Return never seen elements in multiple streams, with IDs greater than the ones reported by the caller for "
    "each stream. Can block.",
    syntax="[COUNT count] [BLOCK milliseconds:integer] STREAMS key [key ...] id [id ...]",
)
def xread(call: Call) -> Reply:
    request = _Request(call, grouped=False)
    starts = [_start(call, name, text) for name, text in zip(request.names, request.ids, strict=True)]
    found: PairMap = PairMap()
    for name, after in zip(request.names, starts, strict=True):
        stream = call.db.read_as(name, Stream)
        if stream is not None and stream.length and stream.last_entry_id() > after:
            found.append([name, _entries(stream, after, request.count)])
    if found:
        return found
    if request.timeout_ms < 0:
        return NIL_ARRAY
    # Who names a key twice waits behind the first id.
    waiting = dict(zip(reversed(request.names), reversed(starts), strict=True))

    def serve(call: Call, name: bytes) -> Reply:
        stream = call.db.get_as(name, Stream)
        if stream is None or stream.last_id <= waiting[name]:
            return NOT_YET
        return PairMap([[name, _entries(stream, waiting[name], request.count)]])

    return call.node.blocked.block(call, request.names, Stream, serve, request.timeout_ms)


def _start(call: Call, name: bytes, text: bytes) -> int:
    """Behind which id of a stream XREAD reads."""
    # A key that is not there is missed here, and once more when it is read.
    stream = call.db.read_as(name, Stream)
    if text == b"$":
        return 0 if stream is None else stream.last_id
    if text == b"+":
        # The last entry there is (Redis 7.4).
        return 0 if stream is None or not stream.length else stream.last_entry_id() - 1
    if text == b">":
        raise Error(_ONLY_NEW)
    return parse_id(text, strict=True)


def _entries(stream: Stream, after: int, count: int) -> Encoded:
    return _encoded(*stream.range(after + 1, ID_MAX, count or -1))


def _encoded(found: int, entries: bytes) -> Encoded:
    return Encoded(b"*%d\r\n%b" % (found, entries))


@command(
    "XREADGROUP",
    arity=-7,
    flags=WRITE | BLOCKING,
    keys=(KeySpec(4, ("RO", "access"), keyword="STREAMS", last=-1, limit=2),),
    find_keys=streams,
    group="stream",
    since="5.0.0",
    complexity="For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. "
    "always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP "
    "blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
    summary="Return new entries from a stream using a consumer group, or access the history of the pending entries for "
    "a given consumer. Can block.",
    syntax="GROUP group consumer [COUNT count] [BLOCK milliseconds:integer] [CLAIM min-idle-time:integer] [NOACK] "
    "STREAMS key [key ...] id [id ...]",
    history=(("8.4.0", "Added the `CLAIM` option."),),
)
def xreadgroup(call: Call) -> Reply:
    request = _Request(call, grouped=True)
    if not any(word.upper() == b"GROUP" for word in call.argv[1:-2]):
        raise Error(b"ERR Missing GROUP option for XREADGROUP")
    call.propagate_nothing()
    group_name = request.group_name
    wanted: list[tuple[bytes, int]] = []
    for name, text in zip(request.names, request.ids, strict=True):
        stream = call.db.read_as(name, Stream)
        if stream is None or group_name not in stream.groups:
            raise Error(_NO_GROUP % (until_nul(name), until_nul(group_name)))
        if text == b"$":
            raise Error(_NO_DOLLAR)
        after = _NEW if text == b">" else parse_id(text, strict=True)
        # Behind the highest id there is nothing: to Redis that is another way to say ">".
        wanted.append((name, _NEW if after == ID_MAX else after))
    found: PairMap = PairMap()
    for name, after in wanted:
        stream = call.db.get_as(name, Stream)
        assert stream is not None
        group = stream.groups[group_name]
        if after != _NEW:
            found.append([name, _history(call, request, name, stream, group, after)])
        else:
            offered = _offered(call, request, name, stream, group)
            if offered is not None:
                found.append([name, offered])
    if found:
        return found
    if request.timeout_ms < 0:
        return NIL_ARRAY

    def serve(call: Call, name: bytes) -> Reply:
        value = call.db.get(name)
        if type(value) is not Stream:
            raise Error(_STREAM_GONE)
        group = value.groups.get(group_name)
        if group is None:
            raise Error(_GROUP_GONE)
        if request.claim_ms < 0:
            if value.last_id <= group.last_id:
                return NOT_YET
            return PairMap([[name, _encoded(*_new_entries(call, request, name, value, group, request.count))]])
        offered = _offered(call, request, name, value, group)
        return NOT_YET if offered is None else PairMap([[name, offered]])

    again_ms = None if request.claim_ms < 0 else partial(_claimable_in_ms, call, request)
    return call.node.blocked.block(
        call, request.names, Stream, serve, request.timeout_ms, until_gone=True, again_ms=again_ms
    )


def _offered(call: Call, request: _Request, name: bytes, stream: Stream, group: Group) -> Reply | None:
    """What is new to the group, behind what the consumer claims; None when there is neither."""
    is_news = stream.length > 0 and stream.last_entry_id() > group.last_id
    if request.claim_ms < 0:
        return _encoded(*_new_entries(call, request, name, stream, group, request.count)) if is_news else None
    latest_ms = call.keyspace.now_ms - request.claim_ms
    claimable = group.longest_pending(request.count or len(group.deliveries), latest_ms, stream.holds)
    if not claimable and not is_news:
        return None
    entries = _claim(call, request, name, stream, group, claimable)
    left = request.count - len(entries)
    if is_news and (left or not request.count):
        first_id = group.last_id + 1
        _new_entries(call, request, name, stream, group, left if request.count else 0)
        entries += [_annotated(stream, entry_id, 0, 0) for entry_id in stream.ids(first_id, group.last_id)]
    return entries


def _annotated(stream: Stream, entry_id: int, idle_ms: int, deliveries: int) -> Encoded:
    """An entry with how long it was pending, and how often it was delivered."""
    entry = stream.entry(entry_id)
    assert entry is not None
    return Encoded(b"*4\r\n%b:%d\r\n:%d\r\n" % (entry.removeprefix(b"*2\r\n"), idle_ms, deliveries))


def _claim(
    call: Call, request: _Request, name: bytes, stream: Stream, group: Group, claimable: list[int]
) -> list[Encoded]:
    """Take over entries that are with others, or with the consumer itself."""
    now_ms = call.keyspace.now_ms
    consumer = _consumer(call, request, name, group)
    entries: list[Encoded] = []
    for entry_id in claimable:
        before = group.deliveries[entry_id]
        entries.append(_annotated(stream, entry_id, now_ms - before.time_ms, before.count))
        delivery = group.deliver(entry_id, consumer, now_ms, before.count + 1)
        propagate_claim(call, name, request.group_name, group, entry_id, delivery)
    if entries:
        consumer.active_ms = now_ms
        call.keyspace.dirty += 1
    call.propagate_nothing()
    return entries


def _claimable_in_ms(call: Call, request: _Request) -> int:
    """How long it takes until something may be claimed, if nothing is delivered meanwhile."""
    now_ms = call.keyspace.now_ms
    due_ms = now_ms + request.claim_ms
    for name in request.names:
        stream = call.db.peek(name)
        if type(stream) is not Stream:
            continue
        group = stream.groups.get(request.group_name)
        if group is not None:
            oldest = group.longest_pending(1, now_ms, stream.holds)
            if oldest:
                due_ms = min(due_ms, group.deliveries[oldest[0]].time_ms + request.claim_ms)
    return due_ms - now_ms


def _consumer(call: Call, request: _Request, name: bytes, group: Group) -> Consumer:
    before = len(group.consumers)
    consumer = consumer_of(call, name, group, request.consumer_name)
    if request.noack and len(group.consumers) > before:
        # Otherwise replicas hear of it with what it is given.
        call.propagate(b"XGROUP", b"CREATECONSUMER", name, request.group_name, consumer.name)
    return consumer


def _new_entries(
    call: Call, request: _Request, name: bytes, stream: Stream, group: Group, count: int
) -> tuple[int, bytes]:
    """Give out entries that nobody of the group has got, up to `count` unless that is 0: how many, and all encoded."""
    group_name, now_ms = request.group_name, call.keyspace.now_ms
    consumer = _consumer(call, request, name, group)
    found, entries = stream.range(group.last_id + 1, ID_MAX, count or -1)
    if found:
        consumer.active_ms = now_ms
    for number, entry_id in enumerate(stream.ids(group.last_id + 1, ID_MAX), start=1):
        if number > found:
            break
        if group.entries_read != UNKNOWN and not stream.has_gaps_since(entry_id):
            group.entries_read += 1
        else:
            group.entries_read = stream.position_of(entry_id)
        group.last_id = entry_id
        if not request.noack:
            delivery = group.deliver(entry_id, consumer, now_ms, 1)
            propagate_claim(call, name, group_name, group, entry_id, delivery)
    if request.noack and found:
        propagate_position(call, name, group_name, group)
    call.keyspace.dirty += 1
    call.propagate_nothing()
    return found, entries


def _history(call: Call, request: _Request, name: bytes, stream: Stream, group: Group, after: int) -> Reply:
    """What the consumer has got and not acknowledged; it counts as delivered once more."""
    consumer = _consumer(call, request, name, group)
    replies: list[Reply] = []
    for entry_id in consumer.pending.since(after + 1):
        entry = stream.entry(entry_id)
        if entry is None:
            # Deleted meanwhile.
            replies.append([format_id(entry_id), NIL_ARRAY])
        else:
            group.deliver(entry_id, consumer, call.keyspace.now_ms, group.deliveries[entry_id].count + 1)
            replies.append(Encoded(entry))
        if len(replies) == request.count:
            break
    call.keyspace.dirty += 1
    call.propagate_nothing()
    return replies
