"""Training followed step by step and with more records: closed forms, the points, and the table."""

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import analyses, encoders, profiles, progress, results, similarity
from helpers.analyses import dynamics, finetuning, rsa
from helpers.corpora import edges
from helpers.corpora.records import Sentence
from helpers.finetuning import training
from helpers.store import Store

SIZES = (6, 16)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETUNING_BOOK_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(dynamics, "task_records", records)
        patch.setattr(finetuning, "task_records", records)
        patch.setattr(rsa, "read_records", lambda settings, text, split, n: drawn(n, 7))
        patch.setattr(dynamics.structural, "read_records", lambda settings, corpus, split, n: drawn(n, 8))
        yield


def drawn(n, seed):
    """Sentences of random words; the first word is the root, the last a full stop."""
    rng, made = np.random.default_rng(seed), []
    words = "the old man saw a dog near our house and went home with it".split()
    for i in range(n):
        length = int(rng.integers(4, 9))
        heads = (0, *(int(rng.integers(1, k)) for k in range(2, length + 1)))
        tags = tuple("NOUN" if k < length - 1 else "PUNCT" for k in range(length))
        relations = tuple("root" if head == 0 else "dep" for head in heads)
        chosen = (*rng.choice(words, length - 1).tolist(), ".")
        made.append(Sentence(f"{seed}-{i}", chosen, upos=tags, xpos=tags, heads=heads, deprels=relations))
    return made


def records(settings, model, part):
    return drawn(40, 0) if part == "train" else drawn(12, 1)


@pytest.fixture(scope="module")
def settings():
    """40 records, 8 a step: 5 steps a pass, 10 in all; similarity on half of 120 tokens."""
    smaller = dict(n_tokens=120, domain_share=0.5, probe_rank=4, dynamics_points=4)
    chosen = profiles.settings("smoke", seeds=[3], **smaller)
    dep = chosen.task("Dep")
    dep = dataclasses.replace(dep, recipe=dataclasses.replace(dep.recipe, epochs=2, learning_rate=1e-3))
    probes = profiles.StructuralRecipe(epochs=2)
    return dataclasses.replace(chosen, tasks=(dep,), structural=probes, dynamics_sizes=(*SIZES, 40, 99))


@pytest.fixture(scope="module")
def frame(settings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics.edges, "probing_records", tagged)
        return analyses.training_dynamics(settings)


def tagged(settings, only):
    """Parts of speech of drawn sentences."""
    assert only == ("POS",)
    parts = {"train": drawn(24, 4), "dev": drawn(8, 5), "test": drawn(12, 6)}
    return {"POS": {split: edges.pos(sentences) for split, sentences in parts.items()}}


# -- closed forms ----------------------------------------------------------------------------------


def test_weights_that_doubled_have_moved_by_one_and_equal_ones_not_at_all():
    start = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    assert dynamics.weight_distance(start, copy.deepcopy(start)) == 0
    for factor, expected in ((2.0, 1.0), (-1.0, 2.0), (0.0, 1.0), (1.5, 0.5)):
        scaled = copy.deepcopy(start)
        with torch.no_grad():
            for p in scaled.parameters():
                p.mul_(factor)
        assert dynamics.weight_distance(scaled, start) == pytest.approx(expected)


def test_the_distance_is_that_of_all_parameters_as_one_vector():
    start, moved = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    for module, numbers in ((start, [3.0, 0.0, 4.0]), (moved, [3.0, 2.0, 5.0])):
        torch.nn.utils.vector_to_parameters(torch.tensor(numbers), module.parameters())
    # (0, 2, 1) is as long as the root of 5, (3, 0, 4) as 5.
    assert dynamics.weight_distance(moved, start) == pytest.approx(5**0.5 / 5)
    with pytest.raises(ValueError, match="differ in names or shapes"):
        dynamics.weight_distance(torch.nn.Linear(3, 1), start)


def test_a_layers_distance_is_its_blocks():
    start, moved = encoders.load("tiny"), encoders.load("tiny")
    with torch.no_grad():
        for p in moved.model.encoder.layer[2].parameters():
            p.mul_(2)
    assert dynamics.weight_distances(moved, start) == pytest.approx({-1: 0, 0: 0, 1: 0, 2: 1, 3: 0})


@pytest.mark.parametrize(("total", "n"), [(1, 10), (2, 10), (7, 10), (63, 6), (1568, 10), (100_000, 3)])
def test_steps_are_log_spaced_with_both_ends_and_each_once(total, n):
    steps = dynamics.spaced(total, n)
    assert steps[0] == 1 and steps[-1] == total and len(steps) <= n
    assert all(a < b for a, b in zip(steps, steps[1:], strict=False))
    if total ** (1 / (n - 1)) > 3:  # so far apart that rounding does not matter
        ratios = np.divide(steps[1:], steps[:-1])
        assert len(steps) == n and ratios == pytest.approx(total ** (1 / (n - 1)), rel=0.2)


def test_a_rows_point_is_read_from_its_inputs():
    assert dynamics.place("step 32") == ("step", 32)
    assert dynamics.place("1000 records, same passes") == ("same passes", 1000)
    assert dynamics.place("40 records, same steps") == ("same steps", 40)
    for wrong in ("", "step", "step 3 ", "steps 3", "9 records", "9 records, same"):
        with pytest.raises(ValueError, match="is no point; expected a text such as 'step 32'"):
            dynamics.place(wrong)


# -- points ----------------------------------------------------------------------------------------


def test_the_two_conditions_have_the_steps_and_the_records_asked_for(settings):
    assert dynamics.sizes(settings, "Dep") == list(SIZES)
    whole = analyses.fine_tuned(settings, "Dep", 3).report
    assert whole["training"]["steps"] == 10
    # 6 records are 1 batch and 16 are 2; two passes over them.
    for axis, steps in (("same passes", (2, 4)), ("same steps", (10, 10))):
        for size, expected in zip(SIZES, steps, strict=True):
            tuned = dynamics.tuned_on_fewer(settings, "Dep", size, axis)
            assert tuned.report["training"]["steps"] == expected
            assert tuned.report["counts"]["train"]["sentences"] == size
            assert tuned.report["counts"]["evaluation"] == whole["counts"]["evaluation"]


def test_the_last_point_is_the_tuned_model_and_the_others_lead_to_it(settings):
    whole, found = analyses.fine_tuned(settings, "Dep", 3), dict(dynamics.models(settings, "Dep"))
    assert [dynamics.place(inputs) for inputs in found] == [
        ("step", 1), ("step", 2), ("step", 5), ("step", 10), ("same passes", 6), ("same passes", 16),
        ("same passes", 40), ("same steps", 6), ("same steps", 16), ("same steps", 40),
    ]  # fmt: skip
    last = [found[name].folder for name in ("step 10", "40 records, same passes", "40 records, same steps")]
    assert set(last) == {whole.folder}
    train, evaluation = (records(settings, "Dep", part) for part in ("train", "eval"))
    task = settings.task("Dep")
    every = training.states(
        task, settings.encoder, train, evaluation, steps=[2, 10], seed=3, cache=Store()
    )  # fmt: skip
    for step, same in ((2, found["step 2"]), (10, whole)):
        files = (tuned.encoder / "model.safetensors" for tuned in (every[step], same))
        a, b = (file.read_bytes() for file in files)
        assert a == b and every[step].predictions() == same.predictions()


def test_an_interrupted_analysis_goes_on_where_it_was(settings, frame, monkeypatch):
    """All that is trained and compared is in the store."""
    monkeypatch.setattr(training, "_train", None)
    monkeypatch.setattr(dynamics.edges.edge.EdgeProbes, "loss", None)
    monkeypatch.setattr(dynamics.edges, "probing_records", tagged)
    pending = [point.label for point in dynamics._points(settings) if point.missing()]
    assert pending == [] and len(dynamics._points(settings)) == 2 + 2 * len(settings.dynamics_sizes)
    assert analyses.training_dynamics(settings).equals(frame)


# -- the table -------------------------------------------------------------------------------------


def test_the_table_has_every_point_layer_and_measure(frame, settings):
    layers = list(encoders.load("tiny").layers)
    points = list(dict(dynamics.models(settings, "Dep")))
    own = results.select(frame, analysis="training_dynamics", model="Dep")
    assert set(own["seed"]) == {3} and set(own["task"]) == {settings.task("Dep").corpus}
    assert own["inputs"].unique().tolist() == ["step 0", *points]
    for inputs in points:
        rows = results.select(own, inputs=inputs)
        for metric in ("rsa_pearson", "uuas", "weight_distance"):
            assert results.select(rows, metric=metric)["layer"].tolist() == layers
        assert len(rows) == 3 * len(layers) + 2 and {"las", "micro_f1_pos"} <= set(rows["metric"])
    base = results.select(frame, model="Base")
    assert len(base) == len(layers) + 1 and base["inputs"].isna().all()
    sure = frame[(frame["metric"] != "weight_distance") & (frame["inputs"] != "step 0")]
    assert (sure["ci_low"] <= sure["value"]).all() and (sure["value"] <= sure["ci_high"]).all()
    assert not frame.duplicated(["analysis", "metric", "model", "inputs", "layer"]).any()
    counts = frame["analysis"].value_counts()
    assert counts["training_dynamics_delta"] == 10 * (len(layers) + 1)
    assert counts["training_dynamics_to_end"] == 7 * (2 * len(layers) + 2)
    assert counts["training_dynamics_more_steps"] == 2 * (2 * len(layers) + 2)


NONE = 99  # in place of a layer, of what has none


def by_place(frame):
    """The table's values by analysis, model, inputs, metric and layer."""
    whole = frame.assign(inputs=frame["inputs"].fillna(""), layer=frame["layer"].fillna(NONE))
    names = ["analysis", "model", "inputs", "metric", "layer"]
    return whole.set_index(names)["value"].sort_index()


def test_values_are_those_of_each_model_read_again(frame, settings):
    here = by_place(frame)["training_dynamics", "Dep"]
    read = rsa.reader(dataclasses.replace(settings, n_tokens=60, n_sentences=12))
    base = encoders.load("tiny")
    assert set(results.select(frame, metric="rsa_pearson")["n"]) == {60}
    for inputs, tuned in dynamics.models(settings, "Dep"):
        encoder = encoders.load(tuned.encoder)
        expected = similarity.rsa(read(encoder).layer(2), read(base).layer(2))
        assert here[inputs, "rsa_pearson", 2] == pytest.approx(expected, abs=1e-6)
        assert here[inputs, "las", NONE] == pytest.approx(tuned.scores["las"])
        block = (e.model.encoder.layer[1].output.dense.weight for e in (encoder, base))
        moved = (next(block) - next(block)).norm() > 0
        assert bool(moved) == (here[inputs, "weight_distance", 1] > 0)
    # The rate of the first step is 0.
    assert here["step 1", "weight_distance"].eq(0).all()
    assert here["step 1", "rsa_pearson"].to_numpy() == pytest.approx(1, abs=1e-6)
    assert (
        here["step 0", "las", NONE] == analyses.fine_tuned(settings, "Dep", 3).baselines["untrained"]["las"]
    )


def test_differences_are_what_they_say(frame):
    value = by_place(frame)
    here = value["training_dynamics", "Dep"]
    base, delta = value["training_dynamics", "Base", ""], value["training_dynamics_delta", "Dep"]
    for (inputs, metric, layer), number in delta.items():
        assert number == pytest.approx(here[inputs, metric, layer] - base[metric, layer])
    for (inputs, metric, layer), number in value["training_dynamics_to_end", "Dep"].items():
        assert number == pytest.approx(here["step 10", metric, layer] - here[inputs, metric, layer])
    for (size, metric, layer), number in value["training_dynamics_more_steps", "Dep"].items():
        many, few = (here[f"{size}, same {what}", metric, layer] for what in ("steps", "passes"))
        assert number == pytest.approx(many - few)


def test_without_models_or_without_a_parser(settings, monkeypatch):
    monkeypatch.setattr(dynamics.edges, "probing_records", lambda settings, only: {})
    said = []
    monkeypatch.setattr(progress, "say", said.append)
    assert analyses.training_dynamics(dataclasses.replace(settings, dynamics_models=())).empty
    assert dynamics.followed(dataclasses.replace(settings, dynamics_models=("QA",))) == []
    measuring = dynamics._Measuring(dataclasses.replace(settings, tasks=()))
    assert measuring.probed(measuring.base) == {}


def test_settings_are_held_to_their_limits():
    for changes, message in (
        (dict(dynamics_models=["dep"]), "unknown model 'dep'.*valid: Dep, NLI, QA"),
        (dict(dynamics_points=1), "'dynamics_points': expected a number at least 2"),
        (dict(dynamics_sizes=[0]), "'dynamics_sizes': expected a number at least 1"),
        (dict(dynamics_probing=["pos"]), "unknown task 'pos'.*valid: POS, Constituents"),
        (dict(dynamics_sizes=[5, 5]), "'dynamics_sizes': expected different values"),
    ):
        with pytest.raises(ValueError, match=message):
            profiles.settings("quick", **changes)


# -- reading the table -----------------------------------------------------------------------------


def row(inputs, metric, layer, value, half=0.01, analysis="training_dynamics", model="Dep"):
    numbers = dict(value=value, ci_low=value - half, ci_high=value + half)
    return dict(analysis=analysis, model=model, inputs=inputs, metric=metric, layer=layer) | numbers


@pytest.fixture
def made():
    """A table by hand: three layers at four steps, two numbers of records."""
    curves = {-1: (1, 1, 1, 1), 0: (1, 0.97, 0.945, 0.945), 1: (1, 0.93, 0.96, 0.80)}
    score = dict(zip((1, 4, 16, 64), (0.1, 0.5, 0.795, 0.8), strict=True))
    rows = [row("step 0", "las", None, 0.05)]
    for number, (step, las) in enumerate(score.items()):
        points = {("las", None): las} | {("rsa_pearson", k): rsa[number] for k, rsa in curves.items()}
        for (metric, layer), value in points.items():
            end = score[64] if metric == "las" else curves[layer][-1]
            rows.append(row(f"step {step}", metric, layer, value))
            if step != 64:
                left = dict(analysis="training_dynamics_to_end")
                rows.append(row(f"step {step}", metric, layer, end - value, **left))
    for size, steps, more in ((10, -0.3, 0.005), (30, -0.2, 0.04)):
        effects = (f"{size} records", steps, "more_steps"), (f"{size} records, same steps", more, "to_end")
        for inputs, value, name in effects:
            rows.append(row(inputs, "rsa_pearson", 1, value, analysis=f"training_dynamics_{name}"))
    return results.table(rows)


def test_a_layer_has_moved_once_its_interval_stays_below(made):
    moves = dynamics.first_moves(made)
    # Layer 0's interval reaches up to .955; layer 1 comes back before it goes.
    assert moves["Dep"].isna().tolist() == [True, True, False] and moves.loc[1, "Dep"] == 64
    tight = made.assign(ci_high=made["value"])
    assert dynamics.first_moves(tight).loc[0, "Dep"] == 16


def test_what_moves_after_the_score_is_settled(made):
    (found,) = dynamics.settled(made).to_dict("records")
    # .795 is .005 from the end, within the interval of .01; layer 0 is where it ends up by then.
    assert (found["step"], found["steps"], found["moving"], found["layer"]) == (16, 64, [1], 1)
    assert found["value"] == pytest.approx(0.80 - 0.96) and found["ci_high"] < 0
    rising = made.assign(ci_low=made["ci_low"] + 0.02, ci_high=made["ci_high"] + 0.02)
    (found,) = dynamics.settled(rising).to_dict("records")
    assert found["step"] == 64 and found["moving"] == []


def test_effects_of_steps_and_of_records_are_set_apart(made):
    effects = dynamics.steps_or_records(made).set_index(["effect", "records"])
    assert effects["value"].to_dict() == {
        ("more steps", 10): -0.3, ("more steps", 30): -0.2, ("more records", 10): 0.005,
        ("more records", 30): 0.04,
    }  # fmt: skip
    assert effects["sure"].tolist() == [True, True, False, True]


def test_the_summary_says_so_in_words(made):
    assert dynamics.summary(made).loc["Dep"].to_dict() == {
        "moves first": "layer 1 (step 64)",
        "score settled": "step 16 of 64",
        "moving after that": "1 of 3 (most in layer 1: −0.16 [−0.17, −0.15])",
        "more steps": "less similar to Base at each of 2 sizes",
        "more records": "less similar to Base at 0 of 2 sizes, more at 1",
    }
    still = made.assign(value=1.0, ci_low=0.99, ci_high=1.01)
    still.loc[still["analysis"] != "training_dynamics", ["value", "ci_low", "ci_high"]] = 0.0, -0.01, 0.01
    assert dynamics.summary(still).loc["Dep", ["moves first", "moving after that"]].tolist() == [
        "no layer", "0 of 3",
    ]  # fmt: skip
    assert (
        dynamics.summary(still).loc["Dep", "more steps"].startswith("neither clearly less nor clearly more")
    )


def test_sentences_for_a_page(made):
    moved = [
        row(f"{n} records, same steps", "weight_distance", layer, distance)
        for n, distances in ((10, (9, 0.01, 0.03)), (30, (9, 0.5, 0.5)), (100, (9, 0.02, 0.06)))
        for layer, distance in zip((-1, 0, 1), distances, strict=True)
    ]
    frame = pd.concat([made, results.table(moved)], ignore_index=True)
    assert dynamics.sentences(frame) == (
        "Dep moves first in layer 1 (step 64). Its score settles at step 16 of 64; layers that still "
        "change after that: 1 of 3 (most in layer 1: −0.16 [−0.17, −0.15]). More steps over the same "
        "records make the last layer less similar to Base at each of 2 sizes. More records in the same "
        "number of steps make it less similar to Base at 0 of 2 sizes, more at 1. In the same number of "
        "steps, weights move 0.50 times as far on 10 records as on all."
    )
    rising = made[~made["inputs"].str.contains("records")].assign(ci_low=0.5)
    assert dynamics.sentences(rising).endswith(
        "Its score rises up to the last point, so nothing can be said of change after that."
    )


def test_a_table_of_a_training_in_one_step_has_a_summary_too(made):
    assert dynamics.summary(made[made["inputs"].isin(["step 0", "step 64"])]).empty
    without = dynamics.summary(made[~made["inputs"].str.contains("records")])
    assert set(without.loc["Dep", list(dynamics.EFFECTS)]) == {"not tried on fewer records"}


def test_the_summary_of_a_table_as_computed_and_as_read_back(frame, settings):
    made = dynamics.summary(frame)
    assert made.index.tolist() == ["Dep"] and not made.isna().any(axis=None)
    assert dynamics.summary(results.saved("training_dynamics", settings)).equals(made)
