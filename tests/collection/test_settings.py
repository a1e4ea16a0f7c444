"""Collection settings: presets, options, versions of the server."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from qdrant_client import QdrantClient

from rdr_qdrant import CollectionSettings, RDREmbeddings, connect
from rdr_qdrant.client import server_version
from rdr_qdrant.collection import PRESETS, Collection
from rdr_qdrant.collection.qdrant_params import (
    check_supported,
    collection_params,
    payload_index_params,
    read_settings,
    vector_params,
)
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.errors import CollectionError, UsageError
from tests.conftest import COLLECTION

EACH = [
    CollectionSettings(shard_number=2, write_consistency_factor=1),
    CollectionSettings(m=8, ef_construct=64, full_scan_threshold=2000, payload_m=12),
    CollectionSettings(vectors_memory="cold", payload_memory="cached", hnsw_memory="cold"),
    CollectionSettings(quantization="scalar", quantile=0.99, quantization_memory="pinned"),
    CollectionSettings(quantization="binary", encoding="two_bits", query_encoding="scalar8bits"),
    CollectionSettings(quantization="product", compression="x8"),
    CollectionSettings(quantization="turbo", bits="bits2", quantization_memory="cold"),
    CollectionSettings(quantization="turbo", inline_storage=True, hnsw_memory="cold"),
    CollectionSettings(m=16, payload_m=8, tenant="who", payload_indexes={"year": "integer"}),
    CollectionSettings(datatype="float16", max_indexing_threads=2, id_tracker_memory="cold"),
    CollectionSettings(default_segment_number=3, max_segment_size=50_000, indexing_threshold=7_000),
    CollectionSettings(
        payload_index_memory="cold", tenant="who", payload_indexes={"year": "integer"}
    ),
    CollectionSettings(
        payload_index_memory="cached",
        payload_indexes={
            "a": "keyword",
            "b": "float",
            "c": "bool",
            "d": "datetime",
            "e": "uuid",
            "f": "text",
            "g": "geo",
        },
    ),
]


REAL_SERVER = bool(os.environ.get("QDRANT_URL"))


@pytest.fixture(params=["server"] if REAL_SERVER else ["embedded", "server"])
def keeping(
    request: pytest.FixtureRequest, server: QdrantClient, tmp_path: Path
) -> Iterator[QdrantClient]:
    """A Qdrant that stores settings: a server, and the embedded one."""
    if request.param == "server":
        yield server
    else:
        with EmbeddedQdrant(tmp_path / "keeping") as embedded:
            yield embedded


@pytest.mark.parametrize("settings", EACH + [CollectionSettings.preset(p) for p in PRESETS])
def test_settings_are_read_back_as_they_were_set(
    keeping: QdrantClient,
    tiny: RDREmbeddings,
    settings: CollectionSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if settings.shard_number and not REAL_SERVER:
        pytest.skip("one shard is all there is without a server")
    collection = Collection(keeping, COLLECTION)
    version = server_version(keeping)
    if version and version < (1, 19) and settings.payload_index_memory == "cached":
        with pytest.raises(
            CollectionError, match=r"payload_index_memory=cached needs Qdrant 1\.19"
        ):
            collection.create(tiny.identity(), settings)
        return
    collection.create(tiny.identity(), settings)
    found = read_settings(collection.info())
    asked = settings.explicitly_set()
    if version and version < (1, 20) and asked.pop("id_tracker_memory", None) == "cold":
        [warning] = caplog.messages
        assert "did not keep all settings" in warning
        assert "id_tracker_memory" in warning
        caplog.clear()
    if settings.tenant:
        asked["payload_indexes"] = {"year": "integer", "who": "keyword"}
    elif not settings.payload_indexes:
        asked.pop("payload_index_memory", None)  # of nothing
    assert {name: getattr(found, name) for name in asked} == asked
    assert caplog.messages == []


def test_every_preset_makes_a_collection_that_is_searched(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    for name in PRESETS:
        collection = Collection(client, f"{COLLECTION}-{name}")
        collection.create(tiny.identity(), CollectionSettings.preset(name))
        collection.check(tiny.identity())
        assert collection.search(tiny.encode_questions(["who?"]), k=1) == [[]]


def test_a_named_vector_has_the_settings_too(keeping: QdrantClient, tiny: RDREmbeddings) -> None:
    settings = CollectionSettings.preset("large")
    collection = Collection(keeping, COLLECTION, "rdr")
    collection.create(tiny.identity(), settings)
    found = read_settings(collection.info(), "rdr")
    assert found.vectors_memory == "cold"
    assert found.quantization == "turbo"


def test_settings_that_local_mode_ignores_are_reported(
    tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    collection = Collection(connect(path=":memory:"), COLLECTION)
    collection.create(tiny.identity(), CollectionSettings(m=32))
    assert "did not keep all settings of the new collection" in caplog.text
    assert caplog.text.rstrip().endswith("m is 16, not 32")


def test_an_existing_collection_keeps_its_settings_with_a_warning(
    keeping: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    collection = Collection(keeping, COLLECTION)
    collection.create(tiny.identity(), CollectionSettings(m=8))
    before = collection.info().config
    with caplog.at_level(logging.WARNING):
        collection.warn_about_differences(
            CollectionSettings.preset(
                "large", m=32, bits="bits2", payload_indexes={"year": "integer"}
            )
        )
    assert (
        "vectors_memory is cached, not cold; m is 8, not 32; quantization is none, not turbo. "
    ) in caplog.text
    assert "has no payload indexes year:integer: filters by them read every" in caplog.text
    assert collection.info().config == before


def test_older_servers_get_the_older_parameter_names() -> None:
    large = CollectionSettings.preset("large", quantization="scalar")
    assert vector_params(large, (1, 18)) == {"on_disk": True}
    older = collection_params(large, (1, 18))
    assert older["on_disk_payload"] is True
    assert older["hnsw_config"].on_disk is False
    assert older["quantization_config"].scalar.always_ram is True
    newer = collection_params(large, (1, 19))
    assert newer["payload"].memory.value == "cold"
    assert newer["quantization_config"].scalar.memory.value == "pinned"
    assert newer["hnsw_config"].on_disk is None
    assert "on_disk_payload" not in newer


def test_older_servers_get_older_names_for_payload_indexes_and_no_id_tracker() -> None:
    disk = CollectionSettings.preset("disk", tenant="who", payload_indexes={"year": "integer"})
    check_supported(disk, (1, 18), embedded=False)
    assert payload_index_params(disk, "year", (1, 18)).on_disk is True
    assert payload_index_params(disk, "who", (1, 18)).is_tenant is True
    assert payload_index_params(disk, "year", (1, 19)).memory.value == "cold"
    assert "id_tracker" not in collection_params(disk, (1, 19))
    assert collection_params(disk, (1, 20))["id_tracker"].memory.value == "cold"


def test_a_bulk_load_does_not_hide_the_threshold(
    keeping: QdrantClient, tiny: RDREmbeddings
) -> None:
    collection = Collection(keeping, COLLECTION)
    collection.create(tiny.identity(), CollectionSettings(indexing_threshold=7_000))
    collection.bulk_indexing.defer_indexing()
    assert read_settings(collection.info()).indexing_threshold == 7_000


@pytest.mark.parametrize(
    ("settings", "version", "complaint"),
    [
        (CollectionSettings.preset("large"), (1, 17), "quantization=turbo needs Qdrant 1.18"),
        (CollectionSettings(hnsw_memory="pinned"), (1, 18), "hnsw_memory=pinned needs Qdrant 1.19"),
        (
            CollectionSettings(quantization="binary", encoding="two_bits"),
            (1, 14),
            "encoding=two_bits needs Qdrant 1.15, but the server is 1.14",
        ),
        (
            CollectionSettings(quantization="scalar", quantization_memory="cold"),
            (1, 18),
            "Give vectors_memory=cold as well",
        ),
    ],
)
def test_settings_that_a_server_does_not_support_are_refused_by_name(
    settings: CollectionSettings, version: tuple[int, int], complaint: str
) -> None:
    with pytest.raises(CollectionError, match=complaint):
        check_supported(settings, version, embedded=False)


def test_an_embedded_collection_refuses_shards_and_replicas_before_it_is_created(
    tmp_path: Path, tiny: RDREmbeddings
) -> None:
    with EmbeddedQdrant(tmp_path / "q") as client:
        for name in ("shard_number", "replication_factor", "write_consistency_factor"):
            with pytest.raises(CollectionError, match=f"{name}=2 needs a server"):
                Collection(client, "c").create(tiny.identity(), CollectionSettings(**{name: 2}))
        assert not client.collection_exists("c")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"quantile": 0.9}, "quantile belongs to quantization=scalar"),
        ({"quantization_memory": "pinned"}, "needs a quantization"),
        ({"vectors_memory": "pinned"}, "vectors_memory"),
        ({"m": 0}, "greater than 0"),
        ({"datatype": "uint8"}, "holds whole numbers from 0 to 255, which these vectors are not"),
        ({"datatype": "turbo8"}, "could be verified or rescored: quantization=turbo keeps"),
        ({"datatype": "float64"}, "float16"),
        ({"shard_number": 0}, "greater than 0"),
        ({"typo": 1}, "typo"),
        ({"tenant": "who", "payload_indexes": {"who": "integer"}}, "keyword"),
    ],
)
def test_invalid_settings_are_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        CollectionSettings(**given)


def test_settings_from_command_line_options() -> None:
    assert CollectionSettings.from_options(None) is None
    named = CollectionSettings.from_options(
        "large", ["m=32", "bits=bits2"], ["year:integer", "source", "a:b:keyword"], "who"
    )
    assert named == CollectionSettings.preset(
        "large",
        m=32,
        bits="bits2",
        payload_indexes={"year": "integer", "source": "keyword", "a:b": "keyword"},
        tenant="who",
    )
    assert (
        CollectionSettings.from_options("large", ["quantization=none"]).quantization_memory is None
    )


@pytest.mark.parametrize(
    ("preset", "assignment", "complaint"),
    [
        ("huge", None, "There is no preset 'huge'. Known: small, large, disk."),
        (None, "m", "'m' is not of the form NAME=VALUE"),
        (None, "mm=1", "There is no setting 'mm'. Known: shard_number, "),
        (None, "m=many", "m=many: "),
        ("small", "bits=bits4", "bits belongs to quantization=turbo"),
    ],
)
def test_the_error_of_a_wrong_name_or_value_is_one_line(
    preset: str | None, assignment: str | None, complaint: str
) -> None:
    with pytest.raises(UsageError) as raised:
        CollectionSettings.from_options(preset, [assignment] if assignment else [])
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)
