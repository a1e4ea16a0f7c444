"""The sources of commands: passages to encode, or folders that `encode` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.export import PrecomputedVectors
    from rdr_qdrant.readers import PassageSource, Quoting


@dataclass(frozen=True, slots=True)
class OpenedSources:
    """Sources ready to be read.

    Attributes:
        sources: the sources.
        vectors: the vectors that `encode` wrote, or `None` if passages are to be encoded.
        half_floats: the encoded folders whose vectors are float16.
        rejected_upstream: the encoded folders that lack records that `encode` rejected, and how
            many.
    """

    sources: Sequence[PassageSource]
    vectors: PrecomputedVectors | None = None
    half_floats: Sequence[str] = ()
    rejected_upstream: Mapping[str, int] = field(default_factory=dict)


def open_sources(
    names: Sequence[str], encoding_options: Sequence[str], quoting: Quoting = "csv"
) -> OpenedSources:
    """Open files, folders and streams, or folders that `encode` wrote, but not both at once.

    Args:
        names: as given on the command line.
        encoding_options: options given that have no effect on passages encoded already.
        quoting: see `open_source`.

    Raises:
        UsageError: both kinds at once, or encoded folders with such an option.
        SourceError: a source cannot be opened.
    """
    from rdr_qdrant.export import ShardFolder, is_shard_folder, vectors_of
    from rdr_qdrant.readers import open_source

    encoded = [name for name in names if is_shard_folder(name)]
    if not encoded:
        return OpenedSources([open_source(name, quoting=quoting) for name in names])
    if others := [name for name in names if name not in encoded]:
        raise UsageError(
            f"{encoded[0]} is encoded already, {others[0]} is not: load them by two commands."
        )
    if encoding_options:
        raise UsageError(
            f"{encoded[0]} is encoded already, by the pair that its manifest names: leave out "
            f"{', '.join(encoding_options)}."
        )
    folders = [ShardFolder(name) for name in encoded]
    return OpenedSources(
        [source for folder in folders for source in folder.sources()],
        vectors_of(folders),
        [str(one.path) for one in folders if one.manifest.options.vectors == "float16"],
        {str(one.path): one.manifest.missing for one in folders if one.manifest.missing},
    )


def refuse_encoded(names: Sequence[str]) -> None:
    """Refuse folders that `encode` wrote, for commands that read passages to be encoded.

    Raises:
        UsageError: there is one; it names the first.
    """
    from rdr_qdrant.export import is_shard_folder

    for name in filter(is_shard_folder, names):
        raise UsageError(f"{name} is encoded already: rdr-qdrant ingest {name} -c NAME")


def check_rejects_file(rejects: Path | None, sources: Sequence[PassageSource]) -> None:
    """Refuse to write rejected rows over a source.

    Raises:
        UsageError: the file is one of the sources.
    """
    if rejects and any(source.includes_file(rejects) for source in sources):
        raise UsageError(f"--rejects {rejects} is a source: it would be overwritten. Name another.")
