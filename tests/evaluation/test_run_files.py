"""What was found, as files that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from rdr_qdrant import Passage
from rdr_qdrant.collection import ScoredPassage
from rdr_qdrant.errors import OutputError, UsageError
from rdr_qdrant.evaluation import Finding, check_outputs, dpr_run, trec_run
from rdr_qdrant.evaluation.run_files import FindingWriter, score_text, trec_word

HITS = [
    ScoredPassage(
        float(np.float32(80.1234)),
        Passage("7", "Text with “quotes”\nand😀 more", "Titel"),
    ),
    ScoredPassage(79.5, Passage("a b%c", "x")),
]
FINDING = Finding(1, "Who’s there?", ["Bernardo"], HITS, [True, False])


def interrupted(write: FindingWriter, path: Path) -> None:
    write(FINDING)
    assert path.read_text() == "before"
    raise KeyboardInterrupt


def test_dprs_format_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with dpr_run(path) as write:
        write(FINDING)
        write(Finding(2, "And?", [], [], []))
    assert json.loads(path.read_bytes().decode("ascii")) == [
        {
            "question": "Who’s there?",
            "answers": ["Bernardo"],
            "ctxs": [
                {
                    "id": "7",
                    "title": "Titel",
                    "text": HITS[0].passage.text,
                    "score": "80.1234",
                    "has_answer": True,
                },
                {"id": "a b%c", "title": "", "text": "x", "score": "79.5", "has_answer": False},
            ],
        },
        {"question": "And?", "answers": [], "ctxs": []},
    ]
    assert len(path.read_text().splitlines()) == 4


def test_a_run_without_a_question_is_an_empty_list(tmp_path: Path) -> None:
    with dpr_run(tmp_path / "run.json"):
        pass
    assert json.loads((tmp_path / "run.json").read_text()) == []


def test_trecs_six_columns(tmp_path: Path) -> None:
    with trec_run(tmp_path / "run", "my run") as write:
        write(FINDING)
    lines = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    assert lines == [
        ["1", "Q0", "7", "1", "80.1234", "my%20run"],
        ["1", "Q0", "a%20b%25c", "2", "79.5", "my%20run"],
    ]


@pytest.mark.parametrize(
    "text", ["a b", "a\tb\nc", "100%", "a\u2003b\xa0c", "plain#1", "é", "a%20b"]
)
def test_ids_in_a_trec_run_hold_no_white_space_and_can_be_had_again(text: str) -> None:
    word = trec_word(text)
    assert word.split() == [word]
    assert unquote(word) == text


def test_scores_are_the_shortest_decimals_of_32_bit_floats() -> None:
    assert [score_text(s) for s in (0.1, float(np.float32(0.1)), 81.0, 1e-7)] == [
        "0.1",
        "0.1",
        "81.0",
        "1e-07",
    ]


@pytest.mark.parametrize("writer", [dpr_run, lambda path: trec_run(path, "t")])
def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path: Path, writer: object) -> None:
    path = tmp_path / "run"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), writer(path) as write:  # type: ignore[operator]
        interrupted(write, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with writer(path) as write:  # type: ignore[operator]
        write(FINDING)
    assert path.read_text() != "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with dpr_run(tmp_path / "link"):
        pass
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "[]\n"


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(Path, "open", lambda *args, **kwargs: Full())
    with (
        pytest.raises(OutputError, match=r"Cannot write .*run.json: No space left on device"),
        dpr_run(tmp_path / "run.json") as write,
    ):
        write(FINDING)


def test_other_peoples_errors_are_not_taken_for_a_file_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConnectionResetError), dpr_run(tmp_path / "run.json"):
        raise ConnectionResetError


def test_outputs_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    source = tmp_path / "q.tsv"
    source.write_text("q")
    (tmp_path / "folder").mkdir()
    (tmp_path / "alias").symlink_to(source)
    check_outputs([tmp_path / "a", tmp_path / "b"], [source])
    with pytest.raises(OutputError, match=r"there is no folder .*missing. Make it"):
        check_outputs([tmp_path / "missing" / "run.json"])
    with pytest.raises(OutputError, match="is there and is not a file"):
        check_outputs([tmp_path / "folder"])
    with pytest.raises(UsageError, match=r"q.tsv is read from: it would be overwritten"):
        check_outputs([tmp_path / "folder" / ".." / "q.tsv"], [source])
    with pytest.raises(UsageError, match="it would be overwritten"):
        check_outputs([tmp_path / "alias"], [source])
    with pytest.raises(UsageError, match="written to twice"):
        check_outputs([tmp_path / "a", tmp_path / "folder" / ".." / "a"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alias", "folder", "q.tsv"]
