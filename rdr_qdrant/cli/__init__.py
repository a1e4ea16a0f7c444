"""The command line: each command reads its options, calls the library, prints. No logic here."""

from rdr_qdrant.cli.app import main

__all__ = ["main"]
