"""The one way in which the package tells its user what it does: lines on standard error.

Seen in a terminal, a log file and a running notebook alike, never in the book.
"""

import sys
import time

EVERY = 10.0  # seconds between two lines about the same work

_began = time.time()
_last: dict[str, tuple[float, bool]] = {}  # by work: when its last line was shown or it began, and which


def say(message: str) -> None:
    """Show what is being done, with the minutes since the start."""
    print(f"[{(time.time() - _began) / 60:5.1f} min] {message}", file=sys.stderr, flush=True)


def steps(what: str, done: int, total: int) -> None:
    """Show how far some work has come: at most one line every ten seconds, and the last.

    Work that is done within ten seconds of its first call is silent.
    """
    now = time.time()
    last, shown = _last.setdefault(what, (now, False))
    due, complete = now - last >= EVERY, done >= total
    if due or (complete and shown):
        say(f"{what}: {done:,} of {total:,}")
        _last[what] = now, True
    if complete:
        del _last[what]


def clock(seconds: float) -> str:
    """A time span in words: ``3 min 05 s``, from an hour on ``2 h 10 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
