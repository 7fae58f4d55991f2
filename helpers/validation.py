"""Settings checked once for all rooms: unknown names and values fail with the valid ones listed."""

import dataclasses
import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints


def limited(default: Any, **limits: Any) -> Any:
    """A field of a dataclass of settings, with the limits that :func:`checked` holds its values to.

    A number must be at ``least`` and at ``most`` so much and lie ``above`` another; a text must be among the
    ``valid`` ones, which are ``what``; a tuple may need ``some`` value.
    """
    return dataclasses.field(default=default, metadata=limits)


def checked(kind: type, changes: Mapping[str, Any], *, fixed: Collection[str] = ()) -> dict[str, Any]:
    """Settings as values of a dataclass's fields, by the fields' types and limits (:func:`limited`).

    Numbers, texts, tuples of them and dicts of texts can be set, but not what is ``fixed``; a list becomes
    a tuple, and 1e9 a whole number where one is needed. Raises ValueError for an unknown setting, listing the
    valid ones, and for a value of another kind or out of its range.
    """
    hints = get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind) if f.name not in fixed and _plain(hints[f.name])}
    values = {}
    for name, value in changes.items():
        if name not in known:
            raise ValueError(unknown("setting", name, known))
        values[name] = _checked(name, value, hints[name], known[name].metadata)
    return values


def _plain(hint: Any) -> bool:
    """Whether a value of this type can be set: a number, a text, one of these or None, several, a dict."""
    if isinstance(hint, UnionType):
        return all(map(_plain, get_args(hint)))
    if get_origin(hint) is tuple:
        return _plain(get_args(hint)[0])
    return hint in (int, float, str, NoneType, dict[str, str])


def _checked(name: str, value: Any, hint: Any, limits: Mapping[str, Any]) -> Any:
    def wrong(expected: str) -> ValueError:
        return ValueError(f"setting {name!r}: expected {expected}, got {value!r}")

    if isinstance(hint, UnionType):
        return None if value is None else _checked(name, value, get_args(hint)[0], limits)
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise wrong("a list")
        if not value and limits.get("some"):
            raise wrong("at least one value")
        return tuple(_checked(name, item, get_args(hint)[0], limits) for item in value)
    if get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise wrong("a dictionary")
        return {_text(name, key, limits): str(item) for key, item in value.items()}
    if hint is str:
        if not isinstance(value, str):
            raise wrong("a text")
        return _text(name, value, limits)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise wrong("a number")
    if hint is int and value != int(value):
        raise wrong("a whole number")
    low, high = limits.get("least", -math.inf), limits.get("most", math.inf)
    if not low <= value <= high or value <= limits.get("above", -math.inf):
        bounds = {"above": "above", "least": "at least", "most": "at most"}
        said = ", ".join(f"{words} {limits[limit]}" for limit, words in bounds.items() if limit in limits)
        raise wrong(f"a number {said}")
    return hint(value)


def _text(name: str, value: str, limits: Mapping[str, Any]) -> str:
    if "valid" in limits and value not in limits["valid"]:
        raise ValueError(unknown(limits.get("what", name), value, limits["valid"]))
    return value


def unknown(what: str, name: object, valid: Iterable[object]) -> str:
    """The message of an error that lists what is valid, and asks whether the nearest of it was meant."""
    names = list(map(str, valid))
    close = difflib.get_close_matches(str(name), names, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {what} {name!r}{hint}; valid: {', '.join(names)}"
