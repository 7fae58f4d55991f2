"""The GUM reader: a hand-made document, the real corpus, and broken annotation."""

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from helpers.corpora import gum
from helpers.corpora.gum import Mention
from helpers.corpora.records import CorpusError, LabelledSpans, Target

LAYOUT = "# global.Entity = GRP-etype-infstat-salience-centering-minspan-link-identity"

# [[Ann]1 's dog]2 knows [Lee]3 and can n't [cut [it]2]4 [out]4; the second sentence: [It]2 ran.
ROWS = [
    ("Ann", "PROPN", 3, "nmod:poss", "Bridge=2<1|Entity=(2-animal-new-nnnnn(1-person-new-nnnnn-Ann_Lee-x)"),
    ("'s", "PART", 1, "case", "_"),
    ("dog", "NOUN", 4, "nsubj", "Entity=2)|SpaceAfter=No"),
    ("knows", "VERB", 0, "root", "_"),
    ("Lee", "PROPN", 4, "obj", "Entity=(3-person-new)"),
    ("and", "CCONJ", 9, "cc", "_"),
    ("ca", "AUX", 9, "aux", "_"),
    ("n't", "PART", 9, "advmod", "_"),
    ("cut", "VERB", 4, "conj", "Entity=(4[1/2]-event-new"),
    ("it", "PRON", 9, "obj", "Entity=(2-animal-giv)4[1/2])"),
    ("out", "ADP", 9, "compound:prt", "Entity=(4[2/2]-event-new)"),
]


def written(rows=ROWS, layout=LAYOUT):
    lines = ["# newdoc id = GUM_news_made", layout, "# sent_id = GUM_news_made-1"]
    for i, (word, upos, head, relation, misc) in enumerate(rows, 1):
        if word == "ca":
            lines.append(f"{i}-{i + 1}\tcan't\t_\t_\t_\t_\t_\t_\t_\t_")
        lines.append(f"{i}\t{word}\t{word}\t{upos}\tX\t_\t{head}\t{relation}\t_\t{misc}")
        if word == "out":
            lines.append(f"{i}.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t9:x\tCopyOf=4")
    lines += ["", "# sent_id = GUM_news_made-2"]
    lines += [
        "1\tIt\tit\tPRON\tX\t_\t2\tnsubj\t_\tEntity=(2-animal-giv)",
        "2\tran\trun\tVERB\tX\t_\t0\troot\t_\t_",
    ]
    # A second document, in which the same numbers are other entities.
    lines += ["", "# newdoc id = GUM_vlog_made", layout]
    lines += [
        "1\tWe\twe\tPRON\tX\t_\t2\tnsubj\t_\tEntity=(3-person-giv)",
        "2\trun\trun\tVERB\tX\t_\t0\troot\t_\t_",
    ]
    return "\n".join([*lines, "", ""])


@pytest.fixture
def file(tmp_path):
    """Function that writes a text to a file and returns its path."""

    def write(content):
        path = tmp_path / "made.conllu"
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_mentions(file):
    first, second, third = gum.read(file(written()))
    assert first.sentence.words == tuple(word for word, *_ in ROWS)
    assert first.mentions == (
        Mention("2", "animal", ((0, 3),)),
        Mention("1", "person", ((0, 1),)),
        Mention("3", "person", ((4, 5),)),
        Mention("4", "event", ((8, 10), (10, 11))),
        Mention("2", "animal", ((9, 10),)),
    )
    assert second.mentions == (Mention("2", "animal", ((0, 1),)),)
    assert third.sentence.document == "GUM_vlog_made"


def test_nested_mentions_of_one_entity_close_from_within(file):
    rows = [(*row[:4], "_") for row in ROWS]
    rows[0] = (*ROWS[0][:4], "Entity=(1-person-x(1-person-y")
    rows[1] = (*ROWS[1][:4], "Entity=1)")
    rows[2] = (*ROWS[2][:4], "Entity=1)")
    sentence = gum.read(file(written(rows)))[0]
    assert [m.parts for m in sentence.mentions] == [((0, 3),), ((0, 2),)]


def test_fields_are_found_by_name(file):
    layout = "# global.Entity = etype-GRP-rest"
    rows = [(*row[:4], "_") for row in ROWS]
    rows[0] = (*ROWS[0][:4], "Entity=(person-e12-x)")
    content = written(rows, layout).replace("(2-animal-", "(animal-2-").replace("(3-person-", "(person-3-")
    assert gum.read(file(content))[0].mentions == (Mention("e12", "person", ((0, 1),)),)


def test_tasks(file, said):
    path = file(written())
    sentences = gum.read(path)
    assert said == [f"{path}: 1 mentions that are not contiguous left out"]
    records = gum.entities(sentences)
    assert records[0] == LabelledSpans(
        "GUM_news_made-1",
        tuple(word for word, *_ in ROWS),
        (
            Target((0, 3), None, ("animal",)),
            Target((0, 1), None, ("person",)),
            Target((4, 5), None, ("person",)),
            Target((9, 10), None, ("animal",)),
        ),
        document="GUM_news_made",
        genre="news",
    )
    assert [len(r.targets) for r in records] == [4, 1, 1]
    # Only the dog is mentioned again, in this sentence and the next; 3 is another entity elsewhere.
    [pairs] = gum.coreference(sentences)
    assert pairs.targets == (Target((0, 3), (9, 10), ("1",)),)


def test_a_mention_elsewhere_in_the_document_makes_a_pair(file):
    content = written().replace(
        "2\tran\trun\tVERB\tX\t_\t0\troot\t_\t_", "2\tran\trun\tVERB\tX\t_\t0\troot\t_\tEntity=(3-person-giv)"
    )
    first, second = gum.coreference(gum.read(file(content)))
    assert first.targets == (
        Target((0, 3), (4, 5), ("0",)),
        Target((0, 3), (9, 10), ("1",)),
        Target((4, 5), (9, 10), ("0",)),
    )
    assert second.targets == (Target((0, 1), (1, 2), ("0",)),)


def edited(old, new):
    assert old in written()
    return written().replace(old, new, 1)


@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param("", 1, "found an empty file", id="empty"),
        pytest.param(edited("\tB", "B"), 4, "expected 10 tab-separated columns", id="columns"),
        pytest.param(edited(LAYOUT, "# x"), 4, "expected a comment # global.Entity = GRP-etype", id="layout"),
        pytest.param(edited("GRP-", "eid-"), 2, "expected the field GRP, found eid-etype", id="GRP"),
        pytest.param(edited("-etype", ""), 2, "expected the field etype, found GRP-inf", id="etype"),
        pytest.param(
            edited("(3-person-new)", "(3-human-new)"), 8, "plant, substance, time, found 'human'", id="type"
        ),
        pytest.param(edited("(3-person-new)", "(3)"), 8, "expected the fields GRP-etype", id="no fields"),
        pytest.param(edited("(3-person-new)", "3-person-new"), 8, "expected (entity-type-", id="no brackets"),
        pytest.param(edited("(3-person-new)", "(3-person-new))"), 8, "expected (entity-type-", id="bare )"),
        pytest.param(
            edited("(3-person-new)", "3)"), 8, "expected an open mention of 3 before 3)", id="unopened"
        ),
        pytest.param(
            edited("(3-person-new)", "(3-person-new"), 8, "expected the mention of 3 to close", id="open"
        ),
        pytest.param(edited("Entity=2)", "_"), 4, "expected the mention of 2 to close", id="outer open"),
        pytest.param(edited("4[2/2]", "5[2/2]"), 15, "expected part 1 of 5[2/2] before part 2", id="part 1"),
        pytest.param(
            edited("4[2/2]-event", "4[2/2]-time"), 15, "expected part 1 of 4[2/2]", id="another type"
        ),
        pytest.param(
            edited("Entity=(4[2/2]-event-new)", "_"), 13, "expected 2 parts of the mention of 4", id="part 2"
        ),
    ],
)
def test_broken_files(file, broken, line, expectation):
    path = file(broken)
    with pytest.raises(CorpusError) as caught:
        gum.read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert expectation in str(caught.value)


def mentions_of(cells):
    """Spans of a sentence's MISC cells, each found by looking ahead for its own closing bracket."""
    pattern = re.compile(r"\((?P<opened>\d+)-(?P<kind>[a-z]+)-[^()]*(?P<whole>\)?)|(?P<closed>\d+)\)")
    brackets = [(i, match) for i, cell in enumerate(cells) for match in pattern.finditer(cell)]
    found = []
    for k, (first, bracket) in enumerate(brackets):
        if not bracket["opened"]:
            continue
        end, depth = first + 1, 0 if bracket["whole"] else 1
        for at, other in brackets[k + 1 :] if depth else ():
            end = at + 1
            if bracket["opened"] in (other["opened"], other["closed"]) and not other["whole"]:
                depth += 1 if other["opened"] else -1
            if not depth:
                break
        found.append((first, end, bracket["opened"], bracket["kind"]))
    return found


@pytest.mark.parametrize(
    "split, n_sentences, n_entities, n_with_entities, n_pairs, n_coreferent, n_with_pairs",
    [
        ("train", 10_224, 49_649, 9_528, 65_029, 11_522, 6_964),
        ("dev", 1_575, 7_897, 1_483, 11_928, 2_029, 1_089),
        ("test", 1_464, 7_927, 1_408, 10_260, 1_702, 1_047),
    ],
)
def test_gum(real_data, split, n_sentences, n_entities, n_with_entities, n_pairs, n_coreferent, n_with_pairs):
    path = real_data("gum") / f"en_gum-{split}.conllu"
    text = path.read_text(encoding="utf-8")
    expected, uses, document = [], defaultdict(int), ""
    for block in text.strip().split("\n\n"):
        document = (re.findall(r"^# newdoc id = (.*)$", block, re.M) or [document])[0]
        misc = [line.split("\t")[9] for line in block.split("\n") if re.match(r"\d+\t", line)]
        cells = [(re.findall(r"(?:^|\|)Entity=([^|]*)", cell) or [""])[0] for cell in misc]
        expected.append((document, mentions_of(cells)))
        for *_, entity, _ in expected[-1][1]:
            uses[document, entity] += 1

    sentences = gum.read(path)
    assert len(sentences) == len(expected) == n_sentences
    for sentence, (document, found) in zip(sentences, expected, strict=True):
        assert sentence.sentence.document == document
        assert Counter((*m.parts[0], m.entity, m.type) for m in sentence.mentions) == Counter(found)

    records = gum.entities(sentences)
    types = Counter(t.labels[0] for r in records for t in r.targets)
    assert types == Counter(re.findall(r"\(\d+-([a-z]+)-", "".join(re.findall(r"Entity=[^|\s]*", text))))
    assert types.total() == n_entities
    assert set(types) == set(gum.TYPES)
    assert len(records) == sum(bool(found) for _, found in expected) == n_with_entities

    records = gum.coreference(sentences)
    labels = Counter(t.labels[0] for r in records for t in r.targets)
    again = Counter()
    for document, found in expected:
        repeated = [entity for *_, entity, _ in found if uses[document, entity] > 1]
        again.update(str(int(a == b)) for a, b in combinations(repeated, 2))
    assert labels == again == {"1": n_coreferent, "0": n_pairs - n_coreferent}
    assert len(records) == n_with_pairs
