"""The command line: parse, call one function, print. Rooms are imported inside the commands that need them.

Exit codes: 0 all well, 1 some files failed, 2 usage or nothing done, 130 interrupted. With `--json` standard
output carries one JSON document and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nearfield import __version__
from nearfield.errors import NearfieldError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a usage error leaves by SystemExit(2)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"nearfield {__version__}")
        return 0
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    from nearfield.cli import commands, show  # here: worker processes import this module, and need none of it

    command = commands.parse(words)
    try:
        code = command.run()
        sys.stdout.flush()
    except NearfieldError as error:
        show.say(" ".join(str(error).split()))
        return 2
    except BrokenPipeError:  # `nearfield similar ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        show.say("interrupted")
        return 130
    return code
