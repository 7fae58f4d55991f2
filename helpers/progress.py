"""The one way in which the package tells its user what it does: lines on standard error.

Seen in a terminal, a log file and a running notebook alike, never in the book.
"""

import sys
import time

EVERY = 10.0  # seconds between two lines about the same work

_began = time.time()
_last: dict[str, float] = {}


def say(message: str) -> None:
    """Show what is being done, with the minutes since the start."""
    print(f"[{(time.time() - _began) / 60:5.1f} min] {message}", file=sys.stderr, flush=True)


def steps(what: str, done: int, total: int) -> None:
    """Show how far some work has come: at most one line every ten seconds, and the last."""
    now = time.time()
    if done >= total:
        if _last.pop(what, None) is not None:  # short work is silent
            say(f"{what}: {done:,} of {total:,}")
    elif now - _last.setdefault(what, now) >= EVERY:
        _last[what] = now
        say(f"{what}: {done:,} of {total:,}")
