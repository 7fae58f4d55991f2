"""Blocks cut off, drawn anew or frozen, against the encoder's hidden states.

Training above shared states against the plain way of freezing. Other families than BERT:
``tests/encoders/test_families.py``.
"""

import functools

import numpy as np
import pytest
import safetensors.torch
import torch

from helpers import encoders, progress
from helpers.finetuning import batches, blocks, prediction, tasks, training
from helpers.profiles import Task, TuningRecipe
from helpers.store import Store

RECIPE = TuningRecipe(epochs=3, learning_rate=1e-3, batch_size=5, max_length=32)


@pytest.fixture
def cache(tmp_path):
    return Store(tmp_path / "store")


# -- cut off, drawn anew ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    return encoders.load("tiny", device="cpu")


def _states(model, ids):
    with torch.no_grad():
        return model(input_ids=ids, output_hidden_states=True)


IDS = torch.arange(1000, 1040).reshape(2, 20)


def test_truncated_gives_the_layers_hidden_states(tiny, tmp_path):
    whole = _states(tiny.model, IDS)
    for layer in range(4):
        with blocks.saved(tiny, blocks.truncated(tiny, layer)) as folder:
            loaded = encoders.load(folder, device="cpu")
        assert list(loaded.layers) == list(range(-1, layer + 1))
        found = _states(loaded.model, IDS)
        torch.testing.assert_close(found.last_hidden_state, whole.hidden_states[layer + 1])
        torch.testing.assert_close(
            found.pooler_output, tiny.model.pooler(whole.hidden_states[layer + 1]), msg="the pooler reads it"
        )
        assert not folder.exists()
    torch.testing.assert_close(_states(tiny.model, IDS).hidden_states, whole.hidden_states)
    assert tiny.model.config.num_hidden_layers == 4


def test_reinitialised_draws_the_upper_blocks_anew(tiny):
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    model = blocks.reinitialised(tiny, 2, seed=7)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[2] for name in changed if name.startswith("encoder")} == {"2", "3"}
    assert {name.split(".")[0] for name in changed} == {"encoder", "pooler"}
    kernels = [name for name in changed if name.endswith("weight") and "LayerNorm" not in name]
    assert len(kernels) == 2 * 6 + 1, "all matrices of two blocks, and the pooler's"
    for name in kernels:
        assert model.state_dict()[name].std() == pytest.approx(0.02, rel=0.15), name
    for name, value in tiny.model.state_dict().items():
        assert torch.equal(value, before[name]), "the encoder stays as it is"
    whole, part = _states(tiny.model, IDS), _states(model, IDS)
    for layer in range(3):
        torch.testing.assert_close(part.hidden_states[layer], whole.hidden_states[layer])
    assert not torch.allclose(part.hidden_states[3], whole.hidden_states[3])


def test_reinitialised_by_seed(tiny):
    state = torch.random.get_rng_state()
    one, again, other = (blocks.reinitialised(tiny, 3, seed).state_dict() for seed in (1, 1, 2))
    name = "encoder.layer.3.output.dense.weight"
    assert torch.equal(one[name], again[name]) and not torch.equal(one[name], other[name])
    assert torch.equal(torch.random.get_rng_state(), state)
    nothing = blocks.reinitialised(tiny, 4, seed=1).state_dict()
    assert all(torch.equal(nothing[name], value) for name, value in tiny.model.state_dict().items())


@pytest.mark.parametrize("layer", [-1, 4])
def test_unknown_layers(tiny, layer):
    with pytest.raises(ValueError, match=f"tiny has no block {layer}; valid: 0 to 3"):
        blocks.truncated(tiny, layer)
    with pytest.raises(ValueError, match="tiny has no block 5; valid: 0 to 4"):
        blocks.reinitialised(tiny, 5, seed=0)


# -- frozen ------------------------------------------------------------------------------------------


def _inputs(encoder, sentences):
    return tasks.get("Dep").encode(sentences, encoder, RECIPE, (), targets=False)


def test_prefix_gives_the_encoders_states(folder, encoder, sentences, tmp_path):
    prefix = blocks.Prefix(folder, tmp_path)
    inputs = _inputs(encoder, sentences)
    for layer in (0, 1, 0):  # upwards, then anew
        found = prefix.states(inputs, layer)
        assert found.record == inputs.record and len(found) == len(inputs)
        for feature, plain in zip(found.features, inputs.features, strict=True):
            assert feature["ids"] is plain["ids"] and feature["states"].dtype == np.float16
            ids = torch.tensor(feature["ids"])[None].long()
            with torch.no_grad():
                expected = encoder.model(input_ids=ids, output_hidden_states=True).hidden_states[layer + 1]
            np.testing.assert_allclose(feature["states"], expected[0], atol=0.06)  # bfloat16's, 8 bits
    assert not any(tmp_path.iterdir()), "nothing is left behind"


def test_prefix_runs_each_block_once(folder, encoder, sentences, tmp_path, monkeypatch):
    ran = []
    advance = blocks.Prefix._advance
    monkeypatch.setattr(
        blocks.Prefix, "_advance", lambda *args: (ran.append((len(args[1]), args[-1])), advance(*args))
    )
    prefix = blocks.Prefix(folder, tmp_path)
    one, two = _inputs(encoder, sentences), _inputs(encoder, sentences[:5])
    for layer in (0, 0, 1):
        prefix.states(one, layer)
        prefix.states(two, layer)
    assert ran == [(24, 0), (5, 0), (24, 1), (5, 1)]


def test_states_do_not_depend_on_where_a_sweep_began(folder, encoder, sentences, tmp_path):
    inputs = _inputs(encoder, sentences)
    direct = blocks.Prefix(folder, tmp_path).states(inputs, 1)
    stepwise = blocks.Prefix(folder, tmp_path)
    stepwise.states(inputs, 0)
    for a, b in zip(direct.features, stepwise.states(inputs, 1).features, strict=True):
        np.testing.assert_array_equal(a["states"], b["states"])


def test_a_step_that_failed_half_way_is_not_gone_on_from(folder, encoder, sentences, tmp_path, monkeypatch):
    inputs = _inputs(encoder, sentences)
    expected = blocks.Prefix(folder, tmp_path).states(inputs, 1)
    prefix = blocks.Prefix(folder, tmp_path)
    prefix.states(inputs, 0)
    by_length = batches.by_length

    def failing(lengths):
        yield by_length(lengths)[0][:8]
        raise MemoryError

    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(batches, "by_length", failing)
        prefix.states(inputs, 1)
    for a, b in zip(expected.features, prefix.states(inputs, 1).features, strict=True):
        np.testing.assert_array_equal(a["states"], b["states"])


# -- training ----------------------------------------------------------------------------------------


def _finetune(kind, folder, records, cache, **options):
    task = Task(kind, "test", options.pop("recipe", RECIPE))
    return training.finetune(task, folder, records, records, seed=0, cache=cache, **options)


def _weights(tuned):
    encoder = safetensors.torch.load_file(tuned.encoder / "model.safetensors")
    head = safetensors.torch.load_file(tuned.folder / "head.safetensors")
    return {f"encoder.{k}": v for k, v in encoder.items()} | {f"head.{k}": v for k, v in head.items()}


def _distance(a, b) -> float:
    return sum(((a[k] - b[k]) ** 2).sum() for k in a).sqrt().item()


def _plainly(monkeypatch, layer: int) -> None:
    """Make fine-tuning freeze by ``requires_grad`` and evaluation mode, the whole model run in every step."""
    usual = prediction.untrained

    def untrained(*args):
        predictor = usual(*args)
        encoder = predictor.encoder.model
        bottom = [encoder.embeddings, *encoder.encoder.layer[: layer + 1]]

        class Frozen(type(predictor.model)):
            def train(self, mode=True):
                super().train(mode)
                for part in bottom:
                    part.eval()
                return self

        for part in bottom:
            part.requires_grad_(False)
        predictor.model.__class__ = Frozen
        return predictor

    monkeypatch.setattr(prediction, "untrained", untrained)


@pytest.mark.parametrize("kind", ["Dep", "NLI", "QA"])
@pytest.mark.parametrize("layer", [0, 1])
def test_the_same_as_the_plain_way(kind, layer, folder, cache, tmp_path, monkeypatch, request):
    """In single precision throughout, where only the order of sums parts the two."""
    monkeypatch.setattr(encoders, "load", functools.partial(encoders.load, precision="fp32"))
    monkeypatch.setattr(blocks, "PRECISION", np.float32)
    records = request.getfixturevalue({"Dep": "sentences", "NLI": "pairs", "QA": "questions"}[kind])
    shared = _finetune(kind, folder, records, cache, frozen=layer)
    _plainly(monkeypatch, layer)
    plain = _finetune(kind, folder, records, Store(tmp_path / "plain"))
    start, a, b = _start(kind, folder, records), _weights(plain), _weights(shared)
    assert _distance(a, b) < 2e-4 * _distance(start, a)
    assert plain.scores == shared.scores
    for row, other in zip(plain.predictions(), shared.predictions(), strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() & {"heads", "deprels", "label", "answer"}:
            assert row[name] == other[name]
    for name in start:
        below = name.startswith("encoder.embeddings") or any(
            name.startswith(f"encoder.encoder.layer.{i}.") for i in range(layer + 1)
        )
        used = kind == "NLI" or not name.startswith("encoder.pooler")
        assert torch.equal(start[name], b[name]) == (below or not used), name


def test_half_precision_makes_no_difference_that_matters(folder, pairs, cache, monkeypatch):
    half = _finetune("NLI", folder, pairs, cache, frozen=0)
    monkeypatch.setattr(blocks, "PRECISION", np.float32)
    single = _finetune("NLI", folder, pairs, Store(cache.root / "single"), frozen=0)
    start = _start("NLI", folder, pairs)
    assert 0 < _distance(_weights(half), _weights(single)) < 0.03 * _distance(start, _weights(single))


def _start(kind, folder, records):
    encoder = encoders.load(folder, device="cpu")
    task = Task(kind, "test", RECIPE)
    model = prediction.untrained(task, encoder, tasks.get(kind).labels(records), 0).model
    return {k: v.clone() for k, v in model.state_dict().items() if "position_ids" not in k}


def test_a_frozen_run_is_stored_whole(folder, pairs, cache):
    tuned = _finetune("NLI", folder, pairs, cache, frozen=0)
    again = prediction.predict(training.load(tuned.folder, device="cpu"), pairs)
    for row, kept in zip(again, tuned.predictions(), strict=True):
        np.testing.assert_allclose(row["probabilities"], kept["probabilities"], atol=0.01)


def test_nothing_frozen_is_plain_fine_tuning(folder, pairs, cache):
    none = _finetune("NLI", folder, pairs, cache, frozen=-1, prefix=blocks.Prefix(folder, cache.root))
    assert none.folder == _finetune("NLI", folder, pairs, cache).folder
    assert none.folder != _finetune("NLI", folder, pairs, cache, frozen=0).folder


class Killed(Exception):
    pass


def test_a_killed_run_resumes_to_the_same_weights(folder, pairs, cache, tmp_path, monkeypatch):
    def kill(what, done, total):
        if done == 7:
            raise Killed

    with pytest.raises(Killed), monkeypatch.context() as patched:
        patched.setattr(progress, "steps", kill)
        _finetune("NLI", folder, pairs, cache, frozen=0, checkpoint_every=0.0)
    seen = []
    with monkeypatch.context() as patched:
        patched.setattr(progress, "steps", lambda what, done, total: seen.append(done))
        resumed = _finetune("NLI", folder, pairs, cache, frozen=0)
    assert seen[0] == 8
    other = blocks.Prefix(folder, tmp_path)
    whole = _finetune("NLI", folder, pairs, Store(tmp_path / "whole"), frozen=0, prefix=other)
    assert _distance(_weights(resumed), _weights(whole)) == 0
    assert resumed.predictions() == whole.predictions()


def test_errors(folder, pairs, cache, tmp_path):
    for layer in (2, -2):
        with pytest.raises(ValueError, match=f"has no block {layer}; valid: 0 to 1"):
            _finetune("NLI", folder, pairs, cache, frozen=layer)
    with pytest.raises(ValueError, match="the prefix is one of tiny, not of"):
        _finetune("NLI", folder, pairs, cache, frozen=0, prefix=blocks.Prefix("tiny", tmp_path))
