"""Encoders cut off or drawn anew above a layer, against the encoder they are made from."""

import json

import pytest
import torch

from helpers import ablations, encoders, store
from helpers.corpora.records import Pair
from helpers.profiles import Task, TuningRecipe


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
        with ablations.saved(tiny, ablations.truncated(tiny, layer)) as folder:
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
    model = ablations.reinitialised(tiny, 2, seed=7)
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
    one, again, other = (ablations.reinitialised(tiny, 3, seed).state_dict() for seed in (1, 1, 2))
    name = "encoder.layer.3.output.dense.weight"
    assert torch.equal(one[name], again[name]) and not torch.equal(one[name], other[name])
    assert torch.equal(torch.random.get_rng_state(), state)
    nothing = ablations.reinitialised(tiny, 4, seed=1).state_dict()
    assert all(torch.equal(nothing[name], value) for name, value in tiny.model.state_dict().items())


@pytest.mark.parametrize("layer", [-1, 4])
def test_unknown_layers(tiny, layer):
    with pytest.raises(ValueError, match=f"tiny has no block {layer}; valid: 0 to 3"):
        ablations.truncated(tiny, layer)
    with pytest.raises(ValueError, match="tiny has no block 5; valid: 0 to 4"):
        ablations.reinitialised(tiny, 5, seed=0)


def test_predictions_are_those_of_fine_tuning_and_all_that_is_kept(tmp_path):
    from helpers.finetuning.training import finetune

    pairs = [Pair(f"p{i}", f"A man {w} there.", "It is so.", label) for i, (w, label) in enumerate(
        [("sat", "yes"), ("stood", "no"), ("ran", "yes"), ("fell", "no")] * 3)]  # fmt: skip
    task = Task("NLI", "pairs", TuningRecipe(epochs=1, batch_size=4))
    cache = store.Store(tmp_path / "cache")
    found = ablations.predictions(task, "tiny", pairs[:8], pairs[8:], seed=3, cache=cache, frozen=1)
    plain = finetune(task, "tiny", pairs[:8], pairs[8:], seed=3, cache=store.Store(tmp_path / "x"), frozen=1)
    assert found == plain.predictions()
    (folder,) = (p for p in (tmp_path / "cache" / "ablation").iterdir() if p.is_dir())
    assert sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) == [
        store.MANIFEST,
        "predictions.jsonl",
    ]
    assert json.loads((folder / store.MANIFEST).read_text())
