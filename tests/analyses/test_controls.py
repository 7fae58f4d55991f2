"""Controls of fine-tuning: what each starts from, what its labels keep, and what its table says."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers import analyses, encoders, profiles, results, similarity
from helpers.analyses import controls, finetuning, rsa
from helpers.corpora import edges
from helpers.corpora.records import Sentence
from helpers.vocabulary import CONTROLS, HEADLINE, RANDOM_SEED

SEED = 3


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def settings():
    return profiles.settings("smoke", seeds=[SEED], controls=list(CONTROLS), probe_rank=4)


@pytest.fixture(scope="module")
def frame(settings):
    return analyses.fine_tuning_controls(settings)


def test_random_init_starts_from_random_weights_with_the_encoders_tokenizer(settings):
    folder = controls.random_encoder(settings)
    kept, drawn = encoders.load(folder), encoders.load("tiny", random_init=RANDOM_SEED)
    base = encoders.load("tiny")
    weights = dict(kept.model.named_parameters())
    for name, expected in drawn.model.named_parameters():
        assert torch.equal(weights[name], expected), name
    matrices = [name for name, p in base.model.named_parameters() if p.ndim > 1]
    assert not any(torch.equal(weights[n], dict(base.model.named_parameters())[n]) for n in matrices)
    text = "The old man's dogs ran, unhappily."
    assert kept.tokenizer(text)["input_ids"] == base.tokenizer(text)["input_ids"]
    assert controls.random_encoder(settings) == folder


def test_a_control_is_not_the_tuned_model_nor_the_other_control(settings):
    tuned = analyses.fine_tuned(settings, "NLI", SEED)
    folders = {controls.control(settings, name, "NLI", SEED).folder for name in CONTROLS}
    assert len(folders | {tuned.folder}) == 3
    # Both are judged on the true labels.
    gold = [pair.label for pair in analyses.task_records(settings, "NLI", "eval")]
    for name in CONTROLS:
        predictions = controls.control(settings, name, "NLI", SEED).predictions()
        assert [row["gold"] for row in predictions] == gold


def test_the_table_has_what_the_models_tables_have(frame, settings):
    layers = list(encoders.load("tiny").layers)
    probed = {name for name in controls.PROBED if name in edges.tasks("uds", {})}
    assert probed
    for name in CONTROLS:
        own = frame[frame["analysis"] == f"control_{name}"]
        assert set(own["seed"]) == {SEED}
        for model in ("Dep", "NLI", "QA"):
            mine = results.select(own, model=model)
            assert set(mine["task"]) == {settings.task(model).corpus}
            score = results.select(mine, metric=HEADLINE[model])
            assert score["inputs"].tolist() == ["in_domain"] and 0 <= score["value"].item() < 0.7
            for metric in ("rsa_pearson", "uuas", "distance_spearman"):
                assert results.select(mine, metric=metric)["layer"].tolist() == layers
            assert set(results.select(mine, metric="micro_f1")["inputs"]) == probed
            assert len(mine) == 1 + 3 * len(layers) + len(probed)
    assert (frame["ci_low"] <= frame["ci_high"]).all()
    assert not frame.duplicated(["analysis", "metric", "model", "inputs", "layer"]).any()


def test_values_are_those_of_the_models_own_functions(frame, settings):
    """RSA to the control's start, and probes as the models' tables have them, computed again."""
    start = {"random_init": RANDOM_SEED, "shuffled_labels": None}
    reader = rsa.reader(settings)
    for name, random_init in start.items():
        tuned = encoders.load(controls.control(settings, name, "QA", SEED).encoder)
        own = frame[(frame["analysis"] == f"control_{name}") & (frame["model"] == "QA")]
        before, after = reader(encoders.load("tiny", random_init=random_init)), reader(tuned)
        curve = results.select(own, metric="rsa_pearson").set_index("layer")["value"]
        for layer in (-1, 3):
            expected = similarity.rsa(after.layer(layer), before.layer(layer))
            assert curve[layer] == pytest.approx(expected, abs=1e-6)
            assert curve[layer] < 1
    table = analyses.structural_probes(settings)
    table = table[table["analysis"] == "structural_probe"]
    value = table.set_index(["model", "metric", "layer"])["value"].sort_index()
    for name, model in (("random_init", "Random"), ("shuffled_labels", "Base")):
        for metric in ("uuas", "distance_spearman"):
            rows = [
                results.select(frame, analysis=f"control_{name}{kind}", model="Dep", metric=metric)
                for kind in ("", "_delta")
            ]
            score, delta = (own.set_index("layer")["value"] for own in rows)
            np.testing.assert_allclose(score - delta, value[model, metric][score.index])


def test_points_are_the_fine_tunings(frame, settings):
    points = controls._points(settings)
    assert [p.label for p in points[:2]] == ["Dep, seed 3, random_init", "NLI, seed 3, random_init"]
    assert len(points) == 6 and not [p for p in points if p.missing()]


def test_without_controls_or_without_a_parser(settings):
    assert analyses.fine_tuning_controls(dataclasses.replace(settings, controls=())).empty
    nli = dataclasses.replace(settings, tasks=(settings.task("NLI"),), controls=("shuffled_labels",))
    table = analyses.fine_tuning_controls(nli)
    assert set(table["metric"]) == {"accuracy", "rsa_pearson", "micro_f1"}


def test_unknown_controls_are_refused():
    with pytest.raises(ValueError, match="unknown control 'random'.*valid: random_init, shuffled_labels"):
        profiles.settings("smoke", controls=["random"])


def test_a_task_of_ones_own_says_how_it_is_shuffled_or_fails(settings, monkeypatch):
    base = finetuning.tasks.TaskDefinition
    monkeypatch.delattr(finetuning.tasks.TASKS["QA"].__class__, "shuffled")
    assert finetuning.tasks.TASKS["QA"].__class__.shuffled is base.shuffled
    with pytest.raises(NotImplementedError, match="QA does not say how its labels are shuffled"):
        controls.control(settings, "shuffled_labels", "QA", SEED + 1)


def test_a_task_that_is_learnt_is_not_learnt_from_shuffled_labels(settings, monkeypatch):
    """Words tell heads and relations: a tuned encoder learns them, and under the control it does not."""
    rng = np.random.default_rng(0)
    tree = {"cat": ("ran", "nsubj"), "the": ("cat", "det"), "ran": ("", "root"), "fast": ("ran", "advmod"),
            ".": ("ran", "punct")}  # fmt: skip

    def drawn(n):
        made = []
        for i in range(n):
            words = tuple(rng.permutation(list(tree)).tolist())
            heads = tuple(words.index(tree[w][0]) + 1 if tree[w][0] else 0 for w in words)
            made.append(Sentence(str(i), words, heads=heads, deprels=tuple(tree[w][1] for w in words)))
        return made

    parts = {"train": drawn(200), "eval": drawn(50)}
    monkeypatch.setattr(finetuning, "task_records", lambda settings, model, part: parts[part])
    task = settings.task("Dep")
    recipe = dataclasses.replace(task.recipe, epochs=4, learning_rate=3e-3)
    own = dataclasses.replace(settings, tasks=(dataclasses.replace(task, recipe=recipe),))
    assert analyses.fine_tuned(own, "Dep", 0).scores["las"] > 0.95
    control = controls.control(own, "shuffled_labels", "Dep", 0)
    # Of trees drawn at random a fifth of the heads are right, and of those a fifth of the relations.
    assert control.scores["las"] < 0.2 and control.scores["uas"] < 0.35
