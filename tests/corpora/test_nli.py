"""The MultiNLI reader: hand-made lines, the real pairs, and broken files."""

import json
from collections import Counter

import pytest

from helpers.corpora import nli
from helpers.corpora.records import CorpusError, Pair

ROWS = [
    {
        "gold_label": "neutral",
        "sentence1": "It rains.",
        "sentence2": "It is cold.",
        "pairID": "7n",
        "promptID": "7",
        "genre": "travel",
    },
    {"gold_label": "-", "sentence1": "It rains.", "sentence2": "It pours.", "pairID": "7c", "promptID": "7"},
    {"gold_label": "entailment", "sentence1": "Café\u2028open", "sentence2": "", "pairID": "8e"},
]


def as_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_pairs_and_those_without_a_label(tmp_path, said):
    path = tmp_path / "pairs.jsonl"
    path.write_text(as_lines(ROWS), encoding="utf-8")
    assert nli.read(path) == [
        Pair("7n", "It rains.", "It is cold.", "neutral", document="7", genre="travel"),
        Pair("8e", "Café\u2028open", "", "entailment"),
    ]
    assert said == [f"{path}: 2 pairs, 1 more without a gold label left out"]
    path.write_text(as_lines(ROWS[2:]), encoding="utf-8")
    nli.read(path)
    assert len(said) == 1  # none left out, nothing to say


def changed(**changes):
    row = {**ROWS[2], **changes}
    return as_lines([ROWS[0], {key: value for key, value in row.items() if value is not ...}])


@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param("", 1, "found an empty file", id="empty"),
        pytest.param(as_lines(ROWS).encode("utf-16"), 1, "expected UTF-8 text", id="utf-16"),
        pytest.param(as_lines(ROWS).encode("cp1252", "replace"), 3, "found the byte 0xe9", id="cp1252"),
        pytest.param(as_lines(ROWS)[:-20], 3, "expected a JSON object", id="cut short"),
        pytest.param(as_lines(ROWS).replace("\n", "\n\n", 1), 2, "found ''", id="blank line within"),
        pytest.param(as_lines(ROWS) + "[1, 2]\n", 4, "expected one JSON object, found '[1, 2]'", id="a list"),
        pytest.param("gold_label\tsentence1\n", 1, "expected a JSON object", id="the tab-separated file"),
        pytest.param(
            changed(gold_label="maybe"),
            2,
            "expected a gold_label of entailment, neutral, contradiction, -, found 'maybe'",
            id="unknown label",
        ),
        pytest.param(
            changed(gold_label=...),
            2,
            "expected 'gold_label' to be a text, found only sentence1",
            id="no label",
        ),
        pytest.param(
            changed(sentence2=None), 2, "expected 'sentence2' to be a text, found 'null'", id="null"
        ),
        pytest.param(changed(pairID=3), 2, "expected 'pairID' to be a text, found '3'", id="number"),
    ],
)
def test_broken_files(tmp_path, broken, line, expectation):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    with pytest.raises(CorpusError) as caught:
        nli.read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert expectation in str(caught.value)


@pytest.mark.parametrize("file, n", [("train", 7_814), ("dev_matched", 2_001)])
def test_mnli_reduced(real_data, file, n):
    path = real_data("mnli-reduced") / f"multinli_1.0_{file}.jsonl"
    pairs = nli.read(path)
    assert len(pairs) == n == len({pair.id for pair in pairs})
    text = path.read_text(encoding="utf-8")
    assert Counter(pair.label for pair in pairs) == {
        label: text.count(f'"gold_label": "{label}"') for label in nli.LABELS
    }
