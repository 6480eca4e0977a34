"""Random places and searches: our node and a real redis-server find the same, to the last digit, in the same order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import Replicas, Steps, Template, assert_alike, budget, options, steps_of

KEY = st.sampled_from(["a", "b"])
MEMBER = st.sampled_from([*"abcdefgh", ""])
# A crowd in one town, places all over the world, and the edges of the map.
LONGITUDE = st.one_of(
    st.floats(13.3, 13.5).map(lambda value: f"{value:.6f}"),
    st.floats(-180, 180).map(lambda value: f"{value:.4f}"),
    st.sampled_from(["180", "-180", "0", "179.9", "-179.9"]),
)
LATITUDE = st.one_of(
    st.floats(52.4, 52.6).map(lambda value: f"{value:.6f}"),
    st.floats(-85, 85).map(lambda value: f"{value:.4f}"),
    st.sampled_from(["85.05112878", "-85.05112878", "0", "84", "-70"]),
)
BAD = st.sampled_from(["x", "200", "-91", "", "nan"])
UNIT = st.sampled_from(["m", "km", "FT", "mi"])
LENGTH = st.one_of(
    st.integers(0, 30000).map(str),
    st.floats(0, 25).map(lambda value: f"{value:.3f}"),
    st.sampled_from(["0", "100000", "5000000", "20000000", "1e300", "inf"]),
)
COUNT = st.sampled_from(["1", "3", "100", "0", "-1", "x"])

_PLACES = st.lists(st.tuples(LONGITUDE, LATITUDE, MEMBER), min_size=1, max_size=5).map(
    lambda places: [word for place in places for word in place]
)
_RESULT = options(
    ["WITHCOORD"], ["withdist"], ["WITHHASH"], ["ASC"], ["desc"], ["COUNT", COUNT], ["COUNT", COUNT, "ANY"], ["ANY"]
)
_STORED = options(["ASC"], ["DESC"], ["COUNT", COUNT], ["COUNT", COUNT, "ANY"], ["STOREDIST"], ["WITHDIST"])
_MIDDLE = options(["FROMMEMBER", MEMBER], ["FROMLONLAT", LONGITUDE, LATITUDE], ["fromlonlat", BAD, LATITUDE])
_SHAPE = options(
    ["BYRADIUS", LENGTH, UNIT], ["BYBOX", LENGTH, LENGTH, UNIT], ["byradius", BAD, UNIT], ["BYBOX", LENGTH, BAD, "x"]
)
_STORE = options(["STORE", KEY], ["storedist", KEY], ["STORE"], ["WITHDIST"], ["COUNT", COUNT], ["ASC"])

_TEMPLATES: tuple[Template, ...] = (
    ("GEOADD", KEY, _PLACES),
    ("GEOADD", KEY, _PLACES),
    ("GEOADD", KEY, options(["NX"], ["xx"], ["CH"], ["GT"]), _PLACES),
    ("GEOADD", KEY, BAD, LATITUDE, MEMBER),
    ("GEOADD", KEY, LONGITUDE, BAD, MEMBER),
    ("GEOADD", KEY, LONGITUDE, LATITUDE, MEMBER, LONGITUDE),
    ("ZADD", KEY, st.sampled_from(["1", "-5", "1e30", "inf", "4503599627370495.5", "-1e30"]), MEMBER),
    ("GEOPOS", KEY, st.lists(MEMBER, max_size=3)),
    ("GEOHASH", KEY, st.lists(MEMBER, max_size=3)),
    ("GEODIST", KEY, MEMBER, MEMBER, st.one_of(st.just([]), UNIT, st.just("x"), st.just(["m", "m"]))),
    ("GEOSEARCH", KEY, "FROMMEMBER", MEMBER, "BYRADIUS", LENGTH, UNIT, _RESULT),
    ("GEOSEARCH", KEY, "FROMLONLAT", LONGITUDE, LATITUDE, "BYRADIUS", LENGTH, UNIT, _RESULT),
    ("GEOSEARCH", KEY, "BYBOX", LENGTH, LENGTH, UNIT, "FROMLONLAT", LONGITUDE, LATITUDE, _RESULT),
    ("GEOSEARCH", KEY, _MIDDLE, _SHAPE, _RESULT),
    ("GEOSEARCHSTORE", KEY, KEY, "FROMLONLAT", LONGITUDE, LATITUDE, "BYRADIUS", LENGTH, UNIT, _STORED),
    ("GEOSEARCHSTORE", KEY, KEY, _MIDDLE, _SHAPE, _STORED),
    ("GEORADIUS", KEY, LONGITUDE, LATITUDE, LENGTH, UNIT, _RESULT),
    ("GEORADIUS", KEY, LONGITUDE, LATITUDE, LENGTH, UNIT, _STORE),
    ("GEORADIUS_RO", KEY, LONGITUDE, LATITUDE, LENGTH, UNIT, _STORE),
    ("GEORADIUSBYMEMBER", KEY, MEMBER, LENGTH, UNIT, _RESULT),
    ("GEORADIUSBYMEMBER", KEY, MEMBER, LENGTH, UNIT, _STORE),
    ("GEORADIUSBYMEMBER_RO", KEY, MEMBER, st.one_of(LENGTH, BAD), st.one_of(UNIT, BAD), _RESULT),
    ("ZRANGE", KEY, "0", "-1", "WITHSCORES"),
    ("ZREM", KEY, MEMBER),
    ("SET", KEY, "string"),
    ("DEL", KEY),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(120)
def test_places(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('GEOPOS', KEYS[1], 'm', 'none')",
        "redis.setresp(3) return redis.call('GEOPOS', KEYS[1], 'm')",
        "redis.setresp(3) return type(redis.call('GEOPOS', KEYS[1], 'm')[1][1]['double'])",
        "return redis.call('GEODIST', KEYS[1], 'm', 'm')",
    ],
)
def test_coordinates_in_scripts(pair: Pair, script: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("GEOADD", "key", "13.361389", "38.115556", "m")
    assert ours.ask("EVAL", script, "1", "key") == theirs.ask("EVAL", script, "1", "key")
