"""The orderly end of a node: SHUTDOWN, SIGTERM and SIGINT.

Replicas that lag get `shutdown-timeout` seconds to catch up while writes are held back; then the snapshot is saved
if it should be, and the node ends with status 0. A failure to save calls it off, unless
forced; so does SHUTDOWN ABORT while replicas are waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from node.pause import PausePurpose, Pauses
from node.settings import NodeSettings
from runtime import Log
from runtime.process import Interrupted
from wire.errors import Error

_FAILED = b"ERR Errors trying to SHUTDOWN. Check logs."
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class ShutdownOptions:
    """How to end: `save` None decides by whether there are save points; `now` does not wait for replicas; `force`
    does not mind errors."""

    save: bool | None = None
    now: bool = False
    force: bool = False

    @classmethod
    def of(cls, words: tuple[str, ...]) -> ShutdownOptions:
        """From the value of `shutdown-on-sigterm`."""
        save = True if "save" in words else False if "nosave" in words else None
        return cls(save, "now" in words, "force" in words)


class Shutdown:
    """Whether the node is ending, and how far it has come."""

    __slots__ = (
        "_deadline",
        "_end",
        "_lagging",
        "_log",
        "_options",
        "_pauses",
        "_replicas",
        "_save",
        "_scheduled",
        "_settings",
        "_waiters",
        "ending",
    )

    def __init__(
        self,
        settings: NodeSettings,
        log: Log,
        pauses: Pauses,
        save: Callable[[bool | None], None],
        replicas: Callable[[], int],
        lagging: Callable[[], list[str]],
        end: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._log = log
        self._pauses = pauses
        # Saves the snapshot if told to, or if not told (None) and there are save points; raises Error, or Interrupted
        # when a SIGINT comes meanwhile.
        self._save = save
        # How many replicas there are, and which of them have not acknowledged everything: each with how it stands.
        self._replicas = replicas
        self._lagging = lagging
        # Ends the node with an exit status.
        self._end = end
        # While a shutdown is under way: how, until when (loop time) replicas are waited for, and who is told if it
        # fails.
        self._options: ShutdownOptions | None = None
        # What a signal has asked for that the clockwork has not come to yet.
        self._scheduled: ShutdownOptions | None = None
        self._deadline = 0.0
        self._waiters: list[Callable[[Error], None]] = []
        # The point of no return: everything is saved.
        self.ending = False

    @property
    def under_way(self) -> bool:
        return self._options is not None or self._scheduled is not None

    @property
    def left_ms(self) -> int | None:
        """For how long replicas will be waited for at the most; None while that is not under way."""
        if self._options is None or not self._deadline:
            return None
        return round((self._deadline - asyncio.get_running_loop().time()) * 1000)

    def signalled(self, signal_name: str) -> None:
        """SIGTERM or SIGINT; whoever insists gets an end without manners."""
        if self.under_way and signal_name == "SIGINT":
            self._insisted()
            return
        self._log.warning(f"Received {signal_name} scheduling shutdown...")
        words = self._settings.shutdown_on_sigint if signal_name == "SIGINT" else self._settings.shutdown_on_sigterm
        self._scheduled = ShutdownOptions.of(words)

    def cron(self) -> None:
        """Do what a signal has asked for; until then it can be called off, as in Redis."""
        options, self._scheduled = self._scheduled, None
        if options is not None:
            self.request(options, _nobody)

    def request(self, options: ShutdownOptions, failed: Callable[[Error], None]) -> None:
        """End the node; `failed` is called if that does not work out."""
        self._waiters.append(failed)
        if self._options is not None and not options.now:
            return
        self._log.warning("User requested shutdown...")
        self._options = options
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self._settings.shutdown_timeout
        if not options.now and self._settings.shutdown_timeout and self._lagging():
            self._log.notice("Waiting for replicas before shutting down.")
            self._pauses.begin(PausePurpose.SHUTDOWN, float("inf"), everything=False)
            loop.call_later(_POLL_S, self._poll)
            return
        self._finish(options)

    def abort(self) -> bool:
        """SHUTDOWN ABORT; False when there is nothing to call off."""
        if not self.under_way or self.ending:
            return False
        self._log.notice("Shutdown manually aborted.")
        self._call_off()
        return True

    def _poll(self) -> None:
        options = self._options
        if options is None or self.ending:
            return
        loop = asyncio.get_running_loop()
        if self._lagging() and loop.time() < self._deadline:
            loop.call_later(_POLL_S, self._poll)
            return
        self._finish(options)

    def _finish(self, options: ShutdownOptions) -> None:
        lagging, replicas = self._lagging(), self._replicas()
        for replica in lagging:
            self._log.warning(f"Lagging replica {replica}")
        if replicas:
            self._log.notice(f"{replicas - len(lagging)} of {replicas} replicas are in sync when shutting down.")
        try:
            self._save(options.save)
        except Interrupted:
            self._insisted()
            return
        except Error:
            if not options.force:
                self._log.warning("Error trying to save the DB, can't exit.")
                self._log.warning("Errors trying to shut down the server. Check the logs for more information.")
                self._call_off()
                return
            self._log.warning("Error trying to save the DB, but the shutdown is forced.")
        self.ending = True
        self._end(0)

    def _insisted(self) -> None:
        self._log.warning("You insist... exiting now.")
        self.ending = True
        self._end(1)

    def _call_off(self) -> None:
        self._options = self._scheduled = None
        self._pauses.end(PausePurpose.SHUTDOWN)
        waiters, self._waiters = self._waiters, []
        for failed in waiters:
            failed(Error(_FAILED))


def _nobody(_: Error) -> None:
    pass
