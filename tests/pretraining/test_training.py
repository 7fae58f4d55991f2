"""Training: exact resumption, objectives, the finished model, the command line."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from helpers import progress, store
from helpers.pretraining import models, text, training
from helpers.pretraining.batches import IGNORED, Batches


@pytest.fixture
def train(prepared, tiny):
    def trained(folder, recipe=tiny, **options):
        options = {"device": "cpu", "log_every": 10, "n_evaluations": 3} | options
        return training.pretrain(recipe, folder, *prepared, **options)

    return trained


def at(steps: int):
    return lambda done: done >= steps


def timeless(folder) -> list[dict]:
    """The log without what the clock says."""
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "tokens_per_s")}
        for row in training.read_log(folder)
    ]


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]


@pytest.fixture(scope="module")
def whole(prepared, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    training.pretrain(tiny, folder, *prepared, device="cpu", log_every=10, n_evaluations=3)
    return folder


@pytest.mark.parametrize("stops", [(15,), (4, 9, 9, 7)])
def test_a_stopped_run_ends_like_one_that_was_not(train, whole, tmp_path, stops):
    for stop in stops:
        with pytest.raises(training.Interrupted):
            train(tmp_path, stop=at(stop))
    train(tmp_path)
    ours, theirs = weights(tmp_path), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert timeless(tmp_path) == timeless(whole)
    steps = [row["step"] for row in timeless(whole) if "mlm" in row]
    held = [row["step"] for row in timeless(whole) if "heldout" in row]
    assert steps == [10, 20, 30] and held == [0, 3, 13, 30]


def test_a_damaged_checkpoint_is_neither_used_nor_overwritten(train, tmp_path):
    with pytest.raises(training.Interrupted):
        train(tmp_path, stop=at(5))
    checkpoint = tmp_path / "checkpoint.pt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(ValueError, match="checkpoint.pt: damaged"):
        train(tmp_path)
    assert checkpoint.read_bytes() == content


def test_a_killed_run_forgets_what_it_logged_after_its_checkpoint(train, whole, tmp_path):
    with pytest.raises(training.Interrupted):
        train(tmp_path, stop=at(15))
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write(json.dumps({"step": 20, "tokens": 1, "mlm": 9.9}) + '\n{"step": 21, "mlm"')
    train(tmp_path)
    assert timeless(tmp_path) == timeless(whole)


def test_a_run_killed_before_its_first_checkpoint_starts_over(train, whole, tmp_path):
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 10, "tokens": 1, "mlm": 9.9}) + "\n")
    train(tmp_path)
    assert timeless(tmp_path) == timeless(whole)


def test_the_loss_falls(whole):
    held = [row["heldout"]["mlm"] for row in training.read_log(whole) if "heldout" in row]
    assert abs(held[0] - np.log(120)) < 0.3  # knows nothing: as good as a uniform guess
    assert held[-1] < held[0] - 0.5


def test_other_settings_are_refused_on_resuming(train, tiny, tmp_path):
    with pytest.raises(training.Interrupted):
        train(tmp_path, stop=at(10))
    with pytest.raises(ValueError, match=r"other settings \(clip\)"):
        train(tmp_path, dataclasses.replace(tiny, clip=2.0))
    with pytest.raises(ValueError, match="tokens can only be changed before that"):
        train(tmp_path, dataclasses.replace(tiny, tokens=11 * 256))
    train(tmp_path, dataclasses.replace(tiny, tokens=20 * 256))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 20


def test_a_branch_decays_while_the_run_goes_on(train, tiny, tmp_path):
    """A copy of a run that is cut shorter decays to zero; the run itself is none the wiser."""
    with pytest.raises(training.Interrupted):
        train(tmp_path / "run", stop=at(10))
    shutil.copytree(tmp_path / "run", tmp_path / "branch")
    train(tmp_path / "branch", dataclasses.replace(tiny, tokens=16 * 256))
    rows = training.read_log(tmp_path / "branch")
    assert [row["recipe"]["tokens"] for row in rows if "recipe" in row] == [30 * 256, 16 * 256]
    assert "nsp" in rows[-1]["heldout"] and rows[-1]["step"] == 16
    train(tmp_path / "run")
    assert training.read_log(tmp_path / "run")[-1]["step"] == 30


def test_what_a_run_is_judged_by_does_not_depend_on_its_recipe(prepared, tiny):
    tokenizer, _, heldout = prepared
    others = dict(short_length=16, seed=3, masked=0.4, long_share=0.5, next_sentence=0.7)
    first, second = (
        training.judged(heldout, tokenizer, recipe) for recipe in (tiny, dataclasses.replace(tiny, **others))
    )
    assert list(first) == ["mlm", "whole_words", "nsp"]
    for name, batches in first.items():
        a, b = batches[0], second[name][0]
        assert all(torch.equal(a[key], b[key]) for key in a)
        assert ("is_random" in a) == (name == "nsp")


def test_each_parameter_has_one_optimiser(prepared, tiny):
    model = models.make(tiny, prepared[0])
    names = {parameter: name for name, parameter in model.named_parameters()}

    def trained(optimizer) -> list[str]:
        return [names[p] for group in optimizer.param_groups for p in group["params"]]

    both = training.optimizers(model, tiny)
    assert sorted(trained(both["muon"]) + trained(both["adamw"])) == sorted(names.values())
    assert all(".layer." in name and name.endswith("weight") for name in trained(both["muon"]))
    assert len(trained(both["muon"])) == 6 * tiny.layers
    [alone] = training.optimizers(model, dataclasses.replace(tiny, optimizer="adamw")).values()
    assert sorted(trained(alone)) == sorted(names.values())


def test_small_parts_add_up_to_the_batch(prepared, tiny):
    """A CPU takes a batch in parts; the gradient is that of the whole."""
    tokenizer, corpus, _ = prepared
    model = models.make(tiny, tokenizer)
    batch = Batches(corpus, tokenizer, dataclasses.replace(tiny, next_sentence=1.0))[0]
    batch["labels"][0, 1:] = IGNORED  # parts with unequal numbers of masked pieces
    gradients = []
    for at_once in (256, 64):
        model.zero_grad()
        sums = training.backward(model, batch, torch.device("cpu"), at_once)
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    assert int(sums["mlm_right"]) <= (batch["labels"] != IGNORED).sum()
    whole, parts = gradients
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=3e-2, atol=3e-4)


def test_a_new_model_attends_to_what_is_near_or_alike(prepared, tiny):
    tokenizer, _, _ = prepared
    recipe = dataclasses.replace(tiny, hidden=64, heads=1, positions=64)
    bert = models.make(recipe, tokenizer).bert
    position = bert.embeddings.position_embeddings.weight.detach().double()
    # Sinusoids: how alike two positions are depends on their distance alone, and falls from 0 to 3.
    alike = position @ position.T
    for distance in range(4):
        diagonal = alike.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-6)
    assert (alike[20, 20:24].diff() < 0).all()
    queries = [block.attention.self.query.weight for block in bert.encoder.layer]
    for block in bert.encoder.layer:
        assert torch.equal(block.attention.self.query.weight, block.attention.self.key.weight)
    assert not torch.equal(*queries[:2])
    assert torch.equal(
        queries[0], models.make(recipe, tokenizer).bert.encoder.layer[0].attention.self.key.weight
    )


def test_finished_model_is_loaded_by_the_library_alone(prepared, whole):
    from transformers import AutoModel, AutoTokenizer, BertForPreTraining

    tokenizer = AutoTokenizer.from_pretrained(whole / "model")
    encoder = AutoModel.from_pretrained(whole / "model", dtype=torch.float32).eval()
    model = BertForPreTraining.from_pretrained(whole / "model", dtype=torch.float32).eval()
    assert model.config.hidden_dropout_prob == 0.1
    inputs = tokenizer("The cat saw.", "It was a bird.", return_tensors="pt")
    with torch.no_grad():
        states = encoder(**inputs).last_hidden_state
        expected = model.bert(**inputs).last_hidden_state
    torch.testing.assert_close(states, expected)
    stored = weights(whole)["cls.predictions.transform.dense.weight"]
    torch.testing.assert_close(model.cls.predictions.transform.dense.weight.data, stored.half().float())


def test_losses_are_those_of_the_library(prepared, tiny):
    tokenizer, corpus, _ = prepared
    recipe = dataclasses.replace(tiny, next_sentence=1.0)
    batch = Batches(corpus, tokenizer, recipe)[0]
    model = models.make(recipe, tokenizer).eval()
    labels = torch.full_like(batch["input_ids"], -100).scatter(1, batch["masked"], batch["labels"])
    with torch.no_grad():
        sums = {name: float(value) for name, value in training.losses(model, batch).items()}
        theirs = model(
            input_ids=batch["input_ids"],
            token_type_ids=batch["token_type_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels,
            next_sentence_label=batch["is_random"],
        )
    counts = {"n_masked": int((labels != -100).sum()), "n_pairs": len(labels)}
    ours = training.means(sums | counts)
    assert ours["mlm"] + ours["nsp"] == pytest.approx(float(theirs.loss), rel=1e-5)
    right = theirs.prediction_logits.argmax(-1)[labels != -100] == labels[labels != -100]
    assert ours["mlm_accuracy"] == pytest.approx(float(right.float().mean()))
    follows = theirs.seq_relationship_logits.argmax(-1) == batch["is_random"]
    assert ours["nsp_accuracy"] == pytest.approx(float(follows.float().mean()))


# -- command line --------------------------------------------------------------------------------

SMALL = dict(layers=1, hidden=16, heads=2, intermediate=16, vocabulary=120, batch_tokens=256, warmup=2)


@pytest.fixture
def lines(monkeypatch):
    """What the user is told."""
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    return said


def test_run_trains_and_resumes_with_the_settings_of_its_checkpoint(folder, tmp_path, lines):
    options = dict(device="cpu", cache=store.Store(tmp_path / "store"))
    settings = SMALL | {"tokens": 3e3, "seed": 1}
    model = training.run(folder, tmp_path / "out", settings, **options)
    assert (model / "model.safetensors").is_file()
    assert any("min left" in line for line in lines)
    assert training.run(folder, tmp_path / "out", {}, **options) == model
    state = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert state["recipe"]["seed"] == 1 and state["step"] == 3000 // 256


def test_a_run_goes_on_with_the_vocabulary_it_was_begun_with(folder, whole, tmp_path):
    """Also if it was given as a folder and is not given again, where one of its size could be trained."""
    options = dict(device="cpu", cache=store.Store(tmp_path / "store"))
    other = tmp_path / "other"
    shutil.copytree(whole / "model", other)
    pieces = json.loads((other / "tokenizer.json").read_text())
    a, b = [p for p in pieces["model"]["vocab"] if p.isalpha() and len(p) == 1][:2]
    vocabulary = pieces["model"]["vocab"]
    vocabulary[a], vocabulary[b] = vocabulary[b], vocabulary[a]
    (other / "tokenizer.json").write_text(json.dumps(pieces))
    begun = SMALL | {"vocabulary": str(other), "tokens": 512}
    training.run(folder, tmp_path / "out", begun, **options)
    shutil.rmtree(tmp_path / "out" / "model")
    model = training.run(folder, tmp_path / "out", {}, **options)
    shipped, trained = (json.loads((p / "tokenizer.json").read_text()) for p in (model, whole / "model"))
    assert shipped["model"]["vocab"][a] == vocabulary[a] != trained["model"]["vocab"][a]
    with pytest.raises(ValueError, match="was begun with another vocabulary"):
        training.run(folder, tmp_path / "out", {"vocabulary": str(whole / "model")}, **options)


def test_an_interrupted_run_saves_and_goes_on(folder, tmp_path, monkeypatch):
    import os
    import signal

    options = dict(device="cpu", cache=store.Store(tmp_path / "store"))
    settings = SMALL | {"tokens": 256 * 40}

    def interrupt(line):
        if "held-out" in line and "step 7:" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as stopped:
        patched.setattr(progress, "say", interrupt)
        training.run(folder, tmp_path / "out", settings, **options)
    assert stopped.value.code == 128 + signal.SIGTERM and signal.getsignal(signal.SIGTERM) is before
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["step"] == 8
    training.run(folder, tmp_path / "out", {}, **options)
    training.run(folder, tmp_path / "other", settings, **options)
    ours, theirs = weights(tmp_path / "out"), weights(tmp_path / "other")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_run_takes_a_tokenizer_as_vocabulary(folder, whole, tmp_path):
    settings = SMALL | {"tokens": 512, "vocabulary": str(whole / "model")}
    cache = store.Store(tmp_path / "store")
    training.run(folder, tmp_path / "out", settings, device="cpu", cache=cache)
    assert not (tmp_path / "store" / "vocabulary").exists()
    ours, theirs = ((p / "tokenizer.json").read_text() for p in (tmp_path / "out" / "model", whole / "model"))
    assert json.loads(ours)["model"]["vocab"] == json.loads(theirs)["model"]["vocab"]


def test_unknown_settings_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"unknown setting 'layer'.*valid.*seed"):
        training.run(folder, tmp_path, {"layer": 2}, device="cpu")


def test_unknown_places_and_devices_are_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        training.run(tmp_path / "nowhere", tmp_path, {})
    with pytest.raises(FileNotFoundError, match=r"no file matches test\*"):
        training.run(folder, tmp_path, {}, heldout="test*")
    with pytest.raises(ValueError, match="unknown device 'gpu'; valid: auto, cpu, cuda"):
        training.run(folder, tmp_path, {}, device="gpu")


def test_run_takes_a_data_set_in_the_hubs_format(folder, tmp_path, lines):
    import pandas

    rows = ["\n".join(paragraphs) for paragraphs in text.documents([folder / "train.txt"])]
    (tmp_path / "data").mkdir()
    pandas.DataFrame({"text": rows * 6}).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    training.run(
        tmp_path / "data",
        tmp_path / "out",
        SMALL | {"tokens": 512},
        device="cpu",
        cache=store.Store(tmp_path / "store"),
    )
    assert any("in 238 documents" in line for line in lines)  # 240 less numbers 1 and 201


def test_imports_neither_tables_nor_data_sets():
    import subprocess
    import sys

    code = (
        "import sys, helpers.pretraining.training; print(sorted({'pandas', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_code_trains_the_same(train, prepared, tiny, tmp_path):
    """Weights move alike, through the change of shapes.

    All are compared at once: another order of additions can turn the sign of a gradient near zero, and
    AdamW's first steps are as long for small gradients as for large ones, so single weights can part.
    """
    recipe = dataclasses.replace(tiny, optimizer="adamw", tokens=10 * 256)
    train(tmp_path / "eager", recipe)
    train(tmp_path / "compiled", recipe, compile_model=True)
    eager, compiled = (weights(tmp_path / run) for run in ("eager", "compiled"))
    start = models.make(recipe, prepared[0]).state_dict()
    apart, moved = (
        torch.cat([(eager[name] - other[name]).flatten() for name in eager]).norm()
        for other in (compiled, start)
    )
    assert apart < 0.05 * moved
