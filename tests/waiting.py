"""Waiting for a condition, never for a time: the two forms that tests use.

They give up only when a busy machine explains it no longer. How long something may take is for tests in virtual time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], *, timeout: float = 30.0, what: str = "") -> T:
    """Call `condition` until it returns something true and return that; else AssertionError with what it returned."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, _message(what, timeout, value)
        time.sleep(0.02)
    return value


async def wait_until(condition: Callable[[], Awaitable[T]], *, timeout: float = 30.0, what: str = "") -> T:
    """The same for a condition that must be awaited."""
    deadline = time.monotonic() + timeout
    while not (value := await condition()):
        assert time.monotonic() < deadline, _message(what, timeout, value)
        await asyncio.sleep(0.02)
    return value


def _message(what: str, timeout: float, value: object) -> str:
    return f"{what or 'the condition'} did not come true in {timeout:g} s; last seen: {value!r}"
