"""Small collections in one string: what a real server writes and reads is what ours writes and reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.persistence import intset, listpack, ziplist, zipmap
from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import Cursor, encode_length, encode_score, encode_string
from node.persistence.rdb_errors import RdbError
from tests.node.conftest import Pair
from tests.node.differential import budget
from tests.node.persistence import old_containers
from tests.node.raw_client import RawClient, bulk_strings, parse_reply

LIST, ZIPMAP, INTSET, ZIPLIST, QUICKLIST = 1, 9, 11, 10, 18
PACKED = 2

# Around every limit of every form.
EDGES = [1 << bits for bits in (0, 7, 12, 13, 15, 23, 31, 63)]
NUMBERS = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from([sign * edge + step for edge in EDGES for sign in (1, -1) for step in (-1, 0, 1)]),
)
SIZES = st.sampled_from([0, 1, 2, 62, 63, 64, 124, 125, 126, 127, 253, 254, 255, 4095, 4096])
ITEM = st.one_of(
    NUMBERS.map(lambda number: b"%d" % number),
    st.sampled_from([b"", b"-", b"-0", b"00", b"+1", b" 1", b"1 ", b"1" * 21, b"\xd9\xa1"]),
    st.binary(max_size=30),
    st.tuples(st.binary(min_size=1, max_size=3), SIZES).map(lambda drawn: (drawn[0] * drawn[1])[: drawn[1]]),
)
ITEMS = st.lists(ITEM, max_size=20)

VECTORS = [
    ([b"f", b"v", b"n", b"5"], "12000000 0400 816602 817602 816e02 0501 ff"),
    (
        [b"-1", b"127", b"128", b"-4096", b"4095", b"4096", b"aaa"],
        "1e0000000700 dfff02 7f01 c08002 d00002 cfff02 f1001003 8361616104 ff",
    ),
    ([], "07000000 0000 ff"),
]


@pytest.mark.parametrize(("items", "encoded"), VECTORS)
def test_listpacks(items: list[bytes], encoded: str) -> None:
    assert listpack.encode(items) == bytes.fromhex(encoded)
    assert listpack.decode(bytes.fromhex(encoded)) == items


@given(ITEMS)
@example([b"x" * (1 << 14), b"x" * (1 << 21), b"y"])
@example([b"1"] * 70_000)
def test_a_listpack_gives_back_what_it_took(items: list[bytes]) -> None:
    assert listpack.decode(listpack.encode(items)) == items


@given(st.lists(NUMBERS.filter(lambda number: -(1 << 63) <= number < 1 << 63)))
def test_numbers_are_as_good_as_their_texts(numbers: list[int]) -> None:
    encoded = listpack.encode([b"%d" % number for number in numbers])
    assert listpack.encode(numbers) == listpack.assemble(listpack.number_entries(numbers)) == encoded
    assert listpack.decode_mixed(encoded) == numbers


@given(ITEMS)
def test_many_at_once_are_what_they_are_one_by_one(items: list[bytes]) -> None:
    encoded = listpack.encode(items)
    assert listpack.assemble(listpack.text_entries(items)) == encoded
    assert listpack.as_texts(listpack.decode_mixed(encoded)) == items


SHORT_TEXT = st.one_of(st.sampled_from([b"a%b", b"z" * 36, b"%", b"y" * 63]), st.binary(max_size=63)).map(
    lambda text: (b"%b%b" % (b":", text))[:63]
)


@given(st.dictionaries(ITEM, SHORT_TEXT, min_size=1))
@example({b"%" * 36: b"x" * 36})
def test_a_form_is_filled_in_to_what_would_be_encoded(fields: dict[bytes, bytes]) -> None:
    values = list(fields.values())
    assert listpack.are_short_texts(values)
    body = listpack.form_of(tuple(fields), bytes(map(len, values))) % tuple(values)
    whole = listpack.encode([part for pair_ in fields.items() for part in pair_])
    assert listpack.framed(body, 2 * len(fields)) == whole


@given(st.lists(ITEM, min_size=1))
def test_what_is_a_short_text(items: list[bytes]) -> None:
    if listpack.are_short_texts(items):
        assert all(len(item) < 64 and not item[:1].isdigit() for item in items)


@given(st.sets(NUMBERS.filter(lambda number: -(1 << 63) <= number < 1 << 63), min_size=1))
@example({-3, 1, 2})
def test_an_intset_gives_back_what_it_took(numbers: set[int]) -> None:
    ascending = sorted(numbers)
    encoded = intset.encode(ascending)
    assert intset.decode(encoded) == ascending
    if ascending == [-3, 1, 2]:
        assert encoded == bytes.fromhex("0200000003000000fdff01000200")


def test_a_ziplist_from_the_books() -> None:
    assert ziplist.decode(bytes.fromhex("10000000 0d000000 0200 00 0161 03 f6 ff")) == [b"a", b"5"]


@pytest.mark.parametrize("score", [0.0, -0.5, 1e300, float("inf"), float("-inf"), 5e-324])
def test_scores(score: float) -> None:
    assert Cursor(encode_score(score)).score() == score
    text = {"inf": b"\xfe", "-inf": b"\xff"}.get(str(score)) or bytes((len(str(score)),)) + str(score).encode()
    assert Cursor(text).text_score() == score


@pytest.mark.parametrize("data", ["fd", "02 6161", "00", "03 6e616e", "05 31"])
def test_a_text_that_is_no_score_is_refused(data: str) -> None:
    with pytest.raises(RdbError):
        Cursor(bytes.fromhex(data)).text_score()
    with pytest.raises(RdbError):
        Cursor(bytes.fromhex("000000000000f87f")).score()


# Beside a real server


@pytest.fixture(scope="module", autouse=True)
def particular(servers: Pair) -> Iterator[None]:
    """The real server keeps a whole list in one piece, and looks at every byte that it restores."""
    _, theirs = servers.connect()
    changed = {"list-max-listpack-size": "-5", "sanitize-dump-payload": "yes"}
    before = {name: bulk_strings(theirs.ask("CONFIG", "GET", name))[1] for name in changed}
    for name, value in changed.items():
        theirs.ask("CONFIG", "SET", name, value)
    servers.disconnect()
    yield
    _, theirs = servers.connect()
    for name, old in before.items():
        theirs.ask("CONFIG", "SET", name, old)
    servers.disconnect()


def _payload(kind: int, body: bytes) -> bytes:
    payload = bytes((kind,)) + body + b"\x0a\x00"
    return payload + crc64(payload).to_bytes(8, "little")


def _packed(blob: bytes) -> bytes:
    """A list that is one listpack."""
    return _payload(QUICKLIST, b"\1" + encode_length(PACKED) + encode_string(blob, compress=False))


def _dumped(client: RawClient, name: str) -> Cursor:
    return Cursor(parse_reply(client.ask("DUMP", name))[:-10])


@given(ITEMS.filter(bool))
@budget(150)
def test_a_real_server_packs_a_list_to_the_same_bytes(pair: Pair, items: list[bytes]) -> None:
    _, theirs = pair.connect()
    theirs.ask("DEL", "l")
    theirs.ask("RPUSH", "l", *items)
    dumped = _dumped(theirs, "l")
    assert (dumped.byte(), dumped.length(), dumped.length()) == (QUICKLIST, 1, PACKED)
    blob = dumped.string()
    assert listpack.encode(items) == blob
    assert listpack.decode(blob) == items
    pair.disconnect()


@given(st.sets(NUMBERS.filter(lambda number: -(1 << 63) <= number < 1 << 63), min_size=1, max_size=50))
@budget(50)
def test_a_real_server_keeps_a_set_of_integers_in_the_same_bytes(pair: Pair, numbers: set[int]) -> None:
    _, theirs = pair.connect()
    theirs.ask("DEL", "s")
    theirs.ask("SADD", "s", *(b"%d" % number for number in sorted(numbers)))
    dumped = _dumped(theirs, "s")
    assert dumped.byte() == INTSET
    assert dumped.string() == intset.encode(sorted(numbers))
    pair.disconnect()


@given(ITEMS.filter(bool), st.randoms(use_true_random=False))
@budget(100)
def test_ziplists_mean_to_us_what_they_mean_to_a_real_server(pair: Pair, items: list[bytes], chance: Random) -> None:
    blob = old_containers.ziplist(items, chance)
    _, theirs = pair.connect()
    payload = _payload(ZIPLIST, encode_string(blob, compress=False))
    assert theirs.ask("RESTORE", "l", "0", payload, "REPLACE") == b"+OK\r\n"
    assert bulk_strings(theirs.ask("LRANGE", "l", "0", "-1")) == items == ziplist.decode(blob)
    pair.disconnect()


@given(st.dictionaries(ITEM, ITEM, min_size=1), st.randoms(use_true_random=False))
@budget(60)
def test_zipmaps_mean_to_us_what_they_mean_to_a_real_server(
    pair: Pair, fields: dict[bytes, bytes], chance: Random
) -> None:
    blob = old_containers.zipmap(list(fields.items()), chance)
    _, theirs = pair.connect()
    payload = _payload(ZIPMAP, encode_string(blob, compress=False))
    assert theirs.ask("RESTORE", "h", "0", payload, "REPLACE") == b"+OK\r\n"
    told = bulk_strings(theirs.ask("HGETALL", "h"))
    assert dict(zip(told[::2], told[1::2], strict=True)) == fields
    assert zipmap.decode(blob) == [part for pair_ in fields.items() for part in pair_]
    pair.disconnect()


def _damaged(blob: bytes, chance: Random) -> bytes:
    """A byte or two changed, taken out or put in, or the end cut off."""
    damaged = bytearray(blob)
    for _ in range(chance.choice([1, 1, 2])):
        place = chance.randrange(len(damaged)) if damaged else 0
        way = chance.randrange(4)
        if way == 0:
            damaged[place : place + 1] = bytes((chance.randrange(256),))
        elif way == 1:
            del damaged[place : place + 1]
        elif way == 2:
            damaged.insert(place, chance.randrange(256))
        else:
            del damaged[place + 1 :]
    if len(damaged) >= 4 and chance.random() < 0.5:
        # With the right size: what is looked at first.
        damaged[:4] = len(damaged).to_bytes(4, "little")
    return bytes(damaged)


Decode = Callable[[bytes], list[bytes]]
SOUND: list[tuple[Decode, Callable[[list[bytes], Random], bytes], Callable[[bytes], bytes]]] = [
    (listpack.decode, lambda items, _: listpack.encode(items), _packed),
    (ziplist.decode, old_containers.ziplist, lambda blob: _payload(ZIPLIST, encode_string(blob, compress=False))),
]


@pytest.mark.parametrize(("decode", "encode", "payload_of"), SOUND, ids=["listpack", "ziplist"])
@given(items=ITEMS, chance=st.randoms(use_true_random=False))
@budget(300)
def test_damage_is_noticed_where_a_real_server_notices_it(
    pair: Pair,
    decode: Decode,
    encode: Callable[[list[bytes], Random], bytes],
    payload_of: Callable[[bytes], bytes],
    items: list[bytes],
    chance: Random,
) -> None:
    blob = _damaged(encode(items, chance), chance)
    _, theirs = pair.connect()
    accepted = theirs.ask("RESTORE", "l", "0", payload_of(blob), "REPLACE") == b"+OK\r\n"
    told = bulk_strings(theirs.ask("LRANGE", "l", "0", "-1")) if accepted else []
    try:
        # A list of nothing is no list.
        ours = decode(blob)
    except RdbError:
        ours = []
    assert ours == told
    pair.disconnect()


@pytest.mark.parametrize("decode", [listpack.decode, ziplist.decode, zipmap.decode, intset.decode])
@given(data=st.binary(max_size=60))
def test_bytes_at_random_are_refused_and_nothing_else(decode: Callable[[bytes], object], data: bytes) -> None:
    with suppress(RdbError):
        decode(data)


@given(st.dictionaries(ITEM, ITEM), st.sets(st.integers(0, 99), min_size=1), st.randoms(use_true_random=False))
def test_damaged_zipmaps_and_intsets_are_refused_and_nothing_else(
    fields: dict[bytes, bytes], numbers: set[int], chance: Random
) -> None:
    with suppress(RdbError):
        zipmap.decode(_damaged(old_containers.zipmap(list(fields.items()), chance), chance))
    with suppress(RdbError):
        intset.decode(_damaged(intset.encode(sorted(numbers)), chance))
