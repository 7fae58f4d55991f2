"""Corpus files with bytes flipped, ends cut, lines moved, fields edited: refused by name, or read as written.

A mutation may leave a file that is as good as the first: another letter in a word, another head in a tree,
one line less in a list of pairs. Then the records differ in that place alone. Anything else, such as another
type of error, or records that are lost or altered elsewhere, fails.
"""

import bz2
import dataclasses
import gzip
import io
import json
import random
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers import progress
from helpers.corpora import conll2012, conllu, edge_json, gum, nli, semeval, squad, text, uds, wikipedia
from helpers.corpora.records import CorpusError

ROUNDS = 30  # of each kind of mutation in each format
HUGE = "9" * 5000
VALUES = [
    "",
    "_",
    "0",
    "-1",
    "1",
    "2-3",
    "3.1",
    "9999",
    HUGE,
    "X",
    "é",
    "NaN",
    "(",
    "*)",
    "\u200b",
    "a b",
    "\u0301",
]
JSON_VALUES = [
    None,
    True,
    -1,
    0,
    3,
    1.5,
    "",
    "x",
    "\ud83d",
    [],
    {},
    [[]],
    ["x", "x"],
    "@HUGE@",
    "@DEEP@",
    "@NAN@",
]

UD = """\
# newdoc id = weblog-a
# sent_id = weblog-a-1
# text = Dogs can't bark.
1\tDogs\tdog\tNOUN\tNNS\t_\t4\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tbark\tbark\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No
4.1\tloud\tloud\tADV\tRB\t_\t_\t_\t4:advmod\t_
5\t.\t.\tPUNCT\t.\t_\t4\tpunct\t_\t_

# newdoc id = email-b
# sent_id = email-b-1
1\tThé\ttea\tNOUN\tNN\t_\t0\troot\t_\t_

# sent_id = email-b-2
1\tTea\ttea\tNOUN\tNN\t_\t2\tnsubj:pass\t_\t_
2\tsold\tsell\tVERB\tVBN\t_\t0\troot\t_\t_

"""
GUM = """\
# newdoc id = GUM_news_a
# global.Entity = GRP-etype-infstat
# sent_id = GUM_news_a-1
1\tKim\tKim\tPROPN\tNNP\t_\t2\tnsubj\t_\tEntity=(1-person-new)
2\tsaw\tsee\tVERB\tVBD\t_\t0\troot\t_\t_
3\tParis\tParis\tPROPN\tNNP\t_\t2\tobj\t_\tEntity=(2-place-new(3-person-new)
4\tand\tand\tCCONJ\tCC\t_\t5\tcc\t_\t_
5\tus\twe\tPRON\tPRP\t_\t3\tconj\t_\tEntity=2)(1-person-giv)

# sent_id = GUM_news_a-2
1\tShe\tshe\tPRON\tPRP\t_\t2\tnsubj\t_\tEntity=(1-person-giv)
2\tleft\tleave\tVERB\tVBD\t_\t0\troot\t_\t_

"""
CONLL = """\
#begin document (nw/a); part 000
nw/a 0 0 Kim NNP (TOP(S(NP*) - - - - (PERSON) (ARG0*) (1)
nw/a 0 1 saw VBD (VP* see 01 1 - * (V*) -
nw/a 0 2 it PRP (NP*)))) - - - - * (ARG1*) (2|(1)

nw/a 0 0 It PRP (TOP(S(NP*) - - - - * (ARG1*) 1)|2)
nw/a 0 1 fell VBD (VP*))) fall 01 1 - * (V*) -

#end document
""".replace("(2|(1)\n", "(2)|(1)\n").replace("1)|2)", "(2)")
PAIRS = [
    {
        "gold_label": "neutral",
        "sentence1": "It ráins.",
        "sentence2": "It is 😀.",
        "pairID": "7n",
        "promptID": "7",
    },
    {
        "gold_label": "-",
        "sentence1": "It rains.",
        "sentence2": "It pours.",
        "pairID": "7c",
        "genre": "travel",
    },
    {
        "gold_label": "entailment",
        "sentence1": "Tea is hot.",
        "sentence2": "It is.",
        "pairID": "8e",
        "promptID": "8",
    },
]
COLUMNS = (
    "gold_label\tsentence1\tsentence2\tpairID\tlabel1\nneutral\tIt ráins.\tIt is.\t7n\tneutral\n"
    "-\tTea.\tCold.\t8n\tneutral\nentailment\tTea.\tHot.\t9e\tentailment\n"
)
EDGES = [
    {
        "text": "Ian ate ice",
        "targets": [{"span1": [1, 2], "span2": [0, 1], "label": "A0"}],
        "info": {"id": "a"},
    },
    {"text": "Zoë ate", "targets": [{"span1": [0, 2], "span2": [0, 1], "label": ["S", "T"]}]},
]
SEMEVAL = '1\t"The <e1>cup</e1> of <e2>tea</e2>."\nContent-Container(e2,e1)\nComment: none\n\n'
SEMEVAL += '2\t"A <e1>man</e1> saw <e2>rain</e2>."\nOther\nComment:\n\n'
CONTEXT = "Zoë 😀 sells tea in Łódź."
ASKED = [
    {"id": "q1", "question": "What?", "answers": [{"text": "tea", "answer_start": 12}]},
    {"id": "q2", "question": "Where?", "answers": [{"text": "Łódź", "answer_start": 19}]},
]
SQUAD = {"version": "1.1", "data": [{"title": "Tea", "paragraphs": [{"context": CONTEXT, "qas": ASKED}]}]}
WIKITEXT = " \n = Tea = \n \n Tea is a well @-@ known hot drink . They drank it a long time ago . \n"
PLAIN = "Tea is hot. Is it?\nYes, Zoë.\n\nCoffee is hot too.\n"
PAGE = (
    "<page><title>{0}</title><ns>0</ns><id>{1}</id><revision><id>9</id><text>{2}</text></revision></page>\n"
)
DUMP = "<mediawiki>\n{}{}</mediawiki>\n".format(
    PAGE.format("Tea", 1, "'''Tea''' is a hot [[drink]] &amp; food.{{convert|5|ft|11|in}}\n{| a\n| b\n|}"),
    PAGE.format("Cup", 2, "A [[cup]] is a [[vessel|small vessel]] for tea.&lt;ref&gt;Lee&lt;/ref&gt;"),
)


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def tarred(content: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in ("a.gold_conll", "b.gold_conll"):
            entry = tarfile.TarInfo(name)
            body = content.replace("nw/a", f"nw/{name[0]}").encode()
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return data.getvalue()


def zipped(content: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.gold_conll", "b.gold_conll"):
            archive.writestr(name, content.replace("nw/a", f"nw/{name[0]}"))
    return data.getvalue()


def wheel() -> bytes:
    """UDS's form with one word: its graph has a node for the token and one for the root."""
    token = {"type": "token", "form": "Tea", "lemma": "tea", "upos": "NN", "xpos": "NN", "id": "a-syntax-1"}
    root = {"type": "root", "id": "a-root-0"}
    graph = {"nodes": [token, root], "adjacency": [[], [{"id": "a-syntax-1", "deprel": "root"}]]}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        ids = {"a": {"document_id": "email-x", "sentence_id": "email-x-0001"}}
        archive.writestr(uds.IDS, json.dumps(ids))
        archive.writestr(uds.MEMBER.format("dev"), json.dumps({"metadata": {}, "data": {"a": graph}}))
    return data.getvalue()


@dataclass(frozen=True)
class Format:
    """A format: a small valid file, its reader, and what a mutation may change in the records.

    ``check`` is ``place``: one value of one record; ``words``: a few sentences, where a letter decides where
    they end or whether they are prose; ``nothing``, for what has checksums.
    """

    name: str
    content: bytes
    read: Callable[[Path], list]
    check: str = "place"
    columns: str | None = None  # what divides the fields of a line
    data: Any = None  # of a file of JSON


FORMATS = (
    Format("a.conllu", UD.encode(), conllu.read, columns="\t"),
    Format("gum.conllu", GUM.encode(), gum.read, columns="\t"),
    Format("a.gold_conll", CONLL.encode(), conll2012.read, columns=" "),
    Format("a.jsonl", lines(PAIRS).encode(), nli.read, data=PAIRS),
    Format("a.tsv", COLUMNS.encode(), nli.read, columns="\t"),
    Format("edges.json", lines(EDGES).encode(), edge_json.read, data=EDGES),
    Format("squad.json", json.dumps(SQUAD, ensure_ascii=False, indent=1).encode(), squad.read, data=SQUAD),
    Format("TRAIN_FILE.TXT", SEMEVAL.encode(), semeval.read, columns="\t"),
    Format("wiki.valid.tokens", WIKITEXT.encode(), text.read_wikitext, "words", columns=" "),
    Format("notes.txt", PLAIN.encode(), text.read, "words", columns=" "),
    Format("dump.xml", DUMP.encode(), wikipedia.read, "words", columns=">"),
    Format("dump.xml.bz2", bz2.compress(DUMP.encode()), wikipedia.read, "nothing"),
    Format("dump.xml.gz", gzip.compress(DUMP.encode()), wikipedia.read, "nothing"),
    Format("conll.tar", tarred(CONLL), conll2012.read),
    Format("conll.tar.gz", gzip.compress(tarred(CONLL)), conll2012.read, "nothing"),
    Format("conll.tar.bz2", bz2.compress(tarred(CONLL)), conll2012.read, "nothing"),
    Format("conll.zip", zipped(CONLL), conll2012.read, "nothing"),
    Format("tiny.whl", wheel(), lambda path: list(uds.parse(path, "dev")), "nothing"),
)


# -- mutations -----------------------------------------------------------------------------------------


def flipped_byte(form: Format, rng: random.Random) -> bytes:
    data = bytearray(form.content)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def another_byte(form: Format, rng: random.Random) -> bytes:
    data = bytearray(form.content)
    data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def truncated(form: Format, rng: random.Random) -> bytes:
    return form.content[: rng.randrange(len(form.content))]


def swapped_lines(form: Format, rng: random.Random) -> bytes:
    rows = form.content.split(b"\n")
    i, j = rng.randrange(len(rows)), rng.randrange(len(rows))
    rows[i], rows[j] = rows[j], rows[i]
    return b"\n".join(rows)


def lost_line(form: Format, rng: random.Random) -> bytes:
    rows = form.content.split(b"\n")
    del rows[rng.randrange(len(rows))]
    return b"\n".join(rows)


def repeated_line(form: Format, rng: random.Random) -> bytes:
    rows = form.content.split(b"\n")
    i = rng.randrange(len(rows))
    return b"\n".join([*rows[:i], rows[i], *rows[i:]])


def edited_field(form: Format, rng: random.Random) -> bytes:
    if form.data is not None:
        return _edited_json(form.data, rng)
    rows = form.content.decode().split("\n")
    i = rng.choice([i for i, row in enumerate(rows) if row.strip()])
    fields = rows[i].split(form.columns)
    fields[rng.randrange(len(fields))] = rng.choice(VALUES)
    rows[i] = str(form.columns).join(fields)
    return "\n".join(rows).encode()


def _edited_json(data: Any, rng: random.Random) -> bytes:
    edited = json.loads(json.dumps(data))
    places = list(_places(edited))
    parent, key = rng.choice(places)
    parent[key] = rng.choice(JSON_VALUES)
    written = (
        json.dumps(edited) if isinstance(edited, dict) else "".join(json.dumps(row) + "\n" for row in edited)
    )
    written = written.replace('"@HUGE@"', HUGE).replace('"@NAN@"', "NaN")
    return written.replace('"@DEEP@"', "[" * 3000 + "]" * 3000).encode()


def _places(value: Any) -> Any:
    """(container, key or index) of everything within a JSON value but the rows of a list of rows."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if not (isinstance(value, list) and isinstance(item, dict)):
            yield value, key
        if isinstance(item, (dict, list)):
            yield from _places(item)


MUTATIONS = (flipped_byte, another_byte, truncated, swapped_lines, lost_line, repeated_line, edited_field)


# -- what they may do ----------------------------------------------------------------------------------

# Of a document, article or file, so that one change is one of all its records.
SHARED = {"id", "document", "genre", "context", "part", "number"}


def described(record: Any) -> dict[str, Any]:
    """A record's fields, those of a nested sentence among them, without what records share."""
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    if "sentence" in fields:
        fields |= described(fields.pop("sentence"))
    return {name: value for name, value in fields.items() if name not in SHARED}


def differences(before: list, after: list) -> tuple[list[dict], list[dict]]:
    """The records that are gone, and those that are new, without what records share."""
    old, new = ({repr(d): d for d in map(described, records)} for records in (before, after))
    gone, come = (Counter(repr(described(record)) for record in records) for records in (before, after))
    missing, added = gone - come, come - gone
    return [old[key] for key in missing.elements()], [new[key] for key in added.elements()]


def silent(form: Format, mutation: Callable, before: list, after: list) -> str:
    """What is wrong with records that were read of a mutated file; empty if nothing is."""
    gone, come = differences(before, after)
    if form.check == "nothing":
        return "" if before == after else "records differ despite a checksum"
    if form.check == "words":
        return "" if len(gone) <= 4 and len(come) <= 3 else f"{len(gone)} sentences gone, {len(come)} new"
    if mutation is truncated or not come:  # at the end of a record, or a record or list taken out
        return "" if not come else f"{len(come)} other records in what is left"
    if mutation in (swapped_lines, lost_line, repeated_line):
        return "" if len(gone) <= 2 and len(come) <= 2 else f"{len(gone)} records gone, {len(come)} new"
    if len(gone) != 1 or len(come) != 1:
        return f"{len(gone)} records gone, {len(come)} new"
    fields = {name for name in gone[0] if gone[0][name] != come[0][name]}
    # In SemEval's text a character can end a word, which moves the spans.
    return "" if len(fields) == 1 or fields == {"words", "targets"} else f"fields {', '.join(fields)} differ"


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_mutated_files_are_refused_by_name_or_read_as_they_say(form, tmp_path, monkeypatch, show):
    monkeypatch.setattr(progress, "say", lambda message: None)
    path = tmp_path / form.name
    path.write_bytes(form.content)
    before = form.read(path)
    assert before
    counts, failures = Counter(), []
    for mutation in MUTATIONS:
        if form.columns is None and form.data is None and mutation not in MUTATIONS[:3]:
            continue  # neither lines nor fields
        for seed in range(ROUNDS if form.check != "nothing" else 2 * ROUNDS):
            content = mutation(form, random.Random(f"{form.name} {mutation.__name__} {seed}"))
            if content == form.content:
                counts["the same"] += 1
                continue
            path.write_bytes(content)
            try:
                after = form.read(path)
            except ValueError as error:
                counts["refused"] += 1
                if not isinstance(error, CorpusError) or not str(error).startswith(str(path)):
                    failures.append(f"{mutation.__name__} {seed}: {type(error).__name__}: {error}")
            except Exception as error:
                failures.append(f"{mutation.__name__} {seed}: bare {type(error).__name__}: {error}")
            else:
                counts["read as before" if after == before else "read as another value"] += 1
                problem = silent(form, mutation, before, after)
                if problem:
                    failures.append(f"{mutation.__name__} {seed}: silent: {problem}")
    show(
        f"{form.name}: {counts.total()} mutations, " + ", ".join(f"{n} {what}" for what, n in counts.items())
    )
    assert not failures, "\n".join(failures)
