"""Streams as logs: adding entries, reading ranges of them, removing old ones.

Reading on from where one was, and waiting for more, is in `node.commands.stream_reading`; groups of consumers are in
`stream_groups` and its neighbours.
"""

from __future__ import annotations

from node.call import Call
from node.commands.stream_arguments import Trimming, parse_end, parse_id, parse_new_id, parse_start
from node.notifications import STREAM
from node.structures.stream_ids import ID_MAX, SEQUENCE_BITS
from node.structures.streams import Stream
from wire.arguments import parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import NO_SUCH_KEY, SYNTAX, Error, wrong_arity
from wire.reply import NIL_ARRAY, OK, Encoded, Reply

_ZERO_ID = b"ERR The ID specified in XADD must be greater than 0-0"
_EXHAUSTED = b"ERR The stream has exhausted the last possible ID, unable to add more items"
_NOT_GREATER = b"ERR The ID specified in XADD is equal or smaller than the target stream top item"
_TOO_LARGE = b"ERR Elements are too large to be stored"
# The fields and values of an entry have no more bytes than this together.
_ENTRY_BYTES_MAX = 1 << 30
_RANGE_HISTORY = (("6.2.0", "Added exclusive ranges."),)
_TRIM_HISTORY = (
    ("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option."),
    ("8.2.0", "Added the `KEEPREF`, `DELREF` and `ACKED` options."),
)


@command(
    "XADD",
    arity=-5,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update", notes="UPDATE instead of INSERT because of the optional trimming feature"),
    group="stream",
    since="5.0.0",
    complexity="O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
    summary="Appends a new entry to a stream",
    syntax="key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> "
    "field value [field value ...]",
    history=(
        ("6.2.0", "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option."),
        ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
        ("8.2.0", "Added the `KEEPREF`, `DELREF` and `ACKED` options."),
    ),
    tips=("nondeterministic_output",),
    brief_words=5,
)
def xadd(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    trimming = None
    at = 2
    if argv[2] != b"*":
        trimming = Trimming()
        at = trimming.parse(call, adding=True)
    if len(argv) - at < 3 or not (len(argv) - at) & 1:
        raise wrong_arity(call.command.name)
    wanted, partial = -1, False
    if argv[at] != b"*":
        wanted, partial = parse_new_id(argv[at])
        if wanted == 0 and not partial:
            raise Error(_ZERO_ID)
    db = call.db
    stream = db.get_as(name, Stream)
    if stream is None and trimming is not None and not trimming.create:
        return None
    last_id = 0 if stream is None else stream.last_id
    if last_id == ID_MAX:
        raise Error(_EXHAUSTED)
    if wanted < 0:
        entry_id = call.keyspace.now_ms << SEQUENCE_BITS
        if entry_id <= last_id:
            entry_id = last_id + 1
    elif partial and last_id >= wanted:
        entry_id = last_id + 1
        if entry_id >> SEQUENCE_BITS != wanted >> SEQUENCE_BITS:
            raise Error(_NOT_GREATER)
    elif wanted <= last_id:
        raise Error(_NOT_GREATER)
    else:
        entry_id = wanted
    items = argv[at + 1 :]
    settings = call.node.settings
    size = sum(map(len, items))
    if size > _ENTRY_BYTES_MAX:
        raise Error(_TOO_LARGE)
    is_new = stream is None
    if stream is None:
        stream = Stream()
    text = stream.append(entry_id, items, size, settings.stream_node_max_bytes, settings.stream_node_max_entries)
    if is_new:
        db.put(name, stream)
    else:
        db.changed(name)
    if call.keyspace.notifier.flags:
        call.notify(STREAM, b"xadd", name)
    given = text if wanted < 0 or partial else argv[at]
    if trimming is not None:
        if trimming.wanted and trimming.trim(stream):
            call.notify(STREAM, b"xtrim", name)
        if not trimming.is_repeated_as_it_is() or given is text:
            call.propagate(*trimming.repeatable(argv[:at], stream), given, *items)
            for told in trimming.others(name):
                call.propagate(*told)
    elif given is text:
        call.propagate(*argv[:at], text, *items)
    return text


@command(
    "XLEN",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="Return the number of entries in a stream",
    syntax="key",
)
def xlen(call: Call) -> Reply:
    stream = call.db.read_as(call.argv[1], Stream)
    return 0 if stream is None else stream.length


@command(
    "XRANGE",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="stream",
    since="5.0.0",
    complexity="O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the "
    "first 10 elements with COUNT), you can consider it O(1).",
    summary="Return a range of elements in a stream, with IDs matching the specified IDs interval",
    syntax="key start:string end:string [COUNT count]",
    history=_RANGE_HISTORY,
)
def xrange(call: Call) -> Reply:
    argv = call.argv
    start = 0 if argv[2] == b"-" else parse_start(argv[2])
    end = ID_MAX if argv[3] == b"+" else parse_end(argv[3])
    return _range(call, start, end, back=False)


@command(
    "XREVRANGE",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="stream",
    since="5.0.0",
    complexity="O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first "
    "10 elements with COUNT), you can consider it O(1).",
    summary="Return a range of elements in a stream, with IDs matching the specified IDs interval, in reverse order "
    "(from greater to smaller IDs) compared to XRANGE",
    syntax="key end:string start:string [COUNT count]",
    history=_RANGE_HISTORY,
)
def xrevrange(call: Call) -> Reply:
    argv = call.argv
    # Redis reads the lower bound first.
    start = parse_start(argv[3])
    return _range(call, start, parse_end(argv[2]), back=True)


def _range(call: Call, start: int, end: int, *, back: bool) -> Reply:
    argv = call.argv
    count = -1
    for at in range(4, len(argv), 2):
        if argv[at].upper() != b"COUNT" or at + 1 == len(argv):
            raise Error(SYNTAX)
        count = max(parse_integer(argv[at + 1]), 0)
    stream = call.db.read_as(argv[1], Stream)
    if stream is None:
        return []
    if count == 0:
        return NIL_ARRAY
    found, entries = (stream.range_back if back else stream.range)(start, end, count)
    return Encoded(b"*%d\r\n%b" % (found, entries))


@command(
    "XDEL",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "delete"),
    group="stream",
    since="5.0.0",
    complexity="O(1) for each single item to delete in the stream, regardless of the stream size.",
    summary="Removes the specified entries from the stream. Returns the number of items actually deleted, that may be "
    "different from the number of IDs passed in case certain IDs do not exist.",
    syntax="key id [id ...]",
)
def xdel(call: Call) -> Reply:
    name = call.argv[1]
    stream = call.db.get_as(name, Stream)
    if stream is None:
        return 0
    deleted = 0
    first_gone = False
    for entry_id in [parse_id(text, strict=True) for text in call.argv[2:]]:
        if stream.delete(entry_id):
            deleted += 1
            first_gone = first_gone or entry_id == stream.first_id
            stream.max_deleted_id = max(stream.max_deleted_id, entry_id)
    if first_gone:
        stream.find_first()
    if deleted:
        call.db.changed(name, deleted)
        call.notify(STREAM, b"xdel", name)
    return deleted


@command(
    "XTRIM",
    arity=-4,
    flags=WRITE,
    keys=key(1, "RW", "delete"),
    group="stream",
    since="5.0.0",
    complexity="O(N), with N being the number of evicted entries. Constant times are very small however, since entries "
    "are organized in macro nodes containing multiple entries that can be released with a single deallocation.",
    summary="Trims the stream to (approximately if '~' is passed) a certain size",
    syntax="key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]",
    history=_TRIM_HISTORY,
    tips=("nondeterministic_output",),
)
def xtrim(call: Call) -> Reply:
    argv = call.argv
    trimming = Trimming()
    trimming.parse(call, adding=False)
    stream = call.db.get_as(argv[1], Stream)
    if stream is None:
        return 0
    removed = trimming.trim(stream)
    if removed:
        call.notify(STREAM, b"xtrim", argv[1])
        call.db.changed(argv[1], removed)
        others = trimming.others(argv[1])
        for told in others:
            call.propagate(*told)
        if not others and not trimming.is_repeated_as_it_is():
            call.propagate(*trimming.repeatable(argv, stream))
    return removed


@command(
    "XSETID",
    arity=-3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="stream",
    since="5.0.0",
    complexity="O(1)",
    summary="An internal command for replicating stream values",
    syntax="key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]",
    history=(("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments."),),
)
def xsetid(call: Call) -> Reply:
    argv = call.argv
    last_id = parse_id(argv[2], strict=True)
    added = -1
    max_deleted_id = 0
    at = 3
    while at < len(argv):
        word = argv[at].upper()
        if at + 1 == len(argv):
            raise Error(SYNTAX)
        if word == b"ENTRIESADDED":
            added = parse_integer(argv[at + 1])
            if added < 0:
                raise Error(b"ERR entries_added must be positive")
        elif word == b"MAXDELETEDID":
            max_deleted_id = parse_id(argv[at + 1], strict=True)
            if last_id < max_deleted_id:
                raise Error(b"ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        else:
            raise Error(SYNTAX)
        at += 2
    stream = call.db.get_as(argv[1], Stream)
    if stream is None:
        raise Error(NO_SUCH_KEY)
    if last_id < stream.max_deleted_id:
        raise Error(b"ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    if stream.length:
        if last_id < stream.last_entry_id():
            raise Error(b"ERR The ID specified in XSETID is smaller than the target stream top item")
        if 0 <= added < stream.length:
            raise Error(b"ERR The entries_added specified in XSETID is smaller than the target stream length")
    stream.last_id = last_id
    if added >= 0:
        stream.added = added
    if max_deleted_id:
        stream.max_deleted_id = max_deleted_id
    call.db.changed(argv[1])
    call.notify(STREAM, b"xsetid", argv[1])
    return OK
