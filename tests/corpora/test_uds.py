"""UDS graphs: a hand-made wheel read back, broken ones refused, and the real one counted."""

import copy
import json
import zipfile

import pytest

from helpers.corpora import uds
from helpers.corpora.records import CorpusError, Sentence
from helpers.corpora.uds import Argument, Edge, Predicate, Rating

pytestmark = pytest.mark.usefixtures("own_home")

KEY, DOCUMENT = "ewt-dev-1", "weblog-some.blog_2005"
TOKENS = """
    The    the    DT  2 det
    cat    cat    NN  5 nsubj
    is     be     VBZ 5 cop
    a      a      DT  5 det
    hunter hunter NN  0 root
    that   that   WDT 7 nsubj
    sleeps sleep  VBZ 5 acl:relcl
    .      .      .   5 punct
"""


@pytest.fixture
def graph(make_graph):
    return make_graph(
        KEY,
        TOKENS,
        predicates={
            5: {"span": [3, 4, 5], "arguments": {2: {"volition": (-1.25, 1.0), "awareness": (0.5, 0.75)}}},
            7: {
                "arguments": {5: {}},
                "factuality": {"factual": (1.1, 1.0)},
                "genericity": {"pred-dynamic": (-0.5, 0.25)},
                "time": {"dur-hours": (1.5, 0.9)},
            },
        },
        arguments={
            2: {
                "span": [1, 2],
                "wordsense": {"supersense-noun.animal": (1.5, 1), "supersense-noun.food": (-3, 1)},
            },
            5: {"span": [4, 5, 6, 7], "genericity": {"arg-kind": (0.1, 0.2)}, "clausal": True},
        },
    )


@pytest.fixture
def wheel(graph, make_wheel):
    return make_wheel({"dev": {KEY: graph}}, {KEY: DOCUMENT})


def test_a_graph_is_read_as_it_was_written(wheel):
    (graph,) = uds.load("dev", wheel=wheel)
    assert (graph.id, graph.document, graph.sentence_id) == (KEY, DOCUMENT, f"{DOCUMENT}-0001")
    assert graph.genre == "weblog"
    assert graph.words == ("The", "cat", "is", "a", "hunter", "that", "sleeps", ".")
    assert graph.lemmas == ("the", "cat", "be", "a", "hunter", "that", "sleep", ".")
    assert graph.xpos == ("DT", "NN", "VBZ", "DT", "NN", "WDT", "VBZ", ".")
    assert graph.heads == (2, 5, 5, 5, 0, 7, 5, 5)
    assert graph.deprels == ("det", "nsubj", "cop", "det", "root", "nsubj", "acl:relcl", "punct")
    hunter, sleeps = graph.predicates
    assert hunter == Predicate(5, (3, 4, 5), {}, {}, {})
    assert sleeps.span == (7,)
    assert sleeps.factuality == {"factual": Rating(1.1, 1.0)}
    assert sleeps.genericity == {"pred-dynamic": Rating(-0.5, 0.25)}
    assert sleeps.time == {"dur-hours": Rating(1.5, 0.9)}
    # The sense that nobody chose is left out.
    cat = Argument(2, (1, 2), False, False, {}, {"supersense-noun.animal": Rating(1.5, 1.0)})
    assert graph.arguments == (
        cat,
        Argument(5, (4, 5, 6, 7), False, True, {"arg-kind": Rating(0.1, 0.2)}, {}),
    )
    ratings = {"awareness": Rating(0.5, 0.75), "volition": Rating(-1.25, 1.0)}
    assert graph.edges == (Edge(5, 2, ratings), Edge(7, 5, {}))


def test_a_nominal_predicates_head_carries_ratings(make_graph, make_wheel):
    given = {5: {"predicative": True, "genericity": {"arg-kind": (1.2, 1.0)}}}
    wheel = make_wheel({"test": {"k": make_graph("k", TOKENS, {5: {}}, given)}}, {"k": "email-x"})
    (graph,) = uds.load("test", wheel=wheel)
    assert graph.arguments == (Argument(5, (5,), True, False, {"arg-kind": Rating(1.2, 1.0)}, {}),)
    assert graph.edges == ()


def test_the_record_for_parsers(wheel):
    (graph,) = uds.load("dev", wheel=wheel)
    assert uds.sentence(graph) == Sentence(
        id=f"{DOCUMENT}-0001",
        words=graph.words,
        document=DOCUMENT,
        genre="weblog",
        upos=graph.upos,
        xpos=graph.xpos,
        heads=graph.heads,
        deprels=graph.deprels,
    )


def test_parsed_once(wheel, monkeypatch):
    first = uds.load("dev", wheel=wheel)
    monkeypatch.setattr(uds, "parse", lambda *_: pytest.fail("parsed again"))
    assert uds.load("dev", wheel=wheel) == first


def test_another_wheel_is_another_artifact(wheel, graph, make_wheel):
    uds.load("dev", wheel=wheel)
    graph["nodes"][1]["form"] = "dog"
    other = make_wheel({"dev": {KEY: graph}}, {KEY: DOCUMENT}, "other.whl")
    assert uds.load("dev", wheel=other)[0].words[1] == "dog"


def test_unknown_split(wheel):
    with pytest.raises(ValueError, match="unknown split 'validation'; valid: train, dev, test"):
        uds.load("validation", wheel=wheel)


def _node(graph, name):
    return next(i for i, node in enumerate(graph["nodes"]) if node["id"] == f"{KEY}-{name}")


def _edges(graph, name):
    return graph["adjacency"][_node(graph, name)]


def _lose_node(graph):
    del graph["nodes"][_node(graph, "semantics-arg-2")]


def _move(graph, token, old, new):
    """Hang a token, whose head is ``old``, on ``new``."""
    edge = next(e for e in _edges(graph, old) if e["id"] == f"{KEY}-syntax-{token}")
    _edges(graph, old).remove(edge)
    _edges(graph, new).append(edge)


BROKEN = {
    "fewer nodes than lists of edges": (_lose_node, "16 nodes but 17 lists of edges"),
    "no nodes": (lambda g: g.pop("nodes"), "lacks a field.*nodes"),
    "nodes without ids": (lambda g: [n.pop("id") for n in g["nodes"]], "lacks a field.*id"),
    "repeated id": (
        lambda g: g["nodes"].append(g["nodes"][0]) or g["adjacency"].append([]),
        "two nodes have one id",
    ),
    "edge to nowhere": (
        lambda g: _edges(g, "semantics-pred-7")[0].update(id=f"{KEY}-syntax-17"),
        "no token node 'ewt-dev-1-syntax-17'",
    ),
    "edge to another graph": (
        lambda g: _edges(g, "semantics-pred-7")[1].update(id="ewt-dev-2-semantics-arg-5"),
        "no argument node 'ewt-dev-2-semantics-arg-5'",
    ),
    "edge to the wrong kind of node": (
        lambda g: _edges(g, "semantics-pred-7")[1].update(id=f"{KEY}-semantics-pred-5"),
        "no argument node",
    ),
    "span without its head": (
        lambda g: _edges(g, "semantics-arg-2")[0].update(type="nonhead"),
        "its one head must be token 2",
    ),
    "unknown kind of node": (
        lambda g: g["nodes"][_node(g, "semantics-pred-7")].update(id=f"{KEY}-semantics-prod-7"),
        "unknown kind of node 'ewt-dev-1-semantics-prod-7'",
    ),
    "token without a lemma": (lambda g: g["nodes"][0].pop("lemma"), "lacks a field.*lemma"),
    "word that is no text": (lambda g: g["nodes"][0].update(form={"a": 1}), "wrong form.*for a text"),
    "token missing": (
        lambda g: (g["nodes"].pop(7), g["adjacency"].pop(7), g["nodes"][6].update(id=f"{KEY}-syntax-9")),
        "tokens numbered 1, 2, 3",
    ),
    "no tokens": (lambda g: g.update(nodes=g["nodes"][8:], adjacency=g["adjacency"][8:]), "tokens numbered"),
    "edge without a relation": (lambda g: _edges(g, "root-0")[0].pop("deprel"), "lacks a field.*deprel"),
    "rating without a value": (
        lambda g: g["nodes"][_node(g, "semantics-pred-7")]["factuality"]["factual"].pop("value"),
        "lacks a field.*value",
    ),
    "rating that is no number": (
        lambda g: g["nodes"][_node(g, "semantics-pred-7")]["factuality"]["factual"].update(value="high"),
        "wrong form.*high",
    ),
    "id that is a number": (lambda g: g["nodes"][0].update(id=7), "wrong form"),
    "token without a head": (lambda g: _edges(g, "syntax-2").clear(), "token 1 has no head"),
    "token with two heads": (
        lambda g: _edges(g, "syntax-5").append(copy.deepcopy(_edges(g, "syntax-2")[0])),
        "token 1 has two heads",
    ),
    "two roots": (lambda g: _move(g, 8, "syntax-5", "root-0"), "one root expected, 2 found"),
    "cycle": (lambda g: _move(g, 7, "syntax-5", "syntax-6"), "token 6 lies on a cycle"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_graphs_are_named(name, graph, make_wheel):
    spoil, message = BROKEN[name]
    spoil(graph)
    wheel = make_wheel({"dev": {KEY: graph}}, {KEY: DOCUMENT})
    with pytest.raises(CorpusError, match=f"(?s)tiny.whl!.*dev-normalized.json: graph {KEY}: .*{message}"):
        uds.load("dev", wheel=wheel)


def _rewrite(path, change):
    """The wheel with its members changed: name -> bytes."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


DEV = uds.MEMBER.format("dev")


def _cut(members):
    members[DEV] = members[DEV][: members[DEV].rindex(b"nodes") + 200]


FILES = {
    "missing member": (lambda m: m.pop(DEV), "no member decomp/data/2.0/.*dev-normalized.json; is this"),
    "missing ids": (lambda m: m.pop(uds.IDS), "no member decomp/data/ud_ids.json"),
    "empty member": (lambda m: m.update({DEV: b""}), "dev-normalized.json:1: expected data, found an empty"),
    "nested deep": (
        lambda m: m.update({DEV: b'{"metadata": ' + b"[" * 3000 + b"]" * 3000 + b"}"}),
        "after the start: broken or cut short",
    ),
    "integer of 5,000 digits": (
        lambda m: m.update({DEV: b'{"metadata": ' + b"9" * 5000 + b"}"}),
        "after the start: broken or cut short",
    ),
    "half a character": (lambda m: m.update({DEV: m[DEV].replace(b"cat", b"c\\ud83dt")}), "half of one"),
    "rating beyond all numbers": (
        lambda m: m.update({DEV: m[DEV].replace(b'"value": ', b'"value": 1e999, "v": ')}),
        "wrong form .*inf for a rating",
    ),
    "rating that is no number of JSON": (
        lambda m: m.update({DEV: m[DEV].replace(b'"value": ', b'"value": NaN, "v": ')}),
        "broken or cut short .NaN, which is not a JSON number",
    ),
    "ids nested deep": (lambda m: m.update({uds.IDS: b"[" * 3000 + b"]" * 3000}), "nested too deep"),
    "ids in a list": (lambda m: m.update({uds.IDS: b"[1]"}), "expected 'the file' to be an object"),
    "another JSON": (lambda m: m.update({DEV: b"[1, 2]"}), "expected, got .\\[1, 2\\]"),
    "no data": (lambda m: m.update({DEV: b'{"metadata": {}}'}), 'after the start: "data": {... expected'),
    "no graphs": (lambda m: m.update({DEV: b'{"metadata": {}, "data": {}}'}), "a graph expected, got '}}'"),
    "cut short": (_cut, "after graph a: broken or cut short"),
    "one brace short": (
        lambda m: m.update({DEV: m[DEV][:-1]}),
        f"after graph {KEY}: the closing brace expected",
    ),
    "something after it": (
        lambda m: m.update({DEV: m[DEV] + b"{}"}),
        "the closing brace expected, got '}{}'",
    ),
    "wrong encoding": (
        lambda m: m.update({DEV: m[DEV].replace(b"cat", b"c\xe4t")}),
        "json:1: expected UTF-8 text",
    ),
    "ids of another form": (
        lambda m: m.update({uds.IDS: b'{"a": 1}'}),
        "ud_ids.json: graph a: expected {document_id",
    ),
    "unlisted graph": (
        lambda m: m.update({uds.IDS: json.dumps({"a": json.loads(m[uds.IDS])["a"]}).encode()}),
        f"graph {KEY}: not listed in decomp/data/ud_ids.json",
    ),
    "sentence of another document": (
        lambda m: m.update({uds.IDS: m[uds.IDS].replace(b'document_id": "weblog', b'document_id": "email')}),
        "graph a: its sentence .* is not one of its document",
    ),
    "graph twice": (
        lambda m: m.update({DEV: m[DEV].replace(b'"ewt-dev-1": {"directed"', b'"a": {"directed"')}),
        "graph a: occurs twice",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_broken_files_are_named(name, graph, make_graph, make_wheel):
    change, message = FILES[name]
    wheel = make_wheel({"dev": {"a": make_graph("a", TOKENS), KEY: graph}}, {"a": DOCUMENT, KEY: DOCUMENT})
    uds.load("dev", wheel=wheel)
    _rewrite(wheel, change)
    with pytest.raises(CorpusError, match=f"tiny.whl.*{message}"):
        uds.load("dev", wheel=wheel)


def test_no_wheel_or_half_a_wheel(wheel, tmp_path):
    with pytest.raises(CorpusError, match="nowhere.whl: no such file"):
        uds.load("dev", wheel=tmp_path / "nowhere.whl")
    wheel.write_bytes(wheel.read_bytes()[:-100])
    with pytest.raises(CorpusError, match="tiny.whl: not a readable wheel"):
        uds.load("dev", wheel=wheel)
    wheel.write_bytes(b"")
    with pytest.raises(CorpusError, match="tiny.whl: not a readable wheel"):
        uds.load("dev", wheel=wheel)


def test_damaged_compressed_data(wheel):
    content = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo(DEV)
    middle = info.header_offset + info.compress_size // 2
    content[middle : middle + 20] = b"\xff" * 20
    wheel.write_bytes(content)
    with pytest.raises(CorpusError, match="dev-normalized.json: damaged"):
        uds.load("dev", wheel=wheel)


def test_the_real_wheel_has_what_is_documented(real_graphs):
    dev, test = real_graphs["dev"], real_graphs["test"]
    assert (len(dev), len(test)) == (2002, 2077)
    assert sum(bool(edge.protoroles) for graph in dev for edge in graph.edges) == 751
    assert sum(bool(edge.protoroles) for graph in test for edge in graph.edges) == 670
    assert sum(bool(p.factuality) for graph in dev for p in graph.predicates) == 2476
    assert sum(bool(p.time) for graph in dev for p in graph.predicates) == 3051
    nodes = [node for graph in dev for node in (*graph.predicates, *graph.arguments)]
    assert sum(bool(node.genericity) for node in nodes) == 6858
    assert sum(bool(a.wordsense) for graph in dev for a in graph.arguments) == 1943
    assert not {graph.document for graph in dev} & {graph.document for graph in test}
    assert {graph.genre for graph in dev} == {"weblog", "newsgroup", "email", "reviews", "answers"}
