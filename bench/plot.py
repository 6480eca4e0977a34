"""Line charts as SVG, by hand: figures for the docs without a plotting library.

Both axes start at zero and are linear; series are told apart by colour and by a label at their last point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 170, 40, 50
# Readable on white and on dark backgrounds, and by people who see few colours.
_COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#e7298a")
_GREY = "#888888"
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Series:
    """One line."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture."""

    title: str
    x_name: str
    y_name: str
    series: Sequence[Series]


def render(charts: Sequence[Chart]) -> str:
    """An SVG document with the charts one below the other."""
    body = "".join(f'<g transform="translate(0,{n * _HEIGHT})">{_chart(chart)}</g>\n' for n, chart in enumerate(charts))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT * len(charts)}"'
        f' font-family="sans-serif" font-size="12" fill="{_GREY}">\n{body}</svg>\n'
    )


def _chart(chart: Chart) -> str:
    x_max = _ceiling(max(x for series in chart.series for x in series.xs))
    y_max = _ceiling(max(y for series in chart.series for y in series.ys))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return (_LEFT + width * x / x_max, _TOP + height * (1 - y / y_max))

    parts = [_text(_LEFT, _TOP - 16, chart.title, size=15)]
    for tick in range(_TICKS + 1):
        x, y = x_max * tick / _TICKS, y_max * tick / _TICKS
        (left, level), (place, bottom) = at(0, y), at(x, 0)
        parts.append(f'<path d="M{left:.1f} {level:.1f}h{width}" stroke="{_GREY}" stroke-opacity="0.3"/>')
        parts.append(_text(left - 8, level + 4, f"{y:g}", anchor="end"))
        parts.append(_text(place, bottom + 18, f"{x:g}", anchor="middle"))
    parts.append(_text(_LEFT + width / 2, _HEIGHT - 12, chart.x_name, anchor="middle"))
    y_name = _text(0, 0, chart.y_name, anchor="middle")
    parts.append(f'<g transform="translate(18,{_TOP + height / 2}) rotate(-90)">{y_name}</g>')
    labels: list[float] = []
    for number, series in enumerate(chart.series):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [at(x, y) for x, y in zip(series.xs, series.ys, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        x, y = points[-1]
        # A label that would lie on another one goes below it.
        while any(abs(y - taken) < 14 for taken in labels):
            y += 14
        labels.append(y)
        parts.append(_text(x + 8, y + 4, series.name, colour=colour))
    return "".join(parts)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = _GREY) -> str:
    look = f'text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'


def _ceiling(value: float) -> float:
    """A round number not below the value, for the end of an axis."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value)
