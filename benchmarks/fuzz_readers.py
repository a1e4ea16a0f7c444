"""Fuzz every reader with hypothesis: any input must give rows or rejects, never a crash.

    python benchmarks/fuzz_readers.py [--inputs 100000] [--json]

Inputs are spread over the formats. Checked for each:
- the only error is `SourceError`; a file that opens is read to its end;
- every passage can be stored: text and id not empty, its payload JSON of at most 128 levels with
  finite numbers, UTF-8;
- every reject has a reason and can be written to the `--rejects` file;
- a document is passages or one reject;
- in JSON Lines, two good rows around the input are read, whatever stands between them.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import logging
import math
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rdr_qdrant.collection.payload import to_payload
from rdr_qdrant.errors import SourceError
from rdr_qdrant.passages import content_hash, point_id
from rdr_qdrant.readers import DocumentSource, Reject, RejectLog, open_source, read_questions
from rdr_qdrant.readers.documents import document_source, sandbox
from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError
from rdr_qdrant.readers.jsonlines import StdinSource
from rdr_qdrant.splitter import SplitSettings, Splitter

PIECES = [
    *(b'"', b'""', b"'", b"\t", b",", b"\n", b"\r", b"\r\n", b"\\", b"{", b"}", b"[", b"]", b":"),
    *(b"\xef\xbb\xbf", b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\u0000"),
    *(b"\xe2\x80\xa8", b"\x0c", b"\x1a", b"\x85", b" ", b"NaN", b"Infinity", b"-0", b"1e999"),
    *(b"1" * 5000, b"9" * 400, b"null", b"true", b'"id"', b'"text"', b'"title"', b'"source"'),
    *(b"id", b"text", b"title", b"question", b"answers", b"['a']", b'["a"]', b"[" * 1500),
    *(b'{"a":' * 120, b'{"id": "1", "text": "river"}', b'"question": "who?"', b"1\triver\tking"),
    *("é中\U0001f600".encode(), "\u202e".encode(), b"1,river,king", b"-1", b"007", b"\x1b[31m"),
]
BYTES = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.binary(max_size=6),
        st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    max_size=14,
).map(b"".join)
MARKUP = [
    *(b"<p>", b"</p", b"<td>", b"</tr>", b"<pre>", b"<script>", b"</script>", b"<![if x]>"),
    *(b"<title>", b"<!--", b"<svg>", b"&#0;", b"&#xd800;", b"&", b"```", b"# ", b"|", b"<br/>"),
    *(b"<<", b">>", b"obj", b"endobj", b"stream", b"/Length 9999", b"(", b"BT", b"PK", b"xref"),
    *(b"<w:p>", b"</w:p>", b"<w:tbl>", b"<w:tc>", b"<w:tab/>", b"<w:sdt>", b'w:val="Title"'),
]

CELLS = st.one_of(
    st.sampled_from([b"river", b"1", b"007", b"", b" ", b'"a ""quoted"" cell"', b'"two\nlines"']),
    BYTES,
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
    st.text(st.characters(), max_size=10),
    st.sampled_from(["", " ", "\ud800", "\x00", "river", "\u200b"]),
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
TEXTS = st.one_of(st.just("the river"), st.text(st.characters(), max_size=12), JSON_VALUES)
NAMES = st.sampled_from(["id", "text", "title", "source", "question", "answers", "x", "", "é"])
OBJECTS = st.one_of(
    st.dictionaries(NAMES, JSON_VALUES, max_size=6),
    st.fixed_dictionaries(
        {"text": TEXTS},
        optional={"id": TEXTS, "title": TEXTS, "source": TEXTS, "x": JSON_VALUES},
    ),
)
QUESTIONS = st.fixed_dictionaries({"question": TEXTS, "answers": st.lists(TEXTS, max_size=3)})
GOOD = ({"id": "before", "text": "river"}, {"id": "after", "text": "king"})

Outcomes = Counter[str]


def read_passages(source: Any, folder: Path, outcomes: Outcomes) -> list[Any]:
    """Read all of a source and check every passage and reject."""
    found = []
    with RejectLog(folder / "rejects.jsonl") as log:

        def reject(row: Reject) -> None:
            assert row.reason
            assert row.line >= 1 or isinstance(source, DocumentSource)
            log(row)

        for line, passage in source.enumerate_passages(reject):
            assert line >= 1
            assert passage.id
            assert passage.text.strip()
            payload = to_payload(passage, content_hash(passage, "fingerprint"))
            json.dumps(payload, allow_nan=False, ensure_ascii=False).encode()
            assert depth(payload) <= 120
            assert point_id(passage.id) is not None
            assert len(list(Splitter(SplitSettings(3)).split_passage(passage))) >= 1
            found.append(passage)
    for reason, count in log.counts.items():
        outcomes[f"reject: {reason[:60]}"] += count
    for line in (folder / "rejects.jsonl").read_text().splitlines():
        assert json.loads(line).keys() == {"source", "line", "reason", "row"}
    outcomes["passages"] += len(found)
    return found


def depth(value: Any) -> int:
    """Count levels of lists and objects, and check that all numbers are finite."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, float | int):
        assert math.isfinite(float(value))
    return 0


def opened(path: Path, folder: Path, outcomes: Outcomes) -> None:
    try:
        read_passages(open_source(path), folder, outcomes)
    except SourceError as error:
        outcomes[refusal(error, path)] += 1


def refusal(error: SourceError, path: Path) -> str:
    """Return its message without the values."""
    said = str(error).replace(str(path), "FILE")
    return f"refused: {said.partition(' (')[0].partition(': ')[0][:50]}"


def fuzz_table(folder: Path, outcomes: Outcomes, suffix: str, packed: bool) -> Any:
    delimiter = b"\t" if suffix == ".tsv" else b","
    heads = [delimiter.join(names) for names in ((b"id", b"text", b"title"), (b"text", b"x"))]
    path = folder / f"f{suffix}{'.gz' if packed else ''}"

    rows = st.lists(st.lists(CELLS, min_size=2, max_size=3).map(delimiter.join), max_size=4)

    @given(
        st.sampled_from([*heads, b"\xef\xbb\xbf" + heads[0], b""]),
        st.one_of(BYTES, st.builds(bytes.join, st.sampled_from([b"\n", b"\r\n", b"\r"]), rows)),
    )
    def run(head: bytes, body: bytes) -> None:
        data = head + b"\n" + body if head else body
        path.write_bytes(gzip.compress(data, 1) if packed else data)
        opened(path, folder, outcomes)

    return run


def fuzz_damaged_gzip(folder: Path, outcomes: Outcomes) -> Any:
    path = folder / "f.jsonl.gz"

    @given(BYTES, st.integers(0, 200), st.binary(max_size=3))
    def run(body: bytes, cut: int, junk: bytes) -> None:
        whole = gzip.compress(b"\n".join([json.dumps(GOOD[0]).encode(), body]), 1)
        path.write_bytes(whole[:cut] + junk)
        opened(path, folder, outcomes)

    return run


def fuzz_json_lines(folder: Path, outcomes: Outcomes) -> Any:
    path = folder / "f.jsonl"
    before, after = (json.dumps(row).encode() for row in GOOD)

    @given(st.one_of(BYTES, OBJECTS.map(lambda value: json.dumps(value).encode())))
    def run(body: bytes) -> None:
        path.write_bytes(b"\n".join([before, body, after]))
        found = read_passages(open_source(path), folder, outcomes)
        assert found[0].id == "before"
        assert found[-1].id == "after"

    return run


def fuzz_stdin(folder: Path, outcomes: Outcomes) -> Any:
    objects = OBJECTS.map(lambda value: json.dumps(value).encode())

    @given(st.lists(st.one_of(BYTES, objects), max_size=4).map(b"\n".join))
    def run(body: bytes) -> None:
        read_passages(StdinSource(io.BytesIO(body)), folder, outcomes)

    return run


def fuzz_parquet(folder: Path, outcomes: Outcomes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "f.parquet"
    columns = st.sampled_from(
        [
            (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
            (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
            (pa.float64(), st.floats()),
            (pa.binary(), st.binary(max_size=8)),
            (pa.bool_(), st.booleans()),
            (pa.timestamp("ns"), st.integers(-(2**63) + 1, 2**63 - 1)),
            (pa.date64(), st.integers(-(2**50), 2**50)),
            (pa.decimal256(76, 0), st.integers(-(10**75), 10**75)),
            (pa.list_(pa.float32()), st.lists(st.floats(width=32), max_size=3)),
            (pa.struct([("a", pa.string())]), st.just({"a": "b"})),
            (pa.map_(pa.string(), pa.int8()), st.just([("k", 1)])),
            (pa.null(), st.none()),
        ]
    )

    @given(st.data())
    def run(data: Any) -> None:
        rows = data.draw(st.integers(0, 3))
        fields = {}
        for name in ("text", *data.draw(st.lists(NAMES, max_size=3))):
            kind, values = data.draw(columns)
            cells = st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows)
            fields[name] = pa.array(data.draw(cells), kind)
        if data.draw(st.booleans()):  # bytes declared as text
            raw = data.draw(st.lists(st.binary(max_size=5), min_size=rows, max_size=rows))
            fields["text"] = pa.Array.from_buffers(
                pa.string(), rows, pa.array(raw, pa.binary()).buffers()
            )
        pq.write_table(pa.table(fields), path)
        if data.draw(st.integers(0, 9)) == 0:  # damage
            whole = bytearray(path.read_bytes())
            whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
            path.write_bytes(bytes(whole))
        opened(path, folder, outcomes)

    return run


def fuzz_documents(folder: Path, outcomes: Outcomes, suffix: str) -> Any:
    """Convert in this process, for speed; errors of a converter are rejects as in the sandbox."""
    from tests.support import documents

    rich = b"<title>T</title><h1>H</h1><p>river<table><tr><td>a<td>b</table><pre> c</pre>"
    whole = {
        ".txt": b"the river",
        ".md": b"---\ntitle: T\n---\n# H\n\n**river** [a](b)\n\n|a|b|\n|-|-|\n|1|2|\n",
        ".html": b'<!DOCTYPE html><meta charset="latin1">' + rich,
        ".pdf": documents.pdf(["the river", "the king"], "T"),
        ".docx": documents.docx(["the river"], "T", "H"),
        ".xml": documents.word_xml(
            '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>H</w:t></w:r></w:p>'
            "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t><w:br/></w:r></w:p></w:tc></w:tr></w:tbl>"
        ).encode(),
    }[suffix]
    inside = suffix == ".xml"  # of a DOCX with an intact archive
    path = folder / f"f{'.docx' if inside else suffix}"
    tags = st.sampled_from(MARKUP)
    junk = st.lists(st.one_of(tags, BYTES), max_size=6).map(b"".join)

    @given(st.integers(0, len(whole)), st.integers(0, 60), junk, st.integers(0, 9))
    def run(at: int, cut: int, junk: bytes, alone: int) -> None:
        data = junk if alone == 0 else whole[:at] + junk + whole[at + cut :]
        path.write_bytes(documents.bare_docx(data) if inside else data)
        opened(path, folder, outcomes)

    return run


class InProcessConverter:
    """Replaces `DocumentConverter` and converts in this process."""

    def __enter__(self) -> InProcessConverter:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def convert(self, path: Path, *, follow_symlinks: bool) -> tuple[str, ConvertedDocument]:
        request = {
            "path": str(path),
            "follow_symlinks": follow_symlinks,
            "suffix": path.suffix,
        }
        reply = json.loads(json.dumps(sandbox.handle_request(request)))
        if "error" in reply:
            raise DocumentError(reply["error"])
        return reply["digest"], ConvertedDocument(reply["title"], reply["pages"], reply["paged"])


def fuzz_questions(folder: Path, outcomes: Outcomes) -> Any:
    objects = QUESTIONS.map(lambda value: json.dumps(value).encode())
    literals = st.one_of(st.lists(TEXTS, max_size=3), JSON_VALUES).map(
        lambda value: b"who?\t" + repr(value).encode("utf-8", "surrogatepass")
    )
    bodies = st.lists(st.one_of(BYTES, objects, literals), max_size=3).map(b"\n".join)

    @given(st.sampled_from([".jsonl", ".tsv", ".csv", ".tsv.gz"]), bodies)
    def run(suffix: str, body: bytes) -> None:
        path = folder / f"q{suffix}"
        path.write_bytes(gzip.compress(body, 1) if suffix.endswith("gz") else body)
        log = RejectLog()
        try:
            for question in read_questions(path, log):
                assert question.text.strip()
                assert all(isinstance(a, str) and a for a in question.answers)
                outcomes["questions"] += 1
        except SourceError as error:
            outcomes[refusal(error, path)] += 1
        for reason, count in log.counts.items():
            outcomes[f"reject: {reason[:60]}"] += count

    return run


TARGETS: dict[str, tuple[float, Callable[..., Any], tuple[Any, ...]]] = {
    "tsv": (0.15, fuzz_table, (".tsv", False)),
    "csv": (0.15, fuzz_table, (".csv", False)),
    "tsv.gz": (0.05, fuzz_table, (".tsv", True)),
    "damaged gz": (0.1, fuzz_damaged_gzip, ()),
    "json lines": (0.2, fuzz_json_lines, ()),
    "stdin": (0.1, fuzz_stdin, ()),
    "parquet": (0.05, fuzz_parquet, ()),
    "questions": (0.1, fuzz_questions, ()),
    "txt": (0.01, fuzz_documents, (".txt",)),
    "markdown": (0.02, fuzz_documents, (".md",)),
    "html": (0.03, fuzz_documents, (".html",)),
    "pdf": (0.02, fuzz_documents, (".pdf",)),
    "docx": (0.01, fuzz_documents, (".docx",)),
    "docx inside": (0.01, fuzz_documents, (".xml",)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--only", choices=sorted(TARGETS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # about odd escapes in answers
    logging.disable()  # warnings about broken documents
    document_source.DocumentConverter = InProcessConverter  # type: ignore[attr-defined,assignment]
    results: dict[str, Any] = {}
    failed = 0
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        for name, (share, make, arguments) in TARGETS.items():
            if options.only not in (None, name):
                continue
            inputs = 0
            outcomes: Outcomes = Counter()
            run = make(Path(place), outcomes, *arguments)
            inner = run.hypothesis.inner_test

            def counted(*values: Any, inner: Any = inner, **named: Any) -> None:
                nonlocal inputs
                inputs += 1
                inner(*values, **named)

            run.hypothesis.inner_test = counted
            wanted = max(1, round(options.inputs * share))
            configured = settings(
                max_examples=wanted,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            )(run)
            started = time.monotonic()
            try:
                configured()
                verdict = "passed"
            except Exception as error:
                failed += 1
                verdict = f"FAILED: {type(error).__name__}: {error}"
                if os.environ.get("SHOW"):
                    raise
            results[name] = {
                "inputs": inputs,
                "seconds": round(time.monotonic() - started, 1),
                "verdict": verdict,
                "outcomes": dict(outcomes.most_common()),
            }
            if not options.json:
                print(f"{name}: {inputs:,} inputs, {results[name]['seconds']} s, {verdict}")
                for what, count in outcomes.most_common(12):
                    print(f"    {count:>8,}  {what!r}")
    total = sum(result["inputs"] for result in results.values())
    print(json.dumps(results) if options.json else f"{total:,} inputs, {failed} readers failed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
