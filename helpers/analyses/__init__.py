"""The book's analyses: from settings to a table of results, each part kept in the store.

Every function here may be called first, in any order: what it needs and the store lacks is computed.
"""

from collections.abc import Callable

from helpers import results
from helpers.analyses.finetuning import corpus_baselines, fine_tuned, fine_tuning, headline, task_records
from helpers.analyses.rsa import VARIANTS, compare_layers, rsa_of, rsa_to_base, sample_rows
from helpers.profiles import Profile

__all__ = [
    "ANALYSES", "VARIANTS", "compare_layers", "corpus_baselines", "fine_tuned", "fine_tuning", "headline",
    "rsa_of", "rsa_to_base", "run_all", "sample_rows", "task_records",
]  # fmt: skip

ANALYSES: dict[str, Callable] = {
    "finetuning": fine_tuning,
    "corpus_baselines": corpus_baselines,
    "rsa": rsa_to_base,
}


def run_all(settings: Profile, *, record: bool = False, report: Callable = print) -> None:
    """Run every analysis; with ``record`` also write the tables into ``book/recorded/<profile>/``."""
    for name, analysis in ANALYSES.items():
        report(f"== {name}")
        analysis(settings, report)
        if record:
            results.record(name, settings)
