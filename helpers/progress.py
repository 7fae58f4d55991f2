"""One line of progress on standard error: seen while a notebook or command runs, never in the book."""

import sys
import time

_began = time.time()


def say(message: str) -> None:
    """Show what is being done, with the minutes since the start."""
    print(f"[{(time.time() - _began) / 60:5.1f} min] {message}", file=sys.stderr, flush=True)
