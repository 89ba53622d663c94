"""Standard MIDI files, as far as an arrangement needs them: read, change the instruments and levels, write again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nearfield.errors import CorpusError

DRUM_CHANNEL = 9
_VOLUME, _REVERB_SEND = 7, 91  # controllers
_META, _SYSEX, _ESCAPE = 0xFF, 0xF0, 0xF7
_NAME, _TEMPO = b"\x03", b"\x51"  # kinds of meta events
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
            if kind == _NAME and not name:
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


@dataclass(frozen=True)
class Arrangement:
    """How a song is played. `volumes`: role -> channel volume, 0 to 127; a role without one is silent.

    `programs`: family of instruments (program // 8) -> program, for bass and chords. `lead`: the melody's program.
    `reverb_send`: 0 to 127.
    """

    tempo_bpm: float
    volumes: Mapping[str, int]
    programs: Mapping[int, int]
    lead: int
    reverb_send: int = 64


def arrange(song: Song, how: Arrangement) -> Song:
    """The song with its tempo, levels and instruments set; no note is touched, but silent roles are left out."""
    kept = [p for p in song.parts if role_of(p) in how.volumes or not any(e.command < 0xF0 for e in p.events)]
    return Song(song.ticks_per_quarter, tuple(Part(p.name, tuple(_arranged(p, how))) for p in kept))


def _arranged(part: Part, how: Arrangement) -> Iterator[Event]:
    role = role_of(part)
    volume = how.volumes.get(role, 0)
    seen = set()
    for event in part.events:
        if event.command < 0xF0 and event.channel not in seen:
            seen.add(event.channel)
            for controller, value in ((_VOLUME, volume), (_REVERB_SEND, how.reverb_send)):
                yield Event(event.tick, 0xB0 | event.channel, bytes([controller, value]))
        if event.command == 0xB0 and event.data[0] == _REVERB_SEND:
            continue
        yield Event(event.tick, event.status, _changed(event, role, volume, how))


def _changed(event: Event, role: str, volume: int, how: Arrangement) -> bytes:
    """What an event says in this arrangement; the song's own volumes become shares of the role's."""
    if event.status == _META and event.data[:1] == _TEMPO:
        return _TEMPO + round(60e6 / how.tempo_bpm).to_bytes(3, "big")
    if event.command == 0xB0 and event.data[0] == _VOLUME:
        return bytes([_VOLUME, round(event.data[1] * volume / 127)])
    if event.command == 0xC0 and role != "drums":
        program = how.lead if role == "melody" else how.programs.get(event.data[0] // 8, event.data[0])
        return bytes([program])
    return event.data
