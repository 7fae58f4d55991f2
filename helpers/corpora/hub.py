"""MultiNLI and SQuAD v1.1 from the Hugging Face Hub, as the same records as from the official files.

A name may also be a local folder in the Hub's format: parquet files, with the features in their
metadata, as ``data/train-00000-of-00001.parquet``. Only data is read: the pinned ``datasets`` has no
loader scripts, and the option that allowed them is never given.
"""

from functools import partial
from pathlib import Path
from typing import Any

from helpers.corpora import nli, squad
from helpers.corpora.fetch import FetchError
from helpers.corpora.files import field, optional
from helpers.corpora.records import Answer, CorpusError, Pair, Question

MNLI = "nyu-mll/multi_nli"
SQUAD = "rajpurkar/squad"
# The commits that are read, so that what is downloaded is always the same.
REVISIONS = {
    MNLI: "da70db2af9d09693783c3320c4249840212ee221",
    SQUAD: "7b6d24c440a36b6815f21b70d25016731768db1f",
}
# Our name of a split -> the Hub's.
MNLI_SPLITS = {"train": "train", "dev": "validation_matched"}
SQUAD_SPLITS = {"train": "train", "dev": "validation"}


def pairs(split: str, name: str | Path = MNLI) -> list[Pair]:
    """MultiNLI's train or (matched) dev pairs; those without a gold label are left out.

    Raises FetchError if the data set cannot be had, CorpusError if it is not one like MultiNLI.
    """
    texts = ("pairID", "premise", "hypothesis")
    table, where = _table(name, MNLI_SPLITS[split], (*texts, "label"))
    wrong = partial(CorpusError, where, None)
    feature = table.features["label"]
    names = getattr(feature, "names", None)
    if names is None or sorted(names) != sorted(nli.LABELS):
        classes = ", ".join(nli.LABELS)
        raise CorpusError(
            where, None, f"expected a label feature with the classes {classes}, found {feature}"
        )
    others = [c for c in ("promptID", "genre") if c in table.column_names]
    pairs, undecided = [], 0
    for row in table.select_columns([*texts, "label", *others]):
        if row["label"] == -1:
            undecided += 1
            continue
        identifier, premise, hypothesis = (field(row, name, str, wrong) for name in texts)
        document, genre = (optional(row, name, wrong) for name in ("promptID", "genre"))
        pairs.append(
            Pair(identifier, premise, hypothesis, names[field(row, "label", int, wrong)], document, genre)
        )
    nli.say_undecided(where, len(pairs), undecided)
    return pairs


def questions(split: str, name: str | Path = SQUAD) -> list[Question]:
    """SQuAD v1.1's train or dev questions, answers checked against their contexts.

    Raises FetchError if the data set cannot be had, CorpusError if it is not one like SQuAD v1.1.
    """
    table, where = _table(name, SQUAD_SPLITS[split], ("id", "title", "context", "question", "answers"))
    wrong = partial(CorpusError, where, None)
    questions = []
    for row in table:
        key, asked, context, title = (
            field(row, n, str, wrong) for n in ("id", "question", "context", "title")
        )
        answers = field(row, "answers", dict, wrong)
        given, starts = (field(answers, column, list, wrong) for column in ("text", "answer_start"))
        if len(given) != len(starts):
            raise wrong(
                f"question {key}: expected a position for each answer, found {len(starts)} for {len(given)}"
            )
        places = [Answer(answer, start) for answer, start in zip(given, starts, strict=True)]
        questions.append(squad.question(where, key, asked, context, places, title))
    return questions


def _table(name: str | Path, split: str, columns: tuple[str, ...]) -> tuple[Any, str]:
    import datasets

    where = f"{name} ({split})"
    try:
        table = datasets.load_dataset(str(name), split=split, revision=REVISIONS.get(str(name)))
    except Exception as error:  # whatever went wrong in there, the user needs to know what to do instead
        reason = str(error).split("\n")[0]
        raise FetchError(
            f"could not load {where} with datasets: {type(error).__name__}: {reason}. Without a connection, "
            "give a local folder with the official files or the Hub's parquet files: path=<folder>"
        ) from error
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        there = ", ".join(table.column_names)
        raise CorpusError(where, None, f"expected the columns {', '.join(columns)}, found {there}")
    return table, where
