"""A folder of shards tells what it is; what does not fit it changes nothing in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdr_qdrant import RDREmbeddings, ShardFolder
from rdr_qdrant.errors import SourceError, UsageError
from rdr_qdrant.export import is_shard_folder
from tests.export.conftest import Encode, rows, shards_of


def test_a_manifest_that_was_altered_is_refused(encode: Encode, tmp_path: Path) -> None:
    encode()
    manifest = tmp_path / "shards" / "manifest.json"
    whole = manifest.read_text()
    for altered in (whole.replace('"passages": 33', '"passages": 34'), whole[:-40], "[]"):
        manifest.write_text(altered)
        assert is_shard_folder(manifest.parent)
        with pytest.raises(SourceError, match=r"manifest\.json is damaged or was altered"):
            ShardFolder(manifest.parent)


def test_other_options_sources_or_encoders_do_not_go_on(
    encode: Encode, other: RDREmbeddings, sources: list[Path], tmp_path: Path
) -> None:
    encode()
    before = shards_of(tmp_path / "shards")
    for options, message in [
        ({"shard_size": 8}, "begun with shard size 7, not 8"),
        ({"vectors": "float16"}, "begun with vectors float32, not float16"),
        (
            {"split": 5},
            "begun with rows left whole, not with rows split into whole sentences up to 5 words",
        ),
        ({"sources": sources[:1]}, "begun with sources .*two.jsonl, not .*one.jsonl"),
        ({"embeddings": other}, "begun by .*context.* not .*other"),
    ]:
        with pytest.raises(UsageError, match=message):
            encode(**options)
    text = sources[1].read_text()
    for changed in (text.replace("number 25", "number 26"), text[: len(text) // 2]):
        sources[1].write_text(changed)
        with pytest.raises(SourceError, match="changed since .* Encode into another folder"):
            encode()
    assert shards_of(tmp_path / "shards") == before


def refuse(reject: object) -> None:
    pytest.fail(f"{reject} was set aside")


def loadable(folder: Path) -> int:
    """Passages of a folder, all of whose shards are looked at."""
    return sum(1 for source in ShardFolder(folder).sources() for _ in source.passages(refuse))


def test_rows_appended_to_a_complete_folders_sources_go_into_further_shards(
    encode: Encode, sources: list[Path], tmp_path: Path
) -> None:
    encode()
    folder = tmp_path / "shards"
    before = shards_of(folder)
    (folder / "shard-00000.parquet").unlink()
    sources[1].write_text(sources[1].read_text() + rows(range(50, 60)))
    report = encode()
    assert (report.kept, report.encoded, report.shards) == (26, 7 + 10, 7)
    after = shards_of(folder)
    assert all(after[name] == data for name, data in before.items() if "00000" not in name)
    assert loadable(folder) == 43


def test_a_missing_shard_is_not_made_of_other_rows(
    encode: Encode, sources: list[Path], tmp_path: Path
) -> None:
    encode()
    folder = tmp_path / "shards"
    (folder / "shard-00000.parquet").unlink()
    before = shards_of(folder)
    text = sources[0].read_text()
    sources[0].write_text(text.replace("river number 4 ", "pond number 4 "))
    with pytest.raises(SourceError, match=r"shard-00000\.parquet was made of other rows"):
        encode()
    assert shards_of(folder) == before
    sources[0].write_text(text)
    assert (encode().shards, loadable(folder)) == (5, 33)


def test_sources_that_end_where_a_shard_ends_leave_the_folder_as_it_is(
    encode: Encode, sources: list[Path], tmp_path: Path
) -> None:
    encode()
    sources[0].write_text(rows(range(7)))
    sources[1].write_text(rows(range(3)))
    with pytest.raises(SourceError, match="they have 7 passages now, fewer than then"):
        encode()
    assert loadable(tmp_path / "shards") == 33


def test_rows_behind_a_last_shard_that_is_full_are_added(
    encode: Encode, sources: list[Path], tmp_path: Path
) -> None:
    sources[1].write_text(rows(range(20, 28)))
    assert (encode().shards, loadable(tmp_path / "shards")) == (4, 28)
    sources[1].write_text(rows(range(20, 40)))
    report = encode()
    assert (report.kept, report.encoded) == (28, 12)
    assert loadable(tmp_path / "shards") == 40


def test_a_damaged_manifest_tells_both_commands_what_to_do(encode: Encode, tmp_path: Path) -> None:
    encode()
    folder = tmp_path / "shards"
    (folder / "manifest.json").write_text("{")
    advice = r"manifest\.json is damaged .* Copy it from another copy .* into a new folder\.$"
    for attempt in (encode, lambda: ShardFolder(folder)):
        with pytest.raises(SourceError, match=advice):
            attempt()


@pytest.mark.parametrize("also_missing", [[], ["shard-00000.parquet"]])
def test_shards_without_a_manifest_are_known_for_what_they_are(
    encode: Encode, tmp_path: Path, also_missing: list[str]
) -> None:
    encode()
    folder = tmp_path / "shards"
    for name in ["manifest.json", *also_missing]:
        (folder / name).unlink()
    before = shards_of(folder)
    assert is_shard_folder(folder)
    advice = r"has shards, but no manifest\.json, .* Copy it from another .* into a new folder\.$"
    for attempt in (encode, lambda: ShardFolder(folder)):
        with pytest.raises(SourceError, match=advice):
            attempt()
    assert shards_of(folder) == before


def test_a_folder_that_encode_did_not_write_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no manifest\.json. Name a folder that encode"):
        ShardFolder(tmp_path)
