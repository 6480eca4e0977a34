"""How often clients were answered with an error, by its code (the first word), for INFO.

Scripts can make up codes. When there are too many, as Redis 7.4 does, the log names them once and the table gives way
to a note, until CONFIG RESETSTAT; the errors are counted all the same.
"""

from __future__ import annotations

from runtime import Log

_CODES_MAX = 128
_DISABLED = b"ERRORSTATS_DISABLED"


class ErrorCodes:
    """The table, and the sum."""

    __slots__ = ("_is_full", "_log", "counts", "total")

    def __init__(self, log: Log) -> None:
        self._log = log
        self.counts: dict[bytes, int] = {}
        self.total = 0
        # Whether the table has given way.
        self._is_full = False

    def count(self, code: bytes) -> None:
        self.total += 1
        counts = self.counts
        if code in counts:
            counts[code] += 1
        elif not self._is_full:
            if len(counts) < _CODES_MAX:
                counts[code] = 1
            else:
                self._give_way()

    def clear(self) -> None:
        """CONFIG RESETSTAT."""
        self.counts.clear()
        self.total = 0
        self._is_full = False

    def _give_way(self) -> None:
        self._log.warning(
            "Errorstats stopped adding new errors because the number of errors reached the limit, may be misuse of lua "
            "error_reply, please check INFO ERRORSTATS, this can be re-enabled via CONFIG RESETSTAT."
        )
        codes = ", ".join(code.decode("utf-8", "replace") for code in sorted(self.counts))
        self._log.warning(f"Current errors code list: {codes}")
        self.counts.clear()
        self.counts[_DISABLED] = 1
        self._is_full = True
