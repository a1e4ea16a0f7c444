"""`rdr-qdrant bench`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.demo_command import example_data
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.path_arguments import parse_source
from rdr_qdrant.cli.progress import duration
from rdr_qdrant.cli.source_arguments import refuse_encoded
from rdr_qdrant.cli.stderr import pluralize, print_message, rejects_reported
from rdr_qdrant.cli.stdout import print_fields, print_json
from rdr_qdrant.errors import SourceError
from rdr_qdrant.planning import WIKIPEDIA_PASSAGES

if TYPE_CHECKING:
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.encoding.benchmark import EncodingSpeed
    from rdr_qdrant.readers import RejectHandler

EXAMPLE = "rdr-qdrant bench passages.tsv --count 1000000"
MAX_PASSAGES = 256
FEW_PASSAGES = 100


def bench(
    *,
    source: Annotated[
        str | None,
        typer.Argument(
            parser=parse_source,
            metavar="[SOURCE]",
            help="Encode the first passages of this file. Default: the passages of the demo.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            parser=options.parse_count, metavar="N", help="Estimate the time for N passages (21M)."
        ),
    ] = WIKIPEDIA_PASSAGES,
    seconds: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to measure.")
    ] = 20.0,
    as_json: options.JSONOption = False,
    encoders: options.EncoderOptions,
) -> ExitStatus:
    """Measure how fast this machine encodes passages, also as a part of its peak speed.

    Nothing is stored. The peak is this machine's fastest matrix multiplication in the encoder's
    shapes.
    """
    from rdr_qdrant.readers import RejectLog

    if source:
        refuse_encoded([source])
    embeddings = encoders.embeddings()
    log = RejectLog()
    with rejects_reported(log):
        found = measure_encoding(embeddings, source, seconds, log)
    if as_json:
        print_json(
            {
                "model": embeddings.pair.label,
                "device": found.device,
                "precision": found.precision,
                "passages_per_second": round(found.passages_per_second, 3),
                "tokens_per_second": round(found.tokens_per_second, 1),
                "tokens_per_passage": round(found.tokens / found.passages, 1),
                "matrix_gflops": round(found.matrix_speed / 1e9, 1),
                "fraction_of_matrix_speed": round(found.fraction_of_matrix_speed, 4),
                "passages": count,
                "seconds": round(found.seconds_for(count), 1),
                "rejected": log.total,
            }
        )
    else:
        print_fields(
            {
                "model": f"{embeddings.pair.label} on {found.device} in {found.precision}",
                "speed": f"{found.passages_per_second:,.1f} passages/s, "
                f"{found.tokens_per_second:,.0f} tokens/s "
                f"({found.tokens / found.passages:.0f} tokens a passage)",
                "of the machine": f"{found.fraction_of_matrix_speed:.0%} of its matrix speed, "
                f"{found.matrix_speed / 1e9:,.0f} GFLOP/s"
                + (" in fp32" if found.precision == "int8" else ""),
                pluralize(count, "passages"): f"{duration(found.seconds_for(count))} here",
            }
        )
    return ExitStatus.REJECTED if log.total else ExitStatus.DONE


def measure_encoding(
    embeddings: RDREmbeddings, source: str | None, seconds: float, on_reject: RejectHandler
) -> EncodingSpeed:
    """Measure how fast these encoders encode the first passages of a source, or of the demo.

    Args:
        embeddings: the encoders.
        source: a path; `None` is the demo's passages.
        seconds: how long to measure.
        on_reject: called with each row before the last passage that cannot be used.

    Raises:
        SourceError: it holds none.
    """
    from rdr_qdrant.encoding import Side
    from rdr_qdrant.encoding.benchmark import measure
    from rdr_qdrant.encoding.tokenizer import passage_input
    from rdr_qdrant.readers import open_source

    opened = open_source(source or str(example_data() / "passages.tsv"))
    passages = list(islice(opened.passages(on_reject), MAX_PASSAGES))
    if not passages:
        raise SourceError(f"{opened.name} holds no passages: there is nothing to measure with.")
    count = pluralize(len(passages), "passages")
    print_message(f"Encoding {count} with {embeddings.pair.label}, repeatedly.")
    if len(passages) < FEW_PASSAGES:
        print_message("Too few passages for a reliable estimate: give 100 or more.")
    encoder = embeddings.encoder(Side.CONTEXT)
    return measure(encoder, [passage_input(p.title, p.text) for p in passages], seconds)
