"""Edge-probing JSON lines: jiant's own examples, round trips, and broken files."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.corpora import conllu, edge_json
from helpers.corpora.records import CorpusError, LabelledSpans, Target

# The examples of jiant's description of the format.
SRL = {
    "text": "Ian ate strawberry ice cream",
    "targets": [
        {"span1": [1, 2], "span2": [0, 1], "label": "A0"},
        {"span1": [1, 2], "span2": [2, 5], "label": "A1", "info": {"height": 2}},
    ],
    "info": {"source": "PropBank", "document_id": "wsj_0001", "sentence_id": 3},
}
CONSTITUENTS = {"text": "Ian  ate", "targets": [{"span1": [0, 2], "label": "S"}]}
SPR = {
    "text": "The main reason is Google",
    "targets": [{"span1": [3, 4], "span2": [0, 3], "label": ["existed_after", "was_used"], "info": {}}],
    "info": {"id": 17, "genre": "reviews"},
    "source": "SPR2",
}


@pytest.fixture
def file(tmp_path):
    """Function that writes rows (or a text, or bytes) to a file and returns its path."""

    def write(content):
        path = tmp_path / "edges.json"
        if isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_read(file):
    assert edge_json.read(file([SRL, CONSTITUENTS, SPR])) == [
        LabelledSpans(
            id="edges-1",
            words=("Ian", "ate", "strawberry", "ice", "cream"),
            targets=(Target((1, 2), (0, 1), ("A0",)), Target((1, 2), (2, 5), ("A1",))),
            document="wsj_0001",
        ),
        LabelledSpans("edges-2", ("Ian", "ate"), (Target((0, 2), None, ("S",)),)),
        LabelledSpans(
            "17",
            ("The", "main", "reason", "is", "Google"),
            (Target((3, 4), (0, 3), ("existed_after", "was_used")),),
            genre="reviews",
        ),
    ]


def test_a_label_given_twice_counts_once(file):
    (sentence,) = edge_json.read(
        file([{"text": "tea", "targets": [{"span1": [0, 1], "label": ["b", "a", "b"]}]}])
    )
    assert sentence.targets == (Target((0, 1), None, ("b", "a")),)


def test_write(tmp_path):
    targets = (Target((0, 1), None, ("A",)), Target((0, 1), (0, 2), ("A", "B")), Target((1, 2), None, ()))
    edge_json.write(tmp_path / "out.json", [LabelledSpans("s1", ("Łódź", "!"), targets, "d1", "news")])
    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    assert "Łódź" in text
    assert json.loads(text) == {
        "text": "Łódź !",
        "targets": [
            {"span1": [0, 1], "label": "A"},
            {"span1": [0, 1], "span2": [0, 2], "label": ["A", "B"]},
            {"span1": [1, 2], "label": []},
        ],
        "info": {"id": "s1", "document_id": "d1", "genre": "news"},
    }


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)


@st.composite
def records(draw):
    words = tuple(draw(st.lists(WORDS, min_size=1, max_size=5)))
    spans = [(first, end) for end in range(1, len(words) + 1) for first in range(end)]
    span = st.sampled_from(spans)
    labels = st.lists(st.text(max_size=5), max_size=3, unique=True).map(tuple)
    target = st.builds(Target, span, st.none() | span, labels)
    targets = tuple(draw(st.lists(target, max_size=4)))
    return LabelledSpans(draw(st.text()), words, targets, draw(st.text()), draw(st.text()))


@settings(max_examples=100, deadline=None)
@given(st.lists(records(), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory, sentences):
    path = tmp_path_factory.getbasetemp() / "round.json"
    edge_json.write(path, sentences)
    assert edge_json.read(path) == sentences


@pytest.mark.parametrize("word", ["", "ice cream", "a\u00a0b", "end\n"])
def test_words_that_the_format_cannot_hold(tmp_path, word):
    path = tmp_path / "out.json"
    with pytest.raises(ValueError, match="sentence s1: expected words without spaces, found"):
        edge_json.write(path, [LabelledSpans("s1", ("an", word), ())])
    assert list(tmp_path.iterdir()) == []  # nothing half-written stays


def changed(**changes):
    row = {**SRL, **changes}
    return [SPR, {key: value for key, value in row.items() if value is not ...}]


def target(**changes):
    item = {**SRL["targets"][0], **changes}
    item = {key: value for key, value in item.items() if value is not ...}
    return changed(targets=[SRL["targets"][1], item])


@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param("", 1, "found an empty file", id="empty"),
        pytest.param(json.dumps(SRL).encode("utf-16"), 1, "expected UTF-8 text", id="utf-16"),
        pytest.param(json.dumps(SRL)[:-9], 1, "expected JSON, found", id="cut short"),
        pytest.param(json.dumps(SRL) + "\n\n" + json.dumps(SRL), 2, "found ''", id="blank line"),
        pytest.param("[1]\n", 1, "expected one JSON object, found '[1]'", id="a list"),
        pytest.param(
            changed(text="w " * 60_000),
            2,
            "expected at most 5,000 words in 'text', found 60,000",
            id="too long",
        ),
        pytest.param(changed(info={"genre": ["x"]}), 2, "expected 'genre' to be a text", id="genre"),
        pytest.param(
            changed(text=...), 2, "expected 'text' to be a text, found only targets, info", id="text"
        ),
        pytest.param(changed(text=["Ian"]), 2, "expected 'text' to be a text, found '[\"Ian\"]'", id="words"),
        pytest.param(changed(text=" "), 2, "expected words in 'text', found none", id="no words"),
        pytest.param(changed(targets=...), 2, "expected 'targets' to be a list, found only", id="targets"),
        pytest.param(changed(info="PropBank"), 2, "expected 'info' to be an object", id="info"),
        pytest.param(
            changed(targets=["A0"]), 2, "targets[0]: expected an object, found '\"A0\"'", id="a text"
        ),
        pytest.param(target(span1=...), 2, "targets[1]: expected 'span1' to be [first, end]", id="no span1"),
        pytest.param(
            target(span1=None), 2, "targets[1]: expected 'span1' to be [first, end]", id="span1 null"
        ),
        pytest.param(target(span1=[1]), 2, "expected 'span1' to be [first, end]", id="one edge"),
        pytest.param(target(span1=[0, True]), 2, "found '[0, true]'", id="true"),
        pytest.param(target(span1=[0.0, 1.0]), 2, "found '[0.0, 1.0]'", id="fractions"),
        pytest.param(target(span1=[2, 2]), 2, "0 <= first < end <= 5, found '[2, 2]'", id="empty span"),
        pytest.param(target(span2=[3, 6]), 2, "0 <= first < end <= 5, found '[3, 6]'", id="beyond the end"),
        pytest.param(target(span2=[-1, 2]), 2, "expected 'span2' to be [first, end]", id="negative"),
        pytest.param(target(label=...), 2, "expected 'label' to be a text or a list", id="no label"),
        pytest.param(target(label=1), 2, "list of texts, found '1'", id="number for a label"),
        pytest.param(target(label=["a", 1]), 2, "list of texts, found '[\"a\", 1]'", id="number in a list"),
    ],
)
def test_broken_files(file, broken, line, expectation):
    path = file(broken)
    with pytest.raises(CorpusError) as caught:
        edge_json.read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert expectation in str(caught.value)


def test_round_trip_of_a_real_corpus(real_data, tmp_path):
    sentences = [
        LabelledSpans(
            s.id,
            s.words,
            tuple(Target((i, i + 1), None, (tag,)) for i, tag in enumerate(s.upos)),
            s.document,
            s.genre,
        )
        for s in conllu.read(real_data("ud-english-ewt") / "en_ewt-ud-dev.conllu")
    ]
    edge_json.write(tmp_path / "ewt.json", sentences)
    assert edge_json.read(tmp_path / "ewt.json") == sentences
    assert len(sentences) == 2_001
