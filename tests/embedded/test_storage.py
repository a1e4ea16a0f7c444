"""The storage folder: reopening, locking, damage, other engine versions, full disks."""

import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant.embedded import (
    ClientClosedError,
    EmbeddedQdrant,
    EmbeddedQdrantError,
    NotSupportedError,
)
from rdr_qdrant.embedded.folder_lock import LOCK_FILE, FolderLock
from tests.embedded.corpus import points_of

PARAMS = models.VectorParams(size=16, distance=models.Distance.DOT)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one collection "a" of 30 points, closed."""
    path = tmp_path / "store"
    with EmbeddedQdrant(path) as client:
        client.create_collection("a", PARAMS, metadata={"pair": "rdr"})
        client.upsert("a", points_of(30))
        client.create_payload_index("a", "number", models.PayloadSchemaType.INTEGER)
        alias = models.CreateAlias(collection_name="a", alias_name="b")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    return path


def _collection_file(folder: Path) -> Path:
    [file] = folder.glob("collections/*/collection.json")
    return file


def _one_line(error: pytest.ExceptionInfo[EmbeddedQdrantError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_reopening_restores_points_settings_and_aliases(folder: Path) -> None:
    with EmbeddedQdrant(folder) as client:
        assert client.count("b").count == 30
        info = client.get_collection("a")
        assert info.config.metadata == {"pair": "rdr"}
        assert info.payload_schema["number"].data_type == models.PayloadSchemaType.INTEGER
        assert info.payload_schema["number"].points == 30
        assert client.get_aliases().aliases[0].collection_name == "a"


def test_clients_of_one_process_share_the_folder(folder: Path) -> None:
    first = EmbeddedQdrant(folder)
    (folder.parent / "link").symlink_to(folder)
    second = EmbeddedQdrant(folder.parent / "link")
    second.upsert("a", points_of(40))
    assert first.count("a").count == 40
    first.close()
    first.close()
    for call in (lambda: first.count("a"), lambda: first.build_index("a"), first.get_collections):
        with pytest.raises(ClientClosedError, match="closed"):
            call()
    second.upsert("a", points_of(50))
    assert repr(first).startswith("EmbeddedQdrant(")
    with pytest.raises(EmbeddedQdrantError, match=f"in use by process {os.getpid()}"):
        _in_another_process(folder)
    second.close()
    assert _in_another_process(folder) == 50


def _in_another_process(folder: Path) -> int:
    """Count the points of "a" in a new process; raise its error here."""
    script = (
        "import sys\nfrom rdr_qdrant.embedded import EmbeddedQdrant, EmbeddedQdrantError\n"
        "try:\n    print(EmbeddedQdrant(sys.argv[1]).count('a').count)\n"
        "except EmbeddedQdrantError as error:\n    print(error)"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not output.isdecimal():
        raise EmbeddedQdrantError(output)
    return int(output)


def test_a_client_that_is_replaced_without_being_closed(folder: Path) -> None:
    """As when a notebook's cell is run twice."""
    client = EmbeddedQdrant(folder)
    for count in (31, 32, 33):
        client = EmbeddedQdrant(folder)
        client.upsert("a", points_of(count))
    client.close()
    assert _in_another_process(folder) == 33


def test_threads_that_open_and_close_one_folder(folder: Path) -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                with EmbeddedQdrant(folder) as client:
                    assert client.count("a").count == 30
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert problems == []


def test_a_client_of_an_empty_folder_sees_what_another_one_creates(tmp_path: Path) -> None:
    early = EmbeddedQdrant(tmp_path / "store")
    assert early.get_collections().collections == []
    with EmbeddedQdrant(tmp_path / "store") as other:
        other.create_collection("a", PARAMS)
        other.upsert("a", points_of(3))
        assert early.count("a").count == 3
    assert early.count("a").count == 3
    early.close()


@pytest.mark.parametrize("held", [True, False])
def test_a_client_of_an_empty_folder_sees_what_another_process_creates(
    tmp_path: Path, held: bool
) -> None:
    early = EmbeddedQdrant(tmp_path / "store")
    assert not early.collection_exists("a")
    script = (
        "import sys\nfrom qdrant_client import models\n"
        "from rdr_qdrant.embedded import EmbeddedQdrant\n"
        "client = EmbeddedQdrant(sys.argv[1])\n"
        "client.create_collection('a', models.VectorParams(size=2, distance='Dot'))\n"
        "print('created', flush=True)\nsys.stdin.read()\nclient.close()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"created\n"
    if held:
        for call in (
            lambda: early.collection_exists("a"),
            early.get_collections,
            early.get_aliases,
            lambda: early.count("a"),
            lambda: early.create_collection("b", PARAMS),
        ):
            with pytest.raises(EmbeddedQdrantError, match=f"in use by process {process.pid}"):
                call()
    process.communicate(timeout=60)
    assert early.collection_exists("a")
    assert early.count("a").count == 0
    early.close()


def test_another_process_is_refused_until_the_holder_dies(folder: Path) -> None:
    script = (
        "import sys,time\nfrom rdr_qdrant.embedded import EmbeddedQdrant\n"
        f"c=EmbeddedQdrant({str(folder)!r})\nprint('open',flush=True)\ntime.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"open\n"
    started = time.monotonic()
    with pytest.raises(EmbeddedQdrantError, match="in use") as error:
        EmbeddedQdrant(folder)
    assert str(holder.pid) in _one_line(error)
    assert time.monotonic() - started < 1
    holder.kill()
    holder.communicate()
    with EmbeddedQdrant(folder) as client:
        assert client.count("a").count == 30


def test_a_holder_that_was_killed_is_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    lock = FolderLock(tmp_path)
    (tmp_path / LOCK_FILE).write_text(str(dead.pid))
    threading.Timer(1.0, lock.release).start()
    FolderLock(tmp_path).release()


def test_a_folder_of_another_engine_version_is_refused_untouched(folder: Path) -> None:
    file = folder / "embedded.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "engine": "qdrant-edge-py 0.7.3"}))
    with pytest.raises(EmbeddedQdrantError, match=r"qdrant-edge-py 0\.7\.3") as error:
        EmbeddedQdrant(folder)
    assert "qdrant-edge-py==0.7.3" in _one_line(error)
    assert json.loads(file.read_text())["engine"] == "qdrant-edge-py 0.7.3"
    file.write_text(json.dumps(content))
    with EmbeddedQdrant(folder) as client:
        assert client.count("a").count == 30


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1}', "\0\xff"])
@pytest.mark.parametrize("which", ["folder", "collection"])
def test_a_damaged_settings_file_is_named_and_kept(folder: Path, which: str, text: str) -> None:
    file = folder / "embedded.json" if which == "folder" else _collection_file(folder)
    whole = file.read_text()
    file.write_text(text)
    with pytest.raises(EmbeddedQdrantError) as error:
        EmbeddedQdrant(folder)
    assert str(file) in _one_line(error)
    assert file.read_text() == text
    file.write_text(whole)
    with EmbeddedQdrant(folder) as client:
        assert client.count("a").count == 30


@pytest.mark.parametrize("what", ["segment.json", "edge_config.json", "config.json"])
def test_damaged_shard_files_are_reported_with_their_folder(folder: Path, what: str) -> None:
    shard = _collection_file(folder).parent / "shard"
    for file in shard.rglob(what):
        file.write_text("{ damaged")
    before = sorted(p.name for p in shard.rglob("*"))
    client = EmbeddedQdrant(folder)
    with pytest.raises(EmbeddedQdrantError, match="'a'") as error:
        client.count("a")
    assert str(shard.parent) in _one_line(error)
    client.create_collection("other", PARAMS)
    client.close()
    assert sorted(p.name for p in shard.rglob("*")) == before


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(EmbeddedQdrantError, match="is a file"):
        EmbeddedQdrant(file)
    with pytest.raises(EmbeddedQdrantError):
        EmbeddedQdrant(file / "below")
    assert file.read_text() == "mine"


def test_a_full_disk_is_reported_on_one_line_and_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedQdrant(folder) as client:
        real = os.statvfs(folder)
        full = os.statvfs_result([*real[:2], *([0] * 3), *real[5:]])
        with monkeypatch.context() as patched:
            patched.setattr(os, "statvfs", lambda _: full)
            with pytest.raises(EmbeddedQdrantError, match="full") as error:
                client.upsert("a", points_of(60))
            _one_line(error)
            with pytest.raises(EmbeddedQdrantError, match="full"):
                client.create_collection("new", PARAMS)
            with pytest.raises(EmbeddedQdrantError, match="full"):
                client.build_index("a")
            assert client.count("a").count == 30
        client.upsert("a", points_of(60))
        assert client.count("a").count == 60
        assert not client.collection_exists("new")


def test_a_write_of_settings_that_fails_leaves_the_old_ones(folder: Path) -> None:
    with EmbeddedQdrant(folder) as client:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        import signal

        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(EmbeddedQdrantError, match="change the collection"):
                client.update_collection("a", metadata={"big": "x" * 100_000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert client.get_collection("a").config.metadata == {"pair": "rdr"}
    with EmbeddedQdrant(folder) as client:
        assert client.get_collection("a").config.metadata == {"pair": "rdr"}


def test_incomplete_collections_are_removed_on_opening(folder: Path) -> None:
    place = _collection_file(folder).parent
    shutil.copytree(place, place.with_name(".new-half"))
    (place.with_name(".new-half") / "collection.json").unlink()
    shutil.copytree(place, place.with_name(".gone-half"))
    with EmbeddedQdrant(folder) as client:
        assert [one.name for one in client.get_collections().collections] == ["a"]
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_names_never_leave_the_folder(tmp_path: Path) -> None:
    with EmbeddedQdrant(tmp_path / "store") as client:
        for name in ("...", "..%2f", "~", "con", " ", "-rf"):
            client.create_collection(name, PARAMS)
        client.create_collection("🙂" * 100, PARAMS)
    assert [p.name for p in tmp_path.iterdir()] == ["store"]
    with EmbeddedQdrant(tmp_path / "store") as client:
        assert client.collection_exists("🙂" * 100)


def test_calls_on_a_closed_client_raise(folder: Path) -> None:
    client = EmbeddedQdrant(folder)
    client.close()
    client.close()
    for call in (client.get_collections, lambda: client.count("a"), lambda: client.get_aliases()):
        with pytest.raises(ClientClosedError, match="closed"):
            call()


def test_unsupported_methods_and_parameters_are_refused_by_name(folder: Path) -> None:
    with EmbeddedQdrant(folder) as client:
        assert isinstance(client, QdrantClient)
        assert repr(client) == f"EmbeddedQdrant({str(folder)!r})"
        refusals = {
            "query_points_groups()": lambda: client.query_points_groups("a", group_by="number"),
            "search_matrix_pairs()": lambda: client.search_matrix_pairs("a"),
            "create_snapshot()": lambda: client.create_snapshot("a"),
            "list_snapshots()": lambda: client.list_snapshots("a"),
            "create_shard_key()": lambda: client.create_shard_key("a", "k"),
            "cluster_status()": client.cluster_status,
            "init_options": lambda: client.init_options,
            "shard_key_selector": lambda: client.upsert("a", points_of(1), shard_key_selector="k"),
            "sharding_method": lambda: client.create_collection(
                "c", PARAMS, sharding_method=models.ShardingMethod.CUSTOM
            ),
            "strict_mode_config": lambda: client.create_collection(
                "c", PARAMS, strict_mode_config=models.StrictModeConfig(enabled=True)
            ),
            "SliceCondition": lambda: client.count(
                "a",
                models.Filter(must=models.SliceCondition(slice=models.Slice(total=2, index=0))),
            ),
        }
        for named, call in refusals.items():
            with pytest.raises(NotSupportedError) as error:
                call()
            assert named in str(error.value)
        with pytest.raises(NotImplementedError, match="gRPC"):
            client.grpc_points  # noqa: B018
        with pytest.raises(AttributeError):
            client.no_such_method  # type: ignore[attr-defined]  # noqa: B018
        assert not client.collection_exists("c")
        with pytest.raises(TypeError):
            pickle.dumps(client)


def test_settings_can_be_changed_and_are_kept(folder: Path) -> None:
    with EmbeddedQdrant(folder) as client:
        client.update_collection(
            "a",
            hnsw_config=models.HnswConfigDiff(m=24),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)
            ),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1),
            vectors_config={"": models.VectorParamsDiff(on_disk=True)},
        )
        assert client.count("a").count == 30
    with EmbeddedQdrant(folder) as client:
        config = client.get_collection("a").config
        assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (24, 100)
        assert config.quantization_config.scalar.type == models.ScalarType.INT8
        assert config.params.vectors.on_disk is True
        client.update_collection("a", quantization_config=models.Disabled.DISABLED)
        assert client.get_collection("a").config.quantization_config is None
        with pytest.raises(ValueError, match="nowhere"):
            client.update_collection("a", vectors_config={"nowhere": models.VectorParamsDiff()})


def test_opening_the_folder_opens_no_shard(folder: Path) -> None:
    with EmbeddedQdrant(folder) as client:
        assert client.collection_exists("a")
        [shard] = client._client.storage._shards.values()
        assert shard._engine is None
        assert client.count("a").count == 30
