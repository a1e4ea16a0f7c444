"""The Ray executor makes the collection that threads make, also if its processes are killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection import Collection, CollectionSettings
from rdr_qdrant.errors import CollectionError, ModelError, SourceError, StoreError, UsageError
from rdr_qdrant.readers import Reject, RejectLog, open_source
from tests.cli.conftest import Command
from tests.cli.conftest import command as command
from tests.conftest import COLLECTION
from tests.ray.processes import processes
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer

ray = pytest.importorskip("ray")
from ray.data import DataContext  # noqa: E402

from rdr_qdrant.ingest.ray import RayExecutor  # noqa: E402
from rdr_qdrant.ingest.ray.ray_pipeline import BATCHES_AHEAD  # noqa: E402

ROOT = Path(__file__).parents[2]
KEY = "the-key-1b7c9e"
MANY = int(os.environ.get("RDR_TEST_PASSAGES", "1000"))
"""RDR_TEST_PASSAGES=20000 runs the largest test with so many; that takes a minute more."""


@pytest.fixture(scope="module", autouse=True)
def ray_logs() -> Iterator[Path]:
    """Ray on this machine for all tests, with three cores; it imports this checkout. Its logs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("QDRANT_API_KEY", raising=False)
        if not os.environ.get("CUDA_VISIBLE_DEVICES"):  # set but empty, Ray refuses the one below
            patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        context = ray.init(
            address="local",
            num_cpus=3,
            num_gpus=1,  # as far as Ray knows
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=200 * 2**20,
        )
        yield Path(context.address_info["session_dir"]) / "logs"
        ray.shutdown()


@pytest.fixture(scope="module")
def executor(tiny: RDREmbeddings, server: str) -> Iterator[RayExecutor]:
    """One worker: of a short load, most of the time goes into starting them."""
    with RayExecutor(tiny, url=server, workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if url := os.environ.get("QDRANT_URL"):
        yield url
        return
    with QdrantHTTPServer() as server:
        yield server.url


@pytest.fixture
def client(server: str, tmp_path: Path) -> Iterator[QdrantClient]:
    client = connect(url=server)
    yield client
    for found in client.get_collections().collections:
        if found.name.startswith(COLLECTION):
            client.delete_collection(found.name)
    client.close()


def write_rows(path: Path, count: int) -> Path:
    with path.open("w") as file:
        for n in range(count):
            row = {"id": f"p{n}", "text": f"the river number {n} " * (1 + n % 3)}
            if n % 2:
                row |= {"title": f"river {n}", "year": n, "of": {"kings": [1.5, None]}}
            file.write(json.dumps(row) + "\n")
    return path


def load(
    client: QdrantClient,
    name: str,
    paths: Path | Sequence[Path],
    by: RayExecutor | RDREmbeddings,
    *,
    prune: bool = False,
    **options: Any,
) -> LoadReport:
    by_ray = isinstance(by, RayExecutor)
    loader = QdrantLoader(
        embeddings=by.embeddings if by_ray else by,
        executor=by if by_ray else None,
        client=client,
        collection_name=name,
        **options,
    )
    if kill := options.get("on_progress"):
        loader.on_progress = lambda report: kill(report, loader)
    paths = [paths] if isinstance(paths, Path) else paths
    return loader.load_sources([open_source(path) for path in paths], prune=prune)


def everything(client: QdrantClient, name: str) -> dict[object, tuple[object, np.ndarray]]:
    points: list[Any] = []
    offset = None
    while True:
        page, offset = client.scroll(name, limit=2000, offset=offset, with_vectors=True)
        points += page
        if offset is None:
            return {p.id: (p.payload, np.array(p.vector, dtype=np.float32)) for p in points}


def assert_equal(client: QdrantClient, one: str, other: str) -> None:
    ours, theirs = everything(client, one), everything(client, other)
    assert ours.keys() == theirs.keys()
    for key, (payload, vector) in ours.items():
        assert payload == theirs[key][0]
        assert np.abs(vector - theirs[key][1]).max() <= 1e-5


def test_a_url_with_a_secret_is_refused_without_being_shown(tiny: RDREmbeddings) -> None:
    for url in ("http://me:hidden@localhost:6333", "http://localhost:6333?api_key=hidden"):
        with pytest.raises(UsageError, match="The URL carries") as error:
            RayExecutor(tiny, url=url, workers=1)
        assert "hidden" not in str(error.value)


def test_many_passages_and_killed_processes_make_the_collection_that_threads_make(
    client: QdrantClient, server: str, tiny: RDREmbeddings, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", MANY)
    killed: list[int] = []
    victims = ["Records", "(Deduplicator)", "(Worker)", "ControlActor"]

    def kill(report: LoadReport, loader: QdrantLoader) -> None:
        if victims and report.read >= MANY * (4 - len(victims)) // 5:
            for pid in processes(victims.pop(0))[:1]:  # the read task may have ended by then
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

    with RayExecutor(tiny, url=server, workers=2) as two_workers:
        report = load(
            client, f"{COLLECTION}-ray", path, two_workers, on_progress=kill, batch_size=MANY // 100
        )
    assert report.read == report.verified == MANY
    # batches that a killed worker had written are unchanged for the one that repeats them
    assert report.uploaded + report.unchanged == MANY
    assert report.compared == 100
    assert len(killed) >= 3
    threads = load(client, f"{COLLECTION}-threads", path, tiny)
    assert threads.uploaded == MANY
    assert_equal(client, f"{COLLECTION}-ray", f"{COLLECTION}-threads")
    again = load(client, f"{COLLECTION}-ray", path, tiny)
    assert (again.uploaded, again.unchanged, again.verified) == (0, MANY, MANY)


def test_sources_of_all_kinds_are_loaded_as_by_threads(
    client: QdrantClient, executor: RayExecutor, tiny: RDREmbeddings, tmp_path: Path
) -> None:
    """Read tasks read files, the driver documents; of rows with one id the first is loaded.

    The second load finds new, changed and missing rows, and metadata that changed.
    """
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "one.md").write_text("# The river\n\n" + "the river is in the north " * 50)
    (pages / "two.md").write_bytes(b"\xff\xfe broken \x00")
    rows = write_rows(tmp_path / "rows.jsonl", 60)
    with rows.open("a") as file:
        file.write('broken\n{"id": "p3", "text": "another"}\n')
    header = "id\ttext\ttitle\n"
    first_table = (
        f"{header}q1\tthe king\tking\np7\tanother river\triver\n"
        "q2\ttoo\tmany\tfields\nq1\tthe king\tking\n"
    )
    second_table = f"{header}q3\tthe old city\tcity\n"
    whole_rows = rows.read_text().partition("broken")[0]
    first_rows = json.dumps({"id": "p8", "text": "a third river"}) + "\n" + whole_rows
    second_rows = first_rows.replace("a third river", "a fourth river")
    table, again = tmp_path / "more.tsv.gz", tmp_path / "again.jsonl"
    rejected: dict[str, list[Reject]] = {"ray": [], "threads": []}
    reports: dict[str, list[LoadReport]] = {"ray": [], "threads": []}
    first_metadata = rows.read_text()  # with two rows that are rejected
    second_metadata = whole_rows.replace('"year": 3,', '"year": 33,')
    for name, by in [("ray", executor), ("threads", tiny)]:
        for one_table, one_again, metadata, prune in [
            (first_table, first_rows, first_metadata, False),
            (second_table, second_rows, second_metadata, True),
        ]:
            table.write_bytes(gzip.compress(one_table.encode()))
            again.write_text(one_again)
            rows.write_text(metadata)
            report = load(
                client,
                f"{COLLECTION}-{name}",
                [table, rows, pages, again],
                by,
                batch_size=16,
                prune=prune,
                on_reject=rejected[name].append,
            )
            reports[name].append(report)
    assert_equal(client, f"{COLLECTION}-ray", f"{COLLECTION}-threads")
    assert sorted(map(repr, rejected["ray"])) == sorted(map(repr, rejected["threads"]))
    assert any(one.reason.startswith("not JSON") for one in rejected["ray"])
    assert reports["ray"][1].removed == 1  # q1; p7 is of another file again
    assert reports["ray"][1].updated >= 1  # its year
    for by_ray, by_threads in zip(reports["ray"], reports["threads"], strict=True):
        for count in ("read", "uploaded", "updated", "unchanged", "rejected", "truncated"):
            assert getattr(by_ray, count) == getattr(by_threads, count), count
        assert (by_ray.removed, by_ray.taken_over) == (by_threads.removed, by_threads.taken_over)


def test_an_iterable_is_read_little_further_than_it_is_loaded_and_may_fail(
    client: QdrantClient, executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one id the first passage is loaded; what came before an error is kept."""
    # Ray Data would fail a stream that pauses for longer (by default half an hour)
    monkeypatch.setattr(DataContext.get_current(), "execution_no_progress_timeout_s", 0.1)
    given = 0
    reports: list[LoadReport] = []
    ahead: list[int] = []

    def passages() -> Iterator[Passage]:
        nonlocal given
        for number in [*range(200), 3, 4]:
            given += 1
            text = "another river" if given == 202 else f"river {number}"
            yield Passage(str(number), text, "", {"n": number})
        raise SourceError("The stream broke.")

    def look(report: LoadReport) -> None:
        reports.append(report)
        ahead.append(given - report.read)

    loader = QdrantLoader(
        embeddings=executor.embeddings,
        executor=executor,
        client=client,
        collection_name=COLLECTION,
        batch_size=10,
        on_progress=look,
    )
    with pytest.raises(SourceError, match="The stream broke"):
        loader.load(passages())
    assert max(ahead) <= 10 * (BATCHES_AHEAD + 2)
    last = reports[-1]
    assert (last.read, last.uploaded, last.unchanged, last.rejected) == (202, 200, 1, 1)
    assert client.count(COLLECTION).count == 200


def test_without_a_usable_row_nothing_is_written(
    client: QdrantClient, executor: RayExecutor, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("broken\n" * 20)
    rejects: list[Reject] = []
    with pytest.raises(SourceError, match="None of the 20 rows .* can be used"):
        load(client, COLLECTION, path, executor, batch_size=10, on_reject=rejects.append)
    assert [reject.line for reject in rejects] == list(range(1, 21))
    assert not client.collection_exists(COLLECTION)


def test_strict_stops_at_the_first_row_that_cannot_be_used(
    client: QdrantClient, executor: RayExecutor, tmp_path: Path
) -> None:
    one, two = write_rows(tmp_path / "one.jsonl", 30), write_rows(tmp_path / "two.jsonl", 3)
    for path in (one, two):
        with path.open("a") as file:
            file.write("broken\n" * 20)
    with RejectLog(strict=True) as log, pytest.raises(SourceError, match="one.jsonl, line 31"):
        load(client, COLLECTION, [one, two], executor, batch_size=10, on_reject=log)
    assert log.total == 1


def test_a_file_that_cannot_be_read_to_its_end_ends_the_load(
    client: QdrantClient, executor: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gzip.compress(write_rows(tmp_path / "rows.jsonl", 1500).read_bytes())
    (tmp_path / "rows.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"^rows.jsonl.gz is truncated or damaged"):
        load(client, COLLECTION, Path("rows.jsonl.gz"), executor, batch_size=100)
    assert client.count(COLLECTION).count > 0  # what came before is kept


def test_a_stopped_load_finishes_what_is_in_flight_and_is_resumed(
    client: QdrantClient, executor: RayExecutor, tiny: RDREmbeddings, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 1000)

    def stop(report: LoadReport, loader: QdrantLoader) -> None:
        if report.uploaded >= 40:
            loader.stop()

    first = load(client, COLLECTION, path, executor, batch_size=20, on_progress=stop)
    assert first.interrupted
    assert first.read == first.uploaded == first.points
    assert 40 <= first.read < 1000
    rest = load(client, COLLECTION, path, tiny)
    assert (rest.unchanged, rest.uploaded) == (first.read, 1000 - first.read)


def test_another_pairs_collection_is_refused(
    client: QdrantClient, executor: RayExecutor, other: RDREmbeddings, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 3)
    load(client, COLLECTION, path, other)
    with pytest.raises(CollectionError, match="was made with"):
        load(client, COLLECTION, path, executor)


def test_an_error_of_a_worker_is_one_line(tmp_path: Path, server: str) -> None:
    nowhere = RDREmbeddings(context_encoder=str(tmp_path), question_encoder=str(tmp_path))
    with (
        RayExecutor(nowhere, url=server, workers=1) as executor,
        pytest.raises(ModelError) as raised,
    ):
        executor.embeddings.fingerprint()
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_more_workers_than_the_cluster_has_are_refused(tiny: RDREmbeddings, server: str) -> None:
    with pytest.raises(UsageError, match="99 cores requested, but .* has 3, [0-9] of them free"):
        RayExecutor(tiny, url=server, workers=99)
    with pytest.raises(UsageError, match="9 GPUs requested, but .* has 1, 1 of them free"):
        RayExecutor(tiny, url=server, gpus=9)


@dataclass(frozen=True, slots=True)
class ObservedLoad:
    """What showed of a load with a key, whose calls were faulty, and of one that was refused."""

    report: LoadReport
    rejects: list[Reject]
    faults: int
    free_gpus: list[float]
    shown: list[bytes]
    refusal: str
    executor: str


@pytest.fixture(scope="module")
def observed(overflowing: RDREmbeddings, tmp_path_factory: pytest.TempPathFactory) -> ObservedLoad:
    path = tmp_path_factory.mktemp("observed") / "rows.jsonl"
    texts = ["music", *(f"the river {n}" for n in range(30))]
    path.write_text("".join(json.dumps({"id": t, "text": t}) + "\n" for t in texts))
    rejects: list[Reject] = []
    free_gpus: list[float] = []
    shown: list[bytes] = []

    def look(reason: str, seconds: float) -> None:
        """Once the first call is retried; until then, the faults keep the worker busy."""
        if free_gpus:
            return
        deadline = time.monotonic() + 30
        while ray.available_resources().get("GPU", 0) and time.monotonic() < deadline:
            time.sleep(0.1)  # Ray may take a moment to count it
        free_gpus.append(ray.available_resources().get("GPU", 0))
        for pid in processes("ray::"):
            shown.append(Path(f"/proc/{pid}/cmdline").read_bytes())
            shown.append(Path(f"/proc/{pid}/environ").read_bytes())
        server.clear_faults()

    with (
        QdrantHTTPServer(api_key=KEY) as server,
        closing(connect(url=server.url, api_key=KEY)) as client,
        RayExecutor(overflowing, url=server.url, api_key=KEY) as executor,
    ):
        server.inject(Status(503), times=10**6, match="PUT .*/points")
        report = load(
            client,
            COLLECTION,
            path,
            executor,
            batch_size=10,
            on_retry=look,
            on_reject=rejects.append,
        )
        faults = server.faulted[Status]
        server.inject(Status(403), times=99, match="PUT .*/points")
        path.write_text(path.read_text().replace("river", "king"))
        with pytest.raises(StoreError, match="does not allow this") as raised:
            load(client, COLLECTION, path, executor, retry_for=1)
        described = repr(vars(executor))
    return ObservedLoad(report, rejects, faults, free_gpus, shown, str(raised.value), described)


def test_calls_are_retried_and_retries_counted(observed: ObservedLoad) -> None:
    assert observed.report.retries == observed.faults >= 1


def test_all_gpus_get_a_worker_by_default(observed: ObservedLoad) -> None:
    assert observed.free_gpus[0] == 0


def test_vectors_that_are_not_finite_are_rejected(observed: ObservedLoad) -> None:
    report = observed.report
    assert (report.uploaded, report.rejected, report.verified) == (30, 1, 30)
    assert [(one.line, one.row["id"]) for one in observed.rejects] == [(1, "music")]
    assert "NaN or infinity" in observed.rejects[0].reason


def test_the_key_is_nowhere_in_the_open(observed: ObservedLoad, ray_logs: Path) -> None:
    assert any(b"(Worker)" in one for one in observed.shown)
    logs = [found.read_bytes() for found in ray_logs.rglob("*") if found.is_file()]
    assert logs
    assert not any(KEY.encode() in one for one in (*observed.shown, *logs))
    assert KEY not in observed.refusal + observed.executor


@pytest.mark.skipif("QDRANT_URL" in os.environ, reason="faults are the test server's")
def test_where_the_rate_of_writes_is_limited_one_worker_writes(
    tiny: RDREmbeddings, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 40)
    words = (
        "Rate limiting exceeded: Write rate limit exceeded: Operation requires 20 tokens but only 1"
    )
    limited = Status(429, {"retry-after": "1"}, json.dumps({"status": {"error": words}}))
    workers, reasons = set(), []
    with (
        QdrantHTTPServer() as server,
        closing(connect(url=server.url)) as client,
        RayExecutor(tiny, url=server.url, workers=2) as executor,
    ):
        collection = Collection(client, COLLECTION)
        collection.create(tiny.identity(), CollectionSettings(bm25="english"))
        strict = models.StrictModeConfig(enabled=True, write_rate_limit=6000)
        client.update_collection(COLLECTION, strict_mode_config=strict)
        server.inject(limited, match="PUT .*/points")
        report = load(
            client,
            COLLECTION,
            path,
            executor,
            batch_size=10,
            on_progress=lambda report, loader: workers.update(processes("(Worker)")),
            on_retry=lambda reason, seconds: reasons.append(reason),
        )
        assert collection.bm25.count() == 40, "workers write sparse vectors by themselves"
    assert (report.uploaded, report.points) == (40, 40)
    assert len(workers) < 2
    assert reasons == ["limit of 6,000 points a minute reached"]


def test_engines_that_contradict_other_options_are_wrong_usage(
    command: Command, tiny_pair: tuple[str, str], server: str, tmp_path: Path
) -> None:
    """A load by the command is in test_ray_process."""
    path = write_rows(tmp_path / "rows.jsonl", 3)
    pair = ["--context-encoder", tiny_pair[0], "--question-encoder", tiny_pair[1]]
    for options, message in [
        (["--path", "here", "--engine", "ray"], "the folder here can be open in one process only"),
        (["--path", "here", "--gpus", "2"], "--gpus is for --engine ray"),
        (["--url", server, "--engine", "spark"], "There is no engine 'spark'. Known: local, ray."),
    ]:
        outcome = command("ingest", path, "-c", COLLECTION, *pair, *options)
        assert outcome.status == 2
        assert message in outcome.err
