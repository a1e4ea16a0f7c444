"""What every Qdrant REST call shares: its path, its body, and the words of its errors.

Status codes and texts follow Qdrant's `src/actix` and `StorageError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models

if TYPE_CHECKING:
    from tests.support.cluster import Cluster
    from tests.support.server_settings import ServerSettings

T = TypeVar("T")


class ApiError(Exception):
    """A refusal, with the status code and the text that Qdrant gives it."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        client: does it; in a cluster, as the node that got the request sees things.
        path: the path's variables.
        query: the query string.
        body: as it was sent.
        method: GET, PUT, ...
        settings: of collections, kept by the server itself.
        leader: the client with all changes, for what needs the nodes' consensus.
        cluster: of the server, if it is one.
        readable: the collections that the key may read; `None`: all.
    """

    client: QdrantClient
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    method: str
    settings: ServerSettings
    leader: QdrantClient
    cluster: Cluster | None = None
    readable: frozenset[str] | None = None

    @property
    def name(self) -> str:
        return self.path["collection_name"]

    @property
    def is_upsert(self) -> bool:
        return self.method == "PUT"

    def read(self, shape: TypeAdapter[T]) -> T:
        """Parse the body, or refuse it as Qdrant refuses a body it cannot parse."""
        try:
            return shape.validate_json(self.body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            reason = f"{place}: {first['msg']}" if place else first["msg"]
            if place.startswith("PointsBatch"):
                reason = "Invalid PointInsertOperations format"
            raise ApiError(400, f"Format error in JSON body: {reason}") from error

    def written(self, result: models.UpdateResult) -> models.UpdateResult:
        """Say "completed" to `wait=true` and "acknowledged" to others (both are done at once)."""
        if self.query.get("wait") == "true":
            return result
        return result.model_copy(update={"status": models.UpdateStatus.ACKNOWLEDGED})


@dataclass(frozen=True)
class Route:
    """One REST call: how it is named, and what does it."""

    method: str
    template: str
    act: Callable[[Call], Any]
    needs_collection: bool
    changes_collections: bool = False

    @property
    def label(self) -> str:
        return f"{self.method} {self.template}"

    def run(self, call: Call) -> Any:
        """Return the call's `result`, or raise an `ApiError`."""
        try:
            if self.needs_collection and not call.client.collection_exists(call.name):
                raise no_collection(call.name)
            if self.needs_collection:
                self._check_collection(call)
            result = self.act(call)
            if self.changes_collections and call.cluster:
                call.cluster.note_change(call.leader, call.settings)
            return result
        except ApiError:
            raise
        except KeyError as error:  # local mode's way to name a point it does not have
            missing = str(error.args[0]).removeprefix("No point with id ").removesuffix(" found")
            raise ApiError(404, f"Not found: No point with id {missing} found") from error
        except ValueError as error:
            raise _refusal(str(error)) from error
        except Exception as error:
            raise ApiError(500, f"Service internal error: {error!r}") from error

    def _check_collection(self, call: Call) -> None:
        """Refuse what strict mode forbids, or what needs a node that is away."""
        from tests.support.strict_mode import check_strict_mode

        settings = call.settings.of(call.leader, call.name)
        under = self.template.removeprefix("/collections/{collection_name}")
        reads = under in READING and call.method in ("GET", "POST")
        if call.cluster and (reads or under.startswith(("/points", "/index"))):
            call.cluster.check_available(settings.params, writes=not reads)
        if settings.strict and settings.strict.enabled:
            check_strict_mode(call, self.template, settings.strict)


READING = (
    "",
    "/points",
    "/points/scroll",
    "/points/count",
    "/points/query",
    "/points/query/batch",
    "/points/query/groups",
)


def no_collection(name: str) -> ApiError:
    return ApiError(404, f"Not found: Collection `{name}` doesn't exist!")


def bad_point_id(point_id: object) -> ApiError:
    if isinstance(point_id, int) and point_id >= 2**64:  # the server reads it as a float
        point_id = f"{Decimal(repr(float(point_id))):f}"
    return ApiError(400, f"Format error in JSON body: value {point_id} {_BAD_POINT_ID}")


_BAD_POINT_ID = "is not a valid point ID, valid values are either an unsigned integer or a UUID"
_WRONG_DIMENSION = r"Wrong input: Vector dimension error: expected dim: \1, got \2"
_TRANSLATIONS = [
    (r"Collection (.+) already exists", 409, r"Wrong input: Collection `\1` already exists!"),
    (r"Empty update request", 400, "Bad request: Empty update request"),
    (
        r"Point id '(.+)' is not a valid point id; .*",
        400,
        rf"Format error in JSON body: value \1 {_BAD_POINT_ID}",
    ),
    (
        r"(Wrong input: Not existing vector name error: \S*) \(the collection has: .*\)",
        400,
        r"\1",
    ),
    (r"invalid JSON path (.+)", 400, r"Format error in JSON body: Invalid json path: '\1'"),
    (
        r"(?:Wrong input: )?values and indices must have the same length: .*",
        422,
        "Validation error in JSON body: [points[0].vector.?.values: Validation error: must be the "
        "same length as indices [{}]]",
    ),
    (
        r"(?:Wrong input: )?sparse indices must be unique",
        422,
        "Validation error in JSON body: [points[0].vector.?.indices: Validation error: must be "
        "unique [{}]]",
    ),
    (r"(?:Not found: )?No point with id (\S+) found", 404, r"Not found: No point with id \1 found"),
    (r"Collection (.+) not found", 404, r"Not found: Collection `\1` doesn't exist!"),
    (r"Point (\S+) is not found in the collection", 404, r"Not found: No point with id \1 found"),
    (
        r"Point id (.+) is not a valid UUID",
        400,
        rf"Format error in JSON body: value \1 {_BAD_POINT_ID}",
    ),
    (
        r"Wrong input: Vector dimension error: expected dim: (\d+), got (\d+) for vector '.*'",
        400,
        _WRONG_DIMENSION,
    ),
    (r"shapes \(\d+,(\d+)\) and \((\d+),\) not aligned.*", 400, _WRONG_DIMENSION),
    (
        r"(\w+) value (\S+) is invalid. Must be (\d+) or larger.",
        422,
        r"Validation error in JSON body: [\1: value \2 invalid, must be \3 or larger]",
    ),
]
"""Local mode's reasons (regular expressions), and the server's status and words for each."""


def _refusal(reason: str) -> ApiError:
    """Turn the reason of local mode's `ValueError` into the server's words."""
    for pattern, status, words in _TRANSLATIONS:
        if found := re.fullmatch(pattern, reason):
            return ApiError(status, found.expand(words))
    return ApiError(400, f"Wrong input: {reason.removeprefix('Wrong input: ')}")


routes: list[tuple[re.Pattern[str], Route]] = []


def route(
    method: str,
    template: str,
    *,
    needs_collection: bool | None = None,
    changes_collections: bool = False,
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Register a function as what does `METHOD /path/{template}`."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))
    needed = "{collection_name}" in template if needs_collection is None else needs_collection

    def register(act: Callable[[Call], Any]) -> Callable[[Call], Any]:
        routes.append((pattern, Route(method, template, act, needed, changes_collections)))
        return act

    return register
