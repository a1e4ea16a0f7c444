"""The recall plot: complete and labelled."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from rdr_qdrant.errors import OutputError, UsageError
from rdr_qdrant.evaluation import draw_recall, published_figures
from rdr_qdrant.evaluation.plot import _label_depths
from rdr_qdrant.registry import PAIRS

MEASURED = {1: 62.41, 5: 75.88, 20: 82.49, 50: 85.6, 100: 87.2}


def texts_of(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", path.read_text())


def test_an_svg_labels_every_line_depth_and_measured_value(tmp_path: Path) -> None:
    rows = published_figures(PAIRS["rdr-single-trivia"], "trivia-test").rows
    path = tmp_path / "recall.svg"
    draw_recall(path, MEASURED, rows, title="Answer recall on $trivia$", subtitle="a_b, wiki")
    found = texts_of(path)
    assert {"measured", "published, rdr-single-trivia", "baseline, dpr-single-trivia"} <= set(found)
    assert {"62.41", "75.88", "82.49", "85.60", "87.20"} <= set(found)
    assert {"1", "5", "20", "50", "100", "passages looked at, k"} <= set(found)
    assert {"Answer recall on $trivia$", "a_b, wiki"} <= set(found)


def test_a_png_is_a_png_and_stands_alone(tmp_path: Path) -> None:
    draw_recall(tmp_path / "recall.PNG", {10: 0.0})
    assert (tmp_path / "recall.PNG").read_bytes().startswith(b"\x89PNG\r\n")
    assert len(list(tmp_path.iterdir())) == 1


def test_the_same_figures_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_recall(tmp_path / name, MEASURED)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_overlapping_labels_are_left_out() -> None:
    assert _label_depths([1, 5, 20, 50, 100]) == [1, 5, 20, 50, 100]
    assert _label_depths([1, 2, 3, 96, 97, 98, 99, 100]) == [1, 2, 3, 100]
    assert _label_depths([7]) == [7]


def test_another_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"recall.pdf: the name must end in .png or .svg"):
        draw_recall(tmp_path / "recall.pdf", MEASURED)


def test_a_missing_matplotlib_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OutputError, match=r"needs matplotlib: pip install .* 'rdr-qdrant\[plot\]'"):
        draw_recall(tmp_path / "recall.png", MEASURED)
    assert list(tmp_path.iterdir()) == []
