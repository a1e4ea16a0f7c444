"""The README and docs/ match the code: links, commands, Python blocks, messages, pictures."""

from __future__ import annotations

import ast
import gc
import html
import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from rdr_qdrant.cli.app import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rdr_qdrant"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "examples" / "reproduce" / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]
}
LINK = re.compile(r"(?:\]\(|src=\"|srcset=\")(?!https?://)([^)\"]+)")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
BANNED = re.compile(
    r"\b(rooms?|boxes|boxed|scout|sightings?|set aside|goes on|made again|told|put off|"
    r"what became of|there is no such)\b",
    re.I,
)
QUOTED = re.compile(r"`[^`\n]+`")

commands = get_command(app).commands  # type: ignore[attr-defined]


def anchors(text: str) -> set[str]:
    """The fragment of each heading, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_lines(text: str) -> str:
    """The indented and fenced code of a page, with continued lines joined."""
    fenced = "\n".join(re.findall(r"^```sh.*?\n(.*?)^```$", text, re.M | re.S))
    indented = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    return re.sub(r"\\\n\s*", " ", f"{fenced}\n{indented}")


def shown_commands() -> list[tuple[str, str]]:
    """Page and command line of each `rdr-qdrant` command in a code block."""
    return [
        (page, re.split(r"\s+[#&]|\s*;", found)[0])
        for page, text in PAGES.items()
        for found in re.findall(r"rdr-qdrant (\w.*)", code_lines(text))
        if found.split()[0] in commands
    ]


def message_templates() -> list[str]:
    """Every string of the package; the values of f-strings are `{}`."""
    templates = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values]
                templates.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                templates.append(node.value)
    return templates


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_exist(page: str) -> None:
    folder = (ROOT / page).parent
    for link in LINK.findall(PAGES[page]):
        name, _, fragment = link.partition("#")
        target = (folder / name).resolve() if name else ROOT / page
        assert target.exists(), link
        if fragment:
            assert fragment in anchors(target.read_text(encoding="utf-8")), link
    folders = "tests|benchmarks|docs|examples|rdr_qdrant"
    paths = re.findall(rf"`((?:{folders})/[\w/]+\.\w+)`", PAGES[page])
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^ {4}make (\w+)|`make (\w+)`", PAGES[page], re.M):
        assert re.search(rf"^{''.join(target)}:", makefile, re.M), target


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_commands_are_understood(page: str, line: str) -> None:
    name, *arguments = shlex.split(line.replace("RATE", "100").replace("...", ""))
    commands[name].make_context(name, arguments)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/langchain.md"])
def test_python_blocks_run(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = PYTHON.findall(PAGES[page])
    assert blocks
    monkeypatch.chdir(tmp_path)
    gc.freeze()  # so that what follows goes through the objects of the blocks alone
    try:
        for block in blocks:
            exec(block.replace("RDREmbeddings()", 'RDREmbeddings(model="demo")'), {})
            gc.collect()  # a block may leave its client open, as a program that ends may
    finally:
        gc.unfreeze()
    found = "Hamlet A tragedy set in Denmark." if "Hamlet" in blocks[0] else "Faust A play in two"
    assert found in capsys.readouterr().out


def test_the_readme_is_short_and_shows_python_early() -> None:
    text = PAGES["README.md"]
    assert len(text.split()) <= 1300
    assert text[: text.index("```python")].count("\n") < 40


def test_the_index_names_every_page() -> None:
    linked = set(LINK.findall(PAGES["docs/README.md"]))
    pages = {Path(page).name for page in PAGES if page.startswith("docs/")} - {"README.md"}
    assert pages - linked == set()


def test_the_map_of_packages_is_complete() -> None:
    text = PAGES["CONTRIBUTING.md"]
    mapped = set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", text, re.M))
    names = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path / "__init__.py").exists() or path.suffix == ".py"
    }
    assert names - mapped - {"__init__", "__main__"} == set()
    modules = re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", text)
    assert [m for m in modules if not ((PACKAGE / m).exists() or (ROOT / m).exists())] == []


def test_quoted_messages_exist() -> None:
    ours = PAGES["docs/troubleshooting.md"].split("\n## ")[1]
    assert ours.startswith("Messages of rdr-qdrant")
    messages = re.findall(r"^\| `([^`]+)` \|", ours, re.M)
    templates = message_templates()
    assert messages
    assert [m for m in messages if not any(m in template for template in templates)] == []


@pytest.mark.parametrize("page", PAGES)
def test_prose_uses_the_terms_of_the_field(page: str) -> None:
    assert BANNED.findall(QUOTED.sub("", PAGES[page])) == []


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
