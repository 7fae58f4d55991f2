"""What several formats are checked with: cycles of heads against networkx, brackets against a plain stack."""

import networkx
from hypothesis import given
from hypothesis import strategies as st

from helpers.corpora.files import Brackets, cycle

HEADS = st.integers(1, 8).flatmap(lambda n: st.lists(st.integers(0, n), min_size=n, max_size=n))


@given(HEADS)
def test_a_cycle_is_one_of_the_graphs_and_none_is_missed(heads):
    graph = networkx.DiGraph((i, head) for i, head in enumerate(heads, 1) if head)
    cycles = [frozenset(nodes) for nodes in networkx.simple_cycles(graph)]
    circle = cycle(heads)
    assert (frozenset(circle) in cycles) if circle else not cycles
    for at, following in zip(circle, [*circle[1:], *circle[:1]], strict=True):
        assert heads[at - 1] == following


@given(st.lists(st.sampled_from("ab") | st.just(")"), max_size=12))
def test_brackets_of_one_key_nest(text):
    brackets, stack, expected = Brackets(), [], {}
    for word, sign in enumerate(text):
        if sign == ")":
            assert brackets.close(word) == bool(stack)
            if stack:
                expected[stack.pop()] = word + 1
        else:
            brackets.open(word, sign)
            stack.append(word)
    assert brackets.unclosed() == [(word, text[word]) for word in stack]
    assert [span for span in brackets.spans() if span[1]] == [
        (first, end, text[first]) for first, end in sorted(expected.items())
    ]


def test_brackets_of_two_keys_may_cross():
    brackets = Brackets()
    brackets.open(0, "x", key="1")
    brackets.open(1, "y", key="2")
    assert brackets.close(2, key="1") and brackets.close(3, key="2") and not brackets.close(4, key="2")
    assert brackets.spans() == ((0, 3, "x"), (1, 4, "y"))
