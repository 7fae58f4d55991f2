"""Controls: fine-tuning on shuffled labels, and from random weights.

An effect that these controls show too is not due to the task, or not to what pre-training learnt.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from helpers import encoders, statistics
from helpers.analyses import edge as edges
from helpers.analyses import rsa, structural
from helpers.analyses.finetuning import fine_tuned, headline, task_records
from helpers.analyses.points import Point
from helpers.analyses.runner import Row, Rows, analysis
from helpers.encoders import Encoder
from helpers.finetuning.tasks import TASKS
from helpers.finetuning.training import FineTuned
from helpers.probing.structural import METRICS
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store
from helpers.vocabulary import RANDOM_SEED

PROBED = ("POS", "Dependencies", "Entities")  # probing tasks, of those that the suite has


def random_encoder(settings: Profile) -> Path:
    """Folder in the store of the randomly initialised encoder, with the encoder's own tokenizer."""
    spec = {"encoder": encoders.fingerprint(encoders.resolve(settings.encoder)), "seed": RANDOM_SEED}

    def build(folder: Path) -> None:
        drawn = encoders.load(settings.encoder, random_init=RANDOM_SEED, device="cpu")
        with encoders.quiet():
            drawn.model.save_pretrained(folder)
        drawn.tokenizer.save_pretrained(folder)

    return Store().get("random-encoder", spec, build)


def control(settings: Profile, name: str, model: str, seed: int) -> FineTuned:
    """An encoder tuned as ``model`` is under a control of :data:`helpers.vocabulary.CONTROLS`."""
    if name == "random_init":
        return fine_tuned(replace(settings, encoder=str(random_encoder(settings))), model, seed)
    return fine_tuned(settings, model, seed, shuffled=True)


def _start(settings: Profile, name: str) -> Encoder:
    """What a control is tuned from."""
    return encoders.load(settings.encoder, random_init=RANDOM_SEED if name == "random_init" else None)


def _points(settings: Profile) -> list[Point]:
    seed = settings.seeds[0]
    return [
        Point(f"{task.model}, seed {seed}, {name}", "finetuned", control, (settings, name, task.model, seed))
        for name in settings.controls
        for task in settings.tasks
    ]


@analysis("controls", points=_points)
def fine_tuning_controls(settings: Profile) -> Rows:
    """Fine-tuning under the settings' controls, each measured as the fine-tuned models are.

    Analyses ``control_random_init``, models tuned from random weights (the encoder that Random is), and
    ``control_shuffled_labels``, models tuned from Base on labels that say nothing of the texts
    (:meth:`TaskDefinition.shuffled`) and scored on the true ones. Models Dep, NLI and QA, first fine-tuning
    seed. All else is spelled as in the tables that the numbers compare with, by metric, ``inputs``, ``layer``
    and ``seed``:

    - the headline score (``in_domain``), as in ``finetuning``;
    - ``rsa_pearson`` by layer to what the control was tuned from (shuffled labels: Base), as in ``rsa``;
    - ``uuas`` and ``distance_spearman`` by layer, as in ``structural_probe``, if Dep is among the tasks;
    - ``micro_f1``, of a probe on the mix, of :data:`PROBED`, as in ``edge_probing``.

    Of the probes' scores ``control_random_init_delta`` and ``control_shuffled_labels_delta`` have the
    differences from what the control was tuned from, paired. First probe seed; intervals: 95 %, bootstrap.
    Without controls the table is empty.
    """
    for name in settings.controls:
        seed = settings.seeds[0]
        tuned = {task.model: control(settings, name, task.model, seed) for task in settings.tasks}
        rows = {model: dict(task=settings.task(model).corpus, model=model, seed=seed) for model in tuned}
        for model, one in tuned.items():
            evaluation = task_records(settings, model, "eval")
            score = headline(evaluation, one.predictions(), settings).numbers()
            row: Row = dict(analysis=f"control_{name}", metric=TASKS[model].metric, inputs="in_domain")
            yield rows[model] | row | dict(n=len(evaluation)) | score
        start = _start(settings, name)
        read = rsa.reader(settings)
        for model, one in tuned.items():
            states = read(encoders.load(one.encoder))
            common = dict(analysis=f"control_{name}", inputs=settings.text, n=settings.n_tokens)
            compared = rsa.compare_layers(states, read(start), settings.n_bootstrap, [rsa.RAW])
            yield from (rows[model] | common | line for line in compared.to_dict("records"))
        for measured in (_structure, _edges):
            before = dict(measured(settings, start))
            for model, one in tuned.items():
                for key, estimate in measured(settings, encoders.load(one.encoder)):
                    row = dict(zip(("metric", "inputs", "layer", "n"), key, strict=True))
                    gap = statistics.difference(estimate, before[key])
                    for kind, number in (("", estimate), ("_delta", gap)):
                        yield rows[model] | row | dict(analysis=f"control_{name}{kind}") | number.numbers()


Measured = Iterator[tuple[tuple[str, str, int | None, int], Estimate]]  # by metric, inputs, layer and n


def _structure(settings: Profile, encoder: Encoder) -> Measured:
    """Scores of distance probes of every layer."""
    if all(task.model != "Dep" for task in settings.tasks):
        return
    scores, n = structural.distance_scores(settings, structural.treebank(settings), encoder)
    for metric in METRICS["distance"][:2]:
        for layer, estimate in scores[metric].items():
            yield (metric, "", layer, n), estimate


def _edges(settings: Profile, encoder: Encoder) -> Measured:
    """Scores of edge probes on the mix of all layers."""
    records = {name: own for name, own in edges.probing_records(settings).items() if name in PROBED}
    for name, estimate, n in edges.mix_scores(settings, encoder, records):
        yield ("micro_f1", name, None, n), estimate
