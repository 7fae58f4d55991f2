"""Optimiser against hand-computed steps; training learns, repeats itself and survives being killed."""

import copy
import dataclasses
import os
import pickle
import random
import subprocess
import sys
import textwrap
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch

from helpers import encoders, progress, store
from helpers.corpora.records import Pair
from helpers.finetuning import prediction, tasks, training
from helpers.finetuning.prediction import TaskModel
from helpers.profiles import Task, TuningRecipe
from helpers.store import Store

RECIPE = TuningRecipe(epochs=2, learning_rate=1e-3, batch_size=5, max_length=32)
LEARNT = dataclasses.replace(RECIPE, epochs=25, batch_size=8)


@pytest.fixture
def cache(tmp_path):
    return Store(tmp_path / "store")


# -- optimisation ----------------------------------------------------------------------------------


def test_optimiser_steps_by_hand():
    """Three steps of google-research/bert's update rule in numpy."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(3, 4, 3))
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = training.BertAdam([{"params": [parameter], "weight_decay": 0.01}], 0.1)
    p, m, v = start.copy(), 0.0, 0.0
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        p = p - 0.1 * (m / (np.sqrt(v) + 1e-6) + 0.01 * p)
        assert parameter.detach().numpy() == pytest.approx(p, rel=1e-4, abs=1e-5)
    # Without bias correction the first steps are sqrt(10) times as long as Adam's.
    assert np.abs(p - start).max() > 0.3


def test_optimiser_state_survives_saving():
    def new():
        parameter = torch.nn.Parameter(torch.ones(3))
        return parameter, training.BertAdam([{"params": [parameter], "weight_decay": 0.0}], 0.1)

    def step(parameter, optimizer, value):
        parameter.grad = torch.full((3,), value)
        optimizer.step()

    a, one = new()
    step(a, one, 1.0)
    b, two = new()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    b.data.copy_(a.data)
    step(a, one, -0.5)
    step(b, two, -0.5)
    assert torch.equal(a, b)


def test_parameters_are_grouped_by_rate_and_decay(encoder):
    model = TaskModel(encoder.model, tasks.get("Dep").head(encoder, ("a", "b")))
    recipe = TuningRecipe(learning_rate=1e-4, head_learning_rate=2e-3, weight_decay=0.02)
    frozen = encoder.model.encoder.layer[0]
    frozen.requires_grad_(False)
    groups = training.parameter_groups(model, recipe)
    frozen.requires_grad_(True)
    settings = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(settings) == sum(len(group["params"]) for group in groups), "none twice"
    for name, parameter in model.named_parameters():
        if name.startswith("encoder.encoder.layer.0."):
            assert id(parameter) not in settings, name
            continue
        rate, decay = settings[id(parameter)]
        assert rate == (2e-3 if name.startswith("head.") else 1e-4), name
        assert decay == (0.0 if "LayerNorm" in name or name.endswith("bias") else 0.02), name
    same = training.parameter_groups(model, dataclasses.replace(recipe, head_learning_rate=None))
    assert {group["lr"] for group in same} == {1e-4}


# -- whole runs --------------------------------------------------------------------------------------


def _finetune(kind, folder, records, cache, recipe=RECIPE, seed=0, **options):
    task = Task(kind, "test", recipe)
    return training.finetune(task, folder, records, records, seed=seed, cache=cache, **options)


@pytest.mark.parametrize(("kind", "headline"), [("Dep", "las"), ("NLI", "accuracy"), ("QA", "f1")])
def test_learns_and_keeps_everything(kind, headline, folder, cache, request, monkeypatch):
    records = request.getfixturevalue({"Dep": "sentences", "NLI": "pairs", "QA": "questions"}[kind])
    steps = []
    monkeypatch.setattr(progress, "steps", lambda *step: steps.append(step))
    tuned = _finetune(kind, folder, records, cache, LEARNT)
    assert steps == [(f"fine-tuning {kind} on test, seed 0", i, 75) for i in range(1, 76)]
    assert next(iter(tuned.scores)) == headline
    assert tuned.scores[headline] > 0.9
    assert all(scores[headline] < tuned.scores[headline] - 0.2 for scores in tuned.baselines.values())
    assert (
        set(tuned.baselines)
        == {
            "Dep": {"untrained", "previous_word", "next_word"},
            "NLI": {"untrained", "majority"},
            "QA": {"untrained"},
        }[kind]
    )
    assert tuned.report["counts"]["train"] and tuned.report["training"]["steps"] == 75

    log = tuned.log()
    assert log[-1]["loss"] < log[0]["loss"] / 2
    # Warm-up over a tenth of the steps, rounded to 8, then down to 0; logged is the rate of the step.
    for row in log:
        done = row["step"] - 1
        expected = 1e-3 * min(done / 8, (75 - done) / (75 - 8))
        assert row["learning_rate"] == pytest.approx(expected, abs=1e-9)

    files = {str(p.relative_to(tuned.folder)) for p in tuned.folder.rglob("*") if p.is_file()}
    assert files == {
        "artifact.json", "head.json", "head.safetensors", "scores.json", "training.jsonl",
        "predictions.jsonl", "encoder/config.json", "encoder/model.safetensors",
        "encoder/tokenizer.json", "encoder/tokenizer_config.json",
    }  # fmt: skip

    predictions = tuned.predictions()
    total = sum(row["total"] for row in predictions)
    assert sum(row["correct"] for row in predictions) / total == pytest.approx(tuned.scores[headline])
    again = prediction.predict(training.load(tuned.folder, device="cpu"), records)
    assert all(row.items() <= kept.items() for row, kept in zip(again, predictions, strict=True))

    from transformers import AutoModel

    with encoders.quiet():
        plain = AutoModel.from_pretrained(tuned.encoder).state_dict()
    before = encoders.load(folder, device="cpu").model.state_dict()
    assert plain.keys() == before.keys()
    assert any(not torch.equal(plain[name], before[name]) for name in plain)

    steps.clear()
    _finetune(kind, folder, records, cache, LEARNT)
    assert not steps, "the store has it"


def _weights(tuned):
    return safetensors.torch.load_file(tuned.folder / "head.safetensors") | {
        f"encoder.{k}": v for k, v in safetensors.torch.load_file(tuned.encoder / "model.safetensors").items()
    }


def _same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def reference(folder, pairs, tmp_path_factory):
    """A run of 2 epochs of 5 steps, with dropout."""
    return _finetune("NLI", folder, pairs, Store(tmp_path_factory.mktemp("reference")))


def test_same_seed_same_numbers_other_seed_others(reference, folder, pairs, cache):
    same = _finetune("NLI", folder, pairs, cache)
    assert _same(_weights(reference), _weights(same))
    assert reference.predictions() == same.predictions()
    assert not _same(_weights(reference), _weights(_finetune("NLI", folder, pairs, cache, seed=1)))


def test_without_dropout_the_first_loss_is_that_of_the_untrained_model(folder, pairs, cache):
    known = tasks.get("NLI").labels(pairs)
    untrained = prediction.untrained(Task("NLI", "test", RECIPE), encoders.load(folder), known, 0)
    rows = prediction.predict(untrained, pairs)
    right = [row["probabilities"][known.index(p.label)] for row, p in zip(rows, pairs, strict=True)]
    step = dataclasses.replace(RECIPE, epochs=1, batch_size=len(pairs))
    off = {
        rate: _finetune("NLI", folder, pairs, cache, dataclasses.replace(step, dropout=rate)).log()[0]["loss"]
        + np.log(right).mean()
        for rate in (0.0, 0.1, 0.5, None)
    }
    assert abs(off[0.0]) < 1e-3 < abs(off[0.5])
    assert off[None] == off[0.1]  # what the encoder's configuration says


def test_dropout_is_set_in_the_head_of_an_encoder_with_other_names_for_it_too():
    from transformers import DistilBertConfig, DistilBertModel

    encoder = DistilBertModel(DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=2, hidden_dim=8))
    encoders.set_dropout(encoder, 0.25)
    model = TaskModel(encoder, tasks.get("NLI").head(SimpleNamespace(model=encoder, width=8), ("a", "b")))
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert len(rates) > 2 and set(rates) == {0.25}


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", [3, 5, 7, 8])  # within an epoch, at its end, within the second one
def test_a_killed_run_resumes_to_the_same_weights(step, reference, folder, pairs, cache, monkeypatch):
    def kill(what, done, total):
        if done == step:
            raise Killed

    with pytest.raises(Killed), monkeypatch.context() as patched:
        patched.setattr(progress, "steps", kill)
        _finetune("NLI", folder, pairs, cache, checkpoint_every=0.0)
    [checkpoint] = cache.root.rglob(training.CHECKPOINT)
    assert torch.load(checkpoint, weights_only=True)["step"] == step
    if step == 8:  # killed while it wrote: what it was writing is a torso, the checkpoint is whole
        checkpoint.with_name(f".{checkpoint.name}.torso").write_bytes(b"torso")
    seen = []
    monkeypatch.setattr(progress, "steps", lambda what, done, total: seen.append(done))
    resumed = _finetune("NLI", folder, pairs, cache)
    assert seen[0] == step + 1 and seen[-1] == 10
    assert _same(_weights(reference), _weights(resumed))
    assert [row["step"] for row in resumed.log()] == list(range(1, 11))


def _states(folder, pairs, cache, steps, **options):
    task = Task("NLI", "test", RECIPE)
    return training.states(task, folder, pairs, pairs, steps=steps, seed=0, cache=cache, **options)


def test_states_on_the_way_lead_to_the_tuned_model_file_by_file(reference, folder, pairs, cache):
    kept = _states(folder, pairs, cache, [1, 4, 10])
    assert training.count_steps(Task("NLI", "test", RECIPE), folder, pairs) == 10
    files = sorted(p.relative_to(kept[10].folder) for p in kept[10].folder.rglob("*") if p.is_file())
    assert len(files) == 8
    for name in files:
        if name.name != "scores.json":
            assert (kept[10].folder / name).read_bytes() == (reference.folder / name).read_bytes(), name
    assert kept[10].scores == reference.scores and kept[10].report.keys() == {"scores"}
    # Warm-up is one step, whose rate is 0; after that the weights move, the further the later.
    start = encoders.load(folder, device="cpu").model.state_dict()
    moved = {}
    for step, state in kept.items():
        weights = safetensors.torch.load_file(state.encoder / "model.safetensors")
        moved[step] = sum(float((weights[name] - start[name]).norm()) for name in weights)
    assert moved[1] == 0 < moved[4] < moved[10]
    # Asked for other steps, the run ends early and passes through the same states.
    (early,) = _states(folder, pairs, cache, [4]).values()
    assert early.folder != kept[4].folder and _same(_weights(early), _weights(kept[4]))
    assert early.predictions() == kept[4].predictions()


def test_a_killed_run_resumes_to_the_same_states(folder, pairs, cache, monkeypatch):
    expected = _states(folder, pairs, cache, [2, 3, 6])
    other = Store(cache.root / "other")

    def kill(what, done, total):
        if done == 3:
            raise Killed

    with pytest.raises(Killed), monkeypatch.context() as patched:
        patched.setattr(progress, "steps", kill)
        _states(folder, pairs, other, [2, 3, 6], checkpoint_every=0.0)
    (work,) = other.root.glob("*/*.partial")
    (work / "6.partial").mkdir()  # of a run that was killed while it wrote a state
    seen = []
    monkeypatch.setattr(progress, "steps", lambda what, done, total: seen.append((done, total)))
    resumed = _states(folder, pairs, other, [2, 3, 6])
    assert seen == [(4, 6), (5, 6), (6, 6)]
    for step, state in expected.items():
        assert _same(_weights(state), _weights(resumed[step]))
        assert state.predictions() == resumed[step].predictions()
    assert {p.name for p in resumed[2].folder.parent.iterdir()} == {"2", "3", "6", "artifact.json"}


@pytest.mark.parametrize(("steps", "message"), [
    ([], "got \\[\\]"), ([0, 1], "from 1 or more"), ([3, 2], "increase"), ([2, 2], "increase"),
    ([2, 11], "step 11 asked for, the training has 10"),
])  # fmt: skip
def test_steps_that_cannot_be_kept_are_refused(steps, message, folder, pairs, cache):
    with pytest.raises(ValueError, match=message):
        _states(folder, pairs, cache, steps)


def test_leaves_no_trace_in_the_process(folder, pairs, cache, capfd):
    from transformers.utils import logging

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    verbosity = logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _finetune("NLI", folder, pairs, cache, dataclasses.replace(RECIPE, epochs=0.2))
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    assert logging.get_verbosity() == verbosity
    assert not torch.are_deterministic_algorithms_enabled()
    assert capfd.readouterr() == ("", "")


def test_a_loss_that_is_not_finite_stops_the_run(folder, pairs, cache):
    with pytest.raises(FloatingPointError, match="loss is (nan|inf) at step"):
        _finetune("NLI", folder, pairs, cache, dataclasses.replace(RECIPE, learning_rate=1e30))
    assert not any(p.name == "artifact.json" for p in cache.root.rglob("*"))


def test_what_the_result_depends_on(reference, folder, pairs, cache, monkeypatch):
    """Other records, settings or encoder: another artifact."""
    asked = []

    def record(kind, spec, build):
        asked.append(cache.path(kind, spec).name)
        return reference.folder

    monkeypatch.setattr(cache, "get", record)
    other = [dataclasses.replace(pairs[0], premise="other"), *pairs[1:]]
    task = Task("NLI", "test", RECIPE)
    for arguments in (
        (task, folder, pairs, pairs, 0),
        (task, folder, other, pairs, 0),
        (task, folder, pairs, other, 0),
        (task, folder, pairs, pairs, 1),
        (dataclasses.replace(task, recipe=LEARNT), folder, pairs, pairs, 0),
        (task, reference.encoder, pairs, pairs, 0),
    ):
        training.finetune(*arguments[:-1], seed=arguments[-1], cache=cache)
    assert len(set(asked)) == 6


def test_errors_come_before_any_work(folder, pairs, sentences, cache):
    odd = [Pair("odd", "cats", "dogs", "maybe")]
    task = Task("NLI", "test", RECIPE)
    with pytest.raises(ValueError, match="'odd' has label 'maybe'.*known: contradiction, entail"):
        training.finetune(task, folder, pairs, odd, seed=0, cache=cache)
    with pytest.raises(ValueError, match="NLI needs Pair records, got Sentence"):
        training.finetune(task, folder, sentences, pairs, seed=0, cache=cache)
    with pytest.raises(ValueError, match="max_length 512 is more than .*'s 64 positions"):
        _finetune("NLI", folder, pairs, cache, dataclasses.replace(RECIPE, max_length=512))
    with pytest.raises(ValueError, match="none of the 24 training records fits max_length 5"):
        _finetune("Dep", folder, sentences, cache, dataclasses.replace(RECIPE, max_length=5))
    assert not any(p.name == "artifact.json" for p in cache.root.rglob("*"))


@pytest.mark.parametrize("how", [training.finetune, training.predictions])
def test_what_is_wrong_with_evaluation_records_shows_before_training(
    how, folder, questions, cache, monkeypatch
):
    task = Task("QA", "questions", dataclasses.replace(RECIPE, max_length=24))
    long = dataclasses.replace(questions[0], question="who do " * 20 + "?")
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("trained"))
    with pytest.raises(ValueError, match="leaves no room for its context"):
        how(task, folder, questions, [long], seed=0, cache=cache)


def test_predictions_are_those_of_fine_tuning_and_all_that_is_kept(folder, pairs, tmp_path):
    task, cache = Task("NLI", "pairs", RECIPE), Store(tmp_path / "cache")
    options = dict(seed=3, frozen=0)
    rows = training.predictions(task, folder, pairs[:16], pairs[16:], cache=cache, **options)
    whole = training.finetune(task, folder, pairs[:16], pairs[16:], cache=Store(tmp_path / "x"), **options)
    assert rows == whole.predictions()
    (kept,) = (p for p in (tmp_path / "cache" / "ablation").iterdir() if p.is_dir())
    files = sorted(p.name for p in kept.iterdir() if not p.name.startswith("."))
    assert files == [store.MANIFEST, "predictions.jsonl"]


def test_several_processes_train_together(folder, pairs, tmp_path):
    """Two processes under torchrun, batches shared between them, one artifact."""
    script = tmp_path / "together.py"
    script.write_text(
        textwrap.dedent(
            """
            import pickle, sys
            from helpers.finetuning import training
            from helpers.profiles import Task, TuningRecipe
            from helpers.store import Store

            if __name__ == "__main__":
                folder, records, home = sys.argv[1:]
                pairs = pickle.load(open(records, "rb"))
                recipe = TuningRecipe(epochs=2, learning_rate=1e-3, batch_size=6, max_length=32)
                task = Task("NLI", "test", recipe)
                tuned = training.finetune(
                    task, folder, pairs, pairs, seed=0, cache=Store(home), checkpoint_every=0.0
                )
                again = training.finetune(task, folder, pairs, pairs, seed=0, cache=Store(home))
                rows = training.predictions(task, folder, pairs, pairs, seed=1, cache=Store(home), frozen=0)
                processes = again.report["training"]["processes"]
                found = len(rows), again.folder, again.scores["accuracy"], processes
                sys.stdout.write(" ".join(map(str, found)) + "\\n")  # at once: two processes write
            """
        )
    )
    records = tmp_path / "pairs.pickle"
    records.write_bytes(pickle.dumps(pairs))
    root = str(training.Path(training.__file__).parents[2])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*torchrun, str(script), str(folder), str(records), str(tmp_path / "store")],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.split("\n")[:2]
    assert lines[0] == lines[1] and lines[0].endswith(" 2") and lines[0].startswith(f"{len(pairs)} ")
