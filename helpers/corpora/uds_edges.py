"""Edge-probing tasks made from Universal Decompositional Semantics (:mod:`helpers.corpora.uds`).

All are made from its wheel alone. One is the task that it is named after:

* **SPR2**: the proto-role properties of White et al. (2016). ``span1`` is a predicate's root, ``span2`` an
  argument, and a property is a label if its normalised rating is above :data:`LIKELY`; a target may have
  none. Tenney et al. (2019) ask for a mean rating of at least 4 out of 5: 95 % of the decisions agree.
  Noun phrases were rated for fourteen properties and prepositional phrases for four others; what was not
  asked does not hold.

Three stand in for annotation that UDS does not have; their scores cannot be compared with the paper's:

* **Constituents**: phrases projected from the dependency trees (:mod:`helpers.corpora.recast.phrases`).
* **Entities**: arguments with the WordNet supersense of their head noun (person, group, food ...), the one
  that its annotators rated highest; left out where two share that place or none is positive. Only
  common nouns were rated, so no names are among them.
* **SRL**: UDS links predicates to arguments but names no roles. The label is the argument's logical
  function, see :func:`function`.

A predicate's span is its root. An argument's is the unbroken part of it around its root that stops short
of the predicate.
"""

from collections.abc import Iterable, Iterator

from helpers.corpora import uds
from helpers.corpora.recast import phrases
from helpers.corpora.recast.tree import Tree, unbroken
from helpers.corpora.records import LabelledSpans, Span, Target
from helpers.corpora.uds import Edge, Graph

LIKELY = 0.05  # normalised rating above which a proto-role property holds
_CLAUSES = ("ccomp", "xcomp", "csubj", "csubjpass")


def constituents(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Projected phrases; a span with two labels is two targets, as in OntoNotes."""
    return _records(
        (graph, (Target((first, end), None, (label,)) for first, end, label in phrases.project(graph)))
        for graph in graphs
    )


def entities(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Arguments with the supersense of their head noun that was rated highest."""

    def targets(graph: Graph) -> Iterator[Target]:
        for argument in graph.arguments:
            ranked = sorted(argument.wordsense.items(), key=lambda item: -item[1].value)
            best = ranked[0][1].value if ranked else 0
            if best > 0 and not (len(ranked) > 1 and ranked[1][1].value == best):
                sense = ranked[0][0].removeprefix("supersense-noun.")
                yield Target(_stretch(argument.root, argument.span), None, (sense,))

    return _records((graph, targets(graph)) for graph in graphs)


def srl(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Predicates (``span1``) and their arguments (``span2``) with the argument's logical function."""

    def targets(graph: Graph) -> Iterator[Target]:
        tree = Tree(graph)
        for edge, span1, span2 in _edges(graph):
            yield Target(span1, span2, (function(tree, edge.predicate, edge.argument),))

    return _records((graph, targets(graph)) for graph in graphs)


def protoroles(graphs: Iterable[Graph]) -> list[LabelledSpans]:
    """Predicates (``span1``) and their rated arguments (``span2``) with the properties that hold."""

    def targets(graph: Graph) -> Iterator[Target]:
        for edge, span1, span2 in _edges(graph):
            if edge.protoroles:
                holds = (name for name, rating in edge.protoroles.items() if rating.value > LIKELY)
                yield Target(span1, span2, tuple(sorted(holds)))

    return _records((graph, targets(graph)) for graph in graphs)


def function(tree: Tree, predicate: int, argument: int) -> str:
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
    head, relation = tree.head(argument), tree.relation(argument)
    passive = bool(tree.dependents(predicate, ("auxpass", "nsubjpass", "csubjpass")))
    if tree.head(predicate) == argument:
        return "modified"
    if relation.startswith("nmod:") or (relation == "nmod" and head == predicate):
        by = any(tree.lower(case) == "by" for case in tree.dependents(argument, ("case",)))
        return "subject" if passive and by else "oblique"
    if head != predicate:
        return "object" if passive else "subject"
    if relation in _CLAUSES:
        return "clause"
    if relation == "iobj":
        return "indirect object"
    return "object" if relation in ("dobj", "nsubjpass") else "subject"


def _edges(graph: Graph) -> Iterator[tuple[Edge, Span, Span]]:
    """Each edge with the spans of its predicate and of its argument."""
    spans = {argument.root: argument.span for argument in graph.arguments if not argument.predicative}
    for edge in graph.edges:
        predicate, argument = edge.predicate, edge.argument
        yield edge, (predicate - 1, predicate), _stretch(argument, set(spans[argument]) - {predicate})


def _stretch(root: int, span: Iterable[int]) -> Span:
    """The unbroken part of a span (positions from 1) around its root: first word from 0, end exclusive."""
    first, last = unbroken(root, span)
    return first - 1, last


def _records(targets: Iterable[tuple[Graph, Iterable[Target]]]) -> list[LabelledSpans]:
    return [LabelledSpans.of(uds.sentence(graph), labelled) for graph, labelled in targets]
