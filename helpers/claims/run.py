"""The numbers of one run, looked up by what they are of."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from helpers import results
from helpers.claims.numbers import UNKNOWN, Number, exactly
from helpers.vocabulary import HEADLINE, LAST, MODELS

PROBING_TASKS = {"SPR1": "SPR", "SPR2": "SPR"}  # two corpora of one kind of labels


class Lacking(LookupError):
    """The run has no number that a claim needs; the message says which."""


class Run:
    """Numbers looked up in a run's tables, for one fine-tuning seed at a time.

    The tables may be named and divided in any way: their column ``analysis`` says what is what. Raises
    ValueError if they are all empty.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame]):
        frames = [frame[results.COLUMNS] for frame in tables.values() if len(frame)]
        if not frames:
            raise ValueError("no results to judge: all tables are empty")
        self._numbers: dict[tuple, Number] = {}
        self.analyses: set[str] = set()
        self.seeds: dict[str, set[int]] = {}  # of the tuned models, by analysis
        self.seed: int | None = None  # the one that is looked at
        for row in pd.concat(frames, ignore_index=True).itertuples(index=False):
            seed = int(row.seed) if row.model in MODELS and not pd.isna(row.seed) else None
            inputs = "" if pd.isna(row.inputs) else PROBING_TASKS.get(row.inputs, row.inputs)
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
            number = self._numbers.get((analysis, metric, model, inputs, layer, seed))
            if number is not None:
                return number
        where = "" if layer is None else f" at layer {layer}"
        raise Lacking(f"no {metric} of {model}{f' on {inputs}' if inputs else ''}{where} in {analysis}")

    def has(self, *key: Any) -> bool:
        """Whether :meth:`get` has a number for these arguments."""
        try:
            self.get(*key)
        except Lacking:
            return False
        return True

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
        baselines = [
            (name, self.get(analysis, HEADLINE[model], model, name))
            for analysis in ("finetuning", "corpus_baselines")
            for name in self.inputs(analysis, HEADLINE[model], model)
            if name != "in_domain"
        ]
        name, best = max(baselines, key=lambda pair: pair[1].value, default=("nothing", exactly(0.0)))
        return name, exactly(best.value)

    def score(self, model: str, analysis: str = "finetuning") -> Number:
        """A model's score on its task: as fine-tuned, or in an ablation that with nothing ablated."""
        if analysis == "finetuning":
            return self.get(analysis, HEADLINE[model], model, "in_domain")
        return self.ablated(analysis, model, -1 if analysis == "partial_freezing" else LAST)

    def ablated(self, analysis: str, model: str, layer: int) -> Number:
        """A model's score in an ablation at a layer; where freezing has two rates, at the paper's one."""
        key = (analysis, HEADLINE[model], model)
        return self.get(*key, "one_rate" if self.has(*key, "one_rate", layer) else "", layer)

    def gain(self, model: str, analysis: str = "finetuning") -> Number:
        """A model's :meth:`score` minus the best trivial one."""
        return self.score(model, analysis) - self.trivial(model)[1]

    def loss(self, analysis: str, model: str, layer: int) -> Number:
        """Score without an ablation minus the score with it."""
        return self.score(model, analysis) - self.ablated(analysis, model, layer)

    def share_lost(self, analysis: str, model: str, layer: int) -> Number:
        """:meth:`loss` as a share of what the model gains over the trivial score."""
        gain = self.gain(model, analysis)
        return self.loss(analysis, model, layer) / gain if gain.value > 0 else UNKNOWN

    def ablated_layers(self, analysis: str, model: str, layers: Iterable[int]) -> list[int]:
        """Those of the layers that an ablation was run at. Raises :class:`Lacking` if none was."""
        layers, key = list(layers), (analysis, HEADLINE[model], model)
        there = [k for k in layers if self.has(*key, "one_rate", k) or self.has(*key, "", k)]
        if not there:
            raise Lacking(f"{analysis} of {model} was run at none of the layers {layers[0]} to {layers[-1]}")
        return there

    def unlearnt(self, model: str, analysis: str) -> str:
        """Why an analysis of a model can decide nothing; empty if it can, or if the run cannot say.

        The model has not learnt its task: its score, in an ablation that with nothing ablated, does not lie
        clear of the trivial one.
        """
        try:
            score = self.score(model, analysis)
        except Lacking:
            return ""
        name, trivial = self.trivial(model)
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

    def edge_tasks(self, model: str, tasks: Iterable[str]) -> list[str]:
        """Those of the probing tasks that were run. Raises :class:`Lacking` if none was."""
        tasks = list(tasks)
        there = [t for t in tasks if self.has("edge_probing_delta", "micro_f1", model, t)]
        if not there:
            raise Lacking(f"no edge probes of {model} on {', '.join(tasks)}")
        return there

    def structure(self, model: str, metric: str, layer: int) -> Number:
        """Change in a measure of structural probes."""
        return self.get("structural_probe_delta", metric, model, "", layer)

    def rsa(self, model: str, layer: int) -> Number:
        """RSA to Base. Raises :class:`Lacking` for an encoder of fewer than twelve layers."""
        self.get("rsa", "rsa_pearson", model, "wikipedia", LAST)
        return self.get("rsa", "rsa_pearson", model, "wikipedia", layer)

    def domain_gap(self, model: str, control: str, layer: int) -> Number:
        """RSA in domain minus RSA out of domain."""
        return self.get("out_of_domain_gap", "rsa_gap", model, control, layer)
