"""The one kind of error that lab's own code raises for a person to read."""

from __future__ import annotations


class LabError(Exception):
    """What was asked for cannot be done. The text is one line and says what to do, or what is in the way."""
