"""`rdr-qdrant bench`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.demo_command import example_data
from rdr_qdrant.cli.progress import duration
from rdr_qdrant.cli.stderr import counted, say
from rdr_qdrant.cli.stdout import print_facts, print_json
from rdr_qdrant.errors import SourceError

if TYPE_CHECKING:
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.encoding.benchmark import EncodingSpeed

EXAMPLE = "rdr-qdrant bench passages.tsv --count 1000000"
WIKIPEDIA = 21_015_324
"""Passages of DPR's Wikipedia (December 2018; Karpukhin et al. 2020, sec. 4.1)."""
WINDOW = 256
FEW = 100
SECONDS = 20.0


def bench(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="Encode the first passages of this. Default: the passages of the demo.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Say how long N passages would take."),
    ] = WIKIPEDIA,
    seconds: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to measure.")
    ] = SECONDS,
    as_json: options.JSONOption = False,
    model: options.ModelOption = None,
    context_encoder: options.ContextEncoderOption = None,
    question_encoder: options.QuestionEncoderOption = None,
    revision: options.RevisionOption = None,
    max_length: options.MaxLengthOption = options.DEFAULT_TOKENS,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    debug: options.DebugOption = False,
) -> None:
    """Measure how fast passages are encoded here, and what part of this machine's speed that is.

    Nothing is stored. The measure of the machine is its own fastest multiplication of matrices of
    the encoder's shapes.
    """
    embeddings = options.make_embeddings(
        model=model,
        context_encoder=context_encoder,
        question_encoder=question_encoder,
        revision=revision,
        max_length=max_length,
        device=device,
        precision=precision,
    )
    found = measured(embeddings, source, seconds)
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
            }
        )
        return
    print_facts(
        {
            "model": f"{embeddings.pair.label} on {found.device} in {found.precision}",
            "speed": f"{found.passages_per_second:,.1f} passages/s, "
            f"{found.tokens_per_second:,.0f} tokens/s "
            f"({found.tokens / found.passages:.0f} tokens a passage)",
            "of the machine": f"{found.fraction_of_matrix_speed:.0%} of its own matrix speed, "
            f"{found.matrix_speed / 1e9:,.0f} GFLOP/s"
            + (" in fp32" if found.precision == "int8" else ""),
            counted(count, "passages"): f"{duration(found.seconds_for(count))} here",
        }
    )


def measured(
    embeddings: RDREmbeddings, source: str | None = None, seconds: float = SECONDS
) -> EncodingSpeed:
    """How fast these encoders encode the first passages of a source, or of the demo, here.

    Raises:
        SourceError: it holds none.
    """
    from rdr_qdrant.encoding import Side
    from rdr_qdrant.encoding.benchmark import measure
    from rdr_qdrant.encoding.tokenizer import passage_input
    from rdr_qdrant.readers import RejectLog, open_source

    opened = open_source(source or str(example_data() / "passages.tsv"))
    passages = list(islice(opened.passages(RejectLog()), WINDOW))
    if not passages:
        raise SourceError(f"{opened.name} holds no passages: there is nothing to measure with.")
    count = counted(len(passages), "passages")
    say(f"Encoding {count} with {embeddings.pair.label}, again and again.")
    if len(passages) < FEW:
        say("These are too few to tell how long others take: give 100 or more, as they are.")
    encoder = embeddings.encoder(Side.CONTEXT)
    return measure(encoder, [passage_input(p.title, p.text) for p in passages], seconds)
