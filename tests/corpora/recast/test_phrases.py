"""Projected phrases: hand-worked sentences, and the treebank's gold trees."""

import pytest

from helpers.corpora.recast import phrases
from helpers.corpora.uds import Graph

# A line a word: form, UPOS, XPOS, head, UD v1 relation. Then the phrases that the sentence must have, as
# the Penn Treebank brackets it, and nothing else.
WORKED = {
    "a subject, a copula and a modified noun": (
        """
        The     DET   DT  2 det
        cat     NOUN  NN  5 nsubj
        is      VERB  VBZ 5 cop
        a       DET   DT  5 det
        hunter  NOUN  NN  0 root
        in      ADP   IN  8 case
        the     DET   DT  8 det
        garden  NOUN  NN  5 nmod
        .       PUNCT .   5 punct
        """,
        """
        S: The cat is a hunter in the garden .
        NP: The cat
        VP: is a hunter in the garden
        NP: a hunter in the garden
        NP: a hunter
        PP: in the garden
        NP: the garden
        """,
    ),
    "auxiliaries, an object, an infinitive and a time": (
        """
        She     PRON  PRP 4 nsubj
        has     AUX   VBZ 4 aux
        been    AUX   VBN 4 aux
        trying  VERB  VBG 0 root
        to      PART  TO  6 mark
        sell    VERB  VB  4 xcomp
        two     NUM   CD  9 nummod
        big     ADJ   JJ  9 amod
        houses  NOUN  NNS 6 dobj
        today   NOUN  NN  6 nmod:tmod
        .       PUNCT .   4 punct
        """,
        """
        S: She has been trying to sell two big houses today .
        NP: She
        VP: has been trying to sell two big houses today
        VP: been trying to sell two big houses today
        VP: trying to sell two big houses today
        S: to sell two big houses today
        VP: to sell two big houses today
        VP: sell two big houses today
        NP: two big houses
        NP: today
        """,
    ),
    "a relative clause, a complement and a conjunction": (
        """
        I       PRON  PRP 2 nsubj
        know    VERB  VBP 0 root
        that    SCONJ IN  8 mark
        people  NOUN  NNS 8 nsubj
        who     PRON  WP  6 nsubj
        sing    VERB  VBP 4 acl:relcl
        often   ADV   RB  6 advmod
        laugh   VERB  VBP 2 ccomp
        because SCONJ IN  12 mark
        they    PRON  PRP 12 nsubj
        are     VERB  VBP 12 cop
        happy   ADJ   JJ  8 advcl
        """,
        """
        S: I know that people who sing often laugh because they are happy
        NP: I
        VP: know that people who sing often laugh because they are happy
        SBAR: that people who sing often laugh because they are happy
        S: people who sing often laugh because they are happy
        NP: people who sing often
        NP: people
        WHNP: who
        SBAR: who sing often
        S: sing often
        VP: sing often
        ADVP: often
        VP: laugh because they are happy
        SBAR: because they are happy
        S: they are happy
        NP: they
        VP: are happy
        ADJP: happy
        """,
    ),
    "coordinated verb phrases and bare nouns": (
        """
        He      PRON  PRP 2 nsubj
        bought  VERB  VBD 0 root
        cats    NOUN  NNS 2 dobj
        and     CONJ  CC  3 cc
        dogs    NOUN  NNS 3 conj
        and     CONJ  CC  2 cc
        sold    VERB  VBD 2 conj
        them    PRON  PRP 7 dobj
        .       PUNCT .   2 punct
        """,
        """
        S: He bought cats and dogs and sold them .
        NP: He
        VP: bought cats and dogs and sold them
        VP: bought cats and dogs
        NP: cats and dogs
        VP: sold them
        NP: them
        """,
    ),
    "coordinated clauses and a gerund": (
        """
        It      PRON  PRP 2 nsubj
        rained  VERB  VBD 0 root
        ,       PUNCT ,   2 punct
        but     CONJ  CC  2 cc
        we      PRON  PRP 6 nsubj
        won     VERB  VBD 2 conj
        by      SCONJ IN  8 mark
        running VERB  VBG 6 advcl
        .       PUNCT .   2 punct
        """,
        """
        S: It rained , but we won by running .
        S: It rained
        NP: It
        VP: rained
        S: we won by running
        NP: we
        VP: won by running
        PP: by running
        S: running
        VP: running
        """,
    ),
    "a noun phrase with coordinated modifiers": (
        """
        Very   ADV   RB  2 advmod
        cheap  ADJ   JJ  5 amod
        city   NOUN  NN  4 compound
        centre NOUN  NN  5 compound
        hotels NOUN  NNS 0 root
        and    CONJ  CC  5 cc
        good   ADJ   JJ  8 amod
        food   NOUN  NN  5 conj
        """,
        """
        NP: Very cheap city centre hotels and good food
        NP: Very cheap city centre hotels
        ADJP: Very cheap
        NML: city centre
        NP: good food
        """,
    ),
}


def sentence(table: str) -> Graph:
    rows = [line.split() for line in table.strip().splitlines()]
    words, upos, xpos, heads, deprels = zip(*rows, strict=True)
    return Graph("g", "s", "", words, words, upos, xpos, tuple(map(int, heads)), deprels, (), (), ())


@pytest.mark.parametrize("name", WORKED)
def test_hand_worked_sentences(name):
    table, expected = WORKED[name]
    tree = sentence(table)
    found = [f"{label}: {' '.join(tree.words[first:end])}" for first, end, label in phrases.project(tree)]
    assert sorted(found) == sorted(line.strip() for line in expected.strip().splitlines())


def test_a_crossing_branch_leaves_the_part_around_the_head():
    # "A hearing is scheduled on it": the noun's modifier stands behind the verb.
    tree = sentence("""
        A         DET  DT  2 det
        hearing   NOUN NN  4 nsubjpass
        is        AUX  VBZ 4 auxpass
        scheduled VERB VBN 0 root
        on        ADP  IN  6 case
        it        PRON PRP 2 nmod
        """)
    spans = phrases.project(tree)
    assert (0, 2, "NP") in spans and (4, 6, "PP") in spans
    assert (0, 6, "NP") not in spans


def test_spans_lie_within_the_sentence_and_come_once(real_graphs):
    for graph in real_graphs["dev"]:
        found = phrases.project(graph)
        assert len(set(found)) == len(found)
        assert all(0 <= first < end <= len(graph.words) for first, end, _ in found)


def test_agreement_with_the_gold_trees_is_what_is_documented(real_graphs, real_propbank):
    """Recounted against PropBank's own release of the treebank's constituency trees."""
    graphs = [graph for split in ("dev", "test") for graph in real_graphs[split]]
    compared = 0
    counts = {"spans": [0, 0, 0], "labelled": [0, 0, 0]}
    for graph in graphs:
        gold = real_propbank.get(graph.sentence_id)
        if gold is None or gold.words != graph.words:
            continue
        compared += 1
        projected, true = set(phrases.project(graph)), {s for s in gold.constituents if s[2] != "TOP"}
        for name, ours, theirs in (
            ("spans", {span[:2] for span in projected}, {span[:2] for span in true}),
            ("labelled", projected, true),
        ):
            for i, n in enumerate((len(ours & theirs), len(ours), len(theirs))):
                counts[name][i] += n
    assert compared > 0.97 * len(graphs)
    shares = {name: (both / ours, both / theirs) for name, (both, ours, theirs) in counts.items()}
    assert shares["spans"] == (pytest.approx(0.907, abs=0.005), pytest.approx(0.899, abs=0.005))
    assert shares["labelled"] == (pytest.approx(0.870, abs=0.005), pytest.approx(0.863, abs=0.005))
