"""Hand-made sentences that the recast tasks are made from."""

import pytest

from helpers.corpora import uds

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


@pytest.fixture
def graph(make_graph, make_wheel):
    """Function from a sentence to its graph, read out of a wheel."""

    def make(tokens: str, predicates: dict, arguments: dict | None = None) -> uds.Graph:
        key = "ewt-dev-7"
        wheel = make_wheel({"dev": {key: make_graph(key, tokens, predicates, arguments)}}, {key: "email-x"})
        (parsed,) = uds.parse(wheel, "dev")
        return parsed

    return make


@pytest.fixture
def raid() -> str:
    """The guerrillas will kill a cleric in Baghdad."""
    return RAID


@pytest.fixture
def raid_arguments() -> dict[int, dict]:
    """The arguments of the raid's verb with word senses."""
    person, group = "supersense-noun.person", "supersense-noun.group"
    return {
        2: {"span": [1, 2], "wordsense": {person: (1.5, 1), group: (0.1, 1)}},
        6: {"span": [5, 6], "wordsense": {person: (1.4, 1)}},
        8: {},
    }
