"""Natural language inference as in MultiNLI (Williams et al., 2018) and SNLI (Bowman et al., 2015)."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from helpers import progress
from helpers.corpora.files import field, json_lines, optional, quoted, read_text
from helpers.corpora.records import CorpusError, Pair

LABELS = ("entailment", "neutral", "contradiction")
UNDECIDED = "-"  # the annotators did not agree on a label
COLUMNS = ("gold_label", "sentence1", "sentence2")  # that every file must have
SOURCES = ("promptID", "captionID")  # what pairs on the same premise share, in MultiNLI and in SNLI


def read(path: str | Path) -> list[Pair]:
    """The pairs of a file in MultiNLI's or SNLI's official JSONL, or their tab-separated columns, in order.

    ``id`` is the pairID (or file name and line where there is none), ``document`` the promptID or captionID,
    which pairs on the same premise share; ``genre`` is empty where the file has none. Pairs without a gold
    label (``-``) are left out, as the official evaluation does, and their number is shown.

    Raises CorpusError as :func:`~helpers.corpora.files.json_lines` does, and, naming file and line, if a line
    lacks a field or column or has another label, or if no pair is left.
    """
    pairs: list[Pair] = []
    undecided = 0
    rows = json_lines(path) if Path(path).suffix.startswith(".json") else _columns(path)
    for number, row in rows:
        wrong = partial(CorpusError, path, number)
        label, premise, hypothesis = (field(row, name, str, wrong) for name in COLUMNS)
        identifier = optional(row, "pairID", wrong) or f"{Path(path).stem}-{number}"
        if label in LABELS:
            source = next((found for name in SOURCES if (found := optional(row, name, wrong))), "")
            genre = optional(row, "genre", wrong)
            pairs.append(Pair(identifier, premise, hypothesis, label, document=source, genre=genre))
        elif label == UNDECIDED:
            undecided += 1
        else:
            valid = ", ".join((*LABELS, UNDECIDED))
            raise wrong(f"expected a gold_label of {valid}, found {quoted(label)}")
    say_undecided(path, len(pairs), undecided)
    if not pairs:
        raise CorpusError(path, None, "expected at least one pair with a gold label, found none")
    return pairs


def _columns(path: str | Path) -> Iterator[tuple[int, dict]]:
    """(line number, values by column) of a tab-separated file, whose first line names the columns."""
    lines = read_text(path).split("\n")
    header = lines[0].split("\t")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise CorpusError(path, 1, f"expected the columns {', '.join(missing)}, found {quoted(lines[0])}")
    # The annotators' own labels come last, and rows may end before those that were not given.
    least = len(header) - sum(re.fullmatch(r"label[2-9]", name) is not None for name in header)
    if lines[-1]:
        raise CorpusError(path, len(lines), "expected a complete last line (file cut short?)")
    for number, line in enumerate(lines[1:-1], 2):
        values = line.split("\t")
        if not least <= len(values) <= len(header):
            raise CorpusError(path, number, f"expected {len(header)} columns, found {len(values)}")
        row = dict(zip(header, values, strict=False))
        if row.get("pairID") in (*LABELS, UNDECIDED):  # which then is the first annotator's
            raise CorpusError(
                path, number, f"expected a pairID, found {row['pairID']!r} (a tab missing before?)"
            )
        yield number, row


def say_undecided(where: str | Path, pairs: int, undecided: int) -> None:
    """Show how many pairs were left out, if any."""
    if undecided:
        progress.say(f"{where}: {pairs:,} pairs, {undecided:,} more without a gold label left out")
