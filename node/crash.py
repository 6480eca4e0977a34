"""The report of a mistake of ours: what was going on, and the traceback, as log lines that can be sent to somebody."""

from __future__ import annotations

import traceback

from runtime import Log
from wire.front import REDIS_VERSION


def report_crash(log: Log, what: str, failure: BaseException) -> None:
    """Log the report. Ending the process is for the caller, who knows what it is part of."""
    log.warning("=== SHARDLAB BUG REPORT START: Cut & paste starting from here ===")
    log.warning(f"Shardlab (Redis {REDIS_VERSION}) crashed: {what}")
    for line in "".join(traceback.format_exception(failure)).splitlines():
        log.warning(line)
    log.warning("=== SHARDLAB BUG REPORT END ===")
