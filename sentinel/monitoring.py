"""The rounds: keep links up, PING everybody, ask for INFO, say hello. Goes on in TILT as well.

Owns when something periodic is sent and what the answer to a PING means for a link; what an INFO
says is read in `info.py`, what a silence means is decided in `down.py`.
"""

from __future__ import annotations

from sentinel.events import Close, Half, Open, Resolve
from sentinel.failover import awaits_promotion, unsettled
from sentinel.hello import compose
from sentinel.instances import DataInstance, Instance, Master, Peer, Replica, Role
from sentinel.knowledge import all_instances
from sentinel.requests import Info, KillScript, Ping, Publish
from sentinel.step import Step
from wire.errors import LOST_DATA, Error

# How often the instance that is being promoted is asked for its role: each of these is outage.
PROMOTION_POLL_MS = 100
# Which part of their period PINGs may come too early.
_EARLY = 8
# Pace of INFO to replicas whose state is about to matter.
URGENT_INFO_MS = 1_000


def make_rounds(step: Step, master: Master) -> None:
    """Whatever is periodic about the master, its replicas and the other sentinels."""
    for instance in list(all_instances(master)):
        make_round(step, master, instance)


def make_round(step: Step, master: Master, instance: Instance) -> None:
    """Whatever is periodic about one of them."""
    link = instance.link
    if link.command.connected_at is None or (link.listens and link.pubsub.connected_at is None):
        _reconnect(step, master, instance)
    _close_if_stuck(step, master, instance)
    if isinstance(instance, DataInstance):
        _ask_info(step, master, instance)
    _ping(step, master, instance)
    _say_hello(step, master, instance)


def take_pong(step: Step, master: Master, instance: Instance, reply: object) -> None:
    """Judge the reply to a PING. An instance that loads its data or has lost its master is alive."""
    text = reply.text if isinstance(reply, Error) else reply if isinstance(reply, bytes) else b""
    pong = text == b"PONG"
    alive = pong or text.startswith((b"LOADING", b"MASTERDOWN"))
    instance.link.ponged(step.now, alive=alive)
    if instance is master:
        master.lost_data = text == LOST_DATA
        if pong:
            master.rebooted_at = None
    if text.startswith(b"BUSY") and instance is master:
        _unblock(step, master)


def ping_period(step: Step, master: Master) -> int:
    return step.periods.ping_every(master.options.down_after_ms)


def slack(step: Step, master: Master) -> int:
    """How much too early a PING may be. One wake-up of this process then serves the links that would want another soon
    after, and before long nearly all of them, where each had a time of its own."""
    return ping_period(step, master) // _EARLY


def _unblock(step: Step, master: Master) -> None:
    """A script has kept the master busy until it counts as down: stop the script, once."""
    if master.sdown and not master.script_killed:
        master.script_killed = True
        step.send(master.link, KillScript())


def _reconnect(step: Step, master: Master, instance: Instance) -> None:
    """Open what is closed, at most once per PING period and half."""
    link = instance.link
    for half in (Half.COMMAND, Half.PUBSUB) if link.listens else (Half.COMMAND,):
        wire = link.half(half)
        if wire.connected_at is not None or wire.opening:
            continue
        if not step.elapsed(wire.tried_at, ping_period(step, master)):
            continue
        wire.tried_at = step.now
        _resolve(step, instance)
        if not instance.address.ip:
            continue
        wire.opening = True
        user, password = _credentials(step, master, instance)
        step.effects.append(
            Open(
                link.number,
                half,
                instance.address.ip,
                instance.address.port,
                min(step.periods.ping, master.options.down_after_ms),
                user,
                password,
                tuple(master.options.renamed_commands.items()) if isinstance(instance, DataInstance) else (),
            )
        )


def _resolve(step: Step, instance: Instance) -> None:
    """Look its name up again: a container that comes back may have another address."""
    if not instance.address.has_name or not step.knowledge.memory.resolve_hostnames:
        return
    if step.elapsed(instance.resolved_at, step.periods.ping):
        instance.resolved_at = step.now
        step.effects.append(Resolve(instance.address.host))


def _credentials(step: Step, master: Master, instance: Instance) -> tuple[str | None, str | None]:
    if isinstance(instance, Peer):
        memory = step.knowledge.memory
        return memory.sentinel_user, memory.sentinel_pass or step.knowledge.requirepass
    return master.options.auth_user, master.options.auth_pass


def _close_if_stuck(step: Step, master: Master, instance: Instance) -> None:
    """Give up a connection that carries nothing back, so that a new one can be tried.

    After a network partition an old TCP connection may sleep in retransmission for minutes while a new one would
    be answered at once.
    """
    link, now = instance.link, step.now
    patience = master.options.down_after_ms // 2
    if (
        link.command.connected_at is not None
        and step.elapsed(link.command.connected_at, step.periods.min_link_reconnect)
        and link.silent_since is not None
        and step.elapsed(link.silent_since, patience)
        and step.elapsed(link.ponged_at, patience)
    ):
        link.disconnected(Half.COMMAND)
        step.effects.append(Close(link.number, Half.COMMAND))
    if (
        link.pubsub.connected_at is not None
        and now - link.pubsub.connected_at > step.periods.min_link_reconnect
        and now - link.pubsub.heard_at > 3 * step.periods.publish
    ):
        link.disconnected(Half.PUBSUB)
        step.effects.append(Close(link.number, Half.PUBSUB))


def _ask_info(step: Step, master: Master, instance: DataInstance) -> None:
    link, sent_at = instance.link, instance.info_sent_at
    if not link.accepts_periodic:
        return
    # What was asked on a connection that is gone, by whoever ended it, is not answered any more.
    opened_at = link.command.connected_at
    asked = sent_at is not None and opened_at is not None and sent_at >= opened_at
    if asked and not step.elapsed(sent_at, step.periods.info):
        return
    if not step.elapsed(instance.info_at, _info_period(step, master, instance)):
        return
    instance.info_sent_at = step.now
    step.send(link, Info())
    step.due(step.now + step.periods.info + 1)


def _info_period(step: Step, master: Master, instance: DataInstance) -> int:
    """How old an INFO may get. It is fresh where a decision is about to rest on it."""
    urgent = min(URGENT_INFO_MS, step.periods.info, max(PROMOTION_POLL_MS, master.options.down_after_ms // 2))
    if not isinstance(instance, Replica):
        return urgent if unsettled(master) else step.periods.info
    if awaits_promotion(master, instance):
        return PROMOTION_POLL_MS
    if master.sdown_at is not None and (instance.info_at is None or instance.info_at <= master.sdown_at):
        # The offsets at the moment of death decide which replica is best. Redis waits for ODOWN with this and may
        # choose by offsets of seconds ago.
        return 0
    # A node of a cluster calls itself master from its start until it has read whose replica it is. Asked in that
    # moment, and not again for ten seconds, it would be shown as a master for so long.
    in_place = instance.role is Role.SLAVE and instance.link_up
    if master.sdown or master.failover is not None or not in_place or unsettled(master):
        return urgent
    return step.periods.info


def _ping(step: Step, master: Master, instance: Instance) -> None:
    link, now = instance.link, step.now
    if not link.accepts_periodic:
        return
    period = ping_period(step, master)
    if link.greeted:
        assert link.pinged_at is not None
        # While one is out its answer is waited for until the next would be due anyway. (Redis asks again after half the
        # period; silence counts from the first.)
        last = max(link.pinged_at, link.ponged_at)
        if now - last < period - period // _EARLY:
            step.due(last + period)
            return
    link.pinged(now)
    step.send(link, Ping())
    step.due(now + period)


def _say_hello(step: Step, master: Master, instance: Instance) -> None:
    link = instance.link
    if not link.accepts_periodic or (isinstance(instance, Replica) and _is_passed_on(master, instance)):
        return
    if not step.elapsed(instance.hello_sent_at, step.periods.publish):
        return
    instance.hello_sent_at = step.now
    step.send(link, Publish(compose(step, master, link)))
    step.due(step.now + step.periods.publish + 1)


def _is_passed_on(master: Master, replica: Replica) -> bool:
    """Whether whoever listens to the replica hears what we say on its master: the nodes of a cluster tell one another
    what is published on any of them, so saying it on every node would have all hear it as often as there are nodes."""
    return master.cluster and replica.cluster and replica.link_up and master.link.up and master.sdown_at is None
