"""`rdr-qdrant delete`: by id, metadata or source, or everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import connect
from tests.cli.conftest import Command
from tests.support.qdrant_http_server import QdrantHTTPServer


@pytest.fixture(params=["--path", "--url"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    if request.param == "--path":
        yield ["--path", str(tmp_path / "store")]
        return
    with QdrantHTTPServer() as server:
        yield ["--url", server.url]


@pytest.fixture
def loaded(command: Command, pair: list[str], tmp_path: Path, where: list[str]) -> list[str]:
    """Options that name a collection of six passages from two sources."""
    for name, ids in (("a.jsonl", ("1", "2", "3")), ("b.jsonl", ("4", "x 5", "6"))):
        rows = [{"id": one, "text": f"river {one}", "year": 2000 + len(one)} for one in ids]
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        assert command("ingest", name, "-c", "c", *where, *pair).status == 0
    return ["-c", "c", *where]


def ids_left(command: Command, loaded: list[str], pair: list[str]) -> set[str]:
    hits = command("search", "river", "-k", "9", *loaded, *pair, "--json").json
    return {hit["id"] for hit in hits}


def test_by_id(command: Command, loaded: list[str], pair: list[str]) -> None:
    outcome = command("delete", "--id", "2", "--id", "x 5", "--id", "nope", *loaded, "--json")
    assert outcome.status == 0
    assert outcome.json == {
        "collection": "c",
        "deleted": 2,
        "points": 4,
        "dry_run": False,
        "missing": 1,
    }
    assert "Not found: 1 id." in outcome.err.splitlines()
    assert ids_left(command, loaded, pair) == {"1", "3", "4", "6"}


def test_by_source_and_by_metadata(command: Command, loaded: list[str], pair: list[str]) -> None:
    assert command("delete", "--source", "a.jsonl", *loaded, "--json").json["deleted"] == 3
    both = ["--filter", "year=2003", "--filter", "source=b.jsonl"]
    shown = command("delete", *both, *loaded)
    assert shown.out.splitlines() == ["collection  c (2 points)", "deleted     1"]
    assert ids_left(command, loaded, pair) == {"4", "6"}


def test_a_source_is_found_as_ingest_records_it(command: Command, loaded: list[str]) -> None:
    # ingest keeps "..", which a link may lead elsewhere
    for written, count in (("sub/../a.jsonl", 0), ("./a.jsonl", 3), (".//b.jsonl", 3)):
        outcome = command("delete", "--source", written, *loaded, "--json")
        assert outcome.json["deleted"] == count
        assert ("No passage has the source" in outcome.err) is (count == 0)


def test_nothing_to_delete_is_said(command: Command, loaded: list[str]) -> None:
    for how, words in (
        (["--source", "c.jsonl"], "No passage has the source 'c.jsonl'. Name it as it was given"),
        (["--filter", "year=1"], "No passage matches the filter."),
        (["--filter", "yaer=2001"], "No passage has the metadata 'yaer'. There are: "),
    ):
        for dry in ([], ["--dry-run"]):
            outcome = command("delete", *how, *loaded, *dry, "--json")
            assert (outcome.status, outcome.json["deleted"], outcome.json["points"]) == (0, 0, 6)
            assert words in " ".join(outcome.err.split())


def test_a_dry_run_counts_and_deletes_nothing(
    command: Command, loaded: list[str], pair: list[str]
) -> None:
    for how in (["--all"], ["--source", "a.jsonl"], ["--id", "1"]):
        outcome = command("delete", *how, *loaded, "--dry-run", "--json")
        assert (outcome.status, outcome.json["points"], outcome.json["dry_run"]) == (0, 6, True)
        assert outcome.json["deleted"] == {"--all": 6, "--source": 3, "--id": 1}[how[0]]
    assert "a dry run" in command("delete", "--all", *loaded, "--dry-run").out


def test_everything_is_deleted_after_the_name_was_typed(
    command: Command, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = command("delete", "--all", *loaded)
    assert (refused.status, len(refused.errors)) == (2, 1)
    assert "add --yes" in refused.errors[0]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for typed, status, left in (("x", 2, 6), ("c", 0, 0)):
        monkeypatch.setattr("typer.prompt", lambda *args, typed=typed, **kwargs: typed)
        assert command("delete", "--all", *loaded).status == status
        assert command("info", *loaded, "--json").json["points"] == left
    assert command("delete", "--all", "--yes", *loaded, "--json").json["deleted"] == 0


def test_more_points_than_one_request_takes(
    command: Command, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdr_qdrant.collection.deletion.POINTS_PER_REQUEST", 2)
    ids = [part for one in "123" for part in ("--id", one)]
    assert command("delete", *ids, *loaded, "--json").json["deleted"] == 3
    assert command("delete", "--source", "b.jsonl", *loaded, "--json").json["deleted"] == 3
    assert command("info", *loaded, "--json").json["points"] == 0


def test_the_points_behind_an_alias(command: Command, pair: list[str], tsv: Path) -> None:
    assert command("ingest", tsv, "-c", "wiki", "--swap-alias", *pair).status == 0
    assert command("delete", "-c", "wiki", "--id", "1", "--json").json["points"] == 1
    assert command("info", "-c", "wiki", "--json").json["alias_of"] == "wiki-1"


def test_a_collection_of_other_software_is_left_alone(command: Command, tmp_path: Path) -> None:
    client = connect(path=tmp_path / "qdrant_data")
    params = models.VectorParams(size=2, distance=models.Distance.DOT)
    client.create_collection("theirs", vectors_config=params)
    client.upsert("theirs", [models.PointStruct(id=1, vector=[1.0, 2.0], payload={})])
    client.close()
    refused = command("delete", "-c", "theirs", "--all", "--yes")
    assert refused.status == 1
    assert "does not say that rdr-qdrant made it" in refused.errors[0]
    allowed = command("delete", "-c", "theirs", "--id", "1", "--allow-unverified", "--json")
    assert (allowed.json["deleted"], allowed.json["points"]) == (1, 0)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 2, "Give one of --id, --filter, --source, --all, not none."),
        (["--id", "1", "--all"], 2, "not --id and --all."),
        (["--filter", "novalue"], 2, "not of the form KEY=VALUE"),
        (["--id", "1"], 1, "No collection 'c'"),
    ],
)
def test_mistakes_delete_nothing(
    command: Command, options: list[str], status: int, words: str
) -> None:
    outcome = command("delete", "-c", "c", *options)
    assert outcome.status == status
    [line] = outcome.errors
    assert words in line


def test_an_empty_value_deletes_nothing(command: Command, pair: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A river without a title.")
    (tmp_path / "b.jsonl").write_text('{"id": "b", "text": "the king", "year": ""}')
    assert command("ingest", ".", "-c", "c", *pair).status == 0
    assert command("ingest", "b.jsonl", "-c", "c", *pair).status == 0
    for how in (["--source", ""], ["--id", ""], ["--filter", "year="], ["--filter", ""]):
        outcome = command("delete", "-c", "c", *how)
        assert (outcome.status, outcome.out) == (2, "")
        assert "empty" in outcome.err or "not of the form" in outcome.err
    assert command("info", "-c", "c", "--json").json["points"] == 2


def test_transient_errors_are_retried(command: Command, pair: list[str], tsv: Path) -> None:
    from tests.support.faults import Status

    with QdrantHTTPServer() as server:
        command("ingest", tsv, "-c", "c", "--url", server.url, *pair)
        server.inject(Status(503), match="POST .*/points/delete")
        found = command("delete", "-c", "c", "--source", tsv, "--url", server.url, "--json")
        assert (found.status, found.json["deleted"]) == (0, 2)
        assert QdrantClient(url=server.url).count("c").count == 0
