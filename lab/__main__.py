"""`python -m lab`: the same as the console script `shardlab`, wherever that is installed."""

import sys

from lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
