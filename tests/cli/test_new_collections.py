"""Settings of new collections, bulk loads, re-indexing and rescoring, at a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant.collection import bulk_indexing as index_module
from rdr_qdrant.collection.settings import SCALAR_SETTINGS
from rdr_qdrant.embedded import EmbeddedQdrant
from tests.cli.conftest import Command
from tests.support.qdrant_http_server import QdrantHTTPServer
from tests.support.strict_mode import STRICT


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantHTTPServer]:
    monkeypatch.setattr(index_module, "POLL_SECONDS", 0.01)
    with EmbeddedQdrant(tmp_path / "behind") as backend, QdrantHTTPServer(backend) as http:
        yield http


def test_a_preset_and_settings_by_name(command: Command, pair: list[str], tsv: Path) -> None:
    asked = ["--preset", "large", "--set", "m=32", "--payload-index", "year:integer"]
    assert command("ingest", tsv, "-c", "c", *asked, "--tenant", "source", *pair).status == 0
    found = command("info", "-c", "c", "--json").json["settings"]
    wanted = {"m": 32, "vectors_memory": "cold", "quantization": "turbo", "tenant": "source"}
    assert found.items() >= wanted.items()
    assert found["payload_indexes"] == {"source": "keyword", "year": "integer"}
    shown = command("info", "-c", "c").out
    assert "vectors cold, quantization pinned, hnsw cached, payload cold" in shown
    again = command("ingest", tsv, "-c", "c", "--set", "m=8", *pair)
    assert again.status == 0
    only = ["--filter", f"source={tsv}"]
    assert len(command("search", "who?", "-c", "c", *only, *pair, "--json").json) == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--preset", "huge"], "There is no preset 'huge'"),
        (["--set", "mm=2"], "There is no setting 'mm'"),
        (["--set", "m=many"], "m=many"),
        (["--payload-index", ":integer"], "a payload index needs the name of a metadata key"),
        (["--drop-old"], "works only with --swap-alias"),
        (["--swap-alias", "--prune"], "contradict each other"),
    ],
)
def test_what_cannot_be_is_wrong_usage(
    command: Command, pair: list[str], tsv: Path, options: list[str], complaint: str
) -> None:
    outcome = command("ingest", tsv, "-c", "c", *options, *pair)
    assert outcome.status == 2
    assert len(outcome.errors) == 1
    assert complaint in outcome.errors[0]


def test_what_the_embedded_engine_has_not_is_refused_before_anything_is_loaded(
    command: Command, tsv: Path
) -> None:
    missing = ["--context-encoder", "./none", "--question-encoder", "./none"]
    outcome = command("ingest", tsv, "-c", "c", "--set", "shard_number=2", *missing)
    assert outcome.status == 1
    assert "shard_number=2 needs a server" in outcome.errors[0]


def test_help_names_every_setting(command: Command) -> None:
    shown = command("ingest", "--help").out
    assert [name for name in SCALAR_SETTINGS if name not in shown] == []


def test_reindexing_behind_an_alias(command: Command, pair: list[str], tsv: Path) -> None:
    swap = ["ingest", tsv, "-c", "wiki", "--swap-alias", *pair]
    first = command(*swap)
    assert "wiki -> wiki-1 (before: nothing)" in first.out
    assert "a new collection for the alias 'wiki'" in first.err
    second = command(*swap, "--drop-old", "--json").json
    assert (second["alias"], second["collection_name"]) == ("wiki", "wiki-2")
    assert (second["replaced"], second["dropped"]) == ("wiki-1", True)
    info = command("info", "-c", "wiki", "--json").json
    assert (info["alias_of"], info["points"]) == ("wiki-2", 2)
    assert "wiki (alias of wiki-2)" in command("info", "-c", "wiki").out
    assert len(command("search", "king", "-c", "wiki", *pair, "--json").json) == 2
    refused = command("ingest", tsv, "-c", "wiki-2", "--swap-alias", *pair)
    assert "'wiki-2' is a collection itself" in refused.errors[0]


def test_a_bulk_load_that_ends_early_is_told_and_mended(
    command: Command, pair: list[str], tmp_path: Path, server: QdrantHTTPServer
) -> None:
    rows = [json.dumps({"id": n, "text": f"the king {n}"}) for n in range(4)]
    (tmp_path / "f.jsonl").write_text("\n".join([*rows, "no json"]))
    load = ["ingest", "f.jsonl", "-c", "c", "--bulk", "--batch-size", 2, "--url", server.url, *pair]
    assert command(*load, "--strict").status == 1
    info = ["info", "-c", "c", "--url", server.url]
    assert command(*info, "--json").json["index_put_off"] is True
    assert "any ingest enables it" in " ".join(command(*info).out.split())
    listed = ["info", "--url", server.url]
    assert [one["index_put_off"] for one in command(*listed, "--json").json] == [True]
    assert " (indexing deferred)" in command(*listed).out
    ended = command(*load)
    assert ended.status == 3
    assert "index       complete after " in ended.out
    assert command(*info, "--json").json["index_put_off"] is False
    assert "deferred" not in command(*listed).out


def test_rescoring_is_asked_for_in_searches_and_evaluation(
    command: Command, pair: list[str], tsv: Path, tmp_path: Path
) -> None:
    command("ingest", tsv, "-c", "c", "--preset", "large", *pair)
    command("ingest", tsv, "-c", "plain", *pair)

    def search(collection: str, *how: object) -> object:
        return command("search", "king", "-c", collection, *how, *pair, "--json").json

    how = ["--oversampling", "2", "--hnsw-ef", "32"]
    assert search("c") == search("c", *how) == search("plain")
    assert search("c", "--no-rescore") != search("plain")
    (tmp_path / "q.tsv").write_text("who?\t['King']\n")
    assert command("eval", "q.tsv", "-c", "c", "-k", "2", *how, *pair).status == 0
    wrong = command("search", "king", "-c", "c", "--no-rescore", "--oversampling", "2", *pair)
    assert wrong.status == 2


def test_a_named_vector_is_loaded_and_searched(
    command: Command, pair: list[str], tsv: Path
) -> None:
    named = ["-c", "c", "--vector-name", "rdr"]
    assert command("ingest", tsv, *named, *pair).status == 0
    assert len(command("search", "king", *named, *pair, "--json").json) == 2
    assert command("info", *named, "--json").json["points"] == 2
    refused = command("search", "king", "-c", "c", *pair).errors[0]
    assert "named vectors" in refused
    assert "Name one with --vector-name NAME (vector_name=...)" in refused


def test_half_floats_and_the_optimizer(command: Command, pair: list[str], tsv: Path) -> None:
    asked = ["--set", "datatype=float16", "--set", "max_segment_size=50000"]
    loaded = command("ingest", tsv, "-c", "c", *asked, *pair)
    assert loaded.status == 0
    assert "2 points found, 2 of them read back and equal" in " ".join(loaded.out.split())
    shown = " ".join(command("info", "-c", "c").out.split())
    assert "(float16), compared by Dot" in shown
    assert "max_segment_size 50000" in shown
    refused = command("ingest", tsv, "-c", "d", "--set", "datatype=uint8", *pair)
    assert refused.status == 2
    assert "datatype=uint8: this datatype holds whole numbers" in refused.errors[0]


def test_an_index_of_metadata_that_no_passage_has_is_told(
    command: Command, pair: list[str], tsv: Path
) -> None:
    loaded = command("ingest", tsv, "-c", "c", "--payload-index", "sourse", *pair)
    assert loaded.status == 0
    assert "payload index sourse:keyword is empty: no passage has the metadata" in loaded.err
    assert "There are: id, source, title." in loaded.err
    assert "is empty" not in command("ingest", tsv, "-c", "c", "--tenant", "source", *pair).err


def test_a_filter_in_strict_mode_needs_an_index_that_ingest_adds(
    command: Command,
    pair: list[str],
    tmp_path: Path,
    server: QdrantHTTPServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [json.dumps({"id": n, "text": f"the king {n}", "year": 2000 + n}) for n in range(3)]
    (tmp_path / "f.jsonl").write_text("\n".join(rows))
    load = ["ingest", "f.jsonl", "-c", "c", "--url", server.url, *pair]
    assert command(*load).status == 0
    QdrantClient(url=server.url).update_collection("c", strict_mode_config=STRICT)
    search = ["search", "who?", "-c", "c", "--url", server.url, "--filter", "year=2001", *pair]
    refused = command(*search)
    assert refused.status == 1
    assert "'year' has no index that serves this filter" in refused.errors[0]
    assert command(*load, "--payload-index", "year:integer").status == 0
    assert "Collection 'c' has the payload indexes year:integer now" in caplog.messages
    assert [hit["id"] for hit in command(*search, "--json").json] == ["1"]
