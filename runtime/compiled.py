"""Which of our modules run compiled (`make fast`), and whether what runs is what the sources say.

The compiled file of a module stands beside its source and is imported in its place: whoever changes the source and does
not compile it again changes nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

_SUFFIX = ".so"
# Packages of others come compiled, too.
_ROOMS = ("cluster", "lab", "node", "proxy", "runtime", "sentinel", "sim", "wire")


def compiled_modules() -> list[str]:
    """The names of those that are in use, sorted."""
    return sorted(name for name, _, _ in _in_use())


def outdated_modules() -> list[str]:
    """Those whose source has been changed since they were compiled."""
    return sorted(name for name, source, built in _in_use() if os.path.getmtime(source) > os.path.getmtime(built))


def _in_use() -> Iterator[tuple[str, str, str]]:
    """Name, source and compiled file of each."""
    for name, module in list(sys.modules.items()):
        built = getattr(module, "__file__", None) or ""
        if built.endswith(_SUFFIX) and name.partition(".")[0] in _ROOMS:
            source = os.path.join(os.path.dirname(built), name.rpartition(".")[2] + ".py")
            if os.path.exists(source):
                yield name, source, built
