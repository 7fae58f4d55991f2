"""Natural language inference in MultiNLI's official JSONL (Williams, Nangia and Bowman, 2018)."""

from functools import partial
from pathlib import Path

from helpers import progress
from helpers.corpora.files import field, json_lines, quoted
from helpers.corpora.records import CorpusError, Pair

LABELS = ("entailment", "neutral", "contradiction")
UNDECIDED = "-"  # the annotators did not agree on a label


def read(path: str | Path) -> list[Pair]:
    """The pairs of a MultiNLI file, in order.

    ``id`` is the pairID and ``document`` the promptID, which pairs on the same premise share; ``genre``
    is empty where the file has none. Pairs without a gold label (``-``) are left out, as the official
    evaluation does, and their number is shown.

    Raises CorpusError, naming file and line, if the file is empty or not UTF-8, if a line is not a JSON
    object (a file cut short ends in half of one), lacks a field or has another label.
    """
    pairs, undecided = [], 0
    for number, row in json_lines(path):
        text = partial(field, row, kind=str, wrong=partial(CorpusError, path, number))
        label = text("gold_label")
        pair = Pair(
            id=text("pairID"),
            premise=text("sentence1"),
            hypothesis=text("sentence2"),
            label=label,
            document=str(row.get("promptID", "")),
            genre=str(row.get("genre", "")),
        )
        if label in LABELS:
            pairs.append(pair)
        elif label == UNDECIDED:
            undecided += 1
        else:
            valid = ", ".join((*LABELS, UNDECIDED))
            raise CorpusError(path, number, f"expected a gold_label of {valid}, found {quoted(label)}")
    say_undecided(path, len(pairs), undecided)
    return pairs


def say_undecided(where: str | Path, pairs: int, undecided: int) -> None:
    """Show how many pairs were left out, if any."""
    if undecided:
        progress.say(f"{where}: {pairs:,} pairs, {undecided:,} more without a gold label left out")
