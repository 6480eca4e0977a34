"""The three programs that a lab is made of, run in this very process.

Each is imported only when it is asked for: ten of them start at once.
"""

from __future__ import annotations

from importlib import import_module

NAMES = ("server", "sentinel", "proxy")
MODULES = ("node.main", "sentinel.main", "proxy.main")


def run(words: list[str]) -> int:
    """Become the program that the first word names, with the others as its own; returns its exit status."""
    name, argv = words[0], words[1:]
    if name == "proxy":
        from proxy.main import main
    elif name == "sentinel" or "--sentinel" in argv:
        from sentinel.main import main
    else:
        from node.main import main
    return main(argv)


def load_all() -> None:
    """Import all three now, for a process that will be each of them (`lab.drivers.nursery`)."""
    for module in MODULES:
        import_module(module)
