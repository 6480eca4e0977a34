"""Python values as RESP2 and RESP3."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.encoder import encode, encode_error, format_double
from wire.errors import Error
from wire.reply import NIL_ARRAY, NO_REPLY, OK, Push, Raw, Reply, ReplySet, Several, Simple, Verbatim

CASES: list[tuple[Reply, bytes, bytes]] = [
    (b"ab", b"$2\r\nab\r\n", b"$2\r\nab\r\n"),
    (bytearray(b"ab"), b"$2\r\nab\r\n", b"$2\r\nab\r\n"),
    (7, b":7\r\n", b":7\r\n"),
    (-70000, b":-70000\r\n", b":-70000\r\n"),
    (None, b"$-1\r\n", b"_\r\n"),
    (NIL_ARRAY, b"*-1\r\n", b"_\r\n"),
    (OK, b"+OK\r\n", b"+OK\r\n"),
    (Simple(b"a b"), b"+a b\r\n", b"+a b\r\n"),
    (Error(b"ERR no"), b"-ERR no\r\n", b"-ERR no\r\n"),
    (2.5, b"$3\r\n2.5\r\n", b",2.5\r\n"),
    ([b"a", 1, None], b"*3\r\n$1\r\na\r\n:1\r\n$-1\r\n", b"*3\r\n$1\r\na\r\n:1\r\n_\r\n"),
    ((), b"*0\r\n", b"*0\r\n"),
    ({b"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
    (ReplySet([b"a"]), b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
    (Push((b"a",)), b"*1\r\n$1\r\na\r\n", b">1\r\n$1\r\na\r\n"),
    (Verbatim(b"text"), b"$4\r\ntext\r\n", b"=8\r\ntxt:text\r\n"),
    (Raw(b"+as it is\r\n"), b"+as it is\r\n", b"+as it is\r\n"),
    (Several([1, OK]), b":1\r\n+OK\r\n", b":1\r\n+OK\r\n"),
    (NO_REPLY, b"", b""),
]


@pytest.mark.parametrize(("value", "resp2", "resp3"), CASES)
def test_each_value_has_its_form_in_both_protocols(value: Reply, resp2: bytes, resp3: bytes) -> None:
    assert encode(value, 2) == resp2
    assert encode(value, 3) == resp3


def test_an_error_stays_on_one_line() -> None:
    assert encode_error(b"ERR a\r\nb") == b"-ERR a  b\r\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, b"3"), (2.6, b"2.6000000000000001"), (float("inf"), b"inf"), (float("-inf"), b"-inf"), (1e100, b"1e+100")],
)
def test_doubles_are_written_as_redis_7_0_writes_them(value: float, text: bytes) -> None:
    assert format_double(value) == text


nested = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4)
)


@given(nested)
def test_a_client_reads_back_what_was_written(value: Reply) -> None:
    for proto in (2, 3):
        reader = hiredis.Reader()
        reader.feed(encode(value, proto))
        assert reader.gets() == value
