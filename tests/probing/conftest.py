"""Sentences with labelled spans, and representations of which it is known what they hold."""

import numpy as np
import pytest

from helpers import encoders
from helpers.corpora.records import LabelledSpans, Target
from helpers.encoders import Activations

WORDS = "the cats unbelievably chase Worcestershire dogs , antidisestablishmentarianism sees a river".split()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Probes this small are slower on several threads, many times so on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The random BERT of 4 blocks x 32 with MiniBERT's vocabulary."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETUNING_BOOK_HOME", str(tmp_path_factory.mktemp("home")))
        return encoders.load("tiny", device="cpu")


@pytest.fixture(scope="session")
def make_records():
    """Function to random sentences whose words each carry a label, and pairs of which do."""

    def make(n: int, seed: int, *, pairs: bool = False, labels=("A", "B", "C", "D")) -> list[LabelledSpans]:
        rng = np.random.default_rng(seed)
        records = []
        for i in range(n):
            words = tuple(rng.choice(WORDS, rng.integers(4, 12)).tolist())
            targets = []
            for w in range(len(words)):
                end = min(len(words), w + int(rng.integers(1, 4)))
                head = int(rng.integers(len(words)))
                second = (head, head + 1) if pairs else None
                targets.append(Target((w, end), second, (str(rng.choice(labels)),)))
            records.append(LabelledSpans(f"{seed}-{i}", words, tuple(targets)))
        return records

    return make


@pytest.fixture
def make_states(tmp_path):
    """Function from arrays by layer, (n_rows, d) each, to activations as the store keeps them."""

    def make(layers: dict[int, np.ndarray], name: str = "states") -> Activations:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for layer, array in layers.items():
            file = f"layer_{layer:02d}.f16" if layer >= 0 else "embeddings.f16"
            array.astype(np.float16).tofile(folder / file)
        n_rows, width = next(iter(layers.values())).shape
        return Activations(folder, tuple(layers), n_rows, width)

    return make
