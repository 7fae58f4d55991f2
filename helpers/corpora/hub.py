"""MultiNLI and SQuAD v1.1 from the Hugging Face Hub, as the same records as from the official files.

A name may also be a local folder in the Hub's format: parquet files, with the features in their
metadata, as ``data/train-00000-of-00001.parquet``. Only data is read: the pinned ``datasets`` has no
loader scripts, and the option that allowed them is never given.
"""

from pathlib import Path
from typing import Any

from helpers.corpora import nli, squad
from helpers.corpora.fetch import FetchError
from helpers.corpora.records import Answer, CorpusError, Pair, Question

MNLI = "nyu-mll/multi_nli"
SQUAD = "rajpurkar/squad"
# Our name of a split -> the Hub's.
MNLI_SPLITS = {"train": "train", "dev": "validation_matched"}
SQUAD_SPLITS = {"train": "train", "dev": "validation"}


def pairs(split: str, name: str | Path = MNLI) -> list[Pair]:
    """MultiNLI's train or (matched) dev pairs; those without a gold label are left out.

    Raises FetchError if the data set cannot be had, CorpusError if it is not one like MultiNLI.
    """
    table, where = _table(name, MNLI_SPLITS[split], ("pairID", "premise", "hypothesis", "label"))
    feature = table.features["label"]
    names = getattr(feature, "names", None)
    if names is None or sorted(names) != sorted(nli.LABELS):
        classes = ", ".join(nli.LABELS)
        raise CorpusError(
            where, None, f"expected a label feature with the classes {classes}, found {feature}"
        )
    optional = [c for c in ("promptID", "genre") if c in table.column_names]
    pairs, undecided = [], 0
    for row in table.select_columns(["pairID", "premise", "hypothesis", "label", *optional]):
        if row["label"] == -1:
            undecided += 1
            continue
        pairs.append(
            Pair(
                id=row["pairID"],
                premise=row["premise"],
                hypothesis=row["hypothesis"],
                label=names[row["label"]],
                document=str(row.get("promptID", "")),
                genre=row.get("genre", ""),
            )
        )
    nli.say_undecided(where, len(pairs), undecided)
    return pairs


def questions(split: str, name: str | Path = SQUAD) -> list[Question]:
    """SQuAD v1.1's train or dev questions, answers checked against their contexts.

    Raises FetchError if the data set cannot be had, CorpusError if it is not one like SQuAD v1.1.
    """
    table, where = _table(name, SQUAD_SPLITS[split], ("id", "title", "context", "question", "answers"))
    questions = []
    for row in table:
        places = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        answers = [Answer(text, start) for text, start in places]
        questions.append(
            squad.question(where, row["id"], row["question"], row["context"], answers, row["title"])
        )
    return questions


def _table(name: str | Path, split: str, columns: tuple[str, ...]) -> tuple[Any, str]:
    import datasets

    where = f"{name} ({split})"
    try:
        table = datasets.load_dataset(str(name), split=split)
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
