"""Write docs/commands.md from the command line's own help.

    python scripts/make_docs.py            write it
    python scripts/make_docs.py --check    fail if it no longer says what the help says

The check compares words and not layout, so that another width or version of the formatter does not matter.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs" / "commands.md"

HEAD = """\
# Commands

Made from the commands' own help by `python scripts/make_docs.py`: change the help there, not here.

Exit codes: 0, all is well; 1, some files failed and are listed; 2, wrong usage, or nothing was done.
"""

PLAIN_TERMINAL = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
FRAME = "─│╭╮╰╯┌┐└┘━┃"


def main() -> None:
    text = HEAD + "".join(f"\n## {' '.join(('nearfield', *c))}\n\n```text\n{h}\n```\n" for c, h in pages())
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return
    now, then = text.split(), PAGE.read_text(encoding="utf-8").split() if PAGE.exists() else []
    if now != then:
        print(*difflib.unified_diff(then, now, "docs/commands.md", "--help", lineterm="", n=6), sep="\n")
        sys.exit("docs/commands.md is out of date; write it anew: python scripts/make_docs.py")


def pages(*command: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The help of `command` and of everything below it, outermost first."""
    shown = unframed(help_text(*command))
    yield command, shown
    for name in re.findall(r"^\s*• ([a-z][a-z-]*(?: [a-z][a-z-]*)*)(?: {2,}|$)", shown, re.MULTILINE):
        yield from pages(*command, *name.split(" "))


def help_text(*command: str) -> str:
    """What `nearfield COMMAND --help` prints on a plain terminal."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from nearfield.cli import main; sys.exit(main())",
            *command,
            "--help",
        ],
        env={k: v for k, v in os.environ.items() if not k.startswith("NEARFIELD_")} | PLAIN_TERMINAL,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        sys.exit(f"nearfield {' '.join(command)} --help failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def unframed(text: str) -> str:
    """Without the boxes that the formatter draws round groups, and without the line on --help itself."""
    lines = []
    for line in text.splitlines():
        title = re.match(r"╭─ (.+?) ─*╮", line)
        bare = f"{title[1]}:" if title else line.strip(FRAME).rstrip()
        if bare.strip() and "show this help message" not in bare:
            lines.append(f"\n{bare}" if title else bare)
        elif not bare and lines and line == "":
            lines.append("")
    text = re.sub(r"\n*options:\n*(?=\n\w|\Z)", "\n", "\n".join(lines))  # a group that held --help alone
    return re.sub(r"\n{3,}", "\n\n", text).strip()


if __name__ == "__main__":
    main()
