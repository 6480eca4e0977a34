"""The log files of real processes, read as they grow: lines in Redis' format, and when each was said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# 23128:M 29 Nov 2026 15:54:28.123 # +odown master shard-0 ...   (the letter is the role of whoever says it)
_LINE = re.compile(r"\d+:[A-Z] (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d)\.(\d{3}) ([.\-*#] .*)")


def understand(line: str) -> tuple[float, str] | None:
    """When (seconds of the wall clock) and what; None for a line that is not in the format (a traceback's, say)."""
    match = _LINE.fullmatch(line)
    if match is None or match[2] not in _MONTHS:
        return None
    day, year, hour, minute, second, milli = (int(match[number]) for number in (1, 3, 4, 5, 6, 7))
    # Local time, as the process wrote it.
    moment = datetime(year, _MONTHS.index(match[2]) + 1, day, hour, minute, second, milli * 1000).astimezone()
    return moment.timestamp(), match[8]


class LogFiles:
    """Several files, each read from where the last look ended."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        # How much of each has been read: whole lines only.
        self._read = dict.fromkeys(paths, 0)

    def skip(self) -> None:
        """Pass over what is there already."""
        self.new_lines()

    def new_lines(self) -> list[tuple[float, str, str]]:
        """When, who and what, file by file."""
        found = []
        for who, path in self._paths.items():
            for text in self._new_text(who, path).splitlines():
                understood = understand(text)
                if understood is not None:
                    at, what = understood
                    found.append((at, who, what))
        return found

    def _new_text(self, who: str, path: Path) -> str:
        try:
            with path.open("rb") as file:
                file.seek(self._read[who])
                data = file.read()
        except FileNotFoundError:
            return ""
        # What is not yet a whole line is read next time.
        data = data[: data.rfind(b"\n") + 1]
        self._read[who] += len(data)
        return data.decode(errors="replace")
