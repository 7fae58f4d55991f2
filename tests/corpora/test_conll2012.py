"""The CoNLL-2012 reader: a hand-made document, random trees, the real PropBank, and broken files."""

import io
import re
import tarfile
import zipfile
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.corpora import conll2012, conllu, edges
from helpers.corpora.conll2012 import ConllSentence, Predicate
from helpers.corpora.records import CorpusError, LabelledSpans, Sentence, Target

# "Mayor Ann Lee of Oslo said she slept ." and, in a second part, "X-ray who 's here up !"
SAMPLE = """\
#begin document (nw/made/00/made_0001); part 000
nw/made/00/made_0001 0 0 Mayor NNP (TOP(S(NP-SBJ(NP* mayor - 1 Speaker#1 * (ARG0* * (3|(4
nw/made/00/made_0001 0 1 Ann   NNP *              -     -  - Speaker#1 (PERSON* * * 4)
nw/made/00/made_0001 0 2 Lee   NNP *)             -     -  - Speaker#1 *) * * (7
nw/made/00/made_0001 0 3 of    IN  (PP*           -     -  - Speaker#1 * * * 3)|(3
nw/made/00/made_0001 0 4 Oslo  NNP (NP*)))        -     -  - Speaker#1 (GPE) *) * (8)|3)|7)
nw/made/00/made_0001 0 5 said  VBD (VP*           say   01 1 Speaker#1 * (V*) * -
nw/made/00/made_0001 0 6 she   PRP (SBAR(S(NP-SBJ-1*) - - - Speaker#1 * (ARG1* (ARG0*) (3)
nw/made/00/made_0001 0 7 slept VBD (VP*))))       sleep 01 - Speaker#1 * *) (V*) -
nw/made/00/made_0001 0 8 .     .   *))            -     -  - Speaker#1 * * * -

nw/made/00/made_0001 0 0 Yes UH (TOP(INTJ*)) - - - Speaker#2 * -

#end document
#begin document (nw/made/00/made_0001); part 001
nw/made/00/made_0001 1 0 x    NN  (TOP(FRAG(NP*)   -    - - - * (ARG1*   -
nw/made/00/made_0001 1 1 who  WP  (SBAR(WHNP*)     -    - - - * (R-ARG1*)) -
nw/made/00/made_0001 1 2 rays VBZ (S(VP*           -    - - - * (V*)     -
nw/made/00/made_0001 1 3 here RB  (ADVP=2*)        -    - - - * (C-ARG1*) -
nw/made/00/made_0001 1 4 up   RP  (PRT|ADVP*)))))) ray_up 02 - - * (C-V*) -

#end document
"""

# The same without the last columns, as PropBank is released.
SKELETON = """\
google/ewt/answers/00/1_ans.xml    0   0   [WORD]   PRP    (TOP(S(NP*)      -        -  (ARG0*)
google/ewt/answers/00/1_ans.xml    0   1   [WORD]   VBD       (VP*)))   sleep  sleep.01     (V*)

google/ewt/answers/00/1_ans.xml    1   0   [WORD]    UH    (TOP(INTJ*))     -        -

"""


@pytest.fixture
def file(tmp_path):
    """Function that writes a text (or bytes) to a file and returns its path."""

    def write(content, name="made.gold_conll"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_onto_notes_columns(file):
    first, second, third = conll2012.read(file(SAMPLE))
    assert first == ConllSentence(
        id="nw/made/00/made_0001.000.0",
        document="nw/made/00/made_0001",
        part=0,
        number=0,
        words=("Mayor", "Ann", "Lee", "of", "Oslo", "said", "she", "slept", "."),
        xpos=("NNP", "NNP", "NNP", "IN", "NNP", "VBD", "PRP", "VBD", "."),
        constituents=(
            (0, 9, "TOP"), (0, 9, "S"), (0, 5, "NP-SBJ"), (0, 3, "NP"), (3, 5, "PP"), (4, 5, "NP"),
            (5, 8, "VP"), (6, 8, "SBAR"), (6, 8, "S"), (6, 7, "NP-SBJ-1"), (7, 8, "VP"),
        ),
        predicates=(
            Predicate(5, "say.01", ((0, 5, "ARG0"), (5, 6, "V"), (6, 8, "ARG1"))),
            Predicate(7, "sleep.01", ((6, 7, "ARG0"), (7, 8, "V"))),
        ),
        entities=((1, 3, "PERSON"), (4, 5, "GPE")),
        # Those of chains 3 and 7 cross.
        mentions=((0, 4, "3"), (0, 2, "4"), (2, 5, "7"), (3, 5, "3"), (4, 5, "8"), (6, 7, "3")),
        genre="nw",
    )  # fmt: skip
    assert (second.id, second.number, second.words) == ("nw/made/00/made_0001.000.1", 1, ("Yes",))
    assert (third.id, third.part, third.number) == ("nw/made/00/made_0001.001.0", 1, 0)
    # The predicate's frameset stands at "up", its verb is "rays".
    assert [(p.position, p.sense) for p in third.predicates] == [(4, "ray_up.02")]


def test_propbank_columns(file):
    first, second = conll2012.read(file(SKELETON, "1.gold_skel"))
    assert first == ConllSentence(
        id="google/ewt/answers/00/1_ans.xml.0",
        document="google/ewt/answers/00/1_ans.xml",
        part=0,
        number=0,
        words=("[WORD]", "[WORD]"),
        xpos=("PRP", "VBD"),
        constituents=((0, 2, "TOP"), (0, 2, "S"), (0, 1, "NP"), (1, 2, "VP")),
        predicates=(Predicate(1, "sleep.01", ((0, 1, "ARG0"), (1, 2, "V"))),),
        genre="answers",
    )
    assert (second.number, second.predicates) == (1, ())


def targets(records):
    return [[(t.span1, t.span2, *t.labels) for t in record.targets] for record in records]


def test_tasks(file):
    sentences = conll2012.read(file(SAMPLE))
    assert edges.pos(sentences)[1] == LabelledSpans(
        "nw/made/00/made_0001.000.1",
        ("Yes",),
        (Target((0, 1), None, ("UH",)),),
        document="nw/made/00/made_0001",
        genre="nw",
    )
    assert [len(s.targets) for s in edges.pos(sentences)] == [9, 1, 5]
    # Functions and indices are cut off; the root and each phrase of a unary chain stay.
    phrases = targets(conll2012.constituents(sentences))
    assert phrases[0][2:4] == [((0, 5), None, "NP"), ((0, 3), None, "NP")]
    assert phrases[0][9] == ((6, 7), None, "NP")
    assert phrases[1] == [((0, 1), None, "TOP"), ((0, 1), None, "INTJ")]
    assert [label for *_, label in phrases[2]] == [
        "TOP", "FRAG", "NP", "SBAR", "WHNP", "S", "VP", "ADVP", "PRT",
    ]  # fmt: skip
    assert targets(conll2012.srl(sentences)) == [
        [((5, 6), (0, 5), "ARG0"), ((5, 6), (6, 8), "ARG1"), ((7, 8), (6, 7), "ARG0")],
        [((2, 3), (0, 2), "ARG1"), ((2, 3), (1, 2), "R-ARG1"), ((2, 3), (3, 4), "C-ARG1"),
         ((2, 3), (4, 5), "C-V")],
    ]  # fmt: skip
    assert targets(conll2012.entities(sentences)) == [[((1, 3), None, "PERSON"), ((4, 5), None, "GPE")]]
    [pairs] = targets(conll2012.coreference(sentences))
    assert len(pairs) == 15
    assert {pair for pair in pairs if pair[2] == "1"} == {
        ((0, 4), (3, 5), "1"), ((0, 4), (6, 7), "1"), ((3, 5), (6, 7), "1"),
    }  # fmt: skip


def test_a_predicate_without_a_verb_is_its_own_word():
    predicate = Predicate(1, "see.01", ((0, 1, "ARG0"),))
    sentence = ConllSentence("1", ("She", "saw"), xpos=("PRP", "VBD"), predicates=(predicate,))
    assert targets(conll2012.srl([sentence])) == [[((1, 2), (0, 1), "ARG0")]]


def test_masked_words_are_no_probing_data(file):
    with pytest.raises(ValueError, match=r"1_ans.xml.0: its words are masked; use join_words first"):
        conll2012.constituents(conll2012.read(file(SKELETON)))


@st.composite
def trees(draw, first=0, depth=0):
    """(end, spans, cells) of a random constituent that begins at a word; cells are bracket columns."""
    label = draw(st.sampled_from(["S", "NP-SBJ", "VP", "WHNP"]))
    spans, cells, end = [], [], first
    for _ in range(draw(st.integers(1, 3))):
        if depth < 3 and draw(st.booleans()):
            end, inner, more = draw(trees(end, depth + 1))
            spans += inner
            cells += more
        else:
            cells.append("*")
            end += 1
    cells[0] = f"({label}{cells[0]}"
    cells[-1] += ")"
    return end, [(first, end, label), *spans], cells


@settings(max_examples=100, deadline=None)
@given(trees())
def test_random_trees(tmp_path_factory, tree):
    _, spans, cells = tree
    path = tmp_path_factory.getbasetemp() / "tree.gold_skel"
    path.write_text("".join(f"d/x 0 {i} w XX {cell} - -\n" for i, cell in enumerate(cells)) + "\n")
    [sentence] = conll2012.read(path)
    assert sentence.constituents == tuple(spans)


def edited(line, old, new, text=SAMPLE):
    lines = text.split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "\n".join(lines)


def without(line, text=SAMPLE):
    lines = text.split("\n")
    return "\n".join(lines[: line - 1] + lines[line:])


@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param("", 1, "found an empty file", id="empty"),
        pytest.param(SAMPLE.replace("Ann", "Añn").encode("latin-1"), 3, "found the byte 0xf1", id="latin-1"),
        pytest.param(SAMPLE[:-14], 15, "expected #end document after this line", id="no end"),
        pytest.param(SAMPLE[:-20], 20, "expected a blank line after the last", id="half a line"),
        pytest.param(SKELETON[:-1], 4, "expected a blank line after the last", id="no final blank line"),
        pytest.param(without(1), 1, "expected #begin document, found 'nw/made", id="no begin"),
        pytest.param(without(14), 14, "expected #end document, found '#begin", id="begin in a document"),
        pytest.param(edited(1, "; part 000", ""), 1, "expected #begin document (name); part", id="no part"),
        pytest.param(without(11), 11, "expected 14 columns, as in line 2, found 12", id="no blank line"),
        pytest.param(edited(12, "nw", "#end document\nnw"), 13, "expected #begin", id="after the end"),
        pytest.param(
            edited(4, "-     -  -", "- -"), 4, "expected 14 columns, as in line 2, found 13", id="13"
        ),
        pytest.param(edited(4, "Lee", "Lee Wu"), 4, "expected 14 columns, as in line 2, found 15", id="15"),
        pytest.param(edited(4, "2", "3"), 4, "made_0001 0 2, found nw/made/00/made_0001 0 3", id="number"),
        pytest.param(edited(4, " 0 ", " 1 "), 4, "made_0001 0 2, found nw/made/00/made_0001 1 2", id="part"),
        pytest.param(
            edited(12, " 0 0", " a 0"), 12, "expected a number for the part, found 'a'", id="part a"
        ),
        pytest.param(
            edited(7, " 01", " -"),
            2,
            "expected 13 columns (12 and one for each of the sentence's 1",
            id="sense",
        ),
        pytest.param(
            SKELETON.replace("sleep.01", "-"),
            1,
            "expected 8 columns (8 and one for each",
            id="skeleton sense",
        ),
        pytest.param("d 0 0 w XX * -\n\n", 1, "expected at least 8 columns, found 7", id="7 columns"),
        pytest.param(edited(10, "*))", "*)))"), 10, "expected an open bracket before *)))", id="too many )"),
        pytest.param(edited(10, "*))", "*)"), 2, "expected a bracket that closes (TOP", id="too few )"),
        pytest.param(edited(9, "*)))) ", "*)) "), 2, "expected a bracket that closes (S within", id="S open"),
        pytest.param(edited(5, "(PP*", "(PP"), 5, "in column 6, found '(PP'", id="no asterisk"),
        pytest.param(edited(5, "(PP*", "(PP**"), 5, "in column 6, found '(PP**'", id="two asterisks"),
        pytest.param(
            edited(4, " *) *", " * *"), 3, "column 11: expected a bracket that closes (PERSON", id="NE"
        ),
        pytest.param(
            edited(6, "*) * (8", "* * (8"), 2, "column 12: expected a bracket that closes", id="role"
        ),
        pytest.param(edited(3, "4)", "5)"), 3, "expected an open mention of chain 5 before 5)", id="chain"),
        pytest.param(edited(3, "4)", "-"), 2, "expected the mention of chain 4 to close", id="chain open"),
        pytest.param(edited(3, "4)", "4"), 3, "expected a mention such as (3, 3), (3) or -", id="bare chain"),
        pytest.param(
            SAMPLE + SAMPLE,
            24,
            "expected a sentence not read before, found nw/made/00/made_0001.000.0",
            id="twice",
        ),
        pytest.param(SKELETON + SKELETON, 6, "answers/00/1_ans.xml.0 of", id="skeleton twice"),
    ],
)
def test_broken_files(file, broken, line, expectation):
    path = file(broken)
    with pytest.raises(CorpusError) as caught:
        conll2012.read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert expectation in str(caught.value)


def document(number):
    return SKELETON.replace("1_ans", f"{number}_ans")


def test_folders_and_archives(file, tmp_path):
    contents = {f"answers/00/{n}_ans.xml.gold_skel": document(n) for n in (2, 10, 1)}
    contents["answers/00/1_ans.xml.prop"] = "pointers\n"
    for name, content in contents.items():
        file(content, f"folder/{name}")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    for compression in ("gz", "xz"):
        with tarfile.open(tmp_path / f"all.tar.{compression}", f"w:{compression}") as archive:
            for name, content in reversed(contents.items()):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content.encode()))
    got = conll2012.read(tmp_path / "folder")
    assert [s.document.rpartition("/")[2] for s in got] == [
        f"{n}_ans.xml" for n in (10, 1, 2) for _ in range(2)
    ]  # by name
    for name in ("all.zip", "all.tar.gz", "all.tar.xz"):
        assert conll2012.read(tmp_path / name) == got
    # Where words have been put into the skeletons, the complete files are read.
    file(document(1).replace("[WORD]", "word"), "folder/answers/00/1_ans.xml.gold_conll")
    assert [s.words for s in conll2012.read(tmp_path / "folder")] == [("word", "word"), ("word",)]


def test_broken_archives_and_folders(file, tmp_path):
    with tarfile.open(tmp_path / "all.tar.xz", "w:xz") as archive:
        for n in range(40):
            content = document(n).replace("PRP", "PRP)" if n == 7 else "PRP").encode()
            member = tarfile.TarInfo(f"{n}.gold_skel")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.replace(b"(NP*)", b"(NP*))))") if n == 7 else content))
    path = tmp_path / "all.tar.xz"
    with pytest.raises(CorpusError, match=r"all\.tar\.xz!7\.gold_skel:1: column 6"):
        conll2012.read(path)
    whole = path.read_bytes()
    for damaged in (whole[:200], whole[:100] + b"?????" + whole[105:], b"no archive"):
        with pytest.raises(CorpusError, match="expected a complete archive"):
            conll2012.read(file(damaged, "damaged.tar.xz"))
    with pytest.raises(CorpusError, match="expected a complete archive"):
        conll2012.read(file(b"no archive", "damaged.zip"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"expected files named \*gold_conll or \*gold_skel, found none"):
        conll2012.read(tmp_path / "empty")
    for absent in ("absent", "absent.zip", "absent.tar.xz"):
        with pytest.raises(FileNotFoundError):
            conll2012.read(tmp_path / absent)


def skeleton(document, number, tags):
    words = (conll2012.MASK,) * len(tags)
    return ConllSentence(
        f"{document}.{number}", words, document, genre="email", xpos=tuple(tags), number=number
    )


def test_join_words():
    here = "google/ewt/email/00/enron_01.xml"
    sentences = [
        skeleton(here, 0, ["UH", "."]),
        skeleton(here, 1, ["NN"]),
        skeleton(here, 2, ["DT", "NN", "VBZ", "JJ", "."]),
        skeleton(here, 3, ["DT", "JJ", "NN"]),
        skeleton(here, 4, ["NN"]),
        skeleton("google/ewt/email/00/enron_02.xml", 0, ["NN"]),
        skeleton("nw/wsj/00/wsj_0001", 0, ["NN"]),
    ]

    def treebank(number, words, tags):
        return Sentence(f"email-enron_01-{number:04d}", tuple(words.split()), xpos=tuple(tags.split()))

    joined, failures = conll2012.join_words(
        sentences,
        [
            treebank(1, "Hi !", "UH NFP"),  # a corrected tag
            treebank(2, "Two words", "CD NNS"),
            treebank(3, "Night falls fast .. .", "NN VBZ JJ . ."),  # one word on from the second
            treebank(4, "All at once", "RB IN RB"),  # three corrected tags
            Sentence("weblog-x-0001", ("x",), xpos=("X",)),
        ],
    )
    assert [(s.id, s.document, s.words, s.xpos, s.genre) for s in joined] == [
        ("email-enron_01-0001", "email-enron_01", ("Hi", "!"), ("UH", "."), "email"),
        ("email-enron_01-0004", "email-enron_01", ("All", "at", "once"), ("DT", "JJ", "NN"), "email"),
    ]
    assert failures == {
        "other length": 1, "other words": 1, "no such sentence": 1, "no such document": 2,
    }  # fmt: skip
    with pytest.raises(ValueError, match="expected an id such as answers-X_ans-0001 in UD EWT, found 'x'"):
        conll2012.join_words(sentences, [Sentence("x", ("x",))])


@pytest.fixture(scope="module")
def propbank(real_data):
    return conll2012.read(real_data("propbank-ewt.tar.xz"))


@pytest.fixture(scope="module")
def raw(real_data):
    """The lines of the archive's files by name, read without the reader."""
    with tarfile.open(real_data("propbank-ewt.tar.xz")) as archive:
        return {
            member.name: [line.split() for line in archive.extractfile(member).read().decode().splitlines()]
            for member in archive
            if member.isfile()
        }


@pytest.fixture(scope="module")
def joined(propbank, real_data):
    """Joined sentences by split, and the failures of all splits together."""
    folder = real_data("ud-english-ewt")
    treebanks = {s: conllu.read(folder / f"en_ewt-ud-{s}.conllu") for s in ("train", "dev", "test")}
    parts = {split: conll2012.join_words(propbank, treebank)[0] for split, treebank in treebanks.items()}
    _, failures = conll2012.join_words(propbank, [s for treebank in treebanks.values() for s in treebank])
    return parts, failures


def test_propbank_against_its_raw_files(propbank, raw):
    rows = [r for name, lines in raw.items() if name.endswith("gold_skel") for r in lines if r]
    assert len(propbank) == len({(r[0], r[1]) for r in rows}) == 16_579
    assert len({s.document for s in propbank}) == 1_145
    assert sum(len(s.words) for s in propbank) == len(rows) == 254_564
    assert Counter(tag for s in propbank for tag in s.xpos) == Counter(r[4] for r in rows)
    # An opening bracket is a constituent; a closing one ends it.
    labels = Counter(label for r in rows for label in re.findall(r"\(([^(*]+)", r[5]))
    assert Counter(label for s in propbank for _, _, label in s.constituents) == labels
    roles = Counter(label for r in rows for cell in r[8:] for label in re.findall(r"\(([^(*]+)", cell))
    assert Counter(label for s in propbank for p in s.predicates for *_, label in p.arguments) == roles
    for sentence in propbank:
        n = len(sentence.words)
        spans = [*sentence.constituents, *(span for p in sentence.predicates for span in p.arguments)]
        assert all(0 <= first < end <= n for first, end, _ in spans)
        assert sentence.constituents[0] == (0, n, "TOP")


def test_propbank_against_its_pointer_files(propbank, raw):
    # The .prop files name tree, frameset and roles of each predicate; their word numbers count traces.
    expected = Counter()
    for name, lines in raw.items():
        if name.endswith(".prop"):
            for fields in lines:
                expected[f"google/ewt/{name.removesuffix('.prop')}", int(fields[1]), fields[5]] += 1
    found = Counter((s.document, s.number, p.sense) for s in propbank for p in s.predicates)
    assert found == expected
    assert found.total() == 50_262
    verbs = [[span for span in p.arguments if span[2] == "V"] for s in propbank for p in s.predicates]
    assert {len(spans) for spans in verbs} == {1}


def test_how_well_propbank_and_ud_align(joined):
    parts, failures = joined
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 12_523,
        "dev": 1_968,
        "test": 2_058,
    }
    assert failures == {"other length": 28, "other words": 1, "no such sentence": 1}
    assert sum(map(len, parts.values())) + sum(failures.values()) == 16_579


def test_the_words_are_those_of_the_predicates(joined, real_data):
    # Two annotations made apart: PropBank's lemma of a verb, and UD's of the word put in its place.
    lemmas = {}
    for block in (real_data("ud-english-ewt") / "en_ewt-ud-dev.conllu").read_text("utf-8").split("\n\n"):
        name = re.search(r"^# sent_id = (.+)$", block, re.M)
        rows = [line.split("\t") for line in block.split("\n") if re.match(r"\d+\t", line)]
        lemmas.update({(name[1], i): (row[2].lower(), row[3]) for i, row in enumerate(rows)} if name else {})

    def agreement(shift):
        pairs = [
            (p.sense.rpartition(".")[0].partition("_")[0], lemmas[s.id, p.position + shift])
            for s in joined[0]["dev"]
            for p in s.predicates
            if (s.id, p.position + shift) in lemmas
        ]
        verbs = [lemma == other for lemma, (other, upos) in pairs if upos == "VERB"]
        assert len(verbs) > 300
        return sum(verbs) / len(verbs)

    assert agreement(0) > 0.97
    assert agreement(1) < 0.05


@pytest.mark.parametrize(
    "split, n_words, n_constituents, n_roles, n_with_roles",
    [
        ("train", 204_192, 189_721, 81_406, 10_337),
        ("dev", 24_892, 23_490, 9_583, 1_492),
        ("test", 24_944, 23_313, 9_337, 1_477),
    ],
)
def test_propbank_tasks(joined, raw, split, n_words, n_constituents, n_roles, n_with_roles):
    sentences = joined[0][split]
    kept = {(f"google/ewt/{s.document.replace('-', '/00/', 1)}.xml", str(s.number)) for s in sentences}
    cells = defaultdict(list)  # the brackets of the sentences that were joined
    for name, lines in raw.items():
        if name.endswith("gold_skel"):
            for row in lines:
                if row and (row[0], row[1]) in kept:
                    cells["words"].append(row[4])
                    cells["phrases"].append(row[5])
                    cells["roles"].extend(row[8:])

    def tally(records):
        return Counter(label for record in records for t in record.targets for label in t.labels)

    tags = tally(edges.pos(sentences))
    assert tags == Counter(cells["words"])
    assert tags.total() == n_words
    phrases = tally(conll2012.constituents(sentences))
    assert phrases == Counter(re.findall(r"\(([A-Z]+)", "".join(cells["phrases"])))
    assert phrases.total() == n_constituents
    assert phrases["TOP"] == len(sentences)
    records = conll2012.srl(sentences)
    roles = tally(records)
    brackets = Counter(re.findall(r"\(([^(*]+)", "".join(cells["roles"])))
    assert roles == brackets - Counter({"V": brackets["V"]})
    assert (roles.total(), len(records)) == (n_roles, n_with_roles)
    assert {r.genre for r in records} == {"answers", "email", "newsgroup", "reviews", "weblog"}
    assert conll2012.entities(sentences) == conll2012.coreference(sentences) == []
