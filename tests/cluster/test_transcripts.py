"""Whole conversations, as text: what each node said, logged and was told to do, heartbeats left out.

`UPDATE_TRANSCRIPTS=1 pytest tests/cluster/test_transcripts.py` writes them anew; a changed transcript is committed
when its difference is understood.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.events import (
    Answer,
    Broadcast,
    CloseLink,
    Dial,
    Effect,
    Failover,
    LogLine,
    Meet,
    Save,
    Send,
    SendDatagram,
    SlotsChanged,
)
from cluster.messages import Heartbeat, Message, Update
from cluster.slots import from_bitmap, ranges
from runtime.log import Level
from tests.cluster.mesh import Mesh

FOLDER = Path(__file__).parent / "transcripts"


def a_master_dies_and_comes_back(mesh: Mesh) -> None:
    mesh.form()
    forget_the_past(mesh)
    mesh.kill(mesh.peers["m0"])
    mesh.until(lambda: mesh.peers["r0"].me.is_master)
    mesh.until(mesh.settled)
    mesh.restart(mesh.peers["m0"])
    mesh.until(mesh.settled)


def an_operator_swaps_master_and_replica(mesh: Mesh) -> None:
    mesh.form()
    forget_the_past(mesh)
    mesh.peers["m0"].offset, mesh.peers["r0"].offset = 700, 650
    mesh.peers["r0"].order(Failover())
    mesh.run(50)
    mesh.peers["r0"].offset = 700
    mesh.until(lambda: mesh.peers["r0"].me.is_master)
    mesh.until(mesh.settled)


def two_strangers_meet(mesh: Mesh) -> None:
    a, b = mesh.add("a"), mesh.add("b")
    forget_the_past(mesh)
    a.order(Meet(b.ip, 7000))
    mesh.until(lambda: a.knows(b) and b.knows(a))


def forget_the_past(mesh: Mesh) -> None:
    for peer in mesh.peers.values():
        peer.effects.clear()


STORIES: list[Callable[[Mesh], None]] = [
    a_master_dies_and_comes_back,
    an_operator_swaps_master_and_replica,
    two_strangers_meet,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_transcript(story: Callable[[Mesh], None]) -> None:
    mesh = Mesh()
    # A story about strangers is about their heartbeats, too.
    story(mesh)
    said = transcript(mesh, heartbeats=story is two_strangers_meet)
    file = FOLDER / f"{story.__name__}.txt"
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        file.write_text(said)
    assert said == file.read_text()


def transcript(mesh: Mesh, *, heartbeats: bool) -> str:
    entries = [
        (moment, order, peer, effect)
        for peer in mesh.peers.values()
        for order, (moment, effect) in enumerate(peer.effects)
    ]
    start = min(moment for moment, *_ in entries)
    names = list(mesh.peers)
    lines = []
    for moment, _, peer, effect in sorted(entries, key=lambda entry: (entry[0], names.index(entry[2].name), entry[1])):
        text = _describe(effect, heartbeats=heartbeats)
        if text:
            lines.append(f"{moment - start:6.0f} {peer.name:<3}{text}\n")
    said = "".join(lines)
    for peer in mesh.peers.values():
        said = said.replace(peer.node_id, peer.name)
    # Placeholders for the names of strangers.
    return re.sub(r"[0-9a-f]{40}", "(placeholder)", said)


def _describe(effect: Effect, *, heartbeats: bool) -> str:
    match effect:
        case Send(link=link, message=message):
            return _message(message, f"on link {link}", heartbeats)
        case SendDatagram(ip=ip, message=message):
            return _message(message, f"datagram to {ip}", heartbeats)
        case Broadcast(links=links, message=message):
            return _message(message, f"to {len(links)} nodes", heartbeats=True)
        case LogLine(level=level, text=text):
            return f"| {text}" if level >= Level.NOTICE else ""
        case SlotsChanged() | CloseLink():
            return ""
        case Dial(link=link, ip=ip):
            return f"> dial {ip} as link {link}" if heartbeats else ""
        case Save(fsync=fsync):
            return "> save, durably" if fsync else "> save"
        case Answer(text=text):
            return f"> answer {text}"
        case _:
            return f"> {effect}"


def _message(message: Message, where: str, heartbeats: bool) -> str:
    if isinstance(message.body, Heartbeat):
        if not heartbeats:
            return ""
        body = f"{message.kind.name}" if message.kind is not None else ""
    elif isinstance(message.body, Update):
        body = f"UPDATE {message.body.node} epoch {message.body.config_epoch} {ranges(from_bitmap(message.body.slots))}"
    else:
        body = repr(message.body)
    shown = message.header
    master = "" if shown.master is None else f" replica of {shown.master}"
    flags = f" {shown.mflags & 3!r}" if shown.mflags & 3 else ""
    return f"> {body} {where} [epoch {shown.current_epoch}/{shown.config_epoch}{master}{flags}]"
