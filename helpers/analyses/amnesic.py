"""What becomes of a model's score when its head sees states without parts of speech, or without relations."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import encoders, progress, statistics
from helpers.analyses.description_length import word_labels
from helpers.analyses.edge import Splits
from helpers.analyses.finetuning import fine_tuned, headline, probing_seeds, task_records, tunings
from helpers.analyses.runner import Row, Rows, analysis
from helpers.corpora.records import LabelledSpans
from helpers.encoders import Encoder
from helpers.finetuning import prediction, training
from helpers.finetuning.prediction import Predictor, TaskModel
from helpers.probing import amnesic as erasing
from helpers.probing.amnesic import Erasure
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.vocabulary import BOOTSTRAP_SEED, HEADLINE

READERS = ("Dep", "QA")  # whose heads read the last layer's states; NLI's reads a vector pooled from them
DRAWS = 2  # of random directions


@dataclasses.dataclass(frozen=True)
class Words:
    """Vectors (n, d), labels (n,) and sentences (n,) of words."""

    vectors: np.ndarray
    labels: np.ndarray
    sentence: np.ndarray


@analysis("amnesic", points=lambda s: tunings(s, probing_seeds(s)[:1], READERS))
def amnesic_probing(settings: Profile) -> Rows:
    """Scores of fine-tuned models whose heads see the last layer without a label (analysis ``amnesic``).

    Amnesic probing (Elazar et al. 2021). ``inputs`` is the label, of :func:`word_labels`: POS or
    Dependencies. The directions in which the means of its classes differ are taken out of the states of the
    last layer, of all wordpieces, and the model's own head predicts (:mod:`helpers.probing.amnesic`). Models:
    Dep and QA of the first fine-tuning seed that is probed; ``n`` records to evaluate on; metrics, of the
    headline score, ``las`` say: ``las`` as it is, ``las_erased``, ``las_random`` with as many random
    directions taken out instead (mean of ``DRAWS`` draws), ``lost``, the first minus the second,
    ``lost_at_random``, and ``lost_to_label``, the difference of the two, paired. Intervals as of
    :func:`headline`.

    What was taken out, with ``n`` test sentences of the labels: ``probe_accuracy``, ``probe_accuracy_erased``
    and ``probe_accuracy_random`` (first draw) of a linear probe, trained on the dev sentences, which the
    directions were not made of; ``majority``, of the label that is most frequent there; intervals over
    sentences. Then ``rank``, the number of directions, and ``variance`` and ``variance_random``, the share of
    the training words' variance that lay in them.
    """
    labels = word_labels(settings)
    seed = probing_seeds(settings)[0]
    for task in (task for task in settings.tasks if task.model in READERS):
        tuned = fine_tuned(settings, task.model, seed)
        predictor = training.load(tuned.folder)
        evaluation = task_records(settings, task.model, "eval")
        before = headline(evaluation, tuned.predictions(), settings)
        common: Row = dict(analysis="amnesic", model=task.model, task=task.corpus, seed=seed)
        common |= dict(layer=predictor.encoder.layers[-1])
        states = _states(predictor.encoder, labels)
        for name, splits in labels.items():
            progress.say(f"erasing {name} from {task.model}'s states")
            words = {split: _words(states, records) for split, records in splits.items()}
            erasure = erasing.class_means(words["train"].vectors, words["train"].labels)
            generator = np.random.default_rng(settings.sample_seed)
            random = [erasing.random_directions(erasure, generator) for _ in range(DRAWS)]
            after, *drawn = (_score(predictor, evaluation, one, settings) for one in (erasure, *random))
            row = common | dict(inputs=name)
            scores = _compared(HEADLINE[task.model], before, after, drawn)
            yield from (row | dict(metric=k, n=len(evaluation)) | e.numbers() for k, e in scores.items())
            read = _read(words, {"": np.asarray, "_erased": erasure, "_random": random[0]}, settings)
            n = len(splits["test"])
            yield from (row | dict(metric=k, n=n) | e.numbers() for k, e in read.items())
            vectors = words["train"].vectors
            shares = {"rank": erasure.rank, "variance": erasure.share(vectors)}
            shares["variance_random"] = float(np.mean([one.share(vectors) for one in random]))
            yield from (row | dict(metric=k, value=value) for k, value in shares.items())


def _states(encoder: Encoder, labels: dict[str, Splits]) -> dict[tuple[str, ...], np.ndarray]:
    """The last layer's states of the words of each sentence, (n_words, d) float16, by its words."""
    sentences = {r.words for splits in labels.values() for records in splits.values() for r in records}
    ordered = sorted(sentences)
    states = encoders.hidden_states(encoder, ordered, layers=encoder.layers[-1:])
    return {words: own[:, 0] for words, own in zip(ordered, states, strict=True)}


def _words(states: dict[tuple[str, ...], np.ndarray], records: Sequence[LabelledSpans]) -> Words:
    """Labelled words with their states."""
    vectors, labels, sentence = [], [], []
    for number, record in enumerate(records):
        for target in record.targets:
            vectors.append(states[record.words][slice(*target.span1)].mean(0, dtype=np.float64))
            labels.append(target.labels[0])
            sentence.append(number)
    return Words(np.array(vectors), np.array(labels), np.array(sentence))


def _score(predictor: Predictor, records: Sequence[Any], erasure: Erasure, settings: Profile) -> Estimate:
    """The headline score of a model whose head sees states without what an erasure takes out."""
    encoder = erasing.ErasedEncoder(predictor.model.encoder, erasure).to(predictor.encoder.device)
    erased = dataclasses.replace(predictor, model=TaskModel(encoder, predictor.model.head))
    rows = prediction.predict(erased, records)
    predictor.task.score(records, rows)
    return headline(records, rows, settings)


def _compared(metric: str, before: Estimate, after: Estimate, drawn: list[Estimate]) -> dict[str, Estimate]:
    chance = statistics.combination([(1 / len(drawn), one) for one in drawn])
    return {
        metric: before,
        f"{metric}_erased": after,
        f"{metric}_random": chance,
        "lost": statistics.difference(before, after),
        "lost_at_random": statistics.difference(before, chance),
        "lost_to_label": statistics.difference(chance, after),
    }


def _read(
    words: dict[str, Words], views: dict[str, Callable[[np.ndarray], np.ndarray]], settings: Profile
) -> dict[str, Estimate]:
    """Accuracies of linear probes of test words, trained on dev words, and of dev's most frequent label."""
    seen, unseen = words["dev"], words["test"]
    draws: Any = dict(n_resamples=settings.n_bootstrap, seed=BOOTSTRAP_SEED)

    def accuracy(predicted: Any) -> Estimate:
        return statistics.ratio(predicted == unseen.labels, 1, unseen.sentence, **draws)

    found = {}
    for name, view in views.items():
        # Least squares, which has a closed form: with some dozens of labels a logistic loss takes minutes.
        probe = make_pipeline(StandardScaler(), RidgeClassifier()).fit(view(seen.vectors), seen.labels)
        found[f"probe_accuracy{name}"] = accuracy(probe.predict(view(unseen.vectors)))
    names, counts = np.unique(seen.labels, return_counts=True)
    return found | {"majority": accuracy(names[counts.argmax()])}
