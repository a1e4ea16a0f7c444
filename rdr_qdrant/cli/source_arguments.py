"""What `ingest` reads: sources to encode, or folders that were encoded before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.export import StoredVectors
    from rdr_qdrant.readers import PassageSource


@dataclass(frozen=True, slots=True)
class Opened:
    """Sources that were opened.

    Attributes:
        sources: what to read.
        vectors: what their passages bring with them, or `None` where they are to be encoded.
        half_floats: the folders whose vectors are float16.
    """

    sources: Sequence[PassageSource]
    vectors: StoredVectors | None = None
    half_floats: Sequence[str] = ()


def open_sources(names: Sequence[str], not_for_shards: Mapping[str, Any]) -> Opened:
    """Files, folders and streams, or folders that `encode` wrote, but not both at once.

    Args:
        names: as they were given.
        not_for_shards: options that say how to encode, by name; those that were given are true.

    Raises:
        UsageError: both kinds at once, or an option that what is encoded already has no use for.
        SourceError: see `open_source` and `ShardFolder`.
    """
    from rdr_qdrant.export import ShardFolder, is_shard_folder, vectors_of
    from rdr_qdrant.readers import open_source

    encoded = [name for name in names if is_shard_folder(name)]
    if not encoded:
        return Opened([open_source(name) for name in names])
    if others := [name for name in names if name not in encoded]:
        raise UsageError(
            f"{encoded[0]} is encoded already, {others[0]} is not: load them by two commands."
        )
    if given := [option for option, value in not_for_shards.items() if value]:
        raise UsageError(
            f"{encoded[0]} is encoded already, by the pair that its manifest names: leave out "
            f"{', '.join(given)}."
        )
    folders = [ShardFolder(name) for name in encoded]
    return Opened(
        [source for one in folders for source in one.sources()],
        vectors_of(folders),
        [str(one.path) for one in folders if one.manifest.options.vectors == "float16"],
    )
