"""Quality of a pre-trained BERT: each measure against a closed form, the library, or a planted answer."""

import copy
import random

import numpy as np
import pytest
import torch

from helpers import encoders, results, store
from helpers.corpora.records import Sentence
from helpers.pretraining import models, quality, text
from helpers.pretraining.batches import IGNORED
from helpers.pretraining.recipe import Recipe
from helpers.probing import structural
from helpers.profiles import StructuralRecipe


@pytest.fixture(scope="module")
def tokenizer():
    return encoders.load("tiny", device="cpu").tokenizer


@pytest.fixture(scope="module")
def corpus(tokenizer, tmp_path_factory):
    """Encoded text of eight documents made of common words."""
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("corpus")
    words = "the of and to in he was that she had his with her for is at by the the of unbelievably".split()
    texts = [
        "\n".join(" ".join(rng.choices(words, k=20)) + "." for _ in range(30 * (1 + (number == 3))))
        for number in range(8)
    ]
    (folder / "text.txt").write_text("\n\n".join(texts))
    text.encode([folder / "text.txt"], tokenizer, folder)
    return text.EncodedCorpus(folder)


def test_piece_counts(corpus, tokenizer):
    counts = quality.piece_counts(corpus, len(tokenizer))
    ids, expected = np.unique(corpus.tokens, return_counts=True)
    assert counts.sum() == len(corpus.tokens) and (counts[ids] == expected).all()


def test_unigram_loss_is_its_closed_form(corpus, tokenizer):
    counts = quality.piece_counts(corpus, len(tokenizer))
    batches = quality.masked_batches(corpus, tokenizer, np.ones(8, bool), 20, seed=0)
    nll, ranks, groups = quality._collect(quality.Unigram(counts), batches)
    labels = torch.cat([b["labels"][b["labels"] != IGNORED] for b in batches]).numpy()
    expected = -np.log((counts[labels] + 1) / (counts.sum() + len(counts)))
    np.testing.assert_allclose(nll, expected, rtol=1e-5)
    assert ((ranks == 0) == (labels == counts.argmax())).all()
    assert groups.max() == 19 and np.bincount(groups).min() == np.bincount(groups).max() == 19


def test_stretches_are_those_of_the_wanted_documents(corpus, tokenizer):
    wanted = np.arange(8) == 3
    rng = np.random.default_rng(0)
    windows = quality._stretches(corpus, wanted, 100, rng)
    assert (windows[:, 0] >= corpus.starts[3]).all() and (windows[:, 1] <= corpus.starts[4]).all()
    assert len(windows) == -(-(corpus.starts[4] - corpus.starts[3]) // 100)


def test_genres_follow_the_list_of_sources(corpus, tmp_path):
    assert set(quality.document_genres(tmp_path, corpus)) == {"text"}
    head = "name,source,commit_or_version,licence,genre,documents,words,heldout_documents,heldout_words\n"
    (tmp_path / "SOURCES.csv").write_text(head + "a,x,1,CC0,fiction,1,1,3,1\nb,x,1,CC0,web,1,1,5,1\n")
    assert quality.document_genres(tmp_path, corpus).tolist() == ["fiction"] * 3 + ["web"] * 5
    (tmp_path / "SOURCES.csv").write_text(head + "a,x,1,CC0,fiction,1,1,3,1\n")
    with pytest.raises(ValueError, match="lists 3 held-out documents, there are 8"):
        quality.document_genres(tmp_path, corpus)


def test_cloze_masks_one_whole_common_word(corpus, tokenizer):
    counts = quality.piece_counts(corpus, len(tokenizer))
    batches = quality.cloze_batches(corpus, tokenizer, counts, (0, 5), 25, seed=0)
    everything = corpus.tokens.tobytes()
    labels = []
    for batch in batches:
        ids = batch["input_ids"]
        assert (ids == tokenizer.mask_token_id).sum() == len(ids) == len(batch["masked"])
        assert (ids.gather(1, batch["masked"]) == tokenizer.mask_token_id).all()
        ids.scatter_(1, batch["masked"], batch["labels"])
        for row in ids.numpy():
            assert row[1:-1].astype(np.uint16).tobytes() in everything
        after = ids.gather(1, batch["masked"] + 1).flatten().tolist()
        assert not any(p.startswith("##") for p in tokenizer.convert_ids_to_tokens(after))
        labels += tokenizer.convert_ids_to_tokens(batch["labels"].flatten().tolist())
    assert len(labels) == 25 and set(labels) <= {"the", "of", *labels} and len(set(labels)) <= 5
    assert all(label.isalpha() for label in labels) and "the" in labels


# -- pseudo-log-likelihoods ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_bert(tokenizer):
    recipe = Recipe(layers=2, hidden=32, heads=2, intermediate=32)
    return models.make(recipe, tokenizer).eval()


def test_pseudo_log_likelihood_one_mask_at_a_time(small_bert, tokenizer):
    sentences = [("the", "old", "king", "speaks", "."), ("unbelievably", "overfitted")]

    class Exact:  # the same model without autocast
        def __call__(self, batch):
            output = small_bert(
                input_ids=batch["input_ids"],
                token_type_ids=batch["token_type_ids"],
                attention_mask=batch["attention_mask"],
            )
            rows = torch.arange(len(batch["masked"]))
            return output.prediction_logits[rows, batch["masked"][:, 0]].log_softmax(-1)

    expected = []
    with torch.no_grad():
        ours = quality.pseudo_log_likelihoods(Exact(), tokenizer, sentences)
        for words in sentences:
            ids, total = tokenizer(" ".join(words), return_tensors="pt").input_ids, 0.0
            for place in range(1, ids.shape[1] - 1):
                masked = ids.clone()
                masked[0, place] = tokenizer.mask_token_id
                scores = small_bert(input_ids=masked).prediction_logits[0, place].log_softmax(-1)
                total += float(scores[ids[0, place]])
            expected.append(total)
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
    half = quality.pseudo_log_likelihoods(quality.Masked(small_bert, "cpu"), tokenizer, sentences)
    np.testing.assert_allclose(half, expected, rtol=2e-3)


def test_preference(tokenizer):
    counts = np.zeros(len(tokenizer))
    counts[tokenizer.convert_tokens_to_ids("king")] = 5
    pairs = [(("king",), ("queen",)), (("queen",), ("king",)), (("boy", "girl"), ("girl", "boy"))]
    assert quality.prefers_first(quality.Unigram(counts), tokenizer, pairs).tolist() == [1.0, 0.0, 0.5]


# -- probes --------------------------------------------------------------------------------------


def random_sentence(rng, n: int, number: int) -> Sentence:
    heads = [0] + [rng.randint(1, i) for i in range(1, n)]
    order = list(range(n))
    rng.shuffle(order)  # position of each node
    shuffled = [0] * n
    for node, head in enumerate(heads):
        shuffled[order[node]] = order[head - 1] + 1 if head else 0
    upos = tuple(rng.choice(["NOUN", "VERB", "ADJ", "PUNCT"]) for _ in range(n))
    return Sentence(
        str(number), tuple(f"w{rng.randint(0, 9)}" for _ in range(n)), upos=upos, heads=tuple(shuffled)
    )


@pytest.fixture(scope="module")
def sentences():
    rng = random.Random(0)
    return [random_sentence(rng, rng.randint(4, 12), number) for number in range(120)]


def test_distance_probes_find_trees_that_are_there(sentences):
    """A tree's path lengths are squared distances when each arc is a direction of its own."""
    rng = np.random.default_rng(0)
    mix = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    heads, lengths, keep = structural.arrays(sentences)
    planted = rng.normal(scale=0.3, size=(len(heads), 40))  # to be projected away
    planted[:, :12] = structural.paths(heads, lengths)
    noise = rng.normal(size=planted.shape)
    split = sum(len(s.words) for s in sentences[:90])
    states = np.stack([planted @ mix, noise]).astype(np.float32)
    recipe = StructuralRecipe(epochs=60, learning_rate=0.01)
    tree, none = quality.distance_probes(
        states[:, :split],
        states[:, split:],
        sentences[:90],
        sentences[90:],
        recipe=recipe,
        seed=0,
    )
    kept = [sum(tag != "PUNCT" for tag in s.upos) for s in sentences[90:]]
    for _, sentence in (tree, none):
        assert np.bincount(sentence, minlength=30).tolist() == [max(n - 1, 0) for n in kept]
    assert tree[0].mean() > 0.85 > 0.6 > none[0].mean()


def test_chain_baseline_by_hand():
    sentence = Sentence(
        "s", ("a", "b", ",", "c", "d"), upos=("X", "X", "PUNCT", "X", "X"), heads=(2, 0, 2, 2, 1)
    )
    found, groups = quality.chain_baseline([sentence, sentence])
    # Arcs a-b, b-c (neighbours once the comma is left out) and a-d.
    assert found.tolist() == [1.0, 1.0, 0.0] * 2 and groups.tolist() == [0, 0, 0, 1, 1, 1]


def test_lexicon_baseline_by_hand():
    train = [
        Sentence("1", ("The", "run", "run", "run"), upos=("DET", "NOUN", "VERB", "NOUN")),
        Sentence("2", ("fast", "ran", "sat"), upos=("ADV", "VERB", "VERB")),
    ]
    dev = [Sentence("3", ("the", "run", "flew"), upos=("DET", "VERB", "VERB"))]
    right, groups = quality.lexicon_baseline(train, dev)
    assert right.tolist() == [1.0, 0.0, 1.0] and groups.tolist() == [0, 0, 0]


def test_pos_probe_reads_off_what_is_linear(sentences):
    tags = sorted({tag for s in sentences for tag in s.upos})
    rng = np.random.default_rng(0)
    onehot = np.concatenate([np.eye(4)[[tags.index(t) for t in s.upos]] for s in sentences])
    x = onehot @ rng.normal(size=(4, 20)) + 0.05 * rng.normal(size=(len(onehot), 20))
    split = sum(len(s.words) for s in sentences[:80])
    right, groups = quality.pos_probe(x[:split], x[split:], sentences[:80], sentences[80:])
    assert right.mean() > 0.98 and groups.max() == 39
    noise = rng.normal(size=x.shape)
    right, _ = quality.pos_probe(noise[:split], noise[split:], sentences[:80], sentences[80:])
    assert right.mean() < 0.5


def test_a_block_is_left_out_and_put_back(small_bert, tokenizer):
    ids = tokenizer("the old king speaks", return_tensors="pt").input_ids
    with torch.no_grad():
        states = small_bert.bert(ids, output_hidden_states=True).hidden_states
        with quality._without(small_bert, 1):
            shorter = small_bert.bert(ids).last_hidden_state
        after = small_bert.bert(ids).last_hidden_state
    torch.testing.assert_close(shorter, states[1])
    torch.testing.assert_close(after, states[2])


# -- the whole -----------------------------------------------------------------------------------


SIZES = quality.Sizes(windows=4, cloze=4, pairs=4, train_sentences=30, dev_sentences=10)


@pytest.fixture
def folder(tmp_path):
    """A folder with a few documents of common words, three of them held out."""
    rng = random.Random(0)
    words = "the of and to in he was that she had his with her for is at by the king old".split()
    for name, n in (("train.txt", 8), ("heldout.txt", 3)):
        texts = ["\n".join(" ".join(rng.choices(words, k=20)) + "." for _ in range(60)) for _ in range(n)]
        (tmp_path / name).write_text("\n\n".join(texts))
    return tmp_path


def test_an_encoder_of_few_positions_is_measured_without_long_inputs(
    real_data, folder, small_bert, tokenizer
):
    config = copy.copy(small_bert.config)
    config.max_position_embeddings = 128
    models.save(type(small_bert)(config), tokenizer, folder / "short")
    frame = quality.evaluate(
        folder / "short",
        folder,
        treebank=real_data("ud-english-ewt"),
        sizes=SIZES,
        device="cpu",
        cache=store.Store(folder / "store"),
    )
    assert {"mlm_loss", "preferred", "uuas"} < set(frame["metric"])
    assert "long_mlm_loss" not in set(frame["metric"])


def test_evaluate_and_record(real_data, folder, tokenizer):
    treebank, tmp_path = real_data("ud-english-ewt"), folder
    recipe = Recipe(layers=2, hidden=16, heads=2, intermediate=16)
    models.save(models.make(recipe, tokenizer), tokenizer, tmp_path / "bert-seed3")
    options = dict(
        treebank=treebank,
        sizes=SIZES,
        device="cpu",
        cache=store.Store(tmp_path / "store"),
        recorded=tmp_path / "recorded",
    )
    frame = quality.record(tmp_path / "bert-seed3", tmp_path, **options)
    assert frame.columns.tolist() == results.COLUMNS and set(frame["seed"]) == {3}
    again = results.read(tmp_path / "recorded" / "quality.csv")
    idle = 2 + 2 * 2  # blocks left out, of Base; RSA to the layer below, of both encoders
    assert len(again) == len(frame) == 3 * (2 + 4 + 2 + 5) + 2 + 2 * 3 * 2 + idle
    counts = frame.groupby("model").size().to_dict()
    assert counts == {"Base": 23, "Random": 21, "Unigram": 13, "Lexicon": 1, "Chain": 1}
    long = frame[(frame["metric"] == "long_mlm_loss") & (frame["model"] == "Base")]
    assert long["inputs"].iloc[[0, -1]].tolist() == ["pieces 1-128", "pieces 385-512"]
    assert long["n"].sum() == 4 * round(0.15 * 510) and long["n"].min() > 50  # every mask in one of the four
    frame = frame[frame["metric"] != "rsa_pearson"]
    assert (frame["ci_low"] <= frame["value"]).all() and (frame["value"] <= frame["ci_high"]).all()
    loss = frame[(frame["metric"] == "mlm_loss") & (frame["model"] == "Random")]["value"].item()
    assert abs(loss - np.log(len(tokenizer))) < 0.3
    assert (tmp_path / "recorded" / "provenance.json").is_file()


def test_masks_are_filled_as_by_the_library(tokenizer, small_bert, tmp_path):
    models.save(small_bert, tokenizer, tmp_path)
    small_bert.float()
    given = "The [MASK] saw a [MASK]."
    frame = quality.fill(tmp_path, [given, "[MASK]"], top=3)
    assert len(frame) == 9 and frame["rank"].tolist() == [1, 2, 3] * 3
    with torch.no_grad():
        scores = small_bert(**tokenizer(given, return_tensors="pt")).prediction_logits[0, 5].softmax(-1)
    second = frame[(frame["text"] == given) & (frame["mask"] == 2)]
    assert second["guess"].tolist()[0] == tokenizer.convert_ids_to_tokens(int(scores.argmax()))
    np.testing.assert_allclose(second["probability"], scores.topk(3).values, rtol=0.05)
    with pytest.raises(ValueError, match="no .MASK. in 'Nothing.'"):
        quality.fill(tmp_path, ["Nothing."])


def test_encoders_that_cannot_fill_masks_are_refused(tokenizer):
    with pytest.raises(ValueError, match="no head for masked language modelling"):
        quality.load(encoders.resolve("tiny"))
