"""What a recorded run found, in sentences: the front page has all of them, a chapter the one on its subject.

Which sentence stands is chosen by intervals and by the rules of :mod:`.judging`, so all of them stay true
when the tables are replaced. Models that have not learnt their tasks are named as such and left out of the
rest. Numbers are means over fine-tuning seeds, with intervals of seeds and sentences.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from helpers import results
from helpers.claims.claims import SMALL
from helpers.claims.judging import called, failing, judge
from helpers.claims.numbers import UNKNOWN, Comparison, Number, mean, over_seeds
from helpers.claims.run import ALL, Lacking, Run
from helpers.claims.show import counts
from helpers.results import by_interval
from helpers.vocabulary import HEADLINE, MODELS, SEMANTIC, SYNTACTIC

SCORES = {"las": "LAS", "accuracy": "accuracy", "f1": "F1"}
TASKS = {"Dep": "parsing", "NLI": "inference", "QA": "question answering"}
BASELINES = {
    "untrained": "an untrained head",
    "majority": "the most frequent answer",
    "hypothesis_only": "a classifier that reads only the hypothesis",
    "question_blind": "a reader that never sees the question",
    "bag_of_words": "a classifier of the words alone",
    "longest_name": "the longest name of the passage",
    "next_word": "attaching each word to the next",
    "previous_word": "attaching each word to the one before",
}
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
    return Finding(short, f"{finding.long} These are numbers of {encoder}.")


def found(tables: Mapping[str, pd.DataFrame], encoder: str) -> dict[str, Finding]:
    """The findings of a run's tables, by subject.

    Subjects: ``learnt, untested, probes, depth, ablations, texts, rates, heads, verdicts``. ``encoder`` is
    the run's, as in its settings.
    """
    run = Run(tables)
    able = learnt(run)
    return {
        "learnt": _learnt(run, able, called(encoder)),
        "untested": _untested(run, able),
        "probes": _probes(run, able),
        "depth": _depth(run, able),
        "ablations": _ablations(run),
        "texts": _texts(run, able),
        "rates": _rates(run),
        "heads": _heads(run),
        "verdicts": _verdicts(tables, encoder),
    }


def learnt(run: Run, analysis: str = "finetuning") -> list[str]:
    """The models that have learnt their tasks; in an ablation those that have with nothing ablated."""
    seeds = _seeds(run, analysis)
    there = [m for m in MODELS if _known(run, analysis, Run.score, m, analysis)]
    return [model for model in there if not run.unlearnt(model, analysis, seeds)]


def blocks(run: Run) -> str:
    """What the blocks of Base do by themselves, in a sentence; claims on depth presuppose that they do."""
    if "rsa_between_layers" not in run.analyses:
        return "What each block of Base does by itself was not recorded."
    idle = run.idle_blocks()
    if not idle:
        return f"Each of the {run.last + 1} blocks of Base changes the similarities of its input clearly."
    does = "does" if len(idle) == 1 else "do"
    return (
        f"{len(idle)} of the {run.last + 1} blocks of Base {does} next to nothing by this measure: "
        f"{listed(map(str, idle))}."
    )


def similarity(run: Run, models: Iterable[str], metric: str = "rsa_pearson") -> pd.DataFrame:
    """RSA to Base, over seeds: ``model, layer, value, ci_low, ci_high``, from layer 0 on."""
    rows = []
    for model in models:
        for layer in range(run.last + 1):
            number = _known(run, "rsa", Run.get, "rsa", metric, model, "", layer)
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
            own = _known(run, "rsa", Run.get, *at, model, "", run.last)
            floor = _known(run, "rsa", Run.get, *at, "Random", "", run.last)
            sides.append(own - floor if own and floor else UNKNOWN)
        raw, centred = sides
        turned += [model] if raw.high < 0 < centred.low else []
    if not turned:
        return "No model is below the floor on raw vectors and above it after centring."
    return (
        f"Below the floor on raw vectors but above it after centring: {listed(turned)}. That is mostly a "
        "change of the direction that all vectors of a model share."
    )


def over(run: Run, analysis: str, number: Callable[..., Number], *of: object) -> Number:
    """``number(run, *of)`` over the fine-tuning seeds of an analysis, as the run has it or pooled.

    ``number`` is a method of :class:`.run.Run`. Raises :class:`.run.Lacking` if the run does not have it.
    """
    seeds = _seeds(run, analysis)
    try:
        return over_seeds([number(run.of_seed(seed), *of) for seed in seeds])
    except Lacking:  # not every number over seeds is in the tables
        single = sorted(run.seeds.get(analysis, set()))
        if seeds != [ALL] or not single:
            raise
        return over_seeds([number(run.of_seed(seed), *of) for seed in single])


def listed(names: Iterable[str]) -> str:
    """Names as a phrase: A; A and B; A, B and C."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _seeds(run: Run, analysis: str) -> list[int | None]:
    if analysis in run.pooled:
        return [ALL]
    return [*sorted(run.seeds.get(analysis, set()))] or [None]


def _known(run: Run, analysis: str, number: Callable[..., Number], *of: object) -> Number | None:
    """As :func:`over`, but None if the run lacks the number or its interval."""
    try:
        there = over(run, analysis, number, *of)
    except Lacking:
        return None
    return None if math.isnan(there.low) else there


# -- each of the findings ------------------------------------------------------------------------------


def _learnt(run: Run, able: list[str], encoder: str) -> Finding:
    sentences = []
    for model in able:
        gain = over(run, "finetuning", Run.gain, model)
        text = f"{gain.text(points=True)} points of {SCORES[HEADLINE[model]]}"
        sentences.append(f"{model} is {text} above the best trivial score.")
    unable = [model for model in MODELS if model not in able]
    short = f"{encoder} learnt {listed(TASKS[m] for m in able) if able else 'none of the three tasks'}"
    short += f", but not {listed(TASKS[m] for m in unable)}." if able and unable else "."
    return Finding(short, " ".join(sentences))


def _untested(run: Run, able: list[str]) -> Finding:
    sentences, unable = [], [model for model in MODELS if model not in able]
    if not unable:
        return Finding("Every model learnt its task.", "Every model learnt its task, so none is left out.")
    for model in unable:
        score = _known(run, "finetuning", Run.score, model)
        if score is None:
            sentences.append(f"{model} has no score in this run.")
            continue
        name, trivial = run.best_trivial(model, _seeds(run, "finetuning"))
        text = f"{SCORES[HEADLINE[model]]} {score.text(points=True)}"
        other = f"{trivial.text(points=True, interval=False)} of {BASELINES.get(name, name)}"
        sentences.append(f"{model} reaches {text}, which is not clearly above the {other}.")
    return Finding(
        f"Nothing can be said of {listed(unable)}.",
        f"{' '.join(sentences)} What tuning does to an encoder that has not learnt the task says nothing "
        "about the task.",
    )


def _probes(run: Run, able: list[str]) -> Finding:
    limit = f"{100 * SMALL:.0f} points of F1"
    changes = {(model, task): _edge(run, model, task) for model in able for task in SYNTACTIC + SEMANTIC}
    known = {key: change for key, change in changes.items() if change}
    lost = {f"{m} on {t}": c for (m, t), c in known.items() if c.high < -SMALL}
    gained = {f"{m} on {t}": c for (m, t), c in known.items() if c.low > SMALL}
    within = sum(-SMALL < c.low and c.high < SMALL for c in known.values())
    sentences = []
    if known:
        rest = len(known) - len(lost) - len(gained) - within
        counted = f"clearly smaller: {within}, clear gains of more: {len(gained)}, uncertain: {rest}"
        if lost:
            worst = min(lost, key=lambda key: lost[key].value)
            are = "is a clear loss" if len(lost) == 1 else "are clear losses"
            first = f"{len(lost)} of {len(known)} changes in edge probes {are} of more than {limit}, "
            first += f"the largest {lost[worst].text(points=True, signed=True)} of {worst}"
        else:
            first = f"None of {len(known)} changes in edge probes is clearly a loss of more than {limit}"
        sentences.append(f"{first} ({counted}).")
    faded = []
    for model in able:
        trees = _known(run, "structural_probe_delta", Run.structure, model, "uuas", run.last)
        if trees is None:
            continue
        change = f"(UUAS {trees.text(points=True, signed=True)} points)"
        faded += [model] if trees.high < 0 else []
        sentences.append(
            by_interval(
                trees.low,
                trees.high,
                above=f"Trees are easier to read off the last layer of {model} {change}.",
                below=f"Trees are harder to read off the last layer of {model} {change}.",
                neither=f"Trees are no clearer and no fainter in the last layer of {model} {change}.",
            )
        )
    if not sentences:
        return Finding(
            "What probes find could not be compared.", "No model that was probed has learnt its task."
        )
    short = "Edge probes find large losses" if lost else "Edge probes find no large loss"
    if lost and within > len(known) / 2:
        short = f"Most changes in edge probes are small; large losses: {listed(lost)}"
    short += f"; trees fade from the last layer of {listed(faded)}." if faded else "."
    if not known:
        short = short.split("; ")[-1]
    return Finding(short[0].upper() + short[1:], " ".join(sentences))


def _edge(run: Run, model: str, task: str) -> Number | None:
    return _known(run, "edge_probing_delta", Run.edge, model, task)


def _depth(run: Run, able: list[str]) -> Finding:
    sentences, lowest = [], []
    for model in able:
        last = _known(run, "rsa", Run.rsa, model, run.last)
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
    below = _below_floor(run, able)
    if below:
        sentences.append(f"At the last layer {listed(below)} is less like Base than a random encoder is.")
    sentences.append("In the paper every model is least similar at the last layer.")
    if len(lowest) == compared:
        short = "The last layer changes most."
    elif lowest:
        short = f"Only in {listed(lowest)} does the last layer change most."
    else:
        short = "The last layer is not clearly the one that changes most."
    return Finding(short, " ".join(sentences))


def _below_floor(run: Run, able: list[str]) -> list[str]:
    """The models whose RSA at the last layer lies clearly below that of the random encoder."""
    floor = _known(run, "rsa", Run.rsa, "Random", run.last)
    if floor is None:
        return []
    ends = {m: _known(run, "rsa", Run.rsa, m, run.last) for m in able}
    return [model for model, end in ends.items() if end and (end - floor).high < 0]


def rsa_minus_last(run: Run, model: str, layer: int) -> Number:
    """RSA to Base at a layer minus that at the last, over seeds; paired where the run has such rows."""
    analysis = "rsa_contrast" if "rsa_contrast" in run.analyses else "rsa"
    return over(run, analysis, Run.rsa_minus_last, model, layer)


def _ablations(run: Run) -> Finding:
    ways = {"partial_freezing": "Freezing layers 0 to {k}", "truncation": "Removing the layers above {k}"}
    if not ways.keys() & run.analyses:
        return Finding("Which layers a task needs was not recorded.", "No model was ablated in this run.")
    sentences, costly, n_seeds = [], [], set()
    for analysis, what in ways.items():
        for model in learnt(run, analysis) if analysis in run.analyses else []:
            try:
                first = run.of_seed(_seeds(run, analysis)[0])
                k = first.ablated_layers(analysis, model, run.layers(*MIDDLE))[-1]
                loss = over(run, analysis, Run.loss, analysis, model, k)
            except Lacking:
                continue
            n_seeds.add(len(run.seeds.get(analysis, ())))
            points = f"{SCORES[HEADLINE[model]]} {(loss * -1).text(points=True, signed=True)} points"
            costly.append(loss.low > 0)
            effect = by_interval(
                loss.low,
                loss.high,
                above=f"lowers the score of {model}",
                below=f"raises the score of {model}",
                neither=f"has no clear effect on {model}",
            )
            sentences.append(f"{what.format(k=k)} {effect} ({points}).")
    if not sentences:
        return Finding(
            "Which layers a task needs could not be tested.", "No ablated model has learnt its task."
        )
    if n_seeds == {1}:
        sentences.append("All of this rests on one fine-tuning seed.")
    if not any(costly):
        short = "Half the stack can be frozen or removed at no clear cost."
    elif all(costly):
        short = "Every task needs both halves of the stack."
    else:
        short = "Which half of the stack is needed depends on the task."
    if n_seeds == {1}:
        short = f"{short.removesuffix('.')} (one fine-tuning seed)."
    return Finding(short, " ".join(sentences))


def _texts(run: Run, able: list[str]) -> Finding:
    if "out_of_domain_gap" not in run.analyses:
        return Finding("Whether the text matters was not recorded.", "No model read other text in this run.")
    sentences, further = [], []
    for model in able:
        gap = _known(run, "out_of_domain_gap", domain_gap, model)
        if gap is None:
            continue
        own = over(run, "out_of_domain_gap", _own_gap, model)
        size = f"(RSA {gap.text(signed=True)})"
        if (gap.high < 0 and not own.high < 0) or (gap.low > 0 and not own.low > 0):
            sentences.append(
                f"{model} differs between its own texts and Wikipedia only once the gap of a random encoder "
                f"is taken off (RSA {gap.text(signed=True)}, before that {own.text(signed=True)})."
            )
        elif gap.high < 0:
            further.append(model)
            sentences.append(f"{model} lies further from Base on its own texts than on Wikipedia {size}.")
        elif gap.low > 0:
            sentences.append(f"{model} lies nearer to Base on its own texts than on Wikipedia {size}.")
        else:
            sentences.append(f"{model} shows no clear difference between its own texts and Wikipedia {size}.")
    if not sentences:
        return Finding(
            "Whether the text matters could not be tested.", "No model that was compared has learnt its task."
        )
    sentences.append(
        f"Compared at {_span(run.layers(8, 10))}; what a random encoder shows on the same texts is taken off."
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
        seeds = _seeds(run, "rsa_by_rate")
        first = run.of_seed(seeds[0])
        rates = sorted(
            first.inputs("rsa_by_rate", "rsa_pearson", model), key=lambda name: float(name.split()[-1])
        )
        trivial = run.best_trivial(model, seeds)[1].value
        reached = [
            _known(run, "rsa_by_rate", Run.get, "rsa_by_rate", HEADLINE[model], model, r) for r in rates
        ]
        if len(rates) < 2 or not all(score and score.low > trivial for score in reached):
            sentences.append(
                f"{model} has not learnt its task at each of the rates, so they are not compared."
            )
            continue
        low, high = (
            _known(run, "rsa_by_rate", _upper, "rsa_by_rate", model, r) for r in (rates[0], rates[-1])
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
            side = "nearer to" if apart.value < 0 else "further from"
            sentences.append(
                f"At the larger rate {model} lies {side} Base, by more than its seeds differ {numbers}."
            )
        else:
            sentences.append(f"The rates of {model} differ by no more than its seeds may {numbers}.")
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
        one = _known(run, analysis, Run.get, *at, "one_rate", run.last)
        own = _known(run, analysis, Run.get, *at, "tuned_head", run.last)
        if one is None or own is None:
            continue
        gain = own - one
        gaining += [model] if gain.low > 0 else []
        clear = by_interval(gain.low, gain.high, above="more", below="less", neither="not clearly more")
        scores = f"{own.text(points=True)} against {one.text(points=True)} {SCORES[HEADLINE[model]]}"
        sentences.append(
            f"With every block frozen, {model} scores {clear} at the head's own rate than at one rate "
            f"({scores})."
        )
    if not sentences:
        return Finding(
            "Heads of frozen encoders could not be compared.", "No ablated model has learnt its task."
        )
    short = "A rate of its own does not clearly help the head of a frozen encoder."
    if gaining:
        short = f"Part of what freezing costs {listed(gaining)} is an undertrained head."
    return Finding(short, " ".join(sentences))


def _verdicts(tables: Mapping[str, pd.DataFrame], encoder: str) -> Finding:
    judged = judge(tables, encoder=encoder)
    numbers = counts(judged)
    unable = int(numbers["unable"])
    return Finding(
        f"Of the {len(judged)} claims that we take from the paper: {numbers['count']}.",
        f"{unable} of them cannot be tested, or not for every model, because a task was not learnt."
        if unable
        else "Those that were tested rest on models that have learnt their tasks.",
    )
