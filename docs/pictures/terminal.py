"""The terminal during `rdr-qdrant ingest`, as a picture.

    python docs/pictures/terminal.py [--file docs/pictures/terminal.svg] [--passages FILE]

A shell runs in a pseudo-terminal and is typed into: a load of the example passages is interrupted
by Ctrl-C, and the same command is given again. What the terminal shows in the middle of that second
load is the picture; nothing in it is written by hand.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from rdr_qdrant.cli.demo_command import example_data

COLUMNS, LINES = 92, 40
PATIENCE = 120.0  # seconds for one thing to appear
BAR = re.compile(r"([\d,]+) passages, .* left")


class Terminal:
    """A shell in a pseudo-terminal, and what its screen shows."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        import pyte

        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._end, text.encode())

    def wait_for(self, there: Callable[[str], object]) -> None:
        """Read on until the screen is so.

        Raises:
            TimeoutError: it was not so in time; what it shows instead.
        """
        until = time.monotonic() + PATIENCE
        while not there(self.text):
            if time.monotonic() > until:
                raise TimeoutError(f"The terminal shows:\n{self.text}")
            if select.select([self._end], [], [], 0.1)[0]:
                self._stream.feed(os.read(self._end, 256))

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def close(self) -> None:
        """End the shell and what runs in it."""
        self.type("\x03")
        self.type("exit\n")
        try:
            self._shell.wait(20)
        except subprocess.TimeoutExpired:
            self._shell.kill()
        os.close(self._end)


def picture(screen: Any, title: str) -> str:
    """A pyte screen as an SVG picture of a terminal's window."""
    from rich.console import Console
    from rich.text import Text

    lines = []
    for number in range(screen.lines):
        line = Text()
        for column in range(screen.columns):
            cell = screen.buffer[number][column]
            line.append(cell.data, style=_style(cell))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    lines.append(Text())  # rich cuts the feet off the last line
    console = Console(
        record=True, width=screen.columns, file=StringIO(), force_terminal=True, highlight=False
    )
    for line in lines:
        console.print(line)
    svg = console.export_svg(title=title, unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts of another machine
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _style(cell: Any) -> str:
    words = [name for name in ("bold", "italics", "underscore", "reverse") if getattr(cell, name)]
    names = {"italics": "italic", "underscore": "underline"}
    color = "" if cell.fg == "default" else _color(cell.fg)
    return " ".join([*(names.get(word, word) for word in words), color]).strip()


def _color(name: str) -> str:
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    name = {"brown": "yellow", "brightbrown": "brightyellow"}.get(name, name)
    return name.replace("bright", "bright_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, default=Path("docs/pictures/terminal.svg"))
    parser.add_argument("--passages", type=Path, default=example_data() / "passages.tsv")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "passages.tsv").symlink_to(given.passages.resolve())
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(path for path in (str(Path.cwd()), *sys.path) if path),
            "PS1": "$ ",
            "TERM": "xterm-256color",
            "BASH_SILENCE_DEPRECATION_WARNING": "1",
        }
        environment.pop("QDRANT_URL", None)
        terminal = Terminal(folder, environment)
        try:
            terminal.wait_for(lambda text: text.endswith("$"))
            command = "rdr-qdrant ingest passages.tsv -c wiki --model demo --batch-size 16\n"
            terminal.type(command)
            terminal.wait_for(lambda text: _done(text) >= 60)
            terminal.type("\x03")
            terminal.wait_for(lambda text: text.count("$ ") == 1 and text.endswith("\n$"))
            terminal.type(command)
            terminal.wait_for(lambda text: _done(text) >= 150)
            given.file.write_text(picture(terminal.screen, "rdr-qdrant"), encoding="utf-8")
        finally:
            terminal.close()
    print(given.file)


def _done(text: str) -> int:
    """How many passages the bar says are done, 0 where there is none."""
    found = BAR.search(text.splitlines()[-1]) if text else None
    return int(found.group(1).replace(",", "")) if found else 0


if __name__ == "__main__":
    main()
