"""The layout holds: layers, names, words, and a short way from the loader to the client."""

from __future__ import annotations

import ast
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import QdrantLoader, RDREmbeddings
from rdr_qdrant.ingest.job import IngestJob
from rdr_qdrant.ingest.thread_executor import ThreadExecutor
from rdr_qdrant.readers import open_source
from tests.support.upserts import after_each_upsert

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rdr_qdrant"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    {"embedded"},
    {"errors"},
    {"atomic_io", "child_process", "passages"},
    {"registry", "client"},
    {"splitter"},
    {"collection", "encoding", "readers"},
    {"embeddings", "planning"},
    {"ingest", "searcher"},
    {"ingest.ray", "export", "evaluation", "mcp_server", "retriever", "vectorstore"},
    {"cli"},
]
"""Packages and top-level modules; each imports only those of the lists above it."""

SHARED_NAMES = {"__init__", "base", "errors"}
"""Module names that more than one package may have."""

BANNED_WORDS = re.compile(
    r"""\b(?:books|boxed|unboxed|scout|sighting|gate|the\ board)\b
      | \bset\ aside\b | \bgo(?:es)?\ on\b | \bmade\ (?:again|anew)\b | \btold\b
      | what\ became\ of | \bthere\ is\ no\ such\b | \b(?:a|this|the)\ room\b""",
    re.VERBOSE | re.IGNORECASE,
)
DOCSTRING_STARTS = re.compile(r"(?:What|Whether|Where|Of)\b")

MOST_FRAMES = 10
MOST_LINES_OF_THE_LOOP = 60


def test_no_import_runs_upward() -> None:
    layer_of = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    upward = []
    for path in MODULES:
        part = part_of(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
        if part in ("__init__", "__main__"):
            continue
        assert part in layer_of, f"{path} is in no layer"
        for module in imported_modules(path):
            other = part_of(module)
            if other != part and layer_of[other] >= layer_of[part]:
                upward.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not upward


def test_embedded_imports_nothing_of_the_project() -> None:
    for path in (PACKAGE / "embedded").rglob("*.py"):
        assert {part_of(module) for module in imported_modules(path)} <= {"embedded"}, path


def test_no_module_and_no_class_name_exists_twice() -> None:
    modules = Counter(path.stem for path in MODULES if path.stem not in SHARED_NAMES)
    assert [name for name, count in modules.items() if count > 1] == []
    classes = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_no_banned_word_in_code_and_docs() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*MODULES, *pages]
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if BANNED_WORDS.search(line)
    ]
    assert not found


def test_docstrings_start_with_a_verb_or_a_noun() -> None:
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) or ""
                if DOCSTRING_STARTS.match(docstring):
                    found.append(f"{path.relative_to(ROOT)}: {docstring.splitlines()[0]}")
    assert not found


def test_no_private_part_of_a_library_is_patched() -> None:
    private = re.compile(r"_private|model_rebuild|_current_executor|_global_node")
    assert [path for path in MODULES if private.search(path.read_text())] == []


@pytest.mark.parametrize("function", [IngestJob.run, ThreadExecutor.execute])
def test_the_loop_fits_on_one_screen(function: Any) -> None:
    code = function.__code__
    lines = [line for _, _, line in code.co_lines() if line is not None]
    assert max(lines) - code.co_firstlineno + 1 <= MOST_LINES_OF_THE_LOOP


def test_the_way_from_the_loader_to_the_client_is_short(
    tmp_path: Path, tiny: RDREmbeddings, client: QdrantClient
) -> None:
    """Counts our frames in the caller's thread to the hand-over, and from there in the writer's."""
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "river"}\n')
    stacks: dict[str, list[str]] = {}
    caller = threading.get_ident()

    def written() -> None:
        stacks["writer"] = frames_of_ours(sys._getframe(2))
        if threading.get_ident() != caller:
            stacks["caller"] = frames_of_ours(sys._current_frames()[caller])

    after_each_upsert(client, written)
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name="frames")
    loader.load_sources([open_source(tmp_path / "a.jsonl")])
    waiting = [name for name in stacks.get("caller", []) if not name.startswith("Pipeline._")]
    frames = [*waiting, *stacks["writer"]]
    assert len(frames) <= MOST_FRAMES, frames


def part_of(module: str) -> str:
    """The package or top-level module of a module's name below `rdr_qdrant`."""
    names = module.split(".")
    return "ingest.ray" if names[:2] == ["ingest", "ray"] else names[0]


def imported_modules(path: Path) -> Iterator[str]:
    """Modules of the project that a file imports, anywhere in it, as names below `rdr_qdrant`."""
    prefix = "rdr_qdrant."
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "rdr_qdrant":
                yield from (name.name for name in node.names if name.name != "__version__")
            elif node.module.startswith(prefix):
                yield node.module.removeprefix(prefix)
        elif isinstance(node, ast.Import):
            yield from (
                name.name.removeprefix(prefix)
                for name in node.names
                if name.name.startswith(prefix)
            )


def frames_of_ours(frame: Any) -> list[str]:
    found = []
    while frame is not None:
        if Path(frame.f_code.co_filename).is_relative_to(PACKAGE):
            found.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return found[::-1]
