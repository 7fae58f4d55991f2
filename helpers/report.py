"""An encoder's report: its checks, scores, curves, verdicts and origins on one page that needs no other file.

The page is HTML with its styles and figures inside, asks no other host for anything, and escapes all text.
What it shows are tables of results; those that are not there are said to be missing.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from helpers import analyses, checks, encoders, progress, provenance, results, store
from helpers.analyses import inputs, structural
from helpers.analyses.rsa import RAW, compare_layers, reader
from helpers.checks import Check
from helpers.claims import judging, show
from helpers.claims.run import ALL, READ, Run
from helpers.claims.words import SCORES
from helpers.encoders import Encoder, EncoderError
from helpers.profiles import PROFILES, Profile
from helpers.svg import Curve, Markup, chart, joined, key, tag
from helpers.validation import unknown
from helpers.vocabulary import ANALYSES, HEADLINE, MODELS, ORDER, RANDOM_SEED

STYLE = Path(__file__).parent / "assets" / "report.css"
TUNED = "Tuned"  # the model name of a fine-tuned checkpoint that the user gives
_MODELS = (*ORDER, TUNED)
_SHAPES = ("square", "circle", "up", "diamond", "cross", "down", "star")
_MARKERS = dict(zip(_MODELS, _SHAPES, strict=True))
_STATES = {checks.GOOD: ("✓", "good"), checks.LOOK: ("!", "look at this first")}
# Of pages that ask no other host for anything, whatever a text in them says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


# -- the whole -----------------------------------------------------------------------------------------


def asked(only: Sequence[str] = (), tuned: str | Path | None = None) -> tuple[str, ...]:
    """The analyses that a report computes where they are not there: those named, else all that it shows.

    With a fine-tuned checkpoint, which needs no tuning of ours, none but those named. Raises ValueError for
    an analysis that the report does not show, listing those that it does.
    """
    for name in only:
        if name not in READ:
            raise ValueError(unknown("analysis of the report", name, READ))
    return tuple(only) if only or tuned is not None else READ


def check(settings: Profile, *, only: Sequence[str] = (), tuned: str | Path | None = None) -> tuple[str, ...]:
    """See that a report can begin, as :func:`helpers.analyses.inputs.check` does of a run.

    Returns the analyses whose corpora it reads. Also raises :class:`EncoderError` for a ``tuned`` that cannot
    be compared with the settings' encoder.
    """
    names = (*checks.READ, *asked(only, tuned))
    inputs.check(settings, names)
    if tuned is not None:
        _comparable(settings, tuned)
    return names


def write(
    settings: Profile,
    out: Path | None = None,
    *,
    only: Sequence[str] = (),
    tuned: str | Path | None = None,
) -> tuple[Path, analyses.AnalysesFailed | None]:
    """Check an encoder, compute what is asked for (:func:`asked`) and not there, and write its report.

    ``out`` is the page's file, by default ``report.html`` beside the tables. ``tuned`` is an encoder that was
    fine-tuned elsewhere, from the settings' one: it is compared with it. Returns the file, and the failure
    if an analysis failed: the page, which says so, has the others. Raises what the checks raise, and
    :class:`EncoderError` for a ``tuned`` that cannot be compared.
    """
    names = asked(only, tuned)
    encoder = encoders.load(settings.encoder)
    settings = checks.fitted(settings, encoder)
    compared = None if tuned is None else pair(settings, tuned)
    found, untuned = checks.before_tuning(settings)
    for check in found:
        progress.say(f"{check.question} {check.found}")
    missing = [name for name in names if results.saved(name, settings) is None]
    failure = None
    if missing:
        try:
            analyses.run_all(settings, only=missing)
        except analyses.AnalysesFailed as error:
            failure = error
    there = {name: results.saved(name, settings) for name in READ}
    tables = untuned | {name: table for name, table in there.items() if table is not None}
    run = [name for name, table in there.items() if table is not None]
    content = page(settings, encoder, found, tables, run=run, pair=compared, failure=str(failure or ""))
    out = results.folder(settings) / "report.html" if out is None else out
    with store.atomic_write(out) as file:
        file.write(content)
    return out, failure


def pair(settings: Profile, tuned: str | Path) -> pd.DataFrame:
    """An encoder that was fine-tuned elsewhere against the settings' one, which it was tuned from.

    Rows of the analyses ``rsa`` and ``structural_probe`` (UUAS) with the model :data:`TUNED`, and the floor
    of ``rsa``, Random. Raises EncoderError if it has other layers or pieces than its origin.
    """
    base, after = _comparable(settings, tuned)
    read, rows = reader(settings), []
    random = encoders.load(settings.encoder, random_init=RANDOM_SEED)
    for model, seed, other in ((TUNED, None, after), ("Random", RANDOM_SEED, random)):
        common = dict(analysis="rsa", model=model, inputs=settings.text, seed=seed, n=settings.n_tokens)
        lines = compare_layers(read(other), read(base), settings.n_bootstrap, [RAW])
        rows += [common | line for line in lines.to_dict("records")]
    scores, n = structural.distance_scores(settings, structural.treebank(settings), after)
    common = dict(analysis="structural_probe", metric="uuas", model=TUNED, n=n)
    for layer, estimate in scores["uuas"].items():
        rows.append(common | dict(layer=layer) | estimate.numbers())
    return results.table(rows)


def _comparable(settings: Profile, tuned: str | Path) -> tuple[Encoder, Encoder]:
    """The settings' encoder and one that may have been tuned from it: of as many blocks, and its pieces."""
    base, after = encoders.load(settings.encoder), encoders.load(tuned)
    if after.layers != base.layers:
        there, own = len(after.layers) - 1, len(base.layers) - 1
        raise EncoderError(f"encoder {tuned}: it has {there} blocks, {settings.encoder} has {own}")
    if after.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        raise EncoderError(
            f"encoder {tuned}: its vocabulary differs from {settings.encoder}'s, so it was not fine-tuned "
            "from it"
        )
    return base, after


def page(
    settings: Profile,
    encoder: Encoder,
    found: Sequence[Check],
    tables: Mapping[str, pd.DataFrame],
    *,
    run: Sequence[str],
    pair: pd.DataFrame | None = None,
    failure: str = "",
) -> str:
    """The report as HTML. ``tables`` by analysis; ``run`` are the analyses that were run as a whole."""
    name = provenance.without_place(settings.encoder)
    learnt = [checks.tasks_learnt(tables)] if "finetuning" in run else []
    frame = pd.concat([*tables.values(), *([] if pair is None else [pair])], ignore_index=True)
    sections = [
        tag("header", tag("h1", f"Encoder report: {name}"), tag("p", _subtitle(settings, pair))),
        _section("Checks", _checks([*found, *learnt])),
        _section("Scores", _scores(tables) if "finetuning" in run else _missing(["finetuning"])),
        _section("Curves", *_figures(frame, tables, run)),
        _section("The paper's claims", *_claims(settings, tables)),
        _section("Not on this page", *_absent(run, failure)),
        _section("Where this comes from", _origins(settings, encoder, run)),
    ]
    head = tag(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("title", f"Encoder report: {name}"),
        tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )
    body = tag("body", tag("main", *sections))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def framed(page: Path) -> Markup:
    """A report as part of another page, in a frame of its own that runs no scripts."""
    style = "width: 100%; height: 48rem; border: 1px solid #8888; background: Canvas"
    text = page.read_text(encoding="utf-8")
    return tag("div", tag("iframe", srcdoc=text, sandbox="", title="the encoder's report", style=style))


def _section(title: str, *content: Markup) -> Markup:
    return tag("section", tag("h2", title), *content)


def _subtitle(settings: Profile, pair: pd.DataFrame | None) -> str:
    tasks = ", ".join(f"{task.model} on {task.corpus}" for task in settings.tasks)
    compared = "" if pair is None else " A fine-tuned checkpoint (Tuned) is compared with it."
    return f"Profile {settings.name}; {tasks}; text: {settings.text}. Brackets are 95 % intervals.{compared}"


# -- sections ------------------------------------------------------------------------------------------


def _checks(found: Sequence[Check]) -> Markup:
    rows = []
    for check in found:
        mark, words = _STATES[check.state]
        state = tag("span", f"{mark} {words}", class_=f"chip {check.state}")
        cells = [tag("th", check.question, scope="row"), tag("td", state)]
        rows.append(tag("tr", *cells, tag("td", tag("p", check.found), tag("p", check.means))))
    return tag("div", tag("table", *rows, class_="checks"), class_="wide")


def _scores(tables: Mapping[str, pd.DataFrame]) -> Markup:
    """Headline scores of every seed, and the best of what has not learnt the task."""
    run = Run(tables)
    scores = results.select(tables["finetuning"], inputs="in_domain")
    rows = []
    for model in MODELS:
        own = scores[(scores["model"] == model) & (scores["metric"] == HEADLINE[model])]
        if own.empty:
            continue
        by_seed = [tag("div", text) for text in results.format_rows(own, points=True)]
        floor, number = run.best_trivial(model, own["seed"])
        trivial = f"{number.text(points=True, interval=False)} ({floor.replace('_', ' ')})"
        title = f"{model}, {SCORES[HEADLINE[model]]} on {own['task'].iloc[0]}"
        rows.append(tag("tr", tag("td", title), tag("td", *by_seed), tag("td", trivial)))
    names = ("model", "points, a line per seed", "best without learning the task")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    return tag("div", tag("table", head, *rows, class_="scores"), class_="wide")


def _claims(settings: Profile, tables: Mapping[str, pd.DataFrame]) -> list[Markup]:
    judged = judging.judge(tables, encoder=settings.encoder)
    rows = []
    for row, (_, shown) in zip(judged.itertuples(), show.by_model(judged).iterrows(), strict=True):
        marks = [tag("td", shown[model], class_="mark", data_model=model) for model in MODELS]
        verdict = tag("span", shown["all"], class_=f"chip {row.verdict.split()[0]}")
        rows.append(tag("tr", tag("td", row.claim), *marks, tag("td", verdict)))
    names = ("claim", *MODELS, "verdict")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    why = [
        tag("li", tag("b", row.claim), f": {row.why}") for row in judged.itertuples() if row.why
    ]  # of those that were not tested, too
    counted = f"{show.counts(judged)['count']}. {show.depths(tables, 'This encoder')}"
    return [
        tag("p", counted),
        tag("div", tag("table", head, *rows, class_="claims"), class_="wide"),
        tag("details", tag("summary", "Reasons, claim by claim"), tag("ul", *why)),
    ]


def _absent(run: Sequence[str], failure: str) -> list[Markup]:
    missing = [name for name in READ if name not in run]
    if not missing:
        return [tag("p", "Nothing: every analysis of this report was run.")]
    parts = [_missing(missing)]
    return [*parts, tag("p", f"Failed: {failure}", class_="failed")] if failure else parts


def _missing(names: Sequence[str]) -> Markup:
    rows = [tag("li", tag("b", name), f" ({ANALYSES[name]}): not run") for name in names]
    return tag("ul", *rows, class_="missing")


def _origins(settings: Profile, encoder: Encoder, run: Sequence[str]) -> Markup:
    """Provenance of the tables, and of the checks, which are always new."""
    folder, now = results.folder(settings), provenance.entry(settings)
    kept = [provenance.read(folder)[name] for name in run]
    entries = [*kept, now]
    corpora = dict.fromkeys([*(task.corpus for task in settings.tasks), settings.text])
    given = f"; local folders: {', '.join(sorted(settings.paths))}" if settings.paths else ""
    commits = dict.fromkeys(entry["commit"] or "not in a repository" for entry in entries)
    versions = ", ".join(f"{name} {number}" for name, number in now["packages"].items())
    facts = {
        "encoder": f"{provenance.without_place(settings.encoder)}, fingerprint {encoder.fingerprint[:16]}",
        "profile": "; ".join([settings.name, *_changes(settings)]),
        "corpora": f"{', '.join(corpora)}; probing suite {settings.suite}{given}",
        "fine-tuning seeds": ", ".join(map(str, settings.seeds)),
        "commit": ", ".join(commits),
        "code": now["code"][:16],
        "versions": f"Python {now['python']}, {versions}",
        "hardware": "; ".join(dict.fromkeys(entry["hardware"] for entry in entries)),
        "analyses took": progress.clock(sum(entry.get("seconds") or 0 for entry in kept)),
    }
    return tag("dl", *(joined([tag("dt", name), tag("dd", text)]) for name, text in facts.items()))


def _changes(settings: Profile) -> list[str]:
    """The settings that are not the profile's own; of what has settings within, only that it changed."""
    own, changed = PROFILES[settings.name], []
    for name in (field.name for field in dataclasses.fields(settings)):
        value = getattr(settings, name)
        if value != getattr(own, name) and name not in ("encoder", "paths"):
            within = name in ("tasks", "sweep", "edge", "structural")
            changed.append(f"{name} changed" if within else f"{name} = {value}")
    return changed


# -- figures -------------------------------------------------------------------------------------------


def _figures(frame: pd.DataFrame, tables: Mapping[str, pd.DataFrame], run: Sequence[str]) -> list[Markup]:
    """Four curves over the layers, each with its floor and its ceiling, and one legend."""
    drawn = [
        _edge(frame) if "edge_probing" in run else None,
        _uuas(frame),
        _rsa(frame) if TUNED in set(frame["model"]) or "rsa" in run else None,
        _ablation(tables) if {"partial_freezing", "truncation"} & set(run) else None,
    ]
    titles = ("Edge probing", "Structural probe", "RSA to Base", "Partial freezing or truncation")
    lacking: tuple[list[str], ...] = (["edge_probing"], [], ["rsa"], ["partial_freezing", "truncation"])
    figures, shown = [], dict[str, Curve]()
    for figure, name, names in zip(drawn, titles, lacking, strict=True):
        if figure is None:
            figures.append(tag("figure", tag("h3", name), _missing(names)))
            continue
        title, curves, across, up, caption = figure
        shown |= {curve.label: curve for curve in map(_in_legend, curves)}
        described = f"{title} by layer: {', '.join(dict.fromkeys(curve.label for curve in curves))}"
        parts = [
            tag("h3", title),
            chart(curves, across=across, up=up, described=described),
            tag("figcaption", caption),
            tag("details", tag("summary", "Numbers"), _numbers(curves)),
        ]
        figures.append(tag("figure", *parts))
    legend = tag("p", *(key(curve) for curve in shown.values()), class_="legend")
    return [legend, tag("div", *figures, class_="figures")]


def _in_legend(curve: Curve) -> Curve:
    """A curve as the legend has it: lines without markers stand for those of every model."""
    return curve if curve.shape or curve.kind in ("Base", "Lexical") else dataclasses.replace(curve, kind="")


Figure = tuple[str, list[Curve], str, str, str]  # title, curves, labels of the axes, caption
LAYER = "layer (−1: embeddings)"


def _edge(frame: pd.DataFrame) -> Figure:
    probed = results.one_seed(frame[frame["analysis"] == "edge_probing"])
    task = "POS" if "POS" in set(probed["inputs"]) else probed["inputs"].iloc[0]
    own = probed[probed["inputs"] == task]
    curves = _models(own[own["metric"] == "micro_f1_layer"])
    mix = own[own["metric"] == "micro_f1"]
    curves += _level("embeddings alone", "Lexical", mix[mix["model"] == "Lexical"], "dashed")
    curves += _level("Base, all layers mixed", "Base", mix[mix["model"] == "Base"], "dotted")
    caption = (
        "Probes of single layers. Floors: the same encoder with random weights, and the embeddings; ceiling: "
        "a probe that mixes all of Base's layers."
    )
    return f"Edge probing: {task}", curves, LAYER, "micro-F1", caption


def _uuas(frame: pd.DataFrame) -> Figure:
    own = results.one_seed(frame[(frame["analysis"] == "structural_probe") & (frame["metric"] == "uuas")])
    own = own[own["model"] != "Lexical"].drop_duplicates(["model", "layer"])
    bottom = own[(own["model"] == "Base") & (own["layer"] == -1)]
    curves = [*_models(own), *_level("embeddings alone", "Lexical", bottom, "dashed")]
    caption = (
        "Edges of the tree in a layer's distances. Floors: random weights, and the embeddings; ceiling: 1, "
        "the whole tree."
    )
    return "Structural probe: UUAS", curves, LAYER, "UUAS", caption


def _rsa(frame: pd.DataFrame) -> Figure:
    own = frame[(frame["metric"] == RAW) & (frame["layer"] >= 0)]
    once = results.one_seed(own[own["analysis"] == "rsa"]).drop_duplicates(["model", "layer"])
    curves = _models(once)
    between = own[own["analysis"] == "rsa_between_seeds"]
    for model, rows in between.groupby("model", sort=False):
        label = "two seeds of a model"
        curves.append(Curve(label, str(model), _points(rows, f"two seeds of {model}"), line="dotted"))
    ceiling = "No ceiling: it takes two seeds." if between.empty else "Ceilings: two seeds of one model."
    caption = f"Similarity to Base on running text. Floor: random weights. {ceiling}"
    return "RSA to Base", curves, "layer", "RSA (Pearson)", caption


def _ablation(tables: Mapping[str, pd.DataFrame]) -> Figure:
    name = "partial_freezing" if "partial_freezing" in tables else "truncation"
    mean = analyses.over_seeds(tables[name])
    mean = mean[mean["inputs"] != "tuned_head"]
    curves = _models(mean)
    run = Run(tables).of_seed(ALL)
    for model in MODELS:
        floor, number = run.trivial(model)
        if model in set(mean["model"]) and floor != "nothing":
            point = (0.0, number.value, math.nan, math.nan, f"{model}: {floor.replace('_', ' ')}")
            curves.append(Curve("best without learning the task", model, [point], line="dashed"))
    if name == "partial_freezing":
        title, across, end = "Partial freezing", "last frozen layer (−1: none)", "left end, nothing frozen"
    else:
        title, across, end = "Truncation", "highest block kept", "right end, the whole encoder"
    caption = f"Scores of LAS, accuracy and F1. Floors, dashed: what needs no learning; ceiling: the {end}."
    return title, curves, across, "score", caption


def _models(rows: pd.DataFrame) -> list[Curve]:
    """A curve for each model, in the book's order; Random, a floor, dashed."""
    curves = []
    for model in (name for name in _MODELS if name in set(rows["model"])):
        label = "random weights" if model == "Random" else model
        points = _points(rows[rows["model"] == model].sort_values("layer"), label)
        line = "dashed" if model == "Random" else "solid"
        curves.append(Curve(label, model, points, _MARKERS[model], line))
    return curves


def _points(rows: pd.DataFrame, label: str) -> list[tuple[float, float, float, float, str]]:
    values = rows[["layer", "value", "ci_low", "ci_high"]].to_numpy(dtype=float)
    texts = results.format_rows(rows)
    return [
        (*numbers, f"{label}, layer {numbers[0]:.0f}: {text}".replace("-", "−"))
        for numbers, text in zip(values.tolist(), texts, strict=True)
    ]


def _level(label: str, kind: str, rows: pd.DataFrame, line: str) -> list[Curve]:
    """A line across the chart at the value of the one row, if there is one."""
    if rows.empty:
        return []
    value, text = float(rows["value"].iloc[0]), results.format_rows(rows)[0]
    return [Curve(label, kind, [(0.0, value, math.nan, math.nan, f"{label}: {text}")], line=line)]


def _numbers(curves: Sequence[Curve]) -> Markup:
    """What the curves' points say, as lists, for those who do not see them."""
    lists = []
    for curve in curves:
        lists += [tag("li", text) for *_, text in curve.points]
    return tag("ul", *lists)
