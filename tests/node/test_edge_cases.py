"""Edge cases of every command, command by command: our node's replies are a real server's, to the byte.

A line is one command, a case one conversation with an empty server; ``2>`` at a line's start makes it the second
client's. In a line, ``\\x..`` and the other escapes of redis-cli are known inside double quotes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.quoting import split_quoted
from tests.node.conftest import Pair
from tests.node.own_server import OwnServer

CASES = {
    "refusals that end with a line's end": """
        FUNCTION LOAD "#!lua name=x\\n" y
        EVAL "return {err='x y\\\\r\\\\n'}" 0
        EVAL "return redis.error_reply('x y\\\\n')" 0
        EVAL "return {ok='x y\\\\n'}" 0
    """,
    "names of directives in refusals": """
        CONFIG SET TIMEOUT normal
        CONFIG SET SLAVE-PRIORITY x
        CONFIG SET DIR /nope
        CONFIG SET Nope x
        CONFIG SET Timeout 1 timeout 2
    """,
    "no replica is missed where none may lag": """
        CONFIG SET min-replicas-to-write 1
        SET k v
        CONFIG SET min-replicas-max-lag 0
        SET k v
        CONFIG SET min-replicas-to-write 0 min-replicas-max-lag 10
    """,
    "versions of the protocol": """
        HELLO 9223372036854775807
        HELLO 9223372036854775808
        HELLO -9223372036854775808
        HELLO 02
        HELLO +2
        HELLO ""
        HELLO 4 AUTH a
    """,
    "what anybody may do": """
        ACL SETUSER nobody on nopass -@all
        ACL DRYRUN nobody AUTH a b
        ACL DRYRUN nobody HELLO
        ACL DRYRUN nobody QUIT
        ACL DRYRUN nobody RESET
        ACL DRYRUN nobody PING
        ACL DRYRUN nobody config|get x
        ACL DRYRUN nobody config get
        ACL SETUSER nobody "" +get|x SOFT
        ACL CAT %s
        ACL DELUSER nobody
    """
    % ("k" * 200),
    "bits at the end of the longest string": """
        CONFIG SET proto-max-bulk-len 1048576
        BITFIELD k SET u8 8388604 255 INCRBY u63 8388607 1
        STRLEN k
        BITFIELD k SET u8 8388608 1
        BITFIELD k SET u8 #1048575 1
        BITFIELD k SET u8 #1048576 1
        SETBIT k 8388607 1
        SETBIT k 8388608 1
        GETBIT k 8388607
        SETRANGE k 1048575 x
        SETRANGE k 1048576 x
        STRLEN k
        DEL k
        CONFIG SET proto-max-bulk-len 536870912
    """,
    "small numbers and large steps": """
        SET n 10
        INCRBY n 9223372036854775807
        INCRBY n 9223372036854775798
        GET n
        INCRBY n 9223372036854775797
        GET n
        SET n 0
        DECRBY n 9223372036854775807
        DECRBY n 2
        GET n
        SET n 10
        INCRBY n -9223372036854775808
        GET n
        SET n 10
        DECRBY n -9223372036854775807
        DECRBY n -9223372036854775808
        GET n
    """,
    "set options": """
        SET k v NX
        SET k w NX
        SET k w NX GET
        SET k w XX
        SET missing w XX
        SET missing w XX GET
        SET k x GET
        GET k
        SET k y NX XX
        SET k y EX
        SET k y EX 10 PX 10
        SET k y EX 10 KEEPTTL
        SET k y EX 10 EX 20
        TTL k
        SET k y KEEPTTL KEEPTTL
        TTL k
        SET k z GET GET
        TTL k
        SET k y BOGUS
        SET k y EX 0
        SET k y EX -1
        SET k y EX x
        SET k y EX 1.5
        SET k y EX 9223372036854775807
        SET k y PX 9223372036854775807
        SET k y EXAT 0
        SET k y EXAT 9223372036854775
        SET k y EXAT 9223372036854776
        PEXPIRETIME k
        SET k y PXAT 9223372036854775807
        PEXPIRETIME k
        SET k y PERSIST
        SET k "" NX GET EX 10
        SET k
        SET
    """,
    "set past times": """
        SET k v PXAT 1
        GET k
        SET k v EXAT 1 GET
        EXISTS k
        SET k v
        GETEX k PXAT 1
        GET k
    """,
    "get of another number of arguments": """
        GET
        GET a b
        get
        GeT a
        GETX a
    """,
    "getex": """
        GETEX k
        GETEX k EX x
        SET k v
        GETEX k EX x
        GETEX k EX 0
        GETEX k EX
        GETEX k EX 10 PERSIST
        GETEX k PERSIST EX 10
        GETEX k KEEPTTL
        GETEX k NX
        GETEX k EX 100
        TTL k
        GETEX k PERSIST PERSIST
        TTL k
        GETEX k EXAT 99999999999
        PEXPIRETIME k
        GETEX k PXAT 99999999999
        PEXPIRETIME k
        GETEX k EXAT 1
        EXISTS k
    """,
    "setex and psetex": """
        SETEX k 100 v
        TTL k
        SETEX k 0 v
        PSETEX k -5 v
        PSETEX k x v
        SETEX k 9223372036854775807 v
        PSETEX k 9223372036854775807 v
        SETEX k 10
        PSETEX k 99999999 w
        GET k
    """,
    "getset, getdel, setnx": """
        GETSET k 1
        GETSET k 2
        EXPIRE k 100
        GETSET k 3
        TTL k
        GETDEL k
        GETDEL k
        SETNX k 1
        SETNX k 2
        GET k
    """,
    "many": """
        MSET a 1 b 2 a 3
        MGET a b c a
        MSET a
        MSET a 1 b
        MSETNX a 1 b
        MSETNX c 1 a 2
        MSETNX c 1 d 2 c 3
        MGET a b c d
        MGET
    """,
    "append and strlen": """
        APPEND k ""
        EXISTS k
        OBJECT ENCODING k
        APPEND k 12
        OBJECT ENCODING k
        GET k
        INCR k
        OBJECT ENCODING k
        APPEND k 5
        INCR k
        STRLEN k
        STRLEN missing
        APPEND n 12
        OBJECT ENCODING n
    """,
    "ranges": """
        SET k "This is a string"
        GETRANGE k 0 3
        GETRANGE k -3 -1
        GETRANGE k 0 -1
        GETRANGE k 10 100
        GETRANGE k 100 200
        GETRANGE k 5 3
        GETRANGE k -1 -5
        GETRANGE k -100 3
        GETRANGE k 0 -100
        GETRANGE k -100 -100
        GETRANGE k -100 -99
        GETRANGE k 1 -100
        GETRANGE k x 1
        GETRANGE k 1 9223372036854775808
        GETRANGE k 1 9223372036854775807
        GETRANGE missing 0 -1
        SUBSTR k 0 3
        SETRANGE k 10 "\\x00\\xff"
        GET k
        SETRANGE k 20 end
        GET k
        SETRANGE k -1 x
        SETRANGE missing -1 ""
        SETRANGE missing 5 ""
        EXISTS missing
        SETRANGE missing 5 x
        GET missing
        OBJECT ENCODING missing
        SETRANGE k 536870911 xx
        SETRANGE k 9223372036854775807 x
        SETRANGE k 536870912 ""
        SETRANGE k x ""
    """,
    "counters": """
        INCR n
        INCRBY n 41
        DECRBY n 2
        DECR n
        DECR m
        INCRBY n -9223372036854775808
        DECRBY n -9223372036854775808
        SET n 9223372036854775807
        INCR n
        INCRBY n 1
        INCRBY n -1
        SET n -9223372036854775808
        DECR n
        DECRBY n 1
        SET n " 1"
        INCR n
        SET n 1x
        INCR n
        SET n 01
        INCR n
        SET n ""
        INCR n
        INCRBY n x
        INCRBY fresh ""
        INCRBY fresh +1
        INCRBY fresh 1_0
        INCRBY fresh -0
        EXISTS fresh
        SET n 5 EX 1000
        INCR n
        TTL n
    """,
    "floats": """
        INCRBYFLOAT f 3
        INCRBYFLOAT f 0.1
        OBJECT ENCODING f
        INCRBYFLOAT f 5.0e3
        INCRBYFLOAT f -5003.1
        INCRBYFLOAT f x
        INCRBYFLOAT f inf
        INCRBYFLOAT f nan
        INCRBYFLOAT f ""
        INCRBYFLOAT f " 1"
        INCRBYFLOAT f 1e5000
        INCRBYFLOAT f 0x1p3
        SET f 1e4931
        INCRBYFLOAT f 1e4932
        SET f "1 "
        INCRBYFLOAT f 1
        SET f 5 EX 1000
        INCRBYFLOAT f 1.000000000000000001
        TTL f
    """,
    "del, unlink, exists, touch, type": """
        DEL a
        UNLINK a
        MSET a 1 b 2 c 3
        EXISTS a a b x
        TOUCH a a x
        TYPE a
        TYPE x
        DEL a a x
        UNLINK b c c
        DBSIZE
        DEL
        TYPE
    """,
    "rename": """
        RENAME a b
        RENAMENX a b
        SET a 1 EX 1000
        SET b 2
        RENAMENX a b
        RENAME a b
        TTL b
        GET b
        EXISTS a
        RENAME b b
        RENAMENX b b
        RENAME x x
        SET c 1 EX 500
        SET d 2
        RENAME d c
        TTL c
        RENAMENX c new
        GET new
    """,
    "copy and move": """
        COPY a b
        COPY a a
        SET a 1 EX 1000
        COPY a b
        TTL b
        COPY a b
        COPY a b REPLACE
        COPY a b replace REPLACE db 0
        COPY a a DB 0
        COPY a a DB 1
        COPY a a DB 1
        COPY a b DB 16
        COPY a b DB -1
        COPY a b DB x
        COPY a b DB 99999999999
        COPY a b DB
        COPY a b WHAT
        MOVE a 1
        MOVE b 1
        MOVE b 1
        MOVE a 0
        MOVE a 16
        MOVE a x
        MOVE a 99999999999
        MOVE missing 1
        SELECT 1
        TTL b
        GET a
    """,
    "databases": """
        SET a 0
        SWAPDB 0 1
        DBSIZE
        SELECT 1
        GET a
        SWAPDB 0 16
        SWAPDB x 1
        SWAPDB 0 y
        SWAPDB 99999999999 0
        SWAPDB 1 1
        DBSIZE
        FLUSHDB ASYNC
        FLUSHDB SYNC
        FLUSHDB NOW
        FLUSHALL ASYNC SYNC
        FLUSHALL sync
        RANDOMKEY
        SET only 1
        RANDOMKEY
        KEYS *
        KEYS o?ly
        KEYS o[a-n]ly
        KEYS o[^n]ly
        KEYS
        KEYS a b
    """,
    "expire": """
        EXPIRE k 10
        EXPIRE k x
        EXPIRE k 9223372036854775807
        EXPIRE k -9223372036854775808
        PEXPIRE k 9223372036854775807
        PEXPIREAT k 9223372036854775807
        EXPIREAT k 9223372036854775
        EXPIREAT k 9223372036854776
        SET k v
        EXPIRE k 10 FOO
        EXPIRE k x FOO
        EXPIRE k 10 NX XX
        EXPIRE k 10 NX GT
        EXPIRE k 10 LT GT
        EXPIRE k 10 NX LT GT
        EXPIRE k 10 NX NX
        EXPIRE k 20 NX
        EXPIRE k 5 GT
        EXPIRE k 5000 XX GT
        EXPIRE k 6000 LT
        EXPIRE k 1000 LT XX
        TTL k
        PERSIST k
        PERSIST k
        PERSIST missing
        EXPIRE k 10 XX
        EXPIRE k 10 GT
        EXPIRE k 10000 LT
        TTL k
        PEXPIREAT k 99999999999999
        PEXPIRETIME k
        EXPIRETIME k
        PEXPIREAT k 99999999999500 XX
        EXPIRETIME k
        EXPIREAT k 99999999999
        PEXPIRETIME k
        EXPIRE k 0
        EXISTS k
        SET k v
        PEXPIRE k -1
        EXISTS k
        SET k v
        EXPIREAT k 1 NX
        EXISTS k
        TTL k
        PTTL k
        EXPIRETIME k
        SET k v
        TTL k
        PTTL k
        PEXPIRETIME k
        EXPIRE k
    """,
    "object": """
        SET i 12345
        OBJECT ENCODING i
        OBJECT REFCOUNT i
        SET i 9999
        OBJECT REFCOUNT i
        SET i -1
        OBJECT REFCOUNT i
        SET s 01
        OBJECT ENCODING s
        SET s -0
        OBJECT ENCODING s
        SET s 9223372036854775807
        OBJECT ENCODING s
        SET s 9223372036854775808
        OBJECT ENCODING s
        SET s 12345678901234567890123456789012345678901234
        OBJECT ENCODING s
        SET s 123456789012345678901234567890123456789012345
        OBJECT ENCODING s
        OBJECT ENCODING missing
        OBJECT REFCOUNT missing
        OBJECT
        OBJECT NOPE k
        OBJECT ENCODING
        OBJECT encoding s
    """,
    "scan arguments": """
        SCAN 0
        SET only 1
        SCAN x
        SCAN " 0"
        SCAN 0x
        SCAN 99999999999999999999
        SCAN +
        SCAN 0 COUNT
        SCAN 0 COUNT 0
        SCAN 0 COUNT x
        SCAN 0 BOGUS 1
        SCAN 0 MATCH
        SCAN 0 MATCH o* COUNT 5 TYPE string
        SCAN 0 TYPE list
        SCAN 0 TYPE STRING
        SCAN 0 TYPE nonsense
        SCAN 0 MATCH x*
        SCAN ""
        SCAN
    """,
    "transactions": """
        EXEC
        DISCARD
        MULTI
        MULTI
        WATCH k
        SET k 1
        GET k
        APPEND k 2
        INCRBY k x
        GET k
        NOSUCH
        EXEC
        MULTI
        SET k 1
        GET k
        APPEND k 2
        GETEX k
        INCRBY k x
        MGET k missing
        EXEC
        MULTI
        GET
        EXEC
        MULTI
        EXEC
        MULTI
        SET z 1
        DISCARD
        EXISTS z
        MULTI
        EXEC extra
        EXEC
        EXEC extra
        MULTI extra
        UNWATCH
    """,
    "watch": """
        WATCH
        SET k 1
        WATCH k
        2> SET k 1
        MULTI
        SET k 2
        EXEC
        MULTI
        GET k
        EXEC
        WATCH k
        SET k 1
        MULTI
        EXEC
        WATCH k
        2> GET k
        2> PERSIST k
        2> TOUCH k
        2> SETNX k 5
        2> COPY k other
        MULTI
        EXEC
        WATCH k
        2> EXPIRE k 1000
        MULTI
        EXEC
        WATCH k
        UNWATCH
        2> SET k 7
        MULTI
        EXEC
        WATCH k
        2> SET k 8
        DISCARD
        MULTI
        DISCARD
        MULTI
        EXEC
        WATCH k
        2> SET k 8
        MULTI
        BAD
        EXEC
        WATCH k
        2> SET k 8
        MULTI
        UNWATCH
        EXEC
        WATCH missing
        2> FLUSHALL
        MULTI
        EXEC
        WATCH missing
        2> SET missing 1
        2> DEL missing
        MULTI
        EXEC
        WATCH k
        SET k 1
        UNWATCH
        WATCH k
        2> FLUSHDB
        MULTI
        EXEC
        WATCH k
        2> SELECT 1
        2> SET k 1
        2> FLUSHDB
        MULTI
        PING
        EXEC
        WATCH k
        2> SET k 2
        2> SWAPDB 0 1
        MULTI
        EXEC
        WATCH nowhere
        2> SWAPDB 0 1
        MULTI
        EXEC
        2> SELECT 0
        SET k 1
        WATCH k
        2> SWAPDB 0 1
        MULTI
        EXEC
        SET k 1
        WATCH k
        2> RENAME k l
        MULTI
        EXEC
    """,
    "watch of expired keys": """
        SET k 1 PXAT 1
        WATCH k
        2> GET k
        MULTI
        EXEC
        SET k 1 PXAT 1
        WATCH k
        2> DEL k
        MULTI
        EXEC
        SET k 1 PXAT 1
        WATCH k
        2> FLUSHALL
        MULTI
        EXEC
        SET k 1 PXAT 1
        WATCH k
        2> SET k 2
        MULTI
        EXEC
        DEL k
        SET k 1 PXAT 1
        WATCH k
        2> GET k
        2> SET k 2
        MULTI
        EXEC
        DEL k
        WATCH k
        2> SET k 1 PXAT 1
        MULTI
        EXEC
    """,
    "publish and subscribe": """
        PUBLISH c m
        SPUBLISH c m
        PUBLISH c
        2> PUBSUB CHANNELS
        2> PUBSUB NUMPAT
        SUBSCRIBE c
        2> PUBSUB CHANNELS
        2> PUBSUB CHANNELS x*
        2> PUBSUB CHANNELS a b
        2> PUBSUB NUMSUB c d
        2> PUBSUB NUMSUB
        2> PUBSUB SHARDCHANNELS
        2> PUBSUB SHARDNUMSUB a
        2> PUBSUB NOPE
        2> PUBSUB
        2> PUBSUB HELP
        2> OBJECT HELP x
        UNSUBSCRIBE x
        UNSUBSCRIBE
        UNSUBSCRIBE
        PUNSUBSCRIBE
        SUNSUBSCRIBE
        PSUBSCRIBE a*
        2> PUBSUB NUMPAT
        PUNSUBSCRIBE
        SSUBSCRIBE a
        2> PUBSUB SHARDCHANNELS
        2> PUBSUB SHARDNUMSUB a b
        SUNSUBSCRIBE a
        SUNSUBSCRIBE a
    """,
}


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("case", CASES)
def test_replies(case: str, proto: str, pair: Pair) -> None:
    clients = [pair.connect(), pair.connect()]
    for both in clients:
        for client in both:
            client.ask("HELLO", proto)
    for line in CASES[case].strip().splitlines():
        number, _, command = ("1", "", line.strip()) if "> " not in line else line.strip().partition("> ")
        ours, theirs = clients[int(number) - 1]
        words = split_quoted(command.encode())
        assert words is not None
        assert (line.strip(), ours.ask(*words)) == (line.strip(), theirs.ask(*words))


def test_a_node_that_nobody_knows(start_server: Callable[..., OwnServer]) -> None:
    """Its id is shown as it was written, up to a NUL, and without the end of its line."""
    client = start_server("--cluster-enabled", "yes").wait_ready().client()
    for words in (("FORGET",), ("REPLICATE",), ("REPLICAS",), ("COUNT-FAILURE-REPORTS",), ("SETSLOT", "1", "NODE")):
        for written, shown in ((b"\xff\xfe", b"\xff\xfe"), (b"\0x", b""), (b"a\r\n", b"a")):
            assert client.ask("CLUSTER", *words, written) == b"-ERR Unknown node %b\r\n" % shown
