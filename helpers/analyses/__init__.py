"""The book's analyses: from settings to a table of results, each part kept in the store.

Every function here may be called first, in any order: what it needs and the store lacks is computed.
"""

import traceback
from collections.abc import Callable, Sequence

import pandas as pd

from helpers import provenance, results
from helpers.analyses.ablations import (
    from_above,
    knees,
    over_seeds,
    partial_freezing,
    reinitialisation,
    truncation,
)
from helpers.analyses.edge import control_tasks, edge_probing, probing_tasks
from helpers.analyses.finetuning import (
    corpus_baselines,
    fine_tuned,
    fine_tuning,
    headline,
    say_nothing,
    task_records,
)
from helpers.analyses.out_of_domain import out_of_domain_rsa
from helpers.analyses.pairs import pair_probe
from helpers.analyses.rsa import (
    VARIANTS,
    compare_layers,
    rsa_between_layers,
    rsa_by_rate,
    rsa_of,
    rsa_to_base,
    sample_rows,
)
from helpers.analyses.structural import predicted_trees, structural_probes
from helpers.profiles import Profile

__all__ = [
    "ANALYSES", "AnalysesFailed", "compare_layers", "control_tasks", "corpus_baselines", "edge_probing",
    "fine_tuned", "fine_tuning", "from_above", "headline", "knees", "out_of_domain_rsa", "over_seeds",
    "pair_probe", "partial_freezing", "predicted_trees", "probing_tasks", "reinitialisation",
    "rsa_between_layers", "rsa_of", "rsa_to_base", "run_all", "sample_rows", "structural_probes", "tables",
    "task_records", "truncation", "VARIANTS",
]  # fmt: skip

# By the name of the table that each one writes.
ANALYSES: dict[str, Callable] = {
    "finetuning": fine_tuning,
    "corpus_baselines": corpus_baselines,
    "pair_probe": pair_probe,
    "rsa": rsa_to_base,
    "rsa_by_rate": rsa_by_rate,
    "out_of_domain": out_of_domain_rsa,
    "structural_probe": structural_probes,
    "edge_probing": edge_probing,
    "control_task": control_tasks,
    "partial_freezing": partial_freezing,
    "truncation": truncation,
    "reinitialisation": reinitialisation,
}


def tables(settings: Profile, report: Callable = say_nothing) -> dict[str, pd.DataFrame]:
    """The table of every analysis, by name: as saved with these settings and this code, or computed now."""
    found = {}
    for name, analysis in ANALYSES.items():
        saved = results.saved(name, settings)
        if saved is None:
            report(f"== {name}")
            saved = analysis(settings, report)
        found[name] = saved
    return found


class AnalysesFailed(RuntimeError):
    """Some analyses of a run failed; the message names them, and the others are done."""


def run_all(
    settings: Profile, *, only: Sequence[str] = (), record: bool = False, report: Callable = print
) -> None:
    """Run every analysis, or those named; with ``record`` also copy the tables into ``book/recorded/``.

    An analysis that fails is reported and the others go on; :class:`AnalysesFailed`, at the
    end, names those that did. Raises ValueError for an unknown name, listing the valid ones.
    """
    for name in only:
        if name not in ANALYSES:
            raise ValueError(f"unknown analysis {name!r}; valid: {', '.join(ANALYSES)}")
    report(provenance.banner(settings))
    failed = {}
    for name in only or ANALYSES:
        report(f"== {name}")
        try:
            ANALYSES[name](settings, report)
        except Exception as error:
            report("".join(traceback.format_exception(error)))
            failed[name] = f"{type(error).__name__}: {error}"
        else:
            if record:
                results.record(name, settings)
    if failed:
        told = "; ".join(f"{name} ({why})" for name, why in failed.items())
        raise AnalysesFailed(f"{len(failed)} of {len(only or ANALYSES)} analyses failed: {told}")
