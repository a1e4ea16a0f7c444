"""The object that a `QdrantClient` calls in place of a connection to a server."""

from typing import Any, NoReturn

from qdrant_client.client_base import QdrantBase

from rdr_qdrant.embedded.collection_operations import CollectionOperations
from rdr_qdrant.embedded.errors import not_supported
from rdr_qdrant.embedded.read_operations import ReadOperations
from rdr_qdrant.embedded.storage import Storage
from rdr_qdrant.embedded.write_operations import WriteOperations


class LocalBackend:
    """The methods of qdrant-client's interface (`QdrantBase`) over one storage folder.

    Each is found in one of three groups of operations. A method of the interface that none of
    them has raises NotSupportedError with its name.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._operations = (
            CollectionOperations(storage),
            ReadOperations(storage),
            WriteOperations(storage),
        )

    def close(self, **parameters: Any) -> None:
        self.storage.close()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(QdrantBase, name):
            for operations in self._operations:
                if hasattr(operations, name):
                    return getattr(operations, name)
            return _unsupported_method(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _unsupported_method(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise not_supported(f"{name}()")

    return refuse
