"""The SQuAD v1.1 reader and writer: a hand-made article, the real questions, and broken files."""

import copy
import json

import pytest

from helpers.corpora import squad
from helpers.corpora.records import Answer, CorpusError, Question

# The answer stands after characters that take two bytes, and one that takes two units in UTF-16.
CONTEXT = "Zoë 😀 sells tea in Łódź."
CONTENT = {
    "version": "1.1",
    "data": [
        {
            "title": "Tea",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "q1",
                            "question": "What does Zoë sell?",
                            "answers": [
                                {"text": "tea", "answer_start": 12},
                                {"text": "tea", "answer_start": 12},
                            ],
                        },
                        {"id": "q2", "question": "Where?", "answers": [{"text": "Łódź", "answer_start": 19}]},
                    ],
                }
            ],
        }
    ],
}
QUESTIONS = [
    Question("q1", "What does Zoë sell?", CONTEXT, (Answer("tea", 12), Answer("tea", 12)), "Tea"),
    Question("q2", "Where?", CONTEXT, (Answer("Łódź", 19),), "Tea"),
]


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "questions.json"
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content, ensure_ascii=False, indent=1)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_read(file):
    assert squad.read(file(CONTENT)) == QUESTIONS
    assert squad.read(file("\ufeff" + json.dumps(CONTENT))) == QUESTIONS  # with a byte order mark, in escapes


def test_write_gives_the_official_format(tmp_path):
    path = tmp_path / "written.json"
    squad.write(QUESTIONS, path)
    assert json.loads(path.read_text(encoding="utf-8")) == CONTENT


def changed(change):
    content = copy.deepcopy(CONTENT)
    paragraph = content["data"][0]["paragraphs"][0]
    change(content, paragraph, paragraph["qas"])
    return content


@pytest.mark.parametrize(
    "broken, where, expectation",
    [
        pytest.param("", ":1: ", "found an empty file", id="empty"),
        pytest.param(
            json.dumps(CONTENT, ensure_ascii=False).encode("latin-1", "replace"),
            ":1: ",
            "expected UTF-8 text",
            id="latin-1",
        ),
        pytest.param(json.dumps(CONTENT, indent=1)[:-30], ":33: ", "expected JSON", id="cut short"),
        pytest.param(
            '{"version": "1.1", "data": ' + "[" * 3000 + "]" * 3000 + "}",
            ": ",
            "nested too deep",
            id="nested deep",
        ),
        pytest.param(
            json.dumps(CONTENT, indent=1).replace('"answer_start": 19', '"answer_start": ' + "9" * 5000),
            ": ",
            "values in range",
            id="integer of 5,000 digits",
        ),
        pytest.param(
            json.dumps(CONTENT, indent=1).replace("\\ud83d\\ude00", "\\ud83d"),
            ":8: ",
            "half of one (a lone surrogate)",
            id="half an emoji",
        ),
        pytest.param("[]", ": ", "expected a JSON object", id="a list"),
        pytest.param({"version": "1.1", "data": []}, ": ", "expected at least one question", id="no article"),
        pytest.param(
            {"version": "v2.0", "data": []}, ": ", "expected SQuAD version 1.1, found version v2.0", id="v2"
        ),
        pytest.param(
            changed(lambda c, p, q: q[0].update(is_impossible=True, answers=[])),
            ": question q1: ",
            "found 'is_impossible' (version 2)",
            id="unanswerable",
        ),
        pytest.param(
            changed(lambda c, p, q: q[0].update(answers=[])),
            ": question q1: ",
            "expected at least one answer",
            id="no answer",
        ),
        pytest.param(
            changed(lambda c, p, q: q[0]["answers"][1].update(answer_start=13)),
            ": question q1: ",
            "expected the answer 'tea' at answer_start 13, found 'ea '",
            id="offset off by one",
        ),
        # The offset in bytes and the one in UTF-16 units, which other tools write.
        pytest.param(
            changed(lambda c, p, q: q[0]["answers"][1].update(answer_start=16)),
            ": question q1: ",
            "found 'in '",
            id="offset in bytes",
        ),
        pytest.param(
            changed(lambda c, p, q: q[1]["answers"][0].update(answer_start=20)),
            ": question q2: ",
            "found 'ódź.'",
            id="offset in UTF-16 units",
        ),
        pytest.param(
            changed(lambda c, p, q: q[1]["answers"][0].update(answer_start=-5)),
            ": question q2: ",
            "at answer_start -5",
            id="negative offset",
        ),
        pytest.param(
            changed(lambda c, p, q: q[1]["answers"][0].update(answer_start=99)),
            ": question q2: ",
            "in a context of 24 characters",
            id="offset beyond the end",
        ),
        pytest.param(
            changed(lambda c, p, q: q[1]["answers"][0].update(text="")),
            ": question q2: ",
            "expected the answer ''",
            id="empty answer",
        ),
        pytest.param(
            changed(lambda c, p, q: q[1]["answers"][0].update(answer_start="19")),
            ": data[0].paragraphs[0].qas[1].answers[0]: ",
            "expected 'answer_start' to be a whole number",
            id="offset no number",
        ),
        pytest.param(
            changed(lambda c, p, q: q[1].update(id="q1")),
            ": data[0].paragraphs[0].qas[1]: ",
            "expected an id not used before, found 'q1'",
            id="id twice",
        ),
        pytest.param(
            changed(lambda c, p, q: q[1].pop("question")),
            ": data[0].paragraphs[0].qas[1]: ",
            "expected 'question' to be a text, found only id, answers",
            id="no question",
        ),
        pytest.param(
            changed(lambda c, p, q: p.pop("context")),
            ": data[0].paragraphs[0]: ",
            "expected 'context'",
            id="no context",
        ),
        pytest.param(
            changed(lambda c, p, q: c.pop("data")),
            ": top level: ",
            "expected 'data' to be a list",
            id="no data",
        ),
        pytest.param(
            changed(lambda c, p, q: c["data"].append("x")), ": data[1]: ", "expected an object", id="a text"
        ),
    ],
)
def test_broken_files(file, broken, where, expectation):
    path = file(broken)
    with pytest.raises(CorpusError) as caught:
        squad.read(path)
    assert str(caught.value).startswith(f"{path}{where}")
    assert expectation in str(caught.value)


@pytest.mark.parametrize("split, n_articles, n_questions", [("train", 38, 8_652), ("dev", 10, 1_918)])
def test_squad_reduced(real_data, tmp_path, split, n_articles, n_questions):
    path = real_data("squad-reduced") / f"{split}-v1.1.json"
    questions = squad.read(path)
    assert len(questions) == n_questions
    assert len({q.document for q in questions}) == n_articles
    squad.write(questions, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_bytes()) == json.loads(path.read_bytes())
