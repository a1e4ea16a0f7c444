"""`rdr-qdrant models`."""

from __future__ import annotations

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.stdout import print_json, print_table
from rdr_qdrant.registry import PAIRS, RECALL_AT

EXAMPLE = "rdr-qdrant models"


def list_models(as_json: options.JSONOption = False) -> None:
    """List the named pairs of encoders with their published answer recall.

    For another pair give --context-encoder and --question-encoder: two hub ids or folders.
    """
    if as_json:
        print_json(
            [
                {
                    "name": pair.name,
                    "context_encoder": pair.context_encoder,
                    "question_encoder": pair.question_encoder,
                    "about": pair.about,
                    "baseline": pair.baseline,
                    "published": {
                        data: {str(k): value for k, value in row.items()}
                        for data, row in pair.published.items()
                    },
                }
                for pair in PAIRS.values()
            ]
        )
        return
    print_table(["name", ""], [(name, pair.about) for name, pair in PAIRS.items()])
    print()
    rows = [
        (name, data, *(f"{row[k]:.2f}" if k in row else "-" for k in RECALL_AT))
        for name, pair in PAIRS.items()
        for data, row in pair.published.items()
    ]
    header = ["published answer recall, %", "data", *(f"@{k}" for k in RECALL_AT)]
    print_table(header, rows)
