"""Nothing from data controls a terminal, and output that cannot be written is an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rdr_qdrant.cli.stderr import print_message, replace_control_characters
from rdr_qdrant.cli.stdout import print_fields, print_hits, print_json, print_table
from rdr_qdrant.passages import Passage
from tests.cli.conftest import Command

ROOT = Path(__file__).parents[2]

HARMFUL = [
    *map(chr, range(0x09)),
    *map(chr, range(0x0B, 0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u2028\u2029",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x2070)),
    *"\ufff9\ufffa\ufffb\ud800\udfff",
]
HARMLESS = "plain \u00e9 \u05d0\u200d\u200c \U0001f469\u200d\U0001f52c \u6f22"


@pytest.mark.parametrize("character", HARMFUL, ids=lambda c: f"U+{ord(c):04X}")
def test_no_output_lets_a_control_character_through(
    character: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from rdr_qdrant.collection import ScoredPassage

    text = f"a{character}b"
    passage = Passage(text, text, text, {"source": text})
    print_hits([ScoredPassage(1.0, passage)], "a")
    print_fields({"name": text})
    print_table(["name"], [[text]])
    print_json({text: [text]})
    print_message(text)
    shown = capsys.readouterr()
    assert character not in shown.out + shown.err
    assert "\ufffd" in shown.err


@pytest.mark.parametrize("character", HARMFUL, ids=lambda c: f"U+{ord(c):04X}")
def test_json_keeps_every_value(character: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = {f"a{character}": [f'{character}\n\t"\\b', HARMLESS]}
    print_json(value)
    assert json.loads(capsys.readouterr().out) == value


def test_joiners_and_letters_of_any_script_stay() -> None:
    assert replace_control_characters(HARMLESS) == HARMLESS


def test_a_line_break_in_data_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    from rdr_qdrant.collection import ScoredPassage

    forged = "x\nError: forged"
    print_message(f"Loading {forged}.")
    print_fields({"name": forged})
    print_hits([ScoredPassage(1.0, Passage(forged, "text", forged, {"source": forged}))], "q")
    shown = capsys.readouterr()
    lines = (shown.out + shown.err).splitlines()
    assert not any(line.strip().startswith("Error:") for line in lines)


def test_a_file_name_taken_for_an_option_is_shown_without_its_controls(command: Command) -> None:
    for name in ("--\x1b[31m", "-\x9b31m", "--url\u202e"):
        outcome = command("ingest", "-c", "c", name)
        assert outcome.status == 2
        assert name[2:] not in outcome.err


def run_in_shell(
    arguments: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        f"{sys.executable} -m rdr_qdrant {arguments}",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "QDRANT_URL": "", **environment},
        check=False,
    )


@pytest.mark.parametrize("arguments", ["models >&-", "models --json >&-", "info >&-"])
def test_a_closed_stdout_is_an_error(tmp_path: Path, arguments: str) -> None:
    done = run_in_shell(arguments, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: stdout is closed, so no result can be printed. To discard results: >/dev/null."
    ]


@pytest.mark.parametrize("arguments", ["models > /dev/full", "models --json > /dev/full"])
def test_a_full_disk_behind_stdout_is_an_error(tmp_path: Path, arguments: str) -> None:
    done = run_in_shell(arguments, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "No space left on device" in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_closed_or_full_stderr_neither_fails_nor_reaches_stdout(tmp_path: Path) -> None:
    for redirected in ("2>&-", "2>/dev/full"):
        done = run_in_shell(f"info --json {redirected}", tmp_path)
        assert (done.returncode, json.loads(done.stdout)) == (0, [])
        done = run_in_shell(f"info {redirected}", tmp_path)
        assert (done.returncode, done.stdout) == (0, "")


def test_a_closed_stdin_is_an_empty_one(tmp_path: Path) -> None:
    done = run_in_shell("ingest - -c c --model demo <&-", tmp_path)
    assert done.returncode == 1
    assert "unexpected" not in done.stderr
    refused = run_in_shell("delete -c c --all <&-", tmp_path)
    assert refused.returncode == 2
    assert "stdin is not a terminal" in refused.stderr


def test_a_terminal_without_unicode_gets_what_it_can_show(tmp_path: Path) -> None:
    script = (
        "from rdr_qdrant.cli.standard_streams import prepare_standard_streams as prepare;"
        "from rdr_qdrant.cli.stdout import print_fields, print_json; prepare();"
        "print_fields({'a': '\u6f22'}); print_json('\u6f22')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [b"a  ?", b'"\\u6f22"']


def test_a_traceback_is_shown_without_controls(tmp_path: Path) -> None:
    name = tmp_path / "a\x1b[31m.tsv"
    name.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "rdr_qdrant", "ingest", str(name), "-c", "c", "--debug"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "\x1b" not in done.stderr
