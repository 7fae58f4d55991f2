"""Corpora of one's own, by name and folder: a treebank in another language, pairs, questions and text."""

import json
from collections import Counter

import pytest

from helpers import corpora
from helpers.corpora import edges
from helpers.corpora.records import CorpusError, Pair, Passage

# A sentence of a made-up Slovene treebank: multiword tokens, subtypes of relations, no tags of its own.
ROWS = (
    "1\t{0}\tkdo\tPRON\t{1}\t_\t2\tnsubj\t_\t_",
    "2-3\tvidiga\t_\t_\t_\t_\t_\t_\t_\t_",
    "2\tvidi\tvideti\tVERB\t{1}\t_\t0\troot\t_\t_",
    "3\tga\ton\tPRON\t{1}\t_\t2\tobl:arg\t_\t_",
    "4\t.\t.\tPUNCT\t{1}\t_\t2\tpunct\t_\t_",
)


def sentence(name: str, word: str = "Čuden", xpos: str = "_", comments: str = "") -> str:
    rows = "\n".join(ROWS).format(word, xpos)
    return f"# newdoc id = sl-{name}\n{comments}# sent_id = sl-{name}.1\n{rows}\n\n"


@pytest.fixture(autouse=True)
def store(own_home):
    """The test's own."""


@pytest.fixture
def treebank(tmp_path):
    """Function that writes a treebank's folder, from the text of each file."""

    def write(**files: str):
        for name, text in files.items():
            (tmp_path / f"sl_made-ud-{name.replace('_', '-')}.conllu").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_treebank_in_another_language(treebank):
    folder = treebank(train=sentence("a"), dev=sentence("b"), test=sentence("c"))
    for split, name in (("train", "a"), ("dev", "b"), ("test", "c")):
        (record,) = corpora.load("ud:slovene-made", split, path=folder)
        assert record.words == ("Čuden", "vidi", "ga", ".") and record.id == f"sl-{name}.1"
        assert record.deprels == ("nsubj", "root", "obl:arg", "punct") and record.genre == ""
    assert corpora.load("ud:x", "dev", path=folder / "sl_made-ud-dev.conllu")[0].id == "sl-b.1"
    assert corpora.fingerprint("ud:slovene-made", folder) == corpora.fingerprint("ud:x", folder)
    (row,) = corpora.describe(["ud:slovene-made"])
    assert row["name"] == "ud:slovene-made" and row["present"] is None


def test_genres_where_a_treebank_has_them(treebank):
    genres = treebank(
        dev=sentence("b", comments="# meta::genre = legal\n") + sentence("c", comments="# genre = poetry\n")
    )
    assert [s.genre for s in corpora.load("ud:x", "dev", path=genres)] == ["legal", "poetry"]


def test_a_split_in_parts_and_other_names(treebank, tmp_path):
    folder = treebank(train_l=sentence("a"), train_m=sentence("b"))
    assert [s.id for s in corpora.load("ud:x", "train", path=folder)] == ["sl-a.1", "sl-b.1"]
    other = tmp_path / "other"
    other.mkdir()
    for name in ("train", "latest_dev", "my.test"):
        (other / f"{name}.conllu").write_text(sentence(name), encoding="utf-8")
    for split, name in (("train", "train"), ("dev", "latest_dev"), ("test", "my.test")):
        assert [s.id for s in corpora.load("ud:x", split, path=other)] == [f"sl-{name}.1"]


def test_a_folder_with_several_treebanks_is_refused(treebank):
    folder = treebank(dev=sentence("a"))
    (folder / "hr_made-ud-dev.conllu").write_text(sentence("b"), encoding="utf-8")
    with pytest.raises(
        ValueError, match="one file for ud:x .dev., found hr_made-ud-dev.conllu, sl_made-ud-dev"
    ):
        corpora.load("ud:x", "dev", path=folder)


def test_another_treebank_is_not_taken_for_ewt(treebank):
    folder = treebank(dev=sentence("a"))
    with pytest.raises(FileNotFoundError, match="another treebank has a name of its own, such as ud:NAME"):
        corpora.load("ud-ewt", "dev", path=folder)


def test_parts_of_speech_without_tags_of_its_own_are_uds(treebank, said):
    """Where one split has none, no split's are taken: it would be two tag sets."""
    folder = treebank(train=sentence("a", xpos="Px"), dev=sentence("b", xpos="Px"), test=sentence("c"))
    paths = {"ud:slovene": folder}
    assert edges.tasks("ud:slovene", paths) == ("POS", "Dependencies")
    for split in edges.SPLITS:
        (record,) = edges.load("POS", split, "ud:slovene", paths=paths)
        assert [t.labels for t in record.targets] == [("PRON",), ("VERB",), ("PRON",), ("PUNCT",)]
    assert said == [
        f"ud:slovene ({split}): no tags in the column XPOS; POS has those of UPOS instead"
        for split in edges.SPLITS
    ]
    (record,) = edges.load("Dependencies", "dev", "ud:slovene", paths=paths)
    assert [t.labels for t in record.targets] == [("nsubj",), ("root",), ("obl:arg",), ("punct",)]


def test_single_words_without_a_tag_are_left_out_and_counted(treebank, said):
    tagged = sentence("b", xpos="Px").replace("ga\ton\tPRON\tPx", "ga\ton\tPRON\t_")
    folder = treebank(train=sentence("a", xpos="Px"), dev=tagged, test=sentence("c", xpos="Px"))
    (record,) = edges.load("POS", "dev", "ud:slovene", paths={"ud:slovene": folder})
    assert [(t.span1, t.labels) for t in record.targets] == [((i, i + 1), ("Px",)) for i in (0, 1, 3)]
    assert said == ["ud:slovene (dev): 1 words without a part of speech left out of POS"]


def test_the_suite_of_a_treebank_needs_its_folder():
    assert edges.tasks("ud:slovene", {}) == ()
    with pytest.raises(
        ValueError, match=r'POS needs local folders .ud:slovene .*paths=\{"ud:slovene": <folder>\}'
    ):
        edges.load("POS", "dev", "ud:slovene")
    with pytest.raises(ValueError, match="unknown suite 'nli:x'; valid: uds, open, ontonotes, json, ud:NAME"):
        edges.tasks("nli:x")


SNLI = {
    "captionID": "3.jpg#4", "gold_label": "entailment", "pairID": "3.jpg#4r1e",
    "sentence1": "Ein Mann sitzt.", "sentence2": "Jemand sitzt.",
}  # fmt: skip


@pytest.mark.parametrize("file", ["snli_1.0_dev.jsonl", "dev.jsonl", "xnli-dev_matched.jsonl", "valid.jsonl"])
def test_inference_pairs(tmp_path, file):
    (tmp_path / file).write_text(json.dumps(SNLI) + "\n")
    (tmp_path / "snli_1.0_train.jsonl").write_text("not read")
    expected = [Pair("3.jpg#4r1e", "Ein Mann sitzt.", "Jemand sitzt.", "entailment", document="3.jpg#4")]
    assert corpora.load("nli:snli", "dev", path=tmp_path) == expected


def test_official_folders_with_several_forms_of_the_same_pairs(tmp_path):
    """JSONL comes before columns, and MultiNLI's matched part is dev."""
    (tmp_path / "multinli_1.0_dev_matched.jsonl").write_text(json.dumps(SNLI | {"pairID": "1"}) + "\n")
    for other in ("multinli_1.0_dev_mismatched.jsonl", "multinli_1.0_dev_matched.txt", "snli_1.0_train.txt"):
        (tmp_path / other).write_text("not read")
    assert [pair.id for pair in corpora.load("nli:mine", "dev", path=tmp_path)] == ["1"]
    (tmp_path / "snli_1.0_train.txt").write_text("gold_label\tsentence1\tsentence2\nneutral\tA\tB\n")
    assert corpora.load("nli:mine", "train", path=tmp_path) == [Pair("snli_1.0_train-2", "A", "B", "neutral")]


def test_questions(tmp_path):
    """As GermanQuAD and FQuAD write them: numbers for ids, answerability that is always yes, no version."""
    context = "Zoë trinkt Tee."
    answers = [{"text": "Tee", "answer_start": 11, "answer_id": 1}]
    asked = {"id": 44358, "question": "Was?", "answers": answers, "is_impossible": False}
    content = {"data": [{"paragraphs": [{"context": context, "qas": [asked], "document_id": 5}]}]}
    (tmp_path / "GermanQuAD_test.json").write_text(json.dumps(content))
    (tmp_path / "valid.json").write_text(json.dumps(content))
    for split in ("dev", "test"):
        (question,) = corpora.load("squad:german", split, path=tmp_path)
        assert (question.id, question.answers[0].text, question.document) == ("44358", "Tee", "")
    asked["is_impossible"] = True
    (tmp_path / "valid.json").write_text(json.dumps(content))
    with pytest.raises(
        CorpusError, match="question 44358: expected SQuAD version 1.1, found 'is_impossible'"
    ):
        corpora.load("squad:german", "dev", path=tmp_path)


def test_text(tmp_path):
    (tmp_path / "novel.txt").write_text("Das ist Tee.\n", encoding="utf-8")
    assert corpora.load("text:novels", "all", path=tmp_path) == [
        Passage("novel-1.1", "Das ist Tee.", "novel-1")
    ]
    assert "text:novels" in corpora.TEXTS and "ud:novels" not in corpora.TEXTS


@pytest.mark.parametrize(
    "name", ["ud:", "ud", "pos:x", "ud:a b", "ud:a/b", "ud:../x", "nli:" + "x" * 65, "ud:x\n"]
)
def test_names_that_are_none(name):
    assert name not in corpora.NAMES
    with pytest.raises(
        ValueError, match="unknown corpus .*valid: ud-ewt.*ud:NAME, nli:NAME, squad:NAME, text:NAME"
    ):
        corpora.named(name)


def test_every_name_is_listed_once():
    assert Counter(corpora.NAMES) == Counter(
        [*corpora.CORPORA, "ud:NAME", "nli:NAME", "squad:NAME", "text:NAME"]
    )
    assert len(corpora.NAMES) == len(list(corpora.NAMES)) and list(corpora.TEXTS) == [
        "wikipedia",
        "text",
        "text:NAME",
    ]
    with pytest.raises(ValueError, match="ud:x cannot be downloaded; give a local folder with"):
        corpora.load("ud:x", "dev")
