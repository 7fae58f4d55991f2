"""The recast tasks: hand-worked pairs and questions, what must hold of all, and the real corpus."""

import random
import re
from collections import Counter

import pytest

from helpers.corpora import recast, uds

pytestmark = pytest.mark.usefixtures("own_home")

YES, NO, SPLIT, ABSENT = (1.2, 1.0), (-1.2, 1.0), (0.1, 0.6), (0.0, 1.0)

RAID = """
The        the        DT  2 det
guerrillas guerrilla  NNS 4 nsubj
will       will       MD  4 aux
kill       kill       VB  0 root
a          a          DT  6 det
cleric     cleric     NN  4 dobj
in         in         IN  8 case
Baghdad    Baghdad    NNP 4 nmod
.          .          .   4 punct
"""
RAID_ARGUMENTS = {
    2: {"span": [1, 2], "wordsense": {"supersense-noun.person": (1.5, 1), "supersense-noun.group": (0.1, 1)}},
    6: {"span": [5, 6], "wordsense": {"supersense-noun.person": (1.4, 1)}},
    8: {},
}


def _graph(make_graph, make_wheel, tokens, predicates, arguments=None):
    key = "ewt-dev-7"
    wheel = make_wheel({"dev": {key: make_graph(key, tokens, predicates, arguments)}}, {key: "email-x"})
    (graph,) = uds.parse(wheel, "dev")
    return graph


@pytest.fixture
def pairs(make_graph, make_wheel):
    """Function from a sentence to {(source, hypothesis): label}, before balancing."""

    def make(tokens, predicates, arguments=None):
        graph = _graph(make_graph, make_wheel, tokens, predicates, arguments)
        found = [candidate.pair for candidate in recast._candidates(graph)]
        assert len({pair.id for pair in found}) == len(found)
        return {(pair.source, pair.hypothesis): pair.label for pair in found}

    return make


@pytest.fixture
def questions(make_graph, make_wheel):
    """Function from a sentence to {question: answer}, before balancing."""

    def make(tokens, predicates, arguments=None):
        graph = _graph(make_graph, make_wheel, tokens, predicates, arguments)
        return {q.question: q.answers[0].text for q in recast._with_contexts([graph])}

    return make


def test_factuality_becomes_a_statement(pairs):
    wording = ("factuality", "The guerrillas killed a cleric in Baghdad.")
    for rating, label in ((YES, "entailed"), (NO, "not-entailed")):
        predicates = {4: {"arguments": {2: {}, 6: {}, 8: {}}, "factuality": {"factual": rating}}}
        assert pairs(RAID, predicates, RAID_ARGUMENTS) == {wording: label}
    for unclear in (SPLIT, (1.2, 0.8), (0.3, 1.0)):
        predicates = {4: {"factuality": {"factual": unclear}}}
        assert pairs(RAID, predicates, RAID_ARGUMENTS) == {}


def test_hypothetical_needs_the_factuality_raters_to_agree(pairs):
    def made(factual, hypothetical):
        ratings = {"factuality": {"factual": factual}, "genericity": {"pred-hypothetical": hypothetical}}
        found = pairs(RAID, {4: ratings}, RAID_ARGUMENTS)
        return found.get(
            ("genericity/hypothetical", "Killing a cleric in Baghdad is only a possibility here.")
        )

    assert made(NO, YES) == "entailed"
    assert made(YES, NO) == "not-entailed"
    assert made(YES, YES) is None
    assert made(NO, NO) is None
    assert made(SPLIT, YES) is None


@pytest.mark.parametrize(("length", "short"), [("seconds", True), ("minutes", True), ("years", False)])
def test_durations(pairs, length, short):
    ratings = {f"dur-{name}": (-1.5, 1.0) for name in ("seconds", "minutes", "hours", "days", "years")}
    found = pairs(RAID, {4: {"time": ratings | {f"dur-{length}": YES}}}, RAID_ARGUMENTS)
    (((source, hypothesis), label),) = found.items()
    assert source == "time/duration"
    says_short = hypothesis == "Killing a cleric in Baghdad took minutes at most."
    assert says_short or hypothesis == "Killing a cleric in Baghdad went on for months or longer."
    assert label == ("entailed" if says_short == short else "not-entailed")
    assert pairs(RAID, {4: {"time": ratings | {"dur-hours": YES}}}, RAID_ARGUMENTS) == {}
    assert pairs(RAID, {4: {"time": ratings | {f"dur-{length}": (1.2, 0.4)}}}, RAID_ARGUMENTS) == {}


def test_protoroles_of_subject_and_object(pairs):
    tokens = """
    He      he    PRP 3 nsubj
    's      have  VBZ 3 aux
    sold    sell  VBN 0 root
    me      I     PRP 5 nmod:poss
    car     car   NN  3 dobj
    to      to    TO  7 case
    them    they  PRP 3 nmod
    .       .     .   3 punct
    """
    ratings = {"volition": YES, "awareness": SPLIT, "was_for_benefit": (-1.3, 1.0), "sentient": YES}
    of_car = {"volition": ABSENT, "change_of_state": NO, "change_of_location": YES, "instigation": NO}
    predicates = {3: {"arguments": {1: ratings, 5: of_car, 7: {"volition": YES}}}}
    assert pairs(tokens, predicates, {1: {}, 5: {"span": [4, 5]}, 7: {}}) == {
        ("protoroles/volition", "He chose to sell me car to them."): "entailed",
        ("protoroles/was_for_benefit", "He benefited from selling me car to them."): "not-entailed",
        ("protoroles/volition", "Me car chose to be sold to them."): "not-entailed",
        ("protoroles/change_of_state", "Me car changed as a result of being sold to them."): "not-entailed",
        (
            "protoroles/change_of_location",
            "Me car moved from one place to another while being sold to them.",
        ): ("entailed"),
        ("protoroles/instigation", "Me car was responsible for being sold to them."): "not-entailed",
    }


def test_a_passive_in_the_present(pairs):
    tokens = """
    We      we     PRP 3 nsubjpass
    are     be     VBP 3 auxpass
    paid    pay    VBN 0 root
    weekly  weekly RB  3 advmod
    .       .      .   3 punct
    """
    predicates = {3: {"arguments": {1: {"awareness": YES}}, "factuality": {"factual": YES}}}
    assert pairs(tokens, predicates, {1: {}}) == {
        ("factuality", "We are paid weekly."): "entailed",
        ("protoroles/awareness", "We are aware of being paid weekly."): "entailed",
    }


def test_negation_and_polarity_words_are_kept_out(pairs):
    factual = {"factuality": {"factual": YES}}
    tokens = "I I PRP 4 nsubj\ndid do VBD 4 aux\nn't not RB 4 neg\nbuy buy VB 0 root\nit it PRP 4 dobj"
    assert pairs(tokens, {4: factual}) == {}
    tokens = "If if IN 3 mark\nyou you PRP 3 nsubj\nbuy buy VBP 0 root\nany any DT 5 det\ntea tea NN 3 dobj"
    assert pairs(tokens, {3: factual}) == {}
    tokens = "If if IN 3 mark\nyou you PRP 3 nsubj\nbuy buy VBP 0 root\nthe the DT 5 det\ntea tea NN 3 dobj"
    assert pairs(tokens, {3: factual}) == {("factuality", "You buy the tea."): "entailed"}


def test_questions_for_every_argument(questions):
    predicates = {4: {"arguments": {2: {}, 6: {}, 8: {}}}}
    assert questions(RAID, predicates, RAID_ARGUMENTS) == {
        "Who will kill a cleric in Baghdad?": "The guerrillas",
        "Who will the guerrillas kill in Baghdad?": "a cleric",
        "Where will the guerrillas kill a cleric?": "Baghdad",
    }


def test_agreement_and_do_support(questions):
    tokens = """
    The     the    DT  3 det
    old     old    JJ  3 amod
    dogs    dog    NNS 4 nsubj
    chase   chase  VBP 0 root
    cats    cat    NNS 4 dobj
    after   after  IN  7 case
    lunch   lunch  NN  4 nmod
    """
    made = questions(
        tokens, {4: {"arguments": {3: {}, 5: {}, 7: {}}}}, {3: {"span": [1, 2, 3]}, 5: {}, 7: {}}
    )
    assert made == {
        "What chases cats after lunch?": "The old dogs",
        "What do the old dogs chase after lunch?": "cats",
        "After what do the old dogs chase cats?": "lunch",
    }


def test_questions_on_a_negated_past(questions):
    tokens = """
    Dr.     Dr.    NNP 2 compound
    Smith   Smith  NNP 5 nsubj
    did     do     VBD 5 aux
    n't     not    RB  5 neg
    answer  answer VB  0 root
    my      my     PRP$ 7 nmod:poss
    letter  letter NN  5 dobj
    on      on     IN  9 case
    Monday  Monday NNP 5 nmod
    """
    made = questions(
        tokens, {5: {"arguments": {2: {}, 7: {}, 9: {}}}}, {2: {"span": [1, 2]}, 7: {"span": [6, 7]}, 9: {}}
    )
    assert made == {
        "Who did not answer my letter on Monday?": "Dr. Smith",
        "What did Dr. Smith not answer on Monday?": "my letter",
        "When did Dr. Smith not answer my letter?": "Monday",
    }


def test_questions_on_copulas_imperatives_and_infinitives(questions):
    copula = """
    The     the      DT  2 det
    staff   staff    NN  5 nsubj
    are     be       VBP 5 cop
    always  always   RB  5 advmod
    kind    kind     JJ  0 root
    to      to       TO  7 case
    guests  guest    NNS 5 nmod
    """
    assert questions(copula, {5: {"arguments": {2: {}, 7: {}}}}, {2: {"span": [1, 2]}, 7: {}}) == {
        "Who is always kind to guests?": "The staff"
    }
    imperative = """
    Please  please   UH  2 discourse
    send    send     VB  0 root
    the     the      DT  4 det
    letters letter   NNS 2 dobj
    to      to       TO  6 case
    Mary    Mary     NNP 2 nmod
    """
    assert questions(imperative, {2: {"arguments": {4: {}, 6: {}}}}, {4: {"span": [3, 4]}, 6: {}}) == {
        "What should you send to Mary?": "the letters",
        "To whom or what should you send the letters?": "Mary",
    }
    infinitive = """
    She     she      PRP 2 nsubj
    hopes   hope     VBZ 0 root
    to      to       TO  4 mark
    visit   visit    VB  2 xcomp
    the     the      DT  6 det
    museum  museum   NN  4 dobj
    """
    predicates = {2: {"arguments": {1: {}}}, 4: {"arguments": {1: {}, 6: {}}}}
    assert questions(infinitive, predicates, {1: {}, 6: {"span": [5, 6]}}) == {
        "What does she hope to visit?": "the museum"
    }


def test_pronouns_and_given_away_answers_are_not_asked_for(questions):
    tokens = "It it PRP 2 nsubj\nhit hit VBD 0 root\nher she PRP 2 dobj\nin in IN 5 case\nMay May NNP 2 nmod"
    arguments = {1: {}, 3: {}, 5: {}}
    assert questions(tokens, {2: {"arguments": {1: {}, 3: {}, 5: {}}}}, arguments) == {
        "When did it hit her?": "May"
    }
    # "What did tea replace?" would be answered by "tea" as well.
    tokens = "Tea tea NN 2 nsubj\nreplaced replace VBD 0 root\ntea tea NN 2 dobj"
    assert questions(tokens, {2: {"arguments": {1: {}, 3: {}}}}, {1: {}, 3: {}}) == {}


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
        assert max(Counter(pair.premise for pair in pairs).values()) <= recast.PAIRS_PER_SENTENCE
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
            assert len(answer.text.split()) <= recast.LONGEST_ANSWER


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


def test_the_hypothesis_alone_does_not_tell(make_graph, make_wheel):
    # Bakers do, farmers may; the rest do as often as not. Matching leaves the bakers and farmers out.
    generator = random.Random(2)
    splits = {"train": {}, "dev": {"d": make_graph("d", RAID)}, "test": {"t": make_graph("t", RAID)}}
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


def test_samples(corpus):
    sample = recast.samples("uds-qa", 9, wheel=corpus)
    assert sample == recast.samples("uds-qa", 9, wheel=corpus) != recast.samples("uds-qa", 9, 1, wheel=corpus)
    assert len({row["id"] for row in sample}) == 9
    known = {question.id: question for question in recast.qa("train", wheel=corpus)}
    for row in sample:
        assert known[row["id"]].question == row["question"]
        assert row["answer"] in row["context"]
    pairs = recast.samples("uds-nli", 10_000, wheel=corpus, split="dev")
    assert {row["id"] for row in pairs} == {pair.id for pair in recast.nli("dev", wheel=corpus)}
    assert len(recast.samples("uds-dep", 3, wheel=corpus)) == 3


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown recast task 'mnli'; valid: uds-dep, uds-nli, uds-qa"):
        recast.report("mnli")
    with pytest.raises(ValueError, match="unknown recast task 'mnli'"):
        recast.samples("mnli")
    for task in (recast.nli, recast.qa, recast.dep):
        with pytest.raises(ValueError, match="unknown split 'validation'; valid: train, dev, test"):
            task("validation")


def test_the_real_corpus(real_graphs):
    # The development and test splits stand in for training and development, which takes seconds.
    graphs = {"train": real_graphs["dev"], "dev": real_graphs["test"]}
    pairs, questions = recast._make_pairs(graphs), recast._make_questions(graphs)
    _check(pairs, questions)
    assert min(len(records) for records in (*pairs.values(), *questions.values())) > 600
    assert {pair.source for pair in pairs["train"]} >= {
        "factuality",
        "genericity/hypothetical",
        "time/duration",
        "protoroles/volition",
        "protoroles/awareness",
    }
