"""The examples, run unchanged."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_quickstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first == "3 passages loaded, 0 unchanged"
    assert second.endswith("  Faust")


@pytest.fixture
def chain_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Run one of examples/chains and return its output."""
    folder = ROOT / "examples" / "chains"
    monkeypatch.syspath_prepend(str(folder))

    def run(name: str) -> str:
        runpy.run_path(str(folder / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_retrieval_chain_gives_its_sources(chain_example: Callable[[str], str]) -> None:
    first, second = chain_example("retrieval_chain").strip("? ").split("\n? ")
    assert "it passes through Lake Constance" in first.splitlines()[1]
    assert first.splitlines()[1].endswith("[2]")
    assert re.match(r" +\[2\] 0\.\d{3}  Rhine", first.splitlines()[2])
    assert "Lake Baikal" in second.splitlines()[1]


def test_an_agent_calls_the_retriever(chain_example: Callable[[str], str]) -> None:
    _, called, answer = chain_example("agent_tool").splitlines()
    assert called.startswith("search_passages: Nile, ")
    assert "leaves Lake Tana" in answer


def test_multi_query_finds_what_one_question_does_not(chain_example: Callable[[str], str]) -> None:
    _, one, several = chain_example("multi_query").splitlines()
    assert "Mercury (element)" not in one
    assert several.startswith("several, re-ranked: Mercury (element), ")


def test_reranking_by_words_helps_dense_search_alone(
    chain_example: Callable[[str], str],
) -> None:
    dense, dense_reranked, hybrid, hybrid_reranked = (
        [float(value) for value in line.split()[-3:]]
        for line in chain_example("rerank").splitlines()[2:]
    )
    assert dense_reranked[0] > dense[0] + 5
    assert all(later >= earlier for earlier, later in zip(dense, dense_reranked, strict=True))
    assert hybrid[0] > dense_reranked[0] > 90
    assert hybrid_reranked[0] <= hybrid[0]
