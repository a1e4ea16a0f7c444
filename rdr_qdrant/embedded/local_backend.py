"""The object that a `QdrantClient` calls in place of a connection to a server."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from qdrant_client.client_base import QdrantBase

from rdr_qdrant.embedded.collection_operations import CollectionOperations
from rdr_qdrant.embedded.errors import ClientClosedError, not_supported, translate_input_errors
from rdr_qdrant.embedded.read_operations import ReadOperations
from rdr_qdrant.embedded.storage import Storage
from rdr_qdrant.embedded.write_operations import WriteOperations

T = TypeVar("T")


class LocalBackend:
    """The methods of qdrant-client's interface (`QdrantBase`) over one storage folder.

    Each is found in one of three groups of operations. A method of the interface that none of
    them has raises NotSupportedError with its name.
    """

    def __init__(self, path: Path) -> None:
        """Open the folder `path`. Raises EmbeddedQdrantError as `Storage`."""
        storage = Storage.open(path)
        self._storage = storage
        self._closed = False
        self.path = path
        self._operations = (
            CollectionOperations(storage),
            ReadOperations(storage),
            WriteOperations(storage),
        )

    @property
    def storage(self) -> Storage:
        """The folder. Raises ClientClosedError after `close`."""
        if self._closed:
            raise ClientClosedError("This client is closed; open a new one.")
        return self._storage

    def close(self, **parameters: Any) -> None:
        if not self._closed:
            self._closed = True
            self._storage.release()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(QdrantBase, name):
            for operations in self._operations:
                if hasattr(operations, name) and self.storage:
                    return _checked(getattr(operations, name))
            return _unsupported_method(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _checked(method: Callable[..., T]) -> Callable[..., T]:
    """Let wrong input raise ValueError, except in uploads: these run the caller's own iterators."""
    if method.__name__.startswith("upload_"):
        return method

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> T:
        with translate_input_errors():
            return method(*args, **kwargs)

    return call


def _unsupported_method(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise not_supported(f"{name}()")

    return refuse
