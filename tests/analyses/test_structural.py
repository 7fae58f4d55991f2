"""Structural probes as an analysis: what the table says, what is kept, and how sure the numbers are."""

import dataclasses

import numpy as np
import pytest

from helpers import analyses, encoders, profiles, provenance, results, statistics
from helpers.analyses import structural as analysis
from helpers.corpora.records import Sentence
from helpers.probing import structural
from helpers.profiles import StructuralRecipe, Task, TuningRecipe
from helpers.store import Store

WORDS = "the cats sat on a mat and dogs ran far".split()


@pytest.fixture(scope="module")
def treebank_folder(tmp_path_factory):
    """A small treebank in CoNLL-U: chains, stars and trees between, some with punctuation."""
    folder = tmp_path_factory.mktemp("treebank")
    rng = np.random.default_rng(0)
    for split, n_sentences in (("train", 40), ("dev", 16), ("test", 24)):
        blocks = []
        for i in range(n_sentences):
            n = int(rng.integers(4, 10))
            lines = [f"# sent_id = {split}-{i}"]
            for k in range(1, n + 1):
                head = 0 if k == 1 else int(rng.integers(1, k))
                tag, word = ("PUNCT", ".") if k == n else ("NOUN", rng.choice(WORDS))
                lines.append(f"{k}\t{word}\t_\t{tag}\t_\t_\t{head}\t{'dep' if head else 'root'}\t_\t_")
            blocks.append("\n".join(lines) + "\n\n")
        (folder / f"en_ewt-ud-{split}.conllu").write_text("".join(blocks), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(treebank_folder):
    smoke = profiles.settings(
        "smoke", paths={"ud-ewt": str(treebank_folder)}, probe_rank=4, probe_seeds=[0, 1], seeds=[3, 5],
        probe_train=40, probe_eval=24,
    )  # fmt: skip
    dep = Task("Dep", "ud-ewt", TuningRecipe(epochs=1, batch_size=8), 16, 8)
    return dataclasses.replace(smoke, tasks=(dep,), structural=StructuralRecipe(epochs=2))


@pytest.fixture(scope="module")
def frame(home, settings):
    return analysis.structural_probes(settings)


def test_the_table_has_every_model_layer_and_metric(frame, home, settings):
    main = frame[frame["analysis"] == "structural_probe"]
    metrics = {m for names in structural.METRICS.values() for m in names}
    assert set(results.paper("structural_probe")["metric"]) <= metrics == set(main["metric"])
    kinds = set(map(tuple, main[["model", "task", "seed"]].astype(object).where(main.notna(), None).values))
    tuned = {("Dep", "ud-ewt", 3), ("Dep", "ud-ewt", 5)}
    assert kinds == tuned | {("Base", "", None), ("Random", "", 1000), ("Lexical", "", None)}
    layers = {model: sorted(rows["layer"].unique()) for model, rows in main.groupby("model")}
    assert layers.pop("Lexical") == [-1] and all(found == [-1, 0, 1, 2, 3] for found in layers.values())
    assert not main.duplicated(["metric", "model", "layer", "seed"]).any()
    assert (main["ci_low"] <= main["value"]).all() and (main["value"] <= main["ci_high"]).all()
    assert set(frame["n"]) == {24}
    read = results.read(home / "results" / provenance.run_name(settings) / "structural_probe.csv")
    np.testing.assert_allclose(read["value"], frame["value"], rtol=1e-5)


def test_lexical_is_bases_embeddings_and_deltas_are_differences(frame):
    filled = frame.assign(seed=frame["seed"].fillna(0))
    value = filled.set_index(["analysis", "model", "metric", "layer", "seed"])["value"]
    main, delta = value["structural_probe"], value["structural_probe_delta"]
    for metric in set(frame["metric"]):
        assert main["Lexical", metric, -1, 0] == main["Base", metric, -1, 0]
        for layer in range(-1, 4):
            base = main["Base", metric, layer, 0]
            for model, seed in (("Dep", 3), ("Dep", 5), ("Random", 1000)):
                gap = main[model, metric, layer, seed] - base
                assert delta[model, metric, layer, seed] == pytest.approx(gap)
            if layer >= 0:
                gap = main["Lexical", metric, -1, 0] - base
                assert delta["Lexical", metric, layer, 0] == pytest.approx(gap)


def test_contrasts_are_of_the_last_layer_with_the_mean_of_lower_ones(frame):
    own = frame[frame["analysis"] == "structural_probe_contrast"]
    assert set(own["model"]) == {"Dep"} and set(own["seed"]) == {3, 5} and set(own["layer"]) == {0, 1, 2}
    deltas = frame[(frame["analysis"] == "structural_probe_delta") & (frame["model"] == "Dep")]
    change = deltas.set_index(["metric", "seed", "layer"])["value"]
    for row in own.itertuples():
        lower = np.mean([change[row.metric, row.seed, k] for k in range(row.layer + 1)])
        assert row.value == pytest.approx(change[row.metric, row.seed, 3] - lower)
    same = analysis.last_minus_lower(dict.fromkeys(range(-1, 4), _estimate()))
    assert list(same) == [0, 1, 2]
    for one in same.values():  # of the same resamples
        assert (one.value, one.ci_low, one.ci_high) == pytest.approx((0, 0, 0))


def test_numbers_over_all_seeds_stand_under_names_of_their_own(frame):
    for name in ("structural_probe", "structural_probe_delta", "structural_probe_contrast"):
        own = frame[(frame["analysis"] == name) & (frame["model"] == "Dep")]
        over = frame[frame["analysis"] == f"{name}_over_seeds"]
        assert set(over["model"]) == {"Dep"} and over["seed"].isna().all()
        mean = own.groupby(["metric", "layer"])["value"].mean()
        assert len(over) == len(mean)
        for row in over.itertuples():
            assert row.value == pytest.approx(mean[row.metric, row.layer])
            assert row.ci_low <= row.value <= row.ci_high


def _estimate():
    return statistics.ratio(np.arange(9), 10, n_resamples=50, seed=0)


def test_other_probe_seeds_stand_apart(frame):
    seeds = frame[frame["analysis"] == "structural_probe_probe_seeds"]
    assert set(seeds["seed"]) == {1} and set(seeds["model"]) == {"Base", "Dep"}
    assert not seeds.duplicated(["metric", "model", "layer"]).any()


def test_values_are_those_of_the_published_averages(frame, home, settings):
    """From the probes as stored, by the functions for single sentences."""
    bank, base = analysis.treebank(settings), encoders.load("tiny")
    folders = analysis.probes(settings, bank, base, settings.probe_seeds)
    heads, lengths, keep = bank.arrays("test")
    rows = frame[(frame["analysis"] == "structural_probe") & (frame["model"] == "Base")]
    value = rows.set_index(["metric", "layer"])["value"]
    states = list(encoders.hidden_states(base, bank.parts["test"]))
    starts = np.cumsum(lengths) - lengths
    for number, layer in enumerate(base.layers):
        maps = {kind: np.load(folders[kind, 0] / "B.npy")[number] for kind in structural.KINDS}
        found, roots, gold, predicted, depths, guessed = [], [], [], [], [], []
        for start, n, words in zip(starts, lengths, states, strict=True):
            at = slice(start, start + n)
            vectors = words[:, number].astype(np.float64) @ maps["distance"].T
            gold.append(structural.tree_distances(heads[at]))
            predicted.append(((vectors[:, None] - vectors[None]) ** 2).sum(-1))
            found.append(structural.uuas(gold[-1], predicted[-1], keep[at]))
            depths.append(structural.tree_depths(heads[at]))
            guessed.append(((words[:, number].astype(np.float64) @ maps["depth"].T) ** 2).sum(-1))
            roots.append(structural.root_accuracy(depths[-1], guessed[-1], keep[at]))
        for metric, counts in (("uuas", found), ("root_acc", roots)):
            right, total = np.sum(counts, axis=0)
            assert value[metric, layer] == pytest.approx(right / total)
        expected = structural.distance_spearman(gold, predicted)
        assert value["distance_spearman", layer] == pytest.approx(expected, abs=2e-3)
        assert value["depth_spearman", layer] == pytest.approx(
            structural.depth_spearman(depths, guessed), abs=2e-3
        )


def test_nothing_is_trained_twice_and_states_are_not_kept(frame, home, settings, monkeypatch):
    monkeypatch.setattr(structural, "fit", None)
    again = analyses.ANALYSES["structural_probe"](settings)
    assert again.equals(frame)
    assert not list((home / "artifacts" / "scratch").iterdir())


def test_what_was_done_before_a_run_was_killed_is_not_done_again(home, settings, monkeypatch):
    settings = dataclasses.replace(settings, probe_rank=3, probe_seeds=(0,))
    bank = analysis.treebank(settings)
    encoder, fit, done = encoders.load("tiny", random_init=4), structural.fit, []

    def killed(kind, *parts, **options):
        if kind == "depth":
            raise KeyboardInterrupt
        return fit(kind, *parts, **options)

    monkeypatch.setattr(structural, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        analysis.probes(settings, bank, encoder, settings.probe_seeds)
    monkeypatch.setattr(structural, "fit", lambda kind, *a, **k: done.append(kind) or fit(kind, *a, **k))
    monkeypatch.setattr(encoders.states, "_write", None)  # the states that were read are there still
    folders = analysis.probes(settings, bank, encoder, settings.probe_seeds)
    assert done == ["depth"] and set(folders) == {("distance", 0), ("depth", 0)}


def test_intervals_of_ratios_are_those_of_sentences_drawn_again(tmp_path):
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 9, 30)
    scores = {}
    for metric in structural.METRICS["distance"]:
        scores[f"{metric}_count"] = np.repeat(lengths[:, None], 2, 1).astype(float)
        scores[f"{metric}_sum"] = scores[f"{metric}_count"] * rng.random((30, 2))
    np.savez(tmp_path / "scores.npz", **scores)
    estimates = analysis.estimates(tmp_path, "distance", lengths, 200)
    draws = statistics.resamples(30, 200, 0).astype(int)
    sums, counts = scores["uuas_sum"][:, 1], scores["uuas_count"][:, 1]
    samples = [(times @ sums) / (times @ counts) for times in draws]
    np.testing.assert_allclose(estimates["uuas"][1].samples, samples)
    for estimate in (estimates["uuas"][1], estimates["distance_spearman"][1]):
        low, high = np.quantile(estimate.samples, [0.025, 0.975])
        assert (estimate.ci_low, estimate.ci_high) == pytest.approx((low, high))
        assert low < estimate.value < high


def test_trees_to_draw(frame, home, settings):
    drawn = analysis.predicted_trees(settings, 2, 1, words=range(5, 8))
    records = [r for r in analysis.treebank(settings).parts["test"] if 5 <= len(r.words) < 8][:2]
    assert [d.id for d in drawn] == [r.id for r in records]
    for sentence, record in zip(drawn, records, strict=True):
        n = len(record.words)
        tree = [sorted((k, h - 1)) for k, h in enumerate(record.heads[:-1]) if h]  # the last is punctuation
        assert sorted(tree) == sentence.gold.tolist()
        assert set(sentence.predicted) == {"Base", "Dep"}
        for edges in sentence.predicted.values():
            assert edges.shape == (n - 2, 2) and set(edges.ravel().tolist()) == set(range(n - 1))
    # Of all sentences together the trees give the score in the table.
    every = analysis.predicted_trees(settings, 24, 1, words=range(1, 99))
    right = sum(
        len({*map(tuple, d.gold.tolist())} & {*map(tuple, d.predicted["Dep"].tolist())}) for d in every
    )
    rows = frame[
        (frame["analysis"] == "structural_probe") & (frame["metric"] == "uuas") & (frame["layer"] == 1)
    ]
    value = rows[(rows["model"] == "Dep") & (rows["seed"] == 3)]["value"].item()
    assert right / sum(len(d.gold) for d in every) == pytest.approx(value)
    with pytest.raises(ValueError, match="unknown layer 4; valid: -1 to 3"):
        analysis.predicted_trees(settings, 1, 4, words=range(5, 8))
    with pytest.raises(ValueError, match="25 sentences of 1 to 98 words asked for, there are 24"):
        analysis.predicted_trees(settings, 25, 1, words=range(1, 99))


def test_sentences_without_trees_are_refused(settings, monkeypatch):
    monkeypatch.setattr(analysis, "read_records", lambda *_: [Sentence("s1", ("a", "b"))])
    with pytest.raises(ValueError, match=r"ud-ewt \(train\): sentence 's1' has no tree or no UPOS tags"):
        analysis.treebank(dataclasses.replace(settings, probe_train=17))


def test_probes_depend_on_what_they_are_made_from(home, settings):
    """Another rank, recipe or seed is another probe; the number of resamples is not."""
    bank, base, seeds = analysis.treebank(settings), encoders.load("tiny"), settings.probe_seeds
    first = analysis.probes(settings, bank, base, seeds)
    assert analysis.probes(dataclasses.replace(settings, n_bootstrap=60), bank, base, seeds) == first
    changed = dataclasses.replace(settings, structural=StructuralRecipe(epochs=1))
    other = analysis.probes(changed, bank, base, seeds)
    assert not {*first.values()} & {*other.values()} and len(set(first.values())) == 4
    assert Store().verify(first["depth", 0])["spec"]["seed"] == 0
