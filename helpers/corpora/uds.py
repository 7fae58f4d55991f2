"""Universal Decompositional Semantics 2.0 (White et al. 2020) on the English Web Treebank.

Read straight from the ``decomp`` wheel, which is a zip file: its package is neither installed nor
imported. Each sentence is a graph of syntax nodes (tokens with their UD v1 tree) and semantics nodes
(predicates and arguments found by PredPatt, which point to tokens), with human ratings on nodes and on
predicate-argument edges. The graphs are parsed once; what is needed of them is kept in the store.

A rating is normalised by the corpus's authors: ``value`` is positive for yes and negative for no, about
1 to 1.6 in size where the annotators agreed, 0 where the question did not apply; ``confidence`` lies
between 0 and 1.
"""

import gc
import gzip
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from helpers.corpora import archives, fetch
from helpers.corpora.files import (
    DECODER,
    MAX_WORDS,
    as_json,
    cycle,
    decode,
    field,
    lone_surrogate,
    parse_json,
)
from helpers.corpora.records import CorpusError, Sentence
from helpers.store import Store, sha256
from helpers.validation import unknown

SPLITS = ("train", "dev", "test")
MEMBER = "decomp/data/2.0/normalized/sentence/uds-ewt-sentences-{}-normalized.json"
IDS = "decomp/data/ud_ids.json"
SCHEMA = 1  # raise when the stored form of a graph changes


class Rating(NamedTuple):
    """A normalised human rating."""

    value: float
    confidence: float


def answer(rating: Rating | None, *, scalar: bool = False) -> bool | None:
    """The annotators' answer to a question if it is clear, else None.

    Yes-or-no questions: all said the same (confidence 1, as normalised). Proto-roles (``scalar``) were
    rated from 1 to 5: all gave the highest rating, or all the lowest or that the question does not apply.
    """
    if rating is None or rating.confidence < 0.99:
        return None
    if scalar:
        return True if rating.value >= 1 else False if rating.value < 0.001 else None
    return rating.value > 0 if abs(rating.value) >= 0.5 else None


UNCHOSEN = Rating(-3.0, 1.0)  # a word sense that no annotator chose


@dataclass(frozen=True, slots=True)
class Predicate:
    """A predicate. Positions are 1-based, ``span`` is sorted and need not be contiguous.

    Ratings by property: ``factuality`` (factual), ``genericity`` (pred-dynamic, pred-hypothetical,
    pred-particular) and ``time`` (dur-instant ... dur-forever); empty where not annotated.
    """

    root: int
    span: tuple[int, ...]
    factuality: dict[str, Rating]
    genericity: dict[str, Rating]
    time: dict[str, Rating]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument, or the noun that heads a nominal predicate (``predicative``; it has no edge).

    ``clausal``: it is itself a predicate. Ratings by property: ``genericity`` (arg-abstract, arg-kind,
    arg-particular) and ``wordsense`` (supersense-noun.act ...); empty where not annotated. Among the
    26 senses, those that no annotator chose at all (value -3, confidence 1) are left out.
    """

    root: int
    span: tuple[int, ...]
    predicative: bool
    clausal: bool
    genericity: dict[str, Rating]
    wordsense: dict[str, Rating]


@dataclass(frozen=True, slots=True)
class Edge:
    """A predicate and its argument, named by the positions of their roots, with proto-role ratings."""

    predicate: int
    argument: int
    protoroles: dict[str, Rating]


@dataclass(frozen=True, slots=True)
class Graph:
    """A sentence with its UD v1 tree (as in :class:`Sentence`) and its semantics."""

    id: str
    sentence_id: str  # of the treebank: the document's name, a hyphen, a running number
    document: str
    words: tuple[str, ...]
    lemmas: tuple[str, ...]
    upos: tuple[str, ...]
    xpos: tuple[str, ...]
    heads: tuple[int, ...]
    deprels: tuple[str, ...]
    predicates: tuple[Predicate, ...]
    arguments: tuple[Argument, ...]
    edges: tuple[Edge, ...]

    @property
    def genre(self) -> str:
        """weblog, newsgroup, email, reviews or answers."""
        return self.document.partition("-")[0]


def load(split: str, *, wheel: str | Path | None = None) -> list[Graph]:
    """The graphs of a split (train, dev or test), in the corpus's order.

    ``wheel`` is a local copy of the wheel; by default it is downloaded, unless this split is in the
    store already. Raises ValueError for an unknown split and :class:`CorpusError`, which names the
    member of the wheel and the graph, for anything malformed.
    """
    check_split(split)

    def build(folder: Path) -> None:
        graphs = parse(wheel or fetch.file("decomp"), split)
        # Level 1 and no time stamp: quick to read, and the same bytes every time.
        with gzip.GzipFile(folder / "graphs.jsonl.gz", "wb", compresslevel=1, mtime=0) as out:
            for graph in graphs:
                line = json.dumps(_pack(graph), ensure_ascii=False, separators=(",", ":"))
                out.write(line.encode() + b"\n")

    spec = {"schema": SCHEMA, "split": split, "wheel": fingerprint(wheel)}
    folder = Store().get("uds", spec, build)
    with gzip.open(folder / "graphs.jsonl.gz", "rb") as file:
        lines = file.read().splitlines()
    # A million small objects, none of them garbage: looking for some would triple the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return [_unpack(json.loads(line)) for line in lines]
    finally:
        if collecting:
            gc.enable()


def check_split(split: str) -> None:
    """Raise ValueError, listing the valid ones, for an unknown split."""
    if split not in SPLITS:
        raise ValueError(unknown("split", split, SPLITS))


def fingerprint(wheel: str | Path | None = None) -> str:
    """SHA-256 of a wheel, by default of the one that is downloaded (which need not be there)."""
    if wheel is None:
        return fetch.SOURCES["decomp"].files[0].sha256
    if not Path(wheel).is_file():
        raise CorpusError(wheel, None, "no such file; the decomp wheel was expected")
    return sha256(Path(wheel))


def sentence(graph: Graph) -> Sentence:
    """The sentence of a graph with its UD v1 tree, as the record that parsers are trained on."""
    return Sentence(
        graph.sentence_id, graph.words, graph.document, graph.genre,
        graph.upos, graph.xpos, graph.heads, graph.deprels,
    )  # fmt: skip


def parse(wheel: str | Path, split: str) -> Iterator[Graph]:
    """Read the graphs of a split out of a wheel, one at a time. Errors as for :func:`load`."""
    name = MEMBER.format(split)
    where = f"{wheel}!{name}"
    try:
        with zipfile.ZipFile(wheel) as archive:
            ids, text = (_member(archive, wheel, member) for member in (IDS, name))
    except CorpusError:
        raise
    except archives.ERRORS as error:
        raise CorpusError(wheel, None, f"not a readable wheel, that is a zip file ({error})") from error
    names: dict[str, tuple[str, str]] = {}
    wrong = partial(CorpusError, f"{wheel}!{IDS}", None)
    for key, value in field({"the file": parse_json(f"{wheel}!{IDS}", ids)}, "the file", dict, wrong).items():
        if not isinstance(value, dict):
            raise wrong(f"graph {key}: expected {{document_id, sentence_id}}, found {as_json(value)}")
        names[key] = (field(value, "document_id", str, wrong), field(value, "sentence_id", str, wrong))
    seen = set()
    for key, value in _entries(text, where):
        if key in seen:
            raise CorpusError(where, None, f"graph {key}: occurs twice")
        seen.add(key)
        if key not in names:
            raise CorpusError(where, None, f"graph {key}: not listed in {IDS}")
        yield _graph(key, value, *names[key], where)
    if not seen:
        raise CorpusError(where, None, "no graphs")


def _member(archive: zipfile.ZipFile, wheel: str | Path, name: str) -> str:
    try:
        entry = archive.getinfo(name)
        archives.check_size(f"{wheel}!{name}", entry.file_size, entry.compress_size)
        return decode(f"{wheel}!{name}", archive.read(entry))
    except CorpusError:
        raise
    except KeyError:
        raise CorpusError(wheel, None, f"no member {name}; is this the decomp 0.3.2 wheel?") from None
    except archives.ERRORS as error:
        raise CorpusError(f"{wheel}!{name}", None, f"damaged ({error})") from error


def _entries(text: str, where: str) -> Iterator[tuple[str, dict]]:
    """The graphs of ``{"metadata": ..., "data": {id: graph, ...}}``, decoded one by one: train is 221 MB.

    The file has no line breaks, so an error is placed by the last graph that was read.
    """
    last, at = "the start", 0
    if lone_surrogate(text) is not None:
        raise CorpusError(where, None, "expected whole characters, found half of one (a lone surrogate)")

    def skip(pattern: re.Pattern, expected: str) -> str:
        nonlocal at
        match = pattern.match(text, at)
        if match is None:
            there = repr(text[at : at + 20]) if text[at:].strip() else "the end of the file"
            raise CorpusError(where, None, f"after {last}: {expected} expected, got {there}")
        at = match.end()
        return match.group(1)

    def value() -> dict:
        nonlocal at
        try:
            content, at = DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise CorpusError(where, None, f"after {last}: broken or cut short ({error})") from error
        return content

    skip(_METADATA, '{"metadata": ...')
    value()
    skip(_DATA, '"data": {...')
    more = ","
    while more == ",":
        key = skip(_KEY, "a graph")
        content = value()
        last = f"graph {key}"
        yield key, content
        more = skip(_MORE, "a comma or the closing brace")
    skip(_END, "the closing brace")


_METADATA = re.compile(r'(\s*\{\s*"metadata"\s*:\s*)')
_DATA = re.compile(r'(\s*,\s*"data"\s*:\s*\{)')
_KEY = re.compile(r'\s*"([^"\\]+)"\s*:\s*')
_MORE = re.compile(r"\s*([,}])")
_END = re.compile(r"(\s*\}\s*)$")

_NUMBER = re.compile("[0-9]{1,9}")
_KINDS = {"pred": "predicate", "arg": "argument", "predhead": "argument"}


def _graph(key: str, content: dict, document: str, sentence_id: str, where: str) -> Graph:
    def wrong(problem: str) -> CorpusError:
        return CorpusError(where, None, f"graph {key}: {problem}")

    try:
        return _checked(key, content, document, sentence_id, wrong)
    except CorpusError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise wrong(f"a node or an edge lacks a field or has the wrong form ({error!r})") from error


def _checked(
    key: str, content: dict, document: str, sentence_id: str, wrong: Callable[[str], CorpusError]
) -> Graph:
    nodes, adjacency = content["nodes"], content["adjacency"]
    kinds = {node["id"]: node["type"] for node in nodes}
    if len(nodes) != len(adjacency):
        raise wrong(f"{len(nodes)} nodes but {len(adjacency)} lists of edges")
    if len(kinds) != len(nodes):
        raise wrong("two nodes have one id")

    def position(identifier: str, expected: str) -> int:
        """The token position at the end of a node's id, which must be a node of the graph."""
        prefix, _, number = identifier.rpartition("-")
        if (
            kinds.get(identifier) != expected
            or not prefix.startswith(f"{key}-")
            or not _NUMBER.fullmatch(number)
        ):
            raise wrong(f"no {expected} node {identifier!r}")
        return int(number)

    tokens = [node for node in nodes if node["type"] == "token"]
    words, lemmas, upos, xpos = (
        tuple(_text(node[name]) for node in tokens) for name in ("form", "lemma", "upos", "xpos")
    )
    if [position(node["id"], "token") for node in tokens] != list(range(1, len(tokens) + 1)) or not tokens:
        raise wrong("tokens numbered 1, 2, 3 ... expected")
    if len(tokens) > MAX_WORDS:
        raise wrong(f"at most {MAX_WORDS:,} tokens expected, got {len(tokens):,}")

    heads, deprels = [0] * len(tokens), [""] * len(tokens)
    predicates: list[Predicate] = []
    arguments: list[Argument] = []
    edges: list[Edge] = []
    for node, out in zip(nodes, adjacency, strict=True):
        if node["type"] in ("token", "root"):
            head = 0 if node["type"] == "root" else position(node["id"], "token")
            for edge in out:
                dependent = position(edge["id"], "token") - 1
                if deprels[dependent]:
                    raise wrong(f"token {dependent + 1} has two heads")
                heads[dependent], deprels[dependent] = head, _text(edge["deprel"])
            continue
        kind = node["id"].rpartition("-")[0].rpartition("-")[2]
        if not node["id"][-1].isdecimal() or node["id"] == f"{key}-semantics-arg-0":
            continue  # author, addressee and the performative node, which no words express
        if _KINDS.get(kind) != node["type"]:
            raise wrong(f"unknown kind of node {node['id']!r}")
        root = position(node["id"], node["type"])
        interface = [edge for edge in out if edge["domain"] == "interface"]
        span = tuple(sorted(position(edge["id"], "token") for edge in interface))
        if [position(e["id"], "token") for e in interface if e["type"] == "head"] != [root]:
            raise wrong(f"{node['id']}: its one head must be token {root}")
        if kind == "pred":
            predicates.append(
                Predicate(root, span, *(_ratings(node, f) for f in ("factuality", "genericity", "time")))
            )
            edges.extend(
                Edge(root, position(edge["id"], "argument"), _ratings(edge, "protoroles"))
                for edge in out
                if edge["domain"] == "semantics" and edge["type"] == "dependency"
            )
        else:
            clausal = any(edge["domain"] == "semantics" for edge in out)
            senses = {k: r for k, r in _ratings(node, "wordsense").items() if r != UNCHOSEN}
            genericity = _ratings(node, "genericity")
            arguments.append(Argument(root, span, kind == "predhead", clausal, genericity, senses))
    expressed = {argument.root for argument in arguments if not argument.predicative}
    for edge in edges:
        if edge.argument not in expressed:
            raise wrong(f"the edge from predicate {edge.predicate} leads to no argument")
    _check_tree(heads, deprels, wrong)
    if not sentence_id.startswith(f"{document}-"):
        raise wrong(f"its sentence {sentence_id!r} is not one of its document {document!r}")
    return Graph(
        key, sentence_id, document, words, lemmas, upos, xpos, tuple(heads), tuple(deprels),
        tuple(predicates), tuple(arguments), tuple(edges),
    )  # fmt: skip


def _ratings(owner: dict, subspace: str) -> dict[str, Rating]:
    return {
        name: Rating(_number(rating["value"]), _number(rating["confidence"]))
        for name, rating in sorted(owner.get(subspace, {}).items())
    }


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"{value!r} for a rating")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} for a text")
    return value


def _check_tree(heads: list[int], deprels: list[str], wrong: Callable[[str], CorpusError]) -> None:
    if "" in deprels:
        raise wrong(f"token {deprels.index('') + 1} has no head")
    if heads.count(0) != 1:
        raise wrong(f"one root expected, {heads.count(0)} found")
    circle = cycle(heads)
    if circle:
        raise wrong(f"token {circle[0]} lies on a cycle")


def _pack(graph: Graph) -> list:
    """A graph as nested lists, which read faster than objects with named fields."""
    return [
        graph.id, graph.sentence_id, graph.document,
        graph.words, graph.lemmas, graph.upos, graph.xpos, graph.heads, graph.deprels,
        [[p.root, p.span, p.factuality, p.genericity, p.time] for p in graph.predicates],
        [[a.root, a.span, a.predicative, a.clausal, a.genericity, a.wordsense] for a in graph.arguments],
        [[e.predicate, e.argument, e.protoroles] for e in graph.edges],
    ]  # fmt: skip


def _unpack(row: list) -> Graph:
    key, sentence_id, document, words, lemmas, upos, xpos, heads, deprels, predicates, arguments, edges = row
    return Graph(
        key, sentence_id, document,
        tuple(words), tuple(lemmas), tuple(upos), tuple(xpos), tuple(heads), tuple(deprels),
        tuple(Predicate(root, tuple(span), *map(_rated, ratings)) for root, span, *ratings in predicates),
        tuple(
            Argument(root, tuple(span), predicative, clausal, _rated(genericity), _rated(wordsense))
            for root, span, predicative, clausal, genericity, wordsense in arguments
        ),
        tuple(Edge(predicate, argument, _rated(protoroles)) for predicate, argument, protoroles in edges),
    )  # fmt: skip


def _rated(packed: dict[str, list[float]]) -> dict[str, Rating]:
    return {name: Rating(*pair) for name, pair in packed.items()}
