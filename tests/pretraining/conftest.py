"""Text of 40 + 6 short documents, encoded, and a recipe that is trained in a second."""

import random

import pytest

from helpers import store
from helpers.pretraining import text
from helpers.pretraining.recipe import Recipe

WORDS = (
    "the a small old cat dog bird tree house saw heard liked near under of and quickly then it was".split()
)
TINY = Recipe(
    tokens=30 * 256,
    vocabulary=120,
    layers=2,
    hidden=16,
    heads=2,
    intermediate=32,
    positions=64,
    short_length=32,
    long_share=0.2,
    next_sentence=0.3,
    batch_tokens=256,
    learning_rate=1e-2,
    warmup=2,
)


def sentences(rng, topic: str, n: int) -> str:
    return " ".join(
        " ".join([topic, *rng.choices(WORDS, k=rng.randint(3, 12))]).capitalize() + "." for _ in range(n)
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Text of 40 + 6 documents; each sentence of document k begins with its own word."""
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("text")
    topics = [a + b for a in "bcdfg" for b in "aeiouy"] + [a + b for a in "hjk" for b in "aeiouy"]
    for name, part in (("train.txt", topics[:40]), ("heldout.txt", topics[40:46])):
        texts = ["\n".join(sentences(rng, topic, 5) for _ in range(3)) for topic in part]
        (folder / name).write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def prepared(folder, tmp_path_factory):
    cache = store.Store(tmp_path_factory.mktemp("store"))
    return text.prepare([folder / "train.txt"], [folder / "heldout.txt"], 120, cache)


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    return TINY


@pytest.fixture(scope="session")
def make_sentences():
    return sentences
