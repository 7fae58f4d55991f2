"""The schedule and its settings."""

import dataclasses

import pytest

from helpers.pretraining.recipe import Recipe, replaced


def test_schedule_by_hand():
    recipe = Recipe(
        tokens=1000 * 4096,
        learning_rate=1.0,
        warmup=100,
        decay=0.5,
        long_share=0.1,
        next_sentence=0.2,
        batch_tokens=4096,
    )
    assert recipe.steps == 1000 and recipe.short_steps == 900
    expected = {0: 0.01, 49: 0.5, 99: 1.0, 100: 1.0, 500: 1.0, 750: 0.5, 999: 1 / 500}
    for step, rate in expected.items():
        assert recipe.rate(step) == pytest.approx(rate), step
    assert recipe.batch_shape(899) == (32, 128)
    assert recipe.batch_shape(900) == (8, 512)
    assert not recipe.paired(799) and recipe.paired(800)
    assert recipe.steady(500) and not recipe.steady(501)


def test_the_schedule_may_move_until_the_first_of_its_ends_begins():
    recipe = Recipe(tokens=1000 * 4096, batch_tokens=4096, decay=0.1, long_share=0.0, next_sentence=0.3)
    assert recipe.steady(700) and not recipe.steady(701)
    recipe = Recipe(tokens=1000 * 4096, batch_tokens=4096, decay=0.1, long_share=0.2, next_sentence=0.0)
    assert recipe.steady(800) and not recipe.steady(801)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"layer": 2},
            r"unknown setting 'layer' \(did you mean 'layers'\?\); valid: seed, tokens, .*masked, start$",
        ),
        ({"layers": 2.5}, "'layers': expected a whole number, got 2.5"),
        ({"tokens": "many"}, "'tokens': expected a whole number, got 'many'"),
        ({"tokens": 0}, "'tokens': expected a number at least 1"),
        ({"masked": 1.5}, "'masked': expected a number above 0, at most 1"),
        ({"learning_rate": True}, "'learning_rate': expected a number"),
        ({"optimizer": "sgd"}, "unknown optimizer 'sgd'; valid: muon, adamw"),
        ({"clip": 0}, "'clip': expected a number above 0"),
        ({"weight_decay": -0.1}, "'weight_decay': expected a number at least 0"),
        ({"hidden": 250}, "must be a multiple of heads"),
        ({"short_length": 1024}, "must not exceed positions"),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        replaced(Recipe(), settings)


def test_settings_replace_those_of_the_recipe():
    recipe = replaced(Recipe(), {"tokens": "1e6", "optimizer": "adamw", "warmup": 0})
    assert recipe == dataclasses.replace(Recipe(), tokens=1_000_000, optimizer="adamw", warmup=0)
