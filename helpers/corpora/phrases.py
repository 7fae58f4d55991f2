"""Phrases read off a dependency tree: constituents for a treebank that has none.

:func:`project` takes UD v1 trees of English to spans with Penn labels, by rules alone. The rules follow
how the Penn Treebank brackets English, as far as a dependency tree tells:

* a word's phrase is the contiguous part of what depends on it, without punctuation at its edges: a noun's
  is an NP (with prepositions a PP, and the NP in it), an adjective's ADJP, an adverb's ADVP. Modifiers
  after the head and further conjuncts enclose a smaller phrase without them, as in
  (NP (NP the cat) (PP in (NP the hat)))
* a clause is an S, with a conjunction or relative pronoun before it, or as a complement, an SBAR. In it a
  VP starts at each auxiliary, at *to* and at the verb, and ends where the clause does
* words that belong to others form none: determiners, auxiliaries, single adjectives before a noun ...

Held against the treebank's gold trees, which PropBank's release has, on the development and test parts of
UDS: 91 % of the projected spans are constituents, and 90 % of the constituents' spans are found; 87 % and
86 % with the label. S, VP, PP and SBAR are the surest (92 to 97 % of their spans), ADJP the least (68 %).

Questions (SQ, SBARQ), fragments (FRAG), coordinations of unlike phrases (UCP) and other rare labels are not
told apart from these. Where a clause lacks a subject its S and VP are one span with two labels.
"""

from collections.abc import Iterable, Iterator

from helpers.corpora.records import Sentence
from helpers.corpora.uds import Graph

Phrase = tuple[int, int, str]  # first word, counted from 0; end, exclusive; label

_SUBJECTS = {"nsubj", "nsubjpass", "csubj", "csubjpass", "expl"}
_AUXILIARIES = {"aux", "auxpass", "cop"}
# Relations of words that are part of another word's phrase and head none themselves.
_FUNCTION = _AUXILIARIES | {
    "case", "mark", "det", "cc", "punct", "neg", "mwe", "name", "goeswith", "foreign", "reparandum",
}  # fmt: skip
# Relations in which a verb without subject or auxiliary is a word's modifier rather than a clause.
_NOT_CLAUSAL = {"amod", "compound", "advmod", "nmod", "dobj", "nsubj", "dep", "list", "appos"}
_NOMINAL = {"nsubj", "nsubjpass", "dobj", "iobj", "nmod", "appos", "vocative", "expl", "dislocated"}
_AFTER_HEAD = {"nmod", "acl", "appos", "advcl", "ccomp", "parataxis"}
# What a predicate that is no verb has as the head of its clause, not of its own phrase.
_OF_THE_CLAUSE = (_SUBJECTS | _AUXILIARIES) | {
    "mark", "neg", "advcl", "parataxis", "discourse", "vocative", "punct", "dislocated",
}  # fmt: skip
_WH = {"WDT": "WHNP", "WP": "WHNP", "WRB": "WHADVP"}


def project(sentence: Sentence | Graph) -> list[Phrase]:
    """The projected phrases of a sentence with UD v1 relations and Penn tags, by position, each once."""
    tree = _Tree(sentence)
    found: set[Phrase] = set()
    for head in range(len(sentence.words)):
        if tree.relations[head] in _FUNCTION or tree.is_punctuation(head):
            continue
        rules = _clause if _is_clause(tree, head) else _phrase
        found.update((first, end, label) for first, end, label in rules(tree, head) if first < end)
    return sorted(found)


class _Tree:
    """A dependency tree. Positions count from 0; relations are without subtypes."""

    def __init__(self, sentence: Sentence | Graph):
        self.upos, self.xpos = sentence.upos, sentence.xpos
        self.full_relations = sentence.deprels
        self.relations = [relation.partition(":")[0] for relation in sentence.deprels]
        self.heads = [head - 1 for head in sentence.heads]
        self.children: list[list[int]] = [[] for _ in sentence.words]
        for word, head in enumerate(self.heads):
            if head >= 0:
                self.children[head].append(word)
        self.covered = [{word} for word in range(len(sentence.words))]  # the word and all below it
        for word in range(len(sentence.words)):
            above = self.heads[word]
            while above >= 0:
                self.covered[above].add(word)
                above = self.heads[above]

    def is_punctuation(self, word: int) -> bool:
        return self.upos[word] == "PUNCT" or self.relations[word] == "punct"

    def children_by(self, head: int, relations: set[str]) -> list[int]:
        return [child for child in self.children[head] if self.relations[child] in relations]

    def starts(self, words: Iterable[int]) -> list[int]:
        """Where the subtrees of these words begin."""
        return [min(self.covered[word]) for word in words]

    def stretch(self, head: int, words: Iterable[int]) -> tuple[int, int]:
        """The unbroken run of ``words`` around ``head``, less punctuation at its edges: first, end."""
        allowed = set(words)
        first = last = head
        while first - 1 in allowed:
            first -= 1
        while last + 1 in allowed:
            last += 1
        while first < head and self.is_punctuation(first):
            first += 1
        while last > head and self.is_punctuation(last):
            last -= 1
        return first, last + 1

    def conjuncts(self, head: int) -> list[int]:
        return [child for child in self.children_by(head, {"conj"}) if child > head]

    def coordination(self, head: int) -> int:
        """Where the first conjunct, which ``head`` heads, gives way to a conjunction or the second."""
        return min(self.starts(child for child in self.children_by(head, {"conj", "cc"}) if child > head))


def _is_clause(tree: _Tree, head: int) -> bool:
    if tree.children_by(head, _SUBJECTS | _AUXILIARIES):
        return True
    verb = tree.xpos[head].startswith("VB") or tree.xpos[head] == "MD"
    return verb and tree.relations[head] not in _NOT_CLAUSAL


def _clause(tree: _Tree, head: int) -> Iterator[Phrase]:
    relation, covered = tree.relations[head], tree.covered[head]
    asides = tree.starts(child for child in tree.children_by(head, {"parataxis"}) if child > head)
    first, end = tree.stretch(
        head, (word for word in covered if word < min(asides, default=max(covered) + 1))
    )
    inner, outer = (first, "") if relation == "root" else _opening(tree, head, first)
    if outer:
        yield first, end, outer
    if inner == first + 1 and tree.xpos[first] in _WH:
        yield first, inner, _WH[tree.xpos[first]]

    subjects = [s for s in tree.children_by(head, _SUBJECTS) if inner <= s < head]
    conjuncts = tree.conjuncts(head)
    if subjects or relation != "conj":
        whole = relation == "root" and not asides  # a sentence has its full stop
        yield (min(covered), max(covered) + 1, "S") if whole else (inner, end, "S")
    first_conjunct_end = end
    if conjuncts:
        first_conjunct_end = tree.stretch(head, range(inner, tree.coordination(head)))[1]
    if any(tree.children_by(conjunct, _SUBJECTS) for conjunct in conjuncts):
        # Clauses are coordinated, not verb phrases.
        end = first_conjunct_end
        yield inner, end, "S"

    after_subject = max((max(tree.covered[s]) + 1 for s in subjects), default=inner)
    start = after_subject if after_subject <= head else inner
    openers = [w for w in tree.children_by(head, _AUXILIARIES | {"mark"}) if start <= w < head]
    openers = [w for w in openers if tree.relations[w] != "mark" or tree.xpos[w] == "TO"]
    for opener in openers:
        yield opener, end, "VP"
    start = max(openers, default=start - 1) + 1
    if tree.xpos[head].startswith("VB") and not tree.children_by(head, {"cop"}):
        verb = head
        while openers and verb > start and tree.relations[verb - 1] == "advmod":
            verb -= 1
        yield verb, end, "VP"
        if first_conjunct_end < end:
            yield verb, first_conjunct_end, "VP"
    else:
        yield from _nested(tree, head, *_predicative(tree, head, start))


def _opening(tree: _Tree, head: int, first: int) -> tuple[int, str]:
    """Where a dependent clause starts without what opens it, and the label of the two together, if any."""
    markers = [m for m in tree.children_by(head, {"mark"}) if m < head and tree.xpos[m] != "TO"]
    if markers:
        gerund = tree.xpos[head] == "VBG" and not tree.children_by(head, _SUBJECTS | _AUXILIARIES)
        return max(markers) + 1, "PP" if gerund else "SBAR"
    if tree.xpos[first] in _WH and first < head:
        return first + 1, "SBAR"
    complement = tree.relations[head] == "ccomp" or tree.full_relations[head] == "acl:relcl"
    return first, "SBAR" if complement else ""


def _predicative(tree: _Tree, head: int, start: int) -> tuple[int, int]:
    """The phrase of a predicate that is no verb, within its clause: *a hunter* in "The cat is a hunter."."""
    outside = set(_OF_THE_CLAUSE)
    if tree.upos[head] in ("NOUN", "PROPN", "PRON"):
        outside.add("advmod")
    not_its_own = {word for child in tree.children_by(head, outside) for word in tree.covered[child]}
    return tree.stretch(head, (w for w in tree.covered[head] - not_its_own if w >= start))


def _phrase(tree: _Tree, head: int) -> Iterator[Phrase]:
    relation, (first, end) = tree.relations[head], tree.stretch(head, tree.covered[head])
    single = end - first == 1
    if tree.full_relations[head] == "compound:prt":
        yield head, head + 1, "PRT"
    elif relation == "discourse" or tree.upos[head] == "INTJ":
        yield first, end, "INTJ"
    elif relation in ("nummod", "compound"):
        if not single:
            yield first, end, "QP" if relation == "nummod" else "NML"
    elif single and tree.xpos[head] in _WH:
        yield first, end, _WH[tree.xpos[head]]
    elif not (single and _is_bare(tree, head)):
        yield from _nested(tree, head, first, end)


def _is_bare(tree: _Tree, word: int) -> bool:
    """Whether a single word is part of a flat phrase: *big* in "a big dog", *very* in "very big" ..."""
    relation, head = tree.relations[word], tree.heads[word]
    if relation == "amod" or tree.xpos[word] in ("PRP$", "WP$"):
        return True
    if relation == "advmod":
        return tree.upos[head] not in ("VERB", "AUX") and not _is_clause(tree, head)
    if relation == "conj":
        return tree.relations[head] == "amod" or _is_flat(tree, head)
    return False


def _is_flat(tree: _Tree, head: int) -> bool:
    """Whether single words are coordinated, as in "cats and dogs"."""
    single = all(len(tree.covered[conjunct]) == 1 for conjunct in tree.conjuncts(head))
    return single and all(child > head for child in tree.children[head] if not tree.is_punctuation(child))


def _nested(tree: _Tree, head: int, first: int, end: int) -> Iterator[Phrase]:
    """The phrases of a noun, adjective or adverb that spans ``first`` to ``end``, from the outside in."""
    relation = tree.relations[head]
    prepositions = {"case", "mark"} if relation in ("acl", "advcl") else {"case"}
    before = [c for c in tree.children_by(head, prepositions) if first <= c < head]
    if before:
        yield first, end, "PP"
        first = max(max(tree.covered[preposition]) for preposition in before) + 1
    if relation == "amod" or (tree.upos[head] == "ADJ" and relation not in _NOMINAL):
        label = "ADJP"
    else:
        label = "ADVP" if tree.upos[head] == "ADV" and relation not in _NOMINAL else "NP"
    label = _WH.get(tree.xpos[head], label)
    yield first, end, label
    if tree.conjuncts(head) and not _is_flat(tree, head):
        yield first, tree.stretch(head, range(first, tree.coordination(head)))[1], label
    after = tree.starts(child for child in tree.children_by(head, _AFTER_HEAD) if child > head)
    if after:
        yield first, tree.stretch(head, range(first, min(after)))[1], label
