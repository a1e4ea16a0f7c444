"""Run docs/recipes.md as it stands: its shell and Python blocks, in one folder, in order."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rdr_qdrant.cli.app import run
from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.demo_model import demo_encoder

RECIPES = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<kind>\w+)(?P<server> server)?\n(?P<code>.*?)^```$", re.M | re.S)
HERE_DOCUMENT = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END\n", re.M | re.S)


def sections() -> Iterator[tuple[str, str]]:
    """Heading and text of each recipe."""
    for section in RECIPES.split("\n## ")[1:]:
        heading, text = section.split("\n", 1)
        yield heading, text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the checkpoints and the old collection that the recipes start from."""
    from langchain_core.documents import Document
    from langchain_core.embeddings import DeterministicFakeEmbedding
    from langchain_qdrant import QdrantVectorStore

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QDRANT_URL", raising=False)
    for side in Side:
        name = f"my-{side.value.replace(' ', '-')}"
        (tmp_path / name).symlink_to(demo_encoder(side))
    old = QdrantVectorStore.from_documents(
        [Document("A play in two parts by Goethe.", metadata={"title": "Faust"})],
        DeterministicFakeEmbedding(size=4),
        path=str(tmp_path / "old_data"),
        collection_name="docs",
    )
    old.client.close()
    return tmp_path


def run_shell(code: str) -> None:
    """Write here-documents; run our own commands in this process and all others in a shell."""
    for name, content in HERE_DOCUMENT.findall(code):
        Path(name).write_text(content, encoding="utf-8")
    for line in HERE_DOCUMENT.sub("", code).splitlines():
        if line.startswith("rdr-qdrant "):
            assert run(shlex.split(line)[1:]) == 0, line
        else:
            subprocess.run(["bash", "-c", line], check=True)


def test_the_recipes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mammoth")
    printed = {}
    for heading, text in sections():
        for kind, server, code in BLOCK.findall(text):
            if server:
                continue
            if kind == "sh":
                run_shell(code)
            else:
                assert kind == "python"
                exec(compile(code, f"recipes.md, {heading}", "exec"), {})
        printed[heading] = capfd.readouterr().out
    assert "1  0" in printed["Filters"]
    assert "2024 Instruments" in printed["Filters"]
    assert re.search(
        r"alias +news -> news-2 \(before: news-1, dropped\)", printed["Re-index without downtime"]
    )
    assert "1 points" in printed["Move from another collection"]
    assert printed["A backup, and a way between clusters"].count("3 points found, 3 of them") == 2
    assert re.search(r"removed +1 ", printed["A folder of documents"])
    assert "id more/1" in printed["Several files that number their rows alike"]
    assert "'num_skipped': 1" in printed["LangChain's index()"]
    assert "1,000,000 passages" in printed["How long will it take?"]
    assert "100.00" in printed["How good is it on your own questions?"]
