"""When the rules were fixed, and what their changes moved.

From 30 November 2026 on a change of a rule is an entry in ``assets/rules_changelog.csv``, with the hash of
the rules as they are after it; a test compares the last one with :func:`digest`.
"""

import hashlib
from pathlib import Path

import pandas as pd

from helpers import claims
from helpers.claims.claims import CLAIMS
from helpers.claims.show import MARKS, marked

ASSETS = Path(__file__).parents[1] / "assets"


def digest() -> str:
    """Hash of the rules' text: of how verdicts are reached, and of what each claim says and its rule."""
    texts = [claims.__doc__ or "", *(text for c in CLAIMS for text in (c.id, c.says, c.rule))]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def changes() -> pd.DataFrame:
    """The changes of the rules, oldest first: ``date, change, rules`` (:func:`digest` after the change)."""
    return pd.read_csv(ASSETS / "rules_changelog.csv", dtype=str, keep_default_na=False)


def moved() -> pd.DataFrame:
    """Verdicts on one and the same tables by the rules of several days, with marks; index: the claim's id.

    The tables are those of MiniBERT on mnli-reduced, squad-reduced and EWT as recorded on 28 November 2026.
    """
    frame = pd.read_csv(ASSETS / "rules_moved.csv", dtype=str, keep_default_na=False, index_col="id")
    return frame.map(lambda verdict: marked(verdict) if verdict in MARKS else "")
