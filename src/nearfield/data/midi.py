"""Standard MIDI files, as far as an arrangement needs them: read, change the instruments and levels, write again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nearfield.errors import CorpusError

DRUM_CHANNEL = 9
_VOLUME, _REVERB_SEND = 7, 91  # controllers
_META, _SYSEX, _ESCAPE = 0xFF, 0xF0, 0xF7
_NAME, _END = 0x03, 0x2F  # kinds of meta events
_BROKEN = "an arrangement"


@dataclass(frozen=True)
class Event:
    """What happens at `tick`. `data` follows the status; a meta event's begins with its kind."""

    tick: int
    status: int
    data: bytes

    @property
    def command(self) -> int:
        """0x80 note off, 0x90 note on, 0xB0 controller, 0xC0 program; 0xF0 for what has no channel."""
        return self.status & 0xF0

    @property
    def channel(self) -> int:
        return self.status & 0x0F

    @property
    def is_note(self) -> bool:
        """Whether a note begins."""
        return self.command == 0x90 and self.data[1] > 0


@dataclass(frozen=True)
class Part:
    """One track of a song: its name ('' where it has none) and events in time order."""

    name: str
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Song:
    """A MIDI file: ticks a quarter note, and its tracks."""

    ticks_per_quarter: int
    parts: tuple[Part, ...]


def read_song(data: bytes) -> Song:
    """Parse a Standard MIDI file; raises CorpusError for what is not one."""
    try:
        if data[:4] != b"MThd" or data[12] & 0x80:
            raise ValueError("no header, or time in frames")
        ticks, at, parts = int.from_bytes(data[12:14], "big"), 14, []
        while at < len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "big")
            if data[at : at + 4] == b"MTrk":
                parts.append(_read_part(data[at + 8 : at + 8 + size]))
            at += 8 + size
    except (IndexError, ValueError) as error:
        raise CorpusError(_BROKEN, f"is not a MIDI file ({error})", "make it again") from error
    return Song(ticks, tuple(parts))


def _read_part(data: bytes) -> Part:
    at = tick = status = 0
    name, events = "", []
    while at < len(data):
        wait, at = _read_length(data, at)
        tick += wait
        if data[at] & 0x80:
            status, at = data[at], at + 1
        if status == _META or status in (_SYSEX, _ESCAPE):
            kind = data[at : at + 1] if status == _META else b""
            size, start = _read_length(data, at + len(kind))
            body = data[start : start + size]
            at = start + size
            if kind == bytes([_NAME]) and not name:
                name = body.decode("latin-1")
            events.append(Event(tick, status, kind + body))
        else:
            size = 1 if status & 0xE0 == 0xC0 else 2
            events.append(Event(tick, status, data[at : at + size]))
            at += size
    return Part(name, tuple(events))


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    while True:
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at


def write_song(song: Song) -> bytes:
    """The inverse of `read_song`."""
    header = (1).to_bytes(2, "big") + len(song.parts).to_bytes(2, "big") + song.ticks_per_quarter.to_bytes(2, "big")
    chunks = [b"MThd" + len(header).to_bytes(4, "big") + header]
    for part in song.parts:
        body = _write_part(part.events)
        chunks.append(b"MTrk" + len(body).to_bytes(4, "big") + body)
    return b"".join(chunks)


def _write_part(events: Sequence[Event]) -> bytes:
    out, tick = bytearray(), 0
    for event in events:
        out += _length(event.tick - tick) + bytes([event.status])
        if event.status == _META:
            out += event.data[:1] + _length(len(event.data) - 1) + event.data[1:]
        elif event.status in (_SYSEX, _ESCAPE):
            out += _length(len(event.data)) + event.data
        else:
            out += event.data
        tick = event.tick
    return bytes(out)


def _length(value: int) -> bytes:
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def role_of(part: Part) -> str:
    """Who plays a track of MMA's, by its name: drums, bass, chords or melody."""
    head = part.name.split("-")[0].lower()
    roles = {"drum": "drums", "bass": "bass", "walk": "bass", "solo": "melody", "melody": "melody"}
    if any(e.command < 0xF0 and e.channel == DRUM_CHANNEL for e in part.events):
        return "drums"
    return roles.get(head, "chords")


def arrange(song: Song, volumes: Mapping[str, int], programs: Mapping[int, int], reverb_send: int) -> Song:
    """The song with its levels and instruments set; no note is touched.

    `volumes`: role -> channel volume, 0 to 127; the song's own changes of volume become shares of it.
    `programs`: family of instruments (program // 8) -> program, for all but melody and drums. `reverb_send`: 0 to 127.
    """
    return Song(song.ticks_per_quarter, tuple(_arranged(p, volumes, programs, reverb_send) for p in song.parts))


def _arranged(part: Part, volumes: Mapping[str, int], programs: Mapping[int, int], reverb_send: int) -> Part:
    role = role_of(part)
    volume = volumes.get(role, 100)
    events, seen = [], set()
    for event in part.events:
        if event.command < 0xF0 and event.channel not in seen:
            seen.add(event.channel)
            for controller, value in ((_VOLUME, volume), (_REVERB_SEND, reverb_send)):
                events.append(Event(event.tick, 0xB0 | event.channel, bytes([controller, value])))
        if event.command == 0xB0 and event.data[0] == _VOLUME:
            event = Event(event.tick, event.status, bytes([_VOLUME, round(event.data[1] * volume / 127)]))
        elif event.command == 0xB0 and event.data[0] == _REVERB_SEND:
            continue
        elif event.command == 0xC0 and role in ("bass", "chords"):
            event = Event(event.tick, event.status, bytes([programs.get(event.data[0] // 8, event.data[0])]))
        events.append(event)
    return Part(part.name, tuple(events))
