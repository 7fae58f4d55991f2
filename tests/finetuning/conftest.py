"""A small random BERT and small corpora that it can learn."""

import pytest

from helpers import encoders
from helpers.corpora.records import Answer, Pair, Question, Sentence
from helpers.finetuning import tasks
from helpers.profiles import TuningRecipe

NOUNS = ("cats", "dogs", "birds", "horses", "children", "teachers", "foxes", "wolves")
VERBS = ("see", "chase", "like", "fear", "follow", "avoid")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small are slower on several threads, many times so on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Folder of a random BERT of 2 blocks x 32; its wordpieces are a few words and all letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*NOUNS, *VERBS, "the", "not", "who", "do"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *words, *letters]
    pieces += ["##" + letter for letter in letters]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=64)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,  # at this width BERT's 0.02 leaves [CLS] nearly blind to the words
    )
    target = tmp_path_factory.mktemp("encoder") / "small"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        with encoders.quiet():
            BertModel(config).save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


@pytest.fixture(scope="session")
def encoder(folder):
    """The random BERT, loaded. Tests must not change its weights."""
    return encoders.load(folder, device="cpu")


@pytest.fixture(scope="session")
def encode(encoder):
    """Function from a model's name and records to its inputs; options are those of the recipe."""

    def encode(kind, records, *, targets=True, **recipe):
        task, settings = tasks.get(kind), TuningRecipe(**({"max_length": 64} | recipe))
        return task.encode(records, encoder, settings, task.labels(records), targets=targets)

    return encode


@pytest.fixture(scope="session")
def seeded():
    """Function that calls another one with torch's generator seeded, and sets what it makes to evaluation."""

    def make(make_module):
        with encoders.seeded(1):
            return make_module().eval()

    return make


@pytest.fixture(scope="session")
def sentences():
    """24 trees: ``the <noun> <verb> <noun> .`` and ``<noun> do not <verb> .``"""
    made = []
    for i in range(24):
        a, b, verb = NOUNS[i % 8], NOUNS[(i // 3 + 3) % 8], VERBS[i % 6]
        if i % 2:
            made.append(
                Sentence(
                    id=f"s{i}",
                    words=("the", a, verb, b, "."),
                    upos=("DET", "NOUN", "VERB", "NOUN", "PUNCT"),
                    heads=(2, 3, 0, 3, 3),
                    deprels=("det", "nsubj", "root", "obj", "punct"),
                )
            )
        else:
            made.append(
                Sentence(
                    id=f"s{i}",
                    words=(a, "do", "not", verb, "."),
                    upos=("NOUN", "AUX", "PART", "VERB", "PUNCT"),
                    heads=(4, 4, 4, 0, 4),
                    deprels=("nsubj:outer", "aux", "advmod", "root", "punct"),
                )
            )
    return made


@pytest.fixture(scope="session")
def pairs():
    """24 pairs, as many of each label, told apart by a word of the hypothesis."""
    made = []
    for i in range(24):
        a, b, verb = NOUNS[i % 8], NOUNS[(i + 3) % 8], VERBS[i % 6]
        label = ("neutral", "entailment", "contradiction")[i % 3]
        hypothesis = {
            "neutral": f"who do {verb} {b}",
            "entailment": f"{a} {verb} {b}",
            "contradiction": f"{a} do not {verb} {b}",
        }
        made.append(Pair(f"p{i}", f"the {a} {verb} the {b} .", hypothesis[label], label))
    return made


@pytest.fixture(scope="session")
def questions():
    """24 questions whose answer is the subject of the one sentence with the question's verb."""
    made = []
    for i in range(24):
        a, b, c = NOUNS[i % 8], NOUNS[(i + 3) % 8], NOUNS[(i + 5) % 8]
        verb, other = VERBS[i % 6], VERBS[(i + 1) % 6]
        context = f"The {b} {other} {c}. The {a} {verb} {b}."
        start = context.index(a, context.index(". "))
        made.append(Question(f"q{i}", f"who do {verb} {b}?", context, (Answer(a, start),)))
    return made
