"""Opening a client again in another process, for objects that are pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdr_qdrant.client.api_key import refuse_credentials_in
from rdr_qdrant.client.connect import connect, is_url
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

UNSAVED_OPTIONS = ("prefix", "headers", "auth_token_provider", "https", "host")
"""Client options that `connect` does not set."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """Arguments of `connect` that open the same Qdrant again. No API key is among them.

    Attributes:
        url: address of a server, or `None`.
        path: absolute path of an embedded folder, or `None`.
        grpc_port: port for gRPC of a server, or `None`.
    """

    url: str | None = None
    path: str | None = None
    grpc_port: int | None = None

    @classmethod
    def of(cls, client: QdrantClient | AsyncQdrantClient) -> ClientAddress:
        """Return the address of a client.

        Raises:
            UsageError: `connect` cannot open the same again: it is in memory, or has options that
                `connect` does not set.
        """
        if (folder := getattr(client, "path", None)) is not None:
            return cls(path=str(folder.absolute()))
        options = client.init_options
        url = options.get("url")
        if not url or not is_url(url) or any(options.get(name) for name in UNSAVED_OPTIONS):
            raise UsageError(
                f"This {type(client).__name__} cannot be pickled: only a client from "
                "connect(url=...) or connect(path=...) can be opened again in another process."
            )
        refuse_credentials_in(url)
        return cls(url=url, grpc_port=options["grpc_port"])

    def open(self) -> QdrantClient:
        """Connect, with the API key in `QDRANT_API_KEY`.

        Raises:
            UsageError, StoreError: as `connect`.
        """
        return connect(self.url, self.path, grpc_port=self.grpc_port)
