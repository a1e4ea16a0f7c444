"""The records of a job as a Ray datasource: each partition is one read task.

Read tasks run side by side on the driver's machine, where the files are. Ray reruns one whose
process died, and it returns the same batches again. A partition that only the driver can read
comes through a `Spool`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.partitions import FilePartition, read_batches
from rdr_qdrant.ingest.ray.codec import encode_batch
from rdr_qdrant.ingest.ray.control_actor import ControlClient
from rdr_qdrant.ingest.ray.spool import read_spool
from rdr_qdrant.ingest.records import RecordBatch

READ_TASKS = 16
"""Partitions that are read side by side."""


def record_datasource(
    files: Sequence[FilePartition | None], folder: Path, batch_size: int, control: Any
) -> Any:
    """A `ray.data.Datasource` whose rows are encoded batches.

    Args:
        files: one for each partition; `None` if the driver spools it into the folder.
        folder: of the driver's machine.
        batch_size: records of a batch.
        control: handle of the `ControlActor`.
    """
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    def read(number: int, file: FilePartition | None) -> Iterator[Any]:
        with ControlClient(control) as client:
            is_stopped = client.stopped.is_set
            if file is None:
                batches = read_spool(number, folder, is_stopped)
            else:
                batches = read_file(number, file, batch_size, is_stopped)
            yield from map(encode_batch, batches)

    class RecordDatasource(Datasource):
        """Records of files and of spools."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]

        def get_name(self) -> str:
            return "Records"

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            unknown = BlockMetadata(
                num_rows=None, size_bytes=None, input_files=None, exec_stats=None
            )
            return [
                ReadTask(partial(read, number, file), unknown) for number, file in enumerate(files)
            ]

    return RecordDatasource()


def read_file(
    number: int, file: FilePartition, size: int, is_stopped: Callable[[], bool]
) -> Iterator[RecordBatch]:
    """The batches of a file until `is_stopped`; an error of the file is in the last one."""
    try:
        partition = file.open()
    except RDRQdrantError as error:
        yield RecordBatch(number, error=error)
        return
    for batch in read_batches(number, partition, lambda: size):
        if is_stopped():
            return
        if batch.error:
            batch = replace(batch, error=file.with_given_name(batch.error))
        yield batch
