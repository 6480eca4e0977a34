"""The commands that every server has and a sentinel admits, by name: there are no others here."""

from __future__ import annotations

from wire.commands.connection import auth, hello, ping, quit_
from wire.commands.pubsub import psubscribe, punsubscribe, subscribe, unsubscribe

__all__ = ["auth", "hello", "ping", "psubscribe", "punsubscribe", "quit_", "subscribe", "unsubscribe"]
