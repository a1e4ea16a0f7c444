from __future__ import annotations

from pathlib import Path

from qdrant_client import QdrantClient, models

from tests.cli.conftest import Command
from tests.support.qdrant_http_server import QdrantHTTPServer


def test_a_folder_to_a_server_and_back(command: Command, pair: list[str], tsv: Path) -> None:
    command("ingest", tsv, "-c", "c", "--path", "a", *pair)
    with QdrantHTTPServer() as server:
        outcome = command("copy", "--from", "a", "--to", server.url, "-c", "c", "--json")
        assert outcome.status == 0
        assert (outcome.json["points"], outcome.json["copied"]) == (2, 2)
        back = command("copy", "--from", server.url, "--to", "b", "-c", "c")
        assert "2 read back from both sides and equal" in back.out
    found = [
        command("search", "who?", "-c", "c", "--path", path, *pair, "--json").json
        for path in ("a", "b")
    ]
    assert found[0] == found[1]


def test_points_that_only_the_target_has_are_reported(
    command: Command, pair: list[str], tsv: Path
) -> None:
    command("ingest", tsv, "-c", "c", "--path", "a", *pair)
    copy = ("copy", "--from", "a", "--to", "b", "-c", "c")
    first = command(*copy)
    assert "extra" not in first.out
    assert "more points" not in first.err
    command("delete", "-c", "c", "--path", "a", "--id", "1")
    outcome = command(*copy)
    assert outcome.status == 0
    assert "extra       1 (only in the target)" in outcome.out.splitlines()
    assert "rdr-qdrant delete -c c --all --path b" in outcome.err
    assert command(*copy, "--json").json["extra"] == 1


def test_a_folder_of_the_clients_local_mode_is_moved_over(command: Command, tmp_path: Path) -> None:
    old = QdrantClient(path=str(tmp_path / "old"))
    params = models.VectorParams(size=2, distance=models.Distance.DOT)
    old.create_collection("c", vectors_config=params)
    old.upsert("c", [models.PointStruct(id=1, vector=[1.0, 2.0], payload={"a": 1})])
    old.close()
    refused = command("info", "-c", "c", "--path", "old")
    assert refused.status == 1
    assert "rdr-qdrant copy --from old --to NEW_FOLDER" in refused.errors[0]
    assert command("copy", "--from", "old", "--to", "new", "-c", "c").status == 0
    assert command("info", "-c", "c", "--path", "new", "--json").json["points"] == 1


def test_mistakes(command: Command, tmp_path: Path) -> None:
    same = command("copy", "--from", "a", "--to", "./a", "-c", "c")
    assert same.status == 2
    assert "a and ./a are the same location" in same.errors[0]
    missing = command("copy", "--from", "a", "--to", "b", "-c", "c")
    assert missing.status == 1
    assert "The source has no collection 'c' (it has: none)." in missing.errors[0]
    assert list(tmp_path.iterdir()) == []
