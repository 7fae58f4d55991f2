"""Encoders that were trained for something else, trained on as masked language models."""

import dataclasses

import pytest
import torch

from helpers import encoders, store
from helpers.encoders import EncoderError
from helpers.pretraining import models, release, training
from helpers.pretraining.batches import Batches
from helpers.pretraining.recipe import continued


def build(kind, prepared, folder):
    """An encoder of 2 blocks x 16, without heads, with the vocabulary of the text."""
    import transformers

    tokenizer = prepared[0]
    size = dict(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    size |= dict(intermediate_size=32, max_position_embeddings=66)
    torch.manual_seed(1)
    if kind == "bert":
        transformers.BertModel(transformers.BertConfig(**size)).save_pretrained(folder)
    elif kind == "mpnet":
        ids = dict(pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.cls_token_id)
        config = transformers.MPNetConfig(**size, **ids, eos_token_id=tokenizer.sep_token_id)
        transformers.MPNetModel(config).save_pretrained(folder)
    else:
        transformers.ElectraModel(transformers.ElectraConfig(**size, embedding_size=16)).save_pretrained(
            folder
        )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def start(prepared, tmp_path_factory):
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = build(kind, prepared, tmp_path_factory.mktemp(kind))
        return made[kind]

    return folder


@pytest.fixture
def words(monkeypatch):
    """The words that a tokenizer must know: the vocabulary of the text lacks the usual ones."""
    monkeypatch.setattr(encoders.loading, "WORDS", (("cat", "dog", "bird", "tree", "house"),))


SETTINGS = dict(tokens=24 * 256, batch_tokens=256, short_length=32, learning_rate=1e-2, warmup=2)


@pytest.mark.parametrize("kind", models.CONTINUED)
def test_training_on_begins_with_the_encoder_and_its_librarys_loss(kind, prepared, start, words):
    from transformers import AutoModelForMaskedLM

    tokenizer, corpus, _ = prepared
    recipe = dataclasses.replace(continued(str(start(kind))), batch_tokens=256, short_length=32)
    model = models.make(recipe, tokenizer).eval()
    batch = Batches(corpus, tokenizer, recipe)[0]
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        ours = training.losses(model, batch)
        states = encoders.load(start(kind), device="cpu", precision="fp32").model(**inputs).last_hidden_state
        torch.testing.assert_close(model.base_model(**inputs).last_hidden_state, states)
        # The library's own model for masked language modelling, under the same head.
        theirs = AutoModelForMaskedLM.from_pretrained(start(kind), dtype=torch.float32).eval()
        theirs.load_state_dict(model.state_dict(), strict=False)
        labels = torch.full_like(batch["input_ids"], -100).scatter(1, batch["masked"], batch["labels"])
        loss = theirs(**inputs, labels=labels).loss
    torch.testing.assert_close(ours["mlm"] / (batch["labels"] != -100).sum(), loss, rtol=1e-5, atol=1e-6)
    assert "nsp" not in ours and not model.config.hidden_dropout_prob
    head = models.vocabulary_head(model).decoder.weight
    assert head.data_ptr() == model.get_input_embeddings().weight.data_ptr()


@pytest.mark.parametrize("kind", models.CONTINUED)
def test_a_run_that_goes_on_from_an_encoder(kind, folder, prepared, start, words, tmp_path):
    cache = store.Store(tmp_path / "store")
    settings = SETTINGS | {"start": str(start(kind))}
    trained = training.run(folder, tmp_path / "run", settings, device="cpu", cache=cache)
    log = training.read_log(tmp_path / "run")
    held = [row["heldout"]["mlm"] for row in log if "heldout" in row]
    assert held[-1] < held[0] - 0.3
    [recipe] = [row["recipe"] for row in log if "recipe" in row]
    assert (recipe["layers"], recipe["hidden"], recipe["intermediate"]) == (2, 16, 32)
    assert recipe["vocabulary"] == len(prepared[0]) and recipe["optimizer"] == "adamw"
    after = encoders.load(trained, device="cpu")
    assert after.model.config.hidden_dropout_prob == 0.1
    before = encoders.load(start(kind), device="cpu").model.state_dict()
    assert all(tensor.shape == before[name].shape for name, tensor in after.model.state_dict().items())
    with pytest.raises(ValueError, match="goes on from .*not ours to ship"):
        release.ship(tmp_path / "run", folder, assets=tmp_path / "assets", recorded=tmp_path, cache=cache)


def test_starts_that_are_refused(folder, start, words, tmp_path):
    def run(**settings):
        training.run(folder, tmp_path / "run", settings, cache=store.Store(tmp_path / "store"))

    with pytest.raises(EncoderError, match="ELECTRA is not one of .*: BERT, MPNet"):
        run(start=str(start("electra")))
    with pytest.raises(EncoderError, match="does not exist"):
        run(start="./nowhere")
    with pytest.raises(ValueError, match="^hidden, layers: a model continued from"):
        run(start=str(start("bert")), hidden=32, layers=1)
    with pytest.raises(ValueError, match="^vocabulary: "):
        run(start=str(start("bert")), vocabulary=500)
    assert not (tmp_path / "run").exists()
