"""Settings: what is unknown, of the wrong kind or out of range fails with what would have been right."""

from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from helpers.validation import described, limited, merged, nested, replaced, unknown


@dataclass(frozen=True)
class Fan:
    place: str = field(metadata={"fixed": True})
    speed: float = limited(1.0, "turns a second", above=0)


@dataclass(frozen=True)
class Timer:
    minutes: int = limited(5, least=1)


@dataclass(frozen=True)
class Oven:
    name: str = limited("oven", fixed=True)
    heat: float = limited(180.0, "in degrees", above=0, most=250)
    minutes: int = limited(30, least=1)
    steam: float = limited(0.0, least=0, below=1)
    racks: tuple[int, ...] = limited((1,), some=True, different=True)
    rates: tuple[float, ...] = ()
    dishes: tuple[str, ...] = limited(("pie",), valid=("pie", "cake"), what="dish")
    mode: str = limited("fan", valid=("fan", "grill"))
    timer: int | None = limited(None, least=1)
    trays: dict[str, str] = field(default_factory=dict, metadata={"valid": ("top", "low"), "what": "tray"})
    clock: Timer = Timer()
    fans: tuple[Fan, ...] = (Fan("back"), Fan("top"))
    inner: "Oven | None" = None


OVEN = Oven()


def values(changes):
    oven = replaced(OVEN, changes)
    return {f.name: getattr(oven, f.name) for f in fields(oven) if f.name in changes}


def test_values_take_the_types_of_the_fields():
    given = {"heat": 200, "minutes": 1e2, "racks": [2, 3.0], "rates": [1], "mode": "grill", "timer": None}
    taken = values(given | {"trays": {"top": Path("cake")}})
    assert taken == {
        "heat": 200.0,
        "minutes": 100,
        "racks": (2, 3),
        "rates": (1.0,),
        "mode": "grill",
        "timer": None,
        "trays": {"top": "cake"},
    }
    assert type(taken["heat"]) is type(taken["rates"][0]) is float
    assert type(taken["minutes"]) is type(taken["racks"][1]) is int
    assert replaced(OVEN, {}) == OVEN


def test_texts_are_read_by_the_types_of_the_fields():
    """What papermill's -p, YAML's 1e-3 and --set come to."""
    given = {"heat": "2e2", "minutes": "1e2", "racks": "[2, 3]", "rates": ["1e-3", "2"], "timer": "none"}
    taken = values(given | {"trays": "{'top': '12'}", "mode": "grill"})
    assert taken == {
        "heat": 200.0,
        "minutes": 100,
        "racks": (2, 3),
        "rates": (1e-3, 2.0),
        "timer": None,
        "trays": {"top": "12"},
        "mode": "grill",
    }
    assert values({"timer": "7", "racks": (4,)}) == {"timer": 7, "racks": (4,)}
    for dishes in ("[pie, cake]", "['pie', 'cake']", ["pie", "cake"]):
        assert values({"dishes": dishes}) == {"dishes": ("pie", "cake")}
    assert values({"dishes": "[]"}) == {"dishes": ()}


def test_settings_within_settings():
    oven = replaced(OVEN, {"clock": {"minutes": 3}, "fans": {"top": {"speed": "2"}}})
    assert oven.clock == Timer(3) and oven.fans == (Fan("back"), Fan("top", 2.0))
    assert replaced(OVEN, nested({"clock.minutes": 3, "fans.top.speed": 2})) == oven
    assert replaced(OVEN, nested({"clock": "{'minutes': 3}", "fans.top": "{'speed': 2}"})) == oven


def test_dotted_names_become_dicts():
    assert nested({"a.b.c": 1, "a.b": {"d": 2}, "e": [3]}) == {"a": {"b": {"c": 1, "d": 2}}, "e": [3]}
    with pytest.raises(ValueError, match="setting 'a.b': a has been given a value of its own"):
        nested({"a": 1, "a.b": 2})
    assert merged({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}}) == {"a": 1, "b": {"c": 4, "d": 3}}


def test_every_setting_is_described_by_its_dotted_name():
    lines = {name: (value, about) for name, value, about in described(OVEN)}
    assert lines["heat"] == ("180", "in degrees") and lines["racks"] == ("[1]", "")
    assert lines["fans.top.speed"] == ("1", "turns a second") and lines["timer"] == ("none", "")
    assert "name" not in lines and "fans.top.place" not in lines and "inner" not in lines
    for name, (value, _) in lines.items():
        if name != "trays":
            assert replaced(OVEN, nested({name: value})) == OVEN


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"minuts": 3},
            r"unknown setting 'minuts' \(did you mean 'minutes'\?\); valid: heat, minutes, .*fans$",
        ),
        ({"inner": Oven()}, "unknown setting 'inner'"),  # of no kind that can be given
        ({"name": "stove"}, "unknown setting 'name'"),
        ({"heat": "hot"}, "setting 'heat': expected a number, got 'hot'"),
        ({"heat": float("nan")}, "setting 'heat': expected a number, got nan"),
        ({"heat": float("inf")}, "setting 'heat': expected a number, got inf"),
        ({"heat": "inf"}, "setting 'heat': expected a number, got 'inf'"),
        ({"heat": True}, "setting 'heat': expected a number, got True"),
        ({"heat": 0}, "setting 'heat': expected a number above 0, at most 250, got 0"),
        ({"heat": 251}, "setting 'heat': expected a number above 0, at most 250, got 251"),
        ({"steam": 1}, "setting 'steam': expected a number at least 0, below 1, got 1"),
        ({"minutes": 2.5}, "setting 'minutes': expected a whole number, got 2.5"),
        ({"minutes": None}, "setting 'minutes': expected a whole number, got None"),
        ({"minutes": 10**5000}, "setting 'minutes': expected a whole number, got a number of thousands of"),
        ({"minutes": "9" * 5000}, r"setting 'minutes': expected a whole number, got '9+\.\.\.$"),
        ({"timer": 0}, "setting 'timer': expected a number at least 1, got 0"),
        ({"racks": 1}, r"setting 'racks': expected a list such as \[0, 1\], got 1"),
        ({"racks": "12"}, r"setting 'racks': expected a list such as \[0, 1\], got '12'"),
        ({"dishes": "pie"}, r"setting 'dishes': expected a list such as \[NAME, NAME\], got 'pie'"),
        ({"dishes": "[pie, cak]"}, "unknown dish 'cak' .did you mean 'cake'"),
        ({"racks": []}, "setting 'racks': expected at least one value"),
        ({"racks": [1, "two"]}, "setting 'racks': expected a whole number, got 'two'"),
        ({"racks": "[2, 2]"}, "setting 'racks': expected different values"),
        ({"mode": "gril"}, r"unknown mode 'gril' \(did you mean 'grill'\?\); valid: fan, grill$"),
        ({"mode": 3}, "setting 'mode': expected a text, got 3"),
        ({"trays": ["top"]}, 'setting \'trays\': expected a dictionary such as {"NAME": "VALUE"}'),
        ({"trays": {"middle": "x"}}, "unknown tray 'middle'; valid: top, low$"),
        ({"clock": 3}, "setting 'clock': expected settings of its own, by name, got 3"),
        ({"clock": {"minute": 3}}, "unknown setting 'clock.minute' .did you mean 'clock.minutes'.*minutes$"),
        ({"fans": {"tpo": {}}}, r"unknown place in fans 'tpo' \(did you mean 'top'\?\); valid: back, top$"),
        ({"fans": {"top": 3}}, "setting 'fans.top': expected settings of its own"),
        ({"fans": {"top": {"speed": 0}}}, "setting 'fans.top.speed': expected a number above 0, got 0"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        replaced(OVEN, changes)


def test_unknown_without_a_near_one():
    assert unknown("colour", "blue", ["red"]) == "unknown colour 'blue'; valid: red"
