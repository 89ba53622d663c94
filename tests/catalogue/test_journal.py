"""The journal: whole records come back, torn ones never."""

from __future__ import annotations

from pathlib import Path

from nearfield.catalogue.journal import Journal, records

PAYLOADS = [b"one", b"", b"three" * 1000]


def write(path: Path) -> bytes:
    with Journal(path) as journal:
        for payload in PAYLOADS:
            journal.append(payload)
    return path.read_bytes()


def test_cut_anywhere_gives_the_records_before(tmp_path: Path) -> None:
    whole = write(tmp_path / "j")
    ends = [15, 27, 12 * 3 + 3 + 5000]
    assert len(whole) == ends[-1]
    for size in [*range(40), 5000, len(whole) - 1, len(whole)]:
        (tmp_path / "cut").write_bytes(whole[:size])
        found = list(records(tmp_path / "cut"))
        assert found == PAYLOADS[: sum(end <= size for end in ends)]
        with Journal(tmp_path / "cut") as journal:  # goes on after the last whole record
            journal.append(b"next")
        assert list(records(tmp_path / "cut")) == [*found, b"next"]


def test_altered_bytes_end_the_reading(tmp_path: Path) -> None:
    whole = write(tmp_path / "j")
    for at in (0, 5, 9, 12, 20, 27, 100):
        altered = bytearray(whole)
        altered[at] ^= 1
        (tmp_path / "altered").write_bytes(altered)
        found = list(records(tmp_path / "altered"))
        assert found == PAYLOADS[: len(found)]
        assert len(found) == (0 if at < 15 else 1 if at < 27 else 2)


def test_no_file_holds_no_records(tmp_path: Path) -> None:
    assert list(records(tmp_path / "none")) == []


def test_two_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as one, Journal(path) as other:
        for n in range(5):
            one.append(b"one %d" % n)
            other.append(b"the other %d" % n)
    assert sorted(records(path)) == sorted([b"one %d" % n for n in range(5)] + [b"the other %d" % n for n in range(5)])
