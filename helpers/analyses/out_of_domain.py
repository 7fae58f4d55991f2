"""Is the change larger on the task's own text? RSA to Base in domain and out of it, confounds held equal."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import encoders, results, statistics
from helpers.analyses.finetuning import BOOTSTRAP_SEED, fine_tuned, load_records, say_nothing, task_records
from helpers.analyses.rsa import RANDOM_SEED, sample_rows
from helpers.corpora.records import Pair, Passage, Record
from helpers.encoders import Activations, Encoder, Segment
from helpers.profiles import Profile
from helpers.store import Store, digest

SCHEMA = 1  # raise when a comparison changes for the same inputs
GENRES = ("weblog", "newsgroup", "email", "reviews", "answers")  # of the English Web Treebank
METRIC = "rsa_pearson"
SPARE = 4  # times as much running text as is needed, to choose segments of the right length from


@dataclass(frozen=True)
class Text:
    """Records and the wordpieces drawn from them: for each name of a sample increasing row numbers."""

    records: Sequence[Record]
    samples: dict[str, np.ndarray]

    @property
    def rows(self) -> np.ndarray:
        """All rows that some sample has, increasing."""
        return np.unique(np.concatenate(list(self.samples.values())))

    def places(self, name: str) -> np.ndarray:
        """Where a sample's rows stand among :attr:`rows`."""
        return np.searchsorted(self.rows, self.samples[name])


# -- texts and their samples -------------------------------------------------------------------------


def piece_types(encoder: Encoder, records: Sequence[Record]) -> list[np.ndarray]:
    """Vocabulary numbers of the wordpieces of each record, in the order of its rows."""
    segments = [[s for s in encoders.segments(record) if s is not None] for record in records]
    aligned = iter(encoders.align(encoder.tokenizer, list(itertools.chain.from_iterable(segments))))
    return [np.concatenate([np.array(next(aligned)[0], int) for _ in parts]) for parts in segments]


def one_a_source(records: Sequence[Record], n: int, generator: np.random.Generator) -> list[Record]:
    """Up to ``n`` records drawn at random, no two with the same premise or context, in the corpus's order.

    Pairs of one premise and questions on one context are not independent of one another.
    """
    chosen: dict[str, int] = {}
    for i in generator.permutation(len(records)):
        source = getattr(records[i], "premise", None) or getattr(records[i], "context", None) or records[i].id
        chosen.setdefault(source, int(i))
    return [records[i] for i in sorted(itertools.islice(chosen.values(), n))]


def equal_types(
    a: np.ndarray, b: np.ndarray, n: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of two samples that have the same wordpieces, each equally often.

    ``a`` (n_rows_a,) and ``b`` (n_rows_b,) are the rows' vocabulary numbers. Of each type as many rows are
    at hand as the text that has it more rarely has; of those ``n`` (or all) are drawn, the same types in
    both. Both results are increasing. Raises ValueError if the texts have fewer than three in common.
    """
    size = int(max(a.max(), b.max())) + 1
    shared = np.minimum(np.bincount(a, minlength=size), np.bincount(b, minlength=size))
    if shared.sum() < 3:
        raise ValueError(f"the two texts share {shared.sum()} wordpieces; need at least 3")
    pool = np.repeat(np.arange(size), shared)
    wanted = np.bincount(generator.choice(pool, min(n, len(pool)), replace=False), minlength=size)
    return _so_many_of_each(a, wanted, generator), _so_many_of_each(b, wanted, generator)


def _so_many_of_each(types: np.ndarray, wanted: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Random increasing row numbers, ``wanted[t]`` of each type t."""
    order = generator.permutation(len(types))
    order = order[np.argsort(types[order], kind="stable")]
    ordered = types[order]
    rank = np.arange(len(types)) - np.searchsorted(ordered, ordered)
    return np.sort(order[rank < wanted[ordered]])


def matched_records(
    lengths: Sequence[tuple[int, ...]],
    passages: Sequence[Passage],
    encoder: Encoder,
    generator: np.random.Generator,
) -> list[Record | None]:
    """Records of running text with the format and the lengths of a task's.

    ``lengths`` gives for each wanted record its segments' lengths in wordpieces, one or two. A segment is
    the shortest run of whole consecutive sentences of one document that is at least so long, cut after its
    last whole word within the length; the segments of a record come from random places, and no sentence is
    used twice. None stands where the text has no such run left.
    """
    runs = _runs(passages, encoder, max(map(max, lengths)), SPARE * sum(map(sum, lengths)), generator)
    sizes = np.array([run.length for run in runs])
    used: set[tuple[str, int]] = set()
    texts: dict[tuple[int, int], str] = {}
    wanted = [(length, i, j) for i, parts in enumerate(lengths) for j, length in enumerate(parts)]
    for length, i, j in sorted(wanted, reverse=True):  # long ones are the hardest to find
        for number in range(int(np.searchsorted(sizes, length)), len(runs)):
            if not used.intersection(runs[number].sentences):
                used.update(runs[number].sentences)
                texts[i, j] = runs[number].cut(length)
                break
    records: list[Record | None] = []
    for i, parts in enumerate(lengths):
        found = [texts.get((i, j), "") for j in range(len(parts))]
        name = f"matched-{i}"
        if not all(found):
            records.append(None)
        else:
            records.append(Pair(name, *found, label="") if len(found) == 2 else Passage(name, found[0]))
    return records


@dataclass(frozen=True)
class _Run:
    """Consecutive sentences of a document: their words, and how many wordpieces each word has."""

    sentences: tuple[tuple[str, int], ...]
    words: tuple[str, ...]
    pieces: np.ndarray

    @property
    def length(self) -> int:
        return int(self.pieces.sum())

    def cut(self, length: int) -> str:
        kept = int(np.searchsorted(np.cumsum(self.pieces), length, side="right"))
        return " ".join(self.words[:kept])


def _runs(
    passages: Sequence[Passage], encoder: Encoder, longest: int, enough: int, generator: np.random.Generator
) -> list[_Run]:
    """Runs of sentences from random documents, shortest first and in random order among equals.

    From each sentence on, one sentence more at a time until the run has ``longest`` wordpieces; documents
    are taken until they have ``enough`` of them together.
    """
    documents = [list(group) for _, group in itertools.groupby(passages, key=lambda p: p.document)]
    runs, total = [], 0
    for number in generator.permutation(len(documents)):
        words = [tuple(p.text.split()) for p in documents[number]]
        counts = [
            np.bincount(of_word, minlength=len(sentence))
            for sentence, (_, of_word) in zip(words, encoders.align(encoder.tokenizer, words), strict=True)
        ]
        for start in range(len(words)):
            for end in range(start + 1, len(words) + 1):
                names = tuple((str(number), k) for k in range(start, end))
                joined = tuple(itertools.chain.from_iterable(words[start:end]))
                runs.append(_Run(names, joined, np.concatenate(counts[start:end])))
                if runs[-1].length >= longest:
                    break
        total += int(sum(map(np.sum, counts)))
        if total >= enough:
            break
    shuffled = [runs[i] for i in generator.permutation(len(runs))]
    return sorted(shuffled, key=lambda run: run.length)


def segment_lengths(encoder: Encoder, record: Record) -> tuple[int, ...]:
    """Wordpieces in each of a record's one or two segments."""
    parts: list[Segment] = [s for s in encoders.segments(record) if s is not None]
    return tuple(len(ids) for ids, _ in encoders.align(encoder.tokenizer, parts))


def first_segments(records: Sequence[Record]) -> list[Record]:
    """The premises or questions of pairs and questions, as records of their own."""
    return [Passage(record.id, encoders.segments(record)[0]) for record in records]


def _drawn(types: Sequence[np.ndarray], n_tokens: int, seed: int) -> np.ndarray:
    counts = np.array([len(t) for t in types])
    return sample_rows(counts, min(n_tokens, int(counts.sum())), seed)


def _size(settings: Profile) -> tuple[int, int]:
    """Sentences and wordpieces drawn from each text."""
    share = settings.domain_share
    return max(2, round(share * settings.n_sentences)), max(10, round(share * settings.n_tokens))


def _shared_texts(settings: Profile, encoder: Encoder, report: Callable) -> dict[str, Text]:
    """The texts that every model is compared on: running text and the genres of the treebank."""
    n_sentences, n_tokens = _size(settings)
    place = settings.paths.get(settings.text)
    groups = {settings.text: load_records(settings.text, "all", place, n_sentences)}
    corpora = [task.corpus for task in settings.tasks]
    treebank = "ud-ewt" if "ud-ewt" in (*corpora, *settings.paths) else "uds-dep"
    sentences = load_records(treebank, "test", settings.paths.get(treebank), None)
    for number, genre in enumerate(GENRES):
        generator = np.random.default_rng([settings.sample_seed, number])
        groups[genre] = one_a_source([s for s in sentences if s.genre == genre], n_sentences, generator)
    texts = {}
    for name, records in groups.items():
        rows = _drawn(piece_types(encoder, records), n_tokens, settings.sample_seed)
        if len(rows) < n_tokens:
            report(f"{name}: {len(rows)} wordpieces instead of {n_tokens}, all there are")
        texts[name] = Text(records, {name: rows})
    return texts


def _task_texts(settings: Profile, model: str, encoder: Encoder, report: Callable) -> dict[str, Text]:
    """The texts of one task: its own, running text that matches it, and its first segments alone."""
    n_sentences, n_tokens = _size(settings)
    generator = np.random.default_rng([settings.sample_seed, len(GENRES)])
    outside = settings.text
    records = one_a_source(task_records(settings, model, "eval"), n_sentences, generator)
    if len(records) < n_sentences:
        report(f"{model}: {len(records)} records with different sources instead of {n_sentences}")
    passages = load_records(outside, "all", settings.paths.get(outside), None)
    lengths = [segment_lengths(encoder, record) for record in records]
    matched = [m for m in matched_records(lengths, passages, encoder, generator) if m is not None]
    if len(matched) < len(records):
        report(f"{model}: {outside} has segments of the right length for {len(matched)} of {len(records)}")
    types, matched_types = piece_types(encoder, records), piece_types(encoder, matched)
    rows, matched_rows = equal_types(
        np.concatenate(types), np.concatenate(matched_types), n_tokens, generator
    )
    seed = settings.sample_seed
    texts = {
        "in_domain": Text(records, {"in_domain": _drawn(types, n_tokens, seed), "in_domain_types": rows}),
        f"{outside}_matched": Text(
            matched,
            {f"{outside}_matched": _drawn(matched_types, n_tokens, seed), f"{outside}_types": matched_rows},
        ),
    }
    if len(lengths[0]) == 2:
        single = first_segments(records)
        rows = _drawn(piece_types(encoder, single), n_tokens, seed)
        texts["in_domain_single"] = Text(single, {"in_domain_single": rows})
    return texts


def controls(outside: str) -> dict[str, tuple[str, str]]:
    """The comparisons that are made, by name: (sample in domain, sample out of domain).

    ``outside`` is the running text's name. See :func:`out_of_domain_rsa`.
    """
    return {
        "raw": ("in_domain", outside),
        "single": ("in_domain_single", outside),
        "format": ("in_domain", f"{outside}_matched"),
        "types": ("in_domain_types", f"{outside}_types"),
    }


# -- how far a text is from the task's training text -------------------------------------------------


def divergence(a: np.ndarray, b: np.ndarray) -> float:
    """Jensen-Shannon divergence (Lin 1991) in bits of two texts' distributions over wordpieces.

    ``a`` (n,), ``b`` (m,): vocabulary numbers. 0 for equal distributions, 1 for texts that share none. A
    sample of the same distribution does not come out at 0: compare samples of equal sizes.
    """
    size = int(max(a.max(), b.max())) + 1
    p, q = (np.bincount(x, minlength=size) / len(x) for x in (a, b))
    middle = (p + q) / 2

    def relative(r):
        there = r > 0
        return float(np.sum(r[there] * np.log2(r[there] / middle[there])))

    return (relative(p) + relative(q)) / 2


def _divergences(settings: Profile, model: str, encoder: Encoder, texts: dict[str, Text]) -> Iterator[dict]:
    """Rows on how far each text's wordpieces are from those of the task's training records."""
    n_sentences, _ = _size(settings)
    train = task_records(settings, model, "train")
    generator = np.random.default_rng([settings.sample_seed, len(GENRES) + 1])
    chosen = generator.choice(len(train), min(10 * n_sentences, len(train)), replace=False)
    own = np.concatenate(piece_types(encoder, [train[i] for i in chosen]))
    pieces = {name: np.concatenate(piece_types(encoder, text.records)) for name, text in texts.items()}
    size = min(len(own), *map(len, pieces.values()))
    own = generator.choice(own, size, replace=False)
    for name, found in pieces.items():
        value = divergence(generator.choice(found, size, replace=False), own)
        yield dict(analysis="out_of_domain_rsa", metric="js_divergence", inputs=name, value=value, n=size)


# -- comparisons -------------------------------------------------------------------------------------


def _sample(states: Activations, layer: int, places: np.ndarray) -> np.ndarray:
    return np.asarray(states.layer(layer))[places]


def _compared(
    tuned: dict[str, Activations],
    base: dict[str, Activations],
    inside: tuple[str, np.ndarray],
    outside: tuple[str, np.ndarray],
    n_resamples: int,
) -> pd.DataFrame:
    """RSA of two models on either text and its gap, layer by layer, kept in the store.

    ``inside`` and ``outside`` are a text's name and the sample's places among its states. Rows: ``what``
    (inside, outside, gap, p_value), ``layer`` (empty: over all), ``value, ci_low, ci_high``.
    """
    texts = (inside, outside)
    spec = {
        "schema": SCHEMA,
        "states": [[models[name].folder.name for models in (tuned, base)] for name, _ in texts],
        "places": [digest(places.tolist()) for _, places in texts],
        "n_resamples": n_resamples,
        "seed": BOOTSTRAP_SEED,
    }

    def build(folder: Path) -> None:
        rows, found = [], {}
        for layer in next(iter(base.values())).layers:
            sides = []
            for name, places in texts:
                x, y = (_sample(models[name], layer, places) for models in (tuned, base))
                sides.append((x, y, base[name].record[places]))
            gap = statistics.rsa_gap(
                *sides, n_resamples=n_resamples, n_permutations=n_resamples, seed=BOOTSTRAP_SEED
            )
            found[layer] = gap
            for what, estimate in (("inside", gap.a), ("outside", gap.b)):
                interval = dict(ci_low=estimate.ci_low, ci_high=estimate.ci_high)
                rows.append(dict(what=what, layer=layer, value=estimate.value) | interval)
            rows.append(dict(what="gap", layer=layer, value=gap.gap, ci_low=gap.ci_low, ci_high=gap.ci_high))
            rows.append(dict(what="p_value", layer=layer, value=gap.p_value))
        rows.append(dict(what="p_value", value=largest_gap_p(list(found.values()))))
        pd.DataFrame(rows).to_csv(folder / "gap.csv", index=False)

    return pd.read_csv(Store().get("domain-gap", spec, build) / "gap.csv")


def largest_gap_p(gaps: Sequence[statistics.RsaGap]) -> float:
    """p-value of the largest gap of several layers, each in units of its own permutations' deviation.

    The permutations must be the same in all layers: then the largest of each is what the largest observed
    is compared with, which corrects for looking at all of them (Westfall and Young 1993).
    """
    permuted = np.stack([gap.permuted for gap in gaps])
    deviation = np.sqrt(np.mean(permuted**2, axis=1))
    deviation[deviation == 0] = 1  # a layer that no model has changed
    largest = (np.abs(permuted) / deviation[:, None]).max(axis=0)
    observed = max(abs(gap.gap) / d for gap, d in zip(gaps, deviation, strict=True))
    return float((1 + np.count_nonzero(largest >= observed - 1e-12)) / (1 + len(largest)))


def _own(tuned: Activations, base: Activations, n_resamples: int) -> pd.DataFrame:
    """RSA of two models on one text, ``layer, value, ci_low, ci_high``, kept in the store."""
    spec = {"schema": SCHEMA, "states": [tuned.folder.name, base.folder.name]}
    spec |= {"n_resamples": n_resamples, "seed": BOOTSTRAP_SEED}

    def build(folder: Path) -> None:
        rows = []
        for layer in base.layers:
            found = statistics.rsa_bootstrap(
                np.asarray(tuned.layer(layer)),
                np.asarray(base.layer(layer)),
                base.record,
                n_resamples=n_resamples,
                seed=BOOTSTRAP_SEED,
            )
            rows.append(dict(layer=layer, value=found.value, ci_low=found.ci_low, ci_high=found.ci_high))
        pd.DataFrame(rows).to_csv(folder / "rsa.csv", index=False)

    return pd.read_csv(Store().get("domain-rsa", spec, build) / "rsa.csv")


def out_of_domain_rsa(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """RSA of each tuned model to Base on its task's text and on others, and the gap between the two.

    Analysis ``out_of_domain_rsa``, metric ``rsa_pearson``, with these ``inputs``, where "wikipedia" is
    the settings' running text:

    - ``in_domain``: records of the task's evaluation split, no two of one premise or context, as the
      model reads them (pairs as "premise [SEP] hypothesis");
    - ``wikipedia``: single sentences, the paper's comparison;
    - ``weblog, newsgroup, email, reviews, answers``: sentences of the English Web Treebank's test part;
    - ``wikipedia_matched``: Wikipedia in the format of the task's records, a record for each with segments
      of the same lengths in wordpieces (:func:`matched_records`);
    - ``in_domain_types`` and ``wikipedia_types``: wordpieces of ``in_domain`` and ``wikipedia_matched``
      drawn so that both samples hold the same types equally often (:func:`equal_types`);
    - ``in_domain_single``: the premises or questions alone (the paper's footnote 7).

    Metric ``js_divergence``, in bits: how far a text's wordpieces are from those of the training records.

    Analysis ``out_of_domain_gap``: RSA in domain less RSA out of domain, metrics ``rsa_gap`` and
    ``p_value`` (:func:`helpers.statistics.rsa_gap`; ``layer`` empty: over all layers). Its ``inputs``:

    - ``raw``: in_domain less wikipedia, as in the paper;
    - ``single``: in_domain_single less wikipedia;
    - ``format``: in_domain less wikipedia_matched;
    - ``types``: in_domain_types less wikipedia_types: format, length and types are equal.

    Model ``Random``, an encoder with random weights compared to Base, is the yardstick: texts differ in
    what RSA two encoders have whatever was tuned. Its rows on a task's text name that task. ``n`` counts
    wordpieces (in a gap: of the smaller sample). Intervals: 95 %, bootstrap over sentences.
    """
    began, rows = time.time(), []
    plain = encoders.load(settings.encoder)
    random = encoders.load(settings.encoder, random_init=RANDOM_SEED)
    shared = _shared_texts(settings, plain, report)

    def read(encoder: Encoder, texts: dict[str, Text]) -> dict[str, Activations]:
        report(f"reading {len(texts)} texts with {encoder.name}")
        return {n: encoders.extract(encoder, t.records, Store(), rows=t.rows) for n, t in texts.items()}

    base, floor = read(plain, shared), read(random, shared)
    who = dict(model="Random", task="", seed=RANDOM_SEED)
    rows += [who | row for row in _genres(floor, base, shared, settings.n_bootstrap)]
    for task in settings.tasks:
        texts = _task_texts(settings, task.model, plain, report)
        own, texts = read(plain, texts) | base, texts | shared
        who = dict(model=task.model, task=task.corpus)
        rows += [who | row for row in _divergences(settings, task.model, plain, texts)]
        report(f"comparing Random with Base on the text of {task.corpus}")
        states = floor | read(random, {n: t for n, t in texts.items() if n not in shared})
        found = _gaps(states, own, texts, settings)
        rows += [dict(model="Random", task=task.corpus, seed=RANDOM_SEED) | row for row in found]
        for seed in settings.domain_seeds or settings.seeds:
            tuned = encoders.load(fine_tuned(settings, task.model, seed, report).encoder)
            states = read(tuned, texts)
            report(f"comparing {task.model} with Base on the text of {task.corpus}")
            rows += [who | dict(seed=seed) | row for row in _gaps(states, own, texts, settings)]
            found = _genres(states, own, texts, settings.n_bootstrap)
            rows += [who | dict(seed=seed) | row for row in found]
    frame = results.table(rows)
    results.save("out_of_domain", frame, settings, seconds=round(time.time() - began, 1))
    return frame


def tested_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows ``rsa_gap`` of :func:`out_of_domain_rsa` with their ``p_value`` and ``p_any``, over all layers."""
    keys = ["model", "task", "inputs", "seed"]
    p = frame[frame["metric"] == "p_value"]
    by_layer = p[p["layer"].notna()][[*keys, "layer", "value"]].rename(columns={"value": "p_value"})
    over_all = p[p["layer"].isna()][[*keys, "value"]].rename(columns={"value": "p_any"})
    return frame[frame["metric"] == "rsa_gap"].merge(by_layer, on=[*keys, "layer"]).merge(over_all, on=keys)


def _gaps(
    tuned: dict[str, Activations], base: dict[str, Activations], texts: dict[str, Text], settings: Profile
) -> Iterator[dict]:
    """Rows of all comparisons that the texts allow, each sample's own RSA once."""
    holders = {sample: name for name, text in texts.items() for sample in text.samples}
    written: set[str] = set()
    for control, names in controls(settings.text).items():
        if not set(names) <= set(holders):
            continue
        sides = [(holders[name], texts[holders[name]].places(name)) for name in names]
        found = _compared(tuned, base, *sides, settings.n_bootstrap)
        for what, metric in (("gap", "rsa_gap"), ("p_value", "p_value")):
            common = dict(analysis="out_of_domain_gap", metric=metric, inputs=control)
            common["n"] = min(len(places) for _, places in sides)
            yield from _lines(found[found["what"] == what], common)
        for what, name, (_, places) in zip(("inside", "outside"), names, sides, strict=True):
            if name not in written:
                common = dict(analysis="out_of_domain_rsa", metric=METRIC, inputs=name, n=len(places))
                yield from _lines(found[found["what"] == what], common)
                written.add(name)


def _genres(
    tuned: dict[str, Activations], base: dict[str, Activations], texts: dict[str, Text], n_resamples: int
) -> Iterator[dict]:
    """Rows of RSA on each genre."""
    for genre in GENRES:
        common = dict(analysis="out_of_domain_rsa", metric=METRIC, inputs=genre, n=len(texts[genre].rows))
        yield from _lines(_own(tuned[genre], base[genre], n_resamples), common)


def _lines(found: pd.DataFrame, common: dict) -> Iterator[dict]:
    for line in found.drop(columns="what", errors="ignore").to_dict("records"):
        if pd.isna(line["layer"]):
            line["layer"] = None
        yield common | line
