"""The SemEval-2010 Task 8 reader: hand-made sentences, the real files, and broken ones."""

import random
import re
from collections import Counter

import pytest
from tokenizers.pre_tokenizers import BertPreTokenizer

from helpers.corpora import semeval
from helpers.corpora.records import CorpusError, LabelledSpans, Target

SAMPLE = (
    "1\t\"The <e1>ice-cream van</e1>'s <e2>horn</e2>, it's loud.\"\n"
    "Component-Whole(e2,e1)\n"
    "Comment: a horn is part of a van.\n"
    "\n"
    '7\t"A sheet of<e1>neurons</e1> (<e2>cells</e2>) <b>."\n'
    "Other\n"
    "Comment:\n"
    "\n"
)


@pytest.fixture
def file(tmp_path):
    """Function that writes a text to a file, line ends as in the official files, and returns its path."""

    def write(content, newline="\r\n"):
        path = tmp_path / "TRAIN_FILE.TXT"
        content = content if isinstance(content, bytes) else content.replace("\n", newline).encode()
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_words_and_spans(file, newline):
    first, second = semeval.read(file(SAMPLE, newline))
    assert first == LabelledSpans(
        id="1",
        words=(
            "The", "ice", "-", "cream", "van", "'", "s", "horn", ",", "it", "'", "s", "loud", ".",
        ),
        targets=(Target((1, 5), (7, 8), ("Component-Whole(e2,e1)",)),),
    )  # fmt: skip
    assert second.words == ("A", "sheet", "of", "neurons", "(", "cells", ")", "<", "b", ">", ".")
    assert second.targets == (Target((3, 4), (5, 6), ("Other",)),)


def edited(line, old, new):
    lines = SAMPLE.split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "\n".join(lines)


UNLABELLED = '8001\t"The <e1>audits</e1> were about <e2>waste</e2>."\n8002\t"The <e1>a</e1> <e2>b</e2>."\n'


@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param("", 1, "found an empty file", id="empty"),
        pytest.param(edited(5, "A", "Ä").encode("latin-1"), 5, "found the byte 0xc4", id="latin-1"),
        pytest.param(edited(5, "7\t", "7 "), 5, 'expected a number, a tab and "a sentence"', id="no tab"),
        pytest.param(edited(5, '."', "."), 5, 'expected a number, a tab and "a sentence"', id="no quote"),
        pytest.param(edited(5, "7", "1"), 5, "number not used before, found 1 of line 1", id="twice"),
        pytest.param(edited(6, "Other", "other"), 6, "Entity-Origin(e1,e2), ", id="valid labels"),
        pytest.param(edited(6, "Other", "other"), 6, "Other, found 'other'", id="unknown label"),
        pytest.param(SAMPLE[: SAMPLE.index("Other")], 6, "Other, found ''", id="cut short"),
        pytest.param(edited(3, "Comment: a horn", "A horn"), 3, "expected 'Comment:', found", id="comment"),
        pytest.param(edited(4, "", "x"), 4, "expected an empty line, found 'x'", id="no empty line"),
        pytest.param(edited(5, "<e2>", ""), 5, "expected <e2>, words and </e2>", id="e2 not opened"),
        pytest.param(edited(5, "</e2>", ""), 5, "expected <e2>, words and </e2>", id="e2 not closed"),
        pytest.param(edited(5, "cells", " "), 5, "expected <e2>, words and </e2>", id="e2 empty"),
        pytest.param(edited(5, "<b>", "<e2>x"), 5, "expected <e2> once, found it twice", id="e2 twice"),
        pytest.param(
            edited(1, "<e1>ice-cream van</e1>", "</e1>ice<e1>"),
            1,
            "expected <e1>, words",
            id="e1 turned round",
        ),
        pytest.param(UNLABELLED, 2, "found another sentence (this file has no labels", id="TEST_FILE.TXT"),
        pytest.param(UNLABELLED, 2, "TEST_FILE_FULL.TXT", id="where labels are"),
    ],
)
def test_broken_files(file, broken, line, expectation):
    path = file(broken)
    with pytest.raises(CorpusError) as caught:
        semeval.read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert expectation in str(caught.value)


def test_split_keeps_order_and_every_sentence():
    train = [LabelledSpans(str(i), ("w",), ()) for i in range(400)]
    kept, held_out = semeval.split(train, 0.25)
    assert sorted(kept + held_out, key=train.index) == train
    assert kept == sorted(kept, key=train.index)
    random.seed(42)  # as jiant's script does, a draw a line
    assert [s in kept for s in train] == [random.random() <= 0.75 for _ in train]
    assert semeval.split(train, 0.25) == (kept, held_out)
    for share in (0, 1, 15):
        with pytest.raises(ValueError, match=f"share must lie between 0 and 1, got {share}"):
            semeval.split(train, share)


@pytest.mark.parametrize("name, n_sentences", [("TRAIN_FILE.TXT", 8_000), ("TEST_FILE_FULL.TXT", 2_717)])
def test_official_files(real_data, name, n_sentences):
    path = real_data("semeval-2010-task8") / name
    sentences = semeval.read(path)
    assert len(sentences) == n_sentences
    text = path.read_bytes().decode("ascii")
    texts = re.findall(r'^(\d+)\t"(.*)"\r$', text, re.M)
    labels = Counter(re.findall(r"^([A-Z]\S+\(e\d,e\d\)|Other)\r$", text, re.M))
    assert labels.total() == n_sentences
    assert len(labels) == 19
    assert set(labels) == set(semeval.LABELS)
    assert Counter(t.labels for s in sentences for t in s.targets) == Counter(
        {(k,): n for k, n in labels.items()}
    )

    tokenise = BertPreTokenizer().pre_tokenize_str
    for sentence, (number, marked) in zip(sentences, texts, strict=True):
        assert sentence.id == number
        [target] = sentence.targets
        for (first, end), tag in ((target.span1, "e1"), (target.span2, "e2")):
            entity = re.search(f"<{tag}>(.*)</{tag}>", marked)[1]
            assert "".join(sentence.words[first:end]) == re.sub(r"\s", "", entity)
        plain = re.sub(r"(?<=\w)(<e\d>)(?=\w)", r" \1", marked)  # the forgotten spaces
        words = [word for word, _ in tokenise(re.sub(r"</?e\d>", "", plain))]
        assert list(sentence.words) == words


def test_split_of_the_official_file(real_data):
    train, dev = semeval.split(semeval.read(real_data("semeval-2010-task8") / "TRAIN_FILE.TXT"))
    # The sizes that Tenney et al. (2019) print.
    assert (len(train), len(dev)) == (6_851, 1_149)
    assert len({t.labels for s in train for t in s.targets}) == 19
    assert len({t.labels for s in dev for t in s.targets}) == 18  # of one label there is one sentence
