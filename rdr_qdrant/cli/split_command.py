"""`rdr-qdrant split`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.progress import progress_shown
from rdr_qdrant.cli.source_arguments import check_rejects_file, refuse_encoded
from rdr_qdrant.cli.stderr import rejects_reported
from rdr_qdrant.cli.stdout import print_fields, print_json, print_passage
from rdr_qdrant.errors import SourceError
from rdr_qdrant.splitter import describe_splits

if TYPE_CHECKING:
    from rdr_qdrant.ingest.split_preview import PassageSizes
    from rdr_qdrant.splitter import SplitRecord

EXAMPLE = "rdr-qdrant split docs/ --show 5"


def split(
    sources: options.SourcesArgument,
    *,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="Print the first N passages.")] = 5,
    quoting: options.QuotingOption = "csv",
    rejects: options.RejectsOption = None,
    as_json: options.JSONOption = False,
    splitting: options.SplitOptions,
    encoders: options.EncoderOptions,
) -> int:
    """Show the passages that ingest would make, and how large they are.

    Nothing is encoded or written, and no weights are loaded: only the tokenizer is.
    """
    from itertools import islice

    from rdr_qdrant.ingest.partitions import ReadOptions
    from rdr_qdrant.ingest.split_preview import SplitPreview, sizes_to_json
    from rdr_qdrant.readers import RejectLog, fraction_read, open_source

    refuse_encoded(sources)
    opened = [open_source(source, quoting=quoting) for source in sources]
    check_rejects_file(rejects, opened)
    embeddings = encoders.embeddings()
    with (
        RejectLog(rejects) as log,
        rejects_reported(log),
        progress_shown("passages", lambda: fraction_read(opened)) as progress,
    ):
        preview = SplitPreview(
            sources=opened,
            options=ReadOptions.of(opened, splitting.settings(opened), embeddings),
            tokens=embeddings.token_counter(),
            max_length=encoders.max_length,
            on_reject=log,
        )
        passages = preview.passages()
        shown = list(islice(passages, show))
        for number, _ in enumerate(passages, start=len(shown) + 1):
            if number % 1000 == 0:
                progress(number)
    sizes = preview.sizes()
    if not sizes.passages:
        raise SourceError(f"{', '.join(sources)} holds no passages: there is nothing to split.")
    if as_json:
        texts = [{"id": one.id, "title": one.title, "text": one.text} for one in shown]
        split_by = preview.record.to_json()
        print_json(
            {**sizes_to_json(sizes), "rejected": log.total, "split": split_by, "shown": texts}
        )
    else:
        for passage in shown:
            print_passage(passage)
        print_fields(_fields(sizes, preview.record, encoders.max_length))
    return ExitStatus.REJECTED if log.total else ExitStatus.DONE


def _fields(sizes: PassageSizes, record: SplitRecord, max_length: int) -> dict[str, str]:
    low, median, high = (
        f"{words:,} words, {tokens:,} tokens"
        for words, tokens in zip(sizes.words, sizes.tokens, strict=True)
    )
    kinds = {"rows": record.rows, "documents": record.documents}
    return {
        **{kind: describe_splits(ways) for kind, ways in kinds.items() if ways},
        "passages": f"{sizes.passages:,}",
        "median": median,
        "5 % are below": low,
        "5 % are above": high,
        "under 20 words": f"{sizes.under_20_words:,}",
        "truncated": f"{sizes.truncated:,} (longer than {max_length} tokens)",
    }
