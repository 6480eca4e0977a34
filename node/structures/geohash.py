"""Positions on earth as geohashes: cells of a grid that is halved in turns by longitude and latitude.

A cell of `step` halvings each way is a number of ``2 * step`` bits, a bit of the longitude above a bit of the latitude.
Sorted sets keep the cell of 26 steps, 52 bits, as a score, which a double holds exactly; the cells of fewer steps
are ranges of such scores. Latitudes end where the Mercator projection of web maps does. See the documentation of
GEOADD, "How does it work?", and https://en.wikipedia.org/wiki/Geohash.
"""

from __future__ import annotations

from math import asin, cos, degrees, isfinite, nan, pi, sin, sqrt
from typing import NamedTuple

STEPS = 26
_SIZE = 1 << STEPS
LONGITUDE_MAX = 180.0
LATITUDE_MAX = 85.05112878
# As Redis has it, or the last digits of distances would differ.
_EARTH_RADIUS_M = 6372797.560856
_RADIAN = pi / 180.0
# Half of the equator in that projection.
_MERCATOR_MAX_M = 20037726.37
_ALPHABET = b"0123456789bcdefghjkmnpqrstuvwxyz"
_TEXT_LENGTH = 11
_MASK_64 = (1 << 64) - 1
# The bits of rows and columns.
_ROWS = 0x5555555555555555
_COLUMNS = _ROWS << 1


def _spread(byte: int) -> int:
    return sum((byte >> bit & 1) << 2 * bit for bit in range(8))


# The bits of each byte with a gap before each.
_SPREAD = [_spread(byte) for byte in range(256)]


class Area(NamedTuple):
    """A rectangle, in degrees."""

    west: float
    south: float
    east: float
    north: float


class Cell(NamedTuple):
    """A cell of the grid: its column from the west, its row from the south, and how often the grid was halved."""

    column: int
    row: int
    step: int

    @property
    def bits(self) -> int:
        return _interleave(self.row) | _interleave(self.column) << 1

    def area(self) -> Area:
        width = 2 * LONGITUDE_MAX
        height = 2 * LATITUDE_MAX
        size = 1 << self.step
        return Area(
            -LONGITUDE_MAX + self.column / size * width,
            -LATITUDE_MAX + self.row / size * height,
            -LONGITUDE_MAX + (self.column + 1) / size * width,
            -LATITUDE_MAX + (self.row + 1) / size * height,
        )

    def neighbour(self, east: int, north: int) -> Cell:
        """The cell so many columns and rows away; the grid has no edges.

        A position on the very edge of the map is in a column or row of its own behind the last, and stays there.
        """
        mask = (1 << self.step) - 1
        column = self.column + east & mask if east else self.column
        row = self.row + north & mask if north else self.row
        return Cell(column, row, self.step)

    def scores(self) -> tuple[int, int]:
        """The first score within the cell, and the first behind it."""
        shift = 2 * (STEPS - self.step)
        return self.bits << shift, self.bits + 1 << shift


def cell_at(longitude: float, latitude: float, step: int = STEPS, latitude_max: float = LATITUDE_MAX) -> Cell:
    """The cell that a position is in."""
    size = 1 << step
    column = int((longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX) * size)
    row = int((latitude + latitude_max) / (2 * latitude_max) * size)
    return Cell(column, row, step)


def position_of(score: float) -> tuple[float, float]:
    """Longitude and latitude of the middle of the cell that a score stands for; any score stands for one."""
    # What does not fit 64 bits becomes what a processor makes of it.
    bits = int(score) & _MASK_64 if -(2.0**63) <= score < 2.0**64 else (score < 0) << 63
    column, row = _gather(bits >> 1), _gather(bits)
    # As `Cell.area` has it, but without the objects: a search asks for thousands.
    west = -LONGITUDE_MAX + column / _SIZE * (2 * LONGITUDE_MAX)
    east = -LONGITUDE_MAX + (column + 1) / _SIZE * (2 * LONGITUDE_MAX)
    south = -LATITUDE_MAX + row / _SIZE * (2 * LATITUDE_MAX)
    north = -LATITUDE_MAX + (row + 1) / _SIZE * (2 * LATITUDE_MAX)
    longitude, latitude = (west + east) / 2, (south + north) / 2
    if column < _SIZE and row < _SIZE:
        return longitude, latitude
    return _clamp(longitude, LONGITUDE_MAX), _clamp(latitude, LATITUDE_MAX)


class Frame:
    """A rectangle held against scores as they are, without finding out where each of them lies.

    The bits of columns, and of rows, keep their order with gaps between them, so they are compared where they stand.
    """

    __slots__ = ("_east", "_north", "_south", "_west")

    def __init__(self, area: Area) -> None:
        """Columns are not told apart where `area` goes around the earth, or has no width that could be told."""
        self._south, self._north = _lines(area.south, area.north, LATITUDE_MAX)
        self._west, self._east = 0, _COLUMNS
        if -LONGITUDE_MAX <= area.west <= area.east <= LONGITUDE_MAX:
            west, east = _lines(area.west, area.east, LONGITUDE_MAX)
            self._west, self._east = west << 1, east << 1

    def sift(self, pairs: list[tuple[bytes, float]]) -> list[tuple[bytes, float]]:
        """Those members, with the scores of a cell, that may be inside; a place beside the edge may be, too."""
        south, north, west, east = self._south, self._north, self._west, self._east
        rows, columns = _ROWS, _COLUMNS
        return [
            pair for pair in pairs if south <= (bits := int(pair[1])) & rows <= north and west <= bits & columns <= east
        ]


def _lines(low: float, high: float, limit: float) -> tuple[int, int]:
    """The bits of the first row, or column, in question and of the last: those beside the edges are, too."""
    first, last = [int((min(max(edge, -limit), limit) + limit) / (2 * limit) * _SIZE) for edge in (low, high)]
    # What is not on the map is shown at its edge.
    return _interleave(max(first - 1, 0)), _interleave(last + 1) if last + 1 < _SIZE else _ROWS


def standard_text(longitude: float, latitude: float) -> bytes:
    """The geohash in its usual form, whose latitudes go to the poles. Eleven digits need more bits than there are."""
    bits = cell_at(longitude, latitude, latitude_max=90.0).bits
    digits = [_ALPHABET[bits >> 2 * STEPS - 5 * (place + 1) & 31] for place in range(_TEXT_LENGTH - 1)]
    return bytes((*digits, _ALPHABET[0]))


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The distance of two positions along a great circle, by the haversine formula."""
    longitude, latitude = one[0] * _RADIAN, one[1] * _RADIAN
    other_longitude, other_latitude = other[0] * _RADIAN, other[1] * _RADIAN
    v = sin((other_longitude - longitude) / 2)
    if v == 0.0:
        return _EARTH_RADIUS_M * abs(other_latitude - latitude)
    u = sin((other_latitude - latitude) / 2)
    # Of two places on opposite sides the sum may be a rounding error above 1.
    return 2.0 * _EARTH_RADIUS_M * asin(min(sqrt(u * u + cos(latitude) * cos(other_latitude) * v * v), 1.0))


def latitude_distance_m(one: float, other: float) -> float:
    """The distance of two latitudes."""
    return _EARTH_RADIUS_M * abs(other * _RADIAN - one * _RADIAN)


def bounding_box(position: tuple[float, float], width_m: float, height_m: float) -> Area:
    """What lies within so many metres to each side; widest at the edge that is nearer to a pole."""
    longitude, latitude = position
    height = degrees(height_m / _EARTH_RADIUS_M)
    edge = latitude - height if latitude < 0 else latitude + height
    width = degrees(width_m / _EARTH_RADIUS_M / cos(edge * _RADIAN)) if isfinite(edge) else nan
    return Area(longitude - width, latitude - height, longitude + width, latitude + height)


def covering_cells(position: tuple[float, float], box: Area, radius_m: float) -> list[Cell]:
    """The cells, up to nine, in which everything lies that is in `box` and within `radius_m`; the middle one first.

    The order is Redis', for the results of an unsorted search come in it.
    """
    step = _step_for(radius_m, position[1])
    middle = cell_at(*position, step)
    north, south, east, west = (middle.neighbour(*way).area() for way in ((0, 1), (0, -1), (1, 0), (-1, 0)))
    too_small = north.north < box.north or south.south > box.south or east.east < box.east or west.west > box.west
    if step > 1 and too_small:
        step -= 1
        middle = cell_at(*position, step)
    ways = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)]
    if step >= 2:
        area = middle.area()
        if area.south < box.south:
            ways = [way for way in ways if way[1] >= 0]
        if area.north > box.north:
            ways = [way for way in ways if way[1] <= 0]
        if area.west < box.west:
            ways = [way for way in ways if way[0] >= 0]
        if area.east > box.east:
            ways = [way for way in ways if way[0] <= 0]
    cells: list[Cell] = []
    for way in ways:
        cell = middle.neighbour(*way)
        # Where the grid is coarse, east and west may be the same. Redis looks at the one before only.
        if len(cells) < 2 or cell != cells[-1]:
            cells.append(cell)
    return cells


def _step_for(radius_m: float, latitude: float) -> int:
    """How fine the grid may be for nine cells to cover the circle; near the poles cells are narrow."""
    if radius_m == 0:
        return STEPS
    step = -1
    while radius_m < _MERCATOR_MAX_M:
        radius_m *= 2
        step += 1
    if abs(latitude) > 66:
        step -= 1
        if abs(latitude) > 80:
            step -= 1
    return min(max(step, 1), STEPS)


def _interleave(number: int) -> int:
    """The bits of a 32-bit number, each with a gap before it."""
    return (
        _SPREAD[number & 255]
        | _SPREAD[number >> 8 & 255] << 16
        | _SPREAD[number >> 16 & 255] << 32
        | _SPREAD[number >> 24 & 255] << 48
    )


def _gather(bits: int) -> int:
    """The number that every other bit makes: pairs of bits are pushed together, then pairs of pairs, and so on."""
    bits &= _ROWS
    bits = (bits | bits >> 1) & 0x3333333333333333
    bits = (bits | bits >> 2) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | bits >> 4) & 0x00FF00FF00FF00FF
    bits = (bits | bits >> 8) & 0x0000FFFF0000FFFF
    return (bits | bits >> 16) & 0xFFFFFFFF


def _clamp(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
