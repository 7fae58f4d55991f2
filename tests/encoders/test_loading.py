"""Encoders by name: what is loaded, what is drawn at random, and what is refused."""

import pytest
import torch

from helpers import encoders, store

WORDS = ("The", "unbelievably", "overfitted", "transformer", "sat", ".")


def test_random_encoders_differ_by_seed_and_repeat(tiny):
    a, b, c = (encoders.load("tiny", random_init=s, device="cpu") for s in (1, 1, 2))
    weights = [e.model.state_dict()["encoder.layer.0.output.dense.weight"] for e in (a, b, c)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert a.fingerprint == b.fingerprint != c.fingerprint != tiny.fingerprint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "folder ./nowhere does not exist"),
        ("minibert-seed9", "shipped: minibert, minibert-seed0"),
    ],
)
def test_unknown_encoders_are_refused_with_the_known_ones(name, message):
    with pytest.raises(ValueError, match=message):
        encoders.resolve(name)


def test_a_folder_as_the_first_berts_were_released(tiny, tmp_path):
    """Only a configuration, a vocabulary and pickled weights with the pre-training heads."""
    from transformers import BertConfig, BertForPreTraining

    pieces = sorted(tiny.tokenizer.get_vocab().items(), key=lambda item: item[1])
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")
    shape = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    config = BertConfig(vocab_size=len(pieces), **shape)
    config.to_json_file(tmp_path / "config.json")
    weights = BertForPreTraining(config).state_dict()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    loaded = encoders.load(tmp_path, device="cpu", precision="fp32")
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(loaded.model.state_dict()[name], weights[f"bert.{name}"])
    assert loaded.tokenizer.tokenize("The Cat") == tiny.tokenizer.tokenize("the cat")
    [states] = encoders.hidden_states(loaded, [WORDS])
    assert states.shape == (len(WORDS), 3, 32)


def test_the_shipped_encoder_is_checked_against_its_checksums(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(encoders.ASSETS / "minibert-seed0", tmp_path / "minibert-seed0")
    monkeypatch.setattr(encoders.loading, "ASSETS", tmp_path)
    assert encoders.resolve("minibert") == tmp_path / "minibert-seed0"
    config = tmp_path / "minibert-seed0" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(store.DamagedArtifact, match=r"config\.json: missing or altered; reinstall"):
        encoders.resolve("minibert")


@pytest.mark.parametrize(("kind", "reserved"), [("Bert", 0), ("Roberta", 2), ("MPNet", 2)])
def test_the_longest_input_is_the_longest_that_can_be_read(tiny, tmp_path, kind, reserved):
    """RoBERTa and MPNet count positions from behind that of padding."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tiny.tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=40, pad_token_id=1,
    )  # fmt: skip
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    encoder = encoders.load(tmp_path, device="cpu", precision="fp32")
    assert encoder.max_length == 40 - reserved
    ids = torch.full((1, encoder.max_length), 5)
    assert encoder.model(input_ids=ids).last_hidden_state.shape == (1, encoder.max_length, 16)
    with pytest.raises((IndexError, RuntimeError)):
        encoder.model(input_ids=torch.full((1, encoder.max_length + 1), 5))
    [states] = encoders.hidden_states(encoder, [("the",) * 100])
    assert states.shape == (100, 2, 16)


def test_a_part_that_a_checkpoint_lacks_is_always_drawn_alike(tiny, tmp_path):
    import transformers

    transformers.BertForMaskedLM(tiny.model.config).save_pretrained(tmp_path)  # without a pooler
    tiny.tokenizer.save_pretrained(tmp_path)
    one, two = (encoders.load(tmp_path, device="cpu").model.pooler.dense.weight for _ in range(2))
    assert torch.equal(one, two) and one.std() > 0


def test_minibert_loads_as_any_bert_does():
    from transformers import AutoModel

    with encoders.quiet():
        model = AutoModel.from_pretrained(encoders.ASSETS / "minibert-seed0")
    shape = (model.config.num_hidden_layers, model.config.hidden_size, model.config.num_attention_heads)
    assert shape == (12, 256, 4) and model.config.vocab_size == 16_000
    assert sum(p.stat().st_size for p in (encoders.ASSETS / "minibert-seed0").iterdir()) < 30e6
