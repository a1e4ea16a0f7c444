from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rdr_qdrant.atomic_io import (
    open_atomically,
    remove_temporary_files,
    replace_atomically,
    temporary_path,
    translate_write_errors,
)
from rdr_qdrant.errors import OutputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.json"


def test_text_and_bytes_replace_the_old_content(path: Path) -> None:
    path.write_text("old")
    with open_atomically(path) as file:
        file.write("é\n")
        assert path.read_text() == "old"
    assert path.read_bytes() == "é\n".encode()
    with open_atomically(path, "wb") as binary:
        binary.write(b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_block_that_raises_leaves_the_old_content(path: Path, error: type[BaseException]) -> None:
    path.write_text("old")

    def write_and_fail() -> None:
        with open_atomically(path) as file:
            file.write("new")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_written_by_a_library_replaces_the_old_one(path: Path) -> None:
    part = temporary_path(path)
    part.write_text("new")
    replace_atomically(part, path)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_permissions_of_a_replaced_file_are_kept(path: Path) -> None:
    with open_atomically(path) as file:
        file.write("first")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o600)
    with open_atomically(path) as file:
        file.write("second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_still_names_the_file_it_named(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    target.write_text("old")
    path.symlink_to(target)
    with open_atomically(path) as file:
        file.write("new")
    assert path.is_symlink()
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_path_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "file"
    with pytest.raises(OutputError, match=rf"Cannot write {missing}: No such file"):
        open_atomically(missing).__enter__()


def test_what_is_no_regular_file_is_refused_before_any_work(path: Path) -> None:
    os.mkfifo(path)
    for one in (path, path.parent):
        with pytest.raises(OutputError, match="it is not a regular file"):
            open_atomically(one).__enter__()
    part = temporary_path(path)
    part.write_text("new")
    with pytest.raises(OutputError, match="it is not a regular file"):
        replace_atomically(part, path)
    assert path.is_fifo()


@pytest.mark.parametrize("text", ["x" * 100_000, "x"])
def test_a_write_that_fails_is_an_output_error(path: Path, text: str) -> None:
    path.write_text("old")
    code = f"""
import resource, signal
from pathlib import Path
from rdr_qdrant.atomic_io import open_atomically
from rdr_qdrant.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    with open_atomically(Path({str(path)!r})) as file:
        file.write({text!r})
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"Cannot write {path}: File too large.\n", "")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_temporary_files_of_killed_writers_are_removed(path: Path) -> None:
    path.write_text("kept")
    temporary_path(path).write_text("left behind")
    remove_temporary_files(path.parent)
    assert list(path.parent.iterdir()) == [path]


def test_an_error_of_the_system_names_the_file(path: Path) -> None:
    with pytest.raises(OutputError, match=rf"^Cannot write {path}: No space left on device\.$"):  # noqa: SIM117
        with translate_write_errors(path):
            raise OSError(28, "No space left on device")
