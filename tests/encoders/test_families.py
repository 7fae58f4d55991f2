"""Every family of encoders, as a small random model with a tokenizer of its kind, through all that is done.

Loaded, aligned, read, fine-tuned on the three tasks, frozen, truncated, drawn anew.
"""

import functools

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from helpers import encoders
from helpers.corpora.records import Answer, Pair, Question, Sentence
from helpers.encoders import families
from helpers.finetuning import blocks, prediction, training
from helpers.profiles import Task, TuningRecipe
from helpers.store import Store

WORDS = ("the", "water", "under", "new", "houses", "overflowed")
NOUNS = ("water", "house", "cats", "dogs")
ORDINARY = " ".join(encoders.loading.WORDS[0])
TEXT = [f"the {a} saw under new {b} who they saw {ORDINARY}" for a in NOUNS for b in NOUNS]
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]
N_BLOCKS, WIDTH = 3, 16
RECIPE = TuningRecipe(epochs=1, learning_rate=1e-3, batch_size=4, max_length=32)

SENTENCES = [
    Sentence(f"s{i}", ("the", NOUNS[i % 4], "saw", NOUNS[i // 4]), heads=(2, 3, 0, 3),
             deprels=("det", "nsubj", "root", "obj"))
    for i in range(8)
]  # fmt: skip
PAIRS = [
    Pair(f"p{i}", f"the {NOUNS[i % 4]} saw", f"{NOUNS[i // 4]} saw", ("neutral", "entailment")[i % 2])
    for i in range(8)
]
QUESTIONS = [
    Question(f"q{i}", "who saw", f"the {NOUNS[i % 4]} saw {NOUNS[i // 4]}", (Answer(NOUNS[i % 4], 4),))
    for i in range(8)
]
RECORDS = {"Dep": SENTENCES, "NLI": PAIRS, "QA": QUESTIONS}


def word_pieces(special):
    """Vocabulary of WordPiece as BERT's: pieces of words by frequency, and all letters."""
    trained = tokenizers.BertWordPieceTokenizer()
    trained.train_from_iterator(TEXT, vocab_size=80, special_tokens=special, initial_alphabet=LETTERS)
    pieces = dict.fromkeys([*trained.get_vocab(), *LETTERS, *(f"##{x}" for x in LETTERS)])
    order = [*special, *(p for p in pieces if p not in special)]
    return {piece: i for i, piece in enumerate(order)}


def byte_pairs(special, prefix_space):
    """A byte-level BPE tokenizer, as GPT-2's and RoBERTa's."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([f" {text}" for text in TEXT], trainer)
    return tokenizer


def unigrams(special):
    """Pieces and scores of a unigram model, as SentencePiece's."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=80, initial_alphabet=[*LETTERS, "▁"], unk_token="<unk>", special_tokens=["<unk>"],
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXT, trainer)
    import json

    pieces = [(p, s) for p, s in json.loads(tokenizer.to_str())["model"]["vocab"] if p != "<unk>"]
    return [*((piece, 0.0) for piece in special), *pieces, ("<mask>", 0.0)]


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>"]


def bert_tokenizer(kind):
    return getattr(transformers, f"{kind}TokenizerFast")(vocab=word_pieces(BERT))


def mpnet_tokenizer():
    return transformers.MPNetTokenizerFast(vocab=word_pieces(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]))


def roberta_tokenizer():
    import json

    model = json.loads(byte_pairs([*ROBERTA, "<mask>"], True).to_str())["model"]
    return transformers.RobertaTokenizerFast(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]])


def xlmr_tokenizer():
    return transformers.XLMRobertaTokenizerFast(vocab=unigrams(ROBERTA))


def albert_tokenizer():
    vocabulary = unigrams(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])[:-1]
    return transformers.AlbertTokenizerFast(vocab=vocabulary)


def deberta_tokenizer():
    vocabulary = [*unigrams(["[PAD]", "[CLS]", "[SEP]", "[UNK]"])[:-1], ("[MASK]", 0.0)]
    return transformers.DebertaV2TokenizerFast(vocab=vocabulary)


def modernbert_tokenizer():
    """As answerdotai's: a class of no family, which puts no space before a word of its own accord."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = byte_pairs(special, False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(piece, tokenizer.token_to_id(piece)) for piece in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        pad_token="[PAD]", mask_token="[MASK]",
    )  # fmt: skip


COMMON = dict(
    num_hidden_layers=N_BLOCKS, num_attention_heads=2, hidden_size=WIDTH, intermediate_size=32,
    max_position_embeddings=64,
)  # fmt: skip
DEBERTA = dict(  # as deberta-v3, and the convolution of deberta-v2-xlarge
    relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
    pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0, conv_kernel_size=3,
)  # fmt: skip
MADE = {
    "bert": ("Bert", functools.partial(bert_tokenizer, "Bert"), {}),
    "roberta": ("Roberta", roberta_tokenizer, {"type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", xlmr_tokenizer, {"type_vocab_size": 1}),
    "distilbert": ("DistilBert", functools.partial(bert_tokenizer, "DistilBert"), {}),
    "mpnet": ("MPNet", mpnet_tokenizer, {}),
    "electra": ("Electra", functools.partial(bert_tokenizer, "Electra"), {"embedding_size": 8}),
    "albert": ("Albert", albert_tokenizer, {"embedding_size": 8}),
    "deberta-v2": ("DebertaV2", deberta_tokenizer, DEBERTA),
    "modernbert": (
        "ModernBert",
        modernbert_tokenizer,
        {"local_attention": 4, "global_attn_every_n_layers": 2},
    ),
}


def _configuration(kind, tokenizer):
    name, _, extra = MADE[kind]
    shape = dict(COMMON)
    if kind == "distilbert":
        shape = dict(n_layers=N_BLOCKS, n_heads=2, dim=WIDTH, hidden_dim=32, max_position_embeddings=64)
    special = {"pad_token_id": tokenizer.pad_token_id}
    if kind == "modernbert":
        special |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
        special |= {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    # At this width BERT's range of .02 would leave states nearly alike.
    ranges = {"initializer_range": 0.2}
    return getattr(transformers, f"{name}Config")(
        vocab_size=len(tokenizer), **(shape | special | ranges | extra)
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=sorted(families.FAMILIES))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    """The family's model as it is published: with the head of its pre-training."""
    target = tmp_path_factory.mktemp("families") / kind
    with encoders.quiet(), encoders.seeded(0):
        tokenizer = MADE[kind][1]()
        config = _configuration(kind, tokenizer)
        model = transformers.AutoModelForMaskedLM.from_config(config)
        for (
            name,
            value,
        ) in model.named_parameters():  # biases and norms at their first values would hide errors
            if value.ndim == 1:
                torch.nn.init.normal_(value, 1.0 if "orm" in name and name.endswith("weight") else 0.0, 0.1)
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def encoder(folder):
    return encoders.load(folder, device="cpu", precision="fp32")


@pytest.fixture
def plain(monkeypatch):
    """All encoders in single precision, frozen states included."""
    monkeypatch.setattr(encoders, "load", functools.partial(encoders.load, device="cpu", precision="fp32"))
    monkeypatch.setattr(blocks, "PRECISION", np.float32)


def read(model, ids, mask=None):
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask, output_hidden_states=True)


def batch(encoder):
    """Two inputs, the second one shorter."""
    ids = torch.arange(6, 26).reshape(2, 10) % encoder.model.config.vocab_size
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return ids, mask


# -- loading and reading -----------------------------------------------------------------------------


def test_every_family_is_tested():
    assert set(MADE) == set(families.FAMILIES)
    assert {row["model_type"] for row in families.describe()} == set(MADE)


def test_weights_are_the_checkpoints(folder, encoder, kind):
    assert encoder.family is families.FAMILIES[kind]
    assert (list(encoder.layers), encoder.width) == ([-1, 0, 1, 2], WIDTH)
    with encoders.quiet():
        whole = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    theirs, ours = whole.base_model.state_dict(), encoder.model.state_dict()
    assert {name for name in ours if not name.startswith("pooler")} == set(theirs) - {"pooler"}
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_words_are_aligned_with_their_pieces(encoder):
    [(ids, words)] = encoders.align(encoder.tokenizer, [WORDS])
    assert len(ids) > len(WORDS) and encoder.tokenizer.unk_token_id not in ids
    for number, word in enumerate(WORDS):
        own = [piece for piece, w in zip(ids, words, strict=True) if w == number]
        assert encoder.tokenizer.decode(own).strip() == word
    running = encoder.tokenizer(" ".join(WORDS), add_special_tokens=False)["input_ids"]
    assert ids == running, "words have the pieces that they have in running text"


def test_states_of_words_are_means_of_the_librarys(encoder):
    encoded = encoder.tokenizer(list(WORDS), is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        states = torch.stack(encoder.model(**encoded, output_hidden_states=True).hidden_states)[:, 0]
    of_word = encoded.word_ids(0)
    records = [WORDS, WORDS[:2]]  # padded beside each other
    [ours, _] = encoders.hidden_states(encoder, records)
    assert ours.shape == (len(WORDS), N_BLOCKS + 1, WIDTH)
    for word in range(len(WORDS)):
        expected = states[:, [i for i, w in enumerate(of_word) if w == word]].mean(axis=1)
        np.testing.assert_allclose(ours[word], expected, atol=5e-3)


def test_pairs_are_read_as_the_library_joins_them(encoder):
    pair = PAIRS[0]
    encoded = encoder.tokenizer(
        pair.premise, pair.hypothesis, return_tensors="pt", return_token_type_ids=True
    )
    accepted = {k: v for k, v in encoded.items() if k != "token_type_ids" or encoder.typed}
    plain = [i for i, w in enumerate(encoded.word_ids(0)) if w is not None]
    with torch.no_grad():
        states = torch.stack(encoder.model(**accepted, output_hidden_states=True).hidden_states)[:, 0]
    [ours] = encoders.hidden_states(encoder, [pair], pool="pieces")
    np.testing.assert_allclose(ours, states[:, plain].transpose(0, 1), atol=5e-3)


def test_states_for_structural_probes(encoder, tmp_path):
    sentences = [sentence.words for sentence in SENTENCES]
    stored = encoders.extract(encoder, sentences, Store(tmp_path), pool="mean")
    streamed = np.concatenate(list(encoders.hidden_states(encoder, sentences)))
    for number, layer in enumerate(encoder.layers):
        np.testing.assert_allclose(stored.layer(layer), streamed[:, number], atol=5e-3)


def test_the_longest_input_can_be_read(encoder):
    ids = torch.full((1, encoder.max_length), 6)
    assert read(encoder.model, ids).last_hidden_state.shape == (1, encoder.max_length, WIDTH)
    [states] = encoders.hidden_states(encoder, [("the",) * 100])
    assert states.shape == (100, N_BLOCKS + 1, WIDTH) and np.isfinite(states).all()


def test_random_weights(folder, encoder):
    one, two = (encoders.load(folder, random_init=seed, device="cpu") for seed in (1, 1))
    a, b, trained = (e.model.state_dict() for e in (one, two, encoder))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], trained[name]) for name in a if a[name].ndim > 1)


# -- blocks ------------------------------------------------------------------------------------------


def test_sections_join_to_the_encoder(encoder, kind):
    if encoder.family.one_block:
        with pytest.raises(
            encoders.EncoderError, match="ALBERT cannot be cut into blocks: all its blocks are one set"
        ):
            blocks.section(encoder.model, 1, 3)
        return
    ids, mask = batch(encoder)
    whole = read(encoder.model, ids, mask)
    real = mask.bool()
    with torch.no_grad():
        for cut in (1, 2, 3):
            below = blocks.section(encoder.model, 0, cut, top=False)(input_ids=ids, attention_mask=mask)
            states = below.last_hidden_state
            if cut < N_BLOCKS:
                torch.testing.assert_close(states[real], whole.hidden_states[cut][real])
            rest = blocks.section(encoder.model, cut, 3)(inputs_embeds=states, attention_mask=mask)
            torch.testing.assert_close(rest.last_hidden_state[real], whole.last_hidden_state[real])
            if "pooler_output" in whole:
                torch.testing.assert_close(rest.pooler_output, whole.pooler_output)
    again = read(encoder.model, ids, mask)
    assert len(again.hidden_states) == N_BLOCKS + 1, "the model itself is left as it was"


def test_truncated(encoder):
    """The head reads the layer, through a norm that is above the blocks."""
    ids, mask = batch(encoder)
    whole = read(encoder.model, ids, mask)
    norm = getattr(encoder.model, "final_norm", torch.nn.Identity())
    for layer in range(N_BLOCKS):
        model = blocks.truncated(encoder, layer)
        with blocks.saved(encoder, model) as saved:
            loaded = encoders.load(saved, device="cpu", precision="fp32")
        assert list(loaded.layers) == list(range(-1, layer + 1))
        expected = whole.hidden_states[layer + 1]
        if layer < N_BLOCKS - 1:
            expected = norm(expected)
        for cut in (model, loaded.model):
            states = read(cut, ids, mask).last_hidden_state
            torch.testing.assert_close(states[mask.bool()], expected[mask.bool()])
    assert encoder.model.config.num_hidden_layers == N_BLOCKS
    torch.testing.assert_close(read(encoder.model, ids, mask).last_hidden_state, whole.last_hidden_state)


@pytest.mark.parametrize("lowest", [0, 2])
def test_reinitialised(encoder, lowest):
    if encoder.family.one_block:
        with pytest.raises(encoders.EncoderError, match="ALBERT cannot be re-initialised in part"):
            blocks.reinitialised(encoder, lowest, seed=1)
        return
    before = encoder.model.state_dict()
    after = blocks.reinitialised(encoder, lowest, seed=1).state_dict()
    family = encoder.family
    anew = [f"{family.blocks}.{block}." for block in range(lowest, N_BLOCKS)]
    anew += [f"{part}." for part in (*family.above, *(family.first if lowest == 0 else ()))]
    for name, value in before.items():
        if not (name.startswith("pooler") and name.endswith("bias")):  # zeros before and after
            assert torch.equal(value, after[name]) != name.startswith(tuple(anew)), name


# -- fine-tuning -------------------------------------------------------------------------------------


def finetune(kind, folder, cache, **options):
    records = RECORDS[kind]
    return training.finetune(
        Task(kind, "test", RECIPE), folder, records, records, seed=0, cache=cache, **options
    )


@pytest.mark.parametrize("task", sorted(RECORDS))
def test_fine_tuned(folder, encoder, task, tmp_path, plain):
    tuned = finetune(task, folder, Store(tmp_path))
    assert [row["step"] for row in tuned.log()][-1] == 2
    loaded = training.load(tuned.folder, device="cpu")
    before, after = encoder.model.state_dict(), loaded.encoder.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    for block in range(1 if encoder.family.one_block else N_BLOCKS):
        assert any(name.startswith(f"{encoder.family.blocks}.{block}.") for name in moved), block
    assert same(prediction.predict(loaded, RECORDS[task]), tuned.predictions())


def test_dropout_is_set_everywhere(folder):
    model = encoders.load(folder, device="cpu", precision="fp32").model.train()
    ids = torch.full((1, 12), 7)
    encoders.set_dropout(model, 0.0)
    states = [model(input_ids=ids).last_hidden_state for _ in range(2)]
    assert torch.equal(*states)
    encoders.set_dropout(model, 0.5)
    for module in model.modules():
        rates = (getattr(module, name, None) for name in ("p", "attention_dropout", "dropout_prob"))
        assert set(filter(lambda rate: isinstance(rate, float), rates)) <= {0.5}


def same(predicted, kept):
    names = {"heads", "deprels", "label", "answer"}
    return [[row[n] for n in sorted(names & row.keys())] for row in predicted] == [
        [row[n] for n in sorted(names & row.keys())] for row in kept
    ]


@pytest.mark.parametrize("layer", [0, 2])
def test_frozen(folder, encoder, layer, tmp_path, plain):
    """What is frozen, and what blocks share with it, stays; what is stored gives what was predicted."""
    if encoder.family.one_block:
        with pytest.raises(
            encoders.EncoderError, match="ALBERT cannot be frozen in part: all its blocks are one set"
        ):
            finetune("NLI", folder, Store(tmp_path), frozen=layer)
        return
    tuned = finetune("NLI", folder, Store(tmp_path), frozen=layer)
    loaded = training.load(tuned.folder, device="cpu")
    family = encoder.family
    trained = [f"{family.blocks}.{block}." for block in range(layer + 1, N_BLOCKS)]
    trained += [f"{part}." for part in family.above]
    after = loaded.encoder.model.state_dict()
    for name, value in encoder.model.state_dict().items():
        # A bias of keys has no gradient: it shifts all scores of a query alike.
        if not ("key" in name and name.endswith("bias")):
            assert torch.equal(value, after[name]) != name.startswith(tuple(trained)), name
    assert same(prediction.predict(loaded, PAIRS), tuned.predictions())


def test_a_part_that_is_missing_in_a_familys_entry_is_noticed(tmp_path, monkeypatch):
    """As would a norm above the blocks be that the entry does not name."""
    import dataclasses

    entry = dataclasses.replace(families.FAMILIES["modernbert"], above=())
    monkeypatch.setitem(families.FAMILIES, "modernbert", entry)
    with encoders.quiet(), encoders.seeded(0):
        tokenizer = modernbert_tokenizer()
        model = transformers.AutoModel.from_config(_configuration("modernbert", tokenizer))
        torch.nn.init.constant_(model.final_norm.weight, 3)
        model.save_pretrained(tmp_path / "model")
        tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(
        ValueError, match="cannot be frozen in part: the blocks of this ModernBERT do not add"
    ):
        blocks.Prefix(tmp_path / "model", tmp_path)
