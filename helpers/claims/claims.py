"""The claims as data: what the paper says, and the comparisons that decide whether a run agrees.

Layers are named as in the paper, of twelve; :meth:`.run.Run.layers` finds their places in other encoders.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from helpers.claims.numbers import Comparison, Number, mean
from helpers.claims.run import Lacking, Run
from helpers.vocabulary import BASELINES, LAST, MODELS, SEMANTIC, STRUCTURAL, SYNTACTIC

# Of the gain over the trivial score: what 5 points are of the paper's, rounded.
NOTABLE = {"NLI": 0.10, "QA": 0.06}
SMALL = 0.03  # of a change in a probe's F1
COLLAPSED = 0.4  # RSA
BASE_LIKE = 0.9  # RSA
Pairs = list[tuple[str, Number]]
Comparisons = Callable[[Run], Iterator[Comparison]]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, in our words, with the rule that decides it."""

    id: str
    says: str
    where: str  # section and figure or table of the paper
    needs: tuple[str, ...]  # analyses, as named in the results
    rests_on: tuple[str, ...]  # models whose comparisons are open if they have not learnt their tasks
    rule: str  # what the comparisons are, in words
    comparisons: Comparisons
    shows: Callable[[Run], Pairs]  # the numbers to put beside the paper's
    points: bool = False  # whether they are written as points
    signed: bool = False
    across_seeds: bool = False  # whether the comparisons themselves look at all seeds
    of_depth: bool = False  # whether it says where in the stack something happens


CLAIMS: list[Claim] = []


def _claim(id: str, **fields: Any) -> Callable[[Comparisons], Comparisons]:
    """Decorator that adds a claim, decided by the comparisons that the function yields."""

    def add(comparisons: Comparisons) -> Comparisons:
        CLAIMS.append(Claim(id, comparisons=comparisons, **fields))
        return comparisons

    return add


# What the claims of one exhibit have in common.
_edge = partial(_claim, where="Section 4, Table 1", needs=("edge_probing_delta",), points=True, signed=True)
_structure = partial(_claim, where="Section 4, Figure 1", needs=("structural_probe_delta",), signed=True)
_rsa = partial(_claim, where="Section 5.1, Figure 2", needs=("rsa",))
_ablation = partial(_claim, points=True, of_depth=True)
_freezing = partial(_ablation, where="Section 5.2, Figure 3", needs=("finetuning", "partial_freezing"))
_truncation = partial(_ablation, where="Section 5.2, Figure 4", needs=("finetuning", "truncation"))
_domain = partial(
    _claim, where="Section 6, Figure 5", needs=("out_of_domain_gap",), rests_on=("NLI", "QA"), signed=True
)


def _scores(run: Run) -> Pairs:
    return [(model, run.score(model)) for model in MODELS]


@_claim(
    "tasks-learned",
    says="Fine-tuned BERT is good at all three tasks",
    where="Section 3",
    needs=("finetuning",),
    rests_on=(),
    rule="Each model's score is more than 10 points above the best of what has not learnt the task: an "
    "untrained head, a rule that reads nothing and, where run, classifiers of words or of part of the "
    "input.",
    shows=_scores,
    points=True,
)
def _tasks_learned(run: Run) -> Iterator[Comparison]:
    for model in MODELS:
        yield Comparison(f"{model} minus the trivial score", (model,), run.gain(model), above=0.1)


def _largest_edge_changes(run: Run) -> Pairs:
    shown = []
    for model in ("NLI", "QA"):
        changes = {t: run.edge(model, t) for t in run.edge_tasks(model, SYNTACTIC + SEMANTIC)}
        task = max(changes, key=lambda t: abs(changes[t].value))
        shown.append((f"largest of {model} ({task})", changes[task]))
    gaps = [(b, t) for b in BASELINES for t in run.edge_tasks(b, SYNTACTIC + SEMANTIC)]
    gaps = [gap for gap in gaps if run.edge(*gap).high < 0]
    for model, task in sorted(gaps, key=lambda gap: -run.edge(*gap).value)[:1]:
        shown.append((f"smallest baseline gap ({model}, {task})", run.edge(model, task)))
    return shown


@_edge(
    "edge-small",
    says="Fine-tuning on NLI or QA hardly changes what edge probes find: by less than 3 points, far less "
    "than what the baselines lack, so nothing is forgotten catastrophically",
    rests_on=("NLI", "QA"),
    rule="For NLI and QA and each probing task: the change in F1 lies within ±3 points; and a loss is less "
    "than half of what the lexical and the random baseline lose, where they lose anything.",
    shows=_largest_edge_changes,
)
def _edge_small(run: Run) -> Iterator[Comparison]:
    for model in ("NLI", "QA"):
        for task in run.edge_tasks(model, SYNTACTIC + SEMANTIC):
            change = run.edge(model, task)
            yield Comparison(f"{model} {task}", (model,), change, -SMALL, SMALL, group="within 3 points")
            for baseline in BASELINES:
                if not run.edge(baseline, task).high < 0:
                    continue  # a probe that needs nothing of Base cannot show what was forgotten
                label = f"{model} {task} minus half of {baseline}"
                far = run.edge_minus_half(model, task, baseline)
                yield Comparison(label, (model,), far, above=0, group="far from the baselines")


def _edge_mean(run: Run, model: str, tasks: Iterable[str]) -> Number:
    return mean(run.edge(model, task) for task in run.edge_tasks(model, tasks))


@_edge(
    "edge-syntax",
    says="What NLI and QA do lose is mostly syntactic",
    rests_on=("NLI", "QA"),
    rule="For NLI and for QA: the mean change on POS, constituents, dependencies and SRL is below the mean "
    "change on entities, coreference, SPR and relations (those of them that were probed).",
    shows=lambda run: [
        (f"{m}, {name}", _edge_mean(run, m, tasks))
        for m in ("NLI", "QA")
        for name, tasks in (("syntactic", SYNTACTIC), ("other", SEMANTIC))
    ],
)
def _edge_syntax(run: Run) -> Iterator[Comparison]:
    for model in ("NLI", "QA"):
        difference = _edge_mean(run, model, SYNTACTIC) - _edge_mean(run, model, SEMANTIC)
        yield Comparison(f"{model}: syntactic minus other", (model,), difference, below=0)


@_edge(
    "edge-dep-constituents",
    says="Training a parser makes constituents easier to probe",
    rests_on=("Dep",),
    rule="Dep's change on constituents lies above 0.",
    shows=lambda run: [("Dep", run.edge("Dep", "Constituents"))],
)
def _edge_dep_constituents(run: Run) -> Iterator[Comparison]:
    yield Comparison("Dep Constituents", ("Dep",), run.edge("Dep", "Constituents"), above=0)


_LOWERED = ("Coreference", "SPR", "Relations")


@_edge(
    "edge-dep-semantics",
    says="Training a parser lowers probing scores for coreference, proto-roles and relations",
    rests_on=("Dep",),
    rule="Dep's changes on coreference, SPR and relations lie below 0 (those of them that were probed; SPR2"
    " for SPR1).",
    shows=lambda run: [(t, run.edge("Dep", t)) for t in run.edge_tasks("Dep", _LOWERED)],
)
def _edge_dep_semantics(run: Run) -> Iterator[Comparison]:
    for task in run.edge_tasks("Dep", _LOWERED):
        yield Comparison(f"Dep {task}", ("Dep",), run.edge("Dep", task), below=0)


@_structure(
    "structure-dep",
    says="Training a parser makes trees easier to read off the layers, from layer 5 on and by all four "
    "measures",
    rests_on=("Dep",),
    of_depth=True,
    rule="Dep minus Base lies above 0 at layers 5 to 11 in UUAS, root accuracy and both Spearman "
    "correlations.",
    shows=lambda run: [
        (f"{STRUCTURAL[m]} at {k}", run.structure("Dep", m, k))
        for k in (run.layer(5), run.last)
        for m in ("uuas", "distance_spearman")
    ],
)
def _structure_dep(run: Run) -> Iterator[Comparison]:
    for metric in STRUCTURAL:
        for layer in run.layers(5, LAST):
            label = f"{STRUCTURAL[metric]} at {layer}"
            yield Comparison(label, ("Dep",), run.structure("Dep", metric, layer), above=0)


@_structure(
    "structure-last",
    says="NLI and QA lose tree structure, above all at the last layer",
    rests_on=("NLI", "QA"),
    of_depth=True,
    rule="For NLI and QA at layer 11: the change lies below 0 in all four measures; and in UUAS it lies "
    "below the mean change of layers 0 to 7.",
    shows=lambda run: [
        (f"{m} UUAS at {k}", run.structure(m, "uuas", k))
        for m in ("NLI", "QA")
        for k in (run.layer(7), run.last)
    ],
)
def _structure_last(run: Run) -> Iterator[Comparison]:
    lower = run.layers(0, 7)[-1]
    for model in ("NLI", "QA"):
        for metric in STRUCTURAL:
            label = f"{model} {STRUCTURAL[metric]} at {run.last}"
            change = run.structure(model, metric, run.last)
            yield Comparison(label, (model,), change, below=0, group="lost at the last layer")
        label, more = f"{model} UUAS at {run.last} minus 0 to {lower}", "most at the last layer"
        last = run.structure_last_minus(model, "uuas", lower)
        yield Comparison(label, (model,), last, below=0, group=more)


_DECODED = (("uuas", "distance_spearman"), ("root_acc", "depth_spearman"))


@_structure(
    "structure-discrete",
    says="NLI and QA lose more in decoded trees and roots than in rank correlations",
    rests_on=("NLI", "QA"),
    rule="For NLI and QA at layer 11: the change in UUAS lies below that in distance Spearman, and the "
    "change in root accuracy below that in depth Spearman (taken as independent).",
    shows=lambda run: [
        (f"{m} {STRUCTURAL[x]}", run.structure(m, x, run.last)) for m in ("NLI", "QA") for x in _DECODED[0]
    ],
)
def _structure_discrete(run: Run) -> Iterator[Comparison]:
    for model in ("NLI", "QA"):
        for decoded, ranked in _DECODED:
            difference = run.structure(model, decoded, run.last) - run.structure(model, ranked, run.last)
            label = f"{model} {STRUCTURAL[decoded]} minus {STRUCTURAL[ranked]}"
            yield Comparison(label, (model,), difference, below=0)


def _rsa_at(run: Run, layers: Iterable[int], models: Iterable[str] = MODELS) -> Pairs:
    return [(f"{model} at {layer}", run.rsa(model, layer)) for layer in layers for model in models]


@_rsa(
    "rsa-top",
    says="Fine-tuning changes the top layers most",
    rests_on=MODELS,
    of_depth=True,
    rule="For each model RSA falls by more per layer between layers 5 and 11 than up to layer 5, and is "
    "lower at layer 11 than at any other.",
    shows=lambda run: _rsa_at(run, (run.layer(5), run.last)),
)
def _rsa_top(run: Run) -> Iterator[Comparison]:
    middle = run.layer(5)
    for model in MODELS:
        label = f"{model}: fall per layer up to {middle} minus that after"
        yield Comparison(label, (model,), run.rsa_bend(model, middle), below=0, group="steeper above")
        for layer in range(run.last):
            label, more = f"{model}: {layer} minus {run.last}", run.rsa_minus_last(model, layer)
            yield Comparison(label, (model,), more, above=0, group=f"{model} lowest at the top")


@_rsa(
    "rsa-collapse",
    says="The last layer keeps little of Base, least of all in QA",
    rests_on=MODELS,
    of_depth=True,
    rule="RSA at layer 11 lies below 0.4 for each model, and QA's below the others'.",
    shows=lambda run: [(m, run.rsa(m, run.last)) for m in MODELS],
)
def _rsa_collapse(run: Run) -> Iterator[Comparison]:
    for model in MODELS:
        yield Comparison(f"{model} at {run.last}", (model,), run.rsa(model, run.last), below=COLLAPSED)
    for model in ("Dep", "NLI"):
        lower = run.rsa_minus("QA", model, run.last)
        yield Comparison(f"QA minus {model} at {run.last}", ("QA", model), lower, below=0)


@_rsa(
    "rsa-nli-least",
    says="NLI changes representations least",
    rests_on=MODELS,
    rule="At layers 8, 9 and 10 NLI's RSA lies above QA's and Dep's.",
    shows=lambda run: _rsa_at(run, run.layers(8, 10)[::2]),
)
def _rsa_nli_least(run: Run) -> Iterator[Comparison]:
    for layer in run.layers(8, 10):
        for model in ("Dep", "QA"):
            more = run.rsa_minus("NLI", model, layer)
            yield Comparison(f"NLI minus {model} at {layer}", ("NLI", model), more, above=0)


@_rsa(
    "rsa-qa-steep",
    says="QA stays like Base up to layer 7 and then falls away steeply",
    rests_on=("QA",),
    of_depth=True,
    rule="QA's RSA at layer 7 lies above 0.9, and falls more steeply above it, per layer, than below.",
    shows=lambda run: _rsa_at(run, (run.layer(7), run.layer(9), run.last), ["QA"]),
)
def _rsa_qa_steep(run: Run) -> Iterator[Comparison]:
    seven = run.layer(7)
    yield Comparison(f"QA at {seven}", ("QA",), run.rsa("QA", seven), above=BASE_LIKE)
    label = f"QA: fall per layer up to {seven} minus that after"
    yield Comparison(label, ("QA",), run.rsa_bend("QA", seven), below=0)


@_rsa(
    "rsa-dep-early",
    says="The parser is less similar to Base than NLI and QA already at layers 4 and 5",
    rests_on=MODELS,
    of_depth=True,
    rule="At layers 4 and 5 Dep's RSA lies below NLI's and QA's.",
    shows=lambda run: _rsa_at(run, run.layers(4, 5)),
)
def _rsa_dep_early(run: Run) -> Iterator[Comparison]:
    for layer in run.layers(4, 5):
        for model in ("NLI", "QA"):
            lower = run.rsa_minus("Dep", model, layer)
            yield Comparison(f"Dep minus {model} at {layer}", ("Dep", model), lower, below=0)


def _losses(run: Run, analysis: str, models: Iterable[str], numbers: Iterable[int]) -> Pairs:
    layers = dict.fromkeys(run.layer(number) for number in numbers)
    return [
        (f"{model} at {k}", run.loss(analysis, model, k))
        for model in models
        for k in run.ablated_layers(analysis, model, layers)
    ]


_NO_LOSS = " A model that has not learnt its task even with nothing ablated has nothing to lose."


@_freezing(
    "freezing-order",
    says="Freezing lower layers costs NLI least and the parser most",
    rests_on=MODELS,
    rule="Frozen through layers 9 and 10 (those of them that were run), the share of its gain over the "
    "trivial score that a model loses is smaller for NLI than for QA, and for QA than for Dep." + _NO_LOSS,
    shows=lambda run: _losses(run, "partial_freezing", ("NLI", "QA", "Dep"), (9, 10)),
)
def _freezing_order(run: Run) -> Iterator[Comparison]:
    for less, more in (("NLI", "QA"), ("QA", "Dep")):
        for k in run.ablated_layers("partial_freezing", less, run.layers(9, 10)):
            lost = [run.share_lost("partial_freezing", m, k) for m in (less, more)]
            label = f"{less} minus {more}, frozen through {k}"
            yield Comparison(label, (less, more), lost[0] - lost[1], below=0)


@_freezing(
    "freezing-nli",
    says="Tuning the last layers is enough for NLI: it loses only once freezing reaches the last two",
    rests_on=("NLI",),
    rule="Frozen through layer 8 or lower, NLI loses less than a tenth of its gain over the trivial score; "
    "frozen through layer 10, it loses more (of the layers that were run; layer 9, where the last two are "
    "tuned, can be read either way and is left out)." + _NO_LOSS,
    shows=lambda run: _losses(run, "partial_freezing", ["NLI"], (7, 8, 10)),
)
def _freezing_nli(run: Run) -> Iterator[Comparison]:
    analysis, bound = "partial_freezing", NOTABLE["NLI"]
    yield from _shares_lost(run, analysis, "NLI", run.layers(0, 8), "harmless", below=bound)
    yield from _shares_lost(run, analysis, "NLI", [run.layer(10)], "harmful", above=bound)


@_freezing(
    "freezing-qa",
    says="QA suffers when three layers or fewer are tuned",
    rests_on=("QA",),
    rule="Frozen through layer 7 or lower, QA loses less than 6 % of its gain over the trivial score; "
    "frozen through layers 8 to 10, it loses more (of the layers that were run)." + _NO_LOSS,
    shows=lambda run: _losses(run, "partial_freezing", ["QA"], (6, 8, 10)),
)
def _freezing_qa(run: Run) -> Iterator[Comparison]:
    analysis, bound = "partial_freezing", NOTABLE["QA"]
    yield from _shares_lost(run, analysis, "QA", run.layers(0, 7), "harmless", below=bound)
    yield from _shares_lost(run, analysis, "QA", run.layers(8, 10), "harmful", above=bound)


def _shares_lost(
    run: Run, analysis: str, model: str, layers: Iterable[int], group: str = "", **bound: float
) -> Iterator[Comparison]:
    for k in run.ablated_layers(analysis, model, layers):
        share = run.share_lost(analysis, model, k)
        yield Comparison(f"{model} at {k}, % of its gain", (model,), share, group=group, **bound)


@_truncation(
    "truncation-six",
    says="Seven of the twelve layers are almost enough for NLI and QA",
    rests_on=("NLI", "QA"),
    rule="With the output taken at layer 6 or higher (layers that were run) NLI loses less than a tenth of "
    "its gain over the trivial score, and QA less than 6 %." + _NO_LOSS,
    shows=lambda run: _losses(run, "truncation", ("NLI", "QA"), (6, 8)),
)
def _truncation_six(run: Run) -> Iterator[Comparison]:
    for model in ("NLI", "QA"):
        yield from _shares_lost(run, "truncation", model, run.layers(6, 10), below=NOTABLE[model])


@_truncation(
    "truncation-dep",
    says="The parser needs about ten layers (as the figure reads)",
    rests_on=("Dep",),
    rule="With the output at layers 5 to 7, Dep loses more than 2 points; at layers 9 and 10, less than 2 "
    "(of the layers that were run)." + _NO_LOSS,
    shows=lambda run: _losses(run, "truncation", ["Dep"], (6, 9, 10)),
)
def _truncation_dep(run: Run) -> Iterator[Comparison]:
    parts: tuple[tuple[str, list[int], dict[str, float]], ...] = (
        ("needed", run.layers(5, 7), dict(above=0.02)),
        ("enough", run.layers(9, 10), dict(below=0.02)),
    )
    for group, layers, bound in parts:
        for k in run.ablated_layers("truncation", "Dep", layers):
            loss = run.loss("truncation", "Dep", k)
            yield Comparison(f"Dep at {k}", ("Dep",), loss, group=group, **bound)


@_truncation(
    "truncation-order",
    says="Cutting upper layers off costs the parser more than NLI and QA",
    rests_on=MODELS,
    rule="With the output at layers 4 to 8 (those of them that were run), the share of its gain over the "
    "trivial score that a model loses is larger for Dep than for NLI and QA. (The paper prints no trivial "
    "scores, so there the gain counts from 0. Counted from chance, a third, its NLI would lose about as "
    "large a share as Dep.)" + _NO_LOSS,
    shows=lambda run: _losses(run, "truncation", ("NLI", "QA", "Dep"), (6,)),
)
def _truncation_order(run: Run) -> Iterator[Comparison]:
    for k in run.ablated_layers("truncation", "Dep", run.layers(4, 8)):
        for model in ("NLI", "QA"):
            more = run.share_lost("truncation", "Dep", k) - run.share_lost("truncation", model, k)
            yield Comparison(f"Dep minus {model} at {k}", ("Dep", model), more, above=0)


@_truncation(
    "truncation-few",
    says="Three layers are enough for NLI and five for QA, with comparable scores",
    rests_on=("NLI", "QA"),
    rule="With the output at layer 2 NLI loses less than a tenth of its gain over the trivial score, and QA"
    " at layer 4 less than 6 %." + _NO_LOSS,
    shows=lambda run: [*_losses(run, "truncation", ["NLI"], [2]), *_losses(run, "truncation", ["QA"], [4])],
)
def _truncation_few(run: Run) -> Iterator[Comparison]:
    for model, k in (("NLI", 2), ("QA", 4)):
        yield from _shares_lost(run, "truncation", model, [run.layer(k)], below=NOTABLE[model])


_BEYOND = " beyond the random encoder's difference on the same texts"


def _gaps(run: Run, layers: Iterable[int], control: str = "", below: float = 0.0) -> Iterator[Comparison]:
    for model in ("NLI", "QA"):
        for layer in layers:
            gap = run.domain_gap(model, control or run.domain_control(model), layer)
            yield Comparison(f"{model} at {layer}", (model,), gap, below=below)


def _gaps_at(run: Run, layers: Iterable[int], control: str = "") -> Pairs:
    return [(comparison.label, comparison.number) for comparison in _gaps(run, layers, control)]


@_domain(
    "domain-gap",
    says="Representations change more on the task's own text than on Wikipedia",
    rule="For NLI and QA at layers 8 to 10 RSA in domain lies below RSA on Wikipedia text of equal format "
    f"and length,{_BEYOND}. The paper has neither control: its numbers are judged as they are.",
    shows=lambda run: _gaps_at(run, (run.layer(8), run.layer(10))),
)
def _domain_gap(run: Run) -> Iterator[Comparison]:
    yield from _gaps(run, run.layers(8, 10))


@_domain(
    "domain-gap-size",
    says="At layer 10 the gap between the task's own text and Wikipedia exceeds .15 (as the figure reads)",
    rule="For NLI and QA at layer 10 RSA in domain is more than .15 below RSA on Wikipedia, compared alike.",
    shows=lambda run: _gaps_at(run, [run.layer(10)]),
)
def _domain_gap_size(run: Run) -> Iterator[Comparison]:
    yield from _gaps(run, [run.layer(10)], below=-0.15)


@_domain(
    "domain-single",
    says="The gap between the task's own text and Wikipedia is there for premises or questions alone as well",
    where="Section 6, footnote 7",
    rule="For NLI and QA at layers 8 to 10 RSA on single segments lies below RSA on Wikipedia's sentences,"
    f"{_BEYOND}.",
    shows=lambda run: _gaps_at(run, [run.layer(10)], "single"),
)
def _domain_single(run: Run) -> Iterator[Comparison]:
    yield from _gaps(run, run.layers(8, 10), "single")


@_domain(
    "domain-content",
    says="The gap between the task's own text and Wikipedia is due to domain (the paper's reading; it does "
    "not hold format, length or words equal)",
    where="Section 6",
    rule="For NLI and QA at layers 8 to 10 the difference lies below 0 with format, length and word types "
    f"held equal,{_BEYOND}.",
    shows=lambda run: _gaps_at(run, [run.layer(10)], "types"),
)
def _domain_content(run: Run) -> Iterator[Comparison]:
    yield from _gaps(run, run.layers(8, 10), "types")


def _seed_ranges(run: Run) -> dict[tuple[str, int], Number]:
    """By model and upper layer: the largest difference between two seeds' RSA to Base."""
    seeds = run.seeds.get("rsa", ())
    if len(seeds) < 2:
        raise Lacking("RSA of one fine-tuning seed only")
    layers = run.layers(8, LAST)
    return {(m, layer): run.rsa_seed_range(m, layer, seeds) for m in MODELS for layer in layers}


def _largest_seed_ranges(run: Run) -> Pairs:
    ranges = sorted(_seed_ranges(run).items(), key=lambda item: -item[1].value)
    return [(f"{model} at {layer}", number) for (model, layer), number in ranges[:2]]


@_claim(
    "seeds",
    says="The layer curves are alike from run to run (our reading; the paper repeats the pre-training as "
    "well)",
    where="Sections 3 and 5.1, Figure 2",
    needs=("rsa",),
    rests_on=MODELS,
    rule="At layers 8 to 11 RSA to Base differs by less than .1 between any two fine-tuning seeds of a "
    "model.",
    shows=_largest_seed_ranges,
    across_seeds=True,
)
def _seeds(run: Run) -> Iterator[Comparison]:
    for (model, layer), difference in _seed_ranges(run).items():
        yield Comparison(f"{model} at {layer}", (model,), difference, below=0.1)
