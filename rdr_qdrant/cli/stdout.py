"""Results on stdout: formatted for a terminal, plain where the output goes elsewhere."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdr_qdrant.cli.stderr import (
    CONTROL_CHARACTERS,
    replace_control_characters,
    to_single_line,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rdr_qdrant.collection import ScoredPassage
    from rdr_qdrant.passages import Passage

MAX_WIDTH = 100
_STOP_WORDS = frozenset(
    "a an and are as at be by did do does for from had has have he her his how in into is it its "
    "of on one or she that the their they this to was were what when where which who whom whose "
    "why will with".split()
)


def print_json(value: Any) -> None:
    """Print one JSON value; control characters, and what stdout cannot encode, are escaped."""
    encoding = (sys.stdout.encoding or "utf-8").lower().replace("-", "")
    text = json.dumps(value, ensure_ascii=encoding != "utf8", allow_nan=False)
    print(CONTROL_CHARACTERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_hits(hits: Sequence[ScoredPassage], question: str) -> None:
    """Print rank, score, title, and the passage with the question's words highlighted."""
    from rich.text import Text

    console = _console()
    if not hits:
        console.print("No passage was found.")
    for rank, hit in enumerate(hits, start=1):
        passage = hit.passage
        title = to_single_line(passage.title) or "(no title)"
        source = to_single_line(str(passage.metadata.get("source", "")))
        origin = f"id {to_single_line(passage.id)}" + (f", {source}" if source else "")
        heading = Text(f"{rank:>2}  ")
        heading.append(f"{hit.score:.4f}", style="cyan")
        heading.append(f"  {title}", style="bold")
        console.print(heading)
        _print_indented(console, _highlight(replace_control_characters(passage.text), question))
        _print_indented(console, Text(origin, style="dim"))
        console.print()


def print_passage(passage: Passage) -> None:
    """Print id, title and words of a passage, then its text."""
    from rich.text import Text

    console = _console()
    size = f"{len(passage.text.split()):,} words"
    head = "  ".join(filter(None, (passage.id, passage.title, size)))
    console.print(Text(to_single_line(head), style="bold"))
    _print_indented(console, Text(replace_control_characters(passage.text)))
    console.print()


def print_fields(values: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    from rich.text import Text

    console = _console()
    width = max(map(len, values))
    for name, value in values.items():
        label = Text(f"{name:<{width}}  ", style="dim")
        console.print(label + Text(to_single_line(value)))


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()
) -> None:
    """Print a table.

    Args:
        header: names of the columns.
        rows: their cells.
        numbers: columns to align right, beside those whose name begins with `@`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in header:
        table.add_column(
            Text(name), justify="right" if name.startswith("@") or name in numbers else "left"
        )
    for row in rows:
        table.add_row(*(Text(to_single_line(cell)) for cell in row))
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


def _highlight(text: str, question: str) -> Text:
    from rich.text import Text

    words = {w for w in re.findall(r"\w+", question.lower()) if w not in _STOP_WORDS}
    highlighted = Text(text)
    for match in re.finditer(r"\w+", text):
        if match.group().lower() in words:
            highlighted.stylize("bold yellow", match.start(), match.end())
    return highlighted
