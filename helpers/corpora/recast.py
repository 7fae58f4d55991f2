"""Three tasks made from Universal Decompositional Semantics (:mod:`helpers.corpora.uds`).

**uds-dep** is its sentences with their UD v1 trees.

**uds-nli** recasts its human ratings as natural language inference (White et al. 2017; Poliak et al. 2018).
The premise is a sentence, the hypothesis is worded by a template for the property that was rated, and the
label, *entailed* or *not-entailed*, is the annotators' answer. By ``source``:

* ``factuality``: the predicate's clause as a plain statement in the past or present; entailed if the
  annotators said that it happened or is the case
* ``genericity/hypothetical``: "... is only a possibility here."; entailed if they called it hypothetical
* ``time/duration``: "... took minutes at most." if they said an instant, seconds or minutes, "... went on
  for months or longer." if months to forever
* ``protoroles/volition``: "X chose to ..."; entailed if they found it very likely that X chose to be
  involved. Six more properties have templates of their own, see ``_PROTOROLES``

Only clear ratings are used (see ``_answer``). Left out are negated predicates, because the annotators
disagreed whether the negation belongs to the event: of 1,308 in train 375 are rated as happening and 424 as
not; hypotheses that something did not happen, because a "no" also covers what may still happen; hypothetical
ratings that the factuality raters contradict, because in train one person gave them; for the same reason
ratings of being particular or a kind; and proto-roles that hold nearly always or hardly ever (existed_before,
existed_during, existed_after, was_used, change_of_possession, partitive), that hold of words rather than in
events (sentient) or that concern prepositional phrases (manner, location, time, purpose).

A model must not do well on the hypothesis alone. Within each source and construction every entailed pair is
therefore matched with one that is not and whose words make it equally likely to be entailed, as judged by a
naive Bayes model of the training candidates; what finds no partner is dropped.

**uds-qa** asks for an argument of a predicate, in the manner of SQuAD v1.1: the context is the sentence among
its neighbours in the document, the answer is the argument's span (without its relative clauses). As many
questions ask for subjects ("Who ...?", "What ...?") as for objects ("What did ...?"), and nearly as many for
prepositional and temporal phrases ("When ...?", "Where ...?", "With what ...?").

Both are split by document, as UDS itself is, and depend on the wheel alone: what is random is decided by
hashes of identifiers.
"""

import hashlib
import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from helpers.corpora import uds
from helpers.corpora.clauses import (
    Clause,
    Phrase,
    Tree,
    Word,
    clauses,
    detokenise,
    finite,
    gerund,
    participle,
    plain,
    third_person,
)
from helpers.corpora.records import Answer, Pair, Question, Sentence
from helpers.corpora.uds import Argument, Graph, Rating
from helpers.store import Store

ENTAILED, NOT_ENTAILED = "entailed", "not-entailed"
NAMES = ("uds-dep", "uds-nli", "uds-qa")
SCHEMA = 2  # raise when a recast task changes

LONGEST_PREMISE = 60  # words
PAIRS_PER_SENTENCE = 6
CLOSE = 1.0  # nats: how far the prior log-odds of two matched pairs may lie apart
NEIGHBOURS = 4  # sentences of context beside the one that is asked about
LONGEST_CONTEXT = 110  # words, unless the sentence alone is longer
QUESTIONS_PER_SENTENCE = 5
LONGEST_ANSWER = 10  # words


def dep(split: str, *, wheel: str | Path | None = None) -> list[Sentence]:
    """uds-dep: the sentences of a split with their UD v1 trees. Errors as for :func:`uds.load`."""
    return [uds.sentence(graph) for graph in uds.load(split, wheel=wheel)]


def nli(split: str, *, wheel: str | Path | None = None) -> list[Pair]:
    """uds-nli: inference pairs in the order of the corpus. Errors as for :func:`uds.load`.

    ``source`` of a pair names the property that was rated.
    """
    return [Pair(*row) for row in _rows("uds-nli", split, wheel)]


def qa(split: str, *, wheel: str | Path | None = None) -> list[Question]:
    """uds-qa: questions in the order of the corpus. Errors as for :func:`uds.load`.

    The identifier of a question tells what is asked for: graph, role, predicate and argument, as in
    ``ewt-dev-6-subject-9-2``.
    """
    return [
        Question(key, question, context, tuple(Answer(*answer) for answer in answers), document)
        for key, question, context, answers, document in _rows("uds-qa", split, wheel)
    ]


def report(name: str, *, wheel: str | Path | None = None) -> list[dict]:
    """What a recast task consists of: rows for a table, per split and group of records.

    Groups are ``all`` and the sources of pairs or the roles asked for. Columns: ``corpus, split, group,
    records, documents``; for uds-nli ``entailed``, the share of that label; for uds-qa ``context_words``
    and ``answer_words``, means; for uds-dep ``words``, the total.
    """
    rows = []
    for split in uds.SPLITS:
        records = _READERS[_known(name)](split, wheel=wheel)
        groups = defaultdict(list)
        for record in records:
            groups["all"].append(record)
            if name != "uds-dep":
                groups[_group(record)].append(record)
        for group, members in groups.items():
            row = {
                "corpus": name,
                "split": split,
                "group": group,
                "records": len(members),
                "documents": len({member.document for member in members}),
            }
            if name == "uds-nli":
                row["entailed"] = sum(member.label == ENTAILED for member in members) / len(members)
            elif name == "uds-qa":
                row["context_words"] = sum(len(m.context.split()) for m in members) / len(members)
                row["answer_words"] = sum(len(m.answers[0].text.split()) for m in members) / len(members)
            else:
                row["words"] = sum(len(member.words) for member in members)
            rows.append(row)
    return rows


def samples(
    name: str, n: int = 20, seed: int = 0, *, split: str = "train", wheel: str | Path | None = None
) -> list[dict]:
    """``n`` records of a task drawn at random (all, if there are fewer), as rows for a table."""
    records = _READERS[_known(name)](split, wheel=wheel)
    rows = []
    for record in random.Random(seed).sample(records, min(n, len(records))):
        if name == "uds-nli":
            fields = ("premise", "hypothesis", "label", "source", "id")
            rows.append({field: getattr(record, field) for field in fields})
        elif name == "uds-qa":
            rows.append({
                "question": record.question,
                "answer": record.answers[0].text,
                "context": record.context,
                "asks": _group(record),
                "id": record.id,
            })  # fmt: skip
        else:
            rows.append({"text": " ".join(record.words), "genre": record.genre, "id": record.id})
    return rows


_READERS: dict[str, Callable] = {"uds-dep": dep, "uds-nli": nli, "uds-qa": qa}


def _known(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"unknown recast task {name!r}; valid: {', '.join(NAMES)}")
    return name


def _group(record: Pair | Question) -> str:
    return record.source if isinstance(record, Pair) else record.id.split("-")[3]


def _rows(task: str, split: str, wheel: str | Path | None) -> list[list]:
    """The rows of a split; the three splits are made together, from the wheel, and kept in the store."""
    if split not in uds.SPLITS:
        raise ValueError(f"unknown split {split!r}; valid: {', '.join(uds.SPLITS)}")

    def build(folder: Path) -> None:
        graphs = {name: uds.load(name, wheel=wheel) for name in uds.SPLITS}
        made = _make_pairs(graphs) if task == "uds-nli" else _make_questions(graphs)
        for name, records in made.items():
            with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as out:
                for record in records:
                    out.write(json.dumps(astuple(record), ensure_ascii=False) + "\n")

    spec = {"task": task, "schema": SCHEMA, "graphs": uds.SCHEMA, "wheel": uds.fingerprint(wheel)}
    folder = Store().get("recast", spec, build)
    with open(folder / f"{split}.jsonl", encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def _hash(*parts: object) -> int:
    """A number that is as good as random, and the same everywhere."""
    text = "\t".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


# ---------------------------------------------------------------------------------------------------
# uds-nli

# Words that give a hypothesis away, or that are wrong once it is taken out of a question or condition.
_POLARITY = set(
    "any anybody anyone anything anywhere ever yet either whatever whichever whoever no nothing".split()
)
# Verbs that say little by themselves.
_LIGHT = set(
    "be become begin come do get go have help keep let make need put seem start take try use want".split()
)
# Verbs of states, which nobody is changed by.
_STATES = set(
    "agree appear become believe belong care concern consist contain cost depend deserve doubt enjoy exist"
    " expect fear feel hate have hear hope include involve know lack like live look love matter mean need own"
    " prefer regard remain remember see seem stay suppose think understand want wish wonder".split()
)
_NO_PASSIVE = set("cost do get have let mean take want".split())
_SHORT, _LONG = {"instant", "seconds", "minutes"}, {"months", "years", "decades", "centuries", "forever"}


@dataclass(frozen=True, slots=True)
class _Participant:
    """An argument, and the clause as seen from it: "I" calling customers, "customers" being called."""

    subject: Phrase
    tense: str
    doing: list[Word]
    do: list[Word]

    def says(self, verb: str, *more: str) -> list[Word]:
        return [*self.subject.as_subject, (finite(verb, self.tense, self.subject), "VBD"), *_words(*more)]


_PROTOROLES: dict[str, Callable[[_Participant], list[Word]]] = {
    "awareness": lambda x: x.says("be", "aware of") + x.doing,
    "change_of_location": lambda x: x.says("move", "from one place to another while") + x.doing,
    "change_of_state": lambda x: x.says("change", "as a result of") + x.doing,
    "change_of_state_continuous": lambda x: x.says("keep", "changing while") + x.doing,
    "instigation": lambda x: x.says("be", "responsible for") + x.doing,
    "volition": lambda x: x.says("choose", "to") + x.do,
    "was_for_benefit": lambda x: x.says("benefit", "from") + x.doing,
}


@dataclass(frozen=True, slots=True)
class _Candidate:
    pair: Pair
    construction: tuple  # what, beside the source, may not tell the label


def _make_pairs(graphs: dict[str, list[Graph]]) -> dict[str, list[Pair]]:
    candidates = {split: list(_unique(map(_candidates, members))) for split, members in graphs.items()}
    prior = _Prior(candidates["train"])
    made = {}
    for split, members in candidates.items():
        chosen = _matched(members, prior, seen=split == "train")
        made[split] = [member.pair for member in members if member.pair.id in chosen]
    return made


def _unique(lists: Iterable[Iterable[_Candidate]]) -> Iterator[_Candidate]:
    """Candidates whose premise and hypothesis did not occur before (the treebank repeats some sentences)."""
    seen = set()
    for members in lists:
        for member in members:
            key = member.pair.premise, member.pair.hypothesis
            if key not in seen:
                seen.add(key)
                yield member


def _candidates(graph: Graph) -> Iterator[_Candidate]:
    """All pairs that a sentence yields, before balancing."""
    if len(graph.words) > LONGEST_PREMISE:
        return
    tree = Tree(graph)
    found = {
        clause.verb: clause
        for clause in clauses(tree)
        if not clause.copular and not clause.negated and clause.tense != "imperative"
        if clause.usable() and clause.subject.usable
        if clause.rest or clause.passive or (clause.lemma not in _LIGHT and len(clause.subject.words) > 1)
        if clause.lemma != "go" or all(part.relation != "xcomp" for part in clause.rest)
        if _POLARITY.isdisjoint(word.lower() for word, _ in (*clause.subject.words, *clause.following()))
    }
    premise = plain(zip(graph.words, graph.xpos, strict=True))

    def candidate(source: str, nodes: str, words: Sequence[Word], label: bool, *construction) -> _Candidate:
        text = plain(words)
        pair = Pair(
            id=f"{graph.id}-{source.rpartition('/')[2]}-{nodes}",
            premise=premise,
            hypothesis=f"{text[:1].upper()}{text[1:]}.",
            label=ENTAILED if label else NOT_ENTAILED,
            document=graph.document,
            genre=graph.genre,
            source=source,
        )
        return _Candidate(pair, (source, *construction))

    for predicate in graph.predicates:
        clause = found.get(predicate.root)
        if clause is None:
            continue
        at, passive = str(clause.verb), clause.passive
        tense = "present" if clause.tense == "present" else "past"  # of the hypothesis
        doing = _verb_phrase(clause, gerund, passive)
        happened = _answer(predicate.factuality.get("factual"))
        if happened is not None:
            if passive:
                verb = [(finite("be", tense, clause.subject), "VBD"), _participle(clause)]
            else:
                verb = [(finite(clause.lemma, tense, clause.subject), "VBD")]
            words = [*clause.subject.as_subject, *verb, *clause.following()]
            yield candidate("factuality", at, words, happened, tense, passive)
        hypothetical = _answer(predicate.genericity.get("pred-hypothetical"))
        if not clause.rest and not passive:
            continue
        if hypothetical is not None and happened is not None and hypothetical != happened:
            words = doing + _words("is only a possibility here")
            yield candidate("genericity/hypothetical", at, words, hypothetical, passive)
        duration = _duration(predicate.time)
        if duration and clause.lemma != "have":
            say_short = _hash(graph.id, clause.verb) % 2 == 0
            words = doing + _words("took minutes at most" if say_short else "went on for months or longer")
            yield candidate("time/duration", at, words, say_short == (duration == "short"), say_short)

    for edge in graph.edges:
        clause = found.get(edge.predicate)
        if clause is None or not edge.protoroles or clause.tense not in ("past", "present"):
            continue
        participant = _participant(tree, clause, edge.argument)
        if participant is None:
            continue
        for name, wording in _PROTOROLES.items():
            label = _answer(edge.protoroles.get(name), scalar=True)
            if label is not None and not (name.startswith("change") and clause.lemma in _STATES):
                nodes = f"{edge.predicate}-{edge.argument}"
                passive = participant.subject.head != clause.subject.head or clause.passive
                yield candidate(f"protoroles/{name}", nodes, wording(participant), label, passive)


def _answer(rating: Rating | None, *, scalar: bool = False) -> bool | None:
    """The annotators' answer to a question if it is clear, else None.

    Yes-or-no questions: all said the same (confidence 1, as normalised). Proto-roles (``scalar``) were
    rated from 1 to 5: all gave the highest rating, or all the lowest or that the question does not apply.
    """
    if rating is None or rating.confidence < 0.99:
        return None
    if scalar:
        return True if rating.value >= 1 else False if rating.value < 0.001 else None
    return rating.value > 0 if abs(rating.value) >= 0.5 else None


def _duration(ratings: dict[str, Rating]) -> str | None:
    """short (minutes at most), long (months at least), or None if unclear or between."""
    if not ratings:
        return None
    best = max(sorted(ratings), key=lambda name: ratings[name].value)
    if ratings[best].confidence < 0.99:
        return None
    length = best.removeprefix("dur-")
    return "short" if length in _SHORT else "long" if length in _LONG else None


def _words(*texts: str) -> list[Word]:
    return [(word, "") for text in texts for word in text.split()]


def _verb_phrase(
    clause: Clause, form: Callable[[str], str], passive: bool, removed: Iterable[int] = ()
) -> list[Word]:
    """The clause without its subject, its verb in a form such as the gerund."""
    if passive:
        verb = [(form("be"), "VBG"), _participle(clause)]
    else:
        verb = [(form(clause.lemma), "VBG")]
    return [*verb, *clause.following(removed)]


def _participle(clause: Clause) -> Word:
    word = clause.graph.words[clause.verb - 1].lower()
    return word if clause.passive and word.isalpha() else participle(clause.lemma), "VBN"


def _participant(tree: Tree, clause: Clause, argument: int) -> _Participant | None:
    """The clause as seen from its subject, or, in the passive, from its object; None for others."""
    if argument == clause.subject.head:
        phrase, passive, removed = clause.subject, clause.passive, ()
    else:
        objects = [part for part in clause.rest if part.relation == "dobj"]
        others = {part.relation for part in clause.rest} & {"iobj", "xcomp", "ccomp"}
        if [argument] != [part.head for part in objects] or others or clause.passive:
            return None
        if clause.lemma in _NO_PASSIVE:
            return None
        phrase, passive, removed = tree.phrase(argument, clause.verb), True, objects[0].positions
    words = {word.lower() for word, _ in phrase.words}
    if not phrase.usable or words & _POLARITY or words in ({"that"}, {"this"}, {"these"}, {"those"}, {"it"}):
        return None
    doing = _verb_phrase(clause, gerund, passive, removed)
    return _Participant(phrase, clause.tense, doing, _verb_phrase(clause, str, passive, removed))


class _Prior:
    """How likely the words of a hypothesis make its label, by source: naive Bayes with add-one smoothing."""

    def __init__(self, candidates: Iterable[_Candidate]):
        self.counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        self.totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for candidate in candidates:
            pair, label = candidate.pair, candidate.pair.label == ENTAILED
            self.totals[pair.source][label] += 1
            for word in _vocabulary(pair.hypothesis):
                self.counts[pair.source][word][label] += 1

    def log_odds(self, pair: Pair, *, seen: bool) -> float:
        """Of being entailed; ``seen`` pairs are among those counted, and are left out of the count."""
        no, yes = self.totals[pair.source]
        counts = self.counts[pair.source]
        own = [0, 0]
        if seen:
            own[pair.label == ENTAILED] = 1
        score = 0.0
        for word in sorted(_vocabulary(pair.hypothesis)):
            n, y = counts[word] if word in counts else (0, 0)
            score += math.log((y - own[1] + 1) / (n - own[0] + 1) * (no + 1) / (yes + 1))
        return round(score, 6)


def _vocabulary(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))


def _matched(candidates: Sequence[_Candidate], prior: _Prior, *, seen: bool) -> set[str]:
    """Identifiers of pairs chosen two by two: one entailed, one not, nearly equally likely beforehand."""
    groups = defaultdict(list)
    for candidate in candidates:
        pair = candidate.pair
        score = prior.log_odds(pair, seen=seen)
        groups[candidate.construction].append((score, _hash(pair.id), pair))
    couples = []
    for construction in sorted(groups, key=str):
        waiting: list = []  # all of one label, in order of their scores
        for item in sorted(groups[construction], key=lambda item: item[:2]):
            if waiting and waiting[-1][2].label != item[2].label:
                partner = waiting.pop()
                if item[0] - partner[0] <= CLOSE:
                    couples.append((partner[2], item[2]))
            else:
                waiting.append(item)
    # Both or neither, so that no sentence is asked about too often and the labels stay balanced.
    used, chosen = Counter(), set()
    for couple in sorted(couples, key=lambda couple: _hash(*(pair.id for pair in couple))):
        more = Counter(pair.premise for pair in couple)
        if all(used[premise] + n <= PAIRS_PER_SENTENCE for premise, n in more.items()):
            used.update(more)
            chosen.update(pair.id for pair in couple)
    return chosen


# ---------------------------------------------------------------------------------------------------
# uds-qa

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


def _make_questions(graphs: dict[str, list[Graph]]) -> dict[str, list[Question]]:
    made = {}
    for split, members in graphs.items():
        questions: dict[tuple[str, str], Question] = {}
        for question in _with_contexts(members):
            questions.setdefault((question.context, question.question), question)
        by_role = {role: [q for q in questions.values() if _group(q) == role] for role in _ROLES}
        most = min(len(by_role["subject"]), len(by_role["object"]))
        kept = set()
        for of_role in by_role.values():
            kept.update(q.id for q in sorted(of_role, key=lambda q: _hash(q.id))[:most])
        made[split] = [q for q in questions.values() if q.id in kept]
    return made


def _with_contexts(graphs: Sequence[Graph]) -> Iterator[Question]:
    documents = defaultdict(list)
    for graph in graphs:
        documents[graph.document].append(graph)
    for members in documents.values():
        for index, graph in enumerate(members):
            drafts = sorted(_drafts(graph), key=lambda draft: _hash(draft.id))
            if not drafts:
                continue
            first, last = _window(members, index)
            around = members[first:last]
            text, starts = "", ()
            for member in around:
                sentence, offsets = detokenise(zip(member.words, member.xpos, strict=True))
                text += " " if text else ""
                if member is graph:
                    starts = tuple(len(text) + offset for offset in offsets)
                text += sentence
            lemmas = Counter(lemma for member in around for lemma in member.lemmas)
            asked = 0
            for draft in drafts:
                if asked == QUESTIONS_PER_SENTENCE:
                    break
                begin, end = draft.span[0] - 1, draft.span[-1] - 1
                answer = text[starts[begin] : starts[end] + len(graph.words[end])]
                if not draft.specific and lemmas[draft.lemma] > 1:
                    continue  # "Who left?" where several people leave
                if _normal(answer) in _normal(draft.text):
                    continue
                asked += 1
                yield Question(draft.id, draft.text, text, (Answer(answer, starts[begin]),), graph.document)


def _normal(text: str) -> str:
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "


def _window(members: Sequence[Graph], index: int) -> tuple[int, int]:
    """The neighbours shown with a sentence: it may stand anywhere among them, or its place would tell."""
    before = _hash(members[index].id) % (NEIGHBOURS + 1)
    first, last = max(0, index - before), min(len(members), index - before + NEIGHBOURS + 1)
    while sum(len(member.words) for member in members[first:last]) > LONGEST_CONTEXT and last - first > 1:
        if last - 1 - index > index - first:
            last -= 1
        else:
            first += 1
    return first, last


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
        light = clause.lemma in _LIGHT and not clause.copular

        def draft(role, argument, words, specific, clause=clause, lemma=lemma, light=light):
            if light and not specific:
                return
            text = plain(words)
            text = f"{text[:1].upper()}{text[1:]}?"
            span = _answer_span(tree, arguments[argument])
            yield _Draft(graph, role, clause.verb, lemma, argument, span, text, specific)

        subject = clause.subject
        plural_noun = clause.copular and graph.xpos[clause.verb - 1] in ("NNS", "NNPS")
        askable = clause.rest and clause.usable() and not plural_noun
        if askable and _answerable(tree, clause, subject.head, arguments):
            asking = [(_question_word(tree, clause, subject, "subject"), "WP")]
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
                asking = [(_question_word(tree, clause, tree.phrase(head, clause.verb), "object"), "WP")]
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
                    if child in tree.targets.get(verb, ()):
                        yield tree.relation(child), child
                    if tree.relation(child) == "xcomp":
                        further = child
            verb = further


def _answer_span(tree: Tree, argument: Argument) -> tuple[int, ...]:
    """The argument's span, less relative clauses and asides if what is left of it hangs together."""
    pruned = set(tree.pruned(argument.root))
    span = tuple(at for at in argument.span if at in pruned)
    return span if span and span[-1] - span[0] + 1 == len(span) else argument.span


def _answerable(tree: Tree, clause: Clause, head: int, arguments: dict[int, Argument]) -> bool:
    """Whether an argument can be asked for: a short contiguous noun phrase that means something."""
    graph, argument = tree.graph, arguments.get(head)
    if argument is None or tree.tag(head) not in ("NN", "NNS", "NNP", "NNPS", "CD"):
        return False
    span = _answer_span(tree, argument)
    if span[-1] - span[0] + 1 != len(span) or len(span) > LONGEST_ANSWER or clause.verb in span:
        return False
    if graph.lemmas[head - 1].lower() in _EMPTY | (_SET_PHRASES if len(span) == 1 else set()):
        return False
    if any(tree.tag(at) in ("-LRB-", "-RRB-", "``", "''", ":", "NFP") for at in span):
        return False
    return graph.words[span[0] - 1].lower() not in _UNDETERMINED


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
        auxiliary = "did" if clause.tense == "past" else finite("do", "present", clause.subject)
        group = [(auxiliary, "VBD"), (clause.lemma, "VB")]
    negation = [("not", "RB")] if clause.negated else []
    return [group[0], *clause.subject.as_subject, *negation, *group[1:]]


def _specific(words: Iterable[Word], least: int = 1) -> bool:
    return sum(tag[:2] in ("NN", "CD", "JJ") for _, tag in words) >= least


def _question_word(tree: Tree, clause: Clause, phrase: Phrase, role: str) -> str:
    """Who or what: by UDS's word senses and proto-roles, then by the words; undecided: "who or what"."""
    graph, head = tree.graph, phrase.head
    senses = _senses(tree, head)
    if graph.lemmas[head - 1] in _PERSONS:
        return "who"
    if senses:
        return "who" if senses.get("person", -3) > 0 or max(senses, key=senses.get) == "person" else "what"
    for edge in graph.edges:
        if edge.argument == head:
            sentient = _answer(edge.protoroles.get("sentient"), scalar=True)
            if sentient is not None:
                return "who" if sentient else "what"
    words = [word.lower() for word, _ in phrase.words]
    if tree.tag(head) not in ("NNP", "NNPS"):
        return "what"
    if not _TITLES.isdisjoint(words):
        return "who"
    if not _INSTITUTIONS.isdisjoint(words) or graph.words[head - 1].isupper() or not words[-1].isalpha():
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
    graph = tree.graph
    senses = _senses(tree, head)
    best = max(senses, key=senses.get) if senses else ""
    lemma = graph.lemmas[head - 1].lower()
    clock = re.fullmatch(r"(1[5-9]|20)\d\d|\d+:\d\d(am|pm)?|\d+(am|pm)", lemma) is not None
    time = best == "time" or lemma in _TIMES or clock
    length = lemma in _LENGTHS and tree.tag(head) == "NNS"
    if relation == "nmod:tmod":
        length = length or graph.words[min(tree.subtree(head)) - 1].lower() in ("a", "an", "all")
        return _words("how long") if length else _words("when") if time else []
    cases = [child for child in tree.children[head] if tree.relation(child) == "case"]
    if relation != "nmod" or len(cases) != 1 or cases[0] > head or tree.children[cases[0]]:
        return []
    preposition = graph.words[cases[0] - 1].lower()
    if preposition not in _PREPOSITIONS:
        return []
    if length:
        return _words("for how long") if preposition == "for" else []
    if time:
        return _words("when") if preposition in ("in", "on", "at", "during") else []
    if preposition in ("in", "at") and (best == "location" or (not best and tree.tag(head) == "NNP")):
        return _words("where")
    asked = _question_word(tree, clause, tree.phrase(head, clause.verb), "oblique")
    return _words(preposition, asked.replace("who", "whom"))
