"""What LATENCY GRAPH draws and LATENCY DOCTOR says of the events of `node.latency`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Protocol

from node.latency import LatencyMonitor, Series

_COLUMNS = 80
_ROWS = 4
# The upper end of a bar, from low to high in its row; below it the bar is filled.
_TIPS = "_o#"
_FILL = "|"

_SLOW_DISK = "Keep the append-only file on a fast local disk that nothing else writes to much."
_LONG_PAUSE = "Commands on large values take long, as does anything that goes through all of one: use smaller values."
_ADVICE = {
    "command": ("SLOWLOG GET shows which commands took long.", _LONG_PAUSE),
    "fast-command": (
        "Commands that do next to nothing took long, so the process was not given the processor: look for other load "
        "on this machine, and for swapping.",
    ),
    "fork": ("A fork takes longer the more memory there is: use less of it in one process, or save less often.",),
    "aof-write-pending-fsync": (_SLOW_DISK,),
    "aof-write-active-child": (
        _SLOW_DISK,
        "'no-appendfsync-on-rewrite yes' spares the disk while a child writes, and may lose more in a power cut.",
    ),
    "aof-write-alone": (_SLOW_DISK,),
    "aof-rename": (_SLOW_DISK,),
    "aof-fsync-always": ("'appendfsync everysec' does not wait for the disk with every command.",),
    "expire-cycle": ("Give keys that are set together different times to live; a higher 'hz' spreads the work.",),
    "eviction-cycle": ("Avoid sudden growth: eviction has to make room before the next command runs.",),
}


class DoctorSettings(Protocol):
    """What of the configuration advice depends on."""

    slowlog_log_slower_than: int


def graph(event: str, series: Series, now_s: int) -> str:
    """The samples as bars, each with its age below it."""
    samples = list(series.samples)
    values = [took_ms for _, took_ms in samples]
    ages = [_age(max(now_s - at_s, 0)) for at_s, _ in samples]
    high, low = max(values), min(values)
    lines = [f"{event} - high {high} ms, low {low} ms (all time high {series.worst_ms} ms)", "-" * _COLUMNS]
    for at in range(0, len(values), _COLUMNS):
        if at:
            lines.append("")
        lines += _bars(values[at : at + _COLUMNS], low, high) + _labels(ages[at : at + _COLUMNS])
    return "".join(f"{line}\n" for line in lines)


def _bars(values: Sequence[int], low: int, high: int) -> list[str]:
    steps = _ROWS * len(_TIPS)
    heights = [min((value - low) * steps // ((high - low) or 1), steps - 1) for value in values]
    lines = []
    for row in range(_ROWS):
        below = (_ROWS - row - 1) * len(_TIPS)
        lines.append("".join(" " if h < below else (_TIPS + _FILL)[min(h - below, len(_TIPS))] for h in heights))
    return lines


def _labels(labels: Sequence[str]) -> list[str]:
    """Written downwards, with a line of space above."""
    return [" " * len(labels), *("".join(column) for column in zip_longest(*labels, fillvalue=" "))]


def _age(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def advice(monitor: LatencyMonitor, settings: DoctorSettings, now_s: int) -> str:
    """What was observed, and what could be done about it."""
    if not monitor.events and not monitor.threshold_ms:
        return (
            "Latency is not monitored. 'CONFIG SET latency-monitor-threshold <milliseconds>' has everything noted that "
            "holds this server up for that long.\n"
        )
    if not monitor.events:
        return f"Nothing has held this server up for {monitor.threshold_ms} ms or longer.\n"
    lines = ["These events have held this server up:", ""]
    advices: dict[str, None] = {}
    for number, (event, series) in enumerate(monitor.events.items(), 1):
        lines.append(f"{number}. {event}: {_summary(series, now_s)}")
        if event == "command" and settings.slowlog_log_slower_than < 0:
            advices["The slow log is off: CONFIG SET slowlog-log-slower-than <microseconds> has commands logged."] = (
                None
            )
        advices |= dict.fromkeys(_ADVICE.get(event, ()))
    if advices:
        lines += ["", "What may help:", "", *(f"- {text}" for text in advices)]
    return "".join(f"{line}\n" for line in lines)


def _summary(series: Series, now_s: int) -> str:
    values = [took_ms for _, took_ms in series.samples]
    count = len(values)
    mean = sum(values) // count
    deviation = sum(abs(value - mean) for value in values) // count
    period_s = max(now_s - series.samples[0][0], 1) / count
    return (
        f"{count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period_s:.2f} sec). "
        f"Worst all time event {series.worst_ms}ms."
    )
