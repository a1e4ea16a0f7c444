"""Arguments that name files and folders: `~` is expanded, addresses and empty values refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command

QUESTIONS = "who?\t['King']\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


IS_EMPTY = "the value is empty; is a variable unset?"


@pytest.mark.parametrize(
    "options",
    [
        ["ingest", "", "-c", "c"],
        ["ingest", "p.tsv", "-c", "c", "--id-prefix", ""],
        ["ingest", "p.tsv", "-c", "c", "--preset", ""],
        ["ingest", "p.tsv", "-c", "c", "--model", ""],
        ["ingest", "p.tsv", "-c", "c", "--context-encoder", "", "--question-encoder", ""],
        ["ingest", "p.tsv", "-c", "c", "--model", "demo", "--revision", ""],
        ["ingest", "p.tsv", "-c", "c", "--bm25", "--language", ""],
        ["delete", "-c", "c", "--source", ""],
        ["delete", "-c", "c", "--id", "1", "--id", ""],
        ["bench", ""],
        ["plan", ""],
        ["split", ""],
        ["eval", "", "-c", "c"],
    ],
)
def test_empty_values_are_refused_where_they_would_mean_something(
    command: Command, tsv: Path, tmp_path: Path, options: list[str]
) -> None:
    tsv.rename(tmp_path / "p.tsv")
    outcome = command(*options)
    assert outcome.status == 2
    assert IS_EMPTY in " ".join(outcome.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["p.tsv"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["info", "--path", "http://localhost:6333"], "Name a server with --url."),
        (["info", "--path", "HTTPS:/q.example"], "Name a server with --url."),
        (["info", "--path", "localhost:6333"], "Name a server with --url."),
        (["info", "--path", ""], "the path is empty"),
        (["info", "--url", ""], "the URL is empty"),
        (["info", "--path", ":memory:"], "would be forgotten when the command ends"),
        (["ingest", "p.tsv", "-c", "c", "--path", ":memory:"], "would be forgotten"),
        (["ingest", "p.tsv", "-c", "c", "--path", "grpc://q:6334"], "Name a server with --url."),
        (["ingest", "p.tsv", "-c", "c", "--rejects", "s3://b/r"], "is an address"),
        (["delete", "-c", "c", "--all", "--yes", "--path", ":memory:"], "would be forgotten"),
        (["demo", "--path", "http://localhost:6333"], "Name a server with --url."),
        (["encode", "p.tsv", "-o", "http://localhost:6333"], "is an address"),
        (["encode", "p.tsv", "-o", ""], "the path is empty"),
        (["copy", "--from", "a", "--to", ":memory:", "-c", "c"], "would be forgotten"),
        (["copy", "--from", "ftp://a", "--to", "b", "-c", "c"], "neither a folder nor the URL"),
        (["copy", "--from", "a", "--to", "", "-c", "c"], "the path is empty"),
        (["eval", "q.tsv", "-c", "c", "--output", "s3://b/run.json"], "is an address"),
        (["eval", "q.tsv", "-c", "c", "--path", "~nobody-of-this-name/x"], "cannot be expanded"),
    ],
)
def test_no_path_of_this_machine_is_wrong_usage(
    command: Command, tsv: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    tsv.rename(tmp_path / "p.tsv")
    (tmp_path / "q.tsv").write_text(QUESTIONS)
    outcome = command(*options)
    assert outcome.status == 2
    assert words in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.tsv", "q.tsv"]


@pytest.mark.parametrize(
    "place", ["http://h/?api_key=hidden", "http://me:hidden@h", "ftp://h#hidden", "h:6333?k=hidden"]
)
def test_a_secret_in_an_address_is_not_shown(
    command: Command, tsv: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    tsv.rename("p.tsv")
    info = ("info", "-c", "c")
    for arguments in (
        ("copy", "--from", place, "--to", "b", "-c", "c"),
        ("copy", "--from", "b", "--to", place, "-c", "c"),
        ("copy", "--from", place, "--to", place, "-c", "c"),
        (*info, "--url", place),
        (*info, "--path", place),
        ("encode", "p.tsv", "-o", place),
        ("ingest", "p.tsv", "-c", "c", "--rejects", place),
        ("ingest", "p.tsv", "-c", "c", "--url", place, "--engine", "ray"),
    ):
        outcome = command(*arguments)
        assert outcome.status == 2, arguments
        assert "hidden" not in outcome.out + outcome.err
    monkeypatch.setenv("QDRANT_URL", place)
    outcome = command(*info)
    assert outcome.status == 2
    assert "hidden" not in outcome.out + outcome.err


def test_an_address_stays_refused_where_a_folder_of_its_name_exists(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "http:" / "localhost:6333").mkdir(parents=True)
    assert command("info", "--path", "http://localhost:6333").status == 2


def test_the_home_folder_is_expanded_in_every_path(
    command: Command, pair: list[str], tsv: Path, home: Path
) -> None:
    tsv.rename(home / "p.tsv")
    (home / "p.tsv").write_text((home / "p.tsv").read_text() + "3\t\tempty\n")
    (home / "q.tsv").write_text(QUESTIONS)
    (home / "context").symlink_to(pair[1])
    (home / "question").symlink_to(pair[3])
    names = ["--context-encoder", "~/context", "--question-encoder", "~/question"]
    where = ["-c", "c", "--path", "~/store"]
    loaded = command("ingest", "~/p.tsv", *where, "--rejects", "~/r.jsonl", *names)
    assert loaded.status == 3
    assert command("encode", "~/p.tsv", "-o", "~/shards", *names).status == 3
    assert command("copy", "--from", "~/store", "--to", "~/copy", "-c", "c").status == 0
    files = ["--output", "~/run.json", "--trec", "~/run"]
    assert command("eval", "~/q.tsv", *where, *files, *names).status == 0
    assert command("bench", "~/p.tsv", "--seconds", "0", *names).status == 3
    [hit] = command("search", "king", "-k", "1", *where, *names, "--json").json
    assert hit["metadata"]["source"] == str(home / "p.tsv")
    made = {"context", "copy", "p.tsv", "q.tsv", "question", "r.jsonl", "run", "run.json"}
    assert made | {"shards", "store"} == {path.name for path in home.iterdir()}
    assert not Path("~").exists()
