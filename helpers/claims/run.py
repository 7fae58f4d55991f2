"""The numbers of one run, looked up by what they are of."""

import copy
import math
from collections.abc import Callable, Collection, Iterable, Mapping

import pandas as pd

from helpers import results
from helpers.claims.numbers import UNKNOWN, Number, exactly, mean, over_seeds
from helpers.vocabulary import HEADLINE, LAST, MODELS, OVER_SEEDS

PROBING_TASKS = {"SPR1": "SPR", "SPR2": "SPR"}  # two corpora of one kind of labels
ALL = -1  # in place of a fine-tuning seed: over all of them
IDLE = 0.99  # RSA of a block's output to its input, below which it does something
# The analyses that are of every layer, so that they say how many blocks the encoder has.
BY_LAYER = {
    "rsa", "rsa_between_layers", "edge_probing", "structural_probe", "structural_probe_delta",
    "out_of_domain_gap", "truncation",
}  # fmt: skip
# The tables that claims are judged by.
READ = (
    "finetuning", "corpus_baselines", "rsa", "rsa_between_layers", "out_of_domain", "structural_probe",
    "edge_probing", "partial_freezing", "truncation",
)  # fmt: skip


class Lacking(LookupError):
    """The run has no number that a claim needs; the message says which."""


class Run:
    """Numbers looked up in a run's tables, for one fine-tuning seed at a time or for all.

    The tables may be named and divided in any way: their column ``analysis`` says what is what. Differences
    of numbers of the same sentences are looked up as well, paired; tables recorded before analyses wrote them
    lack those, and then the two are taken as independent. Raises ValueError if the tables are all empty.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame]):
        frames = [frame[results.COLUMNS] for frame in tables.values() if len(frame)]
        if not frames:
            raise ValueError("no results to judge: all tables are empty")
        self._numbers: dict[tuple, Number] = {}
        self.analyses: set[str] = set()
        self.seeds: dict[str, set[int]] = {}  # of the tuned models, by analysis
        self.pooled: set[str] = set()  # analyses with numbers over all seeds
        self.seed: int | None = None  # the one that is looked at
        self._tasks: dict[str, str] = {}  # the corpus of each tuned model
        layers: list[int] = []
        for row in pd.concat(frames, ignore_index=True).itertuples(index=False):
            model = "" if pd.isna(row.model) else row.model
            seed = int(row.seed) if model in MODELS and not pd.isna(row.seed) else None
            analysis = row.analysis.removesuffix(OVER_SEEDS)
            if analysis != row.analysis:
                seed = ALL
                self.pooled.add(analysis)
            inputs = "" if pd.isna(row.inputs) else PROBING_TASKS.get(row.inputs, row.inputs)
            layer = None if pd.isna(row.layer) else int(row.layer)
            if analysis in ("rsa", "rsa_between_layers"):
                inputs = ""  # the text, which is the same for all
            if analysis == "out_of_domain_gap" and model == "Random":
                model = f"Random, {row.task}"
            if analysis in BY_LAYER and layer is not None:
                layers.append(layer)
            if model in MODELS and not pd.isna(row.task):
                self._tasks.setdefault(model, row.task)
            key = (analysis, row.metric, model, inputs, layer, seed)
            self._numbers.setdefault(key, Number(float(row.value), float(row.ci_low), float(row.ci_high)))
            self.analyses.add(analysis)
            if seed not in (None, ALL):
                self.seeds.setdefault(analysis, set()).add(seed)
        self.last = max(layers, default=LAST)  # the encoder's last layer

    def of_seed(self, seed: int | None) -> "Run":
        """The same run, looked at for one fine-tuning seed, or for all of them (:data:`ALL`)."""
        other = copy.copy(self)
        other.seed = seed
        return other

    def find(
        self, analysis: str, metric: str, model: str, inputs: str = "", layer: int | None = None
    ) -> Number | None:
        """The number of this seed, or of none (untuned models have none); None if the run lacks it."""
        key = (analysis, metric, model, inputs, layer)
        return self._numbers.get((*key, self.seed)) or self._numbers.get((*key, None))

    def get(
        self, analysis: str, metric: str, model: str, inputs: str = "", layer: int | None = None
    ) -> Number:
        """As :meth:`find`, but raises :class:`Lacking`."""
        if number := self.find(analysis, metric, model, inputs, layer):
            return number
        where = "" if layer is None else f" at layer {layer}"
        raise Lacking(f"no {metric} of {model}{f' on {inputs}' if inputs else ''}{where} in {analysis}")

    # -- layers ------------------------------------------------------------------------------------

    # The claims name the layers of twelve. Of an encoder of n blocks, block j has the share (j + 1) / n of
    # the stack below its output, as layer k has (k + 1) / 12 of twelve.

    def layers(self, first: int, last: int) -> list[int]:
        """The encoder's layers that lie, by share of depth, from layer ``first`` to ``last`` of twelve.

        Raises :class:`Lacking` if there is none.
        """
        n, of = self.last + 1, LAST + 1
        there = [j for j in range(n) if (first + 1) * n <= (j + 1) * of <= (last + 1) * n]
        if not there:
            raise Lacking(f"no block of {n} lies at the depth of layers {first} to {last} of {of}")
        return there

    def layer(self, number: int) -> int:
        """The encoder's layer at the depth of layer ``number`` of twelve, or at most one of twelve below.

        Raises :class:`Lacking` if there is none.
        """
        return self.layers(number - 1, number)[-1]

    def idle_blocks(self) -> list[int]:
        """Blocks of Base whose output is not clearly unlike their input; none if that was not measured."""
        key = ("rsa_between_layers", "rsa_pearson", "Base", "")
        measured = {k: self.find(*key, k) for k in range(self.last + 1)}
        return [k for k, similarity in measured.items() if similarity and not similarity.high < IDLE]

    def inputs(self, analysis: str, metric: str, model: str) -> list[str]:
        """The ``inputs`` for which there are numbers of this seed, or of none."""
        seeds = (self.seed, None)
        keys = [k for k in self._numbers if k[:3] == (analysis, metric, model) and k[5] in seeds]
        return list(dict.fromkeys(key[3] for key in keys))

    # -- scores ------------------------------------------------------------------------------------

    def trivial(self, model: str) -> tuple[str, Number]:
        """Name and score of the best baseline that has not learnt a model's task.

        An untrained head, rules that read nothing, and classifiers of words or a part of the input, as far
        as the run has them.
        """
        seeds = (self.seed, None)
        baselines = [
            (inputs, number)
            for (analysis, metric, of, inputs, _, seed), number in self._numbers.items()
            if analysis in ("finetuning", "corpus_baselines") and (metric, of) == (HEADLINE[model], model)
            if inputs != "in_domain" and (seed in seeds or self.seed == ALL)
        ]
        name, best = max(baselines, key=lambda pair: pair[1].value, default=("nothing", exactly(0.0)))
        return name, exactly(best.value)

    def best_trivial(self, model: str, seeds: Iterable[int | None]) -> tuple[str, Number]:
        """:meth:`trivial` of that of the seeds for which it is best."""
        baselines = [self.of_seed(seed).trivial(model) for seed in seeds]
        return max(baselines, key=lambda pair: pair[1].value)

    def score(self, model: str, analysis: str = "finetuning") -> Number:
        """A model's score on its task: as fine-tuned, or in an ablation that with nothing ablated."""
        if analysis == "finetuning":
            return self.get(analysis, HEADLINE[model], model, "in_domain")
        return self.ablated(analysis, model, -1 if analysis == "partial_freezing" else self.last)

    def ablated(self, analysis: str, model: str, layer: int) -> Number:
        """A model's score in an ablation at a layer; where freezing has two rates, at the paper's one."""
        return self.get(analysis, HEADLINE[model], model, self._rate(analysis, model, layer), layer)

    def _rate(self, analysis: str, model: str, layer: int) -> str:
        return "one_rate" if self.find(analysis, HEADLINE[model], model, "one_rate", layer) else ""

    def gain(self, model: str, analysis: str = "finetuning") -> Number:
        """A model's :meth:`score` minus the best trivial one."""
        return self.score(model, analysis) - self.trivial(model)[1]

    def loss(self, analysis: str, model: str, layer: int) -> Number:
        """Score without an ablation minus the score with it, paired."""
        paired = (analysis, "loss", model, self._rate(analysis, model, layer), layer)
        return self.find(*paired) or self.score(model, analysis) - self.ablated(analysis, model, layer)

    def share_lost(self, analysis: str, model: str, layer: int) -> Number:
        """:meth:`loss` as a share of what the model gains over the trivial score."""
        gain = self.gain(model, analysis)
        return self.loss(analysis, model, layer) / gain if gain.value > 0 else UNKNOWN

    def ablated_layers(self, analysis: str, model: str, layers: Iterable[int]) -> list[int]:
        """Those of the layers that an ablation was run at. Raises :class:`Lacking` if none was."""
        layers, key = list(layers), (analysis, HEADLINE[model], model)
        there = [k for k in layers if self.find(*key, "one_rate", k) or self.find(*key, "", k)]
        if not there:
            raise Lacking(f"{analysis} of {model} was run at none of the layers {layers[0]} to {layers[-1]}")
        return there

    def unlearnt(self, model: str, analysis: str, seeds: Collection[int | None]) -> str:
        """Why an analysis of a model can decide nothing; empty if it can, or if the run cannot say.

        The model has not learnt its task: its mean score over the seeds, in an ablation that with nothing
        ablated, does not lie clear of the best trivial one.
        """
        try:
            score = over_seeds([self.of_seed(seed).score(model, analysis) for seed in seeds])
        except Lacking:
            return ""
        name, trivial = self.best_trivial(model, seeds)
        if not score.low <= trivial.value:
            return ""
        ablated = "" if analysis == "finetuning" else " with nothing ablated"
        scores = f"{HEADLINE[model]} {score.text(points=True)}, "
        scores += f"{name.replace('_', ' ')} {trivial.text(points=True, interval=False)}"
        return f"{model}{ablated} has not learnt its task ({scores})"

    # -- what else claims are about ----------------------------------------------------------------

    def edge(self, model: str, task: str) -> Number:
        """Change in a probing task's F1."""
        return self.get("edge_probing_delta", "micro_f1", model, task)

    def edge_minus_half(self, model: str, task: str, baseline: str) -> Number:
        """Change in a probing task's F1 minus half of a baseline's, paired."""
        paired = ("edge_probing_contrast", f"micro_f1_minus_half_{baseline.lower()}", model, task)
        return self.find(*paired) or self.edge(model, task) - self.edge(baseline, task) * 0.5

    def edge_tasks(self, model: str, tasks: Iterable[str]) -> list[str]:
        """Those of the probing tasks that were run. Raises :class:`Lacking` if none was."""
        tasks = list(tasks)
        there = [t for t in tasks if self.find("edge_probing_delta", "micro_f1", model, t)]
        if not there:
            raise Lacking(f"no edge probes of {model} on {', '.join(tasks)}")
        return there

    def structure(self, model: str, metric: str, layer: int) -> Number:
        """Change in a measure of structural probes."""
        return self.get("structural_probe_delta", metric, model, "", layer)

    def structure_last_minus(self, model: str, metric: str, layer: int) -> Number:
        """That change at the last layer minus its mean over layers 0 to ``layer``, paired."""
        paired = ("structural_probe_contrast", metric, model, "", layer)
        if there := self.find(*paired):
            return there
        lower = mean(self.structure(model, metric, k) for k in range(layer + 1))
        return self.structure(model, metric, self.last) - lower

    def rsa(self, model: str, layer: int) -> Number:
        """RSA to Base on running text."""
        return self.get("rsa", "rsa_pearson", model, "", layer)

    def rsa_minus_last(self, model: str, layer: int) -> Number:
        """RSA at a layer minus that at the last, paired."""
        return self._contrast(model, "minus the last layer", layer) or (
            self.rsa(model, layer) - self.rsa(model, self.last)
        )

    def rsa_bend(self, model: str, layer: int) -> Number:
        """RSA's fall per layer from the embeddings to a layer minus that from there to the last, paired."""
        if paired := self._contrast(model, "bend", layer):
            return paired
        below, above = 1 / (layer + 1), 1 / (self.last - layer)
        here, last = self.rsa(model, layer), self.rsa(model, self.last)
        return exactly(below) - here * (below + above) - last * -above

    def rsa_minus(self, model: str, other: str, layer: int) -> Number:
        """A model's RSA minus another's, paired."""
        if paired := self._contrast(model, f"minus {other}", layer):
            return paired
        if turned := self._contrast(other, f"minus {model}", layer):
            return turned * -1
        return self.rsa(model, layer) - self.rsa(other, layer)

    def rsa_seed_range(self, model: str, layer: int, seeds: Collection[int]) -> Number:
        """The largest difference of a model's RSA between two of the seeds, paired."""
        by_value = sorted(seeds, key=lambda seed: self.of_seed(seed).rsa(model, layer).value)
        low, high = by_value[0], by_value[-1]
        first, later = min(low, high), max(low, high)
        if paired := self.of_seed(first)._contrast(model, f"minus seed {later}", layer):
            return paired if first == high else paired * -1
        return self.of_seed(high).rsa(model, layer) - self.of_seed(low).rsa(model, layer)

    def _contrast(self, model: str, inputs: str, layer: int) -> Number | None:
        return self.find("rsa_contrast", "rsa_pearson", model, inputs, layer)

    def domain_gap(self, model: str, control: str, layer: int) -> Number:
        """RSA in domain minus RSA out of domain, minus the same of the random encoder, paired.

        As it is where the run has no random encoder, as the paper.
        """
        analysis, at = "out_of_domain_gap", (control, layer)
        if paired := self.find(analysis, "rsa_gap_minus_random", model, *at):
            return paired
        gap = self.get(analysis, "rsa_gap", model, *at)
        yardstick = self.find(analysis, "rsa_gap", f"Random, {self._tasks.get(model)}", *at)
        return gap - yardstick if yardstick else gap

    def domain_control(self, model: str) -> str:
        """The comparison of texts of equal format and length, or the paper's where the run has no such."""
        return "format" if "format" in self.inputs("out_of_domain_gap", "rsa_gap", model) else "raw"


# -- over fine-tuning seeds ----------------------------------------------------------------------------


def over(run: Run, analysis: str, number: Callable[..., Number], *of: object) -> Number:
    """``number(run, *of)`` over the fine-tuning seeds of an analysis, as the run has it or pooled.

    ``number`` is a method of :class:`Run`. Raises :class:`Lacking` if the run does not have it.
    """
    seeds = seeds_of(run, analysis)
    try:
        return over_seeds([number(run.of_seed(seed), *of) for seed in seeds])
    except Lacking:  # not every number over seeds is in the tables
        single = sorted(run.seeds.get(analysis, set()))
        if seeds != [ALL] or not single:
            raise
        return over_seeds([number(run.of_seed(seed), *of) for seed in single])


def known(run: Run, analysis: str, number: Callable[..., Number], *of: object) -> Number | None:
    """As :func:`over`, but None if the run lacks the number or its interval."""
    try:
        there = over(run, analysis, number, *of)
    except Lacking:
        return None
    return None if math.isnan(there.low) else there


def seeds_of(run: Run, analysis: str) -> list[int | None]:
    """For which fine-tuning seeds to read a run: for all at once if it has such numbers, else for each."""
    if analysis in run.pooled:
        return [ALL]
    return [*sorted(run.seeds.get(analysis, set()))] or [None]
