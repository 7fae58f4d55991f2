"""The book's analyses: from settings to a table of results, each part kept in the store.

Every function here may be called first, in any order: what it needs and the store lacks is computed. An
analysis of your own is one function of settings under :func:`helpers.analyses.runner.analysis`.
"""

# In the order in which a whole run goes through them.
# isort: off
from helpers.analyses.finetuning import corpus_baselines, fine_tuned, fine_tuning, headline, task_records
from helpers.analyses.pairs import pair_probe
from helpers.analyses.rsa import (
    MEASURES,
    compare_layers,
    plain_measure,
    rsa_between_layers,
    rsa_by_rate,
    rsa_of,
    rsa_to_base,
    sample_rows,
)
from helpers.analyses.out_of_domain import out_of_domain_rsa
from helpers.analyses.structural import predicted_trees, structural_probes
from helpers.analyses.edge import control_tasks, edge_probing, probing_tasks
from helpers.analyses.ablations import (
    from_above,
    knees,
    over_seeds,
    partial_freezing,
    reinitialisation,
    truncation,
)

from helpers.analyses.controls import fine_tuning_controls
from helpers.analyses.description_length import description_lengths
from helpers.analyses.amnesic import amnesic_probing
from helpers.analyses.dynamics import training_dynamics
from helpers.analyses.similarity_measures import compare_measures

# isort: on
from helpers.analyses.runner import ANALYSES, AnalysesFailed, analysis, run_all, tables

__all__ = [
    "ANALYSES", "AnalysesFailed", "MEASURES", "amnesic_probing", "analysis", "compare_layers",
    "compare_measures", "control_tasks", "corpus_baselines", "description_lengths", "edge_probing",
    "fine_tuned", "fine_tuning", "fine_tuning_controls", "from_above", "headline", "knees",
    "out_of_domain_rsa", "over_seeds", "pair_probe", "partial_freezing", "plain_measure",
    "predicted_trees", "probing_tasks", "reinitialisation", "rsa_between_layers", "rsa_by_rate",
    "rsa_of", "rsa_to_base", "run_all", "sample_rows", "structural_probes", "tables", "task_records",
    "training_dynamics", "truncation",
]  # fmt: skip
