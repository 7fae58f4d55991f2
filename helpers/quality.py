"""How good a pre-trained BERT is, beside simple baselines.

Masked language modelling on held-out text by genre and by place in a long input, cloze on common words,
minimal pairs of agreement and reflexives scored by pseudo-log-likelihood (Salazar et al. 2020), and two
probes per layer on a treebank: parts of speech by a linear classifier, and syntactic distance (Hewitt and
Manning 2019) by a small structural probe. Baselines: a random encoder of the same shape, and a unigram
model, a lexicon or a chain of neighbours, whichever the task can be solved with to some extent.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from helpers import corpora, encoders, precision, pretraining, results, shipping, statistics, store
from helpers.corpora.records import Sentence
from helpers.probing import structural
from helpers.profiles import StructuralRecipe

ANALYSIS = "pretraining"
LENGTH, LONG = 128, 512  # wordpieces of an input; long ones show whether all positions are learnt
COMMON = {"words 1-100": (0, 100), "words 101-1000": (100, 1000)}  # by rank in the training text
N_RESAMPLES = 500
RANK, SMALL_PROBE = 64, StructuralRecipe(epochs=15)  # of the distance probes


@dataclass(frozen=True)
class Sizes:
    """How much is measured. The defaults take a minute on two cores."""

    windows: int = 160  # held-out stretches a genre, of 128 wordpieces
    cloze: int = 400  # masked words a class
    pairs: int = 200  # minimal pairs a condition
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
    report=print,
) -> pd.DataFrame:
    """Measure an encoder (``minibert``, a folder, a Hub id) and its baselines: one row a number.

    ``corpus`` is the folder that it was pre-trained on, with files matching ``heldout`` held out and, for
    the genres, its SOURCES.csv, whose order the held-out documents keep. ``treebank`` is a folder with
    UD EWT; without it EWT is downloaded. Columns are those of :data:`helpers.results.COLUMNS`: ``model``
    is Base (the encoder) or a baseline (Random, Unigram, Lexicon, Chain); ``inputs`` the genre, part of an
    input of 512 pieces, class of words, kind of minimal pair or treebank; ``ci_low`` and ``ci_high`` a 95 %
    interval by bootstrap over windows, pairs or sentences; ``n`` the number of wordpieces, words, pairs, or
    arcs.
    """
    from transformers import AutoConfig

    began = time.time()
    cache = cache or store.Store()
    folder, corpus = encoders.resolve(name), Path(corpus)
    held = pretraining.text_files(corpus, heldout)
    files = [p for p in pretraining.text_files(corpus) if p not in held]
    tokenizer, train, test = pretraining.prepare(files, held, folder, cache)
    genres = document_genres(corpus, test)
    counts = piece_counts(train, len(tokenizer))
    seed = int(folder.name.rpartition("seed")[2]) if "seed" in folder.name else None
    rows: list[dict] = []

    def add(metric, model, inputs, values, groups, layer=None) -> None:
        estimate = statistics.bootstrap_mean(values, groups, n_resamples=N_RESAMPLES, seed=sizes.seed)
        rows.append(
            dict(analysis=ANALYSIS, metric=metric, model=model, inputs=inputs, layer=layer, n=len(values))
            | dict(value=estimate.value, ci_low=estimate.ci_low, ci_high=estimate.ci_high, seed=seed)
        )

    masked = {
        genre: masked_batches(test, tokenizer, genres == genre, sizes.windows, sizes.seed)
        for genre in dict.fromkeys(genres.tolist())
    }
    long: list[dict] = []
    if AutoConfig.from_pretrained(folder).max_position_embeddings >= LONG:
        long = masked_batches(test, tokenizer, np.full(len(genres), True), sizes.windows, sizes.seed, LONG)
    gaps = {
        label: cloze_batches(test, tokenizer, counts, ranks, sizes.cloze, sizes.seed)
        for label, ranks in COMMON.items()
    }
    gaps = {label: batches for label, batches in gaps.items() if batches}  # some texts lack such words
    pairs = {kind: minimal_pairs(kind, sizes.pairs, sizes.seed) for kind in KINDS}
    for model_name, random_init in (("Base", None), ("Random", 0), ("Unigram", None)):
        if model_name == "Unigram":
            scorer = Unigram(counts)
        else:
            scorer = Masked(load(folder, random_init), device)
        for genre, batches in masked.items():
            nll, right, group = _collect(scorer, batches)
            add("mlm_loss", model_name, genre, nll, group)
            add("mlm_accuracy", model_name, genre, right == 0, group)
        if long:  # not where all documents, or the encoder's inputs, are shorter
            nll, _, group = _collect(scorer, long)
            place = np.concatenate([batch["masked"] % LONG for batch in long])
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
        report(f"{model_name}: held-out text, cloze and minimal pairs done, {time.time() - began:.0f} s")

    trees = [
        [s for s in corpora.load("ud-ewt", split, path=treebank, limit=limit) if 3 <= len(s.words) <= 50]
        for split, limit in (("train", sizes.train_sentences), ("dev", sizes.dev_sentences))
    ]
    add("pos_accuracy", "Lexicon", "ud-ewt", *lexicon_baseline(*trees))
    add("uuas", "Chain", "ud-ewt", *chain_baseline(trees[1]))
    for model_name, random_init in (("Base", None), ("Random", 0)):
        encoder = encoders.load(folder, random_init=random_init, device=device)
        states = [
            np.concatenate(list(encoders.hidden_states(encoder, part))).swapaxes(0, 1).astype(np.float32)
            for part in trees
        ]
        found = distance_probes(*states, *trees, seed=sizes.seed, device=device)
        for layer, x, test_x, arcs in zip(encoder.layers, *states, found, strict=True):
            x, test_x = torch.from_numpy(x), torch.from_numpy(test_x)
            add("pos_accuracy", model_name, "ud-ewt", *pos_probe(x, test_x, *trees, seed=sizes.seed), layer)
            add("uuas", model_name, "ud-ewt", *arcs, layer)
        report(f"{model_name}: probes of {len(encoder.layers)} layers done, {time.time() - began:.0f} s")
    return results.table(rows)


def record(
    name: str | Path, corpus: str | Path, *, recorded: Path = shipping.RECORDED, **options
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
        "commit": results.commit(),
        "encoder": encoders.resolve(name).name,
        "weights": store.sha256(encoders.resolve(name) / "model.safetensors"),
        "hardware": results.hardware(),
        "seconds": round(time.time() - began),
        "packages": {p: results.version(p) for p in results.PACKAGES},
    }
    results.add_entry(Path(recorded), f"quality-seed{seed}", facts)
    return frame


# -- models that score masked pieces -----------------------------------------------------------------


def load(folder: Path, random_init: int | None = None):
    """A ``BertForPreTraining`` in float32, with its trained weights or fresh ones from a seed.

    Raises ValueError for encoders that are no BERT or lack a head for masked language modelling.
    """
    from transformers import AutoConfig, BertForPreTraining

    config = AutoConfig.from_pretrained(folder)
    if config.model_type != "bert":
        raise ValueError(f"{folder}: a {config.model_type} model; only BERT can be measured here")
    if random_init is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_init)
            return BertForPreTraining(config).eval()
    with encoders.quiet():
        model, info = BertForPreTraining.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
    if lacking := [key for key in info["missing_keys"] if key.startswith("cls.predictions")]:
        raise ValueError(f"{folder}: has no head for masked language modelling (lacks {lacking[0]})")
    return model.eval()


class Masked:
    """Log-probabilities of the masked pieces by a BERT, (n_masked, n_vocabulary)."""

    def __init__(self, model, device: str = "auto"):
        cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
        self.device = torch.device("cuda" if cuda else "cpu")
        self.model = model.to(self.device)

    def __call__(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        with torch.inference_mode():
            with precision.autocast(self.device):
                states = self.model.bert(
                    input_ids=batch["input_ids"],
                    token_type_ids=batch["token_type_ids"],
                    attention_mask=batch["attention_mask"],
                ).last_hidden_state
            states = states.reshape(-1, states.shape[-1])[batch["masked"]].float()
            return self.model.cls.predictions(states).log_softmax(-1).cpu()


class Unigram:
    """The same by how often each piece occurs in the training text (one added to each count)."""

    def __init__(self, counts: np.ndarray):
        smoothed = torch.from_numpy(counts + 1.0)
        self.log_probabilities = (smoothed / smoothed.sum()).log().float()

    def __call__(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.log_probabilities.expand(len(batch["masked"]), -1)


def _collect(scorer, batches: Iterable[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Negative log-likelihood (nats), rank of the right piece from 0, and row number of each mask."""
    nll, ranks, groups, first = [], [], [], 0
    for batch in batches:
        scores = scorer(batch)
        right = scores.gather(1, batch["labels"][:, None])
        nll.append(-right[:, 0].numpy())
        ranks.append((scores > right).sum(1).numpy())
        count, length = batch["input_ids"].shape
        groups.append(first + (batch["masked"] // length).numpy())
        first += count
    return np.concatenate(nll), np.concatenate(ranks), np.concatenate(groups)


def fill(name: str | Path, texts: list[str], *, top: int = 5) -> pd.DataFrame:
    """Guesses for each ``[MASK]``: ``text, mask`` (from 1), ``rank`` (from 1), ``guess, probability``.

    ``name`` is an encoder as :func:`evaluate` takes it. Raises ValueError for a text without a mask.
    """
    from transformers import AutoTokenizer

    folder = encoders.resolve(name)
    tokenizer, scorer = AutoTokenizer.from_pretrained(folder), Masked(load(folder), "cpu")
    rows = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", truncation=True)["input_ids"]
        places = torch.nonzero(ids[0] == tokenizer.mask_token_id)[:, 0]
        if not len(places):
            raise ValueError(f"no [MASK] in {text!r}")
        best = scorer(_batch(ids, places, [0] * len(places))).exp().topk(top)
        for mask, (values, pieces) in enumerate(zip(*map(torch.Tensor.tolist, best), strict=True), 1):
            guesses = tokenizer.convert_ids_to_tokens(pieces)
            rows += [
                dict(text=text, mask=mask, rank=rank, guess=guess, probability=value)
                for rank, (guess, value) in enumerate(zip(guesses, values, strict=True), 1)
            ]
    return pd.DataFrame(rows)


# -- held-out text -------------------------------------------------------------------------------


def piece_counts(corpus: pretraining.EncodedCorpus, size: int) -> np.ndarray:
    """How often each wordpiece occurs in a corpus, (n_vocabulary,)."""
    counts = np.zeros(size, np.int64)
    for begin in range(0, len(corpus.tokens), 10_000_000):
        counts += np.bincount(corpus.tokens[begin : begin + 10_000_000], minlength=size)
    return counts


def document_genres(corpus: Path, heldout: pretraining.EncodedCorpus) -> np.ndarray:
    """Genre of each held-out document, (n_documents,), "text" for all without a list of sources.

    Raises ValueError if the list counts other documents than there are.
    """
    if not (corpus / shipping.SOURCES).exists():
        return np.full(heldout.n_documents, "text", dtype=object)
    sources = shipping.read_sources(corpus)
    genres = [row["genre"] for row in sources for _ in range(int(row["heldout_documents"]))]
    if len(genres) != heldout.n_documents:
        raise ValueError(
            f"{corpus / shipping.SOURCES}: lists {len(genres)} held-out documents, there are "
            f"{heldout.n_documents}"
        )
    return np.array(genres, dtype=object)


def _stretches(corpus: pretraining.EncodedCorpus, wanted: np.ndarray, length: int, rng) -> np.ndarray:
    """Windows of full length of the wanted documents, shuffled, (n, 2)."""
    windows = corpus.windows(length)
    document = np.searchsorted(corpus.starts, windows[:, 0], side="right") - 1
    chosen = windows[wanted[document] & (windows[:, 1] - windows[:, 0] == length)]
    return chosen[rng.permutation(len(chosen))]


def masked_batches(
    corpus: pretraining.EncodedCorpus, tokenizer, wanted: np.ndarray, n: int, seed: int, length: int = LENGTH
) -> list[dict]:
    """``n`` held-out stretches of the wanted documents, inputs of ``length``, masked as in training."""
    rng = np.random.default_rng([seed, 2])
    windows = _stretches(corpus, wanted, length - 3, rng)[:n]
    source = pretraining.Batches(corpus, tokenizer, pretraining.Recipe())
    return [source.assemble(rng, windows[i : i + 16], length) for i in range(0, len(windows), 16)]


def cloze_batches(
    corpus: pretraining.EncodedCorpus,
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
    rows, masked, labels = [], [], []
    everything = np.ones(corpus.n_documents, bool)
    for start, stop in _stretches(corpus, everything, LENGTH - 2, rng):
        window = corpus.tokens[start:stop].astype(np.int64)
        # The last word may go on beyond the window, so it is left alone.
        places = np.flatnonzero(common[window[:-1]] & ~continues[window[1:]])
        if len(places) and len(rows) < n:
            place = int(rng.choice(places))
            labels.append(window[place])
            window[place] = tokenizer.mask_token_id
            masked.append(len(rows) % 16 * LENGTH + place + 1)
            rows.append([tokenizer.cls_token_id, *window, tokenizer.sep_token_id])
    return [
        _batch(torch.tensor(rows[i : i + 16]), torch.tensor(masked[i : i + 16]), labels[i : i + 16])
        for i in range(0, len(rows), 16)
    ]


def _batch(ids: torch.Tensor, masked: torch.Tensor, labels, attended: torch.Tensor | None = None) -> dict:
    return {
        "input_ids": ids,
        "token_type_ids": torch.zeros_like(ids),
        "attention_mask": torch.ones_like(ids) if attended is None else attended,
        "masked": masked,
        "labels": torch.tensor(labels),
    }


# -- minimal pairs -------------------------------------------------------------------------------

_NOUNS = (
    "doctor teacher soldier student writer officer king queen boy girl friend brother sister author artist"
)
_PREDICATES = [
    (("is", "are"), ("here", "old", "happy", "ready", "at home")),
    (("was", "were"), ("here", "old", "happy", "ready", "at home")),
    (("has", "have"), ("a house", "no money", "many books")),
    *(
        ((f"{verb}s", verb), ("here", "now", "again", "every day"))
        for verb in "work live write speak stand walk run come play talk".split()
    ),
]
_MALE = {
    "man": "men",
    "boy": "boys",
    "king": "kings",
    "father": "fathers",
    "brother": "brothers",
    "son": "sons",
}
_FEMALE = {
    "woman": "women", "girl": "girls", "queen": "queens", "mother": "mothers", "sister": "sisters",
    "daughter": "daughters",
}  # fmt: skip
_PREPOSITIONS = ("near", "behind", "beside", "next to")
_SAW = ("saw", "knew", "loved", "met", "heard", "followed")
_DID = ("hurt", "saw", "loved", "killed", "asked", "found", "helped", "taught")
_WHERE = ("", " again", " at last", " that day")

KINDS = (
    "agreement",
    "agreement, attractor in a phrase",
    "agreement, attractor in a clause",
    "reflexive",
    "reflexive, attractor in a phrase",
)
Words = tuple[str, ...]


def minimal_pairs(kind: str, n: int, seed: int) -> list[tuple[Words, Words]]:
    """``n`` different pairs (grammatical, not) of one kind, each differing in one word.

    Half the subjects are singular, half plural, so that liking one form of the verb or pronoun is worth
    nothing. An attractor is a noun of the other number between subject and verb. Constructed here from
    templates, after the design of Marvin and Linzen (2018). Raises ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; valid: {'; '.join(KINDS)}")
    rng = np.random.default_rng([seed, 4, KINDS.index(kind)])
    pairs: dict[tuple[Words, Words], None] = {}
    while len(pairs) < n:
        make = _reflexive if kind.startswith("reflexive") else _agreement
        pairs[make(rng, plural=len(pairs) % 2, attractor=kind.rpartition(" ")[2])] = None
    return list(pairs)


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


def _subject(rng, noun: str, other: str, attractor: str) -> str:
    if attractor == "phrase":
        return f"the {noun} {_pick(rng, _PREPOSITIONS)} the {other}"
    return f"the {noun} that the {other} {_pick(rng, _SAW)}" if attractor == "clause" else f"the {noun}"


def _agreement(rng, plural: int, attractor: str) -> tuple[Words, Words]:
    a, b = rng.choice(_NOUNS.split(), 2, replace=False)
    subject = _subject(rng, a + "s" * plural, b + "s" * (1 - plural), attractor)
    forms, tails = _pick(rng, _PREDICATES)
    tail = _pick(rng, tails)
    good, bad = (tuple(f"{subject} {forms[i]} {tail} .".split()) for i in (plural, 1 - plural))
    return good, bad


def _reflexive(rng, plural: int, attractor: str) -> tuple[Words, Words]:
    nouns, own = _pick(rng, ((_MALE, "himself"), (_FEMALE, "herself")))
    a, b = rng.choice(list(nouns), 2, replace=False)
    # Of the same sex, so that only number can tell.
    subject = _subject(rng, nouns[a] if plural else a, b if plural else nouns[b], attractor)
    verb, tail = _pick(rng, _DID), _pick(rng, _WHERE)
    forms = (own, "themselves")
    good, bad = (tuple(f"{subject} {verb} {forms[i]}{tail} .".split()) for i in (plural, 1 - plural))
    return good, bad


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
        masked = torch.tensor([row * length + place for row, (_, place) in enumerate(part)])
        labels = [encoded[number][place] for number, place in part]
        scores = scorer(_batch(ids, masked, labels, attended))
        right = scores.gather(1, torch.tensor(labels)[:, None])[:, 0].double().numpy()
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
    """UUAS of distance probes (:mod:`helpers.probing.structural`), smaller and trained for less long.

    ``states`` and ``heldout_states`` (n_layers, n_words, d) are of the sentences' words, one sentence after
    another. The last tenth of ``train`` is left to stop training by. Returns for each layer (found,
    sentence) of each gold arc of ``heldout``.
    """
    n_fitted = len(train) - max(1, len(train) // 10)
    cut = sum(len(s.words) for s in train[:n_fitted])
    heads, lengths, _ = structural.arrays(train)
    fitted = structural.Parsed(states[:, :cut], heads[:cut], lengths[:n_fitted])
    stopping = structural.Parsed(states[:, cut:], heads[cut:], lengths[n_fitted:])
    trained = structural.fit("distance", fitted, stopping, rank=RANK, recipe=recipe, seed=seed, device=device)
    heads, lengths, keep = structural.arrays(heldout)
    judged = structural.Parsed(heldout_states, heads, lengths)
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
    train, dev, train_sentences: list[Sentence], dev_sentences: list[Sentence], *, epochs: int = 8, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy on dev of a linear classifier of universal parts of speech: (right, sentence) of each word.

    ``train`` and ``dev`` (n_words, d) are states of the sentences' words, one sentence after another.
    """
    names = sorted({tag for s in [*train_sentences, *dev_sentences] for tag in s.upos})
    targets = [
        torch.tensor([names.index(tag) for s in part for tag in s.upos])
        for part in (train_sentences, dev_sentences)
    ]
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    train, dev = (train - mean) / deviation, (dev - mean) / deviation
    generator = torch.Generator().manual_seed(seed)
    weight = torch.zeros(train.shape[1], len(names), requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=1e-2)
    per_epoch = -(-len(train) // 512)
    for step in range(epochs * per_epoch):
        if step % per_epoch == 0:
            order = torch.randperm(len(train), generator=generator)
        part = order[step % per_epoch * 512 :][:512]
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / (epochs * per_epoch))
        F.cross_entropy(train[part] @ weight + bias, targets[0][part]).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        right = (dev @ weight + bias).argmax(-1) == targets[1]
    groups = np.repeat(np.arange(len(dev_sentences)), [len(s.words) for s in dev_sentences])
    return right.numpy().astype(float), groups
