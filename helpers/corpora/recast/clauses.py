"""English clauses of UDS graphs: which words say what about a verb.

What the recast tasks are worded with. Only clauses that simple rules handle well are taken: a verb, its
subject, and the complements and modifiers that directly follow it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helpers.corpora.recast.english import Word, finite
from helpers.corpora.recast.tree import Tree
from helpers.corpora.uds import Graph

NOMINATIVE = {"me": "I", "him": "he", "her": "she", "us": "we", "them": "they", "'em": "they", "i": "I"}
_FIRST, _SECOND = {"i", "me", "we", "us"}, {"you", "ya"}
_PLURAL_TAGS = {"NNS", "NNPS"}
_PLURAL = set("we us they them 'em these those both many few several police".split())
# Singular in form, but the verb agrees with what there is so much of: "a lot of people say".
_QUANTITIES = set("lot number couple majority bunch rest handful dozen most some all half".split())
_FOCUS = set("even only just also especially particularly mainly".split())  # "even people wanting to go"
_DISCOURSE = _FOCUS | set("actually probably still then too so now certainly definitely truly".split())
_NEGATIVE = set(
    "not n't nt never hardly barely rarely seldom scarcely no neither nor nobody nothing none".split()
)

_VERBS = {"VB", "VBD", "VBG", "VBN", "VBP", "VBZ"}
# What may follow a verb in a clause, and what of it the clause cannot do without.
_KEPT = set("dobj iobj xcomp ccomp nmod nmod:tmod nmod:npmod advmod compound:prt".split())
_NEEDED = set("dobj iobj xcomp ccomp compound:prt".split())
# What may stand before and after the adjective or noun of "the staff is very friendly".
_BEFORE_NOMINAL = set("det det:predet amod compound nummod nmod:poss nmod:npmod advmod case name".split())
_KEPT_NOMINAL = set("nmod nmod:npmod nmod:tmod xcomp advmod acl".split())
_IMPOSSIBLE = set("expl csubj csubjpass goeswith reparandum remnant list dislocated".split())
_PRUNED = set("acl:relcl appos parataxis discourse vocative list remnant reparandum advcl".split())
_ODD_TAGS = set("ADD AFX FW GW LS NFP SYM UH XX EX `` '' -LRB- -RRB- : .".split())
_ODD_WORDS = set("u ur r b n im ive id dont cant wont wo ca nt pls plz etc etc.".split())
LONGEST = 12  # words of a phrase that is to be used in another sentence


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun phrase: its head, its words (the sentence's first capital undone), and its agreement.

    ``usable``: these are a few ordinary words, which can be used in another sentence.
    """

    head: int
    positions: tuple[int, ...]
    words: tuple[Word, ...]
    person: int
    plural: bool
    usable: bool

    @property
    def as_subject(self) -> tuple[Word, ...]:
        """The words, a pronoun in the nominative."""
        if len(self.words) > 1:
            return self.words
        ((word, tag),) = self.words
        return ((NOMINATIVE.get(word.lower(), word), tag),)

    def verb(self, lemma: str, tense: str) -> Word:
        """A verb that has this subject; ``tense`` is "past" or "present"."""
        return finite(lemma, tense, self.person, self.plural), "VBD"


@dataclass(frozen=True, slots=True)
class Part:
    """Something that follows the verb: its UD relation (dobj, nmod ...), head, positions and their words.

    ``statement``: it is complete, and there is no question word in it.
    """

    relation: str
    head: int
    positions: tuple[int, ...]
    words: tuple[Word, ...]
    statement: bool

    def usable(self, removed: Iterable[int] = ()) -> bool:
        """Whether the words, without those at the ``removed`` positions, can be used in another sentence."""
        left = self.left(removed)
        return self.statement and (not left or usable_words(left))

    def left(self, removed: Iterable[int] = ()) -> tuple[Word, ...]:
        return tuple(w for at, w in zip(self.positions, self.words, strict=True) if at not in removed)


@dataclass(frozen=True, slots=True)
class Clause:
    """A verb with its subject and what follows it; or, if ``copular``, an adjective or a noun after *be*.

    ``verb`` is the position of the verb (or of that adjective or noun). ``tense`` is past, present, modal
    or imperative (its subject is then "you", with head 0), or "" where nothing is inflected; a perfect
    counts as past. ``negated`` is "", "not" or, for what negates in other ways, "other". ``inverted``: an
    auxiliary stands before the subject.
    """

    graph: Graph
    verb: int
    lemma: str
    subject: NounPhrase
    passive: bool
    copular: bool
    tense: str
    auxiliaries: tuple[int, ...]
    negated: str
    inverted: bool
    rest: tuple[Part, ...]

    def usable(self, removed: Iterable[int] = ()) -> bool:
        """Whether what follows the verb, without ``removed`` positions, can be used in another sentence."""
        return all(part.usable(removed) for part in self.rest)

    def following(self, removed: Iterable[int] = ()) -> tuple[Word, ...]:
        """The words after the verb, without those at the ``removed`` positions."""
        return tuple(word for part in self.rest for word in part.left(removed))


def words_at(tree: Tree, positions: Iterable[int]) -> tuple[Word, ...]:
    """Tokens for use inside a sentence: without the capital of the source's first word."""
    return tuple(_inner(tree, at) for at in positions)


def _inner(tree: Tree, position: int) -> Word:
    word, tag = tree.word(position), tree.tag(position)
    if word == "i" and tag == "PRP":
        word = "I"
    elif position == tree.first and tag not in ("NNP", "NNPS") and word != "I":
        word = word if word[1:2].isupper() else word[:1].lower() + word[1:]
    return word, tag


def pruned(tree: Tree, position: int, without: int = 0) -> list[int]:
    """Subtree without relative clauses, asides, outer punctuation and the subtree of ``without``."""
    subtree = tree.subtree(position)
    leaving = {at for at in subtree if at != position and (tree.relation(at) in _PRUNED or at == without)}
    kept = tree.without(position, leaving)
    dropped = set(subtree).difference(kept)
    # What leaned on something pruned: commas, brackets, a conjunction with nothing left to join.
    left = [at for at in kept if tree.relation(at) != "punct" or at + 1 not in dropped]
    while left[-1] != position and tree.relation(left[-1]) in ("punct", "cc"):
        left.pop()
    while left[0] != position and tree.relation(left[0]) in ("punct", "cc"):
        left.pop(0)
    return left


def noun_phrase(tree: Tree, head: int, verb: int = 0) -> NounPhrase:
    """The noun phrase of a head, without its preposition and without the clause of ``verb``."""
    positions = [
        at
        for at in pruned(tree, head, tree.child_towards(head, verb))
        if tree.head(at) != head or not (tree.relation(at) == "case" or tree.lower(at) in _FOCUS)
    ]
    words, tags = words_at(tree, positions), {tree.tag(at) for at in positions}
    noun, tag = tree.lower(head), tree.tag(head)
    plural = tag in _PLURAL_TAGS or noun in _PLURAL
    person = 1 if noun in _FIRST else 2 if noun in _SECOND else 3
    if any(tree.relation(at) == "conj" for at in tree.children[head] if at in positions):
        plural = True
        if any(tree.lower(at) in _FIRST for at in positions):
            person = 1
    if noun in _QUANTITIES:
        plural = plural or not tags.isdisjoint(_PLURAL_TAGS)
    usable = (
        usable_words(words)
        and not any(tag[0] == "W" for tag in tags)
        and tags.isdisjoint(("VBZ", "VBP", "VBD", "MD"))
        and tag[:2] in ("NN", "PR", "DT", "CD", "JJ")
        and noun not in ("a", "an", "the")
    )
    return NounPhrase(head, tuple(positions), words, person, plural, usable)


def usable_words(words: Sequence[Word]) -> bool:
    """Whether these are a few ordinary words, which can be used in another sentence."""
    return 0 < len(words) <= LONGEST and not any(
        tag in _ODD_TAGS or word.lower() in _ODD_WORDS or (word.isalpha() and not word.isascii())
        for word, tag in words
    )


def clauses(tree: Tree) -> list[Clause]:
    """The clauses of a sentence that the rules handle, at most one for each of its UDS predicates."""
    letters = [word for word in tree.graph.words if word.isalpha() and len(word) > 1]
    if len(letters) > 2 and sum(word.isupper() for word in letters) > len(letters) / 2:
        return []  # shouted
    made = (_clause(tree, predicate.root) for predicate in tree.graph.predicates)
    return [clause for clause in made if clause is not None]


def _clause(tree: Tree, verb: int) -> Clause | None:
    graph, children, tag = tree.graph, tree.children[verb], tree.tag(verb)
    relations = [tree.relation(child) for child in children]
    copulas = [c for c in tree.dependents(verb, ("cop",)) if c < verb]
    copular = len(copulas) == 1
    lemma = "be" if copular else graph.lemmas[verb - 1]
    if not copular and (tag not in _VERBS or not re.fullmatch("(?!be$)[a-z]{2,}", lemma)):
        return None
    if lemma == "use" and tag == "VBD" and "xcomp" in relations:
        return None  # "used to"
    if _IMPOSSIBLE.intersection(relations) or any(relations.count(r) > 1 for r in ("cop", "dobj", "nsubj")):
        return None

    auxiliaries = _auxiliaries(tree, verb) + copulas
    own = tree.dependents(verb, ("nsubj", "nsubjpass"))
    passive = not copular and ("auxpass" in relations or "nsubjpass" in relations)
    if not auxiliaries and tag in ("VB", "VBG", "VBN"):
        if tree.relation(verb) == "conj" and not own:  # "will come and eat", "was found and returned"
            auxiliaries = _auxiliaries(tree, tree.head(verb))
            passive = any(tree.relation(a) == "auxpass" for a in auxiliaries)
        if tag == "VBN" and not auxiliaries:
            if tree.relation(verb) not in ("acl", "xcomp"):
                return None  # its auxiliary has been left out
            passive = True
    inflected = tree.tag(auxiliaries[0] if auxiliaries else verb)
    tense = {"VBD": "past", "VBZ": "present", "VBP": "present", "MD": "modal"}.get(inflected, "")
    if tense == "present" and any(graph.lemmas[a - 1] == "have" for a in auxiliaries):
        tense = "past"

    antecedent, role = _antecedent(tree, verb)
    if role is None:
        return None
    if own and role.startswith("nsubj"):
        subject = antecedent
    elif own:
        subject = own[0] if own[0] < verb else 0
    else:
        subject = _shared_subject(tree, verb)
    if subject:
        phrase = noun_phrase(tree, subject, verb)
    elif not own and _imperative(tree, verb, auxiliaries):
        phrase, tense = NounPhrase(0, (), (("you", "PRP"),), 2, False, True), "imperative"
    else:
        return None
    if copular:
        rest = _predicate(tree, verb, copulas[0])
    else:
        rest = _rest(tree, verb, antecedent if role == "dobj" else 0)
    if rest is None:
        return None
    return Clause(
        graph=graph,
        verb=verb,
        lemma=lemma,
        subject=phrase,
        passive=passive,
        copular=copular,
        tense=tense,
        auxiliaries=tuple(auxiliaries),
        negated=_negation(tree, verb, phrase),
        inverted=subject in own and any(a < subject for a in auxiliaries),
        rest=tuple(rest),
    )


def _negation(tree: Tree, verb: int, subject: NounPhrase) -> str:
    negations = [tree.lower(c) for c in tree.dependents(verb, ("neg",))]
    others = {tree.lower(c) for c in tree.children[verb] if tree.relation(c) in ("advmod", "cc", "det")}
    others.update(word.lower() for word, _ in subject.words)
    if not _NEGATIVE.isdisjoint(others) or len(negations) > 1:
        return "other"
    if not negations:
        return ""
    return "not" if negations[0] in ("not", "n't") else "other"


def _auxiliaries(tree: Tree, verb: int) -> list[int]:
    return [child for child in tree.dependents(verb, ("aux", "auxpass")) if child < verb]


def _imperative(tree: Tree, verb: int, auxiliaries: list[int]) -> bool:
    if tree.tag(verb) != "VB" or auxiliaries:
        return False
    if any(child < verb for child in tree.dependents(verb, ("mark", "nsubj", "advmod"))):
        return False
    if tree.relation(verb) == "conj":
        return _imperative(tree, tree.head(verb), _auxiliaries(tree, tree.head(verb)))
    return tree.relation(verb) == "root"


def _antecedent(tree: Tree, verb: int) -> tuple[int, str | None]:
    """(antecedent of a relative clause, its relation to the verb); (0, "") for other clauses.

    The relation is that of the relative pronoun. It is None where that is not marked ("the place he
    went") or where a question word is among the verb's arguments.
    """
    pronouns = [c for c in tree.children[verb] if tree.tag(c) in ("WDT", "WP", "WP$")]
    if tree.relation(verb) != "acl:relcl":
        return 0, None if pronouns else ""
    if not pronouns and any(tree.tag(c) == "WRB" for c in tree.children[verb]):
        return 0, ""  # "the day when he left": complete in itself
    if len(pronouns) != 1 or tree.relation(pronouns[0]) not in ("nsubj", "nsubjpass", "dobj"):
        return 0, None
    return tree.head(verb), tree.relation(pronouns[0])


def arguments_of(graph: Graph, predicate: int) -> set[int]:
    """The roots of the arguments that UDS gives a predicate."""
    return {edge.argument for edge in graph.edges if edge.predicate == predicate}


def _shared_subject(tree: Tree, verb: int) -> int:
    """The subject that UDS gives a verb without one, if the tree shows that it is the subject; else 0."""
    head, relation = tree.head(verb), tree.relation(verb)
    arguments = arguments_of(tree.graph, verb)
    if relation == "acl":  # "islands lying east", "tanks used in the attack"
        return head if head in arguments and tree.tag(verb) in ("VBG", "VBN") else 0
    candidates = {"xcomp": ("dobj", "iobj", "nsubjpass", "nsubj"), "conj": ("nsubj", "nsubjpass")}
    for wanted in candidates.get(relation, ()):
        for sibling in tree.dependents(head, (wanted,)):
            if sibling in arguments:
                return sibling
    return 0


def _part(tree: Tree, child: int) -> Part:
    positions = tuple(pruned(tree, child))
    # A question word, or a comparison without its standard: "as much (as they can)".
    statement = not any(
        tree.tag(at)[0] == "W" or (tree.relation(at) == "advcl" and tree.tag(tree.head(at)) not in _VERBS)
        for at in tree.subtree(child)
    )
    return Part(tree.relation(child), child, positions, words_at(tree, positions), statement)


def _rest(tree: Tree, verb: int, antecedent: int) -> list[Part] | None:
    """What follows a verb, up to the first thing that is no part of a short clause.

    ``antecedent`` is the object if the clause is a relative one that lacks it. None if something that
    the clause needs would be lost.
    """
    parts, going = [], True
    if antecedent:
        phrase = noun_phrase(tree, antecedent, verb)
        parts.append(Part("dobj", antecedent, phrase.positions, phrase.words, phrase.usable))
    for child in tree.children[verb]:
        relation = tree.relation(child)
        if child < verb:
            if relation in _NEEDED and not (antecedent and relation == "dobj"):
                return None
            continue
        part = _part(tree, child)
        going = going and relation in _KEPT and (relation in _NEEDED or part.usable())
        if going:
            parts.append(part)
        elif relation in _NEEDED:
            return None
    return parts


def _predicate(tree: Tree, head: int, copula: int) -> list[Part] | None:
    """The adjective or noun phrase after a copula, as one part, and what follows it."""
    before = [c for c in tree.children[head] if copula < c < head and tree.relation(c) != "neg"]
    if any(tree.relation(c) not in _BEFORE_NOMINAL for c in before):
        return None
    before = [c for c in before if tree.relation(c) != "advmod" or tree.lower(c) not in _DISCOURSE]
    positions = (*sorted(at for c in before for at in pruned(tree, c)), head)
    parts = [Part("predicate", head, positions, words_at(tree, positions), True)]
    for child in tree.children[head]:
        if child > head:
            part = _part(tree, child)
            if part.relation not in _KEPT_NOMINAL or not part.usable():
                break
            parts.append(part)
    return parts
