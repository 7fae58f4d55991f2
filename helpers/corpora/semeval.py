"""SemEval-2010 Task 8 (Hendrickx et al., 2010): relations between two marked nominals of a sentence.

The official files have four lines per sentence: its number and text in quotation marks with
``<e1>``...``</e1>`` and ``<e2>``...``</e2>``, the relation, a comment, and an empty line.
"""

import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from helpers.corpora.files import MAX_WORDS, quoted, read_text
from helpers.corpora.records import CorpusError, LabelledSpans, Span, Target

RELATIONS = (
    "Cause-Effect", "Component-Whole", "Content-Container", "Entity-Destination", "Entity-Origin",
    "Instrument-Agency", "Member-Collection", "Message-Topic", "Product-Producer",
)  # fmt: skip
LABELS = (*(f"{name}({order})" for name in RELATIONS for order in ("e1,e2", "e2,e1")), "Other")
SPLIT_SEED = 42  # jiant's

_SENTENCE = re.compile(r'(\d+)\t"(.*)"')
_TAG = re.compile(r"(</?e[12]>)")
_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")


def read(path: str | Path) -> list[LabelledSpans]:
    """The sentences of an official file with labels, each with one target.

    ``span1`` is e1, ``span2`` e2, and the label keeps the direction: in ``Component-Whole(e2,e1)`` the
    part is e2. Words are runs of letters and digits, or single other characters, as BERT's basic
    tokeniser cuts them. A tag ends a word wherever it stands (the corpus forgets some spaces), so e1 and e2
    are always whole words.

    Raises CorpusError, naming file and line, if the file is empty or not UTF-8; for anything but
    sentence, label, comment and empty line in turn; for a number used twice, another label, or e1 and e2
    not marked once each; and for TEST_FILE.TXT, which has no labels.
    """
    wrong = partial(CorpusError, path)
    lines = read_text(path).rstrip().split("\n")
    sentences: list[LabelledSpans] = []
    first_use: dict[str, int] = {}
    for start in range(0, len(lines), 4):
        text, *rest = (*lines[start : start + 4], "", "", "")[:4]
        label, comment, empty = (line.strip() for line in rest)
        match = _SENTENCE.fullmatch(text.rstrip())
        if match is None:
            raise wrong(start + 1, f'expected a number, a tab and "a sentence", found {quoted(text)}')
        if match[1] in first_use:
            problem = f"expected a number not used before, found {match[1]} of line {first_use[match[1]]}"
            raise wrong(start + 1, problem)
        first_use[match[1]] = start + 1
        if _SENTENCE.match(label):
            problem = "expected the sentence's label, found another sentence (this file has no labels; "
            raise wrong(start + 2, problem + "those of the test sentences: TEST_FILE_FULL.TXT)")
        if label not in LABELS:
            raise wrong(start + 2, f"expected a label of {', '.join(LABELS)}, found {quoted(label)}")
        if not comment.startswith("Comment:"):
            raise wrong(start + 3, f"expected 'Comment:', found {quoted(comment)}")
        if empty:
            raise wrong(start + 4, f"expected an empty line, found {quoted(empty)}")
        words, e1, e2 = _words(partial(wrong, start + 1), match[2])
        if len(words) > MAX_WORDS:
            raise wrong(start + 1, f"expected at most {MAX_WORDS:,} words, found {len(words):,}")
        sentences.append(LabelledSpans(match[1], words, (Target(e1, e2, (label,)),)))
    return sentences


def split(
    train: Sequence[LabelledSpans], share: float = 0.15
) -> tuple[list[LabelledSpans], list[LabelledSpans]]:
    """Training and development sentences from the official training file, which has no development part.

    Each sentence goes to the development part with probability ``share``. The draws are those of jiant's
    ``deterministic_split.py -s 42 -f 0.85``, so that the official 8,000 sentences divide as in Tenney et
    al. (2019), into 6,851 and 1,149.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    generator = random.Random(SPLIT_SEED)
    kept = [generator.random() <= 1 - share for _ in train]
    return (
        [sentence for sentence, keep in zip(train, kept, strict=True) if keep],
        [sentence for sentence, keep in zip(train, kept, strict=True) if not keep],
    )


def _words(wrong: Callable[[str], CorpusError], text: str) -> tuple[tuple[str, ...], Span, Span]:
    """The words of a sentence, and the spans of e1 and e2."""
    words: list[str] = []
    edges: dict[str, int] = {}  # position of the word that follows a tag
    for piece in _TAG.split(text):
        if not _TAG.fullmatch(piece):
            words.extend(_WORD.findall(piece))
        elif piece in edges:
            raise wrong(f"expected {piece} once, found it twice")
        else:
            edges[piece] = len(words)
    spans: dict[str, Span] = {}
    for name in ("e1", "e2"):
        first, end = edges.get(f"<{name}>", 0), edges.get(f"</{name}>", 0)
        if f"<{name}>" not in edges or end <= first:
            raise wrong(f"expected <{name}>, words and </{name}>, found {quoted(text)}")
        spans[name] = first, end
    return tuple(words), spans["e1"], spans["e2"]
