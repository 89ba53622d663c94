"""The few pieces of HTML that a report is made of. Whatever is put in as text is escaped here; markup comes only from here.

A number in the page is a `data` element with its exact value, so that programs read the page as well.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from nearfield.errors import readable
from nearfield.study.report.draw import Drawn
from nearfield.study.report.words import Voice, rounded

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fdfdfb; --faint: #5c5c5c; --line: #d5d5d0; --answer: #eef3f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --paper: #17181a; --faint: #a3a3a0; --line: #3a3b3e; --answer: #1f2a35; }
}
body { margin: 0 auto; padding: 1rem; max-width: 50rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { margin-top: 2.5rem; font-size: 1.3rem; } h3 { font-size: 1.05rem; }
.answer { padding: .7rem 1rem; border-radius: .4rem; background: var(--answer); font-size: 1.1rem; }
.note, figcaption, caption, footer { color: var(--faint); font-size: .9rem; }
caption { text-align: left; padding-bottom: .3rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: normal; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #fff; border-radius: .4rem; }
li { margin: .3rem 0; } dt { font-weight: 600; margin-top: .7rem; } dd { margin: 0; } summary { cursor: pointer; }
""".strip()


def text(content: str) -> str:
    """Any text as HTML on one line: markup in it is shown, not obeyed; what is not printable becomes an escape."""
    return escape(readable(content), quote=True)


def number(value: float, digits: int) -> str:
    """A number, rounded for reading, with its exact value beside it."""
    return f'<data value="{value!r}">{rounded(value, digits)}</data>'


def optional(value: float | None, digits: int = 2) -> str:
    """The same; an empty cell for what is not there."""
    return "" if value is None else number(value, digits)


HTML = Voice(number, text)


def document(title: str, body: str, footer: str) -> str:
    """A whole page that needs nothing from anywhere else."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<header><h1>{text(title)}</h1></header>\n"
        f"<main>\n{body}\n</main>\n<footer>\n{footer}\n</footer>\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """A heading and what stands below it; nothing where there is nothing to say."""
    said = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(heading)}</h2>\n{said}\n</section>" if said else ""


def paragraph(said: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f"<p{named}>{said}</p>"


def listing(items: Sequence[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{item}</li>" for item in items) + "\n</ul>" if items else ""


def folded(heading: str, content: str) -> str:
    """What opens on a click."""
    return f"<details><summary>{text(heading)}</summary>\n{content}\n</details>" if content else ""


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML; the first of each row is its heading."""
    if not rows:
        return ""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = [
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>" for row in rows
    ]
    body = "\n".join(lines)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(caption)}"><table>\n'
        f"<caption>{text(caption)}</caption>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def picture(drawn: Drawn | None, caption: str) -> str:
    if drawn is None:
        return ""
    source = base64.b64encode(drawn.png).decode("ascii")
    size = f'width="{drawn.width}" height="{drawn.height}"'
    image = f'<img src="data:image/png;base64,{source}" alt="{text(drawn.alt)}" {size}>'
    return f"<figure>{image}<figcaption>{text(caption)}</figcaption></figure>"
