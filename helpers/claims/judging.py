"""Judging the claims by a run's tables: verdicts, their reasons, and whether they depend on the measure."""

import dataclasses
import functools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from helpers import results
from helpers.claims import paper
from helpers.claims.claims import CLAIMS, Claim, Pairs
from helpers.claims.numbers import Comparison, Number
from helpers.claims.run import Lacking, Run

SUPPORTED, CONTRADICTED = "supported", "contradicted"
INCONCLUSIVE, NOT_TESTED = "inconclusive", "not tested here"

# name -> (analysis, column, what the paper has there, what is put in its place)
ALTERNATIVES = {
    "RSA, features centred": ("rsa", "metric", "rsa_pearson", "rsa_pearson_centred"),
    "RSA, features z-scored": ("rsa", "metric", "rsa_pearson", "rsa_pearson_z_scored"),
    "edge probes on the top layer": ("edge_probing_delta", "metric", "micro_f1", "micro_f1_top"),
    "frozen layers, head's own rate": ("partial_freezing", "inputs", "one_rate", "tuned_head"),
    "texts of equal format and length": ("out_of_domain_gap", "inputs", "raw", "format"),
    "and of equal word types": ("out_of_domain_gap", "inputs", "raw", "types"),
}
_OF_ONE_CONTROL = ("domain-single", "domain-content")  # claims that no alternative bears on


def verdict(comparisons: Collection[Comparison]) -> str:
    """The verdict on one group of comparisons (:mod:`helpers.claims` has the rule)."""
    n, fail, hold = len(comparisons), sum(c.fails for c in comparisons), sum(c.holds for c in comparisons)
    if 10 * fail > n:
        return CONTRADICTED
    return SUPPORTED if fail == 0 and 10 * hold >= 9 * n else INCONCLUSIVE


def judge(tables: Mapping[str, pd.DataFrame], claims: Iterable[Claim] | None = None) -> pd.DataFrame:
    """The verdict on each claim, from a run's tables of results (see :class:`.run.Run`).

    Returns one row per claim: ``id, claim, where, rule``; ``paper``, its numbers, and ``by_rule``, the rule's
    verdict on those ("no numbers" where it prints none); ``ours, verdict, why``, ``effect`` (the first
    number of ours), ``seeds`` and ``comparisons`` (how many were judged). Raises ValueError if the tables
    are empty.
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
                "why": ours.why,
                "effect": shown[0][1].value if shown else math.nan,
                "seeds": len(ours.seeds),
                "comparisons": ours.n_comparisons,
            }
        )
    return pd.DataFrame(rows)


def alternatives(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Whether verdicts depend on how a thing is measured: ``measured, id, as_in_paper, instead``.

    For each of :data:`ALTERNATIVES` that the run has, the claims that it bears on, with the verdict on the
    measure that the paper took and the one on the alternative.
    """
    frame = pd.concat([t[results.COLUMNS] for t in tables.values() if len(t)], ignore_index=True)
    rows = []
    for name, (analysis, column, usual, other) in ALTERNATIVES.items():
        here = frame["analysis"] == analysis
        replaced, instead = here & (frame[column] == usual), here & (frame[column] == other)
        if not instead.any():
            continue
        swapped = frame.copy()
        swapped.loc[instead, column] = usual
        if other == "micro_f1_top":  # one number per task, as the mix has
            swapped.loc[instead, "layer"] = pd.NA
        claims = [c for c in CLAIMS if analysis in c.needs and c.id not in _OF_ONE_CONTROL]
        before, after = judge({"all": frame}, claims), judge({"all": swapped[~replaced]}, claims)
        for old, new in zip(before.itertuples(), after.itertuples(), strict=True):
            rows.append(dict(measured=name, id=old.id, as_in_paper=old.verdict, instead=new.verdict))
    return pd.DataFrame(rows, columns=["measured", "id", "as_in_paper", "instead"])


@functools.cache
def _paper() -> Run:
    return Run(paper.tables())


# -- one claim -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Judgement:
    verdict: str
    why: str
    seeds: list[int | None] = dataclasses.field(default_factory=list)  # that were judged
    n_comparisons: int = 0


def _judged(claim: Claim, run: Run) -> _Judgement:
    lacking = [name for name in claim.needs if name not in run.analyses]
    if lacking:
        return _Judgement(NOT_TESTED, f"this run has no table {' or '.join(lacking)}")
    seeds = _seeds_of(claim, run)
    try:
        by_seed = [{c.label: c for c in claim.comparisons(run.of_seed(seed))} for seed in seeds]
    except Lacking as error:
        return _Judgement(NOT_TESTED, str(error))
    unlearnt = [_unlearnt(claim, run, seed) for seed in seeds]
    by_seed = [
        {c.label: _opened(c) if reasons.keys() & c.models else c for c in of_seed.values()}
        for of_seed, reasons in zip(by_seed, unlearnt, strict=True)
    ]
    everywhere = [label for label in by_seed[0] if all(label in of_seed for of_seed in by_seed)]
    agreed = [_agreed([of_seed[label] for of_seed in by_seed]) for label in everywhere]
    # The first seed's reason for each model, in the claim's order.
    first = {model: reason for reasons in reversed(unlearnt) for model, reason in reasons.items()}
    reasons = "; ".join(first[model] for model in claim.rests_on if model in first)
    if all(first.keys() & c.models for c in agreed):
        return _Judgement(INCONCLUSIVE, reasons, seeds)
    groups = {c.group: [x for x in agreed if x.group == c.group] for c in agreed}
    verdicts = {name: verdict(members) for name, members in groups.items()}
    whole = next((v for v in (CONTRADICTED, INCONCLUSIVE) if v in verdicts.values()), SUPPORTED)
    deciding = next(name for name, of_group in verdicts.items() if of_group == whole)
    why = (f"{deciding}: " if deciding else "") + _why(claim, groups[deciding], first)
    return _Judgement(whole, f"{why}; {reasons}" if reasons else why, seeds, len(agreed))


def _seeds_of(claim: Claim, run: Run) -> list[int | None]:
    """The fine-tuning seeds that all of a claim's tables have; [None] where seeds are not told apart."""
    sets = [run.seeds[name] for name in claim.needs if run.seeds.get(name)]
    common = sorted(set.intersection(*sets)) if sets else []
    return [None] if claim.across_seeds or not common else [*common]


def _unlearnt(claim: Claim, run: Run, seed: int | None) -> dict[str, str]:
    """Those of the models a claim rests on that have not learnt their tasks, and why one thinks so."""
    ablations = [name for name in claim.needs if name in ("partial_freezing", "truncation")]
    analysis = ablations[0] if ablations else "finetuning"
    seeds = sorted(run.seeds.get(analysis, ())) if seed is None else []
    runs = [run.of_seed(one) for one in seeds] or [run.of_seed(seed)]
    reasons = {model: [one.unlearnt(model, analysis) for one in runs] for model in claim.rests_on}
    return {model: next(filter(None, of_model)) for model, of_model in reasons.items() if any(of_model)}


def _opened(comparison: Comparison) -> Comparison:
    """The comparison left open."""
    return dataclasses.replace(comparison, number=Number(comparison.number.value, math.nan, math.nan))


def _margin(comparison: Comparison) -> float:
    return -math.inf if math.isnan(comparison.margin) else comparison.margin


def _agreed(same: list[Comparison]) -> Comparison:
    """One comparison over seeds: the least decided of them, open where the seeds disagree."""
    worst = min(same, key=_margin)
    if all(c.fails for c in same) or len(same) == 1 or not worst.fails:
        return worst
    return _opened(dataclasses.replace(worst, label=f"{worst.label} (seeds differ)"))


def _why(claim: Claim, comparisons: list[Comparison], unlearnt: Mapping[str, str]) -> str:
    """How many comparisons hold and fail, and the one that decides or, of models that can, comes closest."""
    n = len(comparisons)
    fail = [c for c in comparisons if c.fails]
    hold = [c for c in comparisons if c.holds]
    if n == 1:
        counted = "holds" if hold else "fails" if fail else "open"
    else:
        counted = f"{len(hold)} of {n} hold, {len(fail)} fail, {n - len(hold) - len(fail)} open"
    able = [c for c in comparisons if not unlearnt.keys() & c.models]
    which, name = (fail, "clearest failure") if fail else (able or comparisons, "closest")
    decisive = min(which, key=_margin)
    number = decisive.number.text(points=claim.points, signed=claim.signed)
    return f"{counted}; {name}: {decisive.label} {number}"


def _shown(claim: Claim, run: Run, seeds: list[int | None]) -> Pairs:
    """A claim's numbers for the first seed, where the run has them."""
    if not seeds or not set(claim.needs) <= run.analyses:
        return []
    try:
        return claim.shows(run.of_seed(seeds[0]))
    except Lacking:
        return []


def _text(claim: Claim, pairs: Pairs, interval: bool = True) -> str:
    form = dict(points=claim.points, signed=claim.signed, interval=interval)
    return "; ".join(f"{label} {number.text(**form)}" for label, number in pairs)
