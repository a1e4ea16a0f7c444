"""The embedded store behind the client: all its methods, and a refusal for those it has not."""

from typing import Any, NoReturn

from qdrant_client.client_base import QdrantBase

from rdr_qdrant.embedded.collection_operations import Administering
from rdr_qdrant.embedded.errors import not_supported
from rdr_qdrant.embedded.read_operations import Reading
from rdr_qdrant.embedded.storage import Folder
from rdr_qdrant.embedded.write_operations import Writing


class EmbeddedBackend(Administering, Reading, Writing):
    """What `QdrantClient` calls in place of a server: one open folder."""

    def __init__(self, folder: Folder) -> None:
        super().__init__()
        self.folder = folder

    def close(self, **extras: Any) -> None:
        self.folder.close()


def _refusal(name: str) -> Any:
    def refuse(self: EmbeddedBackend, *args: Any, **kwargs: Any) -> NoReturn:
        raise not_supported(f"{name}()")

    refuse.__name__ = name
    return refuse


def _refuse_the_rest() -> None:
    """Give each method of the client's interface that nobody above wrote a refusal by its name."""
    for name, value in vars(QdrantBase).items():
        inherited = callable(value) and getattr(EmbeddedBackend, name) is value
        if inherited and not name.startswith("_"):
            setattr(EmbeddedBackend, name, _refusal(name))


_refuse_the_rest()
