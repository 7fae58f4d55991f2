"""What is loaded, what is drawn at random, and what is refused."""

import ast
import io
import json
import os
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
import transformers

import helpers
from helpers import encoders

WORDS = ("The", "unbelievably", "overfitted", "transformer", "sat", ".")


def test_random_encoders_differ_by_seed_and_repeat(tiny):
    a, b, c = (encoders.load("tiny", random_init=s, device="cpu") for s in (1, 1, 2))
    weights = [e.model.state_dict()["encoder.layer.0.output.dense.weight"] for e in (a, b, c)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert a.fingerprint == b.fingerprint != c.fingerprint != tiny.fingerprint


def test_a_folder_as_the_first_berts_were_released(tiny, tmp_path):
    """Only a configuration, a vocabulary and pickled weights with the pre-training heads."""
    from transformers import BertConfig, BertForPreTraining

    pieces = sorted(tiny.tokenizer.get_vocab().items(), key=lambda item: item[1])
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")
    shape = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    config = BertConfig(vocab_size=len(pieces), **shape)
    values = {name: value for name, value in config.to_dict().items() if name != "model_type"}
    (tmp_path / "config.json").write_text(json.dumps(values))
    weights = BertForPreTraining(config).state_dict()
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    saved = {
        n.replace(*next(((k, v) for k, v in old.items() if k in n), ("", ""))): w for n, w in weights.items()
    }
    torch.save(saved, tmp_path / "pytorch_model.bin")
    loaded = encoders.load(tmp_path, device="cpu", precision="fp32")
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(loaded.model.state_dict()[name], weights[f"bert.{name}"])
    assert loaded.tokenizer.tokenize("The Cat") == tiny.tokenizer.tokenize("the cat")
    [states] = encoders.hidden_states(loaded, [WORDS])
    assert states.shape == (len(WORDS), 3, 32)


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


# -- weights that do not fit -------------------------------------------------------------------------


@pytest.fixture
def changed(tiny, tmp_path):
    """Function from a change of the tiny encoder's tensors, and of its configuration, to a folder."""

    def make(change=lambda weights: weights, **config):
        tiny.model.save_pretrained(tmp_path)
        tiny.tokenizer.save_pretrained(tmp_path)
        weights = change(dict(tiny.model.state_dict()))
        safetensors.torch.save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        path = tmp_path / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return tmp_path

    return make


def without(part):
    return lambda weights: {name: value for name, value in weights.items() if part not in name}


def test_another_prefix(changed):
    folder = changed(lambda weights: {f"model.{name}": value for name, value in weights.items()})
    expected = (
        r"weights are not those of the BERT that config\.json describes: tensors 69 missing "
        r"\(embeddings\.LayerNorm\.bias, .*, \.\.\.\); the file has, among others, model\.embeddings"
    )
    with pytest.raises(ValueError, match=expected):
        encoders.load(folder, device="cpu")


def test_a_layer_more_or_less_than_the_configuration_says(changed):
    with pytest.raises(ValueError, match=r"16 missing \(encoder\.layer\.3\."):
        encoders.load(changed(without("layer.3.")), device="cpu")
    with pytest.raises(ValueError, match=r"16 missing \(encoder\.layer\.4\."):
        encoders.load(changed(num_hidden_layers=5), device="cpu")
    with pytest.raises(ValueError, match=r"16 unknown to it \(encoder\.layer\.3\."):
        encoders.load(changed(num_hidden_layers=3), device="cpu")


def test_a_single_tensor_that_is_missing(changed):
    with pytest.raises(ValueError, match=r"1 missing \(encoder\.layer\.2\.output\.dense\.weight\)"):
        encoders.load(changed(without("layer.2.output.dense.weight")), device="cpu")


def narrower(part):
    return lambda weights: {n: w[:-1].clone() if part in n else w for n, w in weights.items()}


def test_another_shape(changed):
    with pytest.raises(
        ValueError, match=r"4 of another shape \(encoder\.layer\.0\.intermediate\.dense\.bias, "
    ):
        encoders.load(changed(narrower("intermediate.dense.bias")), device="cpu")
    with pytest.raises(ValueError, match=r"of another shape \(embeddings\.position_embeddings\.weight\)"):
        encoders.load(changed(max_position_embeddings=128), device="cpu")


def test_weights_of_another_architecture(tiny, tmp_path):
    config = transformers.DistilBertConfig(vocab_size=len(tiny.tokenizer), dim=32, n_heads=2, n_layers=4)
    transformers.DistilBertModel(config).save_pretrained(tmp_path)
    tiny.model.config.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="not those of the BERT that config.json describes: tensors 6. missing"
    ):
        encoders.load(tmp_path, device="cpu")


def test_damaged_and_missing_files(changed):
    folder = changed()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(encoders.EncoderError, match="cannot read its weights"):
        encoders.load(folder, device="cpu")
    weights.unlink()
    with pytest.raises(encoders.EncoderError, match="cannot read its weights"):
        encoders.load(folder, device="cpu")
    assert encoders.load(folder, random_init=1, device="cpu").width == 32, "needs none"
    for text in ("{", "[]", "[" * 100_000, '{"model_type": "bert", "hidden_size": "many"}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"cannot read its config\.json"):
            encoders.load(folder, device="cpu")


# -- other architectures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"model_type": "gpt2"}, "'gpt2' is a decoder"),
        ({"model_type": "llama"}, "'llama' is a decoder"),
        ({"model_type": "t5"}, "'t5' is an encoder-decoder"),
        ({"model_type": "bart"}, "'bart' is an encoder-decoder"),
        (
            {"model_type": "roberta-prelayernorm"},
            "'roberta-prelayernorm' is not a family that has been tested",
        ),
        ({"model_type": "mine", "auto_map": {}}, "'mine' needs code that comes with it, which is never run"),
        ({"model_type": "bert", "is_decoder": True}, "a BERT configured as a decoder"),
        ({"model_type": "albert", "num_hidden_groups": 2}, "ALBERT with num_hidden_groups 2; supported: 1"),
    ],
)
def test_what_is_no_encoder_of_a_tested_family(tmp_path, values, kind):
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(encoders.EncoderError, match=kind) as caught:
        encoders.load(tmp_path)
    if "albert" not in values.values():
        assert "BERT, RoBERTa, XLM-R, DistilBERT, MPNet, ELECTRA, ALBERT, DeBERTa-v2, ModernBERT" in str(
            caught.value
        )
    assert str(caught.value).startswith(f"encoder {tmp_path}: ")


# -- tokenizers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "modernbert"])
def test_without_a_tokenizers_files(changed, kind):
    """transformers makes one of special pieces alone, to which every word is unknown, or nothing."""
    folder = changed()
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(
        ValueError, match=r"no tokenizer in .*; one of these is needed: tokenizer\.json, vocab"
    ):
        encoders.load(folder, device="cpu")


def test_a_vocabulary_without_words(changed):
    folder = changed()
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "of"]))
    with pytest.raises(ValueError, match="no pieces for ordinary words of any language"):
        encoders.load(folder, device="cpu")


@pytest.mark.parametrize("words", encoders.loading.WORDS)
def test_a_vocabulary_of_any_language(changed, words):
    folder = changed()
    (folder / "tokenizer.json").unlink()
    letters = sorted({letter for word in words for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}  # which would strip accents
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert encoders.load(folder, device="cpu").tokenizer.unk_token_id == 1


def test_a_vocabulary_of_an_invented_language(changed):
    folder = changed()
    (folder / "tokenizer.json").unlink()
    syllables = [a + b + c for a in "bdg" for b in "ao" for c in "lm"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *syllables]
    for number, refused in ((9, True), (10, False)):
        (folder / "vocab.txt").write_text("\n".join(pieces[: 5 + number]))
        if refused:
            with pytest.raises(ValueError, match="no pieces for ordinary words of any language"):
                encoders.load(folder, device="cpu")
        else:
            assert encoders.load(folder, device="cpu").tokenizer.tokenize("bal dam") == ["bal", "dam"]


def test_a_tokenizer_with_more_pieces_than_the_model(changed, tiny):
    def fewer(weights):
        name = "embeddings.word_embeddings.weight"
        return weights | {name: weights[name][:1000].clone()}

    with pytest.raises(ValueError, match="numbers pieces up to 15999, the model has only 1000"):
        encoders.load(changed(fewer, vocab_size=1000), device="cpu")


def test_a_tokenizer_without_special_pieces(changed):
    folder = changed()
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"})
    )
    with pytest.raises(ValueError, match="puts no special piece, such as \\[CLS\\], before a text"):
        encoders.load(folder, device="cpu")


# -- code that comes with an encoder -----------------------------------------------------------------

CODE = """
import pathlib
pathlib.Path({path!r}).write_text("ran")
from transformers import BertConfig, BertModel, BertTokenizer
class Config(BertConfig):
    model_type = {kind!r}
class Model(BertModel):
    config_class = Config
class Tokenizer(BertTokenizer):
    pass
"""


@pytest.mark.parametrize("answer", [None, "y\n"], ids=["stdin closed", "y"])
@pytest.mark.parametrize("random_init", [None, 1])
@pytest.mark.parametrize("kind", ["bert", "mine"])
def test_code_that_comes_with_an_encoder_is_never_run(
    changed, tmp_path, monkeypatch, capsys, kind, random_init, answer
):
    proof = tmp_path / "ran.txt"
    folder = changed(
        model_type=kind,
        auto_map={
            "AutoConfig": "code.Config",
            "AutoModel": "code.Model",
            "AutoTokenizer": ["code.Tokenizer", None],
        },
    )
    (folder / "code.py").write_text(CODE.format(path=str(proof), kind=kind))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer) if answer else open(os.devnull))
    if kind == "bert":
        loaded = encoders.load(folder, random_init=random_init, device="cpu")
        assert type(loaded.model) is transformers.BertModel
    else:
        with pytest.raises(ValueError, match="'mine' needs code that comes with it, which is never run"):
            encoders.load(folder, random_init=random_init, device="cpu")
    assert not proof.exists()
    assert "custom code" not in capsys.readouterr().out, "nobody is asked"


def test_no_call_in_the_package_leaves_it_to_transformers_whether_to_run_code():
    calls = 0
    for path in Path(helpers.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
                "from_pretrained",
                "from_config",
            ):
                said = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                assert said.get("trust_remote_code") is False, f"{path}:{node.lineno}"
                calls += 1
    assert calls >= 5
