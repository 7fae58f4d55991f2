"""Making MiniBERT part of the package: its files, its model card, the record of how it was trained.

Nothing on the card is typed by hand. Figures come from the run's log and from evaluating the weights as
shipped, the corpus's licences from its list of sources.
"""

import csv
import re
from collections import Counter
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd
import torch

from helpers import checkpoints, encoders, progress, provenance, store
from helpers.pretraining import models, text, training
from helpers.pretraining.recipe import Recipe

RECORDED = Path(__file__).resolve().parents[2] / "book" / "recorded" / "pretraining"
CARD = Path(__file__).parent / "card.md"
SOURCES = "SOURCES.csv"  # beside a corpus's files: name, source, licence, genre, documents, words
CURVE_POINTS = 150
LOSSES = ["mlm", "nsp", "mlm_accuracy", "nsp_accuracy"]
CHECK_BATCHES = 128  # of 2,048 wordpieces, for the figures on the card
OPTIMISERS = {"muon": "Muon for the matrices of the blocks, AdamW for the rest", "adamw": "AdamW"}


def ship(
    run_folder: str | Path,
    corpus: str | Path,
    *,
    heldout: str = "heldout*",
    assets: Path = encoders.ASSETS,
    recorded: Path = RECORDED,
    cache: store.Store | None = None,
) -> Path:
    """Ship the model of a pre-training run; returns its folder, ``<assets>/minibert-seed<n>``.

    Takes the weights from the run's last checkpoint, whether or not the run was finished, evaluates them
    as shipped (float16) and writes weights, configuration, tokenizer, licence, model card and
    ``SHA256SUMS``; and into ``recorded`` the curve ``seed<n>.csv`` (:func:`curve`) and an entry in
    ``provenance.json``. ``corpus`` is the folder that the run was trained on. Raises FileNotFoundError
    without a checkpoint, ValueError for a run that goes on from another encoder.
    """
    run_folder, corpus = Path(run_folder), Path(corpus)
    if not (run_folder / training.CHECKPOINT).exists():
        raise FileNotFoundError(f"{run_folder}: no checkpoint.pt; train with python -m helpers pretrain")
    state = checkpoints.read(run_folder / training.CHECKPOINT, "cpu")
    recipe = Recipe(**state["recipe"])
    if recipe.start:
        raise ValueError(f"{run_folder}: goes on from {recipe.start}, whose weights are not ours to ship")
    name = f"minibert-seed{recipe.seed}"
    files, held_files = text.split_files(corpus, heldout)
    tokenizer, train, held = text.prepare(files, held_files, run_folder / "tokenizer", cache or store.Store())
    model = models.make(recipe, tokenizer)
    model.load_state_dict(state["model"])
    folder = models.save(model, tokenizer, assets / name)

    progress.say(f"{name}: evaluating on held-out text")
    model = model.float()
    scores = {
        objective: training.evaluate(model, batches, torch.device("cpu"), CHECK_BATCHES)
        for objective, batches in training.judged(held, tokenizer, recipe).items()
    }
    log = [row for row in training.read_log(run_folder) if row["step"] <= state["step"]]
    facts = {
        "commit": provenance.commit(),
        "recipe": state["recipe"],
        "steps": state["step"],
        "tokens": state["tokens"],
        "passes": state["tokens"] / len(train.tokens),
        "hours": state["seconds"] / 3600,
        "finished": state["step"] == recipe.steps,
        "hardware": list(dict.fromkeys(row["machine"] for row in log if "machine" in row)),
        "heldout": scores["mlm"]
        | {f"whole_words_{name}": value for name, value in scores["whole_words"].items()}
        | {name: scores["nsp"][name] for name in ("nsp", "nsp_accuracy")},
        "vocabulary": len(tokenizer),
        "parameters": sum(p.numel() for p in model.parameters()),
        "corpus": describe_corpus(corpus, files),
        "packages": provenance.versions(("torch", "transformers", "tokenizers", "numpy")),
    }
    (folder / "model.safetensors").chmod(0o644)  # the library makes it private
    _write(folder / "LICENSE", LICENCE)
    _write(folder / "README.md", card(name, facts))
    sums = [f"{store.sha256(p)}  {p.name}\n" for p in sorted(folder.iterdir()) if p.name != "SHA256SUMS"]
    _write(folder / "SHA256SUMS", "".join(sums))
    with store.atomic_write(recorded / f"seed{recipe.seed}.csv") as file:
        curve(log, recipe.seed).to_csv(file, index=False, float_format="%.6g")
    provenance.add_entry(recorded, f"seed{recipe.seed}", facts)
    progress.say(f"{folder}: {sum(p.stat().st_size for p in folder.iterdir()) / 1e6:.1f} MB")
    return folder


def curve(log: list[dict], seed: int) -> pd.DataFrame:
    """A run's curve, thinned: ``seed, step, tokens, seconds, held_out, mlm, nsp``, accuracies, speed.

    Losses in nats. Rows with ``held_out`` are all kept; of the others, neighbours are averaged until at
    most 150 are left.
    """
    seen = pd.DataFrame([row for row in log if "mlm" in row])
    held = pd.DataFrame([row | row["heldout"] for row in log if "heldout" in row])
    parts = []
    if len(seen):
        seen = seen.reindex(columns=["step", "tokens", "seconds", *LOSSES, "tokens_per_s"])
        group = np.arange(len(seen)) * min(CURVE_POINTS, len(seen)) // len(seen)
        last = seen.groupby(group)[["step", "tokens", "seconds"]].last()
        parts.append(last.join(seen.groupby(group)[[*LOSSES, "tokens_per_s"]].mean()).assign(held_out=False))
    if len(held):
        parts.append(held.reindex(columns=["step", "tokens", *LOSSES]).assign(held_out=True))
    frame = pd.concat(parts).sort_values(["step", "held_out"]).assign(seed=seed)
    columns = ["seed", "step", "tokens", "seconds", "held_out", *LOSSES, "tokens_per_s"]
    return frame.reindex(columns=columns).reset_index(drop=True)


def record_trials(runs: dict[str, Path], recorded: Path = RECORDED) -> pd.DataFrame:
    """Write ``trials.csv``: the curves of runs that a recipe was chosen by, each under its name in ``trial``.

    Their recipes and machines go into the entry ``trials`` of ``provenance.json``.
    """
    logs = {name: training.read_log(folder) for name, folder in runs.items()}
    frames = [curve(log, 0).drop(columns="seed").assign(trial=name) for name, log in logs.items()]
    frame = pd.concat(frames, ignore_index=True)
    with store.atomic_write(Path(recorded) / "trials.csv") as file:
        frame.to_csv(file, index=False, float_format="%.6g")
    facts = {
        name: {key: next(row[key] for row in log if key in row) for key in ("recipe", "machine")}
        for name, log in logs.items()
    }
    provenance.add_entry(Path(recorded), "trials", {"commit": provenance.commit(), "runs": facts})
    return frame


def curves(recorded: Path = RECORDED) -> pd.DataFrame:
    """The recorded curves of all seeds, one under the other. Raises FileNotFoundError if there are none."""
    files = sorted(Path(recorded).glob("seed*.csv"))
    if not files:
        raise FileNotFoundError(f"{recorded}: no recorded pre-training run (seed*.csv)")
    return pd.concat([pd.read_csv(path) for path in files], ignore_index=True)


def runs(recorded: Path = RECORDED) -> dict[str, dict]:
    """What is recorded of each shipped run, by ``seed<n>``: the facts that :func:`ship` gathers."""
    facts = provenance.read(Path(recorded))
    return {name: facts[name] for name in sorted(facts) if re.fullmatch(r"seed\d+", name)}


def summary(facts: dict[str, dict]) -> pd.DataFrame:
    """The facts of :func:`runs` as a table to show, one column per run."""
    return pd.DataFrame(
        {
            name: {
                "wordpieces seen": f"{run['tokens']:,}",
                "passes over the corpus": f"{run['passes']:.2f}",
                "steps": f"{run['steps']:,}",
                "hours": f"{run['hours']:.1f}",
                "hardware": "; ".join(run["hardware"]),
                "held-out loss, single pieces (nats)": f"{run['heldout']['mlm']:.3f}",
                "held-out loss, whole words (nats)": f"{run['heldout']['whole_words_mlm']:.3f}"
                if "whole_words_mlm" in run["heldout"]
                else "–",
                "masked pieces right": f"{run['heldout']['mlm_accuracy']:.1%}",
                "next sentence right": f"{run['heldout']['nsp_accuracy']:.1%}",
            }
            for name, run in facts.items()
        }
    )


def describe_corpus(corpus: Path, files: list[Path]) -> dict:
    """Documents, words, genres and licences of a corpus by its list of sources, and its files' hashes."""
    facts: dict = {"files": {p.name: store.sha256(p) for p in files}}
    if (corpus / SOURCES).exists():
        sources = read_sources(corpus)
        for column in ("genre", "licence"):
            words: Counter = Counter()
            for row in sources:
                words[row[column]] += int(row["words"])
            facts[column] = dict(words.most_common())
        facts |= {key: sum(int(row[key]) for row in sources) for key in ("documents", "words")}
        facts["sources"] = len(sources)
    return facts


def read_sources(corpus: Path) -> list[dict]:
    """The rows of a corpus's ``SOURCES.csv``, in order."""
    with open(corpus / SOURCES, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, content: str) -> None:
    with store.atomic_write(path) as file:
        file.write(content)


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
    shares = {
        column: "\n".join(
            f"| {key} | {words:,} | {words / corpus['words']:.1%} |"
            for key, words in corpus.get(column, {}).items()
        )
        for column in ("genre", "licence")
    }
    size = f"{len(corpus['files'])} text files"
    if "words" in corpus:
        size = (
            f"{corpus['words'] / 1e6:.1f} million words in {corpus['documents']:,} documents from "
            f"{corpus['sources']} openly licensed sources"
        )
    precisions = [p for p in ("bf16", "fp32") if any(p in machine for machine in facts["hardware"])]
    values = {key: f"{value:g}" for key, value in recipe.items() if not isinstance(value, str)}
    values |= {key: f"{recipe[key]:.0%}" for key in ("masked", "next_sentence", "long_share", "decay")}
    values |= {key: f"{held[key]:.1%}" for key in ("mlm_accuracy", "nsp_accuracy")}
    values |= shares
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        values,
        name=name,
        size=size,
        vocabulary=f"{facts['vocabulary']:,}",
        batch_tokens=f"{recipe['batch_tokens']:,}",
        parameters=f"{facts['parameters'] / 1e6:.1f}",
        millions=f"{facts['tokens'] / 1e6:,.0f}",
        passes=f"{facts['passes']:.2f}",
        tokens=f"{facts['tokens']:,}",
        steps=f"{facts['steps']:,}",
        optimizer=OPTIMISERS[recipe["optimizer"]],
        products={"bf16": "bfloat16", "fp32": "float32"}[precisions[0]] if precisions else "float32",
        hardware="; ".join(facts["hardware"]),
        hours=f"{facts['hours']:.1f}",
        unfinished=""
        if facts["finished"]
        else " The schedule was not run to its end: the rate never decayed.",
        mlm=f"{held['mlm']:.3f}",
        perplexity=f"{np.exp(held['mlm']):,.1f}",
        whole_words=f"{held['whole_words_mlm']:.3f}",
        whole_words_accuracy=f"{held['whole_words_mlm_accuracy']:.1%}",
    )
