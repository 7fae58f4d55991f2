"""How good a pre-trained BERT is, beside simple baselines.

Masked language modelling on held-out text by genre and by place in a long input, cloze on common words,
minimal pairs of agreement and reflexives scored by pseudo-log-likelihood (Salazar et al. 2020), and two
probes per layer on a treebank: parts of speech by a linear classifier, and syntactic distance (Hewitt and
Manning 2019) by a small structural probe. And whether its blocks do something: what the loss gains when one
is left out, and how alike its output is to its input (RSA). Baselines: a random encoder of the same shape,
and a unigram model, a lexicon or a chain of neighbours, whichever can solve the task to some extent.
"""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from helpers import corpora, encoders, precision, progress, provenance, results, similarity, statistics, store
from helpers.corpora.records import Sentence
from helpers.pretraining import release, text
from helpers.pretraining.batches import IGNORED, Batches
from helpers.pretraining.minimal_pairs import KINDS, Words, minimal_pairs
from helpers.pretraining.recipe import Recipe
from helpers.pretraining.text import EncodedCorpus
from helpers.probing import structural
from helpers.profiles import StructuralRecipe

ANALYSIS = "pretraining"
LENGTH, LONG = 128, 512  # wordpieces of an input; long ones show whether all positions are learnt
COMMON = {"words 1-100": (0, 100), "words 101-1000": (100, 1000)}  # by rank in the training text
N_RESAMPLES = 500
RANK, SMALL_PROBE = 64, StructuralRecipe(epochs=15)  # of the distance probes
RSA_WORDS = 2000  # of the treebank, on which neighbouring layers are compared
POS_STRENGTH = 0.01  # inverse of the POS probe's penalty


@dataclass(frozen=True)
class Sizes:
    """How much is measured. The defaults take a minute on two cores."""

    windows: int = 160  # held-out stretches of 128 wordpieces per genre
    cloze: int = 400  # masked words per class
    pairs: int = 200  # minimal pairs per condition
    train_sentences: int = 1500
    dev_sentences: int = 500
    seed: int = 0


# -- the whole -------------------------------------------------------------------------------------


def evaluate(
    name: str | Path,
    corpus: str | Path,
    *,
    treebank: str | Path | None = None,
    heldout: str = "heldout*",
    sizes: Sizes = Sizes(),
    device: str = "auto",
    cache: store.Store | None = None,
) -> pd.DataFrame:
    """Measure an encoder (``minibert``, a folder, a Hub id) and its baselines: one row per number.

    ``corpus`` is the folder that it was pre-trained on, with files matching ``heldout`` held out and, for
    the genres, its SOURCES.csv, whose order the held-out documents keep. ``treebank`` is a folder with
    UD EWT; without it EWT is downloaded. Columns are those of :data:`helpers.results.COLUMNS`: ``model``
    is Base (the encoder) or a baseline (Random, Unigram, Lexicon, Chain); ``inputs`` the genre, part of an
    input of 512 pieces, class of words, kind of minimal pair or treebank; ``ci_low`` and ``ci_high`` a 95 %
    interval by bootstrap over windows, pairs or sentences; ``n`` the number of wordpieces, words, pairs, or
    arcs.
    """
    from transformers import AutoConfig

    cache = cache or store.Store()
    folder, corpus = encoders.resolve(name), Path(corpus)
    files, held = text.split_files(corpus, heldout)
    tokenizer, train, test = text.prepare(files, held, folder, cache)
    genres = document_genres(corpus, test)
    counts = piece_counts(train, len(tokenizer))
    seed = int(folder.name.rpartition("seed")[2]) if "seed" in folder.name else None
    rows: list[dict] = []

    def add(metric: str, model: str, inputs: str, values: Any, groups: Any, layer: int | None = None) -> None:
        estimate = statistics.ratio(values, 1, groups, n_resamples=N_RESAMPLES, seed=sizes.seed)
        rows.append(
            dict(analysis=ANALYSIS, metric=metric, model=model, inputs=inputs, layer=layer, n=len(values))
            | dict(value=estimate.value, ci_low=estimate.ci_low, ci_high=estimate.ci_high, seed=seed)
        )

    masked = {
        genre: masked_batches(test, tokenizer, genres == genre, sizes.windows, sizes.seed)
        for genre in dict.fromkeys(genres.tolist())
    }
    long: list[dict] = []
    if AutoConfig.from_pretrained(folder, trust_remote_code=False).max_position_embeddings >= LONG:
        long = masked_batches(test, tokenizer, np.full(len(genres), True), sizes.windows, sizes.seed, LONG)
    gaps = {
        label: cloze_batches(test, tokenizer, counts, ranks, sizes.cloze, sizes.seed)
        for label, ranks in COMMON.items()
    }
    gaps = {label: batches for label, batches in gaps.items() if batches}  # some texts lack such words
    pairs = {kind: minimal_pairs(kind, sizes.pairs, sizes.seed) for kind in KINDS}
    for model_name, random_init in (("Base", None), ("Random", 0), ("Unigram", None)):
        model = None if model_name == "Unigram" else load(folder, random_init)
        scorer = Unigram(counts) if model is None else Masked(model, device)
        for genre, batches in masked.items():
            nll, right, group = _collect(scorer, batches)
            add("mlm_loss", model_name, genre, nll, group)
            add("mlm_accuracy", model_name, genre, right == 0, group)
        if model and model_name == "Base":  # an idle block is one that the model does not miss
            everything = [batch for batches in masked.values() for batch in batches]
            whole, _, group = _collect(scorer, everything)
            for block in range(model.config.num_hidden_layers):
                with _without(model, block):
                    nll, _, _ = _collect(scorer, everything)
                add("mlm_loss_gained", "Base", "block left out", nll - whole, group, block)
        if long:  # not where all documents, or the encoder's inputs, are shorter
            nll, _, group = _collect(scorer, long)
            place = np.concatenate([b["masked"][b["labels"] != IGNORED].numpy() for b in long])
            for begin in range(0, LONG, LENGTH):
                here = (begin <= place) & (place < begin + LENGTH)
                part = f"pieces {begin + 1}-{begin + LENGTH}"
                add("long_mlm_loss", model_name, part, nll[here], group[here])
        for label, batches in gaps.items():
            _, rank, group = _collect(scorer, batches)
            add("cloze_top1", model_name, label, rank == 0, group)
            add("cloze_top5", model_name, label, rank < 5, group)
        for kind, chosen in pairs.items():
            preferred = prefers_first(scorer, tokenizer, chosen)
            add("preferred", model_name, kind, preferred, np.arange(len(preferred)))
        progress.say(f"{model_name}: held-out text, cloze and minimal pairs done")

    trees: Any = [
        [
            s
            for s in cast(Any, corpora.load("ud-ewt", split, path=treebank, limit=limit))
            if 3 <= len(s.words) <= 50
        ]
        for split, limit in (("train", sizes.train_sentences), ("dev", sizes.dev_sentences))
    ]
    add("pos_accuracy", "Lexicon", "ud-ewt", *lexicon_baseline(*trees))
    add("uuas", "Chain", "ud-ewt", *chain_baseline(trees[1]))
    for model_name, random_init in (("Base", None), ("Random", 0)):
        encoder = encoders.load(folder, random_init=random_init, device=device)
        states: Any = [
            np.concatenate(list(encoders.hidden_states(encoder, part))).swapaxes(0, 1).astype(np.float32)
            for part in trees
        ]
        found = distance_probes(*states, *trees, seed=sizes.seed, device=device)
        for layer, below, above in zip(encoder.layers[1:], states[1], states[1][1:], strict=False):
            sample = np.random.default_rng(sizes.seed).permutation(len(above))[:RSA_WORDS]
            likeness = similarity.rsa(below[sample], above[sample])
            rows.append(
                dict(analysis=ANALYSIS, metric="rsa_pearson", model=model_name, inputs="layer below")
                | dict(layer=layer, value=likeness, seed=seed, n=len(sample))
            )
        for layer, x, test_x, arcs in zip(encoder.layers, *states, found, strict=True):
            right, sentence = pos_probe(x, test_x, *trees)
            add("pos_accuracy", model_name, "ud-ewt", right, sentence, layer)
            add("uuas", model_name, "ud-ewt", arcs[0], arcs[1], layer)
        progress.say(f"{model_name}: probes of {len(encoder.layers)} layers done")
    return results.table(rows)


def record(
    name: str | Path, corpus: str | Path, *, recorded: Path = release.RECORDED, **options
) -> pd.DataFrame:
    """:func:`evaluate` and write the rows into ``quality.csv``, keeping those of other seeds.

    Their entry in ``provenance.json`` is ``quality-seed<n>``.
    """
    began = time.time()
    frame = evaluate(name, corpus, **options)
    seed, path = frame["seed"].iloc[0], Path(recorded) / "quality.csv"
    if path.exists():
        others = results.read(path)
        frame = pd.concat([others[others["seed"] != seed], frame], ignore_index=True)
    with store.atomic_write(path) as file:
        frame.to_csv(file, index=False, float_format="%.6g")
    facts = {
        "commit": provenance.commit(),
        "encoder": encoders.resolve(name).name,
        "weights": store.sha256(encoders.resolve(name) / "model.safetensors"),
        "hardware": provenance.hardware(),
        "seconds": round(time.time() - began),
        "packages": provenance.versions(provenance.PACKAGES),
    }
    provenance.add_entry(Path(recorded), f"quality-seed{seed}", facts)
    return frame


# -- models that score masked pieces -----------------------------------------------------------------


def load(folder: Path, random_init: int | None = None) -> Any:
    """A ``BertForPreTraining`` in float32, with its trained weights or fresh ones from a seed.

    Raises ValueError for encoders that are no BERT or lack a head for masked language modelling.
    """
    from transformers import AutoConfig, BertForPreTraining

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type != "bert":
        raise ValueError(f"{folder}: a {config.model_type} model; only BERT can be measured here")
    if random_init is not None:
        with encoders.seeded(random_init):
            return BertForPreTraining(config).eval()
    with encoders.quiet():
        loaded: Any = BertForPreTraining.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    model, info = loaded
    if lacking := [key for key in info["missing_keys"] if key.startswith("cls.predictions")]:
        raise ValueError(f"{folder}: has no head for masked language modelling (lacks {lacking[0]})")
    return model.eval()


@contextlib.contextmanager
def _without(model, block: int) -> Iterator[None]:
    """The model with one of its blocks left out."""
    blocks = model.bert.encoder.layer
    model.bert.encoder.layer = torch.nn.ModuleList([b for i, b in enumerate(blocks) if i != block])
    try:
        yield
    finally:
        model.bert.encoder.layer = blocks


class Masked:
    """Log-probabilities of the masked pieces by a BERT, (n_masked, n_vocabulary)."""

    def __init__(self, model, device: str = "auto"):
        self.device = precision.device(device)
        self.model = model.to(self.device)

    def __call__(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        names = ("input_ids", "token_type_ids", "attention_mask")
        with torch.inference_mode():
            with precision.autocast(self.device):
                states = self.model.bert(**{name: batch[name] for name in names}).last_hidden_state
            rows, columns = torch.nonzero(batch["labels"] != IGNORED, as_tuple=True)
            states = states[rows, batch["masked"][rows, columns]].float()
            return self.model.cls.predictions(states).log_softmax(-1).cpu()


class Unigram:
    """The same by how often each piece occurs in the training text (one added to each count)."""

    def __init__(self, counts: np.ndarray):
        smoothed = torch.from_numpy(counts + 1.0)
        self.log_probabilities = (smoothed / smoothed.sum()).log().float()

    def __call__(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.log_probabilities.expand(int((batch["labels"] != IGNORED).sum()), -1)


def _collect(scorer, batches: Iterable[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Negative log-likelihood (nats), rank of the right piece from 0, and row number of each mask."""
    nll, ranks, groups, first = [], [], [], 0
    for batch in batches:
        scores = scorer(batch)
        chosen = batch["labels"] != IGNORED
        right = scores.gather(1, batch["labels"][chosen][:, None])
        nll.append(-right[:, 0].numpy())
        ranks.append((scores > right).sum(1).numpy())
        groups.append(first + torch.nonzero(chosen)[:, 0].numpy())
        first += len(chosen)
    return np.concatenate(nll), np.concatenate(ranks), np.concatenate(groups)


def fill(name: str | Path, texts: list[str], *, top: int = 5) -> pd.DataFrame:
    """Guesses for each ``[MASK]``: ``text, mask`` (from 1), ``rank`` (from 1), ``guess, probability``.

    ``name`` is an encoder as :func:`evaluate` takes it. Raises ValueError for a text without a mask.
    """
    from transformers import AutoTokenizer

    folder = encoders.resolve(name)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    scorer = Masked(load(folder), "cpu")
    rows = []
    for given in texts:
        ids = tokenizer(given, return_tensors="pt", truncation=True)["input_ids"]
        places = torch.nonzero(ids[0] == tokenizer.mask_token_id)[:, 0]
        if not len(places):
            raise ValueError(f"no [MASK] in {given!r}")
        batch = _batch(ids, places[None], torch.zeros_like(places)[None])
        best = scorer(batch).exp().topk(top)
        for mask, (values, pieces) in enumerate(zip(*map(torch.Tensor.tolist, best), strict=True), 1):
            guesses = tokenizer.convert_ids_to_tokens(pieces)
            rows += [
                dict(text=given, mask=mask, rank=rank, guess=guess, probability=value)
                for rank, (guess, value) in enumerate(zip(guesses, values, strict=True), 1)
            ]
    return pd.DataFrame(rows)


# -- held-out text -------------------------------------------------------------------------------


def piece_counts(corpus: EncodedCorpus, size: int) -> np.ndarray:
    """How often each wordpiece occurs in a corpus, (n_vocabulary,)."""
    counts = np.zeros(size, np.int64)
    for begin in range(0, len(corpus.tokens), 10_000_000):
        counts += np.bincount(corpus.tokens[begin : begin + 10_000_000], minlength=size)
    return counts


def document_genres(corpus: Path, heldout: EncodedCorpus) -> np.ndarray:
    """Genre of each held-out document, (n_documents,), "text" for all without a list of sources.

    Raises ValueError if the list counts other documents than there are.
    """
    if not (corpus / release.SOURCES).exists():
        return np.full(heldout.n_documents, "text", dtype=object)
    sources = release.read_sources(corpus)
    genres = [row["genre"] for row in sources for _ in range(int(row["heldout_documents"]))]
    if len(genres) != heldout.n_documents:
        raise ValueError(
            f"{corpus / release.SOURCES}: lists {len(genres)} held-out documents, there are "
            f"{heldout.n_documents}"
        )
    return np.array(genres, dtype=object)


def _stretches(corpus: EncodedCorpus, wanted: np.ndarray, length: int, rng) -> np.ndarray:
    """Windows of full length of the wanted documents, shuffled, (n, 2)."""
    windows = corpus.windows(length)
    document = np.searchsorted(corpus.starts, windows[:, 0], side="right") - 1
    chosen = windows[wanted[document] & (windows[:, 1] - windows[:, 0] == length)]
    return chosen[rng.permutation(len(chosen))]


def masked_batches(
    corpus: EncodedCorpus, tokenizer, wanted: np.ndarray, n: int, seed: int, length: int = LENGTH
) -> list[dict]:
    """``n`` held-out stretches of the wanted documents, inputs of ``length``, 15 % of their pieces masked."""
    rng = np.random.default_rng([seed, 2])
    windows = _stretches(corpus, wanted, length - 2, rng)[:n]
    source = Batches(corpus, tokenizer, Recipe(masked=0.15), whole_words=False)
    return [
        source.assemble(rng, windows[i : i + 16], length, paired=False) for i in range(0, len(windows), 16)
    ]


def cloze_batches(
    corpus: EncodedCorpus,
    tokenizer,
    counts: np.ndarray,
    ranks: tuple[int, int],
    n: int,
    seed: int,
) -> list[dict]:
    """``n`` held-out stretches, in each of which one whole word of these frequency ranks is masked.

    Words are pieces of letters that no continuation follows; ranks are counted among such pieces.
    """
    pieces = np.array(tokenizer.convert_ids_to_tokens(range(len(tokenizer))), dtype=object)
    words = np.array([p.isascii() and p.isalpha() for p in pieces])
    continues = np.array([p.startswith("##") for p in pieces])
    order = np.flatnonzero(words)[np.argsort(-counts[words], kind="stable")]
    common = np.zeros(len(pieces), bool)
    common[order[slice(*ranks)]] = True
    rng = np.random.default_rng([seed, 3, *ranks])
    rows: list[list[int]] = []
    masked, labels = [], []
    everything = np.ones(corpus.n_documents, bool)
    for start, stop in _stretches(corpus, everything, LENGTH - 2, rng):
        window = corpus.tokens[start:stop].astype(np.int64)
        # The last word may go on beyond the window, so it is left alone.
        places = np.flatnonzero(common[window[:-1]] & ~continues[window[1:]])
        if len(places) and len(rows) < n:
            place = int(rng.choice(places))
            labels.append(window[place])
            window[place] = tokenizer.mask_token_id
            masked.append(place + 1)
            rows.append([tokenizer.cls_token_id, *window, tokenizer.sep_token_id])
    parts = [slice(i, i + 16) for i in range(0, len(rows), 16)]
    return [_batch(*(torch.tensor(x[part]) for x in (rows, masked, labels))) for part in parts]


def _batch(ids, masked, labels, attended: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """A batch of inputs (sequences, length), each with one masked piece or as many as ``masked`` has."""
    return {
        "input_ids": ids,
        "token_type_ids": torch.zeros_like(ids),
        "attention_mask": torch.ones_like(ids) if attended is None else attended,
        "masked": masked.reshape(len(ids), -1),
        "labels": labels.reshape(len(ids), -1),
    }


def pseudo_log_likelihoods(scorer, tokenizer, sentences: list[Words]) -> np.ndarray:
    """Sum over a sentence's pieces of the log-probability of each, it alone masked, (n_sentences,).

    Salazar et al. (2020), in nats; special pieces are not counted.
    """
    encoded = [tokenizer(" ".join(words))["input_ids"] for words in sentences]
    jobs = [(number, place) for number, ids in enumerate(encoded) for place in range(1, len(ids) - 1)]
    jobs.sort(key=lambda job: len(encoded[job[0]]))
    totals = np.zeros(len(sentences))
    for first in range(0, len(jobs), 256):
        part = jobs[first : first + 256]
        length = max(len(encoded[number]) for number, _ in part)
        ids = torch.full((len(part), length), tokenizer.pad_token_id)
        attended = torch.zeros_like(ids)
        for row, (number, place) in enumerate(part):
            n = len(encoded[number])
            ids[row, :n], attended[row, :n] = torch.tensor(encoded[number]), 1
            ids[row, place] = tokenizer.mask_token_id
        masked = torch.tensor([place for _, place in part])
        labels = torch.tensor([encoded[number][place] for number, place in part])
        scores = scorer(_batch(ids, masked, labels, attended))
        right = scores.gather(1, labels[:, None])[:, 0].double().numpy()
        np.add.at(totals, [number for number, _ in part], right)
    return totals


def prefers_first(scorer, tokenizer, pairs: list[tuple[Words, Words]]) -> np.ndarray:
    """Whether the first of each pair is the likelier, (n_pairs,): 1, 0, or one half for a tie."""
    scores = pseudo_log_likelihoods(scorer, tokenizer, [s for pair in pairs for s in pair]).reshape(-1, 2)
    return (1 + np.sign(np.round(scores[:, 0] - scores[:, 1], 6))) / 2


# -- probes --------------------------------------------------------------------------------------


def distance_probes(
    states: np.ndarray,
    heldout_states: np.ndarray,
    train: list[Sentence],
    heldout: list[Sentence],
    *,
    recipe: StructuralRecipe = SMALL_PROBE,
    seed: int,
    device: str = "auto",
) -> list[tuple[np.ndarray, np.ndarray]]:
    """UUAS of distance probes (:mod:`helpers.probing.structural`), smaller and trained for fewer epochs.

    ``states`` and ``heldout_states`` (n_layers, n_words, d) are of the sentences' words, one sentence after
    another. The last tenth of ``train`` is used for early stopping. Returns for each layer (found,
    sentence) of each gold arc of ``heldout``.
    """
    n_fitted = len(train) - max(1, len(train) // 10)
    cut = sum(len(s.words) for s in train[:n_fitted])
    heads, lengths, _ = structural.arrays(train)
    fitted = structural.Parsed(list(states[:, :cut]), heads[:cut], lengths[:n_fitted])
    stopping = structural.Parsed(list(states[:, cut:]), heads[cut:], lengths[n_fitted:])
    trained = structural.fit("distance", fitted, stopping, rank=RANK, recipe=recipe, seed=seed, device=device)
    heads, lengths, keep = structural.arrays(heldout)
    judged = structural.Parsed(list(heldout_states), heads, lengths)
    scores = structural.evaluate("distance", trained.parameters["B"], judged, keep, device=device)
    return [_each(*both) for both in zip(scores["uuas_sum"].T, scores["uuas_count"].T, strict=True)]


def chain_baseline(sentences: list[Sentence]) -> tuple[np.ndarray, np.ndarray]:
    """UUAS of linking each word to its neighbour: (found, sentence) of each gold arc."""
    counts = []
    for sentence in sentences:
        heads, _, keep = structural.arrays([sentence])
        places = np.arange(len(heads))
        gold = structural.tree_distances(heads)
        counts.append(structural.uuas(gold, abs(places[:, None] - places), keep))
    return _each(*np.array(counts).T)


def _each(found: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(found or not, sentence) of each arc, given how many of a sentence's arcs were found."""
    found, total = found.astype(int), total.astype(int)
    hits = [np.arange(n) < k for k, n in zip(found, total, strict=True)]
    return np.concatenate(hits).astype(float), np.repeat(np.arange(len(total)), total)


def lexicon_baseline(train: list[Sentence], dev: list[Sentence]) -> tuple[np.ndarray, np.ndarray]:
    """Tagging each word with its commonest tag in train, unknown words with that of words seen once."""
    tags: dict[str, Counter] = defaultdict(Counter)
    for sentence in train:
        for word, tag in zip(sentence.words, sentence.upos, strict=True):
            tags[word.lower()][tag] += 1
    rare = sum((c for c in tags.values() if c.total() == 1), Counter())
    unknown = (rare or sum(tags.values(), Counter())).most_common(1)[0][0]
    known = {word: c.most_common(1)[0][0] for word, c in tags.items()}
    right = [
        known.get(word.lower(), unknown) == tag
        for sentence in dev
        for word, tag in zip(sentence.words, sentence.upos, strict=True)
    ]
    return np.array(right, float), np.repeat(np.arange(len(dev)), [len(s.words) for s in dev])


def pos_probe(
    train: np.ndarray, dev: np.ndarray, train_sentences: list[Sentence], dev_sentences: list[Sentence]
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy on dev of logistic regression on universal parts of speech: (right, sentence) of each word.

    ``train`` and ``dev`` (n_words, d) are states of the sentences' words, one sentence after another.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tags, gold = ([tag for s in part for tag in s.upos] for part in (train_sentences, dev_sentences))
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=POS_STRENGTH, max_iter=200))
    right = probe.fit(train, tags).predict(dev) == np.array(gold)
    return right.astype(float), np.repeat(
        np.arange(len(dev_sentences)), [len(s.words) for s in dev_sentences]
    )
