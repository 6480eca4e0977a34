"""Judges of a run's history. Standard library only: they lean on nothing of what they judge."""
