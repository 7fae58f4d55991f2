"""A sentence's dependency tree, with what the rules of this room ask of it. Positions count from 1."""

from collections.abc import Collection, Iterable

from helpers.corpora.uds import Graph


class Tree:
    """A UD v1 tree. ``children[0]`` is the root alone, ``first`` the first word that is no punctuation."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.children: list[list[int]] = [[] for _ in range(len(graph.words) + 1)]
        for position, head in enumerate(graph.heads, 1):
            self.children[head].append(position)
        self.first = next((i for i, word in enumerate(graph.words, 1) if word[0].isalnum()), 0)
        self._universal = [relation.partition(":")[0] for relation in graph.deprels]
        self._subtrees: dict[int, list[int]] = {}

    def head(self, position: int) -> int:
        return self.graph.heads[position - 1]

    def relation(self, position: int) -> str:
        return self.graph.deprels[position - 1]

    def universal(self, position: int) -> str:
        """The relation without its subtype."""
        return self._universal[position - 1]

    def tag(self, position: int) -> str:
        return self.graph.xpos[position - 1]

    def upos(self, position: int) -> str:
        return self.graph.upos[position - 1]

    def word(self, position: int) -> str:
        return self.graph.words[position - 1]

    def lower(self, position: int) -> str:
        return self.word(position).lower()

    def dependents(self, head: int, relations: Collection[str]) -> list[int]:
        """The words whose head this is, by their relations without subtypes."""
        return [child for child in self.children[head] if self._universal[child - 1] in relations]

    def subtree(self, position: int) -> list[int]:
        """The positions of a word and of all below it."""
        if position not in self._subtrees:
            self._subtrees[position] = self.without(position, ())
        return self._subtrees[position]

    def without(self, position: int, leaving: Collection[int]) -> list[int]:
        """The subtree of a word without the subtrees of ``leaving``."""
        kept, waiting = [], [position]
        while waiting:
            at = waiting.pop()
            kept.append(at)
            waiting += [child for child in self.children[at] if child not in leaving]
        return sorted(kept)

    def child_towards(self, ancestor: int, position: int) -> int:
        """The child of ``ancestor`` whose subtree holds a position; 0 if none does."""
        while position and self.head(position) != ancestor:
            position = self.head(position)
        return position


def unbroken(position: int, allowed: Iterable[int]) -> tuple[int, int]:
    """First and last of the unbroken run of ``allowed`` positions around one of them."""
    allowed = set(allowed)
    first = last = position
    while first - 1 in allowed:
        first -= 1
    while last + 1 in allowed:
        last += 1
    return first, last
