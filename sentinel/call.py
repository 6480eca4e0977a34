"""What a sentinel's handler is given: the arguments, what the sentinel knows, and the way to its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.settings import to_bytes, to_text
from sentinel.events import Answer, Event
from sentinel.instances import Master
from sentinel.knowledge import Knowledge
from wire.arguments import parse_integer
from wire.call import Call as WireCall
from wire.errors import Error
from wire.session import Session

if TYPE_CHECKING:
    from sentinel.sentinel import Sentinel


class Call(WireCall):
    """A command being run by a sentinel; one object a session, see `wire.call`."""

    __slots__ = ("sentinel",)

    def __init__(self, sentinel: Sentinel, session: Session) -> None:
        super().__init__(sentinel.front, session)
        self.sentinel = sentinel

    @property
    def knowledge(self) -> Knowledge:
        return self.sentinel.machine.knowledge

    def text(self, index: int) -> str:
        """An argument as text; bytes that are none survive the way there and back."""
        return to_text(self.argv[index])

    def master(self, index: int = 2) -> Master:
        """The master an argument names; raises Error."""
        master = self.knowledge.masters.get(self.text(index))
        if master is None:
            raise Error(b"ERR No such master with that name")
        return master

    def order(self, event: Event) -> Answer:
        """Have the machine do something; raises Error where it refuses."""
        answer = self.sentinel.driver.ask(event)
        if answer.error is not None:
            raise Error(to_bytes(answer.error))
        return answer


def at_least(raw: bytes, least: int, refusal: bytes) -> int:
    """The number that `raw` is; raises Error(`refusal`) where it is none, or smaller than `least`."""
    value = parse_integer(raw, refusal)
    if value < least:
        raise Error(refusal)
    return value
