"""Opening corpus files, with the checks that several formats need."""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers.corpora.records import CorpusError, LabelledSpan
from helpers.store import sha256

Wrong = Callable[[int, str], CorpusError]  # of a line and what is wrong with it


def read_text(path: str | Path) -> str:
    """A whole file as text, line ends as ``\\n``. Raises FileNotFoundError, and as :func:`decode`."""
    return decode(path, Path(path).read_bytes())


def decode(name: str | Path, data: bytes) -> str:
    """The text of a file, or of an archive's member, with line ends as ``\\n``.

    Raises CorpusError if it is empty or not UTF-8 (naming the first line that is not).
    """
    if not data.strip():
        raise CorpusError(name, 1, "expected data, found an empty file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            name, line, f"expected UTF-8 text, found the byte 0x{data[error.start]:02x} ({error.reason})"
        ) from error
    return text.replace("\r\n", "\n")


def quoted(text: str, longest: int = 60) -> str:
    """A piece of a file's text for an error message, cut to a readable length."""
    return repr(text if len(text) <= longest else text[:longest] + "...")


def json_lines(path: str | Path) -> Iterator[tuple[int, dict]]:
    """(line number, object) for each line of a file of JSON objects.

    Raises CorpusError as :func:`decode` does, and, naming file and line, for a line that is no JSON object (a
    file cut short ends in half of one).
    """
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines if lines[-1] else lines[:-1], 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"expected a JSON object, found {quoted(line)}: {error.msg} at column {error.colno}"
            raise CorpusError(path, number, problem) from error
        if not isinstance(row, dict):
            raise CorpusError(path, number, f"expected one JSON object, found {quoted(line)}")
        yield number, row


_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


def field(parent: dict, name: str, kind: type, wrong: Callable[[str], CorpusError]) -> Any:
    """A value of a JSON object; raises what ``wrong`` makes of the problem unless it is of the kind."""
    value = parent.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise wrong(f"expected {name!r} to be {_KINDS[kind]}, found {shown(parent, name)}")
    return value


def shown(parent: dict, name: str) -> str:
    """The value of a JSON object's key, or the keys that there are instead, for an error message."""
    return quoted(json.dumps(parent[name])) if name in parent else f"only {', '.join(parent) or 'nothing'}"


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
        path: list[int] = []
        while at not in safe:
            if at in path:
                return path[path.index(at) :]
            path.append(at)
            at = heads[at - 1]
        safe.update(path)
    return []
