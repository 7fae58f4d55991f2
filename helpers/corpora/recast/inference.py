"""uds-nli: human ratings recast as natural language inference (White et al. 2017; Poliak et al. 2018).

The premise is a sentence, the hypothesis is worded by a template for the property that was rated, and the
label, *entailed* or *not-entailed*, is the annotators' answer. By ``source``:

* ``factuality``: the predicate's clause as a plain statement in the past or present; entailed if the
  annotators said that it happened or is the case
* ``genericity/hypothetical``: "... is only a possibility here."; entailed if they called it hypothetical
* ``time/duration``: "... took minutes at most." if they said an instant, seconds or minutes, "... went on
  for months or longer." if months to forever
* ``protoroles/volition``: "X chose to ..."; entailed if they found it very likely that X chose to be
  involved. Six more properties have templates of their own, see ``_PROTOROLES``

Only clear ratings are used (:func:`helpers.corpora.uds.answer`). Left out are negated predicates, because the
annotators disagreed whether the negation belongs to the event: of 1,308 in train 375 are rated as happening
and 424 as not; hypotheses that something did not happen, because a "no" also covers what may still happen;
hypothetical ratings that the factuality raters contradict, because in train one person gave them; for the
same reason ratings of being particular or a kind; and proto-roles that hold nearly always or hardly ever
(existed_before, existed_during, existed_after, was_used, change_of_possession, partitive), that hold of words
rather than in events (sentient) or that concern prepositional phrases (manner, location, time, purpose).

A model must not do well on the hypothesis alone. Within each source and construction every entailed pair is
therefore matched with one that is not and whose words make it equally likely to be entailed, as judged by a
naive Bayes model of the training candidates; what has no partner is dropped.
"""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from helpers.corpora.recast.clauses import Clause, NounPhrase, clauses, noun_phrase
from helpers.corpora.recast.english import LIGHT, Word, gerund, participle, plain, sentence, untagged
from helpers.corpora.recast.tree import Tree
from helpers.corpora.records import Pair
from helpers.corpora.uds import Graph, Rating, answer

ENTAILED, NOT_ENTAILED = "entailed", "not-entailed"
LONGEST_PREMISE = 60  # words
PAIRS_PER_SENTENCE = 6
CLOSE = 1.0  # nats: how far the prior log-odds of two matched pairs may lie apart

# Words that give a hypothesis away, or that are wrong once it is taken out of a question or condition.
_POLARITY = set(
    "any anybody anyone anything anywhere ever yet either whatever whichever whoever no nothing".split()
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

    subject: NounPhrase
    tense: str
    doing: list[Word]
    do: list[Word]

    def says(self, verb: str, *more: str) -> list[Word]:
        return [*self.subject.as_subject, self.subject.verb(verb, self.tense), *untagged(*more)]


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
    construction: tuple  # what, besides the source, must not give the label away


def make(graphs: dict[str, list[Graph]]) -> dict[str, list[Pair]]:
    """The pairs of each split, given its graphs. The split ``train`` teaches what words give away."""
    candidates = {s: _unique(chain.from_iterable(map(_candidates, members))) for s, members in graphs.items()}
    prior = _Prior(candidates["train"])
    made = {}
    for split, members in candidates.items():
        chosen = _matched(members, prior, seen=split == "train")
        made[split] = [member.pair for member in members if member.pair.id in chosen]
    return made


def _unique(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Candidates whose premise and hypothesis did not occur before (the treebank repeats some sentences)."""
    first: dict[tuple[str, str], _Candidate] = {}
    for candidate in candidates:
        first.setdefault((candidate.pair.premise, candidate.pair.hypothesis), candidate)
    return list(first.values())


def _candidates(graph: Graph) -> Iterator[_Candidate]:
    """All pairs that a sentence yields, before balancing."""
    if len(graph.words) > LONGEST_PREMISE:
        return
    tree = Tree(graph)
    usable = {
        clause.verb: clause
        for clause in clauses(tree)
        if not clause.copular and not clause.negated and clause.tense != "imperative"
        if clause.usable() and clause.subject.usable
        if clause.rest or clause.passive or (clause.lemma not in LIGHT and len(clause.subject.words) > 1)
        if clause.lemma != "go" or all(part.relation != "xcomp" for part in clause.rest)
        if _POLARITY.isdisjoint(word.lower() for word, _ in (*clause.subject.words, *clause.following()))
    }
    premise = plain(zip(graph.words, graph.xpos, strict=True))

    def candidate(source: str, nodes: str, said: Sequence[Word], label: bool, *construction) -> _Candidate:
        pair = Pair(
            id=f"{graph.id}-{source.rpartition('/')[2]}-{nodes}",
            premise=premise,
            hypothesis=sentence(said, "."),
            label=ENTAILED if label else NOT_ENTAILED,
            document=graph.document,
            genre=graph.genre,
            source=source,
        )
        return _Candidate(pair, (source, *construction))

    for predicate in graph.predicates:
        clause = usable.get(predicate.root)
        if clause is None:
            continue
        at, passive = str(clause.verb), clause.passive
        tense = "present" if clause.tense == "present" else "past"  # of the hypothesis
        doing = _verb_phrase(clause, gerund, passive)
        happened = answer(predicate.factuality.get("factual"))
        if happened is not None:
            verb = clause.subject.verb("be" if passive else clause.lemma, tense)
            said = [*clause.subject.as_subject, verb, *([_participle(clause)] if passive else [])]
            yield candidate("factuality", at, said + [*clause.following()], happened, tense, passive)
        hypothetical = answer(predicate.genericity.get("pred-hypothetical"))
        if not clause.rest and not passive:
            continue
        if hypothetical is not None and happened is not None and hypothetical != happened:
            said = doing + untagged("is only a possibility here")
            yield candidate("genericity/hypothetical", at, said, hypothetical, passive)
        duration = _duration(predicate.time)
        if duration and clause.lemma != "have":
            say_short = hashed(graph.id, clause.verb) % 2 == 0
            said = doing + untagged("took minutes at most" if say_short else "went on for months or longer")
            yield candidate("time/duration", at, said, say_short == (duration == "short"), say_short)

    for edge in graph.edges:
        clause = usable.get(edge.predicate)
        if clause is None or not edge.protoroles or clause.tense not in ("past", "present"):
            continue
        participant = _participant(tree, clause, edge.argument)
        if participant is None:
            continue
        for name, wording in _PROTOROLES.items():
            label = answer(edge.protoroles.get(name), scalar=True)
            if label is not None and not (name.startswith("change") and clause.lemma in _STATES):
                nodes = f"{edge.predicate}-{edge.argument}"
                passive = participant.subject.head != clause.subject.head or clause.passive
                yield candidate(f"protoroles/{name}", nodes, wording(participant), label, passive)


def _duration(ratings: dict[str, Rating]) -> str | None:
    """short (minutes at most), long (months at least), or None if unclear or between."""
    if not ratings:
        return None
    best = max(sorted(ratings), key=lambda name: ratings[name].value)
    if ratings[best].confidence < 0.99:
        return None
    length = best.removeprefix("dur-")
    return "short" if length in _SHORT else "long" if length in _LONG else None


def _verb_phrase(
    clause: Clause, form: Callable[[str], str], passive: bool, removed: Iterable[int] = ()
) -> list[Word]:
    """The clause without its subject, its verb in a form such as the gerund."""
    verb = [(form("be"), "VBG"), _participle(clause)] if passive else [(form(clause.lemma), "VBG")]
    return [*verb, *clause.following(removed)]


def _participle(clause: Clause) -> Word:
    word = clause.graph.words[clause.verb - 1].lower()
    return word if clause.passive and word.isalpha() else participle(clause.lemma), "VBN"


def _participant(tree: Tree, clause: Clause, argument: int) -> _Participant | None:
    """The clause as seen from its subject, or, in the passive, from its object; None for others."""
    if argument == clause.subject.head:
        phrase, passive = clause.subject, clause.passive
        removed: tuple[int, ...] = ()
    else:
        objects = [part for part in clause.rest if part.relation == "dobj"]
        others = {part.relation for part in clause.rest} & {"iobj", "xcomp", "ccomp"}
        if [argument] != [part.head for part in objects] or others or clause.passive:
            return None
        if clause.lemma in _NO_PASSIVE:
            return None
        phrase, passive, removed = noun_phrase(tree, argument, clause.verb), True, objects[0].positions
    said = {word.lower() for word, _ in phrase.words}
    if not phrase.usable or said & _POLARITY or said in ({"that"}, {"this"}, {"these"}, {"those"}, {"it"}):
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
        groups[candidate.construction].append((score, hashed(pair.id), pair))
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
    used: Counter[str] = Counter()
    chosen: set[str] = set()
    for couple in sorted(couples, key=lambda couple: hashed(*(pair.id for pair in couple))):
        more = Counter(pair.premise for pair in couple)
        if all(used[premise] + n <= PAIRS_PER_SENTENCE for premise, n in more.items()):
            used.update(more)
            chosen.update(pair.id for pair in couple)
    return chosen


def hashed(*parts: object) -> int:
    """A number that is as good as random, and the same everywhere."""
    text = "\t".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
