"""uds-nli: hand-worked pairs."""

import pytest

from helpers.corpora.recast import inference

YES, NO, SPLIT, ABSENT = (1.2, 1.0), (-1.2, 1.0), (0.1, 0.6), (0.0, 1.0)


@pytest.fixture
def pairs(graph):
    """Function from a sentence to {(source, hypothesis): label}, before balancing."""

    def make(tokens, predicates, arguments=None):
        made = [candidate.pair for candidate in inference._candidates(graph(tokens, predicates, arguments))]
        assert len({pair.id for pair in made}) == len(made)
        return {(pair.source, pair.hypothesis): pair.label for pair in made}

    return make


def test_factuality_becomes_a_statement(pairs, raid, raid_arguments):
    wording = ("factuality", "The guerrillas killed a cleric in Baghdad.")
    for rating, label in ((YES, "entailed"), (NO, "not-entailed")):
        predicates = {4: {"arguments": {2: {}, 6: {}, 8: {}}, "factuality": {"factual": rating}}}
        assert pairs(raid, predicates, raid_arguments) == {wording: label}
    for unclear in (SPLIT, (1.2, 0.8), (0.3, 1.0)):
        predicates = {4: {"factuality": {"factual": unclear}}}
        assert pairs(raid, predicates, raid_arguments) == {}


def test_hypothetical_needs_the_factuality_raters_to_agree(pairs, raid, raid_arguments):
    def made(factual, hypothetical):
        ratings = {"factuality": {"factual": factual}, "genericity": {"pred-hypothetical": hypothetical}}
        found = pairs(raid, {4: ratings}, raid_arguments)
        return found.get(
            ("genericity/hypothetical", "Killing a cleric in Baghdad is only a possibility here.")
        )

    assert made(NO, YES) == "entailed"
    assert made(YES, NO) == "not-entailed"
    assert made(YES, YES) is None
    assert made(NO, NO) is None
    assert made(SPLIT, YES) is None


@pytest.mark.parametrize(("length", "short"), [("seconds", True), ("minutes", True), ("years", False)])
def test_durations(pairs, length, short, raid, raid_arguments):
    ratings = {f"dur-{name}": (-1.5, 1.0) for name in ("seconds", "minutes", "hours", "days", "years")}
    found = pairs(raid, {4: {"time": ratings | {f"dur-{length}": YES}}}, raid_arguments)
    (((source, hypothesis), label),) = found.items()
    assert source == "time/duration"
    says_short = hypothesis == "Killing a cleric in Baghdad took minutes at most."
    assert says_short or hypothesis == "Killing a cleric in Baghdad went on for months or longer."
    assert label == ("entailed" if says_short == short else "not-entailed")
    assert pairs(raid, {4: {"time": ratings | {"dur-hours": YES}}}, raid_arguments) == {}
    assert pairs(raid, {4: {"time": ratings | {f"dur-{length}": (1.2, 0.4)}}}, raid_arguments) == {}


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
