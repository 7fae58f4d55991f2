"""The command line from anywhere: ``what-happens-to-bert``, or ``python -m what_happens_to_bert``."""

import os
import sys

if sys.path[0] in ("", os.getcwd()):  # put there by -m: processes started from here would look in it first
    del sys.path[0]

from helpers.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
