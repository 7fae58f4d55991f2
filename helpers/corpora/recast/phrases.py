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

Compared with the treebank's gold trees, which PropBank's release has, on the development and test parts of
UDS: 91 % of the projected spans are constituents, and 90 % of the constituents' spans are found; 87 % and
86 % with the label. S, VP, PP and SBAR are the surest (92 to 97 % of their spans), ADJP the least (68 %).

Questions (SQ, SBARQ), fragments (FRAG), coordinations of unlike phrases (UCP) and other rare labels are not
told apart from these. Where a clause lacks a subject its S and VP are one span with two labels.
"""

from collections.abc import Iterable, Iterator

from helpers.corpora.recast.tree import Tree, unbroken
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


def project(graph: Graph) -> list[Phrase]:
    """The projected phrases of a sentence with UD v1 relations and Penn tags, by position, each once."""
    tree = Tree(graph)
    phrases: set[Phrase] = set()
    for head in range(1, len(graph.words) + 1):
        if tree.universal(head) not in _FUNCTION and not _is_punctuation(tree, head):
            rules = _clause if _is_clause(tree, head) else _phrase
            phrases.update(
                (first - 1, end - 1, label) for first, end, label in rules(tree, head) if first < end
            )
    return sorted(phrases)


# From here on positions count from 1, as in a tree.


def _is_punctuation(tree: Tree, word: int) -> bool:
    return tree.upos(word) == "PUNCT" or tree.universal(word) == "punct"


def _stretch(tree: Tree, head: int, words: Iterable[int]) -> tuple[int, int]:
    """The unbroken run of ``words`` around ``head``, without punctuation at its edges: first, end."""
    first, last = unbroken(head, words)
    while first < head and _is_punctuation(tree, first):
        first += 1
    while last > head and _is_punctuation(tree, last):
        last -= 1
    return first, last + 1


def _after(tree: Tree, head: int, relations: set[str]) -> list[int]:
    """Dependents with one of the relations that stand after their head."""
    return [child for child in tree.dependents(head, relations) if child > head]


def _without(tree: Tree, head: int, first: int, later: list[int]) -> int:
    """Where the phrase of ``head`` that begins at ``first`` ends without ``later`` dependents."""
    return _stretch(tree, head, range(first, min(tree.subtree(word)[0] for word in later)))[1]


def _is_clause(tree: Tree, head: int) -> bool:
    if tree.dependents(head, _SUBJECTS | _AUXILIARIES):
        return True
    verb = tree.tag(head).startswith("VB") or tree.tag(head) == "MD"
    return verb and tree.universal(head) not in _NOT_CLAUSAL


def _clause(tree: Tree, head: int) -> Iterator[Phrase]:
    relation, covered = tree.universal(head), tree.subtree(head)
    asides = _after(tree, head, {"parataxis"})
    stop = min((tree.subtree(aside)[0] for aside in asides), default=covered[-1] + 1)
    first, end = _stretch(tree, head, (word for word in covered if word < stop))
    inner, outer = (first, "") if relation == "root" else _opening(tree, head, first)
    if outer:
        yield first, end, outer
    if inner == first + 1 and tree.tag(first) in _WH:
        yield first, inner, _WH[tree.tag(first)]

    subjects = [s for s in tree.dependents(head, _SUBJECTS) if inner <= s < head]
    conjuncts = _after(tree, head, {"conj"})
    if subjects or relation != "conj":
        whole = relation == "root" and not asides  # a sentence has its full stop
        yield (covered[0], covered[-1] + 1, "S") if whole else (inner, end, "S")
    first_conjunct_end = end
    if conjuncts:
        first_conjunct_end = _without(tree, head, inner, _after(tree, head, {"conj", "cc"}))
    if any(tree.dependents(conjunct, _SUBJECTS) for conjunct in conjuncts):
        # Clauses are coordinated, not verb phrases.
        end = first_conjunct_end
        yield inner, end, "S"

    after_subject = max((tree.subtree(s)[-1] + 1 for s in subjects), default=inner)
    start = after_subject if after_subject <= head else inner
    openers = [w for w in tree.dependents(head, _AUXILIARIES | {"mark"}) if start <= w < head]
    openers = [w for w in openers if tree.universal(w) != "mark" or tree.tag(w) == "TO"]
    for opener in openers:
        yield opener, end, "VP"
    start = max(openers, default=start - 1) + 1
    if tree.tag(head).startswith("VB") and not tree.dependents(head, {"cop"}):
        verb = head
        while openers and verb > start and tree.universal(verb - 1) == "advmod":
            verb -= 1
        yield verb, end, "VP"
        if first_conjunct_end < end:
            yield verb, first_conjunct_end, "VP"
    else:
        yield from _nested(tree, head, *_predicative(tree, head, start))


def _opening(tree: Tree, head: int, first: int) -> tuple[int, str]:
    """Where a dependent clause starts without what opens it, and the label of the two together, if any."""
    markers = [m for m in tree.dependents(head, {"mark"}) if m < head and tree.tag(m) != "TO"]
    if markers:
        gerund = tree.tag(head) == "VBG" and not tree.dependents(head, _SUBJECTS | _AUXILIARIES)
        return max(markers) + 1, "PP" if gerund else "SBAR"
    if tree.tag(first) in _WH and first < head:
        return first + 1, "SBAR"
    complement = tree.universal(head) == "ccomp" or tree.relation(head) == "acl:relcl"
    return first, "SBAR" if complement else ""


def _predicative(tree: Tree, head: int, start: int) -> tuple[int, int]:
    """The phrase of a predicate that is no verb, within its clause: *a hunter* in "The cat is a hunter."."""
    outside = set(_OF_THE_CLAUSE)
    if tree.upos(head) in ("NOUN", "PROPN", "PRON"):
        outside.add("advmod")
    not_its_own = {word for child in tree.dependents(head, outside) for word in tree.subtree(child)}
    own = (w for w in tree.subtree(head) if w >= start and w not in not_its_own)
    return _stretch(tree, head, own)


def _phrase(tree: Tree, head: int) -> Iterator[Phrase]:
    relation, (first, end) = tree.universal(head), _stretch(tree, head, tree.subtree(head))
    single = end - first == 1
    if tree.relation(head) == "compound:prt":
        yield head, head + 1, "PRT"
    elif relation == "discourse" or tree.upos(head) == "INTJ":
        yield first, end, "INTJ"
    elif relation in ("nummod", "compound"):
        if not single:
            yield first, end, "QP" if relation == "nummod" else "NML"
    elif single and tree.tag(head) in _WH:
        yield first, end, _WH[tree.tag(head)]
    elif not (single and _is_bare(tree, head)):
        yield from _nested(tree, head, first, end)


def _is_bare(tree: Tree, word: int) -> bool:
    """Whether a single word is part of a flat phrase: *big* in "a big dog", *very* in "very big" ..."""
    relation, head = tree.universal(word), tree.head(word)
    if relation == "amod" or tree.tag(word) in ("PRP$", "WP$"):
        return True
    if relation == "advmod":
        return tree.upos(head) not in ("VERB", "AUX") and not _is_clause(tree, head)
    if relation == "conj":
        return tree.universal(head) == "amod" or _is_flat(tree, head)
    return False


def _is_flat(tree: Tree, head: int) -> bool:
    """Whether single words are coordinated, as in "cats and dogs"."""
    single = all(len(tree.subtree(conjunct)) == 1 for conjunct in _after(tree, head, {"conj"}))
    return single and all(child > head for child in tree.children[head] if not _is_punctuation(tree, child))


def _nested(tree: Tree, head: int, first: int, end: int) -> Iterator[Phrase]:
    """The phrases of a noun, adjective or adverb that spans ``first`` to ``end``, from the outside in."""
    relation = tree.universal(head)
    prepositions = {"case", "mark"} if relation in ("acl", "advcl") else {"case"}
    before = [c for c in tree.dependents(head, prepositions) if first <= c < head]
    if before:
        yield first, end, "PP"
        first = max(tree.subtree(preposition)[-1] for preposition in before) + 1
    if relation == "amod" or (tree.upos(head) == "ADJ" and relation not in _NOMINAL):
        label = "ADJP"
    else:
        label = "ADVP" if tree.upos(head) == "ADV" and relation not in _NOMINAL else "NP"
    label = _WH.get(tree.tag(head), label)
    yield first, end, label
    if _after(tree, head, {"conj"}) and not _is_flat(tree, head):
        yield first, _without(tree, head, first, _after(tree, head, {"conj", "cc"})), label
    after = _after(tree, head, _AFTER_HEAD)
    if after:
        yield first, _without(tree, head, first, after), label
