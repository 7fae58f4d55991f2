"""English clauses of UDS graphs: running text, verb forms, and which words say what about a verb.

What the recast tasks (:mod:`helpers.corpora.recast`) are worded with. Only clauses that simple rules
handle well are found: a verb, its subject, and the complements and modifiers that directly follow it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helpers.corpora.uds import Graph

# ---------------------------------------------------------------------------------------------------
# Running text

_CLITIC = re.compile(r"(?i)['’`´](s|m|re|ve|ll|d|t|em|all|im|n)?$|^n['’`´]?t$")
_BARE_CLITICS = {"s", "m", "re", "ve", "ll", "d", "nt", "na", "ta"}
_JOINED = {("can", "not"), ("gon", "na"), ("wan", "na"), ("got", "ta"), ("gim", "me"), ("lem", "me")}
_CLOSING = re.compile(r"([.,;:!?…%)\]}»”]+|''|>+)$")
_OPENING = re.compile(r"([(\[{«“$£€#]|``|<+)$")

Word = tuple[str, str]  # a word and its XPOS tag


def detokenise(tokens: Iterable[Word]) -> tuple[str, tuple[int, ...]]:
    """Running text of (word, XPOS) tokens, and the position in it where each token starts.

    UDS does not keep the spaces of the source; they are put back by rule. Quotation marks open and
    close in turn unless their tag says which they do.
    """
    text, starts, before = "", [], ""
    open_quotes = {'"': False, "'": False}
    glued = True  # the next token follows without a space
    for word, tag in tokens:
        opens = _OPENING.match(word) is not None and tag != "NFP"
        closes = _CLOSING.match(word) is not None and tag != "NFP"
        if word in open_quotes and tag in ("``", "''"):
            opens = tag == "``" or (word == '"' and not open_quotes[word])
            closes = not opens
            open_quotes[word] = opens
        elif word == "/" or (word == "-" and tag in ("HYPH", "SYM")):
            opens = closes = True
        elif _CLITIC.match(word) and tag != "``":
            closes = True
        elif word.lower() in _BARE_CLITICS and tag in ("POS", "VBZ", "VBP", "MD", "RB", "TO"):
            closes = before.isalpha()
        elif (before.lower(), word.lower()) in _JOINED:
            closes = True
        if not glued and not closes:
            text += " "
        starts.append(len(text))
        text += word
        glued, before = opens, word
    return text, tuple(starts)


def plain(tokens: Iterable[Word]) -> str:
    """Running text of (word, XPOS) tokens."""
    return detokenise(tokens)[0]


# ---------------------------------------------------------------------------------------------------
# Verb forms

# Past tense and, where it differs, participle.
_IRREGULAR = """
arise arose arisen, awake awoke awoken, bear bore borne, beat beat beaten, become became become, begin
began begun, bend bent, bet bet, bid bid, bind bound, bite bit bitten, bleed bled, blow blew blown, break
broke broken, breed bred, bring brought, broadcast broadcast, build built, burst burst, buy bought, cast
cast, catch caught, choose chose chosen, cling clung, come came come, cost cost, creep crept, cut cut,
deal dealt, dig dug, do did done, draw drew drawn, drink drank drunk, drive drove driven, eat ate eaten,
fall fell fallen, feed fed, feel felt, fight fought, find found, flee fled, fling flung, fly flew flown,
forbid forbade forbidden, forecast forecast, foresee foresaw foreseen, forget forgot forgotten, forgive
forgave forgiven, freeze froze frozen, get got gotten, give gave given, go went gone, grind ground, grow
grew grown, hang hung, have had, hear heard, hide hid hidden, hit hit, hold held, hurt hurt, keep kept,
kneel knelt, know knew known, lay laid, lead led, leave left, lend lent, let let, lie lay lain, light lit,
lose lost, make made, mean meant, meet met, mislead misled, mistake mistook mistaken, misunderstand
misunderstood, outbid outbid, overcome overcame overcome, overhear overheard, overrun overran overrun,
oversee oversaw overseen, overtake overtook overtaken, pay paid, prepay prepaid, prove proved proven, put
put, quit quit, read read, rebuild rebuilt, redo redid redone, repay repaid, reset reset, ride rode
ridden, ring rang rung, rise rose risen, run ran run, say said, see saw seen, seek sought, sell sold, send
sent, set set, sew sewed sewn, shake shook shaken, shed shed, shine shone, shoot shot, show showed shown,
shrink shrank shrunk, shut shut, sing sang sung, sink sank sunk, sit sat, sleep slept, slide slid, slit
slit, sow sowed sown, speak spoke spoken, speed sped, spend spent, spin spun, spit spat, split split,
spread spread, spring sprang sprung, stand stood, steal stole stolen, stick stuck, sting stung, stink
stank stunk, strike struck, strive strove striven, swear swore sworn, sweep swept, swell swelled swollen,
swim swam swum, swing swung, take took taken, teach taught, tear tore torn, tell told, think thought,
throw threw thrown, thrust thrust, tread trod trodden, undergo underwent undergone, understand understood,
undertake undertook undertaken, undo undid undone, uphold upheld, upset upset, wake woke woken, wear wore
worn, weave wove woven, weep wept, win won, wind wound, withdraw withdrew withdrawn, withhold withheld,
withstand withstood, write wrote written
"""
_PAST, _PARTICIPLE = {"be": "was"}, {"be": "been"}
for _entry in _IRREGULAR.replace("\n", " ").split(","):
    _lemma, _past, *_participle = _entry.split()
    _PAST[_lemma], _PARTICIPLE[_lemma] = _past, (_participle or [_past])[0]

# Stressed on the last syllable, so that the final consonant is doubled; one-syllable verbs always do.
_DOUBLING = set(
    "admit allot begin commit compel concur confer control defer deter embed emit equip excel expel "
    "forbid forget format incur kidnap occur omit outfit patrol permit prefer program propel rebel "
    "recur refer regret remit retrofit submit transfer transmit unzip upset".split()
)
_ONE_SYLLABLE = re.compile(r"[^aeiou]*(?:qu)?[aeiou][bdfgklmnprtvz]$")
_SIBILANT = re.compile(r"(s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")


def past(lemma: str) -> str:
    """Past tense (of ``be``: was)."""
    return _PAST.get(lemma) or _regular_past(lemma)


def participle(lemma: str) -> str:
    """Past participle."""
    return _PARTICIPLE.get(lemma) or _regular_past(lemma)


def gerund(lemma: str) -> str:
    """The form in -ing."""
    if lemma.endswith("ie"):
        return lemma[:-2] + "ying"
    if lemma.endswith("e") and not lemma.endswith(("ee", "oe", "ye")) and lemma != "be":
        return lemma[:-1] + "ing"
    return _doubled(lemma) + "ing"


def third_person(lemma: str) -> str:
    """Third person singular of the present."""
    if lemma in ("be", "have"):
        return {"be": "is", "have": "has"}[lemma]
    if _CONSONANT_Y.search(lemma):
        return lemma[:-1] + "ies"
    return lemma + ("es" if _SIBILANT.search(lemma) or lemma.endswith("o") else "s")


def _regular_past(lemma: str) -> str:
    if lemma.endswith("e"):
        return lemma + "d"
    if _CONSONANT_Y.search(lemma):
        return lemma[:-1] + "ied"
    return _doubled(lemma) + "ed"


def _doubled(lemma: str) -> str:
    return lemma + lemma[-1] if _ONE_SYLLABLE.match(lemma) or lemma in _DOUBLING else lemma


def finite(lemma: str, tense: str, subject: "Phrase") -> str:
    """The verb form that agrees with a subject; ``tense`` is "past" or "present"."""
    if lemma == "be":
        if subject.person == 1 and not subject.plural:
            return "was" if tense == "past" else "am"
        several = subject.plural or subject.person == 2
        return {"past": ("was", "were"), "present": ("is", "are")}[tense][several]
    if tense == "past":
        return past(lemma)
    return lemma if subject.plural or subject.person != 3 else third_person(lemma)


# ---------------------------------------------------------------------------------------------------
# Phrases and clauses

NOMINATIVE = {"me": "I", "him": "he", "her": "she", "us": "we", "them": "they", "'em": "they", "i": "I"}
_FIRST, _SECOND = {"i", "me", "we", "us"}, {"you", "ya"}
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
class Phrase:
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
        """Whether the words, less those at the ``removed`` positions, can be used in another sentence."""
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
    subject: Phrase
    passive: bool
    copular: bool
    tense: str
    auxiliaries: tuple[int, ...]
    negated: str
    inverted: bool
    rest: tuple[Part, ...]

    def usable(self, removed: Iterable[int] = ()) -> bool:
        """Whether what follows the verb, less the ``removed`` positions, can be used in another sentence."""
        return all(part.usable(removed) for part in self.rest)

    def following(self, removed: Iterable[int] = ()) -> tuple[Word, ...]:
        """The words after the verb, less those at the ``removed`` positions."""
        return tuple(word for part in self.rest for word in part.left(removed))


class Tree:
    """A graph's UD tree with what is asked of it often."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.children: list[list[int]] = [[] for _ in range(len(graph.words) + 1)]
        for position, head in enumerate(graph.heads, 1):
            self.children[head].append(position)
        self.targets: dict[int, set[int]] = {}
        for edge in graph.edges:
            self.targets.setdefault(edge.predicate, set()).add(edge.argument)
        letters = [word for word in graph.words if word.isalpha() and len(word) > 1]
        self.shouted = len(letters) > 2 and sum(word.isupper() for word in letters) > len(letters) / 2
        self.first = next((i for i, word in enumerate(graph.words, 1) if word[0].isalnum()), 0)

    def relation(self, position: int) -> str:
        return self.graph.deprels[position - 1]

    def tag(self, position: int) -> str:
        return self.graph.xpos[position - 1]

    def lower(self, position: int) -> str:
        return self.graph.words[position - 1].lower()

    def word(self, position: int) -> Word:
        """A token for use inside a sentence: without the capital of the source's first word."""
        word, tag = self.graph.words[position - 1], self.tag(position)
        if word == "i" and tag == "PRP":
            word = "I"
        elif position == self.first and tag not in ("NNP", "NNPS") and word != "I":
            word = word if word[1:2].isupper() else word[:1].lower() + word[1:]
        return word, tag

    def subtree(self, position: int, leaving: Iterable[int] = ()) -> list[int]:
        """Positions below and including a token, in order, without the subtrees of ``leaving``."""
        found, stack, leaving = [], [position], set(leaving)
        while stack:
            at = stack.pop()
            found.append(at)
            stack.extend(child for child in self.children[at] if child not in leaving)
        return sorted(found)

    def pruned(self, position: int, without: int = 0) -> list[int]:
        """Subtree less relative clauses, asides and outer punctuation, and less the subtree ``without``."""
        leaving = [
            at
            for at in self.subtree(position)
            if at != position and (self.relation(at) in _PRUNED or at == without)
        ]
        kept = set(self.subtree(position, leaving))
        dropped = set(self.subtree(position)) - kept
        # What leaned on something pruned: commas, brackets, a conjunction with nothing left to join.
        found = [at for at in sorted(kept) if self.relation(at) != "punct" or at + 1 not in dropped]
        while found[-1] != position and self.relation(found[-1]) in ("punct", "cc"):
            found.pop()
        while found[0] != position and self.relation(found[0]) in ("punct", "cc"):
            found.pop(0)
        return found

    def phrase(self, position: int, verb: int = 0) -> Phrase:
        """The noun phrase headed by a token, without its preposition and without the clause of ``verb``."""
        positions = [
            at
            for at in self.pruned(position, self.child_towards(position, verb))
            if self.graph.heads[at - 1] != position
            or not (self.relation(at) == "case" or self.lower(at) in _FOCUS)
        ]
        words = tuple(self.word(at) for at in positions)
        head = self.lower(position)
        plural = self.tag(position) in ("NNS", "NNPS") or head in _PLURAL
        person = 1 if head in _FIRST else 2 if head in _SECOND else 3
        if any(self.relation(at) == "conj" for at in self.children[position] if at in positions):
            plural = True
            if any(self.lower(at) in _FIRST for at in positions):
                person = 1
        if head in _QUANTITIES:
            plural = plural or any(tag in ("NNS", "NNPS") for _, tag in words)
        usable = usable_words(words) and not any(tag[0] == "W" for _, tag in words)
        usable = usable and self.tag(position)[:2] in ("NN", "PR", "DT", "CD", "JJ")
        usable = usable and head not in ("a", "an", "the")
        usable = usable and not any(tag in ("VBZ", "VBP", "VBD", "MD") for _, tag in words)
        return Phrase(position, tuple(positions), words, person, plural, usable)

    def child_towards(self, ancestor: int, position: int) -> int:
        """The child of ``ancestor`` whose subtree holds a position; 0 if none does."""
        while position and self.graph.heads[position - 1] != ancestor:
            position = self.graph.heads[position - 1]
        return position


def usable_words(words: Sequence[Word]) -> bool:
    """Whether these are a few ordinary words, which can be used in another sentence."""
    return 0 < len(words) <= LONGEST and not any(
        tag in _ODD_TAGS or word.lower() in _ODD_WORDS or (word.isalpha() and not word.isascii())
        for word, tag in words
    )


def clauses(tree: Tree) -> list[Clause]:
    """The clauses of a sentence that the rules handle, at most one for each of its UDS predicates."""
    if tree.shouted:
        return []
    found = (_clause(tree, predicate.root) for predicate in tree.graph.predicates)
    return [clause for clause in found if clause is not None]


def _clause(tree: Tree, verb: int) -> Clause | None:
    graph, children = tree.graph, tree.children[verb]
    relations = [tree.relation(child) for child in children]
    copulas = [c for c in children if tree.relation(c) == "cop" and c < verb]
    copular = len(copulas) == 1
    lemma = "be" if copular else graph.lemmas[verb - 1]
    if not copular and (tree.tag(verb) not in _VERBS or not re.fullmatch("(?!be$)[a-z]{2,}", lemma)):
        return None
    if lemma == "use" and tree.tag(verb) == "VBD" and "xcomp" in relations:
        return None  # "used to"
    if _IMPOSSIBLE.intersection(relations) or any(relations.count(r) > 1 for r in ("cop", "dobj", "nsubj")):
        return None

    auxiliaries = [c for c in children if tree.relation(c) in ("aux", "auxpass") and c < verb] + copulas
    own = [c for c in children if tree.relation(c) in ("nsubj", "nsubjpass")]
    passive = not copular and ("auxpass" in relations or "nsubjpass" in relations)
    if not auxiliaries and tree.tag(verb) in ("VB", "VBG", "VBN"):
        if tree.relation(verb) == "conj" and not own:  # "will come and eat", "was found and returned"
            auxiliaries = _auxiliaries(tree, graph.heads[verb - 1])
            passive = any(tree.relation(a) == "auxpass" for a in auxiliaries)
        if tree.tag(verb) == "VBN" and not auxiliaries:
            if tree.relation(verb) not in ("acl", "xcomp"):
                return None  # its auxiliary has been left out
            passive = True
    inflected = auxiliaries[0] if auxiliaries else verb
    tense = {"VBD": "past", "VBZ": "present", "VBP": "present", "MD": "modal"}.get(tree.tag(inflected), "")
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
        phrase = tree.phrase(subject, verb)
    elif not own and _imperative(tree, verb, auxiliaries):
        phrase, tense = Phrase(0, (), (("you", "PRP"),), 2, False, True), "imperative"
    else:
        return None
    if copular:
        rest = _predicate(tree, verb, copulas[0])
    else:
        rest = _rest(tree, verb, antecedent if role == "dobj" else 0)
    if rest is None:
        return None
    negations = [tree.lower(c) for c in children if tree.relation(c) == "neg"]
    others = [tree.lower(c) for c in children if tree.relation(c) in ("advmod", "cc", "det")]
    others += [word.lower() for word, _ in phrase.words]
    return Clause(
        graph=graph,
        verb=verb,
        lemma=lemma,
        subject=phrase,
        passive=passive,
        copular=copular,
        tense=tense,
        auxiliaries=tuple(auxiliaries),
        negated=_negation(negations, others),
        inverted=subject in own and any(a < subject for a in auxiliaries),
        rest=tuple(rest),
    )


def _negation(negations: list[str], others: list[str]) -> str:
    if not _NEGATIVE.isdisjoint(others) or len(negations) > 1:
        return "other"
    if not negations:
        return ""
    return "not" if negations[0] in ("not", "n't") else "other"


def _auxiliaries(tree: Tree, verb: int) -> list[int]:
    return [c for c in tree.children[verb] if tree.relation(c) in ("aux", "auxpass") and c < verb]


def _imperative(tree: Tree, verb: int, auxiliaries: list[int]) -> bool:
    if tree.tag(verb) != "VB" or auxiliaries:
        return False
    if any(tree.relation(c) in ("mark", "nsubj", "advmod") and c < verb for c in tree.children[verb]):
        return False
    head = tree.graph.heads[verb - 1]
    if tree.relation(verb) == "conj":
        return _imperative(tree, head, _auxiliaries(tree, head))
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
    return tree.graph.heads[verb - 1], tree.relation(pronouns[0])


def _shared_subject(tree: Tree, verb: int) -> int:
    """The subject that UDS gives a verb without one, if the tree shows that it is the subject; else 0."""
    head, targets = tree.graph.heads[verb - 1], tree.targets.get(verb, set())
    relation = tree.relation(verb)
    if relation == "acl":  # "islands lying east", "tanks used in the attack"
        return head if head in targets and tree.tag(verb) in ("VBG", "VBN") else 0
    siblings = {"xcomp": ("dobj", "iobj", "nsubjpass", "nsubj"), "conj": ("nsubj", "nsubjpass")}
    for wanted in siblings.get(relation, ()):
        for sibling in tree.children[head]:
            if tree.relation(sibling) == wanted and sibling in targets:
                return sibling
    return 0


def _part(tree: Tree, child: int) -> Part:
    positions = tuple(tree.pruned(child))
    # A question word, or a comparison without its standard: "as much (as they can)".
    statement = not any(
        tree.tag(at)[0] == "W"
        or (tree.relation(at) == "advcl" and tree.tag(tree.graph.heads[at - 1]) not in _VERBS)
        for at in tree.subtree(child)
    )
    return Part(tree.relation(child), child, positions, tuple(map(tree.word, positions)), statement)


def _rest(tree: Tree, verb: int, antecedent: int) -> list[Part] | None:
    """What follows a verb, up to the first thing that is no part of a short clause.

    ``antecedent`` is the object if the clause is a relative one that lacks it. None if something that
    the clause needs would be lost.
    """
    parts, going = [], True
    if antecedent:
        phrase = tree.phrase(antecedent, verb)
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
    positions = tuple(sorted(at for c in before for at in tree.pruned(c)) + [head])
    parts = [Part("predicate", head, positions, tuple(map(tree.word, positions)), True)]
    for child in tree.children[head]:
        if child > head:
            part = _part(tree, child)
            if tree.relation(child) not in _KEPT_NOMINAL or not part.usable():
                break
            parts.append(part)
    return parts
