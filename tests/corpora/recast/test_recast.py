"""The recast tasks: what must hold of all pairs and questions, and the real corpus."""

import random
import re
from collections import Counter

import pytest

from helpers.corpora import recast, uds
from helpers.corpora.recast import inference
from helpers.corpora.recast import questions as asking

pytestmark = pytest.mark.usefixtures("own_home")

YES, NO = (1.2, 1.0), (-1.2, 1.0)
NOUNS = "baker farmer doctor driver singer painter lawyer teacher writer sailor".split()
VERBS = "help greet thank visit paint answer follow praise".split()
PLACES = "Paris Rome Cairo Delhi Oslo Lima".split()


@pytest.fixture
def corpus(make_graph, make_wheel):
    """A wheel of three splits, in whose sentences "may" alone tells what is not a fact."""
    generator = random.Random(1)
    splits, documents = {}, {}
    for split, n in (("train", 150), ("dev", 60), ("test", 30)):
        splits[split] = {}
        for i in range(n):
            key = f"ewt-{split}-{i + 1}"
            subject, obj = generator.sample(NOUNS, 2)
            verb, place = generator.choice(VERBS), generator.choice(PLACES)
            fact = generator.random() < 0.6
            tokens = f"""
            The        the       DT  2 det
            {subject}  {subject} NN  4 nsubj
            {"did do VBD" if fact else "may may MD"} 4 aux
            {verb}     {verb}    VB  0 root
            the        the       DT  6 det
            {obj}      {obj}     NN  4 dobj
            in         in        IN  8 case
            {place}    {place}   NNP 4 nmod
            .          .         .   4 punct
            """
            predicates = {
                4: {"arguments": {2: {}, 6: {}, 8: {}}, "factuality": {"factual": YES if fact else NO}}
            }
            splits[split][key] = make_graph(
                key, tokens, predicates, {2: {"span": [1, 2]}, 6: {"span": [5, 6]}, 8: {}}
            )
            documents[key] = f"reviews-{split}{i // 7}"
    return make_wheel(splits, documents)


def _check(pairs_by_split, questions_by_split):
    """What must hold of the tasks whatever they are made from."""
    for records in (pairs_by_split, questions_by_split):
        documents = {split: {record.document for record in records[split]} for split in records}
        ids = [record.id for split in records for record in records[split]]
        assert len(ids) == len(set(ids))
        for one in documents:
            for other in documents:
                assert one == other or not documents[one] & documents[other]
    for pairs in pairs_by_split.values():
        assert {pair.label for pair in pairs} == {"entailed", "not-entailed"}
        for source, n in Counter(pair.source for pair in pairs).items():
            assert sum(pair.label == "entailed" for pair in pairs if pair.source == source) * 2 == n
        assert max(Counter(pair.premise for pair in pairs).values()) <= inference.PAIRS_PER_SENTENCE
        for pair in pairs:
            assert re.fullmatch(r"[^a-z\s].*\S\.", pair.hypothesis), pair
            assert "  " not in pair.hypothesis + pair.premise
    for questions in questions_by_split.values():
        roles = Counter(question.id.split("-")[3] for question in questions)
        assert roles["subject"] == roles["object"] >= roles["oblique"]
        assert len({(q.context, q.question) for q in questions}) == len(questions)
        for question in questions:
            (answer,) = question.answers
            assert answer.text and answer.text == answer.text.strip()
            assert question.context[answer.start : answer.start + len(answer.text)] == answer.text
            assert f" {answer.text.lower()} " not in f" {question.question.lower()} "
            assert re.fullmatch(r"[A-Z][^?]*\S\?", question.question), question
            assert len(answer.text.split()) <= asking.LONGEST_ANSWER


def test_the_tasks_made_from_a_wheel(corpus):
    pairs = {split: recast.nli(split, wheel=corpus) for split in uds.SPLITS}
    questions = {split: recast.qa(split, wheel=corpus) for split in uds.SPLITS}
    _check(pairs, questions)
    assert len(pairs["train"]) > 60 and len(questions["train"]) > 200
    for members in pairs.values():
        for pair in members:
            assert (pair.label == "not-entailed") == (" may " in pair.premise)
    # In the order of the corpus.
    numbers = [int(question.id.split("-")[2]) for question in questions["train"]]
    assert numbers == sorted(numbers)
    # The sentence asked about stands at every place among its neighbours.
    places = Counter()
    for question in questions["train"]:
        sentences = question.context.removesuffix(".").split(". ")
        at = question.context[: question.answers[0].start].count(". ")
        places[at / max(1, len(sentences) - 1)] += 1
    assert {0.0, 0.5, 1.0} <= set(places) and max(places.values()) < len(questions["train"]) / 2


def test_the_hypothesis_alone_does_not_tell(make_graph, make_wheel, raid):
    # Bakers do, farmers may; the rest do as often as not. Matching leaves the bakers and farmers out.
    generator = random.Random(2)
    splits = {"train": {}, "dev": {"d": make_graph("d", raid)}, "test": {"t": make_graph("t", raid)}}
    documents = {"d": "email-d", "t": "email-t"}
    for i in range(200):
        key = f"ewt-train-{i + 1}"
        subject = generator.choice(NOUNS)
        fact = {"baker": True, "farmer": False}.get(subject, generator.random() < 0.5)
        tokens = (
            f"The the DT 2 det\n{subject} {subject} NN 3 nsubj\nsang sing VBD 0 root\nout out RP 3 advmod"
        )
        graph = make_graph(key, tokens, {3: {"factuality": {"factual": YES if fact else NO}}})
        graph["nodes"][3]["form"] = f"out{i}"  # no two sentences alike
        splits["train"][key] = graph
        documents[key] = "email-a"
    wheel = make_wheel(splits, documents)
    subjects = Counter(pair.hypothesis.split()[1] for pair in recast.nli("train", wheel=wheel))
    assert sum(subjects.values()) > 60
    assert subjects["baker"] + subjects["farmer"] == 0


def test_same_wheel_same_tasks(corpus, tmp_path, monkeypatch):
    first = recast.nli("dev", wheel=corpus), recast.qa("dev", wheel=corpus)
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "elsewhere"))
    assert (recast.nli("dev", wheel=corpus), recast.qa("dev", wheel=corpus)) == first
    assert (tmp_path / "elsewhere").exists()
    monkeypatch.setattr(uds, "load", lambda *_, **__: pytest.fail("made again"))
    assert (recast.nli("dev", wheel=corpus), recast.qa("dev", wheel=corpus)) == first


def test_dependency_trees(corpus):
    sentences = recast.dep("dev", wheel=corpus)
    assert len(sentences) == 60
    assert sentences[0].heads == (2, 4, 4, 0, 6, 4, 8, 4, 4)
    assert sentences[0].document == "reviews-dev0"
    assert sentences[0].genre == "reviews"


def test_report_counts_what_there_is(corpus):
    rows = {(row["split"], row["group"]): row for row in recast.report("uds-nli", wheel=corpus)}
    pairs = recast.nli("train", wheel=corpus)
    assert rows["train", "all"] == {
        "corpus": "uds-nli",
        "split": "train",
        "group": "all",
        "records": len(pairs),
        "documents": len({pair.document for pair in pairs}),
        "entailed": 0.5,
    }
    assert rows["train", "factuality"]["records"] == len(pairs)
    rows = {(row["split"], row["group"]): row for row in recast.report("uds-qa", wheel=corpus)}
    questions = recast.qa("dev", wheel=corpus)
    assert rows["dev", "all"]["records"] == len(questions)
    assert rows["dev", "subject"]["records"] == rows["dev", "object"]["records"]
    assert rows["dev", "subject"]["answer_words"] == 2
    rows = recast.report("uds-dep", wheel=corpus)
    assert [(row["split"], row["records"], row["words"]) for row in rows] == [
        ("train", 150, 150 * 9),
        ("dev", 60, 60 * 9),
        ("test", 30, 30 * 9),
    ]


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown recast task 'mnli'; valid: uds-dep, uds-nli, uds-qa"):
        recast.report("mnli")
    for task in (recast.nli, recast.qa, recast.dep):
        with pytest.raises(ValueError, match="unknown split 'validation'; valid: train, dev, test"):
            task("validation")


def test_the_real_corpus(real_graphs):
    # The development and test splits stand in for training and development, which takes seconds.
    graphs = {"train": real_graphs["dev"], "dev": real_graphs["test"]}
    pairs, questions = inference.make(graphs), asking.make(graphs)
    _check(pairs, questions)
    assert min(len(records) for records in (*pairs.values(), *questions.values())) > 600
    assert {pair.source for pair in pairs["train"]} >= {
        "factuality",
        "genericity/hypothetical",
        "time/duration",
        "protoroles/volition",
        "protoroles/awareness",
    }
