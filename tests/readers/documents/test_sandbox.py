"""The worker process that converts documents: no document can harm the process that waits."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.documents.document import DocumentError
from rdr_qdrant.readers.documents.document_files import MAX_FILE_BYTES
from rdr_qdrant.readers.documents.sandbox import DocumentConverter
from tests.support import documents

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def converter() -> Iterator[DocumentConverter]:
    with DocumentConverter() as converter:
        yield converter


def reason(converter: DocumentConverter, path: Path, *, follow_symlinks: bool = False) -> str:
    with pytest.raises(DocumentError) as raised:
        converter.convert(path, follow_symlinks=follow_symlinks)
    return str(raised.value)


def test_a_document_comes_with_the_digest_of_its_bytes(
    converter: DocumentConverter, write: Write
) -> None:
    path = write("a.PDF", documents.pdf(["river", "king"], "Title"))
    digest, document = converter.convert(path, follow_symlinks=False)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (document.title, list(document.pages)) == ("Title", ["river", "king"])
    assert document.paged


def test_a_broken_document_does_not_end_the_process(
    converter: DocumentConverter, write: Write
) -> None:
    assert "not a PDF" in reason(converter, write("a.pdf", b"x"))
    assert converter.convert(write("b.txt", "the river"), follow_symlinks=False)[1].pages == [
        "the river"
    ]


def test_only_regular_files_are_opened(
    converter: DocumentConverter, tmp_path: Path, write: Write
) -> None:
    target = write("target.txt", "river")
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    assert "cannot be read" in reason(converter, link)
    assert converter.convert(link, follow_symlinks=True)[1].pages == ["river"]
    os.mkfifo(tmp_path / "pipe.txt")
    assert reason(converter, tmp_path / "pipe.txt") == "not a regular file"
    assert reason(converter, write("empty.txt", "")) == "empty (0 bytes)"
    assert "No such file" in reason(converter, tmp_path / "none.txt")
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert "larger than 268,435,456 bytes" in reason(converter, tmp_path / "large.txt")


UNCLOSED = ["<!--", "<![CDATA[", "<?", "<!", "<a ", "<a/", "<a b='", "</", "<script></", "<title>"]


@pytest.mark.parametrize("piece", UNCLOSED)
def test_markup_that_is_never_closed_takes_linear_time(write: Write, piece: str) -> None:
    """A quadratic parser needs hours for half a million pieces."""
    path = write("a.html", "<p>river</p>" + piece * 500_000)
    with DocumentConverter(time_limit=100) as converter:
        _, document = converter.convert(path, follow_symlinks=False)
    assert document.pages[0].startswith("river")


ENTITIES = f"""<!DOCTYPE d [<!ENTITY a "{{}}"><!ENTITY b SYSTEM "file:///etc/hostname">]>
<w:document xmlns:w="{documents.WORD}"><w:body><w:p><w:r><w:t>river &{{}};</w:t></w:r></w:p>
</w:body></w:document>"""


@pytest.mark.parametrize("entity", ["a", "b"])
def test_entities_of_xml_are_refused(
    converter: DocumentConverter, write: Write, entity: str
) -> None:
    bomb = documents.bare_docx(ENTITIES.format("a" * 100, entity))
    assert "EntitiesForbidden" in reason(converter, write("a.docx", bomb))
    properties = ENTITIES.format("a", "a")
    bomb = documents.bare_docx(documents.word_xml("<w:p/>"), **{"docProps/core.xml": properties})
    assert "EntitiesForbidden" in reason(converter, write("a.docx", bomb))


def test_endless_nesting_is_rejected(converter: DocumentConverter, write: Write) -> None:
    deep = documents.word_xml("<w:sdt><w:sdtContent>" * 50_000 + "</w:sdtContent></w:sdt>" * 50_000)
    said = reason(converter, write("a.docx", documents.bare_docx(deep)))
    assert said == "nested too deep" or "crashed" in said
    assert converter.convert(write("b.txt", "river"), follow_symlinks=False)[1].pages == ["river"]


def run_worker(script: str, *lines: dict[str, object]) -> list[dict[str, str]]:
    """Run a worker with a patched converter and return its replies."""
    code = f"from rdr_qdrant.readers.documents import html, sandbox\n{script}\nsandbox.run_worker()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("__import__('socket').create_connection(('127.0.0.1', 9))", "socket."),
        ("__import__('subprocess').run(['true'])", "subprocess.Popen is refused"),
        ("__import__('os').system('true')", "os.system is refused"),
        ("open('written.txt', 'w')", "open is refused"),
        ("bytearray(2**33)", "needs more than 2,147,483,648 bytes of memory"),
        ("1 / 0", "cannot be converted: ZeroDivisionError"),
    ],
)
def test_a_converter_that_misbehaves_is_refused(write: Write, act: str, said: str) -> None:
    path = write("a.html", "<p>river")
    request: dict[str, object] = {"path": str(path), "follow_symlinks": False, "suffix": ".html"}
    script = f"html.convert_html = lambda markup: print('noise') or {act}"
    [reply] = run_worker(script, request)
    assert said in reply["error"]
    assert not Path("written.txt").exists()


def test_a_document_that_takes_too_long_is_rejected(write: Write) -> None:
    path = write("a.txt", "river")
    with DocumentConverter(time_limit=0.01) as converter:  # no process starts that fast
        assert reason(converter, path) == "takes longer than 0.01 s to convert"
        assert converter._process is None
        converter._time_limit = 60
        assert converter.convert(path, follow_symlinks=False)[1].pages == ["river"]


def test_a_worker_that_crashes_costs_one_document(write: Write) -> None:
    path = write("a.txt", "river")
    with DocumentConverter() as converter:
        converter.convert(path, follow_symlinks=False)
        assert converter._process is not None
        converter._process.kill()
        converter._process.wait()
        assert reason(converter, path) == "the converter crashed: status -9"
        assert converter.convert(path, follow_symlinks=False)[1].pages == ["river"]


def test_a_worker_that_does_not_start_is_one_error(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_worker() -> None: ...

    run_worker.__module__ = "rdr_qdrant.none"
    monkeypatch.setattr("rdr_qdrant.readers.documents.sandbox.run_worker", run_worker)
    with (
        DocumentConverter() as converter,
        pytest.raises(SourceError, match=r"does not start.*none"),
    ):
        converter.convert(write("a.txt", "river"), follow_symlinks=False)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_the_worker_gets_no_secrets(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QDRANT_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret-value")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret-value@proxy")
    with DocumentConverter() as converter:
        converter.convert(write("a.txt", "river"), follow_symlinks=False)
        assert converter._process is not None
        environment = Path(f"/proc/{converter._process.pid}/environ").read_bytes()
    assert b"PYTHONPATH=" in environment
    assert b"secret-value" not in environment


def test_modules_in_the_working_directory_are_not_imported(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("pypdf.py", "raise SystemExit(7)")
    write("json.py", "raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    with DocumentConverter() as converter:
        path = write("a.pdf", documents.pdf(["river"]))
        assert converter.convert(path, follow_symlinks=False)[1].pages == ["river"]
