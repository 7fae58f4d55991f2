"""Profiles: everything a run can vary, as frozen data.

A notebook names a profile and may override single settings; :func:`settings` joins the two and refuses
what it does not know, listing what it does.
"""

import dataclasses
import difflib
from dataclasses import dataclass, field, replace
from typing import Any

MODELS = ("Dep", "NLI", "QA")
# Names of helpers.corpora, which is above this module (a test holds the two together).
CORPORA = (
    "ud-ewt", "gum", "mnli", "mnli-reduced", "squad", "squad-reduced", "wikipedia", "wikitext-2", "text",
    "uds-dep", "uds-nli", "uds-qa",
    "propbank-ewt", "semeval-2010-task8", "ontonotes", "spr1", "edges",
)  # fmt: skip
SUITES = ("uds", "open", "ontonotes", "json")  # of edge-probing tasks
RATES = ("head_rates", "tuning_rates")  # settings that are learning rates
TEXTS = ("wikipedia", "text")  # those that are running text in a single part


@dataclass(frozen=True)
class TuningRecipe:
    """How an encoder is fine-tuned. The defaults are those of google-research/bert."""

    epochs: float = 3
    learning_rate: float = 3e-5
    head_learning_rate: float | None = None  # None: the encoder's
    batch_size: int = 32
    max_length: int = 128  # wordpieces, special ones included
    doc_stride: int = 128  # question answering: step between windows of a long context
    warmup: float = 0.1  # share of all steps
    weight_decay: float = 0.01
    dropout: float | None = None  # in the encoder and before NLI's output; None: as its configuration says


@dataclass(frozen=True)
class Task:
    """What one of the fine-tuned models is tuned on."""

    model: str  # Dep, NLI or QA
    corpus: str  # a name of helpers.corpora
    recipe: TuningRecipe
    train_limit: int | None = None  # records; None: all
    eval_limit: int | None = None
    train_split: str = "train"
    eval_split: str = "dev"


@dataclass(frozen=True)
class EdgeRecipe:
    """How edge probes are trained. The defaults are those of Tenney et al. (2019) as in jiant's code."""

    projection: int = 256  # width of each span's representation
    hidden: int = 256  # of the classifier
    dropout: float = 0.3
    learning_rate: float = 1e-4
    mix_learning_rate: float | None = None  # of a scalar mix's weights; None: the same
    batch_size: int = 32  # sentences
    validate_every: int = 500  # steps
    patience: int = 5  # validations without a gain until the rate is halved
    stop_after: int = 20  # validations without a gain until training ends
    max_steps: int = 50_000
    clip: float = 5.0


@dataclass(frozen=True)
class StructuralRecipe:
    """How structural probes are trained. The defaults are those of Hewitt and Manning (2019)."""

    learning_rate: float = 1e-3
    batch_size: int = 20  # sentences
    epochs: int = 40
    decay: float = 0.1  # of the rate, after an epoch without a gain on held-out data
    stop_after: int = 5  # epochs without a gain


@dataclass(frozen=True)
class Profile:
    """One size at which the whole book can be run."""

    name: str
    encoder: str  # "minibert", "tiny", a Hub id or a local folder
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...] = (0, 1)  # fine-tuning seeds; the first is the one whose curves are drawn
    tuning_rates: tuple[float, ...] = ()  # that all tasks are tuned at for a comparison; empty: none
    text: str = "wikipedia"  # the corpus on which representations are compared
    n_sentences: int = 1000
    n_tokens: int = 5000
    n_bootstrap: int = 1000
    sample_seed: int = 0
    suite: str = "open"  # corpora of the probing tasks: uds, open, ontonotes or json
    probe_train: int | None = None  # sentences that probes are trained on; None: all
    probe_eval: int | None = None  # sentences each of dev and test
    probe_tuning_seeds: tuple[int, ...] = ()  # fine-tuning seeds that are probed; empty: ``seeds``
    probe_rank: int = 512  # of structural probes
    probe_seeds: tuple[int, ...] = (0,)  # seeds of a probe's initial weights and order of examples
    edge: EdgeRecipe = EdgeRecipe()
    structural: StructuralRecipe = StructuralRecipe()
    sweep: tuple[Task, ...] = ()  # tasks of the layer ablations; empty: ``tasks``
    sweep_layers: tuple[int, ...] = ()  # layers k that are frozen through or cut after; empty: all
    sweep_seeds: tuple[int, ...] = (0,)  # fine-tuning seeds of the ablations
    head_rates: tuple[float, ...] = (3e-5, 3e-4, 3e-3)  # that a head on frozen layers is tried with
    domain_share: float = 1.0  # of n_sentences and n_tokens: what each text of the domain comparison has
    domain_seeds: tuple[int, ...] = ()  # fine-tuning seeds of that comparison; empty: ``seeds``
    paths: dict[str, str] = field(default_factory=dict)  # corpus -> local folder in its official format

    def task(self, model: str) -> Task:
        """The task of one fine-tuned model, by its name in the results (Dep, NLI or QA)."""
        for task in self.tasks:
            if task.model == model:
                return task
        raise ValueError(f"unknown model {model!r}; choose from {', '.join(t.model for t in self.tasks)}")


# The paper's hyperparameters where it prints them (Dep), those of google-research/bert elsewhere.
_PAPER_DEP = TuningRecipe(epochs=20, learning_rate=3e-5, batch_size=32, max_length=512)
_PAPER_NLI = TuningRecipe(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128)
_PAPER_QA = TuningRecipe(epochs=2, learning_rate=3e-5, batch_size=12, max_length=384)

# A small encoder takes larger steps; its new output layer, which has only some hundred of them, larger
# ones still (without bias correction the first few hundred are up to three times as large as they say).
_SMALL = dict(learning_rate=1e-4, head_learning_rate=1e-3, batch_size=16)
# At those a whole-sentence judgement degenerates: all inputs come to look alike and get one answer.
_SMALL_NLI = dict(learning_rate=3e-5, head_learning_rate=3e-4, batch_size=16)

# MiniBERT was pre-trained without dropout. With BERT's .1 its training loss on NLI barely moved.
_MINIBERT, _MINIBERT_NLI = _SMALL | dict(dropout=0.0), _SMALL_NLI | dict(dropout=0.0)
# With thousands of steps its output layer needs no larger rate than the encoder.
_LONG = dict(head_learning_rate=None)

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

# The tasks of the profile reduced, at the sizes that two cores can tune MiniBERT at.
_REDUCED = {
    "Dep": Task("Dep", "ud-ewt", TuningRecipe(epochs=2, max_length=512, **_MINIBERT)),
    "NLI": Task("NLI", "mnli-reduced", TuningRecipe(epochs=4, **_MINIBERT_NLI | _LONG)),
    "QA": Task(
        "QA", "squad-reduced", TuningRecipe(epochs=2, max_length=384, **_MINIBERT | _LONG), eval_limit=1000
    ),
}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            encoder="tiny",
            tasks=(
                Task("Dep", "uds-dep", TuningRecipe(epochs=1, batch_size=8), 32, 16),
                Task("NLI", "uds-nli", TuningRecipe(epochs=1, batch_size=8), 32, 16),
                Task("QA", "uds-qa", TuningRecipe(epochs=1, batch_size=8), 32, 16),
            ),
            n_sentences=24,
            n_tokens=200,
            n_bootstrap=50,
            suite="uds",
            probe_train=24,
            probe_eval=12,
            edge=EdgeRecipe(projection=8, hidden=8, learning_rate=1e-2, validate_every=3, max_steps=6),
            sweep_layers=(1,),
            head_rates=(1e-3,),
        ),
        Profile(
            name="quick",
            encoder="minibert",
            tasks=(
                Task("Dep", "uds-dep", TuningRecipe(epochs=1, max_length=256, **_MINIBERT), 1000, 400),
                Task("NLI", "uds-nli", TuningRecipe(epochs=1, **_MINIBERT_NLI), 800, 500),
                Task("QA", "uds-qa", TuningRecipe(epochs=1, max_length=192, **_MINIBERT), 2000, 400),
            ),
            n_tokens=2000,
            suite="uds",
            probe_train=300,
            probe_eval=150,
            probe_tuning_seeds=(0,),
            probe_rank=64,
            edge=replace(_SMALL_EDGE, learning_rate=4e-3, batch_size=8, validate_every=38, max_steps=114),
            structural=StructuralRecipe(epochs=6),
            sweep=(
                Task("Dep", "uds-dep", TuningRecipe(epochs=1, max_length=256, **_MINIBERT), 300, 120),
                Task("NLI", "uds-nli", TuningRecipe(epochs=1, **_MINIBERT_NLI), 200, 120),
                Task("QA", "uds-qa", TuningRecipe(epochs=1, max_length=192, **_MINIBERT), 80, 50),
            ),
            sweep_layers=(5, 11),
            head_rates=(1e-3,),
            domain_share=0.2,
            domain_seeds=(0,),
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
            tasks=tuple(_REDUCED.values()),
            seeds=(0, 1, 2),
            tuning_rates=(3e-5, 1e-4),
            probe_train=2000,
            probe_eval=1000,
            probe_rank=128,
            probe_seeds=(0, 1),
            edge=replace(_SMALL_EDGE, validate_every=62, max_steps=620),
            structural=StructuralRecipe(epochs=15),
            # NLI is not learnt at any size that MiniBERT can be given here, so it is swept at a small one.
            sweep=(
                _REDUCED["Dep"],
                Task("NLI", "mnli-reduced", TuningRecipe(epochs=1, **_MINIBERT_NLI), 2000, 1000),
                _REDUCED["QA"],
            ),
            sweep_layers=(2, 4, 6, 8, 10, 11),
            head_rates=(1e-3,),
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


def settings(profile: str = "quick", **overrides: Any) -> Profile:
    """The named profile with single settings replaced; a value of None keeps the profile's own.

    Raises ValueError for an unknown profile, an unknown setting or a value of the wrong kind, listing
    the valid ones.
    """
    base = PROFILES.get(profile)
    if base is None:
        raise ValueError(_unknown("profile", profile, PROFILES))
    known = {f.name for f in dataclasses.fields(Profile)} - {"name", "tasks", "edge", "structural", "sweep"}
    changes = {}
    for key, value in overrides.items():
        if key not in known:
            raise ValueError(_unknown("setting", key, known))
        if value is not None:
            changes[key] = _checked(key, value, getattr(base, key))
    result = replace(base, **changes)
    if result.n_sentences < 2 or result.n_tokens < 10 or result.n_bootstrap < 2:
        raise ValueError("n_sentences and n_bootstrap must be at least 2, n_tokens at least 10")
    if not 0 < result.domain_share <= 1:
        raise ValueError(f"domain_share must lie in (0, 1], got {result.domain_share}")
    if result.suite not in SUITES:
        raise ValueError(_unknown("suite", result.suite, SUITES))
    if result.suite == "json" and "edges" not in result.paths:
        raise ValueError(
            'the suite json needs a folder with a folder for each task: paths={"edges": <folder>}'
        )
    if min(result.probe_train or 2, result.probe_eval or 2) < 2 or result.probe_rank < 1:
        raise ValueError("probe_train and probe_eval must be at least 2, probe_rank at least 1")
    if result.text not in TEXTS:
        raise ValueError(_unknown("corpus", result.text, TEXTS))
    for name in result.paths:
        if name not in CORPORA:
            raise ValueError(_unknown("corpus", name, CORPORA))
    for name in ("seeds", "probe_seeds", "sweep_seeds", "head_rates"):
        if not getattr(result, name):
            kind = "rate" if name == "head_rates" else "seed"
            raise ValueError(f"{name} must name at least one {kind}")
    return result


def _checked(key: str, value: Any, example: Any) -> Any:
    if isinstance(example, tuple) and isinstance(value, (list, tuple)):
        kinds, expected = ((int, float), "numbers") if key in RATES else (int, "whole numbers")
        if not all(isinstance(v, kinds) and not isinstance(v, bool) for v in value):
            raise ValueError(f"setting {key!r}: expected {expected}, got {value!r}")
        return tuple(value)
    if key in ("probe_train", "probe_eval"):  # None in some profiles: everything there is
        example = 1000
    if type(value) is not type(example):
        raise ValueError(
            f"setting {key!r}: expected {type(example).__name__} such as {example!r}, got {value!r}"
        )
    return value


def _unknown(what: str, name: str, valid) -> str:
    close = difflib.get_close_matches(str(name), [str(v) for v in valid], 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {what} {name!r}{hint}; valid: {', '.join(sorted(map(str, valid)))}"
