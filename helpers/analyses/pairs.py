"""What a linear classifier reads of a pair's label, layer by layer, with the encoder left as it is.

A fine-tuned NLI model that fails may lack what the task needs, or a way from there to the one vector that
its head reads. Linear probes of each layer (Alain and Bengio 2017) on that vector's place, [CLS], and on what
stands in the two sentences tell the two apart.
"""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import encoders, progress, statistics
from helpers.analyses.finetuning import fine_tuned, headline, probing_seeds, task_records, tunings
from helpers.analyses.runner import Row, Rows, analysis
from helpers.corpora import sample
from helpers.corpora.records import Pair
from helpers.encoders import Encoder
from helpers.finetuning import batches
from helpers.finetuning.tasks import TASKS
from helpers.profiles import Profile, TuningRecipe
from helpers.statistics import Estimate
from helpers.vocabulary import RANDOM_SEED

STRENGTH = 0.01  # scikit-learn's C, on features of unit variance
MOST = 20_000  # pairs to train on: of all layers their states take some gigabytes


@analysis("pair_probe", points=lambda s: tunings(s, probing_seeds(s)[:1], ["NLI"]))
def pair_probe(settings: Profile) -> Rows:
    """Accuracy of logistic regressions of NLI's labels on frozen states (analysis ``pair_probe``).

    ``inputs`` is what the classifier sees of a ``layer``: ``cls``, the state of the first wordpiece,
    ``mean``, the mean of all wordpieces of the text (Mosbach et al. 2020 compare the two), or ``segments``,
    the mean of the premise's and that of the hypothesis's, one beside the other; ``mean_minus_cls`` has the
    difference of the first two's accuracies, paired, as metric ``accuracy_difference``. Features are
    standardised. They are trained on the records that the NLI model is tuned on, at most ``MOST``, and
    evaluated on those that it is evaluated on, as :func:`headline` does. Models: Base, Random, and the NLI
    model of the first seed that is probed. Without an NLI task the table is empty.
    """
    if all(task.model != "NLI" for task in settings.tasks):
        return
    task = settings.task("NLI")
    train, evaluation = (task_records(settings, "NLI", part) for part in ("train", "eval"))
    train = sample(train, MOST)
    labels, gold = (np.array([pair.label for pair in part]) for part in (train, evaluation))
    first = probing_seeds(settings)[0]
    models = (
        ("Base", None, encoders.load(settings.encoder)),
        ("Random", RANDOM_SEED, encoders.load(settings.encoder, random_init=RANDOM_SEED)),
        ("NLI", first, encoders.load(fine_tuned(settings, "NLI", first).encoder)),
    )
    for model, seed, encoder in models:
        progress.say(f"linear probes of pairs on {encoder.name}")
        seen, unseen = (states(encoder, part, task.recipe) for part in (train, evaluation))
        row: Row = dict(analysis="pair_probe", model=model, task=task.corpus, seed=seed, n=len(evaluation))
        accuracy: dict[tuple[str, int], Estimate] = {}
        for view in seen:
            for layer, x, y in zip(encoder.layers, seen[view], unseen[view], strict=True):
                right = _classifier().fit(x, labels).predict(y) == gold
                predictions = [dict(correct=float(r), total=1) for r in right]
                accuracy[view, layer] = headline(evaluation, predictions, settings)
                own = row | dict(metric="accuracy", inputs=view, layer=layer)
                yield own | accuracy[view, layer].numbers()
        for layer in encoder.layers:
            gain = statistics.difference(accuracy["mean", layer], accuracy["cls", layer])
            own = row | dict(metric="accuracy_difference", inputs="mean_minus_cls", layer=layer)
            yield own | gain.numbers()


def _classifier() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))


def states(encoder: Encoder, pairs: Sequence[Pair], recipe: TuningRecipe) -> dict[str, np.ndarray]:
    """Vectors of pairs, read as in fine-tuning, float32: ``cls`` and ``mean`` (n_layers, n_pairs, d), and
    ``segments`` (n_layers, n_pairs, 2 d), means of premise and hypothesis; all means without special
    wordpieces.

    Raises ValueError if the recipe's ``max_length`` is beyond the encoder's.
    """
    inputs = TASKS["NLI"].encode(pairs, encoder, recipe, (), targets=False)
    before, between, after, _ = encoder.templates[True]
    shape = len(encoder.layers), len(inputs)
    widths = {"cls": 1, "mean": 1, "segments": 2}
    vectors = {view: np.empty((*shape, n * encoder.width), np.float32) for view, n in widths.items()}
    with batches.evaluating(encoder):
        for chosen, batch in batches.padded(inputs, encoder):
            output = encoder.model(**batch, output_hidden_states=True)
            layers = torch.stack(output.hidden_states).float().cpu()
            for row, i in enumerate(chosen):
                ids, own = inputs[i]["ids"], layers[:, row]
                end = len(before) + int(np.argmax(ids[len(before) :] == between[0]))
                parts = slice(len(before), end), slice(end + len(between), len(ids) - len(after))
                means = [own[:, part].sum(1) / max(1, part.stop - part.start) for part in parts]
                vectors["cls"][:, i], vectors["segments"][:, i] = own[:, 0], torch.cat(means, 1)
                text = torch.cat([own[:, part] for part in parts], 1)
                vectors["mean"][:, i] = text.sum(1) / max(1, text.shape[1])
    return vectors
