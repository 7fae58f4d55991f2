"""Opening corpus files, with the checks that several formats need."""

import codecs
import functools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers.corpora.records import CorpusError, LabelledSpan
from helpers.store import sha256

# Far above what real corpora have; whatever is larger is refused before it fills the memory.
MAX_BYTES = 2**31  # of a file that is read as a whole: MultiNLI's training file has .4 GB
MAX_WORDS = 5_000  # of a sentence: the longest in English EWT and GUM have less than 200
MAX_CHARACTERS = 1_000_000  # of one text within a file; a long Wikipedia article has 200,000

# What has no width and no ink (Unicode's Default_Ignorable_Code_Point, and the blank Braille pattern).
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)

Wrong = Callable[[int, str], CorpusError]  # of a line and what is wrong with it

_BLANK = re.compile(rf"[\s{INVISIBLE}]*")
# The first half of a character beyond U+FFFF without the second, or the second without the first.
_SURROGATES = re.compile(
    r"(?P<pair>\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|(?P<half>\\u[dD][89a-fA-F]..)|\\.", re.DOTALL
)


def read_text(path: str | Path) -> str:
    """A whole file as text, line ends as ``\\n``. Raises FileNotFoundError, and as :func:`decode`."""
    if Path(path).stat().st_size > MAX_BYTES:
        raise CorpusError(path, None, f"expected at most {MAX_BYTES:,} bytes; divide the file")
    return decode(path, Path(path).read_bytes())


def decode(name: str | Path, data: bytes) -> str:
    """The text of a file, or of an archive's member, with line ends as ``\\n``, without a byte order mark.

    Raises CorpusError if it is empty or not UTF-8 text (naming the first line that is not).
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise CorpusError(name, 1, "expected data, found an empty file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        at, reason = error.start, error.reason
    else:
        at, reason = data.find(0), "a null byte, not text"
        if at < 0:
            return text.replace("\r\n", "\n")
    line = data.count(b"\n", 0, at) + 1
    raise CorpusError(name, line, f"expected UTF-8 text, found the byte 0x{data[at]:02x} ({reason})")


def blank(line: str) -> bool:
    """Whether a line shows nothing: empty, or spaces and invisible characters only."""
    return _BLANK.fullmatch(line) is not None


def quoted(text: str, longest: int = 60) -> str:
    """A piece of a file's text for an error message, cut to a readable length."""
    return repr(text if len(text) <= longest else text[:longest] + "...")


# -- JSON ------------------------------------------------------------------------------------------


def json_lines(path: str | Path) -> Iterator[tuple[int, dict]]:
    """(line number, object) for each line of a file of JSON objects.

    Raises CorpusError as :func:`decode` and :func:`parse_json` do, naming file and line, and for a line that
    is no JSON object (a file cut short ends in half of one).
    """
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines if lines[-1] else lines[:-1], 1):
        row = parse_json(path, line, number)
        if not isinstance(row, dict):
            raise CorpusError(path, number, f"expected one JSON object, found {quoted(line)}")
        yield number, row


def parse_json(path: str | Path, text: str, line: int | None = None) -> Any:
    """The value of a JSON text: a file, or the given ``line`` of one.

    Raises CorpusError, naming the file, and the line if it is known, for what is no JSON; for half a
    character (a lone surrogate, which JSON can write and no Unicode text has); for a key used twice in one
    object, NaN and the infinities; and for numbers and nesting beyond Python's limits.
    """
    half = lone_surrogate(text)
    if half is not None:
        shown = quoted(text[max(0, half - 20) : half + 20])
        at = text.count("\n", 0, half) + 1 if line is None else line
        raise CorpusError(
            path, at, f"expected whole characters, found half of one (a lone surrogate): {shown}"
        )
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        at = error.lineno if line is None else line
        there = quoted(text[max(0, error.pos - 30) : error.pos + 30])
        problem = f"expected JSON, found {there}: {error.msg} at column {error.colno} (file cut short?)"
        raise CorpusError(path, at, problem) from error
    except RecursionError:
        raise CorpusError(path, line, "expected JSON, found lists or objects nested too deep") from None
    except ValueError as error:
        problem = str(error).partition(";")[0]  # without Python's advice to raise its limit
        raise CorpusError(path, line, f"expected JSON of values in range, found: {problem}") from error


def lone_surrogate(text: str) -> int | None:
    """Where a JSON text writes half a character; None if nowhere."""
    if not re.search(r"\\u[dD][89a-fA-F]", text):
        return None
    return next((m.start() for m in _SURROGATES.finditer(text) if m.lastgroup == "half"), None)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(
            f"the key {next(key for key in names if names.count(key) > 1)!r} twice in one object"
        )
    return made


def _constant(name: str) -> Any:
    raise ValueError(f"{name}, which is not a JSON number")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)

_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


def field(parent: dict, name: str, kind: type, wrong: Callable[[str], CorpusError]) -> Any:
    """A value of a JSON object; raises what ``wrong`` makes of the problem unless it is of the kind."""
    value = parent.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise wrong(f"expected {name!r} to be {_KINDS[kind]}, found {shown(parent, name)}")
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        raise wrong(f"expected {name!r} to have at most {MAX_CHARACTERS:,} characters, found {len(value):,}")
    return value


def optional(parent: dict, name: str, wrong: Callable[[str], CorpusError]) -> str:
    """A text, or a number as a text, that a JSON object may lack; empty without it."""
    value = parent.get(name)
    if value is None:
        return ""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise wrong(f"expected {name!r} to be a text, found {shown(parent, name)}")
    return str(value)


def shown(parent: dict, name: str) -> str:
    """The value of a JSON object's key, or the keys that there are instead, for an error message."""
    return as_json(parent[name]) if name in parent else f"only {', '.join(parent) or 'nothing'}"


def as_json(value: Any) -> str:
    """A JSON value for an error message, cut to a readable length."""
    try:
        return quoted(json.dumps(value))
    except RecursionError:  # dumping needs more stack than parsing
        return "lists or objects nested too deep"


# -- spans and trees -------------------------------------------------------------------------------


class Brackets:
    """Labelled spans of words whose brackets open and close; those of one key close from the inside out."""

    def __init__(self) -> None:
        self._spans: list[list] = []  # [first, end, label] in the order in which they open; end 0 while open
        self._open: dict[str, list[list]] = {}

    def open(self, word: int, label: str, *, key: str = "") -> None:
        self._spans.append([word, 0, label])
        self._open.setdefault(key, []).append(self._spans[-1])

    def close(self, word: int, *, key: str = "") -> bool:
        """Close the innermost span of a key after a word; False if none is open."""
        if not self._open.get(key):
            return False
        self._open[key].pop()[1] = word + 1
        return True

    def unclosed(self) -> list[tuple[int, str]]:
        """(word, label) of the spans that are still open."""
        return [(first, label) for first, end, label in self._spans if not end]

    def spans(self) -> tuple[LabelledSpan, ...]:
        return tuple((first, end, label) for first, end, label in self._spans)


def sha256_of(path: Path) -> str:
    """Hash of a file, computed anew if its size or time has changed: OntoNotes has ten thousand files."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _sha256(path: Path, size: int, time: int) -> str:
    return sha256(path)


def cycle(heads: Sequence[int]) -> list[int]:
    """Words (from 1) on a cycle of heads (0: a root), each followed by its head; empty if there is none."""
    safe = {0}
    for at in range(1, len(heads) + 1):
        path: dict[int, None] = {}
        while at not in safe:
            if at in path:
                names = list(path)
                return names[names.index(at) :]
            path[at] = None
            at = heads[at - 1]
        safe.update(path)
    return []
