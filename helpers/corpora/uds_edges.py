"""Edge-probing tasks made from Universal Decompositional Semantics (:mod:`helpers.corpora.uds`).

They need nothing but its wheel. One is what it is called:

* **SPR2**: the proto-role properties of White et al. (2016). ``span1`` is a predicate's root, ``span2`` an
  argument, and a property is a label if its normalised rating is above :data:`LIKELY`; a target may have
  none. Tenney et al. (2019) ask for a mean rating of at least 4 out of 5: 95 % of the decisions agree.
  Noun phrases were rated for fourteen properties and prepositional phrases for four others; what was not
  asked does not hold.

Three stand in for annotation that UDS does not have; their scores cannot be held against the paper's:

* **Constituents**: phrases projected from the dependency trees (:mod:`helpers.corpora.phrases`).
* **Entities**: arguments with the WordNet supersense of their head noun (person, group, food ...), the one
  that its annotators rated highest; left out where two share that place or none is positive. Only
  common nouns were rated, so no names are among them.
* **SRL**: UDS links predicates to arguments but names no roles. The label is the argument's logical
  function, see :func:`function`.

A predicate's span is its root. An argument's is the unbroken part of it around its root that stops short
of the predicate.
"""

from collections.abc import Iterable

from helpers.corpora import phrases
from helpers.corpora.records import LabelledSpans, Target
from helpers.corpora.uds import Graph

LIKELY = 0.05  # normalised rating above which a proto-role property holds
_CLAUSES = ("ccomp", "xcomp", "csubj", "csubjpass")


def constituents(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Projected phrases; a span with two labels is two targets, as in OntoNotes."""
    return [
        _record(graph, [Target((first, end), None, (label,)) for first, end, label in phrases.project(graph)])
        for graph in graphs
    ]


def entities(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Arguments with the supersense of their head noun that was rated highest."""
    records = []
    for graph in graphs:
        targets = []
        for argument in graph.arguments:
            ranked = sorted(argument.wordsense.items(), key=lambda item: -item[1].value)
            best = ranked[0][1].value if ranked else 0
            if best > 0 and not (len(ranked) > 1 and ranked[1][1].value == best):
                sense = ranked[0][0].removeprefix("supersense-noun.")
                targets.append(Target(_stretch(argument.root, argument.span), None, (sense,)))
        records.append(_record(graph, targets))
    return records


def srl(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Predicates (``span1``) and their arguments (``span2``) with the argument's logical function."""
    records = []
    for graph in graphs:
        spans = _argument_spans(graph)
        targets = [
            Target((p - 1, p), _stretch(a, spans[a], p), (function(graph, p, a),)) for p, a in _edges(graph)
        ]
        records.append(_record(graph, targets))
    return records


def protoroles(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Predicates (``span1``) and their rated arguments (``span2``) with the properties that hold."""
    records = []
    for graph in graphs:
        spans = _argument_spans(graph)
        targets = []
        for edge in graph.edges:
            if edge.protoroles:
                p, a = edge.predicate, edge.argument
                holds = tuple(sorted(n for n, rating in edge.protoroles.items() if rating.value > LIKELY))
                targets.append(Target((p - 1, p), _stretch(a, spans[a], p), holds))
        records.append(_record(graph, targets))
    return records


def function(graph: Graph, predicate: int, argument: int) -> str:
    """The logical function of an argument; the two are named by the positions of their roots, from 1.

    * ``subject``: what the verb's subject would be in the active voice, with *by* in the passive
    * ``object``: a direct object or the subject of a passive; ``indirect object``
    * ``oblique``: with a preposition, or a noun phrase used as an adverb; also possessors
    * ``clause``: a complement or subject that is a clause
    * ``modified``: the noun whose relative clause or participle the predicate is

    A noun that does not depend on the predicate itself is shared with another predicate, by control or
    coordination, and is the subject, or the object if the predicate is passive. Functions are coarser than
    PropBank's roles: in dev and test 88 % of objects are ARG1 there and 64 % of subjects ARG0 (23 % ARG1),
    81 % of indirect objects ARG2, but obliques are of many roles.
    """
    head, relation = graph.heads[argument - 1], graph.deprels[argument - 1]
    children = [i for i, above in enumerate(graph.heads, 1) if above == predicate]
    passive = any(graph.deprels[i - 1] in ("auxpass", "nsubjpass", "csubjpass") for i in children)
    if graph.heads[predicate - 1] == argument:
        return "modified"
    if relation.startswith("nmod:") or (relation == "nmod" and head == predicate):
        by = any(
            above == argument and graph.words[i].lower() == "by" and graph.deprels[i] == "case"
            for i, above in enumerate(graph.heads)
        )
        return "subject" if passive and by else "oblique"
    if head != predicate:
        return "object" if passive else "subject"
    if relation in _CLAUSES:
        return "clause"
    if relation == "iobj":
        return "indirect object"
    return "object" if relation in ("dobj", "nsubjpass") else "subject"


def _edges(graph: Graph):
    return [(edge.predicate, edge.argument) for edge in graph.edges]


def _argument_spans(graph: Graph) -> dict[int, tuple[int, ...]]:
    return {argument.root: argument.span for argument in graph.arguments if not argument.predicative}


def _stretch(root: int, span: tuple[int, ...], predicate: int | None = None) -> tuple[int, int]:
    """The unbroken part of a span (positions from 1) around its root: first word from 0, end exclusive."""
    allowed = set(span) - {predicate}
    first = last = root
    while first - 1 in allowed:
        first -= 1
    while last + 1 in allowed:
        last += 1
    return first - 1, last


def _record(graph: Graph, targets: list[Target]) -> LabelledSpans:
    return LabelledSpans(graph.sentence_id, graph.words, tuple(targets), graph.document, graph.genre)
