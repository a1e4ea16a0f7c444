"""A cluster of nodes over one client: each request reaches another, which may not know the news."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qdrant_client import QdrantClient, models

from tests.support.qdrant_calls import ApiError
from tests.support.server_settings import ServerSettings

UNAVAILABLE = (
    "Service internal error: Tonic status error: code: 'The service is currently unavailable', "
    'message: "tcp connect error", source: tonic::transport::Error(Transport, '
    'ConnectError(ConnectError("tcp connect error", 127.0.0.1:6655, Os { code: 111, kind: '
    'ConnectionRefused, message: "Connection refused" })))'
)
PEER_IDS = (847390746973861, 1323392864265633, 3599491352618811)
NOTHING: dict[str, Callable[[], Any]] = {
    "retrieve": list,
    "scroll": lambda: ([], None),
    "count": lambda: models.CountResult(count=0),
    "query_points_groups": lambda: models.GroupsResult(groups=[]),
    "batch_update_points": list,
}
"""What a collection answers that is deleted, but not on this node yet; writes are lost."""


@dataclass(frozen=True)
class _State:
    """Collections and aliases after a change. `serials` tell collections of one name apart."""

    infos: dict[str, models.CollectionInfo]
    serials: dict[str, int]
    aliases: dict[str, str]


class Cluster:
    """Nodes that see each change of a collection or an alias after a time of their own.

    Points are seen at once: they lie in shards, which every node asks.

    Args:
        delay: shortest and longest time in seconds until a node sees a change.
        seed: of the delays, and of the node that answers a request.
        node_down: one node is away: its shards answer only where another has a copy.
        clock: of the delays.
    """

    def __init__(
        self,
        delay: tuple[float, float] = (0.0, 0.2),
        seed: int = 0,
        *,
        node_down: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.node_down = node_down
        self._delay = delay
        self._dice = random.Random(seed)
        self._states: list[_State] = []
        self._seen_at: list[list[float]] = [[] for _ in PEER_IDS]

    def note_change(self, client: QdrantClient, settings: ServerSettings) -> None:
        """Keep the state after a change, and when each node sees it."""
        names = [one.name for one in client.get_collections().collections]
        infos = {name: copy.deepcopy(client.get_collection(name)) for name in names}
        for name, info in infos.items():
            settings.complete(settings.of(client, name), info)
        serials = {name: settings.of(client, name).serial for name in names}
        aliases = {a.alias_name: a.collection_name for a in client.get_aliases().aliases}
        self._states.append(_State(infos, serials, aliases))
        now = self._clock()
        for seen_at in self._seen_at:
            before = seen_at[-1] if seen_at else now
            seen_at.append(max(before, now + self._dice.uniform(*self._delay)))

    def node(self, client: QdrantClient, settings: ServerSettings) -> NodeClient:
        """The client as some node sees it now."""
        if not self._states:
            self.note_change(client, settings)
            for seen_at in self._seen_at:
                seen_at[0] = self._clock()
        seen_at = self._dice.choice(self._seen_at)
        number = sum(at <= self._clock() for at in seen_at)
        seen = self._states[max(0, number - 1)]
        return NodeClient(client, seen, self._states[-1])

    def check_available(self, settings: dict[str, int], *, writes: bool) -> None:
        """Refuse where the missing node has the only copy, or must confirm a write."""
        if not self.node_down:
            return
        copies = settings.get("replication_factor", 1)
        confirming = settings.get("write_consistency_factor", 1)
        if writes and (copies == 1 or confirming >= min(copies, len(PEER_IDS))):
            words = (
                f"2 out of 6 shards failed to apply operation. First error captured: {UNAVAILABLE}"
            )
            raise ApiError(500, f"Service internal error: {words}")
        if copies == 1 and not writes:
            words = f"1 of 1 read operations failed:\n  {UNAVAILABLE}"
            raise ApiError(500, f"Service internal error: {words}")


class NodeClient:
    """A client whose collections and aliases are those that one node knows."""

    def __init__(self, client: QdrantClient, seen: _State, current: _State) -> None:
        self._client = client
        self._seen = seen
        self._current = current

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._client, name)

        def call(collection_name: str, *args: Any, **options: Any) -> Any:
            known = self._known(collection_name)
            if self._seen.serials[known] != self._current.serials.get(known):
                if name == "query_batch_points":
                    return [models.QueryResponse(points=[]) for _ in args[0]]
                lost = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
                return NOTHING.get(name, lambda: lost)()
            return act(known, *args, **options)

        return call

    def collection_exists(self, name: str) -> bool:
        return name in self._seen.infos or name in self._seen.aliases

    def get_collections(self) -> models.CollectionsResponse:
        found = [models.CollectionDescription(name=name) for name in self._seen.infos]
        return models.CollectionsResponse(collections=found)

    def get_collection(self, name: str) -> models.CollectionInfo:
        known = self._known(name)
        info = copy.deepcopy(self._seen.infos[known])
        if self._seen.serials[known] == self._current.serials.get(known):
            now = self._client.get_collection(known)
            for key in ("points_count", "indexed_vectors_count", "segments_count", "status"):
                setattr(info, key, getattr(now, key))
        return info

    def get_aliases(self) -> models.CollectionsAliasesResponse:
        found = [
            models.AliasDescription(alias_name=alias, collection_name=name)
            for alias, name in self._seen.aliases.items()
        ]
        return models.CollectionsAliasesResponse(aliases=found)

    def get_collection_aliases(self, name: str) -> models.CollectionsAliasesResponse:
        found = [a for a in self.get_aliases().aliases if a.collection_name == name]
        return models.CollectionsAliasesResponse(aliases=found)

    def _known(self, name: str) -> str:
        known = self._seen.aliases.get(name, name)
        if known not in self._seen.infos:
            raise ValueError(f"Collection {name} not found")
        return known


def cluster_status(clustered: bool) -> dict[str, Any]:
    """The answer to GET /cluster."""
    if not clustered:
        return {"status": "disabled"}
    return {
        "status": "enabled",
        "peer_id": PEER_IDS[0],
        "peers": {
            str(peer): {"uri": f"http://127.0.0.1:{6635 + 10 * number}/"}
            for number, peer in enumerate(PEER_IDS)
        },
        "raft_info": {
            "term": 1,
            "commit": 159,
            "pending_operations": 0,
            "leader": PEER_IDS[0],
            "role": "Leader",
            "is_voter": True,
        },
        "consensus_thread_status": {
            "consensus_thread_status": "working",
            "last_update": "2026-11-26T06:05:34.960925324Z",
        },
        "message_send_failures": {},
    }


def collection_cluster(settings: dict[str, int], points: int, *, clustered: bool) -> dict[str, Any]:
    """The answer to GET /collections/NAME/cluster: shard n on the nodes n, n+1, ..."""
    shards, copies = settings.get("shard_number", 1), settings.get("replication_factor", 1)
    nodes = len(PEER_IDS) if clustered else 1
    local, remote = [], []
    for shard in range(shards):
        for number in range(min(copies, nodes)):
            node = (shard + number) % nodes
            if node == 0:
                local.append(
                    {"shard_id": shard, "points_count": points // shards, "state": "Active"}
                )
            else:
                remote.append({"shard_id": shard, "peer_id": PEER_IDS[node], "state": "Active"})
    return {
        "peer_id": PEER_IDS[0],
        "shard_count": shards,
        "local_shards": local,
        "remote_shards": remote,
        "shard_transfers": [],
    }
