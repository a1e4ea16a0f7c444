"""How far a job is: what was there already says nothing of how long the rest takes."""

from __future__ import annotations

import itertools

import pytest

from rdr_qdrant.cli import progress


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines, one for each call; a clock that goes on by five seconds a look."""
    lines: list[str] = []
    monkeypatch.setattr(progress, "print_message", lines.append)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    clock = itertools.count(0, 5)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    return lines


def test_what_was_there_already_does_not_count_into_the_rate(shown: list[str]) -> None:
    with progress.progress_shown("passages", lambda: 0.5) as update:
        update(1000, skipped=1000)
        update(1100, skipped=1000)
    assert shown[0].startswith("1,000 passages, 200.0 passages/s")
    assert shown[1] == "1,100 passages, 10.0 passages/s, 1 min 50 s left"


def test_what_was_read_and_is_not_done_is_still_to_do(shown: list[str]) -> None:
    with progress.progress_shown("passages", lambda: 1.0) as update:
        update(100, waiting=300)
    assert shown == ["100 passages, 20.0 passages/s, 15 s left"]


def test_what_is_waited_for_is_shown_with_the_time_since_it_began(shown: list[str]) -> None:
    with progress.progress_shown("passages", lambda: 1.0) as update:
        update(100)
        update.show_waiting("waiting for the index")
        update.show_waiting("waiting for the index")
    assert shown[1:] == ["waiting for the index, 0 s", "waiting for the index, 10 s"]


def test_where_no_length_is_known_no_time_is_left(shown: list[str]) -> None:
    with progress.progress_shown("points") as update:
        update(100)
    assert shown == ["100 points, 20.0 points/s"]


def test_a_total_that_is_known_gives_the_time_left_and_a_retry_says_how_far_it_was(
    shown: list[str],
) -> None:
    with progress.progress_shown("questions") as update:
        update.show_retry("answer 503", 0.25)
        update(100, 400)
        update.show_retry("answer 503", 0.25)
    assert shown[0] == "0 questions; Qdrant: answer 503, retrying in 0.2 s"
    assert shown[1].endswith(" left")
    assert shown[2] == "100 questions; Qdrant: answer 503, retrying in 0.2 s"
