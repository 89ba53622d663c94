"""`python -m nearfield.cli` is the command `nearfield`."""

import sys

from nearfield.cli import main

if __name__ == "__main__":
    sys.exit(main())
