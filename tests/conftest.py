"""Fixtures that several packages use."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import Passage, RDREmbeddings, connect
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.encoding.encoder_cache import cache_folder
from tests.checkpoints import write_pair
from tests.support.qdrant_http_server import QdrantHTTPServer

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test waits for a hub

_CACHE = tempfile.TemporaryDirectory(prefix="rdr-test-cache-", ignore_cleanup_errors=True)
for _made_before in cache_folder().glob("demo-*"):
    (Path(_CACHE.name) / "rdr-qdrant").mkdir(exist_ok=True)
    (Path(_CACHE.name) / "rdr-qdrant" / _made_before.name).symlink_to(_made_before)
os.environ["XDG_CACHE_HOME"] = _CACHE.name  # notes of throw-away encoders are not a user's

COLLECTION = f"rdr-test-{uuid.uuid4().hex[:8]}"
XQUAD = Path(__file__).parents[2] / "shared" / "data" / "xquad"


LONGEST_FIRST = [
    "tests/ray/",
    "tests/cli/test_commands.py",
    "tests/test_recipes.py",
    "tests/rag_backend/test_settings.py",
    "tests/ingest/test_chaos.py",
    "tests/test_examples.py",
    "tests/test_reproduce.py",
    "tests/encoding/",
    "tests/rag_backend/",
    "tests/embedded/",
]
"""Modules that take long, whatever the number of their tests. With several processes, the last
module that is started should be a short one."""


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(200_000)  # a test session has millions of objects, and keeps most of them
    if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist: most tests first
        config.option.loadscopereorder = False


def pytest_sessionfinish() -> None:
    gc.collect()
    gc.freeze()  # so that pytest and Python, as they end, do not go through all objects again


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run the tests of a module in one process, and those of Ray after one another.

    pytest-xdist's own groups (`--dist loadgroup`) are ignored without a word by pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return "tests/ray" if module.startswith("tests/ray/") else module

    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    ranks = (n for n, path in enumerate(LONGEST_FIRST) if item.nodeid.startswith(path))
    return next(ranks, len(LONGEST_FIRST))


@pytest.fixture(scope="session")
def xquad() -> Path:
    if not XQUAD.is_dir():
        pytest.skip("the data beside the project is not here")
    return XQUAD


@pytest.fixture(autouse=True)
def _no_stray_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests must not steer them."""
    monkeypatch.delenv("QDRANT_API_KEY", raising=False)


@pytest.fixture(scope="session")
def tiny_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return write_pair(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def other_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Same shape, other weights."""
    return write_pair(tmp_path_factory.mktemp("other"), seed=7)


@pytest.fixture(scope="session")
def tiny(tiny_pair: tuple[str, str]) -> RDREmbeddings:
    context, question = tiny_pair
    return RDREmbeddings(context_encoder=context, question_encoder=question)


@pytest.fixture(scope="session")
def other(other_pair: tuple[str, str]) -> RDREmbeddings:
    context, question = other_pair
    return RDREmbeddings(context_encoder=context, question_encoder=question)


@pytest.fixture(scope="session")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> RDREmbeddings:
    """Texts with the word "music" get vectors of NaN."""
    pair = write_pair(tmp_path_factory.mktemp("overflowing"), overflowing="music")
    return RDREmbeddings(context_encoder=pair[0], question_encoder=pair[1])


@pytest.fixture(scope="session")
def demo() -> RDREmbeddings:
    return RDREmbeddings(model="demo")


@pytest.fixture(
    params=["server"] if os.environ.get("QDRANT_URL") else ["memory", "embedded", "http"]
)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QdrantClient]:
    """A Qdrant: in memory, in a folder, our test server over HTTP, or the one of QDRANT_URL."""
    with client_of(request.param, tmp_path) as client:
        yield client


@contextlib.contextmanager
def client_of(kind: str, folder: Path) -> Iterator[QdrantClient]:
    """A client of a Qdrant of this kind.

    Tests keep to collections whose names begin with `COLLECTION`; they are removed afterwards.
    """
    with contextlib.ExitStack() as stack:
        if kind == "memory":
            client = connect(path=":memory:")
        elif kind == "embedded":
            client = connect(path=folder / "embedded")
        elif kind == "http":
            client = connect(url=stack.enter_context(QdrantHTTPServer()).url)
        else:
            client = connect()
        yield client
        _remove_ours(client)
        client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantClient]:
    """A server that keeps settings: the one of QDRANT_URL, else an embedded Qdrant over HTTP."""
    with contextlib.ExitStack() as stack:
        if os.environ.get("QDRANT_URL"):
            client = connect()
        else:
            backend = stack.enter_context(EmbeddedQdrant(tmp_path / "behind"))
            client = connect(url=stack.enter_context(QdrantHTTPServer(backend)).url)
        yield client
        _remove_ours(client)
        client.close()


def _remove_ours(client: QdrantClient) -> None:
    for found in client.get_collections().collections:
        if found.name.startswith(COLLECTION):
            client.delete_collection(found.name)


@pytest.fixture
def passages() -> list[Passage]:
    """Six passages of three titles, ids of both kinds."""
    return [
        Passage("1", "the river is in the north", "river", {"source": "here", "year": 1999}),
        Passage("2", "the old city was built by the king", "city", {"source": "here"}),
        Passage("a#1", "the king found the city", "king", {"source": "here"}),
        Passage("a#2", "the battle of the king", "king", {"source": "there"}),
        Passage("007", "music was great", "", {"source": "there"}),
        Passage("18446744073709551615", "people wrote the first number", "people"),
    ]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file into the test's folder."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
