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


SNLI = {
    "annotator_labels": ["neutral"], "captionID": "3.jpg#4", "gold_label": "neutral", "pairID": "3.jpg#4r1n",
    "sentence1": "A man 😀 sits.", "sentence2": "He waits.", "sentence1_parse": "(ROOT)",
}  # fmt: skip


def test_snli_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "snli.jsonl"
    expected = [Pair("3.jpg#4r1n", "A man 😀 sits.", "He waits.", "neutral", document="3.jpg#4")]
    for ascii_only in (True, False):  # the character beyond U+FFFF as two escapes, and as itself
        path.write_text("\ufeff" + json.dumps(SNLI, ensure_ascii=ascii_only) + "\n", encoding="utf-8")
        assert nli.read(path) == expected


def test_tab_separated_columns(tmp_path, said):
    """As in snli_1.0_dev.txt, where labels of annotators that were not asked are missing at the end."""
    path = tmp_path / "snli_1.0_dev.txt"
    header = "gold_label\tsentence1_parse\tsentence1\tsentence2\tcaptionID\tpairID\tlabel1\tlabel2"
    rows = [
        'neutral\t(ROOT)\tA "man" sits.\tHe waits.\t3.jpg#4\t3n\tneutral\t',
        "-\t(ROOT)\tA man sits.\tHe runs.\t3.jpg#4\t3c\tneutral\tentailment",
        "entailment\t(ROOT)\tA man sits.\t\t3.jpg#5\t3e\tentailment",
    ]
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    assert nli.read(path) == [
        Pair("3n", 'A "man" sits.', "He waits.", "neutral", document="3.jpg#4"),
        Pair("3e", "A man sits.", "", "entailment", document="3.jpg#5"),
    ]
    assert said == [f"{path}: 2 pairs, 1 more without a gold label left out"]
    for broken, line, expectation in (
        ("\n".join([header.replace("sentence2\t", ""), *rows, ""]), 1, "expected the columns sentence2"),
        ("\n".join([header, rows[0], "neutral\tx", ""]), 3, "expected 8 columns, found 2"),
        (
            "\n".join([header, rows[1].replace("sits.\t", "sits. ", 1), ""]),
            2,
            "expected a pairID, found 'neutral'",
        ),
        ("\n".join([header, *rows]), 4, "expected a complete last line"),
        ("\n".join([header, rows[0].replace("neutral", "yes"), ""]), 2, "found 'yes'"),
    ):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(CorpusError, match=f"dev.txt:{line}: .*{expectation}"):
            nli.read(path)


def changed(**changes):
    row = {**ROWS[2], **changes}
    return as_lines([ROWS[0], {key: value for key, value in row.items() if value is not ...}])


@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param("", 1, "found an empty file", id="empty"),
        pytest.param(as_lines(ROWS).encode("utf-16"), 1, "expected UTF-8 text", id="utf-16"),
        pytest.param(as_lines(ROWS).encode("cp1252", "replace"), 3, "found the byte 0xe9", id="cp1252"),
        pytest.param(as_lines(ROWS)[:-20], 3, "expected JSON", id="cut short"),
        pytest.param(as_lines(ROWS).replace("\n", "\n\n", 1), 2, "found ''", id="blank line within"),
        pytest.param(as_lines(ROWS) + "[1, 2]\n", 4, "expected one JSON object, found '[1, 2]'", id="a list"),
        pytest.param("gold_label\tsentence1\n", 1, "expected JSON", id="the tab-separated file"),
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
        pytest.param(changed(sentence1=3), 2, "expected 'sentence1' to be a text, found '3'", id="number"),
        pytest.param(changed(genre=["x"]), 2, "expected 'genre' to be a text", id="list for a genre"),
        pytest.param(
            changed(pairID=0).replace("0", "9" * 5000),
            2,
            "expected JSON of values in range, found: Exceeds the limit",
            id="integer of 5,000 digits",
        ),
        pytest.param(
            changed(sentence1="bad").replace("bad", "bad \\ud83d emoji"),
            2,
            "expected whole characters, found half of one (a lone surrogate)",
            id="half an emoji",
        ),
        pytest.param(
            changed(genre=0).replace("0", "[" * 3000 + "]" * 3000), 2, "nested too deep", id="nested deep"
        ),
        pytest.param(changed(genre=0).replace("0", "NaN"), 2, "NaN, which is not a JSON number", id="NaN"),
        pytest.param(
            changed().replace('"pairID": "8e"', '"sentence2": "8e"'),
            2,
            "found: the key 'sentence2' twice in one object",
            id="key twice",
        ),
        pytest.param(
            as_lines([ROWS[1]]).replace("7c", "7"),
            None,
            "at least one pair with a gold label",
            id="no label at all",
        ),
        pytest.param(
            changed(sentence1="x" * 1_000_001), 2, "at most 1,000,000 characters, found 1,000,001", id="long"
        ),
    ],
)
def test_broken_files(tmp_path, broken, line, expectation):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    with pytest.raises(CorpusError) as caught:
        nli.read(path)
    place = f"{path}:{line}: " if line else f"{path}: "
    assert str(caught.value).startswith(place)
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
