"""What the user is shown of how far some work has come."""

import pytest

from helpers import progress


@pytest.fixture
def clock(monkeypatch):
    """Lines shown, and a clock that a test sets."""
    lines, now = [], [1000.0]
    monkeypatch.setattr(progress, "say", lines.append)
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    monkeypatch.setattr(progress, "_last", {})
    return lines, now


def test_work_that_is_soon_done_is_silent(clock):
    lines, now = clock
    for done in range(1, 6):
        progress.steps("short", done, 5)
        now[0] += 2
    progress.steps("in one step", 1, 1)
    assert lines == []


def test_long_work_shows_a_line_now_and_then_and_its_end(clock):
    lines, now = clock
    for done in range(1, 1026):
        progress.steps("long", done, 1025)
        now[0] += 1 / 64
    assert lines == ["long: 641 of 1,025", "long: 1,025 of 1,025"]


def test_the_end_is_shown_where_nothing_was_before(clock):
    lines, now = clock
    progress.steps("two slow steps", 1, 2)
    now[0] += 60
    progress.steps("two slow steps", 2, 2)
    assert lines == ["two slow steps: 2 of 2"]
    # The same work again begins anew.
    progress.steps("two slow steps", 1, 2)
    progress.steps("two slow steps", 2, 2)
    assert len(lines) == 1
