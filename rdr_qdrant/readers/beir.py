"""Data sets as BEIR publishes them: a folder of a corpus, questions and relevance judgments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.file_io import is_folder

DEFAULT_SPLIT = "test"


@dataclass(frozen=True, slots=True)
class BEIRFolder:
    """A BEIR data set: `corpus.jsonl`, `queries.jsonl` and `qrels/*.tsv`; each also `.gz`.

    Attributes:
        path: the folder.
        corpus: its passages, with `_id`, `title` and `text`.
        questions: its questions, with `_id` and `text`.
    """

    path: Path
    corpus: Path
    questions: Path

    @classmethod
    def find(cls, path: Path) -> BEIRFolder | None:
        """Return the data set in a folder, or `None` if the path is none."""
        if not is_folder(path):
            return None
        corpus, questions = (_file(path, name) for name in ("corpus.jsonl", "queries.jsonl"))
        return cls(path, corpus, questions) if corpus and questions else None

    def qrels(self) -> Path:
        """Return the judgments of the test questions.

        Raises:
            SourceError: there are none.
        """
        folder = self.path / "qrels"
        if found := _file(folder, f"{DEFAULT_SPLIT}.tsv"):
            return found
        others = sorted(file.name for file in folder.glob("*.tsv*")) or ["none"]
        raise SourceError(
            f"{folder} has no {DEFAULT_SPLIT}.tsv (found: {', '.join(others)}). "
            "Name a file with --qrels."
        )


def _file(folder: Path, name: str) -> Path | None:
    found = (folder / spelling for spelling in (name, f"{name}.gz"))
    return next((file for file in found if file.is_file()), None)
