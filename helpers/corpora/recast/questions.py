"""uds-qa: questions for the arguments of predicates, in the manner of SQuAD v1.1.

The context is the sentence among its neighbours in the document, the answer is the argument's span (without
its relative clauses). As many questions ask for subjects ("Who ...?", "What ...?") as for objects ("What did
...?"), and nearly as many for prepositional and temporal phrases ("When ...?", "Where ...?").
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from helpers.corpora.recast.clauses import Clause, arguments_of, clauses, noun_phrase, pruned
from helpers.corpora.recast.english import LIGHT, Word, detokenise, sentence, third_person, untagged
from helpers.corpora.recast.inference import hashed
from helpers.corpora.recast.tree import Tree
from helpers.corpora.records import Answer, Question
from helpers.corpora.uds import Argument, Graph, answer

NEIGHBOURS = 4  # sentences of context beside the one that is asked about
LONGEST_CONTEXT = 110  # words, unless the sentence alone is longer
QUESTIONS_PER_SENTENCE = 5
LONGEST_ANSWER = 10  # words

_TITLES = set(
    "mr mr. mrs mrs. ms ms. miss dr dr. president senator sen. judge justice gen. general col. colonel king"
    " queen prince princess prof. professor sheikh shaikh imam pope saint st. captain capt. sgt. lt. rep."
    " gov. governor mayor minister ayatollah uncle aunt mom mum dad grandma grandpa sir".split()
)
_INSTITUTIONS = set(
    "agency airport army association bank board center centre church city club college commission committee"
    " company corp corp. corporation council county court department district government group hospital hotel"
    " house inc inc. institute journal ltd market ministry museum party post press republic restaurant river"
    " school service state states store street team times union university war america china england france"
    " germany india iran iraq israel japan pakistan russia usa".split()
)
_PEOPLES = re.compile(r"(ians|ans|is|ers|ors|ists)$")
_PERSONAL_VERBS = set(
    "admit agree announce answer argue ask believe call claim decide declare explain feel forget hate hope"
    " know love remember reply say speak suggest talk tell think wonder write".split()
)
_TIMES = set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july"
    " august september october november december jan. feb. mar. apr. aug. sept. oct. nov. dec. spring summer"
    " autumn fall winter morning afternoon evening night today tomorrow yesterday weekend am pm a.m. p.m."
    " second minute hour day week month year decade century moment".split()
)
_LENGTHS = set("second minute hour day week month year decade century".split())
_PREPOSITIONS = set(
    "about after against among around at before behind between by during for from in into of off on onto over"
    " past through to toward towards under until upon with within without".split()
)
# What is no good answer: these nouns mean little, or belong to a set phrase with their verb or preposition.
_EMPTY = set("anything bit everything lot lots nothing one something thing things way while".split())
_SET_PHRASES = set(
    "accordance addition advance advantage attention birth care case chance charge course effect end fact"
    " favor favour front fun general line love mind need order part person place power regard regards rise"
    " sense spite terms time top touch view".split()
)
_UNDETERMINED = set("any every each no".split())
_AUXILIARIES = {"ll": "will", "ve": "have", "re": "are", "r": "are", "m": "am", "ca": "can", "wo": "will"}
_PERSONS = set(
    "adult anybody anyone boy child crew everybody everyone family folk folks girl guy kid man people person"
    " police somebody someone staff troop troops woman".split()
)
_SINGULAR = {"are": "is", "am": "is", "were": "was", "have": "has", "do": "does"}
_ROLES = ("subject", "object", "oblique")
_BE = set("am is are was were be been being".split())


@dataclass(frozen=True, slots=True)
class _Draft:
    """A question before it has a context: what it asks for, and the words that make it specific."""

    graph: Graph
    role: str
    verb: int
    lemma: str
    argument: int
    span: tuple[int, ...]
    text: str
    specific: bool  # it says more than its verb

    @property
    def id(self) -> str:
        return f"{self.graph.id}-{self.role}-{self.verb}-{self.argument}"


def asks_for(question: Question) -> str:
    """The role that a question asks for: subject, object or oblique."""
    return question.id.split("-")[3]


def make(graphs: dict[str, list[Graph]]) -> dict[str, list[Question]]:
    """The questions of each split, given its graphs."""
    made = {}
    for split, members in graphs.items():
        questions: dict[tuple[str, str], Question] = {}
        for question in _with_contexts(members):
            questions.setdefault((question.context, question.question), question)
        by_role = {role: [q for q in questions.values() if asks_for(q) == role] for role in _ROLES}
        most = min(len(by_role["subject"]), len(by_role["object"]))
        kept: set[str] = set()
        for of_role in by_role.values():
            kept.update(q.id for q in sorted(of_role, key=lambda q: hashed(q.id))[:most])
        made[split] = [q for q in questions.values() if q.id in kept]
    return made


def _with_contexts(graphs: Sequence[Graph]) -> Iterator[Question]:
    documents = defaultdict(list)
    for graph in graphs:
        documents[graph.document].append(graph)
    for members in documents.values():
        for index, graph in enumerate(members):
            drafts = sorted(_drafts(graph), key=lambda draft: hashed(draft.id))
            if drafts:
                around = _window(members, index)
                yield from _asked(drafts, around, *_context(around, graph))


def _context(around: Sequence[Graph], graph: Graph) -> tuple[str, list[int]]:
    """The text of some sentences, and the positions in it where the words of one of them start."""
    text, starts = "", []
    for member in around:
        shown, offsets = detokenise(zip(member.words, member.xpos, strict=True))
        text += " " if text else ""
        if member is graph:
            starts = [len(text) + offset for offset in offsets]
        text += shown
    return text, starts


def _asked(drafts: list[_Draft], around: Sequence[Graph], text: str, starts: list[int]) -> Iterator[Question]:
    """The first drafts that are questions in their context: with one answer, which they do not give away."""
    lemmas = Counter(lemma for member in around for lemma in member.lemmas)
    asked = 0
    for draft in drafts:
        graph, begin, end = draft.graph, draft.span[0] - 1, draft.span[-1] - 1
        shown = text[starts[begin] : starts[end] + len(graph.words[end])]
        if not draft.specific and lemmas[draft.lemma] > 1:
            continue  # "Who left?" where several people leave
        if _normal(shown) in _normal(draft.text):
            continue
        yield Question(draft.id, draft.text, text, (Answer(shown, starts[begin]),), graph.document)
        asked += 1
        if asked == QUESTIONS_PER_SENTENCE:
            return


def _normal(text: str) -> str:
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "


def _window(members: Sequence[Graph], index: int) -> Sequence[Graph]:
    """A sentence and the neighbours shown with it: it may stand anywhere, or its place would give it away."""
    before = hashed(members[index].id) % (NEIGHBOURS + 1)
    first, last = max(0, index - before), min(len(members), index - before + NEIGHBOURS + 1)
    while sum(len(member.words) for member in members[first:last]) > LONGEST_CONTEXT and last - first > 1:
        if last - 1 - index > index - first:
            last -= 1
        else:
            first += 1
    return members[first:last]


def _drafts(graph: Graph) -> Iterator[_Draft]:
    """The questions that a sentence yields."""
    tree = Tree(graph)
    arguments = {a.root: a for a in graph.arguments if not a.predicative and not a.clausal}
    for clause in clauses(tree):
        if clause.negated == "other" or clause.inverted or not clause.tense or clause.lemma == "do":
            continue
        group = _verb_group(clause)
        if group is None:
            continue
        lemma = graph.lemmas[clause.verb - 1]
        light = clause.lemma in LIGHT and not clause.copular

        def draft(role, argument, words, specific, clause=clause, lemma=lemma, light=light):
            if light and not specific:
                return
            span = _answer_span(tree, arguments[argument])
            yield _Draft(graph, role, clause.verb, lemma, argument, span, sentence(words, "?"), specific)

        subject = clause.subject
        plural_noun = clause.copular and graph.xpos[clause.verb - 1] in ("NNS", "NNPS")
        askable = clause.rest and clause.usable() and not plural_noun
        if askable and _answerable(tree, clause, subject.head, arguments):
            asking = [(_question_word(tree, clause, subject.head, "subject"), "WP")]
            words = clause.following()
            # "What is the place?" asks for nothing in particular.
            specific = _specific(words, 2 if clause.copular else 1)
            if clause.copular and not specific and lemma.lower() in _EMPTY | _SET_PHRASES:
                continue
            yield from draft("subject", subject.head, [*asking, *_agreeing(clause, group), *words], specific)

        if clause.copular or not subject.usable or subject.words[0][1] == "DT" and len(subject.words) == 1:
            continue
        opening = _inverted(clause, group)
        for relation, head in _dependents(tree, clause):
            if not _answerable(tree, clause, head, arguments):
                continue
            removed = set(tree.subtree(head))
            words = clause.following(removed)
            if not clause.usable(removed):
                continue
            specific = _specific(words) or _specific(subject.words)
            if relation == "dobj":
                if light and len(_answer_span(tree, arguments[head])) == 1 and tree.tag(head) == "NN":
                    continue  # "make sense", "have fun"
                asking = [(_question_word(tree, clause, head, "object"), "WP")]
                yield from draft("object", head, [*asking, *opening, *words], specific)
            else:
                asking = _oblique(tree, clause, head, relation)
                if asking:
                    yield from draft("oblique", head, [*asking, *opening, *words], specific)


def _dependents(tree: Tree, clause: Clause) -> Iterator[tuple[str, int]]:
    """Objects and prepositional phrases after the verb, and after infinitives that depend on it."""
    for part in clause.rest:
        if part.relation != "xcomp":
            if not (part.relation == "dobj" and clause.passive):
                yield part.relation, part.head
            continue
        verb = part.head
        while verb:
            further = 0
            for child in tree.children[verb]:
                if child > verb and child in part.positions:
                    if child in arguments_of(tree.graph, verb):
                        yield tree.relation(child), child
                    if tree.relation(child) == "xcomp":
                        further = child
            verb = further


def _answer_span(tree: Tree, argument: Argument) -> tuple[int, ...]:
    """The argument's span, without relative clauses and asides if what is left of it hangs together."""
    left = set(pruned(tree, argument.root))
    span = tuple(at for at in argument.span if at in left)
    return span if span and span[-1] - span[0] + 1 == len(span) else argument.span


def _answerable(tree: Tree, clause: Clause, head: int, arguments: dict[int, Argument]) -> bool:
    """Whether an argument can be asked for: a short contiguous noun phrase that means something."""
    argument = arguments.get(head)
    if argument is None or tree.tag(head) not in ("NN", "NNS", "NNP", "NNPS", "CD"):
        return False
    span = _answer_span(tree, argument)
    if span[-1] - span[0] + 1 != len(span) or len(span) > LONGEST_ANSWER or clause.verb in span:
        return False
    if tree.graph.lemmas[head - 1].lower() in _EMPTY | (_SET_PHRASES if len(span) == 1 else set()):
        return False
    if any(tree.tag(at) in ("-LRB-", "-RRB-", "``", "''", ":", "NFP") for at in span):
        return False
    return tree.lower(span[0]) not in _UNDETERMINED


def _verb_group(clause: Clause) -> list[Word] | None:
    """The auxiliaries, spelt out, and the verb; None if their forms do not agree (the web is not edited)."""
    graph = clause.graph
    group = [(_spelt_out(graph, a), graph.xpos[a - 1]) for a in clause.auxiliaries]
    if not clause.copular:
        group.append((graph.words[clause.verb - 1].lower(), graph.xpos[clause.verb - 1]))
    if clause.tense == "imperative":
        group.insert(0, ("should", "MD"))
    if not all(word.isascii() and word.isalpha() for word, _ in group):
        return None
    for (word, tag), (following, form) in zip(group, group[1:], strict=False):
        if word in _BE:
            fits = form in ("VBG", "VBN") and following != "been"
        elif word in ("has", "have", "had", "having"):
            fits = form == "VBN"
        elif tag == "MD" or word in ("do", "does", "did"):
            fits = form == "VB"
        else:
            fits = False  # "got fixed", which asks for another auxiliary
        if not fits:
            return None
    return group


def _spelt_out(graph: Graph, auxiliary: int) -> str:
    word, lemma = graph.words[auxiliary - 1].lower(), graph.lemmas[auxiliary - 1]
    word = word.removeprefix("'")
    if word == "s":
        verb = graph.heads[auxiliary - 1]
        perfect = graph.deprels[auxiliary - 1] == "aux" and graph.xpos[verb - 1] == "VBN"
        return "has" if lemma == "have" or perfect else "is"
    if word == "d":
        return "had" if lemma == "have" else "would"
    return _AUXILIARIES.get(word, word)


def _agreeing(clause: Clause, group: list[Word]) -> list[Word]:
    """The verb group as it agrees with who or what."""
    (first, tag), *others = group
    if len(group) > 1 or clause.copular:
        first = _SINGULAR.get(first, first)
    elif tag == "VBP":
        first = third_person(clause.lemma)
    return [(first, tag), *([("not", "RB")] if clause.negated else []), *others]


def _inverted(clause: Clause, group: list[Word]) -> list[Word]:
    """Auxiliary, subject and verb of a question."""
    if len(group) == 1:
        tense = "past" if clause.tense == "past" else "present"
        group = [clause.subject.verb("do", tense), (clause.lemma, "VB")]
    negation = [("not", "RB")] if clause.negated else []
    return [group[0], *clause.subject.as_subject, *negation, *group[1:]]


def _specific(words: Iterable[Word], least: int = 1) -> bool:
    return sum(tag[:2] in ("NN", "CD", "JJ") for _, tag in words) >= least


def _question_word(tree: Tree, clause: Clause, head: int, role: str) -> str:
    """Who or what: by UDS's word senses and proto-roles, then by the words; undecided: "who or what"."""
    graph = tree.graph
    senses = _senses(tree, head)
    if graph.lemmas[head - 1] in _PERSONS:
        return "who"
    if senses:
        return (
            "who"
            if senses.get("person", -3) > 0 or max(senses, key=senses.__getitem__) == "person"
            else "what"
        )
    for edge in graph.edges:
        if edge.argument == head:
            sentient = answer(edge.protoroles.get("sentient"), scalar=True)
            if sentient is not None:
                return "who" if sentient else "what"
    if tree.tag(head) not in ("NNP", "NNPS"):
        return "what"
    words = [word.lower() for word, _ in noun_phrase(tree, head, clause.verb).words]
    if not _TITLES.isdisjoint(words):
        return "who"
    if not _INSTITUTIONS.isdisjoint(words) or tree.word(head).isupper() or not words[-1].isalpha():
        return "what"
    if tree.tag(head) == "NNPS" and _PEOPLES.search(words[-1]):
        return "who"
    if role == "subject" and clause.lemma in _PERSONAL_VERBS and not clause.passive:
        return "who"
    return "who or what"


def _senses(tree: Tree, head: int) -> dict[str, float]:
    """How strongly the annotators chose each supersense of a noun; empty where not annotated."""
    for argument in tree.graph.arguments:
        if argument.root == head and argument.wordsense:
            return {name.rpartition(".")[2]: r.value for name, r in sorted(argument.wordsense.items())}
    return {}


def _oblique(tree: Tree, clause: Clause, head: int, relation: str) -> list[Word]:
    """What to ask for a phrase with its preposition: when, where, or the preposition and whom or what."""
    senses = _senses(tree, head)
    best = max(senses, key=senses.__getitem__) if senses else ""
    lemma = tree.graph.lemmas[head - 1].lower()
    clock = re.fullmatch(r"(1[5-9]|20)\d\d|\d+:\d\d(am|pm)?|\d+(am|pm)", lemma) is not None
    time = best == "time" or lemma in _TIMES or clock
    length = lemma in _LENGTHS and tree.tag(head) == "NNS"
    if relation == "nmod:tmod":
        length = length or tree.lower(tree.subtree(head)[0]) in ("a", "an", "all")
        return untagged("how long") if length else untagged("when") if time else []
    cases = tree.dependents(head, ("case",))
    if relation != "nmod" or len(cases) != 1 or cases[0] > head or tree.children[cases[0]]:
        return []
    preposition = tree.lower(cases[0])
    if preposition not in _PREPOSITIONS:
        return []
    if length:
        return untagged("for how long") if preposition == "for" else []
    if time:
        return untagged("when") if preposition in ("in", "on", "at", "during") else []
    if preposition in ("in", "at") and (best == "location" or (not best and tree.tag(head) == "NNP")):
        return untagged("where")
    asked = _question_word(tree, clause, head, "oblique")
    return untagged(preposition, asked.replace("who", "whom"))
