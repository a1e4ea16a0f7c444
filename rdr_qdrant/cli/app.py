"""The application: all commands, and every way in which a command can end."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from rdr_qdrant import __version__
from rdr_qdrant.cli import bench_command as bench
from rdr_qdrant.cli import copy_command as copy
from rdr_qdrant.cli import delete_command as delete
from rdr_qdrant.cli import demo_command as demo
from rdr_qdrant.cli import encode_command as encode
from rdr_qdrant.cli import eval_command as evaluate
from rdr_qdrant.cli import index_command as index
from rdr_qdrant.cli import info_command as info
from rdr_qdrant.cli import ingest_command as ingest
from rdr_qdrant.cli import mcp_command as mcp
from rdr_qdrant.cli import models_command as models
from rdr_qdrant.cli import plan_command as plan
from rdr_qdrant.cli import search_command as search
from rdr_qdrant.cli import split_command as split
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.graceful_shutdown import raise_keyboard_interrupt_on_sigterm
from rdr_qdrant.cli.option_groups import DEBUG_OPTION, as_typer_command
from rdr_qdrant.cli.standard_streams import (
    discard_stdout,
    flush_stdout,
    prepare_standard_streams,
    print_traceback,
)
from rdr_qdrant.cli.stderr import (
    discard_stderr_if_unwritable,
    print_message,
    to_single_line,
    unwrap_paragraphs,
)
from rdr_qdrant.errors import RDRQdrantError, UsageError

RESUMABLE = ("ingest", "encode", "copy", "index")

OBJECTS_PER_COLLECTION = 200_000
"""New objects between two runs of the garbage collector. By Python's own 700 it would go again and
again through what libraries make while they are imported."""

app = typer.Typer(
    name="rdr-qdrant",
    help="Load passages into a Qdrant collection searchable with the Reader-Distilled Retriever.",
    epilog="Start here: rdr-qdrant demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _name, _command, _example in (
    ("ingest", ingest.ingest, ingest.EXAMPLE),
    ("encode", encode.encode, encode.EXAMPLE),
    ("split", split.split, split.EXAMPLE),
    ("search", search.search, search.EXAMPLE),
    ("eval", evaluate.evaluate_command, evaluate.EXAMPLE),
    ("info", info.info, info.EXAMPLE),
    ("index", index.index, index.EXAMPLE),
    ("copy", copy.copy, copy.EXAMPLE),
    ("delete", delete.delete, delete.EXAMPLE),
    ("bench", bench.bench, bench.EXAMPLE),
    ("plan", plan.plan_command, plan.EXAMPLE),
    ("mcp", mcp.mcp, mcp.EXAMPLE),
    ("models", models.list_models, models.EXAMPLE),
    ("demo", demo.demo, demo.EXAMPLE),
):
    _help = unwrap_paragraphs(_command.__doc__ or "")
    app.command(name=_name, help=_help, epilog=f"Example: {_example}")(as_typer_command(_command))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rdr-qdrant {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command of this process and exit with its status."""
    if not prepare_standard_streams():
        print_message(
            "Error: stdout is closed, so no result can be printed. To discard results: >/dev/null."
        )
        sys.exit(ExitStatus.FAILED)
    raise_keyboard_interrupt_on_sigterm()
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it would report lost connections in its way
    try:
        status = run(sys.argv[1:])
    except Exception:  # run raises with --debug alone
        print_traceback()
        status = ExitStatus.FAILED
    discard_stderr_if_unwritable()
    gc.freeze()  # what lives to the end need not be searched for cycles
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit status, see `ExitStatus`."""
    status = _run_command(list(arguments))
    return status if flush_stdout() else status or ExitStatus.FAILED


def _run_command(arguments: list[str]) -> int:
    debug = DEBUG_OPTION in arguments
    try:
        status = app(arguments, standalone_mode=False)
    except typer.TyperException as error:
        if isinstance(getattr(error, "message", None), str):  # it may hold a file's name
            error.message = to_single_line(error.message)
        show = getattr(error, "show", None)
        show() if show else print_message(f"Error: {error.format_message()}")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = ExitStatus.INTERRUPTED
    except BrokenPipeError:
        discard_stdout()
        return ExitStatus.FAILED
    except RDRQdrantError as error:
        if debug:
            raise
        print_message(f"Error: {error}")
        return ExitStatus.USAGE if isinstance(error, UsageError) else ExitStatus.FAILED
    except Exception as error:
        if debug:
            raise
        text = " ".join(str(error).split())
        print_message(
            f"Error: unexpected {type(error).__name__}: {text}. --debug shows where it happened."
        )
        return ExitStatus.FAILED
    if status == ExitStatus.INTERRUPTED:  # typer turns an interrupt into this status, silently
        if arguments[:1] and arguments[0] in RESUMABLE:
            without = " without --recreate" if "--recreate" in arguments else ""
            print_message(
                f"Interrupted. Everything done is kept; run the same command{without} to resume."
            )
        else:
            print_message("Interrupted.")
    return status if isinstance(status, int) else ExitStatus.DONE
