"""The one family of errors: each message says what happened, with which values, what to do."""


class RDRQdrantError(Exception):
    """Base of every error that this package raises on purpose."""


class UsageError(RDRQdrantError):
    """Options that contradict each other or cannot be read (the command line exits with 2)."""


class SourceError(RDRQdrantError):
    """A file of passages or questions that cannot be read as a whole."""


class OutputError(RDRQdrantError):
    """A file of results that cannot be written."""


class ModelError(RDRQdrantError):
    """An encoder that is unknown, cannot be had, or is not what its place needs."""


class StoreError(RDRQdrantError):
    """A Qdrant, server or folder, that cannot be reached or used."""


class CollectionError(RDRQdrantError):
    """A collection that is missing or does not fit the encoder."""


def install_hint(extra: str) -> str:
    """The commands that install an extra."""
    return (
        f"pip install -c constraints.txt -e '.[{extra}]' in a clone, "
        f"or pip install 'rdr-qdrant[{extra}]'"
    )
