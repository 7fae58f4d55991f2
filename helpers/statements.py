"""Sentences of the chapters that depend on results: which one stands is chosen by intervals.

They are of any table with the analysis's columns, recorded or of this machine; what a recorded run found as a
whole is in :mod:`helpers.claims.findings`.
"""

import pandas as pd

from helpers.claims.findings import tree_text
from helpers.claims.numbers import Number
from helpers.claims.run import Run, over
from helpers.claims.words import BASELINES, listed
from helpers.results import by_interval
from helpers.vocabulary import HEADLINE, MODELS

WEAK = 0.3  # F1 of Base below which its probe has hardly trained
BLIND = 0.03  # F1 within which an encoder with random weights comes to Base where there is little to forget


def change_by_depth(run: Run, model: str) -> dict[str, str]:
    """What RSA to Base says of a model's first and last block and of the random encoder, the floor.

    ``run`` is looked at for one seed. Texts: ``first`` and ``last``, the numbers; ``shape``, which of the two
    has changed more; ``floor``, whether the last layer is nearer to Base than a random encoder's.
    """
    first, last, floor = run.rsa(model, 0), run.rsa(model, run.last), run.rsa("Random", run.last)
    fall, clear = run.rsa_minus_last(model, 0), last - floor
    return {
        "first": first.text(),
        "last": last.text(),
        "shape": by_interval(
            fall.low,
            fall.high,
            above="Tuning changed the last block's output more than the first one's.",
            below="Tuning changed the first block's output more than the last one's.",
            neither="The intervals do not tell which of the two tuning changed more.",
        ),
        "floor": by_interval(
            clear.low,
            clear.high,
            above="That is still more similar to Base than a random encoder's last layer is "
            f"({floor.text()}).",
            below=f"That is less similar to Base than a random encoder's last layer is ({floor.text()}).",
            neither=f"A random encoder's last layer is about as similar to Base ({floor.text()}).",
        ),
    }


# -- scores ----------------------------------------------------------------------------------------


def learnt(score: Number, trivial: float, name: str = "Your model") -> str:
    """Whether a score, given in points, is clear of the best trivial one; ``name`` is the model's."""
    reached = f"{name} scores {score.text(points=True)}"
    return by_interval(
        score.low,
        score.high,
        bound=trivial,
        above=f"{reached}, clearly more than the best baseline: it has begun to learn.",
        below=f"{reached}, less than the best baseline: it has not learnt its task.",
        neither=f"{reached}, not clearly more than the best baseline: no evidence yet that it has learnt its "
        "task.",
    )


def scores(run: Run) -> dict[str, str]:
    """:func:`learnt` of each model over its fine-tuning seeds, with the best baseline."""
    texts = {}
    for model in MODELS:
        score = over(run, "finetuning", Run.score, model)
        name, trivial = run.best_trivial(model, sorted(run.seeds["finetuning"]))
        best = f"{trivial.text(points=True, interval=False)}, by {BASELINES.get(name, name)}"
        texts[model] = f"{learnt(score, trivial.value, model)} The best baseline reaches {best}."
    return texts


def ties(frame: pd.DataFrame) -> str:
    """Which baselines of a model have the same headline score, which looks like a mistake."""
    texts = []
    for model, metric in HEADLINE.items():
        own = frame[
            (frame["model"] == model) & (frame["metric"] == metric) & (frame["inputs"] != "in_domain")
        ]
        own = own.drop_duplicates("inputs")
        for value, same in own.groupby("value"):
            if len(same) > 1:
                names = listed(name.replace("_", " ") for name in same["inputs"])
                texts.append(
                    f"The baselines {names} of {model} score the same by coincidence ({value:.3f}); they are "
                    "different classifiers."
                )
    return " ".join(texts) or "No two baselines of a model have the same score."


def pairs(run: Run, last: int) -> dict[str, str]:
    """What linear classifiers of NLI's labels on frozen states say, by a table of pair probes.

    ``run`` is looked at for one seed; ``last`` is the last layer. Texts: ``context``, whether the last layer
    tells more than the embeddings; ``cls``, whether [CLS] has all of that; ``tuned``, whether fine-tuning
    brought more to [CLS].
    """
    at = {
        "words": ("Base", "segments", -1),
        "context": ("Base", "segments", last),
        "cls": ("Base", "cls", last),
        "tuned": ("NLI", "cls", last),
    }
    found = {name: run.get("pair_probe", "accuracy", *place) for name, place in at.items()}
    gains = {
        "context": found["context"] - found["words"],
        "cls": found["cls"] - found["context"],
        "tuned": found["tuned"] - found["cls"],
    }
    own = {name: number.text() for name, number in found.items()}
    last_layer, embeddings = f"Base's last layer ({own['context']})", f"its embeddings ({own['words']})"
    return {
        "context": by_interval(
            gains["context"].low,
            gains["context"].high,
            above=f"{last_layer} beats {embeddings}: context adds something a linear classifier can use.",
            below=f"{last_layer} falls behind {embeddings}: in context the label is harder to read.",
            neither=f"{last_layer} does not clearly differ from {embeddings}: "
            "context adds nothing visible that a linear classifier can use.",
        ),
        "cls": by_interval(
            gains["cls"].low,
            gains["cls"].high,
            above=f"[CLS] scores higher still ({own['cls']}).",
            below=f"[CLS] scores lower ({own['cls']}), so it holds less than the two means do.",
            neither=f"[CLS] does not clearly differ from that ({own['cls']}).",
        ),
        "tuned": by_interval(
            gains["tuned"].low,
            gains["tuned"].high,
            above=f"Fine-tuning brings something to [CLS] ({own['tuned']} afterwards).",
            below=f"After fine-tuning [CLS] scores lower ({own['tuned']}).",
            neither=f"Fine-tuning does not clearly bring more to [CLS] ({own['tuned']} afterwards).",
        ),
    }


# -- edge probes -----------------------------------------------------------------------------------


def unreadable(run: Run) -> dict[str, list[str]]:
    """The probing tasks that tell little about forgetting: ``weak``, on which Base's F1 is below
    :data:`WEAK`; ``blind``, on which an encoder with random weights comes within :data:`BLIND` of it.
    """
    base = {task: _f1(run, "Base", task) for task in run.inputs("edge_probing", "micro_f1", "Base")}
    untrained = {task: _f1(run, "Random", task) for task in base}
    return {
        "weak": [task for task, number in base.items() if number.value < WEAK],
        "blind": [task for task, number in base.items() if untrained[task].value > number.value - BLIND],
    }


def edge_changes(run: Run, *, top: bool = False) -> dict[str, str]:
    """For each tuned model on how many informative tasks its probes clearly gain and lose, and where most.

    Numbers are over fine-tuning seeds, of probes on a mix of layers or, with ``top``, on the last one alone.
    """
    unread = {task for tasks in unreadable(run).values() for task in tasks}
    tasks = [t for t in run.inputs("edge_probing", "micro_f1", "Base") if t not in unread]
    texts = {}
    for model in MODELS:
        at = ("edge_probing_delta", "micro_f1_top" if top else "micro_f1", model)
        layer = run.last if top else None
        changes = {task: over(run, at[0], Run.get, *at, task, layer) for task in tasks}
        gained = [task for task, change in changes.items() if change.low > 0]
        lost = [task for task, change in changes.items() if change.high < 0]
        if not tasks:
            texts[model] = f"No probing task is informative for {model}."
            continue
        text = (
            f"{model} clearly gains on {len(gained) or 'none'} and clearly loses on {len(lost) or 'none'} of "
        )
        text += f"the {len(tasks)} informative tasks"
        if gained or lost:
            most = max(gained + lost, key=lambda task: abs(changes[task].value))
            by = changes[most].text(points=True, signed=True)
            text += f", with the largest clear change on {most} ({by} points)"
        else:
            text = f"{model} shows no clear change on any of the {len(tasks)} informative tasks"
        texts[model] = f"{text}."
    return texts


def _f1(run: Run, model: str, task: str) -> Number:
    return run.get("edge_probing", "micro_f1", model, task)


# -- structural probes -----------------------------------------------------------------------------


def trees(run: Run, chain: Number) -> dict[str, str]:
    """What UUAS says of syntax, over fine-tuning seeds. ``chain`` is that of linking each word to the next.

    Texts: ``chain``, which models have layers that lie clearly above it, which is the least that syntax asks
    for; ``embeddings``, whether Base's best layer lies above its own embeddings; and for each tuned model
    how its layers differ from Base's.
    """
    layers = range(-1, run.last + 1)
    above = {}
    for model in ("Base", *MODELS):
        curve = [over(run, "structural_probe", _uuas, model, layer) for layer in layers]
        above[model] = sum((number - chain).low > 0 for number in curve)
    counts = [f"{n or 'none'} of {model}" for model, n in above.items()]
    baseline = f"Linking each word to the next gives a UUAS of {chain.text(interval=False)}"
    if any(above.values()):
        clear = f"{baseline}. Layers clearly above it: {listed(counts)}, out of {len(layers)} each."
    else:
        clear = f"{baseline}. No layer of any model is clearly above it, so the curves say nothing of syntax."
    texts = {"chain": clear}
    best = max(layers[1:], key=lambda layer: _uuas(run, "Base", layer).value)
    gain = run.structure("Lexical", "uuas", best) * -1
    by = f"{gain.text(points=True, signed=True)} points"
    block = f"Base's best block, layer {best},"
    texts["embeddings"] = by_interval(
        gain.low,
        gain.high,
        above=f"{block} shows more of the trees than its embeddings do ({by}).",
        below=f"{block} shows less of the trees than its embeddings do ({by}).",
        neither=f"{block} does not clearly show more of the trees than its embeddings do ({by}).",
    )
    return texts | {model: tree_text(run, model) for model in MODELS}


def _uuas(run: Run, model: str, layer: int) -> Number:
    return run.get("structural_probe", "uuas", model, layer=layer)


def best_block(probes: pd.DataFrame) -> str:
    """Whether the best block's UUAS lies above that of the embeddings and of a chain of neighbours.

    ``probes`` are rows of UUAS of one pre-trained encoder (Base, by layer) and of Chain, with intervals. They
    are compared as if independent, which makes the intervals of differences too wide rather than too narrow.
    """
    base = probes[probes["model"] == "Base"].set_index("layer")
    layer = base.loc[0:, "value"].astype(float).idxmax()
    columns = ["value", "ci_low", "ci_high"]
    best, embeddings = (Number(*base.loc[k, columns].astype(float)) for k in (layer, -1))
    chain = Number(*probes.loc[probes["model"] == "Chain", columns].iloc[0].astype(float))
    texts = [f"The distance probe does best at layer {layer} (UUAS {best.text()})."]
    for other, name in (
        (embeddings, f"the embeddings' own score ({embeddings.text()})"),
        (chain, f"linking each word to the next ({chain.text()})"),
    ):
        gain = best - other
        texts.append(
            by_interval(
                gain.low,
                gain.high,
                above=f"That is clearly above {name}.",
                below=f"That is below {name}.",
                neither=f"That is not clearly above {name}.",
            )
        )
    return " ".join(texts)
