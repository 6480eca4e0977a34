"""Scenarios: a cluster, its clients, what befalls it and what is expected, in one file that runs in every world."""
