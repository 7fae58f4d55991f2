"""Edge probes find what is there and nothing else, and score it as scikit-learn does."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from helpers import progress
from helpers.corpora.records import LabelledSpans, Target
from helpers.probing import edge, layerwise, spans
from helpers.profiles import EdgeRecipe
from helpers.store import Store

RECIPE = EdgeRecipe(
    projection=16, hidden=16, learning_rate=5e-3, batch_size=8, validate_every=10, patience=2, stop_after=4,
    max_steps=120,
)  # fmt: skip
D = 12


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """Equalities hold to float32's precision wherever the tests run."""
    monkeypatch.setattr(spans, "precision", lambda: torch.float32)


def splits(make_records, n=40, **options):
    return {split: make_records(n, seed, **options) for seed, split in enumerate(spans.SPLITS)}


def read(tiny, records):
    return spans.read(tiny.tokenizer, records.values())


def planted(records, reading, labels="ABCD", noise=0.5, seed=0) -> np.ndarray:
    """Random vectors (n_rows, D) in which the first word of each target holds its first label."""
    rng = np.random.default_rng(seed)
    x = noise * rng.standard_normal((len(reading.rows), D))
    number = {words: i for i, words in enumerate(reading.sentences)}
    for record in (r for own in records.values() for r in own):
        for target in record.targets:
            word = reading.first_word[number[record.words]] + target.span1[0]
            x[reading.word_start[word] : reading.word_start[word + 1], labels.index(target.labels[0])] += 4
    return x


def single(records):
    """The same records with spans of one word, and each sentence once."""
    seen, kept = set(), {}
    for split, own in records.items():
        kept[split] = []
        for r in own:
            if r.words not in seen:
                seen.add(r.words)
                cut = (Target((t.span1[0], t.span1[0] + 1), t.span2, t.labels) for t in r.targets)
                kept[split].append(LabelledSpans(r.id, r.words, tuple(cut)))
    return kept


def run(task, states, tmp_path, *, seed=0, recipe=RECIPE, **options):
    name = f"{states.folder.name} {states.layers}"
    return edge.EdgeProbes.trained(
        task, name, lambda: states, recipe, seed=seed, cache=Store(tmp_path / "store"), **options
    )


# -- the parts, by hand ----------------------------------------------------------------------------


def test_a_pooled_span_by_hand():
    rng = np.random.default_rng(0)
    p = edge.initial(RECIPE, D, 2, torch.zeros(3), n_layers=1, seed=5)
    p = {name: value + torch.randn(value.shape) * 0.1 for name, value in p.items()}  # the probes now differ
    x = rng.standard_normal((2, 1, 6, D)).astype(np.float32)
    inside = torch.zeros(1, 2, 6, dtype=torch.bool)
    inside[0, 0, 1:4] = True
    inside[0, 1, 5] = True
    for slot in (0, 1):
        found = edge.pooled(p, slot, torch.from_numpy(x), inside)
        for k in range(2):
            w, b = p[f"project{slot}"][k].numpy(), p[f"project{slot}_bias"][k].numpy()
            h = x[k, 0] @ w + b
            a = np.exp(h[1:4] @ p[f"attend{slot}"][k].numpy()[:, 0])
            np.testing.assert_allclose(found[k, 0, 0], (a / a.sum()) @ h[1:4], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(found[k, 0, 1], h[5], rtol=1e-4, atol=1e-5)  # one piece: itself


def test_the_classifier_is_linear_tanh_norm_linear_on_the_joined_spans(tiny, make_records):
    records = make_records(6, 0, pairs=True)
    reading = spans.read(tiny.tokenizer, [records])
    data = spans.encode(records, reading, ("A", "B", "C", "D"))
    batch = spans.batch(data, np.arange(6), 4, torch.device("cpu"))
    x = torch.randn(3, *batch.rows.shape, D)
    p = edge.initial(RECIPE, D, 2, torch.zeros(4), n_layers=2, seed=1)
    p = {name: value + torch.randn(value.shape) * 0.1 for name, value in p.items()}
    found = edge.logits(p, x, batch)
    for k in range(3):
        halves = [
            edge.pooled(p, slot, x, batch.inside[slot])[k].flatten(0, 1)[batch.chosen[slot]]
            for slot in (0, 1)
        ]
        layer = torch.nn.Sequential(
            torch.nn.Linear(32, 16), torch.nn.Tanh(), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4)
        )
        with torch.no_grad():
            layer[0].weight.copy_(torch.cat([p["hidden0"][k], p["hidden1"][k]]).T)
            layer[0].bias.copy_(p["hidden_bias"][k])
            layer[2].weight.copy_(p["norm"][k])
            layer[2].bias.copy_(p["norm_bias"][k])
            layer[3].weight.copy_(p["label"][k].T)
            layer[3].bias.copy_(p["label_bias"][k])
            torch.testing.assert_close(found[k], layer(torch.cat(halves, 1)), rtol=1e-4, atol=1e-5)
    expected = torch.nn.BCEWithLogitsLoss()
    for k, loss in enumerate(edge.losses(found, batch.gold)):
        torch.testing.assert_close(loss, expected(found[k], batch.gold))


def test_f1_is_scikit_learns_on_every_subset_of_labels(tiny, make_records, make_states):
    records = splits(make_records, labels=("A", "B", "C"))
    extra = make_records(40, 9, labels=("A", "B", "C", "never seen", "also new"))
    several = [
        dataclasses.replace(
            r, targets=tuple(dataclasses.replace(t, labels=(*t.labels, "B")) for t in r.targets)
        )
        for r in extra[:20]
    ]
    records["test"] = several + extra[20:]
    reading = read(tiny, records)
    task = edge.prepare(records, reading, is_clean=lambda label: label in ("A", "also new"))
    states = make_states({0: np.random.default_rng(0).standard_normal((len(reading.rows), D))})
    probes = edge.EdgeProbes(task, states, RECIPE, seed=0)
    p = probes.initial()
    # Before training each label is as likely as it is frequent (every training target has one of three).
    share = np.mean([[n in t.labels for n in "ABC"] for r in records["train"] for t in r.targets], axis=0)
    np.testing.assert_allclose(p["label_bias"][0].sigmoid(), share, atol=0.01)
    p["label_bias"][:] = torch.tensor([0.1, 0.0, -0.1])  # so that some labels are predicted and some not
    counts = probes.count(p, [0, 1], "test")
    data = task.splits["test"]
    batch = spans.batch(data, np.arange(len(data)), 3, torch.device("cpu"))
    scores = edge.logits(p, probes.states(p, batch, [0, 1]), batch)[0]
    names = ("A", "B", "C", "never seen", "also new")
    gold = np.array([[n in t.labels for n in names] for r in records["test"] for t in r.targets])
    predicted = np.zeros_like(gold)
    predicted[:, :3] = scores >= 0
    assert 0 < predicted.mean() < 0.6
    assert edge.micro_f1(counts["all"][:, 0]) == pytest.approx(f1_score(gold, predicted, average="micro"))
    clean = [0, 4]
    expected = f1_score(gold[:, clean], predicted[:, clean], average="micro")
    assert edge.micro_f1(counts["clean"][:, 0]) == pytest.approx(expected)
    # Sentence by sentence too, which is what a bootstrap resamples.
    first = np.cumsum([0, *(len(r.targets) for r in records["test"])])
    for i in range(len(records["test"])):
        own = slice(first[i], first[i + 1])
        assert counts["all"][:, 0, i].tolist() == [
            (gold[own] & predicted[own]).sum(), predicted[own].sum(), gold[own].sum()
        ]  # fmt: skip


# -- what is found ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [False, True])
def test_a_planted_code_is_recovered_and_noise_is_not(tiny, make_records, make_states, tmp_path, pairs):
    records = single(splits(make_records, n=150, pairs=pairs))
    reading = read(tiny, records)
    noise = np.random.default_rng(1).standard_normal((len(reading.rows), D))
    states = make_states({-1: noise, 0: planted(records, reading), 1: noise[::-1]})
    task = edge.prepare(records, reading)
    found = run(task, states, tmp_path)
    f1 = [edge.micro_f1(found.counts(i)) for i in range(3)]
    assert f1[1] > 0.95
    # Four labels equally often: no label is more likely than not, so next to nothing is predicted.
    assert max(f1[0], f1[2]) < 0.25
    assert found.report["layers"] == [-1, 0, 1, None] and found.report["labels"] == list("ABCD")
    assert found.counts(0)[2].sum() == found.report["n_targets"]


def test_noise_scores_what_always_saying_the_commonest_label_does(tiny, make_records, make_states, tmp_path):
    records = single(splits(make_records, n=80, labels=("A", "A", "A", "A", "B")))
    reading = read(tiny, records)
    states = make_states({0: np.random.default_rng(1).standard_normal((len(reading.rows), D))})
    found = run(edge.prepare(records, reading), states, tmp_path)
    labels = [t.labels[0] for r in records["test"] for t in r.targets]
    assert edge.micro_f1(found.counts(0)) == pytest.approx(np.mean(np.array(labels) == "A"), abs=0.04)


def test_a_mix_puts_its_weight_on_the_one_layer_that_knows(tiny, make_records, make_states, tmp_path):
    records = single(splits(make_records, n=150))
    reading = read(tiny, records)
    rng = np.random.default_rng(1)
    noise = {layer: 2 * rng.standard_normal((len(reading.rows), D)) for layer in (-1, 0, 2, 3)}
    layers = noise | {1: planted(records, reading)}
    states = make_states({k: layers[k] for k in sorted(layers)})
    recipe = dataclasses.replace(RECIPE, mix_learning_rate=0.1)
    found = run(edge.prepare(records, reading), states, tmp_path, recipe=recipe)
    weights = found.report["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["1"] > 0.8 and max(weights, key=weights.get) == "1"
    assert edge.micro_f1(found.counts(-1)) > 0.95


# -- side by side, killed and resumed ---------------------------------------------------------------


def test_all_probes_at_once_are_each_probe_alone(tiny, make_records, make_states, tmp_path):
    records = single(splits(make_records, n=60, pairs=True))
    reading = read(tiny, records)
    arrays = {k: planted(records, reading, noise=n, seed=k + 1) for k, n in ((-1, 0.5), (0, 3.0), (1, 9.0))}
    task = edge.prepare(records, reading)
    probes = edge.EdgeProbes(task, make_states(arrays), RECIPE, seed=0)
    together = run(task, probes.activations, tmp_path)
    assert len(set(together.report["steps"])) > 1  # they end at different times, with rates of their own
    schedule = layerwise.Schedule(
        RECIPE.learning_rate, RECIPE.max_steps, RECIPE.validate_every, RECIPE.patience, RECIPE.stop_after,
        clip=RECIPE.clip,
    )  # fmt: skip
    for i in range(4):  # three layers and the mix of them

        def validate(p, _):
            return [edge.micro_f1(probes.count(p, [i], "dev")["all"][:, 0])]  # noqa: B023

        alone = layerwise.train(
            {name: p[i : i + 1] for name, p in probes.initial().items()},
            lambda p, _, step: probes.loss(p, [i], step),  # noqa: B023
            validate,
            schedule,
        )
        assert alone.steps == [together.report["steps"][i]]
        assert alone.best_steps == [together.report["best_steps"][i]]
        np.testing.assert_allclose(alone.scores[0], together.report["dev_scores"][i], atol=1e-6)
        counts = probes.count(alone.parameters, [i], "test")["all"]
        np.testing.assert_array_equal(counts[:, 0], together.counts(i))


def test_a_killed_run_gives_the_same_result_and_a_finished_one_is_not_repeated(
    tiny, make_records, make_states, tmp_path, monkeypatch
):
    records = single(splits(make_records, n=60))
    reading = read(tiny, records)
    task = edge.prepare(records, reading)
    states = make_states({0: planted(records, reading, noise=2), 1: planted(records, reading, noise=5)})
    whole = run(task, states, tmp_path / "whole")

    def kill(what, step, total):
        if step == 30:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(progress, "steps", kill)
        run(task, states, tmp_path / "killed", checkpoint_every=0)
    steps = []
    monkeypatch.setattr(progress, "steps", lambda what, step, total: steps.append(step))
    resumed = run(task, states, tmp_path / "killed", checkpoint_every=0)
    assert steps[0] == 30  # step 20 was saved
    assert resumed.report == whole.report
    np.testing.assert_array_equal(resumed.counts(1), whole.counts(1))

    def fail():
        raise AssertionError("states read for a result that is in the store")

    again = edge.EdgeProbes.trained(
        task, f"{states.folder.name} {states.layers}", fail, RECIPE, seed=0,
        cache=Store(tmp_path / "whole" / "store"),
    )  # fmt: skip
    assert again.folder == whole.folder


def test_seeds_encoders_and_recipes_are_kept_apart(tiny, make_records, make_states, tmp_path):
    records = single(splits(make_records, n=12))
    reading = read(tiny, records)
    task = edge.prepare(records, reading)
    states = make_states({0: planted(records, reading, noise=2)})
    short = dataclasses.replace(RECIPE, max_steps=3)
    folders = {
        run(task, states, tmp_path, recipe=short).folder,
        run(task, states, tmp_path, recipe=short, seed=1).folder,
        run(task, states, tmp_path, recipe=dataclasses.replace(short, max_steps=4)).folder,
    }
    assert len(folders) == 3


def test_a_subset_that_no_label_is_in_is_not_scored(tiny, make_records):
    records = splits(make_records, n=3)
    reading = read(tiny, records)
    assert edge.prepare(records, reading, lambda label: False).clean is None
    assert edge.prepare(records, reading, lambda label: True).clean.all()


def test_a_missing_split_is_named(tiny, make_records):
    records = splits(make_records, n=3)
    reading = read(tiny, records)
    with pytest.raises(ValueError, match="no target in split 'dev'; needed: train, dev, test"):
        edge.prepare(records | {"dev": []}, reading)
