"""Settings checked once for all rooms: unknown names and values fail with the valid ones listed."""

import ast
import dataclasses
import difflib
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")  # a dataclass
_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "above": ("above", operator.gt),
    "least": ("at least", operator.ge),
    "most": ("at most", operator.le),
    "below": ("below", operator.lt),
}


def limited(default: Any, about: str = "", **limits: Any) -> Any:
    """A field of a dataclass of settings: what it is ``about``, and the limits of :func:`replaced`.

    ``least`` and ``most`` are inclusive bounds of a number, ``above`` and ``below`` exclusive ones. A text
    must be one of ``valid``, called ``what`` in messages. A tuple with ``some`` may not be empty, one with
    ``different`` has no repeats. A field that is ``fixed`` cannot be set. One without a default has them as
    its ``metadata``.
    """
    return dataclasses.field(default=default, metadata=limits | {"about": about})


def replaced(base: Settings, changes: Mapping[str, Any], within: str = "") -> Settings:
    """Settings with some replaced, each held to its field's type and limits (:func:`limited`).

    Values are numbers, texts, tuples of them and dicts of texts, or what a command line makes of them: a text
    that spells a number, list or dict; a list for a tuple; 1e9 for a whole number; the text none for None. A
    field that is a dataclass itself takes a dict of changes, and so does a tuple of dataclasses, by the value
    of their first fields: ``{"tasks": {"Dep": {"recipe": {"epochs": 2}}}}``.

    ``within`` is put before the names in messages. Raises ValueError for an unknown setting, listing the
    valid ones, and for a value of another kind or out of its range.
    """
    fields, values = _fields(type(base)), {}
    for name, value in changes.items():
        if name not in fields:
            raise ValueError(unknown("setting", within + name, [within + known for known in fields]))
        field, hint = fields[name]
        old, full = getattr(base, name), within + name
        if dataclasses.is_dataclass(hint):
            values[name] = replaced(old, _mapping(full, value), f"{full}.")
        elif parts := _parts(hint):
            key = dataclasses.fields(parts)[0].name
            members = {getattr(member, key): member for member in old}
            for member, own in _mapping(full, value).items():
                if member not in members:
                    raise ValueError(unknown(f"{key} in {full}", member, members))
                members[member] = replaced(
                    members[member], _mapping(f"{full}.{member}", own), f"{full}.{member}."
                )
            values[name] = tuple(members.values())
        else:
            values[name] = _value(full, value, hint, field.metadata)
    return dataclasses.replace(base, **values)  # type: ignore[type-var]


def nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes with dicts in place of dotted names: ``{"edge.clip": 1}`` becomes ``{"edge": {"clip": 1}}``.

    Texts that spell a dict are read. Raises ValueError where a name is given both a value and settings of
    its own.
    """
    tree: dict[str, Any] = {}
    for dotted, value in changes.items():
        value = value if isinstance(_read(value), (list, tuple)) else _read(value)
        *path, last = dotted.split(".")
        place = tree
        for name in path:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ValueError(f"setting {dotted!r}: {name} has been given a value of its own")
        place[last] = merged(place.get(last), value)
    return tree


def merged(old: Any, new: Any) -> Any:
    """The newer of two values; of two dicts, both, and the newer where they have the same name."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}


def described(base: Any, within: str = "") -> Iterator[tuple[str, str, str]]:
    """Every setting that :func:`replaced` takes: (dotted name, value in ``base``, what it is about)."""
    for name, (field, hint) in _fields(type(base)).items():
        value, about = getattr(base, name), field.metadata.get("about", "")
        if dataclasses.is_dataclass(hint):
            yield from described(value, f"{within}{name}.")
        elif _parts(hint):
            if not value:
                yield within + name, "none", about
            for member in value:
                first = dataclasses.fields(member)[0].name
                yield from described(member, f"{within}{name}.{getattr(member, first)}.")
        else:
            yield within + name, _spelled(value), about


def _spelled(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _fields(kind: type) -> dict[str, tuple[dataclasses.Field, Any]]:
    """The fields that can be set, with their types."""
    hints = get_type_hints(kind)
    return {
        field.name: (field, hints[field.name])
        for field in dataclasses.fields(kind)
        if not field.metadata.get("fixed") and _settable(hints[field.name])
    }


def _settable(hint: Any) -> bool:
    """Whether a value of this type can be set: a number, a text, one of these or None, several, a dict, or
    settings of its own."""
    if isinstance(hint, UnionType):
        return all(map(_settable, get_args(hint))) and not any(map(dataclasses.is_dataclass, get_args(hint)))
    if get_origin(hint) is tuple:
        return _settable(get_args(hint)[0])
    return hint in (int, float, str, NoneType, dict[str, str]) or dataclasses.is_dataclass(hint)


def _parts(hint: Any) -> Any:
    """The dataclass that a tuple is of, or None."""
    member = get_args(hint)[0] if get_origin(hint) is tuple else None
    return member if dataclasses.is_dataclass(member) else None


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    value = _read(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"setting {name!r}: expected settings of its own, by name, got {value!r}")
    return value


def _read(value: Any) -> Any:
    """A list, tuple or dict that a text spells; any other value as it is."""
    if isinstance(value, str):
        try:
            read = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
        return read if isinstance(read, (list, tuple, dict)) else value
    return value


def _value(name: str, value: Any, hint: Any, limits: Mapping[str, Any]) -> Any:
    def wrong(expected: str) -> ValueError:
        return ValueError(f"setting {name!r}: expected {expected}, got {_short(value)}")

    if isinstance(hint, UnionType):
        if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
            return None
        return _value(name, value, get_args(hint)[0], limits)
    if get_origin(hint) is tuple:
        items = _read(value)
        if isinstance(items, str) and items.startswith("[") and items.endswith("]"):  # of plain words
            items = [item.strip() for item in items[1:-1].split(",")]
        if not isinstance(items, (list, tuple)):
            examples = {int: "[0, 1]", float: "[1e-4, 1e-3]", str: "[NAME, NAME]"}
            raise wrong(f"a list such as {examples[get_args(hint)[0]]}")
        if not items and limits.get("some"):
            raise wrong("at least one value")
        values = tuple(_value(name, item, get_args(hint)[0], limits) for item in items)
        if limits.get("different") and len(set(values)) < len(values):
            raise wrong("different values")
        return values
    if get_origin(hint) is dict:
        pairs = _read(value)
        if not isinstance(pairs, Mapping):
            raise wrong('a dictionary such as {"NAME": "VALUE"}')
        return {_text(str(key), limits, name): str(item) for key, item in pairs.items()}
    if hint is str:
        if not isinstance(value, str):
            raise wrong("a text")
        return _text(value, limits, name)
    return _number(value, hint, limits, wrong)


def _number(value: Any, hint: type, limits: Mapping[str, Any], wrong: Any) -> int | float:
    number = value
    if isinstance(value, str):  # a command line's, or YAML's 1e-3
        for kind in (int, float):
            try:
                number = kind(value)
                break
            except ValueError:
                continue
    finite = isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) < math.inf
    if not finite:  # nan is not below infinity either
        raise wrong(f"a {'whole ' * (hint is int)}number")
    if hint is int and (number != int(number) or abs(number) > 2**53):  # the last that a float can hold
        raise wrong("a whole number")
    bounds = [(words, fits, limits[name]) for name, (words, fits) in _BOUNDS.items() if name in limits]
    if not all(fits(number, limit) for _, fits, limit in bounds):
        said = ", ".join(f"{words} {limit}" for words, _, limit in bounds)
        raise wrong(f"a number {said}")
    try:
        return hint(number)
    except OverflowError:  # more digits than a float can hold
        raise wrong("a number") from None


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(value: str, limits: Mapping[str, Any], name: str) -> str:
    if "valid" in limits and value not in limits["valid"]:
        raise ValueError(unknown(limits.get("what", name), value, limits["valid"]))
    return value


def unknown(what: str, name: object, valid: Iterable[object]) -> str:
    """The message of an error that lists what is valid, and asks whether the nearest of it was meant."""
    names = list(map(str, valid))
    close = difflib.get_close_matches(str(name), names, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {what} {name!r}{hint}; valid: {', '.join(names)}"
