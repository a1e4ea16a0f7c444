"""Runs the tests on qdrant-client's local mode, the embedded engine, and a server if there is one.

Set QDRANT_URL to run against a server as well; collections get names of their own and are deleted.
"""

import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from qdrant_client import QdrantClient

from rdr_qdrant.embedded import EmbeddedQdrant

settings.register_profile(
    "store",
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("store")
warnings.filterwarnings("ignore", message=".*[Ll]ocal.*", category=UserWarning)

STORES = ["memory", "embedded"] + (["server"] if os.environ.get("QDRANT_URL") else [])

compared_with_memory = pytest.mark.parametrize(
    "client", [store for store in STORES if store != "memory"], indirect=True
)
"""For a test whose reference is a local mode in memory: it would be compared with itself."""


@pytest.fixture(params=STORES)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QdrantClient]:
    """Each store in turn, empty."""
    if request.param == "memory":
        opened = QdrantClient(":memory:")
    elif request.param == "embedded":
        opened = EmbeddedQdrant(tmp_path / "store")
    else:
        opened = QdrantClient(url=os.environ["QDRANT_URL"])
    yield opened
    opened.close()


@pytest.fixture
def name(client: QdrantClient) -> Iterator[str]:
    """A collection's name that nothing else uses; deleted afterwards."""
    unique = f"test-{uuid.uuid4().hex[:12]}"
    yield unique
    client.delete_collection(unique)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedQdrant]:
    """The embedded store alone, empty."""
    with EmbeddedQdrant(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def refused() -> Callable[..., pytest.RaisesExc[BaseException]]:
    """Expect a wrong request to fail: ValueError in process, UnexpectedResponse from a server."""
    from qdrant_client.http.exceptions import UnexpectedResponse

    def expecting(match: str | None = None) -> "pytest.RaisesExc[BaseException]":
        return pytest.raises((ValueError, UnexpectedResponse), match=match)

    return expecting
