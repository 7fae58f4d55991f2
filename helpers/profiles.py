"""Profiles: everything a run can vary, as frozen data.

A notebook names a profile and may override single settings; :func:`settings` joins the two and refuses
what it does not know, listing what it does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from helpers.corpora import CORPORA, Passage
from helpers.corpora.edges import SUITES
from helpers.validation import checked, limited, unknown

# The corpora of running text in a single part, on which representations can be compared.
TEXTS = tuple(c.name for c in CORPORA.values() if c.kind is Passage and list(c.files) == ["all"])


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

    model: str  # a name of helpers.finetuning.tasks: Dep, NLI, QA
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
    # Of fine-tuning; the first is the one whose curves are drawn.
    seeds: tuple[int, ...] = limited((0, 1), some=True)
    tuning_rates: tuple[float, ...] = ()  # that all tasks are tuned at for a comparison; empty: none
    # The corpus on which representations are compared.
    text: str = limited("wikipedia", valid=TEXTS, what="corpus")
    n_sentences: int = limited(1000, least=2)
    n_tokens: int = limited(5000, least=10)
    n_bootstrap: int = limited(1000, least=2)
    sample_seed: int = 0
    suite: str = limited("open", valid=tuple(SUITES))  # of corpora for the probing tasks
    probe_train: int | None = limited(None, least=2)  # sentences that probes are trained on; None: all
    probe_eval: int | None = limited(None, least=2)  # sentences each of dev and test
    probe_tuning_seeds: tuple[int, ...] = ()  # fine-tuning seeds that are probed; empty: ``seeds``
    probe_rank: int = limited(512, least=1)  # of structural probes
    # Of a probe's initial weights and order of examples.
    probe_seeds: tuple[int, ...] = limited((0,), some=True)
    edge: EdgeRecipe = EdgeRecipe()
    structural: StructuralRecipe = StructuralRecipe()
    sweep: tuple[Task, ...] = ()  # tasks of the layer ablations; empty: ``tasks``
    sweep_layers: tuple[int, ...] = ()  # layers k that are frozen through or cut after; empty: all
    sweep_seeds: tuple[int, ...] = limited((0,), some=True)  # fine-tuning seeds of the ablations
    # The rates that a head on frozen layers is tried with.
    head_rates: tuple[float, ...] = limited((3e-5, 3e-4, 3e-3), some=True)
    # Of n_sentences and n_tokens: what each text of the domain comparison has.
    domain_share: float = limited(1.0, above=0, most=1)
    domain_seeds: tuple[int, ...] = ()  # fine-tuning seeds of that comparison; empty: ``seeds``
    # Corpus -> local folder in its official format.
    paths: dict[str, str] = field(default_factory=dict, metadata={"valid": CORPORA, "what": "corpus"})

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
    Task("NLI", "uds-nli", TuningRecipe(epochs=1, **_MINIBERT_NLI), 800, 500),
    Task("QA", "uds-qa", TuningRecipe(epochs=1, max_length=192, **_MINIBERT), 2000, 400),
)
# At the sizes that two cores can tune MiniBERT at.
_REDUCED = (
    Task("Dep", "ud-ewt", TuningRecipe(epochs=2, max_length=512, **_MINIBERT)),
    Task("NLI", "mnli-reduced", TuningRecipe(epochs=4, **_MINIBERT_NLI | _LONG)),
    Task("QA", "squad-reduced", TuningRecipe(epochs=2, max_length=384, **_MINIBERT | _LONG), None, 1000),
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
        ),
        Profile(
            name="quick",
            encoder="minibert",
            tasks=_QUICK,
            n_tokens=2000,
            suite="uds",
            probe_train=300,
            probe_eval=150,
            probe_tuning_seeds=(0,),
            probe_rank=64,
            edge=replace(_SMALL_EDGE, learning_rate=4e-3, batch_size=8, validate_every=38, max_steps=114),
            structural=StructuralRecipe(epochs=6),
            sweep=_resized(_QUICK, (300, 120), (200, 120), (80, 50)),
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
            tasks=_REDUCED,
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
                _REDUCED[0],
                Task("NLI", "mnli-reduced", TuningRecipe(epochs=1, **_MINIBERT_NLI), 2000, 1000),
                _REDUCED[2],
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
    if profile not in PROFILES:
        raise ValueError(unknown("profile", profile, PROFILES))
    base = PROFILES[profile]
    given = {key: getattr(base, key, None) if value is None else value for key, value in overrides.items()}
    result = replace(base, **checked(Profile, given, fixed=("name",)))
    if result.suite == "json" and "edges" not in result.paths:
        raise ValueError('the suite json needs a folder with one for each task: paths={"edges": <folder>}')
    return result
