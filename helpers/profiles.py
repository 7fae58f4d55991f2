"""Profiles: everything a run can vary, as frozen data.

A profile may have single settings replaced, down to an epoch of one task; :func:`settings` joins the two and
refuses what it does not know, listing what it does.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helpers.corpora import NAMES, TEXTS, named
from helpers.corpora.edges import SUITE_NAMES, TASKS
from helpers.validation import limited, merged, nested, replaced, unknown
from helpers.vocabulary import CONTROLS, MODELS

_SEEDS: dict[str, Any] = dict(least=0, below=2**32, different=True)
_RATE: dict[str, Any] = dict(above=0, most=1)


@dataclass(frozen=True)
class TuningRecipe:
    """How an encoder is fine-tuned. The defaults are those of google-research/bert, at the paper's rate."""

    epochs: float = limited(3, "passes over the training records", above=0, most=10_000)
    learning_rate: float = limited(3e-5, "of the encoder", **_RATE)
    head_learning_rate: float | None = limited(None, "of the output layer; none: the encoder's", **_RATE)
    batch_size: int = limited(32, "records per step", least=1)
    max_length: int = limited(128, "longest input in wordpieces, special ones included", least=8)
    doc_stride: int = limited(128, "step between windows of a long context, for questions", least=1)
    warmup: float = limited(0.1, "share of the steps in which the rate rises", least=0, most=1)
    weight_decay: float = limited(0.01, "of AdamW", least=0, most=1)
    dropout: float | None = limited(
        None, "in the encoder and before NLI's output; none: as its configuration says", least=0, below=1
    )


@dataclass(frozen=True)
class Task:
    """What one of the fine-tuned models is tuned on."""

    model: str = field(metadata={"fixed": True})  # a name of helpers.finetuning.tasks: Dep, NLI, QA
    corpus: str = field(
        metadata={"about": "that the model is tuned and judged on", "valid": NAMES, "what": "corpus"}
    )
    recipe: TuningRecipe
    train_limit: int | None = limited(None, "records it is tuned on; none: all", least=1)
    eval_limit: int | None = limited(None, "records it is judged on; none: all", least=1)
    train_split: str = limited("train", "part of the corpus that it is tuned on")
    eval_split: str = limited("dev", "part of the corpus that it is judged on")


@dataclass(frozen=True)
class EdgeRecipe:
    """How edge probes are trained. The values are those of Tenney et al. (2019) in jiant's code.

    :mod:`helpers.probing.edge` says where its training differs.
    """

    projection: int = limited(256, "width of each span's representation", least=1)
    hidden: int = limited(256, "width of the classifier", least=1)
    dropout: float = limited(0.3, "in the classifier", least=0, below=1)
    learning_rate: float = limited(1e-4, "of the probe", **_RATE)
    mix_learning_rate: float | None = limited(None, "of a scalar mix's weights; none: the same", **_RATE)
    batch_size: int = limited(32, "sentences per step", least=1)
    validate_every: int = limited(500, "steps between validations", least=1)
    patience: int = limited(5, "validations without a gain until the rate is halved", least=1)
    stop_after: int = limited(20, "validations without a gain until training ends", least=1)
    max_steps: int = limited(50_000, "after which training ends", least=1)
    clip: float = limited(5.0, "largest gradient norm", above=0)


@dataclass(frozen=True)
class StructuralRecipe:
    """How structural probes are trained. The defaults are those of Hewitt and Manning (2019)."""

    learning_rate: float = limited(1e-3, "of the probe", **_RATE)
    batch_size: int = limited(20, "sentences per step", least=1)
    epochs: int = limited(40, "after which training ends", least=1)
    decay: float = limited(
        0.1, "of the rate, after an epoch without a gain on held-out data", above=0, most=1
    )
    stop_after: int = limited(5, "epochs without a gain until training ends", least=1)


@dataclass(frozen=True)
class Profile:
    """One size at which the whole book can be run."""

    name: str = field(metadata={"fixed": True})
    encoder: str = field(
        metadata={"about": "minibert, minilm, mpnet, tiny or tiny-electra, a Hub id, or a local folder"}
    )
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...] = limited(
        (0, 1), "of fine-tuning; the curves drawn are of the first", some=True, **_SEEDS
    )
    tuning_rates: tuple[float, ...] = limited(
        (), "that all tasks are tuned at for a comparison; empty: none", different=True, **_RATE
    )
    text: str = limited("wikipedia", "on which representations are compared", valid=TEXTS, what="corpus")
    n_sentences: int = limited(1000, "drawn from the text", least=2)
    n_tokens: int = limited(5000, "wordpieces drawn from those sentences", least=10)
    n_bootstrap: int = limited(1000, "resamples of the sentences for the intervals", least=2)
    sample_seed: int = limited(0, "of the samples of sentences and wordpieces", least=0, below=2**32)
    suite: str = limited("open", "of corpora for the probing tasks", valid=SUITE_NAMES)
    probe_train: int | None = limited(None, "sentences that probes are trained on; none: all", least=2)
    probe_eval: int | None = limited(None, "sentences each of dev and test; none: all", least=2)
    probe_tuning_seeds: tuple[int, ...] = limited((), "fine-tuning seeds probed; empty: seeds", **_SEEDS)
    controls: tuple[str, ...] = limited(
        (), "of fine-tuning; empty: none", valid=CONTROLS, what="control", different=True
    )
    probe_rank: int = limited(512, "rows of structural probes' linear map", least=1)
    probe_seeds: tuple[int, ...] = limited(
        (0,), "of a probe's initial weights and order of examples", some=True, **_SEEDS
    )
    edge: EdgeRecipe = EdgeRecipe()
    structural: StructuralRecipe = StructuralRecipe()
    sweep: tuple[Task, ...] = limited((), "tasks of the layer ablations; empty: tasks")
    sweep_layers: tuple[int, ...] = limited(
        (), "layers that are frozen through or cut after; empty: all", least=0, different=True
    )
    sweep_seeds: tuple[int, ...] = limited((0,), "fine-tuning seeds of the ablations", some=True, **_SEEDS)
    head_rates: tuple[float, ...] = limited(
        (3e-5, 3e-4, 3e-3), "tried for a head on frozen layers", some=True, different=True, **_RATE
    )
    domain_share: float = limited(
        1.0,
        "share of n_sentences and n_tokens used per text of the domain comparison, per point of dynamics",
        above=0,
        most=1,
    )
    domain_seeds: tuple[int, ...] = limited(
        (), "fine-tuning seeds of that comparison; empty: seeds", **_SEEDS
    )
    dynamics_models: tuple[str, ...] = limited(
        ("Dep",), "followed through fine-tuning; empty: none", valid=MODELS, what="model", different=True
    )
    dynamics_points: int = limited(
        10, "most points at which a fine-tuning is measured, at log-spaced steps", least=2
    )
    dynamics_sizes: tuple[int, ...] = limited(
        (100, 300, 1000, 3000), "records to tune on, besides all of them", least=1, different=True
    )
    dynamics_probing: tuple[str, ...] = limited(
        ("POS",), "edge-probing tasks at each of these points", valid=TASKS, what="task", different=True
    )
    paths: dict[str, str] = field(
        default_factory=dict,
        metadata={"about": "corpus -> local folder with it", "valid": NAMES, "what": "corpus"},
    )

    def task(self, model: str) -> Task:
        """The task of one fine-tuned model, by its name in the results (Dep, NLI or QA)."""
        for task in self.tasks:
            if task.model == model:
                return task
        raise ValueError(unknown("model", model, [task.model for task in self.tasks]))


# The paper's hyperparameters where it prints them (Dep), those of google-research/bert elsewhere.
_PAPER_DEP = TuningRecipe(epochs=20, learning_rate=3e-5, batch_size=32, max_length=512)
_PAPER_NLI = TuningRecipe(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128)
_PAPER_QA = TuningRecipe(epochs=2, learning_rate=3e-5, batch_size=12, max_length=384)

# A small encoder takes larger steps; its new output layer, which has only some hundred of them, larger
# ones still (without bias correction the first few hundred are up to three times as large as they say).
_SMALL: dict[str, Any] = dict(learning_rate=1e-4, head_learning_rate=1e-3, batch_size=16)
# At those a whole-sentence judgement degenerates: all inputs come to look alike and get one answer.
_SMALL_NLI: dict[str, Any] = dict(learning_rate=3e-5, head_learning_rate=3e-4, batch_size=16)

# MiniBERT was pre-trained without dropout. With BERT's .1 its training loss on NLI barely moved.
_MINIBERT, _MINIBERT_NLI = _SMALL | dict(dropout=0.0), _SMALL_NLI | dict(dropout=0.0)
# With thousands of steps its output layer needs no larger rate than the encoder.
_LONG: dict[str, Any] = dict(head_learning_rate=None)

# Smaller probes that take larger steps, and still larger ones with the weights of a mix of layers.
_SMALL_EDGE = EdgeRecipe(
    projection=64,
    hidden=64,
    learning_rate=2e-3,
    mix_learning_rate=3e-2,
    batch_size=16,
    validate_every=32,
    patience=2,
    stop_after=3,
    max_steps=128,
)

_SMOKE_RECIPE = TuningRecipe(epochs=1, batch_size=8)
_QUICK = (
    Task("Dep", "uds-dep", TuningRecipe(epochs=1, max_length=256, **_MINIBERT), 1000, 400),
    Task("NLI", "uds-nli", TuningRecipe(epochs=1, **_MINIBERT_NLI), 800, 400),
    Task("QA", "uds-qa", TuningRecipe(epochs=1, max_length=192, **_MINIBERT), 800, 300),
)
# At the sizes that two cores can tune MiniBERT at.
_REDUCED = (
    Task("Dep", "ud-ewt", TuningRecipe(epochs=2, max_length=512, **_MINIBERT)),
    Task("NLI", "mnli-reduced", TuningRecipe(epochs=4, **_MINIBERT_NLI | _LONG)),
    Task("QA", "squad-reduced", TuningRecipe(epochs=2, max_length=384, **_MINIBERT | _LONG)),
)


def _resized(tasks: Iterable[Task], *limits: tuple[int, int]) -> tuple[Task, ...]:
    """Tasks with other numbers of records to train and to evaluate on."""
    pairs = zip(tasks, limits, strict=True)
    return tuple(replace(task, train_limit=train, eval_limit=held_out) for task, (train, held_out) in pairs)


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            encoder="tiny",
            tasks=tuple(replace(t, recipe=_SMOKE_RECIPE, train_limit=32, eval_limit=16) for t in _QUICK),
            n_sentences=24,
            n_tokens=200,
            n_bootstrap=50,
            suite="uds",
            probe_train=24,
            probe_eval=12,
            edge=EdgeRecipe(projection=8, hidden=8, learning_rate=1e-2, validate_every=3, max_steps=6),
            sweep_layers=(1,),
            head_rates=(1e-3,),
            dynamics_sizes=(12,),
        ),
        Profile(
            name="quick",
            encoder="minibert",
            tasks=_QUICK,
            n_tokens=2000,
            n_bootstrap=500,
            suite="uds",
            probe_train=240,
            probe_eval=150,
            probe_tuning_seeds=(0,),
            probe_rank=64,
            edge=replace(_SMALL_EDGE, learning_rate=4e-3, batch_size=8, validate_every=30, max_steps=90),
            structural=StructuralRecipe(epochs=6),
            sweep=_resized(_QUICK, (200, 120), (120, 120), (50, 50)),
            sweep_layers=(5, 11),
            head_rates=(1e-3,),
            domain_share=0.2,
            domain_seeds=(0,),
            dynamics_points=6,
            dynamics_sizes=(100,),
            dynamics_probing=(),
        ),
        Profile(
            name="laptop",
            encoder="google/bert_uncased_L-12_H-256_A-4",
            tasks=(
                Task("Dep", "ud-ewt", TuningRecipe(epochs=5, max_length=512, **_SMALL)),
                Task("NLI", "mnli", TuningRecipe(epochs=1, **_SMALL_NLI), 40_000, 2000),
                Task("QA", "squad", TuningRecipe(epochs=1, max_length=384, **_SMALL), 10_000, 1000),
            ),
        ),
        Profile(
            name="reduced",
            encoder="minibert",
            tasks=_REDUCED,
            seeds=(0, 1, 2),
            tuning_rates=(3e-5, 1e-4),
            probe_train=2000,
            probe_eval=1000,
            probe_rank=128,
            probe_seeds=(0, 1, 2, 3, 4),
            edge=replace(_SMALL_EDGE, validate_every=62, max_steps=620),
            structural=StructuralRecipe(epochs=15),
            # NLI is not learnt at any size that MiniBERT can be given here, so it is swept at a small one.
            sweep=(
                _REDUCED[0],
                Task("NLI", "mnli-reduced", TuningRecipe(epochs=1, **_MINIBERT_NLI), 2000, 1000),
                _REDUCED[2],
            ),
            sweep_layers=(2, 4, 6, 8, 10, 11),
            head_rates=(1e-3,),
            controls=CONTROLS,
            dynamics_models=MODELS,
        ),
        Profile(
            name="paper",
            encoder="google-bert/bert-base-uncased",
            tasks=(
                Task("Dep", "ud-ewt", _PAPER_DEP),
                Task("NLI", "mnli", _PAPER_NLI),
                Task("QA", "squad", _PAPER_QA),
            ),
            seeds=(0, 1, 2),
            n_sentences=2000,
        ),
    )
}


# What each profile costs on two cores. Measured: quick, from an empty store, and reduced without controls and
# training dynamics (five hours). The others are estimated.
COSTS = {
    "smoke": "seconds per notebook",
    "quick": "about 15 minutes; offline once installed",
    "laptop": "a night (estimated: 10 hours); minutes on a GPU",
    "reduced": "a day, from local folders, without a Hub",
    "paper": "for a GPU: hours",
}


def settings(profile: str = "quick", **changes: Any) -> Profile:
    """The named profile with single settings replaced; a value of None keeps the profile's own.

    Settings within others are dicts, ``tasks={"Dep": {"recipe": {"epochs": 2}}}``, or have dotted names,
    ``**{"tasks.Dep.recipe.epochs": 2}``. What is set of a task (its limits aside) holds in the layer
    ablations too, unless ``sweep`` sets it there. Folders become absolute: ``~`` and the working folder are
    those of the call. Raises ValueError for an unknown profile, an unknown setting or a value of the wrong
    kind, listing the valid ones.
    """
    if profile not in PROFILES:
        raise ValueError(unknown("profile", profile, PROFILES))
    base = PROFILES[profile]
    chosen = {name: value for name, value in nested(changes).items() if value is not None}
    given = located(chosen)
    if "sweep" in given and not base.sweep:
        base = replace(base, sweep=base.tasks)
    if base.sweep and isinstance(given.get("tasks"), Mapping):
        shared = {model: _shared(own) for model, own in given["tasks"].items()}
        given["sweep"] = merged(shared, given.pop("sweep", {}))  # after the tasks, whose names messages give
    result = replaced(base, given)
    for task in (*result.tasks, *result.sweep):
        splits = named(task.corpus).files
        for split in (task.train_split, task.eval_split):
            if split not in splits:
                raise ValueError(unknown(f"split of {task.corpus}", split, splits))
    if result.suite == "json" and "edges" not in result.paths:
        raise ValueError('the suite json needs a folder with one for each task: paths={"edges": <folder>}')
    return result


def _shared(own: Any) -> Any:
    """What is set of a task and holds for its layer ablations as well, which have limits of their own."""
    if not isinstance(own, Mapping):
        return own
    return {name: value for name, value in own.items() if name not in ("train_limit", "eval_limit")}


def from_file(path: Path) -> dict[str, Any]:
    """Settings from a TOML file, for :func:`settings`; its relative folders are relative to the file.

    Raises FileNotFoundError, or ValueError naming the file if it is not TOML.
    """
    try:
        changes = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file ({error})") from None
    return located(changes, path.resolve().parent)


def located(changes: Mapping[str, Any], base: Path | None = None) -> dict[str, Any]:
    """Changes with their folders absolute; relative ones are in ``base``, by default the working folder.

    The name of an encoder stays what it is, also where there is a folder of that name.
    """
    from helpers.encoders.registry import is_name  # loads torch, which settings by themselves do not need

    base, absolute = base or Path.cwd(), dict(changes)
    encoder, paths = absolute.get("encoder"), absolute.get("paths")
    if isinstance(encoder, str) and encoder and not is_name(encoder):
        place = _absolute(encoder, base)
        if place.is_dir() or encoder.startswith((".", "~")):  # else the name of one on the Hub
            absolute["encoder"] = str(place)
    if isinstance(paths, Mapping):
        absolute["paths"] = {name: str(_absolute(str(value), base)) for name, value in paths.items()}
    return absolute


def _absolute(text: str, base: Path) -> Path:
    try:
        return (base / Path(text).expanduser()).resolve()
    except RuntimeError as error:  # the home of a user who does not exist
        raise ValueError(f"{text}: {error}") from None
