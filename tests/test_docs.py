"""What the README and docs/ point to is there, and the terminal's picture shows the terminal."""

from __future__ import annotations

import html
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/recipes.md", "docs/comparison.md"]
LINK = re.compile(r"(?:\]\(|src=\"|srcset=\")(?!https?://|#)([^)\"]+)")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_points_to_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in LINK.findall(text)]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    tests = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", text)
    assert [test for test in tests if not (ROOT / test).exists()] == []


def test_the_picture_is_what_the_terminal_shows() -> None:
    pyte = pytest.importorskip("pyte")
    picture = runpy.run_path(str(ROOT / "docs" / "pictures" / "terminal.py"))["picture"]
    screen = pyte.Screen(40, 5)
    pyte.ByteStream(screen).feed(b"first <line>\r\n\x1b[1;31mbold\x1b[0m \x1b[38;5;200mpink\x1b[0m")
    svg = picture(screen, "a title")
    shown = html.unescape(re.sub("<[^>]+>", "", svg)).replace("\xa0", " ")
    assert all(words in shown for words in ("first <line>", "bold", "pink", "a title"))
    assert "#ff00d7" in svg
    assert "font-face" not in svg
