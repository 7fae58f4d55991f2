"""Settings: what is unknown, of the wrong kind or out of range fails with what would have been right."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from helpers.validation import checked, limited, unknown


@dataclass(frozen=True)
class Oven:
    name: str = "oven"
    heat: float = limited(180.0, above=0, most=250)
    minutes: int = limited(30, least=1)
    racks: tuple[int, ...] = limited((1,), some=True)
    rates: tuple[float, ...] = ()
    mode: str = limited("fan", valid=("fan", "grill"))
    timer: int | None = limited(None, least=1)
    trays: dict[str, str] = field(default_factory=dict, metadata={"valid": ("top", "low"), "what": "tray"})
    inner: "Oven | None" = None


def test_values_take_the_types_of_the_fields():
    given = {"heat": 200, "minutes": 1e2, "racks": [2, 3.0], "rates": [1], "mode": "grill", "timer": None}
    values = checked(Oven, given | {"trays": {"top": Path("cake")}})
    assert values == {
        "heat": 200.0,
        "minutes": 100,
        "racks": (2, 3),
        "rates": (1.0,),
        "mode": "grill",
        "timer": None,
        "trays": {"top": "cake"},
    }
    assert type(values["heat"]) is type(values["rates"][0]) is float
    assert type(values["minutes"]) is type(values["racks"][1]) is int
    assert checked(Oven, {}) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"minuts": 3},
            r"unknown setting 'minuts' \(did you mean 'minutes'\?\); valid: heat, minutes, .*trays$",
        ),
        ({"inner": Oven()}, "unknown setting 'inner'"),  # of no kind that can be given
        ({"name": "stove"}, "unknown setting 'name'"),
        ({"heat": "hot"}, "setting 'heat': expected a number, got 'hot'"),
        ({"heat": float("nan")}, "setting 'heat': expected a number, got nan"),
        ({"heat": float("inf")}, "setting 'heat': expected a number, got inf"),
        ({"heat": True}, "setting 'heat': expected a number, got True"),
        ({"heat": 0}, "setting 'heat': expected a number above 0, at most 250, got 0"),
        ({"heat": 251}, "setting 'heat': expected a number above 0, at most 250, got 251"),
        ({"minutes": 2.5}, "setting 'minutes': expected a whole number, got 2.5"),
        ({"minutes": None}, "setting 'minutes': expected a number, got None"),
        ({"timer": 0}, "setting 'timer': expected a number at least 1, got 0"),
        ({"racks": 1}, "setting 'racks': expected a list, got 1"),
        ({"racks": "12"}, "setting 'racks': expected a list, got '12'"),
        ({"racks": []}, "setting 'racks': expected at least one value"),
        ({"racks": [1, "2"]}, "setting 'racks': expected a number, got '2'"),
        ({"mode": "gril"}, r"unknown mode 'gril' \(did you mean 'grill'\?\); valid: fan, grill$"),
        ({"mode": 3}, "setting 'mode': expected a text, got 3"),
        ({"trays": ["top"]}, "setting 'trays': expected a dictionary"),
        ({"trays": {"middle": "x"}}, "unknown tray 'middle'; valid: top, low$"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        checked(Oven, changes, fixed=("name",))


def test_unknown_without_a_near_one():
    assert unknown("colour", "blue", ["red"]) == "unknown colour 'blue'; valid: red"
