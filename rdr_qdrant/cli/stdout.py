"""Results on stdout: made for reading on a terminal, plain where the output goes elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdr_qdrant.cli.stderr import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rdr_qdrant.collection import ScoredPassage

MAX_WIDTH = 100
_SMALL_WORDS = frozenset(
    "a an and are as at be by did do does for from had has have he her his how in into is it its "
    "of on one or she that the their they this to was were what when where which who whom whose "
    "why will with".split()
)


def print_json(value: Any) -> None:
    """One JSON value."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


def print_hits(hits: Sequence[ScoredPassage], question: str) -> None:
    """Rank, score, title, and the passage with the question's words marked."""
    from rich.text import Text

    console = _console()
    if not hits:
        console.print("No passage was found.")
    for rank, hit in enumerate(hits, start=1):
        passage = hit.passage
        heading = Text(f"{rank:>2}  ")
        heading.append(f"{hit.score:.4f}", style="cyan")
        heading.append(f"  {printable(passage.title) or '(no title)'}", style="bold")
        console.print(heading)
        _print_indented(console, _marked(printable(passage.text), question))
        source = printable(str(passage.metadata.get("source", "")))
        origin = f"id {printable(passage.id)}" + (f", {source}" if source else "")
        _print_indented(console, Text(origin, style="dim"))
        console.print()


def print_facts(facts: Mapping[str, str]) -> None:
    """Names and values in two columns."""
    from rich.text import Text

    console = _console()
    width = max(map(len, facts))
    for name, value in facts.items():
        console.print(Text(f"{name:<{width}}  ", style="dim") + Text(printable(value)))


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()
) -> None:
    """A table; columns of numbers are aligned to the right.

    Args:
        header: names of the columns.
        rows: their cells.
        numbers: columns of numbers, beside those whose name begins with `@`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in header:
        table.add_column(
            Text(name), justify="right" if name.startswith("@") or name in numbers else "left"
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _console().print(table)


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, MAX_WIDTH)
    return console


def _print_indented(console: Console, text: Text) -> None:
    from rich.text import Text

    for line in text.wrap(console, console.width - 4):
        line.rstrip()
        console.print(Text("    ") + line)


def _marked(text: str, question: str) -> Text:
    from rich.text import Text

    words = {w for w in re.findall(r"\w+", question.lower()) if w not in _SMALL_WORDS}
    marked = Text(text)
    for match in re.finditer(r"\w+", text):
        if match.group().lower() in words:
            marked.stylize("bold yellow", match.start(), match.end())
    return marked
