"""Judging the claims by a run's tables: verdicts, their reasons, and whether they depend on the measure."""

import dataclasses
import functools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helpers import results
from helpers.claims import paper
from helpers.claims.claims import CLAIMS, Claim, Pairs
from helpers.claims.numbers import Comparison, Number, over_seeds
from helpers.claims.run import ALL, Lacking, Run
from helpers.vocabulary import MODELS, OVER_SEEDS

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
NOT_TESTABLE, NOT_TESTED = "not testable here", "not tested here"
PAPERS_ENCODER = "google-bert/bert-base-uncased"
LEVEL = 0.05  # of the test by which comparisons fail

# name -> (analysis, column, what is judged, what is put in its place)
ALTERNATIVES = {
    "RSA, features centred": ("rsa", "metric", "rsa_pearson", "rsa_pearson_centred"),
    "RSA, features z-scored": ("rsa", "metric", "rsa_pearson", "rsa_pearson_z_scored"),
    "edge probes on the top layer": ("edge_probing_delta", "metric", "micro_f1", "micro_f1_top"),
    "frozen layers, head's own rate": ("partial_freezing", "inputs", "one_rate", "tuned_head"),
    "texts of any format and length, as in the paper": ("out_of_domain_gap", "inputs", "format", "raw"),
    "texts of equal word types as well": ("out_of_domain_gap", "inputs", "format", "types"),
}
_CONTRASTS = {"rsa": "rsa_contrast", "edge_probing_delta": "edge_probing_contrast"}  # of the usual measure
_OF_ONE_CONTROL = ("domain-single", "domain-content")  # claims that no alternative bears on


def failing(comparisons: Collection[Comparison]) -> list[bool]:
    """Which of the comparisons fail, in their order, after Holm's (1979) correction for looking at all.

    The smallest p-value (:attr:`.numbers.Comparison.p_value`) of m has to lie below ``LEVEL`` / m, the next
    below ``LEVEL`` / (m - 1), until one does not. Comparisons without an interval do not count.
    """
    p_values = [comparison.p_value for comparison in comparisons]
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    fails = [False] * len(p_values)
    for rank, (p, i) in enumerate(known):
        if p >= LEVEL / (len(known) - rank):
            break
        fails[i] = True
    return fails


def verdict(comparisons: Collection[Comparison], fails: Collection[bool] | None = None) -> str:
    """The verdict on one group of comparisons (:mod:`helpers.claims` has the rule).

    ``fails`` says which of them fail; by default what :func:`failing` says of these alone.
    """
    n, hold = len(comparisons), sum(c.holds for c in comparisons)
    fail = sum(failing(comparisons) if fails is None else fails)
    if 10 * fail > n:
        return CONTRADICTED
    return SUPPORTED if fail == 0 and 10 * hold >= 9 * n else INCONCLUSIVE


def called(encoder: str) -> str:
    """An encoder's name on pages.

    MiniLM is the one of the recorded run, brought back to masked language modelling; ``minilm``, as it is
    fetched, keeps the name that users call it by.
    """
    if encoder.startswith("minibert"):
        return "MiniBERT"
    return "MiniLM" if encoder == "minilm-mlm" else Path(encoder).name


def origin(encoder: str) -> str:
    """What to know of an encoder before its numbers, as words to put after its name; "" of an unknown one."""
    return {
        "MiniBERT": "a small encoder that comes with this book",
        "MiniLM": "a small encoder that was tuned on a billion sentence pairs, among them the training parts "
        "of MNLI, SNLI and SQuAD, and then brought back to masked language modelling",
    }.get(called(encoder), "")


def in_words(verdict: str, encoder: str = "") -> str:
    """A verdict as pages word it.

    What an encoder other than the paper's does not show contradicts nothing that the paper says of its own.
    """
    if verdict != CONTRADICTED or encoder in ("", PAPERS_ENCODER):
        return verdict
    return f"not reproduced with {called(encoder)}"


def judge(
    tables: Mapping[str, pd.DataFrame], claims: Iterable[Claim] | None = None, *, encoder: str = ""
) -> pd.DataFrame:
    """The verdict on each claim, from a run's tables of results (see :class:`.run.Run`).

    ``encoder`` is the run's, as in its settings; none: the paper's own. Returns one row per claim: ``id,
    claim, where, rule``; ``paper``, its numbers, and ``by_rule``, the rule's verdict on those ("no numbers"
    where it prints none); ``ours, verdict, why``, ``in_words`` (:func:`in_words`), ``effect`` (the first
    number of ours), ``seeds`` and ``comparisons`` (how many were judged); and columns ``Dep``, ``NLI`` and
    ``QA``, the verdict on that model, empty if the claim is not about it. Raises ValueError if the tables are
    empty.
    """
    run, rows = Run(tables), []
    for claim in CLAIMS if claims is None else claims:
        printed, ours = _judged(claim, _paper()), _judged(claim, run)
        shown = _shown(claim, run, ours.seeds)
        rows.append(
            {
                "id": claim.id,
                "claim": claim.says,
                "where": claim.where,
                "rule": claim.rule,
                "paper": _text(claim, _shown(claim, _paper(), printed.seeds), interval=False),
                "by_rule": printed.verdict if printed.seeds else "no numbers",
                "ours": _text(claim, shown),
                "verdict": ours.verdict,
                "in_words": in_words(ours.verdict, encoder),
                "why": ours.why,
                "effect": shown[0][1].value if shown else math.nan,
                "seeds": ours.n_seeds,
                "comparisons": ours.n_comparisons,
            }
            | {model: ours.by_model.get(model, "") for model in MODELS}
        )
    return pd.DataFrame(rows)


def alternatives(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Whether verdicts depend on how a thing is measured: ``measured, id, as_judged, instead``.

    For each of :data:`ALTERNATIVES` that the run has, the claims that it bears on, with the verdict as judged
    and the one on the alternative.
    """
    frame = pd.concat([t[results.COLUMNS] for t in tables.values() if len(t)], ignore_index=True)
    rows = []
    for name, (analysis, column, usual, other) in ALTERNATIVES.items():
        here = frame["analysis"].isin((analysis, analysis + OVER_SEEDS))
        replaced, instead = here & (frame[column] == usual), here & (frame[column] == other)
        if not (replaced.any() and instead.any()):
            continue
        swapped = frame.copy()
        swapped.loc[instead, column] = usual
        if other == "micro_f1_top":  # one number per task, as the mix has
            swapped.loc[instead, "layer"] = pd.NA
        contrast = _CONTRASTS.get(analysis, "")
        swapped = swapped[~replaced & ~frame["analysis"].isin((contrast, contrast + OVER_SEEDS))]
        claims = [c for c in CLAIMS if analysis in c.needs and c.id not in _OF_ONE_CONTROL]
        before, after = judge({"all": frame}, claims), judge({"all": swapped}, claims)
        for old, new in zip(before.itertuples(), after.itertuples(), strict=True):
            rows.append(dict(measured=name, id=old.id, as_judged=old.verdict, instead=new.verdict))
    return pd.DataFrame(rows, columns=["measured", "id", "as_judged", "instead"])


@functools.cache
def _paper() -> Run:
    return Run(paper.tables())


# -- one claim -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Judgement:
    verdict: str
    why: str
    seeds: list[int | None] = dataclasses.field(default_factory=list)  # that the run was read for
    n_seeds: int = 0
    n_comparisons: int = 0
    by_model: dict[str, str] = dataclasses.field(default_factory=dict)


def _judged(claim: Claim, run: Run) -> _Judgement:
    lacking = [name for name in claim.needs if name not in run.analyses]
    if lacking:
        return _Judgement(NOT_TESTED, f"this run has no table {' or '.join(lacking)}")
    seeds, n_seeds = _seeds_of(claim, run)
    try:
        by_seed = [{c.label: c for c in claim.comparisons(run.of_seed(seed))} for seed in seeds]
    except Lacking as error:
        return _Judgement(NOT_TESTED, str(error))
    everywhere = [label for label in by_seed[0] if all(label in of_seed for of_seed in by_seed)]
    comparisons = [_pooled([of_seed[label] for of_seed in by_seed]) for label in everywhere]
    concerned = [model for model in MODELS if any(model in c.models for c in comparisons)]
    if claim.of_depth and (idle := run.idle_blocks()):
        why = f"{len(idle)} of {run.last + 1} blocks of Base do next to nothing: {', '.join(map(str, idle))}"
        return _Judgement(NOT_TESTABLE, why, seeds, n_seeds, 0, dict.fromkeys(concerned, NOT_TESTABLE))
    unlearnt = _unlearnt(claim, run, seeds)
    comparisons = [_opened(c) if unlearnt.keys() & c.models else c for c in comparisons]
    if n_seeds == 1 and seeds != [None]:
        comparisons = [_of_one_seed(c) for c in comparisons]
    by_model = {
        model: _decided(claim, [c for c in comparisons if model in c.models], unlearnt)[0]
        for model in concerned
    }
    whole, why = _decided(claim, comparisons, unlearnt)
    n = 0 if whole == NOT_TESTABLE else len(comparisons)
    return _Judgement(whole, why, seeds, n_seeds, n, by_model)


def _decided(claim: Claim, comparisons: list[Comparison], unlearnt: Mapping[str, str]) -> tuple[str, str]:
    """Verdict and reason by these comparisons, of which some may be of models that decide nothing."""
    models = {model for c in comparisons for model in c.models}
    reasons = "; ".join(reason for model, reason in unlearnt.items() if model in models)
    if all(unlearnt.keys() & c.models for c in comparisons):
        return NOT_TESTABLE, reasons
    fails = failing(comparisons)
    groups: dict[str, list[tuple[Comparison, bool]]] = {}
    for comparison, failed in zip(comparisons, fails, strict=True):
        groups.setdefault(comparison.group, []).append((comparison, failed))
    verdicts = {name: verdict(*zip(*members, strict=True)) for name, members in groups.items()}
    whole = next((v for v in (CONTRADICTED, INCONCLUSIVE) if v in verdicts.values()), SUPPORTED)
    deciding = next(name for name, of_group in verdicts.items() if of_group == whole)
    why = (f"{deciding}: " if deciding else "") + _why(claim, groups[deciding], unlearnt)
    return whole, f"{why}; {reasons}" if reasons else why


def _seeds_of(claim: Claim, run: Run) -> tuple[list[int | None], int]:
    """Which seeds to read the run for, and how many there are.

    [ALL] where the claim's tables have numbers over all seeds, with what these know of errors in common; else
    the seeds that all of them have, whose numbers are then pooled; [None] where seeds are not told apart. Of
    the models' own scores a claim on ablations needs the baselines only.
    """
    sets = {name: run.seeds[name] for name in claim.needs if run.seeds.get(name)}
    own = {name: seeds for name, seeds in sets.items() if name != "finetuning"} or sets
    if claim.across_seeds or not sets:
        return [None], 1
    if set(own) <= run.pooled:
        return [ALL], min(map(len, own.values()))
    common = sorted(set.intersection(*sets.values()))
    return ([*common], len(common)) if common else ([None], 1)


def _unlearnt(claim: Claim, run: Run, seeds: list[int | None]) -> dict[str, str]:
    """Those of the models a claim rests on that have not learnt their tasks, and why one thinks so."""
    ablations = [name for name in claim.needs if name in ("partial_freezing", "truncation")]
    analysis = ablations[0] if ablations else "finetuning"
    known = run.seeds.get(analysis, set())
    own = [seed for seed in seeds if seed in known] or sorted(known) or seeds
    own = [ALL] if analysis in run.pooled else own
    reasons = {model: run.unlearnt(model, analysis, own) for model in claim.rests_on}
    return {model: reason for model, reason in reasons.items() if reason}


def _pooled(same: list[Comparison]) -> Comparison:
    """One comparison over seeds, its interval of seeds and sentences."""
    return dataclasses.replace(same[0], number=over_seeds([c.number for c in same]))


def _opened(comparison: Comparison) -> Comparison:
    """The comparison left open."""
    return dataclasses.replace(comparison, number=Number(comparison.number.value, math.nan, math.nan))


def _of_one_seed(comparison: Comparison) -> Comparison:
    """A comparison of a single fine-tuning seed, which cannot fail: another seed may not repeat it."""
    if not comparison.p_value < LEVEL:
        return comparison
    return _opened(dataclasses.replace(comparison, label=f"{comparison.label} (one seed)"))


def _margin(comparison: Comparison) -> float:
    return -math.inf if math.isnan(comparison.margin) else comparison.margin


def _why(claim: Claim, group: list[tuple[Comparison, bool]], unlearnt: Mapping[str, str]) -> str:
    """How many comparisons hold and fail, and the one that decides or, of models that can, comes closest."""
    comparisons = [c for c, _ in group]
    n = len(comparisons)
    fail = [c for c, failed in group if failed]
    hold = [c for c in comparisons if c.holds]
    if n == 1:
        counted = "holds" if hold else "fails" if fail else "undecided"
    else:
        undecided = n - len(hold) - len(fail)
        counted = (
            f"{len(hold)} of {n} hold, {len(fail)} {'fails' if len(fail) == 1 else 'fail'}, {undecided} "
        )
        counted += "is undecided" if undecided == 1 else "are undecided"
    able = [c for c in comparisons if not unlearnt.keys() & c.models]
    which, name = (fail, "clearest failure") if fail else (able or comparisons, "closest")
    decisive = min(which, key=_margin)
    number = decisive.number.text(points=claim.points, signed=claim.signed)
    return f"{counted}; {name}: {decisive.label} {number}"


def _shown(claim: Claim, run: Run, seeds: list[int | None]) -> Pairs:
    """A claim's numbers over all seeds, where the run has them; of the first seed if each has others."""
    if not seeds or not set(claim.needs) <= run.analyses:
        return []
    try:
        by_seed = [claim.shows(run.of_seed(seed)) for seed in seeds]
    except Lacking:
        return []
    if any([label for label, _ in pairs] != [label for label, _ in by_seed[0]] for pairs in by_seed):
        return by_seed[0]
    return [(same[0][0], over_seeds([number for _, number in same])) for same in zip(*by_seed, strict=True)]


def _text(claim: Claim, pairs: Pairs, interval: bool = True) -> str:
    form = dict(points=claim.points, signed=claim.signed, interval=interval)
    return "; ".join(f"{label} {number.text(**form)}" for label, number in pairs)
