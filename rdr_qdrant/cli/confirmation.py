"""Asking before points are deleted."""

from __future__ import annotations

import sys

import typer

from rdr_qdrant.cli.stderr import replace_control_characters
from rdr_qdrant.errors import UsageError


def confirm_by_name(collection: str, action: str) -> None:
    """Ask for the collection's name before it loses points.

    Args:
        collection: its name.
        action: what is about to happen, as a clause.

    Raises:
        UsageError: another name was typed, or stdin is not a terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{action}, and stdin is not a terminal to confirm it: add --yes.")
    question = f"{replace_control_characters(action)}. Type its name to confirm"
    if typer.prompt(question, err=True, default="", show_default=False) != collection:
        raise UsageError("The name does not match: nothing was done.")
