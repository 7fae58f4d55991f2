"""Is the change larger on the task's own text? RSA to Base in domain and out of it, confounds held equal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import encoders, progress, statistics
from helpers.analyses import texts
from helpers.analyses.finetuning import fine_tuned, read_records, task_records, tunings
from helpers.analyses.rsa import RAW, compare_layers, sample_rows
from helpers.analyses.runner import Row, Rows, analysis
from helpers.analyses.seeds import Seeds
from helpers.analyses.texts import Text, piece_types
from helpers.encoders import Activations, Encoder
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store, digest
from helpers.vocabulary import BOOTSTRAP_SEED, RANDOM_SEED

SCHEMA = 2  # raise when a comparison changes for the same inputs
GENRES = ("weblog", "newsgroup", "email", "reviews", "answers")  # of the English Web Treebank

States = dict[str, Activations]  # of one encoder, by the text's name


def comparisons(outside: str) -> dict[str, tuple[str, str]]:
    """The comparisons that are made, by name: (sample in domain, sample out of domain).

    ``outside`` is the running text's name. See :func:`out_of_domain_rsa`.
    """
    return {
        "raw": ("in_domain", outside),
        "single": ("in_domain_single", outside),
        "format": ("in_domain", f"{outside}_matched"),
        "types": ("in_domain_types", f"{outside}_types"),
    }


@analysis("out_of_domain", points=lambda s: tunings(s, s.domain_seeds or s.seeds))
def out_of_domain_rsa(settings: Profile) -> Rows:
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

    Analysis ``out_of_domain_gap``: RSA in domain minus RSA out of domain, metrics ``rsa_gap`` and
    ``p_value`` (:func:`helpers.statistics.rsa_gap`; ``layer`` empty: over all layers). Its ``inputs``:

    - ``raw``: in_domain minus wikipedia, as in the paper;
    - ``single``: in_domain_single minus wikipedia;
    - ``format``: in_domain minus wikipedia_matched;
    - ``types``: in_domain_types minus wikipedia_types: format, length and types are equal.

    Model ``Random``, an encoder with random weights compared to Base, is the yardstick: texts differ in
    the RSA of any two encoders, whatever was tuned. Its rows on a task's text name that task. Metric
    ``rsa_gap_minus_random`` of ``out_of_domain_gap``: a model's gap minus that yardstick's, paired; over all
    seeds as ``out_of_domain_gap_over_seeds`` (:class:`.seeds.Seeds`), as ``rsa_gap`` is. ``n`` counts
    wordpieces (in a gap: of the smaller sample). Intervals: 95 %, bootstrap over sentences.
    """
    plain = encoders.load(settings.encoder)
    random = encoders.load(settings.encoder, random_init=RANDOM_SEED)
    shared = _shared_texts(settings, plain)
    base, floor = _read(plain, shared), _read(random, shared)
    who = dict(model="Random", task="", seed=RANDOM_SEED)
    yield from (who | row for row in _genres(floor, base, shared, settings.n_bootstrap))
    seeds = Seeds()
    for task in settings.tasks:
        own = _task_texts(settings, task.model, plain)
        every = own | shared
        of_base = _read(plain, own) | base
        who = dict(model=task.model, task=task.corpus)
        yield from (who | row for row in _divergences(settings, task.model, plain, every))
        yardstick = floor | _read(random, own)
        usual = dict(model="Random", task=task.corpus, seed=RANDOM_SEED)
        yield from _gaps(usual, yardstick, of_base, every, settings)
        for seed in settings.domain_seeds or settings.seeds:
            states = _read(encoders.load(fine_tuned(settings, task.model, seed).encoder), every)
            own_seed = who | dict(seed=seed)
            yield from _gaps(own_seed, states, of_base, every, settings, yardstick, seeds)
            genres = _genres(states, of_base, every, settings.n_bootstrap)
            yield from (own_seed | row for row in genres)
    yield from seeds.over_all()


def tested_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows ``rsa_gap`` of :func:`out_of_domain_rsa` with their ``p_value`` and ``p_any``, over all layers."""
    keys = ["model", "task", "inputs", "seed"]
    p = frame[frame["metric"] == "p_value"]
    by_layer = p[p["layer"].notna()][[*keys, "layer", "value"]].rename(columns={"value": "p_value"})
    over_all = p[p["layer"].isna()][[*keys, "value"]].rename(columns={"value": "p_any"})
    return frame[frame["metric"] == "rsa_gap"].merge(by_layer, on=[*keys, "layer"]).merge(over_all, on=keys)


# -- texts -----------------------------------------------------------------------------------------


def _size(settings: Profile) -> tuple[int, int]:
    """Sentences and wordpieces drawn from each text."""
    share = settings.domain_share
    return max(2, round(share * settings.n_sentences)), max(10, round(share * settings.n_tokens))


def _drawn(types: Sequence[np.ndarray], n_tokens: int, seed: int) -> np.ndarray:
    counts = np.array([len(t) for t in types])
    return sample_rows(counts, min(n_tokens, int(counts.sum())), seed)


def _shared_texts(settings: Profile, encoder: Encoder) -> dict[str, Text]:
    """The texts that every model is compared on: running text and the genres of the treebank."""
    n_sentences, n_tokens = _size(settings)
    groups = {settings.text: read_records(settings, settings.text, "all", n_sentences)}
    corpora = (*(task.corpus for task in settings.tasks), *settings.paths)
    sentences = read_records(settings, "ud-ewt" if "ud-ewt" in corpora else "uds-dep", "test")
    for number, genre in enumerate(GENRES):
        generator = np.random.default_rng([settings.sample_seed, number])
        own = [sentence for sentence in sentences if sentence.genre == genre]
        groups[genre] = texts.one_per_source(own, n_sentences, generator)
    shared = {}
    for name, records in groups.items():
        rows = _drawn(piece_types(encoder, records), n_tokens, settings.sample_seed)
        if len(rows) < n_tokens:
            progress.say(f"{name}: {len(rows)} wordpieces instead of {n_tokens}: the text has no more")
        shared[name] = Text(records, {name: rows})
    return shared


def _task_texts(settings: Profile, model: str, encoder: Encoder) -> dict[str, Text]:
    """The texts of one task: its own, running text that matches it, and its first segments alone."""
    n_sentences, n_tokens = _size(settings)
    generator = np.random.default_rng([settings.sample_seed, len(GENRES)])
    outside, seed = settings.text, settings.sample_seed
    records = texts.one_per_source(task_records(settings, model, "eval"), n_sentences, generator)
    if len(records) < n_sentences:
        progress.say(f"{model}: {len(records)} records with different sources instead of {n_sentences}")
    passages = read_records(settings, outside, "all")
    lengths = texts.segment_lengths(encoder, records)
    matched = [m for m in texts.matched_records(lengths, passages, encoder, generator) if m is not None]
    if len(matched) < len(records):
        progress.say(
            f"{model}: {outside} has segments of the right length for {len(matched)} of {len(records)}"
        )
    types, matched_types = piece_types(encoder, records), piece_types(encoder, matched)
    equal, matched_equal = texts.equal_types(
        np.concatenate(types), np.concatenate(matched_types), n_tokens, generator
    )
    drawn, matched_drawn = (_drawn(own, n_tokens, seed) for own in (types, matched_types))
    matched_samples = {f"{outside}_matched": matched_drawn, f"{outside}_types": matched_equal}
    own_texts = {
        "in_domain": Text(records, {"in_domain": drawn, "in_domain_types": equal}),
        f"{outside}_matched": Text(matched, matched_samples),
    }
    if len(lengths[0]) == 2:
        single = texts.first_segments(records)
        rows = _drawn(piece_types(encoder, single), n_tokens, seed)
        own_texts["in_domain_single"] = Text(single, {"in_domain_single": rows})
    return own_texts


def _divergences(settings: Profile, model: str, encoder: Encoder, every: dict[str, Text]) -> Iterator[Row]:
    """Rows on how far each text's wordpieces are from those of the task's training records."""
    n_sentences, _ = _size(settings)
    train = task_records(settings, model, "train")
    generator = np.random.default_rng([settings.sample_seed, len(GENRES) + 1])
    chosen = generator.choice(len(train), min(10 * n_sentences, len(train)), replace=False)
    own = np.concatenate(piece_types(encoder, [train[i] for i in chosen]))
    pieces = {name: np.concatenate(piece_types(encoder, text.records)) for name, text in every.items()}
    size = min(len(own), *map(len, pieces.values()))
    own = generator.choice(own, size, replace=False)
    for name, types in pieces.items():
        value = texts.divergence(generator.choice(types, size, replace=False), own)
        yield dict(analysis="out_of_domain_rsa", metric="js_divergence", inputs=name, value=value, n=size)


# -- comparisons -----------------------------------------------------------------------------------


def _read(encoder: Encoder, of: dict[str, Text]) -> States:
    progress.say(f"reading {len(of)} texts with {encoder.name}")
    return {n: encoders.extract(encoder, text.records, Store(), rows=text.rows) for n, text in of.items()}


def _gaps(
    who: Row,
    tuned: States,
    base: States,
    every: dict[str, Text],
    settings: Profile,
    yardstick: States | None = None,
    seeds: Seeds | None = None,
) -> Iterator[Row]:
    """Rows of all comparisons that the texts allow, each sample's own RSA once; gaps minus a yardstick's.

    ``seeds`` gathers the gaps.
    """
    seeds = seeds or Seeds()
    holders = {sample: name for name, text in every.items() for sample in text.samples}
    written: set[str] = set()
    for comparison, names in comparisons(settings.text).items():
        if not set(names) <= set(holders):
            continue
        sides = [(holders[name], every[holders[name]].places(name)) for name in names]
        compared, gaps = _compared(tuned, base, sides, settings.n_bootstrap)
        common = who | dict(analysis="out_of_domain_gap", inputs=comparison)
        common |= dict(n=min(len(places) for _, places in sides))
        for layer, gap in gaps.items():
            yield seeds.row(common | dict(metric="rsa_gap", layer=layer), gap)
        yield from _lines(compared[compared["what"] == "p_value"], common | dict(metric="p_value"))
        if yardstick:
            _, usual = _compared(yardstick, base, sides, settings.n_bootstrap)
            for layer, gap in gaps.items():
                row = common | dict(metric="rsa_gap_minus_random", layer=layer)
                yield seeds.row(row, statistics.difference(gap, usual[layer]))
        for what, name, (_, places) in zip(("inside", "outside"), names, sides, strict=True):
            if name not in written:
                common = who | dict(analysis="out_of_domain_rsa", metric=RAW, inputs=name, n=len(places))
                yield from _lines(compared[compared["what"] == what], common)
                written.add(name)


def _genres(tuned: States, base: States, every: dict[str, Text], n_resamples: int) -> Iterator[Row]:
    """Rows of RSA on each genre."""
    for genre in GENRES:
        common = dict(analysis="out_of_domain_rsa", metric=RAW, inputs=genre, n=len(every[genre].rows))
        yield from _lines(compare_layers(tuned[genre], base[genre], n_resamples, [RAW]), common)


def _lines(frame: pd.DataFrame, common: Row) -> Iterator[Row]:
    for line in frame.drop(columns="what", errors="ignore").to_dict("records"):
        yield common | line | dict(layer=None if pd.isna(line["layer"]) else line["layer"])


def _compared(
    tuned: States, base: States, sides: Sequence[tuple[str, np.ndarray]], n_resamples: int
) -> tuple[pd.DataFrame, dict[int, Estimate]]:
    """RSA of two models on two texts and its gap, layer by layer, kept in the store.

    ``sides``, inside and outside, are a text's name and the sample's places among its states. Returns rows
    with ``what`` (inside, outside, gap, p_value), ``layer`` (empty: over all), ``value, ci_low, ci_high``;
    and the gaps by layer, of the same resamples whatever the models.
    """
    layers = next(iter(base.values())).layers
    spec = {
        "schema": SCHEMA,
        "states": [[states[name].folder.name for states in (tuned, base)] for name, _ in sides],
        "places": [digest(places.tolist()) for _, places in sides],
        "n_resamples": n_resamples,
        "seed": BOOTSTRAP_SEED,
    }

    def build(folder: Path) -> None:
        rows, gaps = [], []
        for number, layer in enumerate(layers, start=1):
            gap = statistics.rsa_gap(
                *(
                    (*(np.asarray(s[name].layer(layer))[at] for s in (tuned, base)), base[name].record[at])
                    for name, at in sides
                ),
                n_resamples=n_resamples,
                n_permutations=n_resamples,
                seed=BOOTSTRAP_SEED,
            )
            gaps.append(gap)
            rows += [
                dict(what="inside", layer=layer) | gap.a.numbers(),
                dict(what="outside", layer=layer) | gap.b.numbers(),
                dict(what="gap", layer=layer, value=gap.gap, ci_low=gap.ci_low, ci_high=gap.ci_high),
                dict(what="p_value", layer=layer, value=gap.p_value),
            ]
            progress.steps("gap between two texts, layers", number, len(layers))
        rows.append(dict(what="p_value", value=largest_gap_p(gaps)))
        pd.DataFrame(rows).to_csv(folder / "gap.csv", index=False)
        np.save(folder / "samples.npy", np.array([gap.a.samples - gap.b.samples for gap in gaps]))

    folder = Store().get("domain-gap", spec, build)
    frame, samples = pd.read_csv(folder / "gap.csv"), np.load(folder / "samples.npy")
    n_sentences = sum(len(np.unique(base[name].record[at])) for name, at in sides)
    draws = (BOOTSTRAP_SEED, n_sentences, n_resamples)
    numbers = frame[frame["what"] == "gap"].itertuples()
    return frame, {
        int(line.layer): Estimate(line.value, line.ci_low, line.ci_high, own, draws)
        for line, own in zip(numbers, samples, strict=True)
    }


def largest_gap_p(gaps: Sequence[statistics.RsaGap]) -> float:
    """p-value of the largest gap of several layers, each in units of its own permutations' deviation.

    The permutations must be the same in all layers: then the largest of each is what the largest observed
    is compared with, which corrects for looking at all of them (Westfall and Young 1993).
    """
    permuted = np.stack([gap.permuted for gap in gaps])
    deviation = np.sqrt(np.mean(permuted**2, axis=1))
    deviation[deviation == 0] = 1  # a layer that tuning did not change
    largest = (np.abs(permuted) / deviation[:, None]).max(axis=0)
    observed = max(abs(gap.gap) / d for gap, d in zip(gaps, deviation, strict=True))
    return float((1 + np.count_nonzero(largest >= observed - 1e-12)) / (1 + len(largest)))
