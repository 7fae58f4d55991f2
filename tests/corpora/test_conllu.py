"""The CoNLL-U reader: a hand-made sample, the real treebanks, and files broken in every way."""

import time
from collections import Counter

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.corpora import conllu
from helpers.corpora.records import CorpusError, Sentence

SAMPLE = """\
# newdoc id = weblog-example.com_0001
# sent_id = weblog-example.com_0001-0001
# text = I can't, he said.
1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t0:root\t_
4\t,\t,\tPUNCT\t,\t_\t2\tpunct\t_\t_
5\the\the\tPRON\tPRP\t_\t6\tnsubj\t_\t_
6\tsaid\tsay\tVERB\tVBD\t_\t2\tparataxis:said\t_\tSpaceAfter=No
7\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

# newdoc id = GUM_news_example
# sent_id = GUM_news_example-1
1\tStop\tstop\tVERB\tVB\t_\t0\troot\t_\t_

"""


@pytest.fixture
def sample(tmp_path):
    """Function that writes a text (or bytes) to a file and returns its path."""

    def write(content):
        path = tmp_path / "sample.conllu"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_words_tree_and_comments(sample):
    first, second = conllu.read(sample(SAMPLE))
    assert first == Sentence(
        id="weblog-example.com_0001-0001",
        words=("I", "ca", "n't", ",", "he", "said", "."),
        document="weblog-example.com_0001",
        genre="weblog",
        upos=("PRON", "AUX", "PART", "PUNCT", "PRON", "VERB", "PUNCT"),
        xpos=("PRP", "MD", "RB", ",", "PRP", "VBD", "."),
        heads=(2, 0, 2, 2, 6, 2, 2),
        deprels=("nsubj", "root", "advmod", "punct", "nsubj", "parataxis:said", "punct"),
    )
    assert (second.id, second.genre, second.heads) == ("GUM_news_example-1", "news", (0,))


def test_windows_line_ends(sample):
    assert conllu.read(sample(SAMPLE.replace("\n", "\r\n"))) == conllu.read(sample(SAMPLE))


def test_a_byte_order_mark_is_no_part_of_the_text(sample):
    assert conllu.read(sample("\ufeff" + SAMPLE)) == conllu.read(sample(SAMPLE))


FRENCH = """\
# newdoc id = fr-ud-test_0001
# sent_id = fr-1
# text = Il va au café.
1\tIl\til\tPRON\t_\tGender=Masc\t2\tnsubj\t_\t_
2\tva\taller\tVERB\t_\t_\t0\troot\t_\t_
3-4\tau\t_\t_\t_\t_\t_\t_\t_\t_
3\tà\tà\tADP\t_\t_\t5\tcase\t_\t_
4\tle\tle\tDET\t_\t_\t5\tdet\t_\t_
5\tcafé\tcafé\tNOUN\t_\t_\t2\tobl:arg\t_\tSpaceAfter=No
6\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_

"""


def test_a_treebank_without_genres_and_tags_of_its_own(sample):
    (sentence,) = conllu.read(sample(FRENCH))
    assert sentence.words == ("Il", "va", "à", "le", "café", ".")
    assert (sentence.document, sentence.genre, set(sentence.xpos)) == ("fr-ud-test_0001", "", {"_"})


WITHHELD = "{0}\t{1}\t_\t{2}\t{2}\t_\t{3}\tdep\t_\t_\n"


def made(*words):
    """A sentence of (form, tag), each word the next one's head."""
    rows = [WITHHELD.format(i, *word, (i + 1) % (len(words) + 1)) for i, word in enumerate(words, 1)]
    return "".join(rows) + "\n"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([("_", "X")] * 3, id="throughout"),
        pytest.param([("_", "NOUN"), ("____", "VERB"), (".", "PUNCT")], id="all but the punctuation"),
        pytest.param(
            [("A", "X")] * 9 + [("_", "X"), ("__", "X"), ("_____", "X")] + [("B", "X")] * 9, id="a run"
        ),
    ],
)
def test_withheld_words_are_refused(sample, words):
    first = next(i for i, (form, _) in enumerate(words, 1) if form == "_")
    path = sample(made(("Tea", "NOUN")) + made(*words))
    with pytest.raises(CorpusError) as caught:
        conllu.read(path)
    assert str(caught.value).startswith(f"{path}:{first + 2}: expected words in column FORM, found '_'")
    assert "withheld" in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([("_____", "PUNCT")], id="a line drawn"),
        pytest.param(
            [("Name", "NOUN"), ("_", "PUNCT"), ("_", "PUNCT"), ("_", "SYM")], id="a form to fill in"
        ),
        pytest.param([("more", "ADJ"), ("_", "ADP"), ("tea", "NOUN")], id="a word left out, as in EWT"),
    ],
)
def test_underscores_that_are_the_writers_own(sample, words):
    (sentence,) = conllu.read(sample(made(*words)))
    assert sentence.words == tuple(form for form, _ in words)


def test_a_sentence_beyond_any_real_one_is_refused_at_once(sample):
    path = sample(made(*[("w", "X")] * 60_000))
    start = time.perf_counter()
    with pytest.raises(CorpusError, match=r":1: expected a sentence of at most 5,000 words, found more"):
        conllu.read(path)
    assert time.perf_counter() - start < 3


def test_genre_comment_and_missing_ids(sample):
    row = "1\tStop\tstop\tVERB\tVB\t_\t0\troot\t_\t_\n\n"
    text = f"# newdoc id = plain\n# meta::genre = essay\n{row}{row}# newdoc\n{row}"
    got = [(s.id, s.document, s.genre) for s in conllu.read(sample(text))]
    assert got == [("sample-1", "plain", "essay"), ("sample-2", "plain", "essay"), ("sample-3", "", "")]


def edited(line, old, new):
    lines = SAMPLE.split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "\n".join(lines)


@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param("", 1, "found an empty file", id="empty"),
        pytest.param("\n \n", 1, "found an empty file", id="blank"),
        pytest.param(SAMPLE.encode("utf-16"), 1, "expected UTF-8 text", id="utf-16"),
        pytest.param(
            SAMPLE.replace("Stop", "Stöp").encode("latin-1"), 16, "found the byte 0xf6", id="latin-1"
        ),
        pytest.param(
            SAMPLE[:-1], 16, "expected a blank line after the last sentence", id="no final blank line"
        ),
        pytest.param(SAMPLE[:-9], 16, "expected a complete last line", id="half a line"),
        pytest.param(
            SAMPLE[: SAMPLE.index("# sent_id = GUM")], 14, "expected a blank line", id="only comments"
        ),
        pytest.param(
            edited(4, "\t_\t2", "\t2"), 4, "expected 10 tab-separated columns, found 9", id="9 columns"
        ),
        pytest.param(
            edited(4, "PRP", "PRP\t_"), 4, "expected 10 tab-separated columns, found 11", id="11 columns"
        ),
        pytest.param(edited(4, "\t", "    "), 4, "columns, found 9", id="spaces for a tab"),
        pytest.param(edited(4, "PRON", ""), 4, "expected a value or '_' in column UPOS", id="empty column"),
        pytest.param(
            edited(9, "4", "5"), 9, "expected word 4 (consecutive ids), found '5'", id="gap in the ids"
        ),
        pytest.param(edited(9, "4", "3"), 9, "expected word 4 (consecutive ids), found '3'", id="id twice"),
        pytest.param(edited(9, "4", "9" * 5000), 9, "expected an id such as 3", id="id of 5,000 digits"),
        pytest.param(
            edited(12, "\t2\t", "\t" + "9" * 5000 + "\t"), 12, "expected a head", id="head of 5,000 digits"
        ),
        pytest.param(
            edited(6, "2", "2-4\tx" + "\t_" * 8 + "\n2"),
            6,
            "does not overlap the one of line 5",
            id="ranges overlap",
        ),
        pytest.param(
            edited(7, "3", "3-4\tx" + "\t_" * 8 + "\n3"),
            7,
            "does not overlap the one of line 5",
            id="ranges chained",
        ),
        pytest.param(edited(4, "PRON", "PROM"), 4, "expected a part of speech of UD", id="tag unknown"),
        pytest.param(edited(4, "nsubj", "_"), 4, "expected a relation in column DEPREL", id="no relation"),
        pytest.param(
            edited(8, "3.1", "3.2"),
            8,
            "expected an empty node 3.1 after word 3, found '3.2'",
            id="empty node 2 first",
        ),
        pytest.param(
            edited(16, "1", "1-2\tStop" + "\t_" * 8 + "\n1"),
            16,
            "expected word 2 of this multiword",
            id="range too long",
        ),
        pytest.param(edited(9, "4", "four"), 9, "expected an id such as 3", id="id no number"),
        pytest.param(
            edited(5, "2-3", "1-3"), 5, "expected a multiword token from word 2 on", id="range misplaced"
        ),
        pytest.param(
            edited(5, "2-3", "2-2"), 5, "expected a multiword token from word 2 on", id="range of one"
        ),
        pytest.param(edited(8, "3.1", "4.1"), 8, "expected an empty node 3.1", id="empty node misplaced"),
        pytest.param(
            edited(12, "\t2\t", "\t8\t"), 12, "expected a head from 0 to 7, found '8'", id="head too large"
        ),
        pytest.param(edited(12, "\t2\t", "\t-1\t"), 12, "expected a head from 0 to 7", id="head negative"),
        pytest.param(
            edited(12, "\t2\t", "\t_\t"), 12, "expected a head from 0 to 7, found '_'", id="head missing"
        ),
        pytest.param(
            edited(11, "\t2\t", "\t0\t"),
            11,
            "expected one root (head 0), found words 2 and 6",
            id="two roots",
        ),
        pytest.param(edited(6, "\t0\t", "\t2\t"), 6, "found the cycle 2 -> 2", id="own head"),
        pytest.param(edited(11, "\t2\t", "\t5\t"), 10, "found the cycle 5 -> 6 -> 5", id="cycle"),
        pytest.param(
            edited(15, "GUM_news_example-1", "weblog-example.com_0001-0001"),
            14,
            "'weblog-example.com_0001-0001' of line 1",
            id="sent_id twice",
        ),
        pytest.param(edited(12, "7", "\n7"), 13, "expected word 1 (consecutive ids)", id="blank line within"),
        pytest.param(edited(13, "", "\n"), 14, "expected the words of a sentence", id="two blank lines"),
        pytest.param(edited(13, "", "# x"), 13, "expected a blank line before", id="no blank line between"),
    ],
)
def test_broken_files(sample, broken, line, expectation):
    path = sample(broken)
    with pytest.raises(CorpusError) as caught:
        conllu.read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert expectation in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_accepts_exactly_the_trees_with_one_root(tmp_path_factory, data):
    n = data.draw(st.integers(1, 6))
    heads = data.draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    path = tmp_path_factory.getbasetemp() / "heads.conllu"
    rows = [f"{i}\tw\tw\tX\tX\t_\t{head}\tdep\t_\t_\n" for i, head in enumerate(heads, 1)]
    path.write_text("".join(rows) + "\n")
    graph = networkx.DiGraph([(head, i) for i, head in enumerate(heads, 1)])
    if networkx.is_arborescence(graph) and heads.count(0) == 1:
        assert conllu.read(path)[0].heads == tuple(heads)
    else:
        with pytest.raises(CorpusError, match="expected one root|expected a tree"):
            conllu.read(path)


@pytest.mark.parametrize(
    "split, n_sentences, n_words",
    [("train", 12_544, 204_577), ("dev", 2_001, 25_147), ("test", 2_077, 25_094)],
)
def test_ewt(real_data, split, n_sentences, n_words):
    sentences = conllu.read(real_data("ud-english-ewt") / f"en_ewt-ud-{split}.conllu")
    assert len(sentences) == n_sentences
    assert sum(len(s.words) for s in sentences) == n_words
    assert {s.genre for s in sentences} == {"weblog", "newsgroup", "email", "reviews", "answers"}
    assert all(s.id.startswith(s.document) for s in sentences)
    assert all(
        len(s.words) == len(s.upos) == len(s.xpos) == len(s.heads) == len(s.deprels) for s in sentences
    )
    assert all(s.deprels[s.heads.index(0)] == "root" for s in sentences)


def test_gum(real_data):
    folder = real_data("gum")
    splits = {split: conllu.read(folder / f"en_gum-{split}.conllu") for split in ("train", "dev", "test")}
    documents = {split: {s.document for s in sentences} for split, sentences in splits.items()}
    assert {split: len(names) for split, names in documents.items()} == {"train": 177, "dev": 30, "test": 30}
    per_genre = Counter(name.split("_")[1] for name in set().union(*documents.values()))
    assert {s.genre for s in splits["train"]} == set(per_genre)
