"""What the paper claims, and by which rule a run's tables support or contradict it.

A claim is data: what it says, where, the tables it needs, and its comparisons. Each comparison is a number
with a 95 % interval and a bound. It holds if the whole interval lies on the bound's right side, fails if it
lies on the other, and is open otherwise. Of a claim's comparisons (:func:`verdict`)

- nine in ten hold and none fails: supported;
- more than one in ten fail: contradicted;
- anything else: inconclusive.

With fewer than ten comparisons that asks for all of them, and lets one that fails contradict. A claim of
several parts has its comparisons in groups: it is supported if each of them is, contradicted if one is. With
several fine-tuning seeds a comparison holds (fails) if it does for each of them. One of a model that has not
learnt its task (:meth:`Run.unable`) is open. A claim for which the run lacks a table, a layer or a model is
not tested. The same rules run on the paper's own numbers (:func:`paper_tables`).
"""

import copy
import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
from pandas.io.formats.style import Styler

from helpers import results
from helpers.profiles import MODELS

SUPPORTED, CONTRADICTED = "supported", "contradicted"
INCONCLUSIVE, NOT_TESTED = "inconclusive", "not tested here"
MARKS = {SUPPORTED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "?", NOT_TESTED: "–"}
COLOURS = {SUPPORTED: "#cfe8dc", CONTRADICTED: "#f9d5c4", INCONCLUSIVE: "#ececec"}
HEADLINE = {"Dep": "las", "NLI": "accuracy", "QA": "f1"}
SYNTACTIC = ("POS", "Constituents", "Dependencies", "SRL")
SEMANTIC = ("Entities", "Coreference", "SPR", "Relations")
_TASKS = {"SPR1": "SPR", "SPR2": "SPR"}  # two corpora of one kind of labels
STRUCTURAL = {
    "uuas": "UUAS",
    "distance_spearman": "distance Spearman",
    "root_acc": "root accuracy",
    "depth_spearman": "depth Spearman",
}
LAST = 11  # the layers that the claims name are those of an encoder of twelve blocks
BASELINES = ("Lexical", "Random")


class Lacking(LookupError):
    """The run has no number that a claim needs; the message says which."""


# -- numbers with intervals --------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A value and its 95 % interval; without one the interval is NaN, and no comparison is decided."""

    value: float
    low: float
    high: float

    def __sub__(self, other: "Number") -> "Number":
        """Difference of two estimates, with the interval of Zou and Donner (2008; "MOVER").

        It takes the two as independent. Estimates on the same sentences mostly err alike, and then it is
        too wide rather than too narrow.
        """
        value = self.value - other.value
        low = value - math.hypot(self.value - self.low, other.high - other.value)
        high = value + math.hypot(self.high - self.value, other.value - other.low)
        return Number(value, low, high)

    def __mul__(self, factor: float) -> "Number":
        ends = sorted((self.low * factor, self.high * factor))
        return Number(self.value * factor, *ends)

    def __truediv__(self, other: "Number") -> "Number":
        """Ratio of two independent estimates, of which the other lies clear of 0: errors to first order."""
        value = self.value / other.value
        parts = (other.high - other.value, other.value - other.low)
        own = [abs(value) * part / abs(other.value) for part in (parts if value > 0 else parts[::-1])]
        ends = sorted(((self.low - self.value) / other.value, (self.high - self.value) / other.value))
        return Number(value, value - math.hypot(ends[0], own[0]), value + math.hypot(ends[1], own[1]))


def exactly(value: float) -> Number:
    """A number that is known."""
    return Number(value, value, value)


def mean(numbers: Iterable[Number]) -> Number:
    """Mean of estimates. Its interval is right if they err alike and too wide if they do not."""
    parts = [(n.value, n.low, n.high) for n in numbers]
    return Number(*(sum(part) / len(parts) for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Comparison:
    """A number that the claim puts between two bounds. ``group``: comparisons judged together."""

    label: str
    number: Number
    above: float = -math.inf
    below: float = math.inf
    group: str = ""

    def models(self, rests_on: Iterable[str]) -> set[str]:
        """Those of the models that the number is of: the ones its label names, all of them if none."""
        named = set(rests_on) & set(re.findall(r"\w+", self.label))
        return named or set(rests_on)

    @property
    def margin(self) -> float:
        """How far the interval is inside the bounds: below 0 where part of it is outside, NaN without one."""
        return min(self.number.low - self.above, self.below - self.number.high)

    @property
    def holds(self) -> bool:
        return self.margin > 0

    @property
    def fails(self) -> bool:
        return self.number.high < self.above or self.number.low > self.below


def spelled(number: Number, points: bool = False, signed: bool = False, interval: bool = True) -> str:
    """A number as text: fractions with two digits, or points (percent) with one."""
    digits, scale = (1, 100) if points else (2, 1)

    def one(value: float) -> str:
        text = f"{value * scale:{'+' if signed else ''}.{digits}f}"
        return (f"{0:.{digits}f}" if float(text) == 0 else text).replace("-", "−")

    if not interval or math.isnan(number.low):
        return one(number.value)
    return f"{one(number.value)} [{one(number.low)}, {one(number.high)}]"


def told(frame: pd.DataFrame, points: bool = False, signed: bool = False) -> list[str]:
    """The rows' ``value, ci_low, ci_high`` as text."""
    numbers = frame[["value", "ci_low", "ci_high"]].to_numpy(dtype=float)
    return [spelled(Number(*row), points=points, signed=signed) for row in numbers]


# -- tables ------------------------------------------------------------------------------------------


class Run:
    """The numbers of one run, looked up by what they are of, for one fine-tuning seed at a time."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]):
        frames = [frame[results.COLUMNS] for frame in tables.values() if len(frame)]
        if not frames:
            raise ValueError("no results to judge: all tables are empty")
        self._numbers: dict[tuple, Number] = {}
        self.analyses: set[str] = set()
        self.seeds: dict[str, set[int]] = {}  # of the tuned models, by analysis
        self.seed: int | None = None  # that is looked at
        for row in pd.concat(frames, ignore_index=True).itertuples(index=False):
            seed = int(row.seed) if row.model in MODELS and not pd.isna(row.seed) else None
            inputs = "" if pd.isna(row.inputs) else _TASKS.get(row.inputs, row.inputs)
            layer = None if pd.isna(row.layer) else int(row.layer)
            model = "" if pd.isna(row.model) else row.model
            key = (row.analysis, row.metric, model, inputs, layer, seed)
            self._numbers.setdefault(key, Number(float(row.value), float(row.ci_low), float(row.ci_high)))
            self.analyses.add(row.analysis)
            if seed is not None:
                self.seeds.setdefault(row.analysis, set()).add(seed)

    def of_seed(self, seed: int | None) -> "Run":
        """The same run, looked at for one fine-tuning seed."""
        other = copy.copy(self)
        other.seed = seed
        return other

    def get(
        self, analysis: str, metric: str, model: str, inputs: str = "", layer: int | None = None
    ) -> Number:
        """The number of this seed, or of none (untuned models have none). Raises :class:`Lacking`."""
        for seed in (self.seed, None):
            found = self._numbers.get((analysis, metric, model, inputs, layer, seed))
            if found is not None:
                return found
        where = "" if layer is None else f" at layer {layer}"
        raise Lacking(f"no {metric} of {model}{f' on {inputs}' if inputs else ''}{where} in {analysis}")

    def has(self, *key) -> bool:
        """Whether :meth:`get` finds it."""
        try:
            self.get(*key)
        except Lacking:
            return False
        return True

    def inputs(self, analysis: str, metric: str, model: str) -> list[str]:
        """The ``inputs`` for which there are numbers of this seed, or of none."""
        found = {
            key[3]: None
            for key in self._numbers
            if key[:3] == (analysis, metric, model) and key[5] in (self.seed, None)
        }
        return list(found)

    # What several claims read.

    def trivial(self, model: str) -> tuple[str, Number]:
        """The best score on a model's task of what has not learnt it: name and number.

        An untrained head, rules that read nothing, and those that see only words or a part of the input
        (:mod:`helpers.corpora.baselines`), as far as the run has them.
        """
        rules = [
            (name, self.get(analysis, HEADLINE[model], model, name))
            for analysis in ("finetuning", "corpus_baselines")
            for name in self.inputs(analysis, HEADLINE[model], model)
            if name != "in_domain"
        ]
        name, best = max(rules, key=lambda rule: rule[1].value, default=("nothing", exactly(0.0)))
        return name, exactly(best.value)

    def whole(self, analysis: str, model: str) -> Number:
        """A model's score on its task: as fine-tuned, or in an ablation that of its size without any."""
        metric, full = HEADLINE[model], -1 if analysis == "partial_freezing" else LAST
        if analysis == "finetuning":
            return self.get(analysis, metric, model, "in_domain")
        return self.get(analysis, metric, model, self.rate(analysis, model, full), full)

    def rate(self, analysis: str, model: str, layer: int) -> str:
        """The ``inputs`` of an ablation's row: the one rate of a frozen encoder, else nothing."""
        return "one_rate" if self.has(analysis, HEADLINE[model], model, "one_rate", layer) else ""

    def gain(self, model: str, analysis: str = "finetuning") -> Number:
        """A model's :meth:`whole` score less the best trivial one."""
        return self.whole(analysis, model) - self.trivial(model)[1]

    def edge(self, model: str, task: str) -> Number:
        return self.get("edge_probing_delta", "micro_f1", model, task)

    def edge_tasks(self, model: str, tasks: Iterable[str]) -> list[str]:
        """Those of the probing tasks that were run. Raises :class:`Lacking` if none was."""
        tasks = list(tasks)
        found = [t for t in tasks if self.has("edge_probing_delta", "micro_f1", model, t)]
        if not found:
            raise Lacking(f"no edge probes of {model} on {', '.join(tasks)}")
        return found

    def structure(self, model: str, metric: str, layer: int) -> Number:
        return self.get("structural_probe_delta", metric, model, "", layer)

    def rsa(self, model: str, layer: int) -> Number:
        self.get("rsa", "rsa_pearson", model, "wikipedia", LAST)  # twelve layers, or no layer is meant
        return self.get("rsa", "rsa_pearson", model, "wikipedia", layer)

    def unable(self, model: str, analysis: str) -> str:
        """Why an analysis of a model can decide nothing; empty if it can, or if the run does not tell.

        The model has not learnt its task: its score, in an ablation that with nothing ablated, does not lie
        clear of the trivial one.
        """
        try:
            score = self.whole(analysis, model)
        except Lacking:
            return ""
        name, trivial = self.trivial(model)
        if not score.low <= trivial.value:
            return ""
        ablated = "" if analysis == "finetuning" else " with nothing ablated"
        least = spelled(trivial, points=True, interval=False)
        told = f"{HEADLINE[model]} {spelled(score, points=True)}, {name.replace('_', ' ')} {least}"
        return f"{model}{ablated} has not learnt its task ({told})"

    def loss(self, analysis: str, model: str, layer: int) -> Number:
        """Score without an ablation less the score with it."""
        rate = self.rate(analysis, model, layer)
        return self.whole(analysis, model) - self.get(analysis, HEADLINE[model], model, rate, layer)

    def share_lost(self, analysis: str, model: str, layer: int) -> Number:
        """:meth:`loss` as a share of what the model gains over the trivial score."""
        gain = self.gain(model, analysis)
        return self.loss(analysis, model, layer) / gain if gain.value > 0 else Number(*[math.nan] * 3)

    def run_layers(self, analysis: str, model: str, layers: Iterable[int]) -> list[int]:
        """Those of the layers that an ablation was run at. Raises :class:`Lacking` if none was."""
        layers, metric = list(layers), HEADLINE[model]
        found = [
            k
            for k in layers
            if self.has(analysis, metric, model, "one_rate", k) or self.has(analysis, metric, model, "", k)
        ]
        if not found:
            raise Lacking(f"{analysis} of {model} was run at none of the layers {layers[0]} to {layers[-1]}")
        return found

    def domain_gap(self, model: str, control: str, layer: int) -> Number:
        return self.get("out_of_domain_gap", "rsa_gap", model, control, layer)


# -- claims ------------------------------------------------------------------------------------------

# Of the gain over the trivial score: what 5 points are of the paper's, rounded.
NOTABLE = {"NLI": 0.10, "QA": 0.06}
SMALL = 0.03  # of a change in a probe's F1
COLLAPSED = 0.4  # RSA
BASE_LIKE = 0.9  # RSA
Pairs = list[tuple[str, Number]]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, in our words, with the rule that decides it."""

    id: str
    says: str
    where: str  # section and figure or table of the paper
    needs: tuple[str, ...]  # analyses, as named in the results
    rests_on: tuple[str, ...]  # models whose comparisons are open if they have not learnt their tasks
    rule: str  # what the comparisons are, in words
    comparisons: Callable[[Run], Iterator[Comparison]]
    shows: Callable[[Run], Pairs]  # the numbers to put beside the paper's
    points: bool = False  # whether they are written as points
    signed: bool = False
    across_seeds: bool = False  # whether the comparisons themselves look at all seeds


CLAIMS: list[Claim] = []


def _claim(id: str, says: str, where: str, needs: str, rests_on: str, rule: str, shows, **form) -> Callable:
    def add(comparisons: Callable[[Run], Iterator[Comparison]]):
        claim = Claim(
            id, says, where, tuple(needs.split()), tuple(rests_on.split()), rule, comparisons, shows, **form
        )
        CLAIMS.append(claim)
        return comparisons

    return add


def _scores(run: Run) -> Pairs:
    return [(m, run.get("finetuning", HEADLINE[m], m, "in_domain")) for m in MODELS]


@_claim(
    "tasks-learned",
    "Fine-tuned BERT is good at all three tasks",
    "Section 3",
    "finetuning",
    "",
    "Each model's score is more than 10 points above the best of what has not learnt the task: an "
    "untrained head, a rule that reads nothing and, where run, classifiers of words or of part of the input.",
    _scores,
    points=True,
)
def _tasks_learned(run: Run):
    for model in MODELS:
        yield Comparison(f"{model} less the trivial score", run.gain(model), above=0.1)


def _largest_edge_changes(run: Run) -> Pairs:
    found = []
    for model in ("NLI", "QA"):
        changes = {t: run.edge(model, t) for t in run.edge_tasks(model, SYNTACTIC + SEMANTIC)}
        task = max(changes, key=lambda t: abs(changes[t].value))
        found.append((f"largest of {model} ({task})", changes[task]))
    gaps = [(b, t) for b in BASELINES for t in run.edge_tasks(b, SYNTACTIC + SEMANTIC)]
    gaps = [gap for gap in gaps if run.edge(*gap).high < 0]
    for model, task in sorted(gaps, key=lambda gap: -run.edge(*gap).value)[:1]:
        found.append((f"smallest baseline gap ({model}, {task})", run.edge(model, task)))
    return found


@_claim(
    "edge-small",
    "Fine-tuning on NLI or QA hardly changes what edge probes find: by less than 3 points, far less "
    "than what the baselines lack, so nothing is forgotten catastrophically",
    "Section 4, Table 1",
    "edge_probing_delta",
    "NLI QA",
    "For NLI and QA and each probing task: the change in F1 lies within ±3 points; and a loss is "
    "less than half of what the lexical and the random baseline lose, where they lose anything.",
    _largest_edge_changes,
    points=True,
    signed=True,
)
def _edge_small(run: Run):
    for model in ("NLI", "QA"):
        for task in run.edge_tasks(model, SYNTACTIC + SEMANTIC):
            change = run.edge(model, task)
            yield Comparison(f"{model} {task}", change, above=-SMALL, below=SMALL, group="within 3 points")
            for baseline in BASELINES:
                if not run.edge(baseline, task).high < 0:
                    continue  # a probe that needs nothing of Base cannot show what was forgotten
                less = change - run.edge(baseline, task) * 0.5
                label = f"{model} {task} less half of {baseline}"
                yield Comparison(label, less, above=0, group="far from the baselines")


def _edge_mean(run: Run, model: str, tasks: Iterable[str]) -> Number:
    return mean(run.edge(model, task) for task in run.edge_tasks(model, tasks))


@_claim(
    "edge-syntax",
    "What NLI and QA do lose is mostly syntactic",
    "Section 4, Table 1",
    "edge_probing_delta",
    "NLI QA",
    "For NLI and for QA: the mean change on POS, constituents, dependencies and SRL is below the "
    "mean change on entities, coreference, SPR and relations (those of them that were probed).",
    lambda run: [
        (f"{m}, {name}", _edge_mean(run, m, tasks))
        for m in ("NLI", "QA")
        for name, tasks in (("syntactic", SYNTACTIC), ("other", SEMANTIC))
    ],
    points=True,
    signed=True,
)
def _edge_syntax(run: Run):
    for model in ("NLI", "QA"):
        less = _edge_mean(run, model, SYNTACTIC) - _edge_mean(run, model, SEMANTIC)
        yield Comparison(f"{model}: syntactic less other", less, below=0)


@_claim(
    "edge-dep-constituents",
    "Training a parser makes constituents easier to probe",
    "Section 4, Table 1",
    "edge_probing_delta",
    "Dep",
    "Dep's change on constituents lies above 0.",
    lambda run: [("Dep", run.edge("Dep", "Constituents"))],
    points=True,
    signed=True,
)
def _edge_dep_constituents(run: Run):
    yield Comparison("Dep Constituents", run.edge("Dep", "Constituents"), above=0)


_LOWERED = ("Coreference", "SPR", "Relations")


@_claim(
    "edge-dep-semantics",
    "The parser pays for it in coreference, proto-roles and relations",
    "Section 4, Table 1",
    "edge_probing_delta",
    "Dep",
    "Dep's changes on coreference, SPR and relations lie below 0 (those of them that were probed; SPR2 "
    "for SPR1).",
    lambda run: [(t, run.edge("Dep", t)) for t in run.edge_tasks("Dep", _LOWERED)],
    points=True,
    signed=True,
)
def _edge_dep_semantics(run: Run):
    for task in run.edge_tasks("Dep", _LOWERED):
        yield Comparison(f"Dep {task}", run.edge("Dep", task), below=0)


@_claim(
    "structure-dep",
    "Training a parser makes trees easier to read off the layers, from layer 5 on and by all four measures",
    "Section 4, Figure 1",
    "structural_probe_delta",
    "Dep",
    "Dep less Base lies above 0 at layers 5 to 11 in UUAS, root accuracy and both Spearman correlations.",
    lambda run: [
        (f"{STRUCTURAL[m]} at {k}", run.structure("Dep", m, k))
        for k in (5, LAST)
        for m in ("uuas", "distance_spearman")
    ],
    signed=True,
)
def _structure_dep(run: Run):
    for metric in STRUCTURAL:
        for layer in range(5, LAST + 1):
            label = f"{STRUCTURAL[metric]} at {layer}"
            yield Comparison(label, run.structure("Dep", metric, layer), above=0)


@_claim(
    "structure-last",
    "NLI and QA lose tree structure, above all at the last layer",
    "Section 4, Figure 1",
    "structural_probe_delta",
    "NLI QA",
    "For NLI and QA at layer 11: the change lies below 0 in all four measures; and in UUAS it lies "
    "below the mean change of layers 0 to 7.",
    lambda run: [(f"{m} UUAS at {k}", run.structure(m, "uuas", k)) for m in ("NLI", "QA") for k in (7, LAST)],
    signed=True,
)
def _structure_last(run: Run):
    for model in ("NLI", "QA"):
        for metric in STRUCTURAL:
            label = f"{model} {STRUCTURAL[metric]} at 11"
            yield Comparison(label, run.structure(model, metric, LAST), below=0, group="lost at layer 11")
        lower = mean(run.structure(model, "uuas", k) for k in range(8))
        last = run.structure(model, "uuas", LAST) - lower
        yield Comparison(f"{model} UUAS at 11 less 0 to 7", last, below=0, group="most at layer 11")


_DECODED = (("uuas", "distance_spearman"), ("root_acc", "depth_spearman"))


@_claim(
    "structure-discrete",
    "That loss is larger where a tree or a root is decoded than in rank correlations",
    "Section 4, Figure 1",
    "structural_probe_delta",
    "NLI QA",
    "For NLI and QA at layer 11: the change in UUAS lies below that in distance Spearman, and the "
    "change in root accuracy below that in depth Spearman.",
    lambda run: [
        (f"{m} {STRUCTURAL[x]}", run.structure(m, x, LAST)) for m in ("NLI", "QA") for x in _DECODED[0]
    ],
    signed=True,
)
def _structure_discrete(run: Run):
    for model in ("NLI", "QA"):
        for decoded, ranked in _DECODED:
            less = run.structure(model, decoded, LAST) - run.structure(model, ranked, LAST)
            label = f"{model} {STRUCTURAL[decoded]} less {STRUCTURAL[ranked]}"
            yield Comparison(label, less, below=0)


@_claim(
    "rsa-top",
    "Fine-tuning changes the top layers most",
    "Section 5.1, Figure 2",
    "rsa",
    "Dep NLI QA",
    "For each model RSA falls by more between layers 5 and 11 than up to layer 5, and is lower at "
    "layer 11 than at any other.",
    lambda run: [(f"{m} at {k}", run.rsa(m, k)) for m in MODELS for k in (5, LAST)],
)
def _rsa_top(run: Run):
    for model in MODELS:
        middle, last = run.rsa(model, 5), run.rsa(model, LAST)
        # (1 - middle) - (middle - last), with middle's error counted twice, as it enters twice.
        less = exactly(1.0) - middle * 2 - (last * -1)
        yield Comparison(f"{model}: fall up to 5 less fall after", less, below=0, group="steeper above")
        for layer in range(LAST):
            lower = last - run.rsa(model, layer)
            yield Comparison(f"{model}: 11 less {layer}", lower, below=0, group=f"{model} lowest at the top")


@_claim(
    "rsa-collapse",
    "The last layer keeps little of Base, least of all in QA",
    "Section 5.1, Figure 2",
    "rsa",
    "Dep NLI QA",
    "RSA at layer 11 lies below 0.4 for each model, and QA's below the others'.",
    lambda run: [(m, run.rsa(m, LAST)) for m in MODELS],
)
def _rsa_collapse(run: Run):
    for model in MODELS:
        yield Comparison(f"{model} at 11", run.rsa(model, LAST), below=COLLAPSED)
    for model in ("Dep", "NLI"):
        yield Comparison(f"QA less {model} at 11", run.rsa("QA", LAST) - run.rsa(model, LAST), below=0)


@_claim(
    "rsa-nli-least",
    "NLI changes representations least",
    "Section 5.1, Figure 2",
    "rsa",
    "Dep NLI QA",
    "At layers 8, 9 and 10 NLI's RSA lies above QA's and Dep's.",
    lambda run: [(f"{m} at {k}", run.rsa(m, k)) for k in (8, 10) for m in MODELS],
)
def _rsa_nli_least(run: Run):
    for layer in (8, 9, 10):
        for model in ("Dep", "QA"):
            more = run.rsa("NLI", layer) - run.rsa(model, layer)
            yield Comparison(f"NLI less {model} at {layer}", more, above=0)


@_claim(
    "rsa-qa-steep",
    "QA stays like Base up to layer 7 and then falls away steeply",
    "Section 5.1, Figure 2",
    "rsa",
    "QA",
    "QA's RSA at layer 7 lies above 0.9, and falls more steeply above it, per layer, than below.",
    lambda run: [(f"QA at {k}", run.rsa("QA", k)) for k in (7, 9, LAST)],
)
def _rsa_qa_steep(run: Run):
    seven, last = run.rsa("QA", 7), run.rsa("QA", LAST)
    yield Comparison("QA at 7", seven, above=BASE_LIKE)
    # Per layer: (seven - last) / 4 against (1 - seven) / 8.
    less = exactly(1.0) * 0.125 - seven * 0.375 - (last * -0.25)
    yield Comparison("QA: fall a layer up to 7 less that after", less, below=0)


@_claim(
    "rsa-dep-early",
    "The parser is further from Base than NLI and QA already at layers 4 and 5",
    "Section 5.1, Figure 2",
    "rsa",
    "Dep NLI QA",
    "At layers 4 and 5 Dep's RSA lies below NLI's and QA's.",
    lambda run: [(f"{m} at {k}", run.rsa(m, k)) for k in (4, 5) for m in MODELS],
)
def _rsa_dep_early(run: Run):
    for layer in (4, 5):
        for model in ("NLI", "QA"):
            less = run.rsa("Dep", layer) - run.rsa(model, layer)
            yield Comparison(f"Dep less {model} at {layer}", less, below=0)


def _losses(run: Run, analysis: str, models: Iterable[str], layers: Iterable[int]) -> Pairs:
    return [
        (f"{model} at {k}", run.loss(analysis, model, k))
        for model in models
        for k in run.run_layers(analysis, model, layers)
    ]


_NO_LOSS = " Open for a model that with nothing ablated has not learnt its task: it has nothing to lose."


@_claim(
    "freezing-order",
    "Freezing lower layers costs NLI least and the parser most",
    "Section 5.2, Figure 3",
    "finetuning partial_freezing",
    "Dep NLI QA",
    "Frozen through layers 9 and 10 (those of them that were run), the share of its gain over the "
    "trivial score that a model loses is smaller for NLI than for QA, and for QA than for Dep." + _NO_LOSS,
    lambda run: _losses(run, "partial_freezing", ("NLI", "QA", "Dep"), (9, 10)),
    points=True,
)
def _freezing_order(run: Run):
    for less, more in (("NLI", "QA"), ("QA", "Dep")):
        for k in run.run_layers("partial_freezing", less, (9, 10)):
            lost = [run.share_lost("partial_freezing", m, k) for m in (less, more)]
            yield Comparison(f"{less} less {more}, frozen through {k}", lost[0] - lost[1], below=0)


@_claim(
    "freezing-nli",
    "NLI needs no more than its last layers tuned: it does not suffer until freezing reaches the last two",
    "Section 5.2, Figure 3",
    "finetuning partial_freezing",
    "NLI",
    "Frozen through layer 8 or lower NLI loses less than a tenth of its gain over the trivial score, frozen "
    "through 10 more (layers that were run; 9, where the last two are tuned, can be read either way)."
    + _NO_LOSS,
    lambda run: _losses(run, "partial_freezing", ["NLI"], (7, 8, 10)),
    points=True,
)
def _freezing_nli(run: Run):
    analysis, bound = "partial_freezing", NOTABLE["NLI"]
    yield from _shares_lost(run, analysis, "NLI", range(9), "harmless", below=bound)
    yield from _shares_lost(run, analysis, "NLI", (10,), "harmful", above=bound)


@_claim(
    "freezing-qa",
    "QA suffers when three layers or fewer are tuned",
    "Section 5.2, Figure 3",
    "finetuning partial_freezing",
    "QA",
    "Frozen through layer 7 or lower QA loses less than 6 % of its gain over the trivial score, frozen "
    "through 8 to 10 more (layers that were run)." + _NO_LOSS,
    lambda run: _losses(run, "partial_freezing", ["QA"], (6, 8, 10)),
    points=True,
)
def _freezing_qa(run: Run):
    analysis, bound = "partial_freezing", NOTABLE["QA"]
    yield from _shares_lost(run, analysis, "QA", range(8), "harmless", below=bound)
    yield from _shares_lost(run, analysis, "QA", (8, 9, 10), "harmful", above=bound)


def _shares_lost(run: Run, analysis: str, model: str, layers: Iterable[int], group: str = "", **bound):
    for k in run.run_layers(analysis, model, layers):
        share = run.share_lost(analysis, model, k)
        yield Comparison(f"{model} at {k}, % of its gain", share, group=group, **bound)


@_claim(
    "truncation-six",
    "Seven of the twelve layers are almost enough for NLI and QA",
    "Section 5.2, Figure 4",
    "finetuning truncation",
    "NLI QA",
    "With the output taken at layer 6 or higher (layers that were run) NLI loses less than a tenth of its "
    "gain over the trivial score, and QA less than 6 %." + _NO_LOSS,
    lambda run: _losses(run, "truncation", ("NLI", "QA"), (6, 8)),
    points=True,
)
def _truncation_six(run: Run):
    for model in ("NLI", "QA"):
        yield from _shares_lost(run, "truncation", model, range(6, LAST), below=NOTABLE[model])


@_claim(
    "truncation-dep",
    "The parser needs about ten layers (as the figure reads)",
    "Section 5.2, Figure 4",
    "finetuning truncation",
    "Dep",
    "With the output at layers 5 to 7 Dep loses more than 2 points, at 9 and 10 less (layers that were run)."
    + _NO_LOSS,
    lambda run: _losses(run, "truncation", ["Dep"], (6, 9, 10)),
    points=True,
)
def _truncation_dep(run: Run):
    for k in run.run_layers("truncation", "Dep", (5, 6, 7)):
        yield Comparison(f"Dep at {k}", run.loss("truncation", "Dep", k), above=0.02, group="needed")
    for k in run.run_layers("truncation", "Dep", (9, 10)):
        yield Comparison(f"Dep at {k}", run.loss("truncation", "Dep", k), below=0.02, group="enough")


@_claim(
    "truncation-order",
    "Cutting upper layers off costs the parser more than NLI and QA",
    "Section 5.2, Figure 4",
    "finetuning truncation",
    "Dep NLI QA",
    "With the output at layers 4 to 8 (those of them that were run), the share of its gain over the trivial "
    "score that a model loses is larger for Dep than for NLI and QA. (In the paper, which prints no trivial "
    "scores, the gain counts from 0; from a third for NLI, its NLI would lose about as much as Dep.)"
    + _NO_LOSS,
    lambda run: _losses(run, "truncation", ("NLI", "QA", "Dep"), (6,)),
    points=True,
)
def _truncation_order(run: Run):
    for k in run.run_layers("truncation", "Dep", range(4, 9)):
        for model in ("NLI", "QA"):
            more = run.share_lost("truncation", "Dep", k) - run.share_lost("truncation", model, k)
            yield Comparison(f"Dep less {model} at {k}", more, above=0)


@_claim(
    "truncation-few",
    "Three layers do for NLI and five for QA, with comparable scores",
    "Section 5.2, Figure 4",
    "finetuning truncation",
    "NLI QA",
    "With the output at layer 2 NLI loses less than a tenth of its gain over the trivial score, and QA at "
    "layer 4 less than 6 %." + _NO_LOSS,
    lambda run: [(f"{m} at {k}", run.loss("truncation", m, k)) for m, k in (("NLI", 2), ("QA", 4))],
    points=True,
)
def _truncation_few(run: Run):
    for model, k in (("NLI", 2), ("QA", 4)):
        yield from _shares_lost(run, "truncation", model, [k], below=NOTABLE[model])


@_claim(
    "domain-gap",
    "Representations change more on the task's own text than on Wikipedia",
    "Section 6, Figure 5",
    "out_of_domain_gap",
    "NLI QA",
    "For NLI and QA at layers 1 to 11 RSA in domain lies below RSA on Wikipedia.",
    lambda run: [(f"{m} at {k}", run.domain_gap(m, "raw", k)) for m in ("NLI", "QA") for k in (5, LAST)],
    signed=True,
)
def _domain_gap(run: Run):
    for model in ("NLI", "QA"):
        for layer in range(1, LAST + 1):
            yield Comparison(f"{model} at {layer}", run.domain_gap(model, "raw", layer), below=0)


@_claim(
    "domain-gap-size",
    "At layer 10 that difference is large, above .15 (as the figure reads)",
    "Section 6, Figure 5",
    "out_of_domain_gap",
    "NLI QA",
    "For NLI and QA at layer 10 RSA in domain is more than .15 below RSA on Wikipedia.",
    lambda run: [(f"{m} at 10", run.domain_gap(m, "raw", 10)) for m in ("NLI", "QA")],
    signed=True,
)
def _domain_gap_size(run: Run):
    for model in ("NLI", "QA"):
        yield Comparison(f"{model} at 10", run.domain_gap(model, "raw", 10), below=-0.15)


@_claim(
    "domain-single",
    "The same holds for premises or questions by themselves",
    "Section 6, footnote 7",
    "out_of_domain_gap",
    "NLI QA",
    "For NLI and QA at layers 8 to 10 RSA on single segments lies below RSA on Wikipedia.",
    lambda run: [(f"{m} at 10", run.domain_gap(m, "single", 10)) for m in ("NLI", "QA")],
    signed=True,
)
def _domain_single(run: Run):
    for model in ("NLI", "QA"):
        for layer in (8, 9, 10):
            yield Comparison(f"{model} at {layer}", run.domain_gap(model, "single", layer), below=0)


@_claim(
    "domain-content",
    "The difference is one of domain (the paper's reading; it holds neither format nor length nor "
    "words equal)",
    "Section 6",
    "out_of_domain_gap",
    "NLI QA",
    "For NLI and QA at layers 8 to 10 the difference lies below 0 with format, length and word types "
    "held equal.",
    lambda run: [(f"{m} at 10", run.domain_gap(m, "types", 10)) for m in ("NLI", "QA")],
    signed=True,
)
def _domain_content(run: Run):
    for model in ("NLI", "QA"):
        for layer in (8, 9, 10):
            yield Comparison(f"{model} at {layer}", run.domain_gap(model, "types", layer), below=0)


def _seed_ranges(run: Run) -> Pairs:
    """The largest difference between two seeds' RSA to Base at each upper layer of each model."""
    seeds = sorted(run.seeds.get("rsa", ()))
    if len(seeds) < 2:
        raise Lacking("RSA of one fine-tuning seed only")
    found = []
    for model in MODELS:
        for layer in range(8, LAST + 1):
            values = [run.of_seed(seed).rsa(model, layer) for seed in seeds]
            ordered = sorted(values, key=lambda number: number.value)
            found.append((f"{model} at {layer}", ordered[-1] - ordered[0]))
    return found


@_claim(
    "seeds",
    "The layer curves are alike from run to run (our reading; the paper repeats the pre-training as well)",
    "Sections 3 and 5.1, Figure 2",
    "rsa",
    "Dep NLI QA",
    "At layers 8 to 11 RSA to Base differs by less than .1 between any two fine-tuning seeds of a model.",
    lambda run: sorted(_seed_ranges(run), key=lambda pair: -pair[1].value)[:2],
    across_seeds=True,
)
def _seeds(run: Run):
    for label, difference in _seed_ranges(run):
        yield Comparison(label, difference, below=0.1)


# -- judging -----------------------------------------------------------------------------------------


def verdict(comparisons: list[Comparison]) -> str:
    """The verdict on one group of comparisons (the module's docstring has the rule)."""
    n = len(comparisons)
    fail, hold = (sum(getattr(c, what) for c in comparisons) for what in ("fails", "holds"))
    if 10 * fail > n:
        return CONTRADICTED
    return SUPPORTED if fail == 0 and 10 * hold >= 9 * n else INCONCLUSIVE


def judge(tables: Mapping[str, pd.DataFrame], claims: Iterable[Claim] | None = None) -> pd.DataFrame:
    """The verdict on each claim, from a run's tables of results.

    ``tables`` may be named and divided as they like: their column ``analysis`` tells what is what.
    Returns one row a claim: ``id, claim, where, rule``; ``paper``, its numbers, and ``by_rule``, the rule's
    verdict on those ("no numbers" where it prints none); ``ours, verdict, why``, ``effect`` (the first
    number of ours), ``seeds`` and ``comparisons`` (how many were judged).
    """
    run, printed = Run(tables), _printed()
    rows = []
    for claim in CLAIMS if claims is None else claims:
        by_rule, _, told, _ = _judged(claim, printed)
        found, why, seeds, n_comparisons = _judged(claim, run)
        shown = _shown(claim, run, seeds)
        rows.append(
            dict(id=claim.id, claim=claim.says, where=claim.where, rule=claim.rule)
            | dict(
                paper=_text(claim, _shown(claim, printed, told), interval=False),
                by_rule=by_rule if told else "no numbers",
            )
            | dict(ours=_text(claim, shown), verdict=found, why=why)
            | dict(effect=shown[0][1].value if shown else math.nan, seeds=len(seeds))
            | dict(comparisons=n_comparisons)
        )
    return pd.DataFrame(rows)


@functools.cache
def _printed() -> Run:
    return Run(paper_tables())


def compare(judged: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Verdicts of several runs: one row a claim (index: its id), one column a run, with marks.

    ``judged`` holds for each run what :func:`judge` returns.
    """
    columns = {name: frame.set_index("id")["verdict"] for name, frame in judged.items()}
    frame = pd.DataFrame(columns, index=pd.Index([claim.id for claim in CLAIMS], name="id"))
    return frame.map(marked)


def marked(verdict: str) -> str:
    """A verdict with its symbol, which tells it without colour."""
    return f"{MARKS[verdict]} {verdict}"


def styled(frame: pd.DataFrame) -> Styler:
    """A table for display, with the cells that begin with a verdict's mark in its colour."""

    def look(cell) -> str:
        found = (c for v, c in COLOURS.items() if str(cell).startswith(marked(v)))
        colour = next((f"background-color: {c}; color: black;" for c in found), "")
        return colour + (" white-space: nowrap;" if cell in map(marked, MARKS) else "")

    cells = {"vertical-align": "top", "text-align": "left"}
    # The index is not shown, and Styler takes none with repeated entries.
    shown = frame.reset_index(drop=True).style
    return shown.map(look).set_properties(**cells).hide(axis="index")


def detailed(judged: pd.DataFrame) -> Styler:
    """What :func:`judge` returns, for display: claims, the paper's numbers, ours, verdicts and reasons."""
    lines = {
        "claim": judged["claim"] + "<br><small>" + judged["where"] + "</small>",
        "the paper": judged["paper"].str.replace("; ", "<br>"),
        "ours": judged["ours"].str.replace("; ", "<br>"),
        "verdict": judged["verdict"].map(marked) + "<br><small>" + judged["why"] + "</small>",
    }
    return styled(pd.DataFrame(lines))


def _judged(claim: Claim, run: Run) -> tuple[str, str, list[int | None], int]:
    """Verdict, reason, the seeds that were judged, and how many comparisons."""
    lacking = [name for name in claim.needs if name not in run.analyses]
    if lacking:
        return NOT_TESTED, f"this run has no table {' or '.join(lacking)}", [], 0
    seeds = _seeds_of(claim, run)
    try:
        by_seed = [{c.label: c for c in claim.comparisons(run.of_seed(seed))} for seed in seeds]
    except Lacking as error:
        return NOT_TESTED, str(error), [], 0
    unable = [_unable(claim, run, seed) for seed in seeds]
    for found, reasons in zip(by_seed, unable, strict=True):
        found.update(
            {c.label: _opened(c) for c in found.values() if c.models(claim.rests_on) & reasons.keys()}
        )
    everywhere = [label for label in by_seed[0] if all(label in found for found in by_seed)]
    agreed = [_agreed([found[label] for found in by_seed]) for label in everywhere]
    reasons = {model: reason for reasons in reversed(unable) for model, reason in reasons.items()}
    told = "; ".join(reasons[model] for model in claim.rests_on if model in reasons)
    if all(c.models(claim.rests_on) & reasons.keys() for c in agreed):
        return INCONCLUSIVE, told, seeds, 0
    groups = {c.group: [x for x in agreed if x.group == c.group] for c in agreed}
    verdicts = {name: verdict(members) for name, members in groups.items()}
    found = next((v for v in (CONTRADICTED, INCONCLUSIVE) if v in verdicts.values()), SUPPORTED)
    deciding = next((name for name, verdict in verdicts.items() if verdict == found), "")
    why = _why(claim, groups.get(deciding, agreed), reasons)
    why = f"{deciding}: {why}" if deciding else why
    return found, f"{why}; {told}" if told else why, seeds, len(agreed)


def _seeds_of(claim: Claim, run: Run) -> list[int | None]:
    """The fine-tuning seeds that all of a claim's tables have; [None] where seeds are not told apart."""
    sets = [run.seeds[name] for name in claim.needs if run.seeds.get(name)]
    common = sorted(set.intersection(*sets)) if sets else []
    return [None] if claim.across_seeds or not common else common


def _unable(claim: Claim, run: Run, seed: int | None) -> dict[str, str]:
    """Those of the models a claim rests on that cannot decide anything, and why."""
    analysis = next(
        (name for name in claim.needs if name in ("partial_freezing", "truncation")), "finetuning"
    )
    seeds = sorted(run.seeds.get(analysis, ())) if seed is None else ()
    runs = [run.of_seed(one) for one in seeds or [seed]]
    found = {model: [one.unable(model, analysis) for one in runs] for model in claim.rests_on}
    return {model: next(filter(None, reasons)) for model, reasons in found.items() if any(reasons)}


def _opened(comparison: Comparison) -> Comparison:
    """The comparison left open."""
    number = Number(comparison.number.value, math.nan, math.nan)
    return dataclasses.replace(comparison, number=number)


def _agreed(same: list[Comparison]) -> Comparison:
    """One comparison over seeds: the least decided of them, open where the seeds disagree."""
    worst = min(same, key=lambda c: -math.inf if math.isnan(c.margin) else c.margin)
    if all(c.fails for c in same) or len(same) == 1 or not worst.fails:
        return worst
    return _opened(dataclasses.replace(worst, label=f"{worst.label} (seeds differ)"))


def _why(claim: Claim, comparisons: list[Comparison], unable: Iterable[str]) -> str:
    """How many comparisons hold and fail, and the one that decides or, of models that can, comes closest."""
    n = len(comparisons)
    fail = [c for c in comparisons if c.fails]
    hold = [c for c in comparisons if c.holds]
    if n == 1:
        counted = "holds" if hold else "fails" if fail else "open"
    else:
        counted = f"{len(hold)} of {n} hold, {len(fail)} fail, {n - len(hold) - len(fail)} open"
    able = [c for c in comparisons if not c.models(claim.rests_on) & set(unable)]
    which, name = (fail, "clearest failure") if fail else (able or comparisons, "closest")
    decisive = min(which, key=lambda c: -math.inf if math.isnan(c.margin) else c.margin)
    told = spelled(decisive.number, points=claim.points, signed=claim.signed)
    return f"{counted}; {name}: {decisive.label} {told}"


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
    return "; ".join(f"{label} {spelled(number, **form)}" for label, number in pairs)


# -- other ways to measure the same ------------------------------------------------------------------

# name -> (analysis, column, what the paper has there, what is put in its place)
ALTERNATIVES = {
    "RSA, features centred": ("rsa", "metric", "rsa_pearson", "rsa_pearson_centred"),
    "RSA, features z-scored": ("rsa", "metric", "rsa_pearson", "rsa_pearson_z_scored"),
    "edge probes on the top layer": ("edge_probing_delta", "metric", "micro_f1", "micro_f1_top"),
    "frozen layers, head's own rate": ("partial_freezing", "inputs", "one_rate", "tuned_head"),
    "texts of equal format and length": ("out_of_domain_gap", "inputs", "raw", "format"),
    "and of equal word types": ("out_of_domain_gap", "inputs", "raw", "types"),
}


def alternatives(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Whether verdicts depend on how a thing is measured: ``measured, id, as_in_paper, instead``.

    For each of :data:`ALTERNATIVES` that the run has, the claims that it bears on, with the verdict on the
    measure that the paper took and the one on the alternative.
    """
    frame = pd.concat([t[results.COLUMNS] for t in tables.values() if len(t)], ignore_index=True)
    rows = []
    for name, (analysis, column, usual, other) in ALTERNATIVES.items():
        here = frame["analysis"] == analysis
        if not (here & (frame[column] == other)).any():
            continue
        claims = [claim for claim in CLAIMS if analysis in claim.needs and claim.id not in _FIXED]
        swapped = frame[~(here & (frame[column] == usual))].copy()
        swapped.loc[(swapped["analysis"] == analysis) & (swapped[column] == other), column] = usual
        if other == "micro_f1_top":  # one number a task, as the mix has
            swapped.loc[(swapped["analysis"] == analysis) & (swapped[column] == usual), "layer"] = pd.NA
        before, after = (judge({"all": f}, claims) for f in (frame, swapped))
        for old, new in zip(before.itertuples(), after.itertuples(), strict=True):
            rows.append(dict(measured=name, id=old.id, as_in_paper=old.verdict, instead=new.verdict))
    return pd.DataFrame(rows, columns=["measured", "id", "as_in_paper", "instead"])


_FIXED = ("domain-single", "domain-content")  # which are about one control


# -- the paper's own numbers, and recorded runs ------------------------------------------------------


def paper_tables(error: float | None = None) -> dict[str, pd.DataFrame]:
    """The paper's numbers as tables of results, with the differences that claims are about.

    The interval of a number is how exactly it could be read, ``error`` instead if given: it says
    nothing about sampling, which the paper's numbers do not let one judge.
    """
    frame = pd.read_csv(results.PAPER, dtype={"layer": "Int64"}).replace({"inputs": _TASKS})
    half = frame["tolerance"].fillna(5e-5) if error is None else error
    frame = frame.assign(ci_low=frame["value"] - half, ci_high=frame["value"] + half, seed=pd.NA, n=pd.NA)
    frame = frame[results.COLUMNS]
    tables = {name: rows for name, rows in frame.groupby("analysis")}
    for name in ("edge_probing", "structural_probe"):
        tables[f"{name}_delta"] = _differences(
            tables[name], f"{name}_delta", "model", "Base", ["metric", "inputs", "layer"]
        )
    gaps = _differences(
        tables["out_of_domain_rsa"], "out_of_domain_gap", "inputs", "wikipedia", ["metric", "model", "layer"]
    )
    tables["out_of_domain_gap"] = gaps.assign(metric="rsa_gap", inputs="raw")
    return tables


def _differences(frame: pd.DataFrame, analysis: str, column: str, base: str, keys: list[str]) -> pd.DataFrame:
    """All rows less the one whose ``column`` is ``base`` and that is alike in ``keys``."""
    frame = frame.assign(**{key: frame[key].astype(object).where(frame[key].notna(), "") for key in keys})
    known = {
        tuple(row[key] for key in keys): Number(row["value"], row["ci_low"], row["ci_high"])
        for row in frame[frame[column] == base].to_dict("records")
    }
    rows = []
    for row in frame[frame[column] != base].to_dict("records"):
        less = Number(row["value"], row["ci_low"], row["ci_high"]) - known[tuple(row[key] for key in keys)]
        row |= dict(analysis=analysis, value=less.value, ci_low=less.low, ci_high=less.high)
        rows.append(row | {"layer": None if row["layer"] == "" else row["layer"]})
    return results.table(rows)


def recorded_tables() -> dict[str, dict[str, pd.DataFrame]]:
    """The tables of every run recorded with the book: run -> file's name -> table.

    A folder counts as a run of the analyses if it has the models' scores.
    """
    runs = {}
    for scores in sorted(results.RECORDED.glob("*/finetuning.csv")):
        runs[scores.parent.name] = {
            path.stem: results.read(path) for path in sorted(scores.parent.glob("*.csv"))
        }
    return runs
