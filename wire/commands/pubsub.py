"""Publish and subscribe: the commands on top of the broker (`wire.pubsub`).

Each confirmation carries the client's number of subscriptions: channels and patterns together, shard channels
apart. A publication reaches this process' own subscribers here; `Call.published` carries it to those elsewhere,
which every kind of server does in its own way.
"""

from __future__ import annotations

from wire.call import Call
from wire.command import (
    FAST,
    IN_SUBSCRIPTION,
    LOADING,
    MAY_REPLICATE,
    NOSCRIPT,
    PUBSUB,
    STALE,
    command,
    container,
    key,
    keys,
)
from wire.commands.help import help_lines
from wire.errors import wrong_subcommand
from wire.reply import Push, Reply, Several

_SUBSCRIPTION = PUBSUB | NOSCRIPT | LOADING | STALE | IN_SUBSCRIPTION


@command(
    "SUBSCRIBE",
    arity=-2,
    flags=_SUBSCRIPTION,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of channels to subscribe to.",
    summary="Listens for messages published to channels.",
    syntax="channel [channel ...]",
)
def subscribe(call: Call) -> Reply:
    session, broker = call.session, call.front.broker
    replies = Several()
    for channel in call.argv[1:]:
        broker.subscribe(session, channel)
        replies.append(Push((b"subscribe", channel, session.subscriptions)))
    return replies


@command(
    "UNSUBSCRIBE",
    arity=-1,
    flags=_SUBSCRIPTION,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of channels to unsubscribe.",
    summary="Stops listening to messages posted to channels.",
    syntax="[channel [channel ...]]",
)
def unsubscribe(call: Call) -> Reply:
    session, broker = call.session, call.front.broker
    replies = Several()
    for channel in call.argv[1:] or list(session.channels):
        broker.unsubscribe(session, channel)
        replies.append(Push((b"unsubscribe", channel, session.subscriptions)))
    return replies or Push((b"unsubscribe", None, session.subscriptions))


@command(
    "PSUBSCRIBE",
    arity=-2,
    flags=_SUBSCRIPTION,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of patterns to subscribe to.",
    summary="Listens for messages published to channels that match one or more patterns.",
    syntax="pattern [pattern ...]",
)
def psubscribe(call: Call) -> Reply:
    session, broker = call.session, call.front.broker
    replies = Several()
    for pattern in call.argv[1:]:
        broker.psubscribe(session, pattern)
        replies.append(Push((b"psubscribe", pattern, session.subscriptions)))
    return replies


@command(
    "PUNSUBSCRIBE",
    arity=-1,
    flags=_SUBSCRIPTION,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of patterns to unsubscribe.",
    summary="Stops listening to messages published to channels that match one or more patterns.",
    syntax="[pattern [pattern ...]]",
)
def punsubscribe(call: Call) -> Reply:
    session, broker = call.session, call.front.broker
    replies = Several()
    for pattern in call.argv[1:] or list(session.patterns):
        broker.punsubscribe(session, pattern)
        replies.append(Push((b"punsubscribe", pattern, session.subscriptions)))
    return replies or Push((b"punsubscribe", None, session.subscriptions))


@command(
    "SSUBSCRIBE",
    arity=-2,
    flags=_SUBSCRIPTION,
    keys=keys(1, -1, 1, "not_key"),
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of shard channels to subscribe to.",
    summary="Listens for messages published to shard channels.",
    syntax="shardchannel [shardchannel ...]",
)
def ssubscribe(call: Call) -> Reply:
    session, broker = call.session, call.front.broker
    replies = Several()
    for channel in call.argv[1:]:
        broker.ssubscribe(session, channel)
        replies.append(Push((b"ssubscribe", channel, len(session.shard_channels))))
    return replies


@command(
    "SUNSUBSCRIBE",
    arity=-1,
    flags=_SUBSCRIPTION,
    keys=keys(1, -1, 1, "not_key"),
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of shard channels to unsubscribe.",
    summary="Stops listening to messages posted to shard channels.",
    syntax="[shardchannel [shardchannel ...]]",
)
def sunsubscribe(call: Call) -> Reply:
    session, broker = call.session, call.front.broker
    replies = Several()
    for channel in call.argv[1:] or list(session.shard_channels):
        broker.sunsubscribe(session, channel)
        replies.append(Push((b"sunsubscribe", channel, len(session.shard_channels))))
    return replies or Push((b"sunsubscribe", None, len(session.shard_channels)))


@command(
    "PUBLISH",
    arity=3,
    flags=PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
    group="pubsub",
    since="2.0.0",
    complexity="O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number "
    "of subscribed patterns (by any client).",
    summary="Posts a message to a channel.",
    syntax="channel message",
    brief_words=0,
)
def publish(call: Call) -> Reply:
    _, channel, message = call.argv
    received = call.front.broker.publish(channel, message)
    call.published(channel, message, sharded=False)
    return received


@command(
    "SPUBLISH",
    arity=3,
    flags=PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
    keys=key(1, "not_key"),
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of clients subscribed to the receiving shard channel.",
    summary="Posts a message to a shard channel.",
    syntax="shardchannel message",
    brief_words=0,
)
def spublish(call: Call) -> Reply:
    _, channel, message = call.argv
    received = call.front.broker.spublish(channel, message)
    call.published(channel, message, sharded=True)
    return received


pubsub = container(
    "PUBSUB",
    group="pubsub",
    since="2.8.0",
    summary="A container for Pub/Sub commands.",
    help=(
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
    ),
)


@command(
    "PUBSUB|CHANNELS",
    arity=-2,
    flags=PUBSUB | LOADING | STALE,
    group="pubsub",
    since="2.8.0",
    complexity="O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively "
    "short channels and patterns)",
    summary="Returns the active channels.",
    syntax="[pattern]",
)
def pubsub_channels(call: Call) -> Reply:
    return call.front.broker.matching(_optional_pattern(call))


@command(
    "PUBSUB|NUMSUB",
    arity=-2,
    flags=PUBSUB | LOADING | STALE,
    group="pubsub",
    since="2.8.0",
    complexity="O(N) for the NUMSUB subcommand, where N is the number of requested channels",
    summary="Returns a count of subscribers to channels.",
    syntax="[channel [channel ...]]",
)
def pubsub_numsub(call: Call) -> Reply:
    channels = call.front.broker.channels
    return [item for name in call.argv[2:] for item in (name, len(channels.get(name, ())))]


@command(
    "PUBSUB|NUMPAT",
    arity=2,
    flags=PUBSUB | LOADING | STALE,
    group="pubsub",
    since="2.8.0",
    complexity="O(1)",
    summary="Returns a count of unique pattern subscriptions.",
)
def pubsub_numpat(call: Call) -> Reply:
    return len(call.front.broker.patterns)


@command(
    "PUBSUB|SHARDCHANNELS",
    arity=-2,
    flags=PUBSUB | LOADING | STALE,
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of active shard channels, and assuming constant time pattern matching "
    "(relatively short shard channels).",
    summary="Returns the active shard channels.",
    syntax="[pattern]",
)
def pubsub_shardchannels(call: Call) -> Reply:
    return call.front.broker.matching(_optional_pattern(call), shard=True)


@command(
    "PUBSUB|SHARDNUMSUB",
    arity=-2,
    flags=PUBSUB | LOADING | STALE,
    group="pubsub",
    since="7.0.0",
    complexity="O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
    summary="Returns the count of subscribers of shard channels.",
    syntax="[shardchannel [shardchannel ...]]",
)
def pubsub_shardnumsub(call: Call) -> Reply:
    channels = call.front.broker.shard_channels
    return [item for name in call.argv[2:] for item in (name, len(channels.get(name, ())))]


@command(
    "PUBSUB|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="pubsub",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def pubsub_help(_: Call) -> Reply:
    return help_lines(pubsub)


def _optional_pattern(call: Call) -> bytes | None:
    """The pattern of CHANNELS and SHARDCHANNELS; raises Error when there is more than one."""
    if len(call.argv) > 3:
        raise wrong_subcommand(call.argv)
    return call.argv[2] if len(call.argv) == 3 else None
