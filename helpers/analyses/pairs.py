"""What a linear classifier reads of a pair's label, layer by layer, with the encoder left as it is.

A fine-tuned NLI model that fails may lack what the task needs, or a way from there to the one vector that
its head reads. Linear probes of each layer (Alain and Bengio 2017) on that vector's place, [CLS], and on what
stands in the two sentences tell the two apart.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import encoders, precision, results
from helpers.analyses.finetuning import fine_tuned, headline, say_nothing, task_records
from helpers.analyses.models import probing_seeds
from helpers.analyses.rsa import RANDOM_SEED
from helpers.corpora import sample
from helpers.corpora.records import Pair
from helpers.encoders import Encoder
from helpers.finetuning import data, prediction
from helpers.profiles import Profile, TuningRecipe

STRENGTH = 0.01  # scikit-learn's C, on features of unit variance
MOST = 20_000  # pairs to train on: of all layers their states take some gigabytes


def pair_probe(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Accuracy of logistic regressions of NLI's labels on frozen states (analysis ``pair_probe``).

    ``inputs`` is what the classifier sees of a ``layer``: ``cls``, the state of the first wordpiece, or
    ``segments``, the mean of the premise's and that of the hypothesis's, one beside the other; features are
    standardised. They are trained on the records that the NLI model is tuned on, at most ``MOST``, and judged
    on those that it is judged on, as :func:`headline` does. Models: Base, Random, and the NLI model of the
    first seed that is probed.
    """
    began, rows = time.time(), []
    task = settings.task("NLI")
    train, judged = (task_records(settings, "NLI", part) for part in ("train", "eval"))
    train = sample(train, MOST)
    labels, gold = (np.array([pair.label for pair in part]) for part in (train, judged))
    first = probing_seeds(settings)[0]
    models = (
        ("Base", None, encoders.load(settings.encoder)),
        ("Random", RANDOM_SEED, encoders.load(settings.encoder, random_init=RANDOM_SEED)),
        ("NLI", first, encoders.load(fine_tuned(settings, "NLI", first, report).encoder)),
    )
    for model, seed, encoder in models:
        report(f"linear probes of pairs on {encoder.name}")
        seen, unseen = (states(encoder, part, task.recipe) for part in (train, judged))
        for view in seen:
            for layer, x, y in zip(encoder.layers, seen[view], unseen[view], strict=True):
                right = _classifier().fit(x, labels).predict(y) == gold
                score = headline(judged, [dict(correct=float(r), total=1) for r in right], settings)
                row = dict(analysis="pair_probe", metric="accuracy", model=model, task=task.corpus)
                row |= dict(value=score.value, ci_low=score.ci_low, ci_high=score.ci_high)
                rows.append(row | dict(inputs=view, layer=layer, seed=seed, n=len(judged)))
    frame = results.table(rows)
    results.save("pair_probe", frame, settings, seconds=round(time.time() - began, 1))
    return frame


def _classifier():
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))


def states(encoder: Encoder, pairs: Sequence[Pair], recipe: TuningRecipe) -> dict[str, np.ndarray]:
    """Vectors of pairs, read as in fine-tuning, float32: ``cls`` (n_layers, n_pairs, d) and ``segments``
    (n_layers, n_pairs, 2 d), means of premise and hypothesis, special wordpieces left out.

    Raises ValueError if the recipe's ``max_length`` is beyond the encoder's.
    """
    inputs = data.encode("NLI", pairs, encoder, recipe, targets=False)
    before, between, after, _ = encoder.templates[True]
    shape = len(encoder.layers), len(inputs)
    found = {
        "cls": np.empty((*shape, encoder.width), np.float32),
        "segments": np.empty((*shape, 2 * encoder.width), np.float32),
    }
    pad = encoder.tokenizer.pad_token_id or 0
    with torch.inference_mode(), precision.autocast(encoder.device, encoder.precision):
        for chosen in prediction.batches(inputs.lengths):
            batch = data.collate([inputs[i] for i in chosen], pad)
            if not encoder.typed:
                del batch["token_type_ids"]
            output = encoder.model(
                **{name: x.to(encoder.device) for name, x in batch.items()}, output_hidden_states=True
            )
            layers = torch.stack(output.hidden_states).float().cpu()
            for row, i in enumerate(chosen):
                ids, own = inputs[i]["ids"], layers[:, row]
                end = len(before) + int(np.argmax(ids[len(before) :] == between[0]))
                parts = slice(len(before), end), slice(end + len(between), len(ids) - len(after))
                means = [own[:, part].sum(1) / max(1, part.stop - part.start) for part in parts]
                found["cls"][:, i], found["segments"][:, i] = own[:, 0], torch.cat(means, 1)
    return found
