"""What a recorded run found, in sentences: the front page has all of them, a chapter the one on its subject.

Which sentence stands is chosen by intervals and by the rules of :mod:`.judging`, so all of them stay true
when the tables are replaced. Models that have not learnt their tasks are named as such and left out of the
rest. Numbers are means over fine-tuning seeds, with intervals of seeds and sentences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from helpers import results
from helpers.claims.claims import SMALL
from helpers.claims.judging import called, failing, judge
from helpers.claims.numbers import UNKNOWN, Comparison, Number, mean
from helpers.claims.run import Lacking, Run, known, over, seeds_of
from helpers.claims.show import counts
from helpers.claims.words import BASELINES, SCORES, TASKS, listed, ranges, with_verb
from helpers.results import by_interval
from helpers.vocabulary import HEADLINE, MODELS, SEMANTIC, SYNTACTIC

MUCH = 0.1  # above the best baseline, as the claim on learnt tasks asks: less is learnt "a little"
HARDLY = 0.01  # of a score: a change that is clearly smaller is hardly one
MIDDLE = (4, 6)  # the paper's layers, of which the last that was run is where ablations cut the stack in two


@dataclass(frozen=True)
class Finding:
    """A finding in a few words, and the sentences with the numbers that it rests on."""

    short: str
    long: str


def recorded(name: str = results.RUN) -> dict[str, Finding]:
    """The findings of a run recorded with the book, by subject.

    Raises KeyError for a run that there is not.
    """
    tables = results.recorded_run(name)
    return found(tables, results.recorded_settings(name)["encoder"])


def shown(subject: str, *analyses: str) -> Finding:
    """What pages say on a subject: the finding of their run, or of another that has the analyses, by name.

    Raises FileNotFoundError if no recorded run has them all.
    """
    name = results.run_with(*analyses)
    finding = recorded(name)[subject]
    if name == results.RUN:
        return finding
    encoder = called(results.recorded_settings(name)["encoder"])
    short = f"With {encoder}, {finding.short[0].lower()}{finding.short[1:]}"
    return Finding(short, f"{finding.long} These numbers are from {encoder}.")


def found(tables: Mapping[str, pd.DataFrame], encoder: str) -> dict[str, Finding]:
    """The findings of a run's tables, by subject.

    Subjects: ``answer, learnt, untested, probes, trees, depth, ablations, texts, rates, heads,
    verdicts``. ``encoder`` is the run's, as in its settings.
    """
    run = Run(tables)
    able = learnt(run)
    mixed, top = (_edge_changes(run, able, metric) for metric in ("micro_f1", "micro_f1_top"))
    return {
        "answer": _answer(mixed, top),
        "learnt": _learnt(run, able, called(encoder)),
        "untested": _untested(run, able),
        "probes": _probes(mixed, top),
        "trees": _trees(run, able),
        "depth": _depth(run, able),
        "ablations": _ablations(run),
        "texts": _texts(run, able),
        "rates": _rates(run),
        "heads": _heads(run),
        "verdicts": _verdicts(tables, encoder),
    }


def learnt(run: Run, analysis: str = "finetuning") -> list[str]:
    """The models that have learnt their tasks; in an ablation those that have with nothing ablated."""
    seeds = seeds_of(run, analysis)
    there = [m for m in MODELS if known(run, analysis, Run.score, m, analysis)]
    return [model for model in there if not run.unlearnt(model, analysis, seeds)]


def blocks(run: Run) -> str:
    """What the blocks of Base do by themselves, in a sentence; claims on depth presuppose that they do."""
    if "rsa_between_layers" not in run.analyses:
        return "What each block of Base does by itself was not recorded."
    idle = run.idle_blocks()
    if not idle:
        return f"Each of the {run.last + 1} blocks of Base clearly changes which tokens are alike."
    does = "does" if len(idle) == 1 else "do"
    return (
        f"{len(idle)} of the {run.last + 1} blocks of Base {does} almost nothing by this measure: "
        f"{listed(map(str, idle))}."
    )


def similarity(run: Run, models: Iterable[str], metric: str = "rsa_pearson") -> pd.DataFrame:
    """RSA to Base, over seeds: ``model, layer, value, ci_low, ci_high``, from layer 0 on."""
    rows = []
    for model in models:
        for layer in range(run.last + 1):
            number = known(run, "rsa", Run.get, "rsa", metric, model, "", layer)
            if number:
                rows.append((model, layer, number.value, number.low, number.high))
    return pd.DataFrame(rows, columns=["model", "layer", "value", "ci_low", "ci_high"])


def direction(run: Run) -> str:
    """Which models' change at the last layer is one of the direction that all their vectors share.

    Those whose RSA lies clearly below the random encoder's on raw vectors, and clearly above it on centred
    ones.
    """
    turned = []
    for model in learnt(run):
        sides = []
        for metric in ("rsa_pearson", "rsa_pearson_centred"):
            at = ("rsa", metric)
            own = known(run, "rsa", Run.get, *at, model, "", run.last)
            floor = known(run, "rsa", Run.get, *at, "Random", "", run.last)
            sides.append(own - floor if own and floor else UNKNOWN)
        raw, centred = sides
        turned += [model] if raw.high < 0 < centred.low else []
    if not turned:
        return "No model is below the floor on raw vectors and above it after centring."
    return (
        f"Below the floor on raw vectors but above it after centring: {listed(turned)}. Most of that change "
        "is in the direction that all vectors of a model share."
    )


# -- each of the findings ------------------------------------------------------------------------------


def _answer(mixed: dict[str, Number], top: dict[str, Number]) -> Finding:
    """What fine-tuning does to what an encoder knows, by changes in F1 on the mix and at the last layer."""
    if not mixed:
        return Finding("No answer.", "No model that was probed has learnt its task.")
    lost, lost_above = _n_lost(mixed), _n_lost(top)
    points = f"{100 * SMALL:.0f} points"
    if lost:
        short = "It gives some of it up."
        long = f"Even where a probe may read any layer, {lost} of {len(mixed)} scores fall by "
        long += f"over {points}."
    elif lost_above:
        gained_above = _n_gained(top)
        short = "Mostly it keeps it, but less of it reaches the top."
        long = (
            f"Where a probe may read any layer, none of {len(mixed)} scores clearly falls by over {points}; "
            f"at the last layer alone {with_verb(lost_above, 'does', 'do')}"
        )
        if gained_above:
            short = "Mostly it keeps it, but the last layer gives up some of it for the task."
            long += f", and {with_verb(gained_above, 'rises', 'rise')} by as much"
        long += "."

    else:
        short = "It keeps nearly all of it."
        long = f"None of {len(mixed)} probing scores clearly falls by over {points}."
    return Finding(short, long)


def _learnt(run: Run, able: list[str], encoder: str) -> Finding:
    sentences: list[str] = []
    well: list[str] = []
    little: list[str] = []
    for model in able:
        score, gain = over(run, "finetuning", Run.score, model), over(run, "finetuning", Run.gain, model)
        name, _ = run.best_trivial(model, seeds_of(run, "finetuning"))
        (well if gain.value >= MUCH else little).append(TASKS[model])
        sentences.append(
            f"{model} reaches {SCORES[HEADLINE[model]]} {score.text(points=True, interval=False)}, "
            f"{gain.text(points=True)} points above the best baseline, {BASELINES.get(name, name)}."
        )
    unable = [TASKS[model] for model in MODELS if model not in able]
    parts = [listed(well)] if well else []
    parts += [f"{listed(little)} a little"] if little else []
    short = f"{encoder} learnt {', and '.join(parts) if parts else 'none of the three tasks'}"
    short += f", but not {listed(unable)}." if able and unable else "."
    return Finding(short, " ".join(sentences))


def _untested(run: Run, able: list[str]) -> Finding:
    unable = [model for model in MODELS if model not in able]
    ablated = {
        model: analysis
        for analysis in ("truncation", "partial_freezing")
        for model in able
        if run.unlearnt(model, analysis, seeds_of(run, analysis))
    }
    aside = [
        f"In the ablations, which hold out training records, {_falls_short(run, model, analysis)}, so its "
        "ablations decide nothing."
        for model, analysis in ablated.items()
    ]
    if not unable and aside:
        return Finding(
            "Every model learnt its task, but not every one that the ablations begin from.",
            f"Every model learnt its task. {' '.join(aside)}",
        )
    if not unable:
        return Finding("Every model learnt its task.", "Every model learnt its task, so none is left out.")
    sentences = [f"{_falls_short(run, model, 'finetuning')}." for model in unable]
    their = "its task" if len(unable) == 1 else "their tasks"
    return Finding(
        f"We can conclude nothing about {listed(unable)}, which did not learn {their}.",
        f"{' '.join([*sentences, *aside])} What tuning does to an encoder that has not learnt the task says "
        "nothing about the task.",
    )


def _falls_short(run: Run, model: str, analysis: str) -> str:
    """How far a model that has not learnt its task gets, in an ablation that with nothing ablated."""
    score = known(run, analysis, Run.score, model, analysis)
    if score is None:
        return f"{model} has no score in this run"
    name, trivial = run.best_trivial(model, seeds_of(run, analysis))
    whole = "" if analysis == "finetuning" else " with nothing ablated"
    return (
        f"{model}{whole} reaches {SCORES[HEADLINE[model]]} {score.text(points=True)}, which is not clearly "
        f"above the {trivial.text(points=True, interval=False)} of {BASELINES.get(name, name)}"
    )


def _probes(mixed: dict[str, Number], top: dict[str, Number]) -> Finding:
    if not mixed:
        return Finding("Probes could not be compared.", "No model that was probed has learnt its task.")
    short, long = (
        f"Probes that may read any layer {_losing(mixed)}",
        _counted(mixed, "on a mix of all layers"),
    )
    if top:
        short += f"; those of the last layer alone {_losing(top)}"
        long += f" {_counted(top, 'on the last layer alone')}"
    return Finding(f"{short}.", long)


def _trees(run: Run, able: list[str]) -> Finding:
    changes = {model: _tree_changes(run, model) for model in able}
    there = {model: by_layer for model, by_layer in changes.items() if by_layer}
    if not there:
        return Finding("Trees could not be compared.", "No model that was probed has learnt its task.")
    last = {model: by_layer[run.last] for model, by_layer in there.items() if run.last in by_layer}
    easier = [model for model, change in last.items() if change.low > 0]
    harder = [model for model, change in last.items() if change.high < 0]
    below = [
        m for m, by_layer in there.items() if any(c.high < 0 for k, c in by_layer.items() if k < run.last)
    ]
    parts = [f"easier to read off the last layer of {listed(easier)}"] if easier else []
    parts += [f"harder off the last layer of {listed(harder)}"] if harder else []
    parts += [f"harder off lower layers of {listed(below)}"] if below else []
    short = f"Syntax trees become {listed(parts)}." if parts else "Trees are as easy to read as before."
    return Finding(short, " ".join(tree_text(run, model) for model in there))


def _n_lost(changes: dict[str, Number]) -> int:
    """How many of the changes in F1 are clearly losses of more than :data:`SMALL`."""
    return sum(change.high < -SMALL for change in changes.values())


def _n_gained(changes: dict[str, Number]) -> int:
    """How many of the changes in F1 are clearly gains of more than :data:`SMALL`."""
    return sum(change.low > SMALL for change in changes.values())


def _losing(changes: dict[str, Number]) -> str:
    """:func:`_n_lost` and :func:`_n_gained` as a predicate."""
    lost, gained = _n_lost(changes), _n_gained(changes)
    limit = f"more than {100 * SMALL:.0f} points"
    if not lost:
        return f"lose little (in none of {len(changes)} scores clearly {limit})"
    and_gain = f" and gain as much in {gained}" if gained else ""
    return f"clearly lose {limit} in {lost} of {len(changes)} scores{and_gain}"


def _counted(changes: dict[str, Number], where: str) -> str:
    """Changes in F1 by how large they are, and the largest loss, in a sentence."""
    limit = f"{100 * SMALL:.0f} points"
    lost = {name: c for name, c in changes.items() if c.high < -SMALL}
    gained = _n_gained(changes)
    within = sum(-SMALL < c.low and c.high < SMALL for c in changes.values())
    rest = len(changes) - len(lost) - gained - within
    text = (
        f"Of {len(changes)} changes in F1 of probes {where}, {with_verb(len(lost), 'is', 'are')} clearly a "
        f"loss of more than {limit}, {with_verb(gained, 'is', 'are')} clearly a gain of more, "
        f"{with_verb(within, 'is', 'are')} clearly smaller, {with_verb(rest, 'is', 'are')} uncertain"
    )
    worst = sorted(lost, key=lambda name: lost[name].value)[:3]
    shown = [f"{name} {lost[name].text(points=True, signed=True)}" for name in worst]
    largest = f" (largest loss{'es' if len(shown) > 1 else ''}: {'; '.join(shown)})" if shown else ""
    return f"{text}{largest}."


def _edge_changes(run: Run, models: Iterable[str], metric: str) -> dict[str, Number]:
    """Changes in F1 of edge probes that have intervals, by "model on task"."""
    layer = run.last if metric.endswith("_top") else None
    there = {}
    for model in models:
        for task in SYNTACTIC + SEMANTIC:
            at = ("edge_probing_delta", metric, model, task, layer)
            change = known(run, "edge_probing_delta", Run.get, *at)
            if change:
                there[f"{model} on {task}"] = change
    return there


def _tree_changes(run: Run, model: str) -> dict[int, Number]:
    """A model's changes in UUAS by layer."""
    analysis = "structural_probe_delta"
    found = {k: known(run, analysis, Run.structure, model, "uuas", k) for k in range(run.last + 1)}
    return {k: change for k, change in found.items() if change}


def tree_text(run: Run, model: str) -> str:
    """How a model's UUAS changes at the last layer and below it, in a sentence."""
    changes, texts = _tree_changes(run, model), []
    if run.last in changes:
        last = changes[run.last]
        size = f"({last.text(points=True, signed=True)} points)"
        texts.append(
            by_interval(
                last.low,
                last.high,
                above=f"UUAS at the last layer of {model} clearly rises {size}",
                below=f"UUAS at the last layer of {model} clearly falls {size}",
                neither=f"UUAS at the last layer of {model} does not clearly change {size}",
            )
        )
    down = {k: c for k, c in changes.items() if k < run.last and c.high < 0}
    if down:
        sizes = sorted(-100 * c.value for c in down.values())
        by = f"{sizes[0]:.1f}" if len(sizes) == 1 else f"{sizes[0]:.1f} to {sizes[-1]:.1f}"
        texts.append(f"at {ranges(list(down))} it clearly falls (by {by} points)")
    text = "; ".join(texts) or f"UUAS of {model} clearly changes at no layer"
    return f"{text[0].upper()}{text[1:]}."


def _depth(run: Run, able: list[str]) -> Finding:
    sentences, lowest = [], []
    for model in able:
        last = known(run, "rsa", Run.rsa, model, run.last)
        if last is None:
            continue
        more = [Comparison("", (model,), rsa_minus_last(run, model, k), above=0) for k in range(run.last)]
        fails = failing(more)
        if all(comparison.holds for comparison in more):
            lowest.append(model)
            sentences.append(f"{model} is least similar to Base at the last layer (RSA {last.text()}).")
        elif any(fails):
            k = min((k for k, fail in enumerate(fails) if fail), key=lambda k: more[k].number.value)
            least = over(run, "rsa", Run.rsa, model, k)
            sentences.append(
                f"{model} is less similar to Base at layer {k} than at the last layer "
                f"(RSA {least.text()} against {last.text()})."
            )
        else:
            sentences.append(f"{model} ends at RSA {last.text()}; its lowest layer is uncertain.")
    if not sentences:
        return Finding(
            "Where change lies could not be compared.", "No model that was compared has learnt its task."
        )
    compared = len(sentences)
    below, beside = _beside_floor(run, able)
    floor = known(run, "rsa", Run.rsa, "Random", run.last)
    for models, than in ((below, "less"), (beside, "not clearly more")):
        if models and floor:
            sentences.append(
                f"The last layer of {listed(models)} is {than} similar to Base than a random encoder's is "
                f"({floor.text(interval=False)})."
            )

    sentences.append("In the paper every model is least similar at the last layer.")
    if len(lowest) == compared:
        short = "The last layer changes most."
        if unlike := below + beside:
            short = (
                f"The last layer changes most; in {listed(unlike)} it is not clearly more like Base than an "
                "untrained encoder is."
            )

    elif lowest:
        short = f"Only in {listed(lowest)} does the last layer change most."
    else:
        short = "The last layer is not clearly the one that changes most."
    return Finding(short, " ".join(sentences))


def _beside_floor(run: Run, able: list[str]) -> tuple[list[str], list[str]]:
    """Models whose last layer is clearly less similar to Base than a random encoder's, then those between."""
    floor = known(run, "rsa", Run.rsa, "Random", run.last)
    ends = {model: known(run, "rsa", Run.rsa, model, run.last) for model in able}
    above = {model: end - floor for model, end in ends.items() if end and floor}
    below = [model for model, gap in above.items() if gap.high < 0]
    return below, [model for model, gap in above.items() if gap.low <= 0 <= gap.high]


def rsa_minus_last(run: Run, model: str, layer: int) -> Number:
    """RSA to Base at a layer minus that at the last, over seeds; paired where the run has such rows."""
    analysis = "rsa_contrast" if "rsa_contrast" in run.analyses else "rsa"
    return over(run, analysis, Run.rsa_minus_last, model, layer)


def _ablations(run: Run) -> Finding:
    ways = {"partial_freezing": "Freezing layers 0 to {k}", "truncation": "Removing the layers above {k}"}
    if not ways.keys() & run.analyses:
        return Finding("Which layers a task needs was not recorded.", "No model was ablated in this run.")
    sentences, n_seeds = [], set()
    costly: dict[str, list[str]] = {name: [] for name in ways}
    free: dict[str, list[str]] = {name: [] for name in ways}

    for analysis, what in ways.items():
        for model in learnt(run, analysis) if analysis in run.analyses else []:
            try:
                first = run.of_seed(seeds_of(run, analysis)[0])
                k = first.ablated_layers(analysis, model, run.layers(*MIDDLE))[-1]
                loss = over(run, analysis, Run.loss, analysis, model, k)
            except Lacking:
                continue
            n_seeds.add(len(run.seeds.get(analysis, ())))
            points = f"{(loss * -1).text(points=True, signed=True)} points of {SCORES[HEADLINE[model]]}"
            (costly if loss.low > 0 else free)[analysis].append(model)

            effect = by_interval(
                loss.low,
                loss.high,
                above=f"lowers the score of {model}",
                below=f"raises the score of {model}",
                neither=f"has no clear effect on {model}",
            )
            if -HARDLY < loss.low and loss.high < HARDLY:
                effect = f"hardly changes the score of {model}"
            sentences.append(f"{what.format(k=k)} {effect} ({points}).")

    if not sentences:
        return Finding(
            "Which layers a task needs could not be tested.", "No ablated model has learnt its task."
        )
    if n_seeds == {1}:
        sentences.append("All of this rests on one fine-tuning seed.")
    halves = {"partial_freezing": "freezing the lower half of the blocks"}
    halves["truncation"] = "removing the upper half of the blocks"
    parts = []
    for analysis, half in halves.items():
        if costly[analysis]:
            score = "score" if len(costly[analysis]) == 1 else "scores"
            part = f"{half} lowers the {score} of {listed(costly[analysis])}"
            parts.append(f"{part}, but not clearly of {listed(free[analysis])}" if free[analysis] else part)
        elif free[analysis]:
            parts.append(f"{half} has no clear cost for {listed(free[analysis])}")
    text = "; ".join(parts)
    short = f"{text[0].upper()}{text[1:]}."

    if n_seeds == {1}:
        short = f"{short.removesuffix('.')} (one fine-tuning seed)."
    return Finding(short, " ".join(sentences))


def _texts(run: Run, able: list[str]) -> Finding:
    if "out_of_domain_gap" not in run.analyses:
        return Finding("Whether the text matters was not recorded.", "No model read other text in this run.")
    sentences, further = [], []
    for model in able:
        gap = known(run, "out_of_domain_gap", domain_gap, model)
        if gap is None:
            continue
        own = over(run, "out_of_domain_gap", _own_gap, model)
        size = f"(difference in RSA {gap.text(signed=True)})"
        if (gap.high < 0 and not own.high < 0) or (gap.low > 0 and not own.low > 0):
            sentences.append(
                f"{model} differs between its own texts and Wikipedia only after subtracting a random "
                f"encoder's gap (difference in RSA {gap.text(signed=True)}, before that "
                f"{own.text(signed=True)})."
            )
        elif gap.high < 0:
            further.append(model)
            sentences.append(f"{model} is less similar to Base on its own texts than on Wikipedia {size}.")
        elif gap.low > 0:
            sentences.append(f"{model} is more similar to Base on its own texts than on Wikipedia {size}.")
        else:
            sentences.append(f"{model} shows no clear difference between its own texts and Wikipedia {size}.")
    if not sentences:
        return Finding(
            "Whether the text matters could not be tested.", "No model that was compared has learnt its task."
        )
    sentences.append(
        f"Compared at {_span(run.layers(8, 10))}, after subtracting a random encoder's gap on the same texts."
    )
    short = (
        f"On its own task's text {listed(further)} has changed more than on other text."
        if further
        else "No model has clearly changed more on its own task's text than on other text."
    )
    return Finding(short, " ".join(sentences))


def domain_gap(run: Run, model: str, control: str = "") -> Number:
    """RSA in domain minus out of domain, minus the random encoder's: mean of the paper's layers 8 to 10.

    ``control`` is the comparison of texts; by default that of equal format and length where it was run.
    """
    control = control or run.domain_control(model)
    return mean(run.domain_gap(model, control, layer) for layer in run.layers(8, 10))


def _own_gap(run: Run, model: str) -> Number:
    """As :func:`domain_gap`, the random encoder's not taken off: it has another scale."""
    at = ("out_of_domain_gap", "rsa_gap", model, run.domain_control(model))
    return mean(run.get(*at, layer) for layer in run.layers(8, 10))


def _rates(run: Run) -> Finding:
    """Whether the learning rate moves a model further from Base than another seed does."""
    sentences, moved = [], []
    for model in MODELS if "rsa_by_rate" in run.analyses else []:
        seeds = seeds_of(run, "rsa_by_rate")
        first = run.of_seed(seeds[0])
        rates = sorted(
            first.inputs("rsa_by_rate", "rsa_pearson", model), key=lambda name: float(name.split()[-1])
        )
        trivial = run.best_trivial(model, seeds)[1].value
        reached = [
            known(run, "rsa_by_rate", Run.get, "rsa_by_rate", HEADLINE[model], model, r) for r in rates
        ]
        if len(rates) < 2 or not all(score and score.low > trivial for score in reached):
            sentences.append(f"{model} did not learn its task at every rate, so its rates are not compared.")
            continue
        low, high = (
            known(run, "rsa_by_rate", _upper, "rsa_by_rate", model, r) for r in (rates[0], rates[-1])
        )
        own = [_upper(run.of_seed(seed), "rsa", model).value for seed in run.seeds.get("rsa", ())]
        if low is None or high is None or len(own) < 2:
            sentences.append(
                f"How much the seeds of {model} differ is not known, so its rates are not compared."
            )
            continue
        apart, spread = low - high, max(own) - min(own)
        where = _span(run.layers(8, 10))
        numbers = f"(RSA at {where}: {low.text()} at {rates[0]}, {high.text()} at {rates[-1]}"
        numbers += f"; seeds differ by {spread:.2f})"
        if (apart.low > 0 or apart.high < 0) and abs(apart.value) > spread:
            moved.append(model)
            side = "more" if apart.value < 0 else "less"
            sentences.append(
                f"At the larger rate {model} is {side} similar to Base, by more than its seeds differ "
                f"{numbers}."
            )
        else:
            sentences.append(f"For {model}, two rates differ no more than two seeds do {numbers}.")
    if not sentences:
        return Finding(
            "The role of the learning rate was not recorded.", "No model was tuned at several rates."
        )
    short = (
        f"The learning rate matters for {listed(moved)}."
        if moved
        else "No effect of the learning rate is shown."
    )
    return Finding(short, " ".join(sentences))


def _span(layers: list[int]) -> str:
    """Layers in words; of several the mean is meant."""
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]} on average"


def _upper(run: Run, analysis: str, model: str, inputs: str = "") -> Number:
    """Mean RSA to Base at the paper's layers 8 to 10."""
    layers = run.layers(8, 10)
    return mean(run.get(analysis, "rsa_pearson", model, inputs, layer) for layer in layers)


def _heads(run: Run) -> Finding:
    """What a frozen encoder's head gains by a learning rate of its own."""
    analysis, sentences, gaining = "partial_freezing", [], []
    if analysis not in run.analyses:
        return Finding("Heads of frozen encoders were not recorded.", "No model was frozen in this run.")
    for model in learnt(run, analysis):
        at = (analysis, HEADLINE[model], model)
        one = known(run, analysis, Run.get, *at, "one_rate", run.last)
        own = known(run, analysis, Run.get, *at, "tuned_head", run.last)
        if one is None or own is None:
            continue
        gain = own - one
        gaining += [model] if gain.low > 0 else []
        clear = by_interval(gain.low, gain.high, above="higher", below="lower", neither="not clearly higher")
        scores = f"{own.text(points=True)} against {one.text(points=True)} {SCORES[HEADLINE[model]]}"
        sentences.append(
            f"With every block frozen, {model} scores {clear} when the head has its own rate than at one "
            f"rate ({scores})."
        )
    if not sentences:
        return Finding(
            "Heads of frozen encoders could not be compared.", "No ablated model has learnt its task."
        )
    short = "A rate of its own does not clearly help the head of a frozen encoder."
    if gaining:
        short = f"In {listed(gaining)}, part of the loss from freezing comes from an undertrained head."
    return Finding(short, " ".join(sentences))


def _verdicts(tables: Mapping[str, pd.DataFrame], encoder: str) -> Finding:
    judged = judge(tables, encoder=encoder)
    numbers = counts(judged)
    unable = int(numbers["unable"])
    return Finding(
        f"Of the {len(judged)} claims that we take from the paper: {numbers['count']}.",
        f"In {unable} of them a model had to be left out because it had not learnt its task."
        if unable
        else "Those that were tested rest on models that have learnt their tasks.",
    )
