"""`python -m quantbench` is the command `quantbench`."""

import sys

from quantbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
