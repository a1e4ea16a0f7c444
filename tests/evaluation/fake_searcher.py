"""A searcher that returns given rankings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np

from rdr_qdrant import Passage
from rdr_qdrant.collection import Mode, QueryOptions, Questions, ScoredPassage
from rdr_qdrant.searcher import PassageSearcher


class FakeSearcher(PassageSearcher):
    """Question n (its text is "n") finds the texts of `rankings[n]`, or `exact[n]` if exact.

    The id of a passage is `id_of(text)`; scores decrease by one from 100.
    """

    def __init__(
        self, rankings: Sequence[Sequence[str]], exact: Sequence[Sequence[str]] | None = None
    ) -> None:
        self.rankings = rankings
        self.exact_rankings = rankings if exact is None else exact
        self.requests: list[tuple[int, int, bool]] = []
        """(questions, k, exact) of each request."""

    def check(self, mode: Mode = "dense") -> None:
        pass

    def prepare(self, questions: Sequence[str], mode: Mode = "dense") -> Questions:
        return Questions(np.array([[int(question)] for question in questions], dtype=np.float32))

    def search_prepared(
        self, questions: Questions, **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        k, exact = options["k"], options.get("exact", False)
        self.requests.append((len(questions), k, exact))
        rankings = self.exact_rankings if exact else self.rankings
        return [
            [hit(rank, text) for rank, text in enumerate(rankings[int(v[0])][:k])]
            for v in questions.vectors
        ]


def hit(rank: int, text: str) -> ScoredPassage:
    return ScoredPassage(100.0 - rank, Passage(id=id_of(text), text=text, title="T"))


def id_of(text: str) -> str:
    return f"p {text}"
