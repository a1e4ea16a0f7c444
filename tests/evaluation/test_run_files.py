"""Run files in DPR's and TREC's formats."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from rdr_qdrant import Passage
from rdr_qdrant.collection import ScoredPassage
from rdr_qdrant.errors import OutputError, UsageError
from rdr_qdrant.evaluation import QuestionResult, check_outputs, dpr_run, trec_run
from rdr_qdrant.evaluation.run_files import ResultWriter, score_text, trec_word

HITS = [
    ScoredPassage(
        float(np.float32(80.1234)),
        Passage("7", "Text with “quotes”\nand😀 more", "Titel"),
    ),
    ScoredPassage(79.5, Passage("a b%c", "x")),
]
RESULT = QuestionResult(1, "Who’s there?", ["Bernardo"], HITS, [True, False])


def interrupted(write: ResultWriter, path: Path) -> None:
    write(RESULT)
    assert path.read_text() == "before"
    raise KeyboardInterrupt


def test_dpr_format(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with dpr_run(path) as write:
        write(RESULT)
        write(QuestionResult(2, "And?", [], [], []))
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


def test_a_run_without_questions_is_an_empty_list(tmp_path: Path) -> None:
    with dpr_run(tmp_path / "run.json"):
        pass
    assert json.loads((tmp_path / "run.json").read_text()) == []


def test_trec_format(tmp_path: Path) -> None:
    with trec_run(tmp_path / "run", "my run") as write:
        write(RESULT)
    lines = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    assert lines == [
        ["1", "Q0", "7", "1", "80.1234", "my%20run"],
        ["1", "Q0", "a%20b%25c", "2", "79.5", "my%20run"],
    ]


@pytest.mark.parametrize(
    "text", ["a b", "a\tb\nc", "100%", "a\u2003b\xa0c", "plain#1", "é", "a%20b"]
)
def test_trec_ids_have_no_white_space_and_are_reversible(text: str) -> None:
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
def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path, writer: object) -> None:
    path = tmp_path / "run"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), writer(path) as write:  # type: ignore[operator]
        interrupted(write, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with writer(path) as write:  # type: ignore[operator]
        write(RESULT)
    assert path.read_text() != "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with dpr_run(tmp_path / "link"):
        pass
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "[]\n"


def test_errors_of_the_block_are_not_turned_into_write_errors(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConnectionResetError), dpr_run(tmp_path / "run.json"):
        raise ConnectionResetError


def test_outputs_are_checked_before_writing(tmp_path: Path) -> None:
    source = tmp_path / "q.tsv"
    source.write_text("q")
    (tmp_path / "folder").mkdir()
    (tmp_path / "alias").symlink_to(source)
    check_outputs([tmp_path / "a", tmp_path / "b"], [source])
    with pytest.raises(OutputError, match=r"there is no folder .*missing. Make it"):
        check_outputs([tmp_path / "missing" / "run.json"])
    with pytest.raises(OutputError, match="is not a regular file"):
        check_outputs([tmp_path / "folder"])
    with pytest.raises(UsageError, match=r"q.tsv is an input and would be overwritten"):
        check_outputs([tmp_path / "folder" / ".." / "q.tsv"], [source])
    with pytest.raises(UsageError, match="would be overwritten"):
        check_outputs([tmp_path / "alias"], [source])
    with pytest.raises(UsageError, match="given as an output twice"):
        check_outputs([tmp_path / "a", tmp_path / "folder" / ".." / "a"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alias", "folder", "q.tsv"]
