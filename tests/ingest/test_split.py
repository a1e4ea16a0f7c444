"""Split texts in a collection: how they were split is known, and no old part stays behind."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.readers import Reject, open_source
from rdr_qdrant.splitter import SplitRecord, SplitSettings
from tests.conftest import COLLECTION

ROUNDS = int(os.environ.get("RDR_TEST_ROUNDS", "6"))
"""Of random edits; 300 take some minutes."""
BY_SIX = SplitSettings(6)
WORDS = "the river is in the north and the king built the old city by the water".split()


class KilledError(Exception):
    """Ends a load between two batches."""


@pytest.fixture
def loader(client: QdrantClient, tiny: RDREmbeddings) -> QdrantLoader:
    return QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=4)


def write(path: Path, texts: dict[str, str]) -> Path:
    rows = [{"id": one, "title": "T", "text": text} for one, text in texts.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(
    loader: QdrantLoader, *paths: Path, split: int | SplitSettings | None = BY_SIX, **options: Any
) -> LoadReport:
    return loader.load_sources([open_source(path) for path in paths], split=split, **options)


def stored(client: QdrantClient, name: str = COLLECTION) -> dict[str, Any]:
    points, _ = client.scroll(name, limit=10_000, with_vectors=True)
    return {(p.payload or {})["metadata"]["id"]: (p.id, p.payload, p.vector) for p in points}


def sentences(count: int, start: int = 0) -> str:
    return " ".join(f"One two three number{n}." for n in range(start, start + count))


def test_a_text_with_fewer_parts_leaves_none_behind(
    loader: QdrantLoader, client: QdrantClient, tmp_path: Path
) -> None:
    load(loader, write(tmp_path / "one.jsonl", {"a": sentences(5), "b": sentences(3)}))
    assert sorted(stored(client)) == ["a#1", "a#2", "a#3", "a#4", "a#5", "b#1", "b#2", "b#3"]
    shorter = write(tmp_path / "two.jsonl", {"a": sentences(2)})
    loader.dry_run = True
    assert load(loader, shorter).leftover_parts == 3
    assert len(stored(client)) == 8
    loader.dry_run = False
    report = load(loader, shorter)
    assert (report.leftover_parts, report.removed, report.points) == (3, None, 5)
    assert sorted(stored(client)) == ["a#1", "a#2", "b#1", "b#2", "b#3"]
    assert load(loader, shorter).leftover_parts == 0


def test_parts_of_other_texts_and_ids_with_a_number_stay(
    loader: QdrantLoader, client: QdrantClient, tmp_path: Path
) -> None:
    whole = {"x#1": "One.", "x#2": "Two.", "x#7": "Seven.", "y": "Why."}
    load(loader, write(tmp_path / "whole.jsonl", whole), split=None)
    loader.allow_resplit = True
    load(loader, write(tmp_path / "split.jsonl", {"z": sentences(2)}))
    assert sorted(stored(client)) == ["x#1", "x#2", "x#7", "y", "z#1", "z#2"]


def test_rows_left_whole_whose_ids_look_like_parts_are_never_deleted(
    loader: QdrantLoader, client: QdrantClient, tmp_path: Path
) -> None:
    """They are left out of a later file; only `--prune` may take them."""
    (tmp_path / "doc.txt").write_text(sentences(90))
    rows = {"x#1": "One.", "x#2": "Two.", "x#3": "Three.", "x": "All."}
    load(loader, write(tmp_path / "rows.jsonl", rows), tmp_path / "doc.txt", split=None)
    fewer = write(tmp_path / "rows.jsonl", {"x#1": "One.", "x": "All."})
    (tmp_path / "doc.txt").write_text(sentences(30))
    report = load(loader, fewer, tmp_path / "doc.txt", split=None)
    assert report.leftover_parts > 0
    kept = sorted(stored(client))
    assert kept[-4:] == ["x", "x#1", "x#2", "x#3"]
    assert len(kept) - 2 == report.verified  # besides x#2 and x#3, the load's own
    assert load(loader, fewer, split=None).leftover_parts == 0
    assert sorted(stored(client)) == kept


def test_the_second_text_of_an_id_is_rejected_whole(
    loader: QdrantLoader, client: QdrantClient, tmp_path: Path
) -> None:
    path = tmp_path / "two.jsonl"
    rows = [{"id": "a", "text": sentences(2)}, {"id": "a", "text": sentences(4)}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rejects: list[Reject] = []
    loader.on_reject = rejects.append
    report = load(loader, path)
    assert sorted(stored(client)) == ["a#1", "a#2"]
    assert (report.read, report.uploaded, report.unchanged, report.rejected) == (6, 2, 2, 2)
    assert {"different content" in reject.reason for reject in rejects} == {True}


def test_a_collection_records_how_it_was_split(
    loader: QdrantLoader, client: QdrantClient, tmp_path: Path
) -> None:
    rows = write(tmp_path / "rows.jsonl", {"a": sentences(3)})
    (tmp_path / "doc.txt").write_text(sentences(3))
    load(loader, rows)
    described = Collection(client, COLLECTION).describe()
    assert SplitRecord.from_json(described.split) == SplitRecord(rows=(BY_SIX,))
    load(loader, tmp_path / "doc.txt", split=None)
    both = SplitRecord((BY_SIX,), (SplitSettings(),))
    assert SplitRecord.from_json(Collection(client, COLLECTION).describe().split) == both


@pytest.mark.parametrize(
    "split", [None, 7, SplitSettings(6, "blocks"), SplitSettings(6, overlap=3)]
)
def test_another_split_is_refused_before_anything_is_written(
    loader: QdrantLoader,
    client: QdrantClient,
    tmp_path: Path,
    split: int | SplitSettings | None,
) -> None:
    rows = write(tmp_path / "rows.jsonl", {"a": sentences(3)})
    load(loader, rows)
    before = stored(client)
    for loader.dry_run in (True, False):
        with pytest.raises(CollectionError, match="up to 6 words, but this load has rows"):
            load(loader, rows, split=split)
    assert stored(client) == before
    loader.allow_resplit = True
    load(loader, rows, split=split)
    fresh = QdrantLoader(
        embeddings=loader.embeddings, client=client, collection_name=f"{COLLECTION}-fresh"
    )
    load(fresh, rows, split=split)
    try:
        assert_same_points(stored(client), stored(client, f"{COLLECTION}-fresh"))
    finally:
        client.delete_collection(f"{COLLECTION}-fresh")


def test_whole_rows_that_are_split_later_do_not_stay(
    loader: QdrantLoader, client: QdrantClient, tmp_path: Path
) -> None:
    rows = write(tmp_path / "rows.jsonl", {"a": sentences(3), "b": "One."})
    load(loader, rows, split=None)
    loader.allow_resplit = True
    assert load(loader, rows).leftover_parts == 2
    assert sorted(stored(client)) == ["a#1", "a#2", "a#3", "b#1"]


def test_a_collection_that_records_no_split_is_loaded_with_a_warning(
    loader: QdrantLoader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loader.load([Passage("p", "One.")])
    load(loader, write(tmp_path / "rows.jsonl", {"a": sentences(1)}))
    said = "does not record how its texts were split; this load has rows split into whole sentences"
    assert said in caplog.text
    caplog.clear()
    load(loader, write(tmp_path / "rows.jsonl", {"a": sentences(2)}))
    assert "split" not in caplog.text


def random_text(choice: random.Random) -> str:
    return " ".join(
        " ".join(choice.choices(WORDS, k=choice.randrange(1, 9))).capitalize() + "."
        for _ in range(choice.randrange(1, 12))
    )


def edited(texts: dict[str, str], choice: random.Random) -> dict[str, str]:
    """Some texts changed and some new; none is gone, for that takes `--prune`."""
    changed = dict(texts)
    for one in texts:
        if choice.random() < 0.4:
            changed[one] = random_text(choice)
    for number in range(choice.randrange(3)):
        changed[f"n{len(changed)}-{number}"] = random_text(choice)
    return changed


def test_after_any_edits_and_kills_it_equals_a_fresh_load(
    tiny: RDREmbeddings, tmp_path: Path
) -> None:
    client = QdrantClient(":memory:")
    choice = random.Random(0)
    settings = SplitSettings(12, overlap=4)
    texts = {f"t{n}": random_text(choice) for n in range(4)}
    for number in range(ROUNDS):
        texts = edited(texts, choice) if number % 10 else {"t0": random_text(choice)}
        if number % 10 == 0:
            client.delete_collection("edited")
        rows = dict(choice.sample(sorted(texts.items()), len(texts)))
        path = write(tmp_path / "rows.jsonl", rows)
        folder = write_documents(tmp_path / "docs", texts)
        for batches in (*choice.choices((1, 2, 4, 8), k=choice.randrange(3)), None):
            load_until_killed(client, tiny, "edited", [path, folder], settings, batches)
        client.delete_collection("fresh")
        load_until_killed(client, tiny, "fresh", [path, folder], settings, None)
        assert_same_points(stored(client, "edited"), stored(client, "fresh"))


def assert_same_points(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same ids and payloads; vectors may have been encoded in other batches."""
    assert found.keys() == expected.keys()
    for one, (point_id, payload, vector) in expected.items():
        assert found[one][:2] == (point_id, payload)
        assert found[one][2] == pytest.approx(vector, abs=1e-4)


def write_documents(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for one in folder.iterdir():
        one.unlink()
    for one, text in texts.items():
        (folder / f"{one}.txt").write_text(text[::-1])
    return folder


def load_until_killed(
    client: QdrantClient,
    pair: RDREmbeddings,
    name: str,
    paths: Sequence[Path],
    settings: SplitSettings,
    batches: int | None,
) -> None:
    """A load that ends after so many batches: neither verified, nor rid of old parts."""
    done = 0

    def kill(report: LoadReport) -> None:
        nonlocal done
        done += 1
        if done == batches:
            raise KilledError

    loader = QdrantLoader(
        embeddings=pair, client=client, collection_name=name, batch_size=3, on_progress=kill
    )
    try:
        load(loader, *paths, split=settings)
    except KilledError:
        assert batches is not None
