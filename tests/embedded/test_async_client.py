"""The async client returns the same answers as the sync one."""

import asyncio
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, models

from rdr_qdrant.embedded import AsyncEmbeddedQdrant, EmbeddedQdrant, NotSupportedError
from tests.embedded.corpus import DIM, points_of

PARAMS = models.VectorParams(size=DIM, distance=models.Distance.DOT)


async def test_calls_are_awaited_and_return_the_same_answers(tmp_path: Path) -> None:
    async with AsyncEmbeddedQdrant(tmp_path) as client:
        assert isinstance(client, AsyncQdrantClient)
        assert client.path == tmp_path
        await client.create_collection("a", PARAMS, metadata={"x": 1})
        await client.upsert("a", points_of(20))
        client.upload_points("a", points_of(30))
        assert (await client.count("a")).count == 30
        answers = await asyncio.gather(
            *(client.query_points("a", query=p.vector, limit=1) for p in points_of(5))
        )
        assert all(len(one.points) == 1 for one in answers)
        assert await client.build_index("a") is False
        with pytest.raises(NotSupportedError, match="create_snapshot"):
            await client.create_snapshot("a")
        with pytest.raises(ValueError, match="nowhere"):
            await client.count("nowhere")


async def test_from_client_shares_the_open_folder(tmp_path: Path) -> None:
    with EmbeddedQdrant(tmp_path) as client:
        client.create_collection("a", PARAMS)
        shared = AsyncEmbeddedQdrant.from_client(client)
        await shared.upsert("a", points_of(3))
        assert client.count("a").count == 3
