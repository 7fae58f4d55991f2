"""Making MiniBERT part of the package: its files, its model card, the record of how it was trained.

Nothing on the card is typed by hand. Figures come from the run's log and from evaluating the weights as
shipped, the corpus's licences from its list of sources.
"""

import csv
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import corpora, encoders, pretraining, results, store

RECORDED = Path(__file__).resolve().parents[1] / "book" / "recorded" / "pretraining"
SOURCES = "SOURCES.csv"  # beside a corpus's files: name, source, licence, genre, documents, words
CURVE_POINTS = 150
LOSSES = ("mlm", "nsp", "mlm_accuracy", "nsp_accuracy")
CHECK_BATCHES = 64  # for the figures on the card; training itself looks at 16


# -- shipping ------------------------------------------------------------------------------------


def ship(
    run_folder: str | Path,
    corpus: str | Path,
    *,
    heldout: str = "heldout*",
    hardware: str = "",
    assets: Path = encoders.ASSETS,
    recorded: Path = RECORDED,
    cache: store.Store | None = None,
    report=print,
) -> Path:
    """Ship the model of a pre-training run; returns its folder, ``<assets>/minibert-seed<n>``.

    Takes the weights from the run's last checkpoint, whether or not the run was finished, evaluates them
    as shipped (float16) and writes weights, configuration, tokenizer, licence, model card and
    ``SHA256SUMS``; and into ``recorded`` the curve ``seed<n>.csv`` (:func:`curve`) and an entry in
    ``provenance.json``. ``corpus`` is the folder that the run was trained on. ``hardware`` says what it
    ran on where its log does not. Raises FileNotFoundError without a checkpoint and ValueError if the
    corpus's vocabulary is not the run's.
    """
    run_folder, corpus = Path(run_folder), Path(corpus)
    if not (run_folder / pretraining.CHECKPOINT).exists():
        raise FileNotFoundError(f"{run_folder}: no checkpoint.pt; train with python -m helpers pretrain")
    state = torch.load(run_folder / pretraining.CHECKPOINT, map_location="cpu", weights_only=True)
    recipe = pretraining.Recipe(**state["recipe"])
    files = [p for p in pretraining.text_files(corpus) if p not in pretraining.text_files(corpus, heldout)]
    name = f"minibert-seed{recipe.seed}"
    # Runs from before tokenizers were kept with them have the one that is shipped already.
    own, shipped = run_folder / "tokenizer", assets / name
    vocabulary = own if own.is_dir() else shipped if shipped.is_dir() else recipe.vocabulary
    tokenizer, train, held = pretraining.prepare(
        files, pretraining.text_files(corpus, heldout), vocabulary, cache or store.Store()
    )
    model = pretraining.new_model(recipe, tokenizer)
    pieces = len(state["model"]["cls.predictions.bias"])
    if len(tokenizer) != pieces:
        raise ValueError(f"{vocabulary}: a vocabulary of {len(tokenizer)} pieces, the run had {pieces}")
    model.load_state_dict(state["model"])
    folder = pretraining.save_model(model, tokenizer, assets / name)

    report(f"{name}: evaluating {CHECK_BATCHES} held-out batches")
    model = model.float()
    judged = pretraining.judge(held, tokenizer, replace(recipe, batch_tokens=2048, tokens=10**9))
    scores = pretraining.evaluate(model, judged, torch.device("cpu"), CHECK_BATCHES)
    log = [row for row in pretraining.read_log(run_folder) if row["step"] <= state["step"]]
    facts = {
        "commit": results.commit(),
        "recipe": state["recipe"],
        "stages": _stages(log, recipe, state["step"]),
        "restarts": [row["step"] for row in log if row.get("restart")],
        "steps": state["step"],
        "tokens": state["tokens"],
        "passes": state["tokens"] / len(train.tokens),
        "hours": state["seconds"] / 3600,
        "finished": state["step"] == recipe.steps,
        "hardware": list(dict.fromkeys(row["machine"] for row in log if "machine" in row))
        or [hardware or results.hardware()],
        "heldout": scores,
        "vocabulary": pieces,
        "parameters": sum(p.numel() for p in model.parameters()),
        "corpus": describe_corpus(corpus, files),
        "packages": {p: results.version(p) for p in ("torch", "transformers", "tokenizers", "numpy")},
    }
    (folder / "model.safetensors").chmod(0o644)  # the library makes it private
    _write(folder / "LICENSE", LICENCE)
    _write(folder / "README.md", card(name, facts))
    sums = [f"{store.sha256(p)}  {p.name}\n" for p in sorted(folder.iterdir()) if p.name != "SHA256SUMS"]
    _write(folder / "SHA256SUMS", "".join(sums))
    with store.atomic_write(recorded / f"seed{recipe.seed}.csv") as file:
        curve(log, recipe.seed).to_csv(file, index=False, float_format="%.6g")
    results.add_entry(recorded, f"seed{recipe.seed}", facts)
    report(f"{folder}: {sum(p.stat().st_size for p in folder.iterdir()) / 1e6:.1f} MB")
    return folder


def reopen(
    name: str,
    run_folder: str | Path,
    settings: dict,
    *,
    assets: Path = encoders.ASSETS,
    recorded: Path = RECORDED,
) -> None:
    """Make a run folder in which :func:`pretraining.run` goes on training a shipped model.

    The recipe is that of its last stage with ``settings`` replaced, more ``tokens`` at least. Steps,
    wordpieces, hours and log are carried on; the optimiser, which is not shipped, starts afresh
    (:func:`pretraining.restart`, for the errors raised too). Raises ValueError for an unknown model.
    """
    from transformers import BertForPreTraining, BertTokenizerFast

    seed, folder, facts = name.removeprefix("minibert-"), Path(assets) / name, runs(recorded)
    if seed not in facts or not folder.is_dir():
        known = ", ".join(f"minibert-{s}" for s in facts)
        raise ValueError(f"unknown model {name!r}; shipped: {known}")
    run = facts[seed]
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    recipe = pretraining.replaced(pretraining.Recipe(**run["recipe"]), settings)
    recipe = replace(recipe, vocabulary=len(tokenizer))  # of fewer pieces than asked for on a small corpus
    model = pretraining.new_model(recipe, tokenizer)
    with encoders.quiet():
        trained = BertForPreTraining.from_pretrained(folder, dtype=torch.float32)
    model.load_state_dict(trained.state_dict())
    log = _log_of(run, pd.read_csv(Path(recorded) / f"{seed}.csv"))
    counts = dict(step=run["steps"], tokens=run["tokens"], seconds=3600 * run["hours"])
    pretraining.restart(run_folder, recipe, model, **counts, log=log)
    tokenizer.save_pretrained(Path(run_folder) / "tokenizer")


def _log_of(run: dict, curve: pd.DataFrame) -> list[dict]:
    """The log of a recorded run as :func:`pretraining.read_log` would give it, as thin as its curve."""
    rows: list[dict] = [{"step": 0, "machine": machine} for machine in run["hardware"]]
    for stage in run["stages"]:
        changed = {"layers": stage["layers"], "learning_rate": stage["learning_rate"]}
        changed |= {"short_length": stage["length"], "long_share": 0.0}
        rows.append({"step": stage["step"], "recipe": run["recipe"] | changed})
    rows += [{"step": step, "restart": True} for step in run.get("restarts", ())]
    for row in curve.to_dict("records"):
        place = {key: row[key] for key in ("step", "tokens")}
        losses = {key: row[key] for key in LOSSES}
        if row["held_out"]:
            rows.append(place | {"heldout": losses})
        else:
            rows.append(place | losses | {key: row[key] for key in ("seconds", "tokens_per_s")})
    return sorted(rows, key=lambda row: row["step"])


def curve(log: list[dict], seed: int) -> pd.DataFrame:
    """A run's curve, thinned: ``seed, step, tokens, seconds, held_out, mlm, nsp``, accuracies, speed.

    Losses in nats. Rows with ``held_out`` are all kept; of the others, neighbours are averaged until at
    most 150 are left.
    """
    names = list(LOSSES)
    seen = pd.DataFrame([row for row in log if "mlm" in row])
    held = pd.DataFrame([row | row["heldout"] for row in log if "heldout" in row])
    parts = []
    if len(seen):
        group = np.arange(len(seen)) * min(CURVE_POINTS, len(seen)) // len(seen)
        last = seen.groupby(group)[["step", "tokens", "seconds"]].last()
        means = seen.groupby(group)[[*names, "tokens_per_s"]].mean()
        parts.append(last.join(means).assign(held_out=False))
    if len(held):
        parts.append(held[["step", "tokens", *names]].assign(held_out=True))
    frame = pd.concat(parts).sort_values(["step", "held_out"]).assign(seed=seed)
    columns = ["seed", "step", "tokens", "seconds", "held_out", *names, "tokens_per_s"]
    return frame.reindex(columns=columns).reset_index(drop=True)


def curves(recorded: Path = RECORDED) -> pd.DataFrame:
    """The recorded curves of all seeds, one under the other. Raises FileNotFoundError if there are none."""
    files = sorted(Path(recorded).glob("seed*.csv"))
    if not files:
        raise FileNotFoundError(f"{recorded}: no recorded pre-training run (seed*.csv)")
    return pd.concat([pd.read_csv(path) for path in files], ignore_index=True)


def runs(recorded: Path = RECORDED) -> dict[str, dict]:
    """What is recorded of each shipped run, by ``seed<n>``: the facts that :func:`ship` gathers."""
    facts = results.read_provenance(Path(recorded))
    return {name: facts[name] for name in sorted(facts) if re.fullmatch(r"seed\d+", name)}


def summary(facts: dict[str, dict]) -> pd.DataFrame:
    """The facts of :func:`runs` as a table to show, a column a run."""
    columns = {}
    for name, run in facts.items():
        held = run["heldout"]
        columns[name] = {
            "wordpieces seen": f"{run['tokens']:,}",
            "passes over the corpus": f"{run['passes']:.2f}",
            "steps": f"{run['steps']:,}",
            "blocks": _course(run, "layers"),
            "input length": _course(run, "length"),
            "optimiser afresh at step": ", ".join(f"{step:,}" for step in run.get("restarts", ())) or "none",
            "hours": f"{run['hours']:.1f}",
            "hardware": "; ".join(run["hardware"]),
            "held-out loss (nats)": f"{held['mlm']:.3f}",
            "masked pieces right": f"{held['mlm_accuracy']:.1%}",
            "next sentence right": f"{held['nsp_accuracy']:.1%}",
        }
    return pd.DataFrame(columns)


def _course(run: dict, name: str) -> str:
    """The values that a setting took in the course of a run."""
    values = itertools.groupby(str(stage[name]) for stage in run["stages"])
    return ", then ".join(value for value, _ in values)


def _stages(log: list[dict], last: pretraining.Recipe, end: int) -> list[dict]:
    """Where the recipe changed: step, and layers, input length and learning rate from there on to ``end``."""
    # Of several recipes at one step all but the last were tried and given up.
    recipes = {row["step"]: row["recipe"] for row in log if "recipe" in row} or {0: vars(last)}
    stages: list[dict] = []
    for (begin, recipe), until in zip(recipes.items(), [*list(recipes)[1:], end], strict=True):
        made = pretraining.Recipe(**recipe)
        for step in sorted({begin, max(begin, made.short_steps)}):
            now = {"layers": made.layers, "length": made.batch_shape(step)[1]}
            now["learning_rate"] = made.learning_rate
            if step < until and (not stages or now != {name: stages[-1][name] for name in now}):
                stages.append({"step": step if stages else 0} | now)
    return stages


def describe_corpus(corpus: Path, files: list[Path]) -> dict:
    """Documents, words, genres and licences of a corpus by its list of sources, and its files' hashes."""
    found: dict = {"files": {p.name: store.sha256(p) for p in files}}
    if (corpus / SOURCES).exists():
        sources = read_sources(corpus)
        for column in ("genre", "licence"):
            words = Counter()
            for row in sources:
                words[row[column]] += int(row["words"])
            found[column] = dict(words.most_common())
        found |= {key: sum(int(row[key]) for row in sources) for key in ("documents", "words")}
        found["sources"] = len(sources)
    return found


def read_sources(corpus: Path) -> list[dict]:
    """The rows of a corpus's ``SOURCES.csv``, in order."""
    with open(corpus / SOURCES, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, text: str) -> None:
    with store.atomic_write(path) as file:
        file.write(text)


LICENCE = """\
The weights, configuration and vocabulary in this folder are licensed under Creative Commons
Attribution-ShareAlike 4.0 International (CC BY-SA 4.0),
https://creativecommons.org/licenses/by-sa/4.0/legalcode

Copyright (c) 2026 the contributors of this repository

Why ShareAlike: a large part of the words that the model was trained on is under CC BY-SA (3.0 or 4.0),
the rest in the public domain or under CC0, CC BY or permissive software licences; README.md gives the
shares. Whether weights are an adaptation of the text they were trained on is not settled. This
licence is the one that satisfies the text's licences if they are.

The model is provided as is, without warranty of any kind.
"""


def card(name: str, facts: dict) -> str:
    """Model card, in Markdown with the Hub's metadata, from the facts that :func:`ship` gathers."""
    recipe, corpus, held = facts["recipe"], facts["corpus"], facts["heldout"]
    early = facts["tokens"] < 1e9
    shares = {
        column: "\n".join(
            f"| {key} | {words:,} | {words / corpus['words']:.1%} |" for key, words in corpus[column].items()
        )
        for column in ("genre", "licence")
        if column in corpus
    }
    size = (
        f"{corpus['words'] / 1e6:.1f} million words in {corpus['documents']:,} documents from "
        f"{corpus['sources']} openly licensed sources"
        if "words" in corpus
        else f"{len(corpus['files'])} text files"
    )
    stages = facts["stages"]
    plan = "; ".join(
        f"{s['layers']} blocks, {s['length']} pieces, {s['learning_rate']:g}"
        + f" (from step {s['step']:,})" * (s["step"] > 0)
        for s in stages
    )
    grown = (
        " It was grown: where the table shows more blocks than before, each was\nfollowed by copies of "
        "itself that at first left its output as it was (after Gong et al., 2019, and Chen et\nal., 2016)."
        if len({s["layers"] for s in stages}) > 1
        else ""
    )
    caution = (
        f"\n**An early checkpoint.** It has seen {facts['tokens'] / 1e6:,.1f} million wordpieces, "
        f"{facts['passes']:.2f} passes over its corpus;\nBERT saw some 3.3 billion words about 40 times. It "
        "knows common words and little else. It is here so that the\nbook runs offline, and is to be "
        "replaced by one trained on a billion wordpieces or more.\n"
        if early
        else ""
    )
    again = (
        f" The optimiser started afresh at step{'s' * (len(facts['restarts']) > 1)} "
        f"{' and '.join(f'{s:,}' for s in facts['restarts'])}."
        if facts.get("restarts")
        else ""
    )
    single = ["fp32" in machine for machine in facts["hardware"]]
    mixed = "bfloat16 autocast" + ", float32 on the machine marked fp32" * any(single)
    products = "float32 throughout" if all(single) else mixed
    unfinished = (
        "" if facts["finished"] else " The schedule was not run to its end, so the rate never decayed."
    )
    return f"""\
---
language: en
license: cc-by-sa-4.0
library_name: transformers
pipeline_tag: fill-mask
---
# {name}

A small BERT pre-trained from scratch for this book: {recipe["layers"]} layers, {recipe["hidden"]} wide,
{recipe["heads"]} heads, {facts["vocabulary"]:,} uncased wordpieces, {recipe["positions"]} positions,
{facts["parameters"] / 1e6:.1f} million parameters; the shape of `google/bert_uncased_L-12_H-256_A-4`.
`AutoModel.from_pretrained(folder)` loads it; both pre-training heads are in the file.
{caution}
## Training

| | |
|---|---|
| Objectives | masked language modelling (15 %, 80/10/10, dynamic) and next-sentence prediction |
| Wordpieces seen | {facts["tokens"]:,} ({facts["passes"]:.2f} passes) |
| Steps | {facts["steps"]:,} of {recipe["batch_tokens"]:,} wordpieces |
| Depth, input length and peak learning rate | {plan} |
| Optimiser | AdamW, weight decay {recipe["weight_decay"]:g}, gradients clipped to {recipe["clip"]:g} |
| Seed | {recipe["seed"]} |
| Hardware | {"; ".join(facts["hardware"])} |
| Hours | {facts["hours"]:.1f} |

{products}; weights stored as float16. Dropout was off; the configuration switches it on (0.1) for
fine-tuning. Before training, positions were sinusoids (Vaswani et al., 2017) and keys equal to queries
(Trockman and Kolter, 2023).{grown}{again}{unfinished}

## How good it is

On held-out documents of the same sources, measured on the weights as shipped:

| | |
|---|---|
| Masked language modelling, loss | {held["mlm"]:.3f} nats (perplexity {np.exp(held["mlm"]):,.1f}) |
| Masked language modelling, accuracy | {held["mlm_accuracy"]:.1%} |
| Next-sentence prediction, accuracy | {held["nsp_accuracy"]:.1%} (chance: 50 %) |

Beside simple baselines, by genre and on minimal pairs, cloze and probes: the book's chapter on
pre-training and `book/recorded/pretraining/quality.csv`.

## Corpus

{size}.

| genre | words | share |
|---|---:|---:|
{shares.get("genre", "")}

| licence | words | share |
|---|---:|---:|
{shares.get("licence", "")}

Kept out on purpose: SQuAD's articles, MNLI, SNLI, the English Web Treebank, GUM, WikiText-2's validation
and test text and other test sets. What was found when looking for runs of words in common is in
`book/recorded/pretraining/overlap.csv`.

## Limits and biases

For research and teaching; not for use on people's texts or for decisions about them. The model is
small{" and little trained" if early else ""}: its predictions are often wrong. The fiction it read is mostly
British and American prose of 1850 to 1930, with that time's views of women, of other peoples and of class;
its modern text is mainly documentation, government writing and podcasts on software; there is almost no
newswire. English only, lower case only. Novels used in LitBank are in the corpus, so LitBank is no
test set for it.

## Licence

Weights: CC BY-SA 4.0, because part of the text is (see `LICENSE`).
"""


# -- overlap with texts of the results -----------------------------------------------------------

LONGEST = 1000  # words; runs in common beyond it count as this long
_PRIME = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing modulo 2**64
_CLITIC = re.compile(r"\s+(?=n't\b|'(?:s|re|ve|ll|d|m)\b)")


def words(text: str) -> list[str]:
    """Lower-case words of letters and digits; clitics are joined to their word, however tokenised."""
    text = _CLITIC.sub("", text.lower().replace("\u2019", "'")).replace("'", "")
    return re.findall(r"[^\W_]+", text)


def overlap(
    files: list[Path], tests: dict[str, list[str]], *, sizes: tuple[int, ...] = (8, 12), report=None
) -> pd.DataFrame:
    """How much of some test texts occurs in training text, by runs of words.

    ``tests`` gives each test set's sentences (or other short texts). One row a test set and size n:
    ``corpus, n, sentences, ngrams, found`` (n-grams of the test text that occur anywhere in the files),
    ``share``, ``sentences_hit, share_hit`` (with such an n-gram), ``longest`` (words of the longest run
    in common) and ``example`` (that run). The files are read once, as a stream; the test texts are held.
    """
    vocabulary: dict[str, int] = {}
    texts = {
        name: [np.array([vocabulary.setdefault(w, len(vocabulary) + 1) for w in words(t)]) for t in sentences]
        for name, sentences in tests.items()
    }
    # All sentences in one array, each after a 0, which stands for any word that no test text has.
    flat = np.concatenate([part for group in texts.values() for t in group for part in ([0], t)] + [[0]])
    flat = flat.astype(np.int64)
    hashes = {n: _rolling(flat, n) for n in sizes}
    inside = {n: _rolling(flat == 0, n, count=True) == 0 for n in sizes}
    known = {n: np.unique(hashes[n][inside[n]]) for n in sizes}
    found = {n: np.zeros(len(known[n]), bool) for n in sizes}
    smallest = min(sizes)
    longest = np.zeros(len(flat), np.int64)  # of the runs in common that begin at each place
    places: dict[int, list[int]] = {}
    for place in np.flatnonzero(inside[smallest]):
        places.setdefault(int(hashes[smallest][place]), []).append(int(place))
    began = time.time()
    for number, ids in enumerate(_coded(files, vocabulary), 1):
        for n in sizes:
            h = _rolling(ids, n)
            at = np.minimum(np.searchsorted(known[n], h), len(known[n]) - 1)
            hit = known[n][at] == h
            found[n][at[hit]] = True
            if n == smallest:
                _extend(ids, np.flatnonzero(hit), h, flat, places, longest)
        if report and number % 20 == 0:
            report(f"overlap: {number} million words, {time.time() - began:.0f} s")
    spelled = {i: w for w, i in vocabulary.items()}
    rows, offset = [], 0
    for name, group in texts.items():
        size = sum(len(t) + 1 for t in group)
        sentence = np.repeat(np.arange(len(group)), [len(t) + 1 for t in group])
        begin = int(np.argmax(longest[offset : offset + size])) + offset
        run = flat[begin : begin + longest[begin]]
        for n in sizes:
            part = slice(offset, min(offset + size, len(hashes[n])))
            valid = inside[n][part]
            hit = np.zeros(len(valid), bool)
            hit[valid] = found[n][np.searchsorted(known[n], hashes[n][part][valid])]
            struck = len(np.unique(sentence[: len(hit)][hit]))
            rows.append(
                {
                    "corpus": name,
                    "n": n,
                    "sentences": len(group),
                    "ngrams": int(valid.sum()),
                    "found": int(hit.sum()),
                    "share": hit.sum() / max(1, valid.sum()),
                    "sentences_hit": struck,
                    "share_hit": struck / max(1, len(group)),
                    "longest": len(run),
                    "example": " ".join(spelled[i] for i in run),
                }
            )
        offset += size
    return pd.DataFrame(rows)


TESTED = {
    "ud-ewt dev": ("ud-ewt", ("dev",)),
    "ud-ewt test": ("ud-ewt", ("test",)),
    "gum dev": ("gum", ("dev",)),
    "gum test": ("gum", ("test",)),
    "mnli-reduced": ("mnli-reduced", ("train", "dev")),
    "squad-reduced": ("squad-reduced", ("train", "dev")),
    "wikitext-2 dev": ("wikitext-2", ("dev",)),
    "wikitext-2 test": ("wikitext-2", ("test",)),
    "wikipedia": ("wikipedia", ("all",)),  # no test set, but the text that representations are compared on
}


def record_overlap(
    corpus: str | Path,
    folders: dict[str, str | Path],
    *,
    heldout: str = "heldout*",
    recorded: Path = RECORDED,
    report=print,
) -> pd.DataFrame:
    """Look for the texts of the book's results in a pre-training corpus and write ``overlap.csv``.

    ``folders`` says where each corpus of :data:`TESTED` lies; the others are left out. Repeated texts
    count once.
    """
    tests = {}
    for label, (name, splits) in TESTED.items():
        if name in folders:
            loaded = [r for split in splits for r in corpora.load(name, split, path=folders[name])]
            parts = [part for r in loaded for part in encoders.segments(r) if part]
            texts = [part if isinstance(part, str) else " ".join(part) for part in parts]
            tests[label] = list(dict.fromkeys(texts))
    held = pretraining.text_files(corpus, heldout)
    files = [p for p in pretraining.text_files(corpus) if p not in held]
    frame = overlap(files, tests, report=report)
    with store.atomic_write(Path(recorded) / "overlap.csv") as file:
        frame.to_csv(file, index=False, float_format="%.6g")
    facts = {"commit": results.commit(), "files": {p.name: store.sha256(p) for p in files}}
    results.add_entry(Path(recorded), "overlap", facts | {"hardware": results.hardware()})
    return frame


def _rolling(ids: np.ndarray, n: int, count: bool = False) -> np.ndarray:
    """Hash of the n numbers from each place on (or their sum), (len(ids) - n + 1,)."""
    width = max(0, len(ids) - n + 1)
    total = np.zeros(width, np.uint64)
    for i in range(n):
        total = total if count else total * _PRIME
        total = total + ids[i : i + width].astype(np.uint64)
        total = total if count else total ^ (total >> np.uint64(29))
    return total


def _coded(files: list[Path], vocabulary: dict[str, int]) -> Iterable[np.ndarray]:
    """The files' words as numbers, a million or so at a time, a 0 between paragraphs."""
    ids: list[int] = []
    for document in pretraining.documents(files):
        for paragraph in document:
            ids += [vocabulary.get(w, 0) for w in words(paragraph)]
            ids.append(0)
        if len(ids) >= 1_000_000:
            yield np.array(ids, np.int64)
            ids = []
    if ids:
        yield np.array(ids, np.int64)


def _extend(ids, hits, h, flat, places, longest) -> None:
    """Note how far each run in common goes on, at the place in ``flat`` where it begins."""
    for i in hits.tolist():
        for place in places.get(int(h[i]), ()):
            if i and ids[i - 1] and ids[i - 1] == flat[place - 1]:
                continue  # within a run already measured from its beginning
            stop = min(len(ids) - i, len(flat) - place, LONGEST)
            same = (ids[i : i + stop] == flat[place : place + stop]) & (ids[i : i + stop] > 0)
            longest[place] = max(longest[place], stop if same.all() else int(np.argmin(same)))
