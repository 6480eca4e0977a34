"""What DEBUG tells of the data, and how it fills a server with some."""

from __future__ import annotations

from node.call import Call
from node.commands.objects import encoding_of, references_of, use_of
from node.database import Value
from node.digest import digest_of_all, digest_of_key
from node.persistence.rdb_encoding import Cursor
from node.persistence.rdb_types import ENCODERS
from node.structures.lists import Quicklist
from wire.arguments import parse_integer
from wire.errors import NO_SUCH_KEY, Error
from wire.reply import OK, Reply, Simple

_NOT_POSITIVE = b"ERR value is out of range, must be positive"
# Redis' smallest hash table.
_TABLE_MIN = 4


def _value(call: Call) -> Value:
    """The value of the key that the subcommand is about."""
    value = call.db.peek(call.argv[2])
    if value is None:
        raise Error(NO_SUCH_KEY)
    return value


def _stored(call: Call) -> Value:
    """What is stored at the key, expired or not."""
    name = call.argv[2]
    value = call.db.shards[call.keyspace.slot_of(name)].get(name)
    if value is None:
        raise Error(NO_SUCH_KEY)
    return value


def describe_object(call: Call) -> Reply:
    """DEBUG OBJECT. The address means nothing here."""
    value = _stored(call)
    uses, entry = use_of(call, call.argv[2])
    _, body = ENCODERS[type(value)](value, call.node.settings.rdbcompression)
    line = b"Value at:0x7f0000000000 refcount:%d encoding:%b serializedlength:%d lru:%d lru_seconds_idle:%d" % (
        references_of(call, value),
        encoding_of(value),
        len(body),
        entry,
        uses.idle_s(entry),
    )
    if type(value) is Quicklist:
        nodes = Cursor(body).length()
        line += b" ql_nodes:%d ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:%d ql_uncompressed_size:%d" % (
            nodes,
            len(value) / nodes,
            call.node.settings.list_max_listpack_size,
            call.node.settings.list_compress_depth != 0,
            sum(map(len, value)),
        )
    return Simple(line)


def describe_listpack(call: Call) -> Reply:
    if encoding_of(_value(call)) not in (b"listpack", b"listpackex"):
        raise Error(b"ERR Not a listpack encoded object.")
    return Simple(b"Listpack structure printed on stdout")


def describe_quicklist(call: Call) -> Reply:
    if type(_value(call)) is not Quicklist:
        raise Error(b"ERR Not a quicklist encoded object.")
    return Simple(b"Quicklist structure printed on stdout")


def describe_string(call: Call) -> Reply:
    """DEBUG SDSLEN: how long key and value are; there is never room behind them."""
    name, value = call.argv[2], _value(call)
    if not isinstance(value, bytes | bytearray) or encoding_of(value) == b"int":
        raise Error(b"ERR Not an sds encoded string.")
    return Simple(
        b"key_sds_len:%d, key_sds_avail:0, key_zmalloc: %d, val_sds_len:%d, val_sds_avail:0, val_zmalloc: %d"
        % (len(name), name.__sizeof__(), len(value), value.__sizeof__())
    )


def table_of_key(call: Call) -> Reply:
    value = _value(call)
    if isinstance(value, bytes | bytearray) or value.encoding not in (b"hashtable", b"skiplist"):
        raise Error(b"ERR The value stored at the specified key is not represented using an hash table")
    return _table(len(value))


def tables_of_database(call: Call) -> Reply:
    try:
        database = call.keyspace.database(parse_integer(call.argv[2]))
    except IndexError:
        raise Error(b"ERR Out of range database") from None
    return b"[Dictionary HT]\n%b[Expires HT]\n%b" % (_table(database.size), _table(database.volatile))


def _table(elements: int) -> bytes:
    """What can be said of a hash table with so many elements: ours are Python's, and have no chains."""
    head = b"Hash table 0 stats (main hash table):\n"
    if not elements:
        return head + b"No stats available for empty dictionaries\n"
    size = max(1 << (elements - 1).bit_length(), _TABLE_MIN)
    return head + b" table size: %d\n number of elements: %d\n" % (size, elements)


def digest(call: Call) -> Reply:
    return Simple(digest_of_all(call.keyspace).encode())


def digest_values(call: Call) -> Reply:
    return [Simple(digest_of_key(call.db, name).encode()) for name in call.argv[2:]]


def populate(call: Call) -> Reply:
    """DEBUG POPULATE: so many string keys, which replicas do not hear of."""
    argv = call.argv
    count = parse_integer(argv[2], _NOT_POSITIVE)
    prefix = argv[3] if len(argv) > 3 else b"key"
    size = parse_integer(argv[4], _NOT_POSITIVE) if len(argv) > 4 else 0
    if count < 0 or size < 0:
        raise Error(_NOT_POSITIVE)
    db = call.db
    dirty = call.keyspace.dirty
    for number in range(count):
        name = b"%b:%d" % (prefix, number)
        if db.get(name) is None:
            value = b"value:%d" % number
            db.put(name, value if not size else value[:size].ljust(size, b"\0"))
    call.keyspace.dirty = dirty
    return OK
