"""Natural language inference in MultiNLI's official JSONL (Williams, Nangia and Bowman, 2018)."""

import json
import logging
from pathlib import Path

from helpers.corpora.files import quoted, read_text
from helpers.corpora.records import CorpusError, Pair

log = logging.getLogger(__name__)

LABELS = ("entailment", "neutral", "contradiction")
UNDECIDED = "-"  # the annotators did not agree on a label
FIELDS = ("gold_label", "sentence1", "sentence2", "pairID")


def read(path: str | Path) -> list[Pair]:
    """The pairs of a MultiNLI file, in order.

    ``id`` is the pairID and ``document`` the promptID, which pairs on the same premise share; ``genre``
    is empty where the file has none. Pairs without a gold label (``-``) are left out, as the official
    evaluation does, and their number is logged.

    Raises CorpusError, naming file and line, if the file is empty or not UTF-8, if a line is not a JSON
    object (a file cut short ends in half of one), lacks a field or has another label.
    """
    lines = read_text(path).split("\n")
    if not lines[-1]:
        lines.pop()
    pairs, undecided = [], 0
    for number, line in enumerate(lines, 1):
        row = _row(path, number, line)
        label = row["gold_label"]
        if label == UNDECIDED:
            undecided += 1
            continue
        if label not in LABELS:
            valid = ", ".join((*LABELS, UNDECIDED))
            raise CorpusError(path, number, f"expected a gold_label of {valid}, found {quoted(label)}")
        pairs.append(
            Pair(
                id=row["pairID"],
                premise=row["sentence1"],
                hypothesis=row["sentence2"],
                label=label,
                document=str(row.get("promptID", "")),
                genre=str(row.get("genre", "")),
            )
        )
    log.info("%s: %d pairs, %d more without a gold label left out", path, len(pairs), undecided)
    return pairs


def _row(path, number: int, line: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise CorpusError(
            path, number, f"expected a JSON object, found {quoted(line)}: {error.msg} at column {error.colno}"
        ) from error
    if not isinstance(row, dict):
        raise CorpusError(path, number, f"expected one JSON object, found {quoted(line)}")
    for name in FIELDS:
        if not isinstance(row.get(name), str):
            found = f"{row[name]!r}" if name in row else f"only {', '.join(row)}"
            raise CorpusError(path, number, f"expected the field {name} with a text, found {found}")
    return row
