"""The report of an audit: JSON for programs, pictures, and a page for people.

A folder holds the JSON of every space, the pictures as PNG, and `report.html`, which has them inside. Files of an earlier
report are replaced where they have the same name, and stay where they have not.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.errors import AuditError, ConfigError, readable
from nearfield.records import build
from nearfield.study.report.data import FORMAT, SECTIONS, Audit
from nearfield.study.report.draw import figure_module
from nearfield.study.report.figures import figures
from nearfield.study.report.page import page

_SEE = "docs/formats.md, Audit report, says what it must hold"
PAGE = "report.html"
_LONGEST_NAME = 100  # of a file, whose system takes 255 bytes


def write_report(audits: Sequence[Mapping[str, Any]], out: Path) -> tuple[Path, ...]:
    """The report of one space or several side by side, into a folder; the files written, the page first.

    Raises AuditError for an audit that is not one, for two of the same name, and when matplotlib is missing.
    """
    read = checked_all(audits)
    drawn = figures(read)
    files = {PAGE: page(read, drawn).encode("utf-8", "backslashreplace")}
    files |= {f"{figure.name}.png": figure.png for figure in drawn}
    for name, content in zip(_file_names([a.name for a in read]), audits, strict=True):
        files[f"{name}.json"] = _json(content)
    for name, data in files.items():
        _write_whole(out / name, data)
    return tuple(out / name for name in files)


def check_place(out: Path) -> None:
    """What a report needs, asked before an audit of many minutes: AuditError without matplotlib or a folder to write to."""
    figure_module()
    probe = out / f"{PAGE}.probe"
    _write_whole(probe, b"nearfield")
    probe.unlink(missing_ok=True)


def checked(content: Mapping[str, Any], subject: str = "audit") -> Audit:
    """The audit that a mapping holds; numpy's numbers are taken for plain ones, NaN for null.

    Raises AuditError that names the field: unknown, missing, of a wrong type, or out of its range.
    """
    given = plain(content)
    if not isinstance(given, dict):
        raise AuditError(subject, "is not a mapping", _SEE)
    if given.get("format") != FORMAT:
        cause = f"audit format is {given.get('format')}, this version reads {FORMAT}"
        raise AuditError(subject, cause, "use the nearfield that wrote it, or audit again")
    settings = given.pop("settings", {})
    if not isinstance(settings, dict):
        raise AuditError(subject, f"settings = {settings!r} is not a mapping", _SEE)
    unknown = sorted(set(given.get("not_measured") or {}) - set(SECTIONS))
    if unknown:
        raise AuditError(subject, f"not_measured.{unknown[0]} is no section", f"known here: {', '.join(SECTIONS)}")
    try:
        return replace(build(Audit, given, subject), settings=settings)
    except ConfigError as error:
        raise AuditError(subject, error.cause, f"{error.remedy}; {_SEE}") from error


def read_audit(path: Path) -> Audit:
    """Read and check; AuditError names the file and what is wrong with it."""
    subject = readable(path)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise AuditError(subject, error.strerror or str(error), "name a report's .json file") from error
    except ValueError as error:
        raise AuditError(subject, f"is not JSON ({error})", "audit again") from error
    return checked(content, subject)


def write_audit(content: Mapping[str, Any], path: Path) -> None:
    """Check, and write as JSON that any program reads: NaN becomes null. AuditError when it cannot be written."""
    checked(content)
    _write_whole(path, _json(content))


def _write_whole(path: Path, content: bytes) -> None:
    """Beside its place first, then moved there, so that there is never a part of a file."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        cause = f"cannot be written ({error.strerror or error})"
        raise AuditError(readable(path), cause, "free space, or choose another place with -o") from error


def plain(value: Any) -> Any:
    """As JSON has it: numpy's numbers as plain ones; NaN and infinity, which it has not, as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(plain(content), indent=1, allow_nan=False) + "\n").encode()


def checked_all(audits: Sequence[Mapping[str, Any]]) -> tuple[Audit, ...]:
    """The audits, which must have names of their own; AuditError when they have not, or when there is none."""
    if not audits:
        raise AuditError("report", "there is no audit to report", "audit a space first")
    read = tuple(checked(content, f"audit {n}") for n, content in enumerate(audits, 1))
    twice = [name for name, count in Counter(a.name for a in read).items() if count > 1]
    if twice:
        raise AuditError("report", f"two spaces are called {twice[0]!r}", "name them apart: NAME=SPACE")
    return read


def _file_names(names: Sequence[str]) -> list[str]:
    """Each name as a file can have it; a number tells apart what is the same then."""
    taken: list[str] = []
    for name in names:
        short = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_LONGEST_NAME] or "space"
        unique, n = short, 1
        while unique.lower() in (t.lower() for t in taken):
            n += 1
            unique = f"{short}-{n}"
        taken.append(unique)
    return taken
