"""How MMA and fluidsynth are run: what they are given, what is taken back, and what is said when they fail."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from nearfield.data.grooves_tools import Tools, _linked
from nearfield.errors import CorpusError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the programs are Debian's")

# Writes two 32-bit floats for every byte of its song: the byte, and whether it was told of the folder of libraries.
FLUIDSYNTH = """#!{python} -S
import os, struct, sys
out, song = sys.argv[sys.argv.index("-F") + 1], open(sys.argv[-1], "rb").read()
told = os.environ["LD_LIBRARY_PATH"].split(":")[0] == {libraries!r}
with open(out, "wb") as file:
    for n in song:
        file.write(struct.pack("<2f", n, told))
sys.exit(3 if song == b"crash" else 0)
"""


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    program = tmp_path / "fluidsynth"
    program.write_text(FLUIDSYNTH.format(python=sys.executable, libraries=str(tmp_path / "lib")))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    mma = tmp_path / "mma.py"
    mma.write_text(
        "import sys\nif 'site' in sys.modules: sys.exit('site was imported')\nopen(sys.argv[2], 'wb').write(b'song')\n"
    )
    return Tools(mma, program, tmp_path / "lib", {"font": tmp_path / "font.sf2"})


def test_what_is_played_comes_back_as_two_channels(tools: Tools) -> None:
    sound = tools.play(bytes([3, 250, 7]), "font", 0.5)
    assert sound.dtype == np.float32
    assert np.array_equal(sound, [[3, 1], [250, 1], [7, 1]])


def test_no_descriptor_is_left_open(tools: Tools) -> None:
    tools.play(b"abc", "font", 0.5)
    before = len(os.listdir("/dev/fd"))
    for song in (b"abc", b"crash", b""):
        try:
            tools.play(song, "font", 0.5)
        except CorpusError:
            assert song != b"abc"
    assert len(os.listdir("/dev/fd")) == before


def test_what_fails_is_an_error_that_names_the_program(tools: Tools) -> None:
    with pytest.raises(CorpusError, match="fluidsynth: ended with status 3"):
        tools.play(b"crash", "font", 0.5)
    with pytest.raises(CorpusError, match="fluidsynth: wrote nothing"):
        tools.play(b"", "font", 0.5)
    tools.fluidsynth.unlink()
    with pytest.raises(CorpusError, match="fluidsynth: cannot be run"):
        tools.play(b"abc", "font", 0.5)


def test_mma_is_run_with_the_standard_library_alone(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    assert tools.arrange("Groove Any") == b"song"


def test_links_to_the_libraries_are_whole_again_after_a_move_or_another_version(tmp_path: Path) -> None:
    def package(home: Path, version: str) -> Path:
        folder = home / f"libone_{version}"
        (folder / "usr/lib/plugins").mkdir(parents=True)
        (folder / "usr/lib/libone.so.1").write_text(version)
        (folder / "usr/lib/plugins/libplugin.so").write_text("")
        return folder

    first = package(tmp_path / "here", "1.0")
    links = _linked(tmp_path / "here", [first])
    assert [p.name for p in links.iterdir()] == ["libone.so.1"]
    (tmp_path / "here").rename(tmp_path / "there")
    assert (tmp_path / "there/lib/libone.so.1").read_text() == "1.0"
    second = package(tmp_path / "there", "1.1")
    assert (_linked(tmp_path / "there", [second]) / "libone.so.1").read_text() == "1.1"
