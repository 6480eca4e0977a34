"""The outside world, handed to product code as arguments.

A process is built from ``(settings, runtime)``. `Runtime` carries the clock, randomness, files,
background work and the log; timers and sockets come from whichever asyncio loop is running. The
simulator supplies twins of these classes, so product code never imports ``time``, ``random``,
``os`` or ``threading`` for their effects.
"""

from runtime.clock import Clock
from runtime.disk import Disk, DiskFile, FileSystem
from runtime.log import Level, Log
from runtime.randomness import Randomness
from runtime.runtime import Runtime
from runtime.tasks import Tasks

__all__ = ["Clock", "Disk", "DiskFile", "FileSystem", "Level", "Log", "Randomness", "Runtime", "Tasks"]
