"""A frame may keep what is outside of it, and never loses what is inside."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.structures.geohash import LATITUDE_MAX, LONGITUDE_MAX, Area, Frame, cell_at, position_of

_LONGITUDES = st.floats(-LONGITUDE_MAX, LONGITUDE_MAX) | st.sampled_from([-LONGITUDE_MAX, LONGITUDE_MAX])
_LATITUDES = st.floats(-LATITUDE_MAX, LATITUDE_MAX) | st.sampled_from([-LATITUDE_MAX, LATITUDE_MAX])
# A score need not have been made by GEOADD.
_FRACTIONS = st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0])
_SCORES = st.builds(
    lambda longitude, latitude, more: cell_at(longitude, latitude).bits + more, _LONGITUDES, _LATITUDES, _FRACTIONS
)


@given(scores=st.lists(_SCORES, max_size=30), west=_LONGITUDES, east=_LONGITUDES, south=_LATITUDES, north=_LATITUDES)
def test_nothing_inside_is_sifted_out(
    scores: list[float], west: float, east: float, south: float, north: float
) -> None:
    south, north = sorted((south, north))
    kept = {score for _, score in Frame(Area(west, south, east, north)).sift([(b"", score) for score in scores])}
    for score in scores:
        longitude, latitude = position_of(score)
        inside = south <= latitude <= north and (west > east or west <= longitude <= east)
        assert score in kept or not inside


def test_what_is_far_outside_is_sifted_out() -> None:
    frame = Frame(Area(10.0, 50.0, 11.0, 51.0))
    places = [(10.5, 50.5), (12.0, 50.5), (9.0, 50.5), (10.5, 52.0), (10.5, 49.0), (-10.5, -50.5)]
    pairs = [(b"%d" % number, float(cell_at(*place).bits)) for number, place in enumerate(places)]
    assert [member for member, _ in frame.sift(pairs)] == [b"0"]
