"""A tiny wheel in the exact format of the decomp wheel, for the tests of what is read out of it."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from helpers import progress
from helpers.corpora import conll2012, conllu, fetch, uds

ZERO = {"value": 0.0, "confidence": 1.0}


def uds_graph(key: str, tokens: str, predicates: dict | None = None, arguments: dict | None = None) -> dict:
    """A graph as UDS writes it.

    ``tokens`` has a line "form lemma XPOS head relation" a token. ``predicates`` maps the position of a
    root to ``span``, ``arguments`` (position -> proto-role ratings) and the ratings factuality,
    genericity and time; ``arguments`` maps positions to ``span``, genericity, wordsense and clausal.
    Ratings are (value, confidence).
    """
    rows = [line.split() for line in tokens.strip().splitlines()]
    nodes, edges = [], {}

    def add(node: dict, out: list) -> None:
        nodes.append(node)
        edges[node["id"]] = out

    def rated(ratings: dict) -> dict:
        return {name: {"value": v, "confidence": c} for name, (v, c) in ratings.items()}

    for i, (form, lemma, xpos, _, _) in enumerate(rows, 1):
        plain = {"form": form, "lemma": lemma, "upos": xpos[:1], "xpos": xpos}
        node = {"domain": "syntax", "type": "token", "position": i, **plain, "id": f"{key}-syntax-{i}"}
        add(node, [_dependency(key, j, row) for j, row in enumerate(rows, 1) if int(row[3]) == i])
    root = {"position": 0, "domain": "root", "type": "root", "id": f"{key}-root-0"}
    add(root, [_dependency(key, j, row) for j, row in enumerate(rows, 1) if row[3] == "0"])
    for at, given in (predicates or {}).items():
        name = f"{key}-semantics-pred-{at}"
        out = _span(key, at, given.get("span", [at]))
        for argument, ratings in given.get("arguments", {}).items():
            target = f"{key}-semantics-arg-{argument}"
            edge = {"domain": "semantics", "type": "dependency", "frompredpatt": True, "id": target}
            out.append(edge | ({"protoroles": rated(ratings)} if ratings else {}))
        kinds = ("factuality", "genericity", "time")
        subspaces = {kind: rated(given[kind]) for kind in kinds if kind in given}
        add({"domain": "semantics", "frompredpatt": True, "type": "predicate", **subspaces, "id": name}, out)
    for at, given in (arguments or {}).items():
        kind = "predhead" if given.get("predicative") else "arg"
        out = _span(key, at, given.get("span", [at]))
        if given.get("clausal"):
            target = f"{key}-semantics-pred-{at}"
            out.append({"domain": "semantics", "type": "head", "frompredpatt": True, "id": target})
        subspaces = {k: rated(given[k]) for k in ("genericity", "wordsense") if k in given}
        node = {"domain": "semantics", "frompredpatt": True, "type": "argument", **subspaces}
        add(node | {"id": f"{key}-semantics-{kind}-{at}"}, out)
    performative = {"domain": "semantics", "frompredpatt": False}
    zero = f"{key}-semantics-arg-0"
    edge = {"domain": "semantics", "type": "dependency", "frompredpatt": False, "id": zero}
    add({**performative, "type": "predicate", "id": f"{key}-semantics-pred-root"}, [edge])
    to_root = {"domain": "interface", "type": "dependency", "frompredpatt": False, "id": root["id"]}
    add({**performative, "type": "argument", "id": zero}, [to_root])
    for who in ("author", "addressee"):
        add({**performative, "type": "argument", "id": f"{key}-semantics-arg-{who}"}, [])
    return {
        "directed": True,
        "multigraph": False,
        "graph": [["name", key]],
        "nodes": nodes,
        "adjacency": [edges[node["id"]] for node in nodes],
    }


def _dependency(key: str, at: int, row: list[str]) -> dict:
    return {"deprel": row[4], "domain": "syntax", "type": "dependency", "id": f"{key}-syntax-{at}"}


def _span(key: str, head: int, span: list[int]) -> list[dict]:
    return [
        {"domain": "interface", "type": "head" if at == head else "nonhead", "id": f"{key}-syntax-{at}"}
        for at in sorted(span, key=lambda at: at != head)
    ]


def write_wheel(path: Path, splits: dict[str, dict], documents: dict[str, str]) -> Path:
    """A wheel with graphs by split and id; ``documents`` gives each graph's, "-0001" ... are appended."""
    numbers: dict[str, int] = {}
    ids = {}
    for key, document in documents.items():
        numbers[document] = numbers.get(document, 0) + 1
        sentence = f"{document}-{numbers[document]:04d}"
        ids[key] = {"document_id": document, "sentence_id": sentence}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(uds.IDS, json.dumps(ids))
        for split in uds.SPLITS:
            content = {"metadata": {"factuality": {}}, "data": splits.get(split, {})}
            wheel.writestr(uds.MEMBER.format(split), json.dumps(content))
    return path


@pytest.fixture
def make_graph():
    """Function that writes a graph as UDS does: :func:`uds_graph`."""
    return uds_graph


@pytest.fixture
def make_wheel(tmp_path):
    """Function from graphs by split (split -> id -> graph) and their documents to a wheel."""

    def make(splits: dict[str, dict], documents: dict[str, str], name: str = "tiny.whl") -> Path:
        return write_wheel(tmp_path / name, splits, documents)

    return make


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What is said to the user during the test."""
    messages: list[str] = []
    monkeypatch.setattr(progress, "say", messages.append)
    return messages


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """A store of the test's own."""
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def real_wheel() -> Path:
    """The decomp wheel; skips where it is neither in the store nor named by DECOMP_WHEEL."""
    given = os.environ.get("DECOMP_WHEEL")
    if given:
        return Path(given)
    if not fetch.present("decomp"):
        pytest.skip(
            "the decomp wheel is not in the store (python -m helpers data; or set DECOMP_WHEEL to it)"
        )
    return fetch.file("decomp")


@pytest.fixture(scope="session")
def real_graphs(real_wheel) -> dict[str, list[uds.Graph]]:
    """The graphs of the real development and test splits."""
    return {split: list(uds.parse(real_wheel, split)) for split in ("dev", "test")}


@pytest.fixture(scope="session")
def real_propbank(real_data) -> dict[str, conll2012.ConllSentence]:
    """PropBank's sentences of the treebank's development and test parts, by UD's identifiers."""
    ewt = real_data("ud-english-ewt")
    treebank = [s for split in ("dev", "test") for s in conllu.read(ewt / f"en_ewt-ud-{split}.conllu")]
    joined, _ = conll2012.join_words(conll2012.read(real_data("propbank-ewt.tar.xz")), treebank)
    return {sentence.id: sentence for sentence in joined}
