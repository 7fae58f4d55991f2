"""Profiles: what is unknown or of the wrong kind fails at once, with what would have been right."""

import dataclasses

import pytest

from helpers import corpora, profiles, vocabulary
from helpers.corpora import edges


def test_none_keeps_the_profiles_own_value():
    assert profiles.settings("quick", encoder=None, n_tokens=None) == profiles.PROFILES["quick"]
    changed = profiles.settings("quick", n_tokens=1000, seeds=[3])
    assert (changed.n_tokens, changed.seeds) == (1000, (3,))
    assert changed.tasks == profiles.PROFILES["quick"].tasks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(profile="quik"), r"unknown profile 'quik' \(did you mean 'quick'\?\); valid: smoke, quick"),
        (
            dict(n_token=5),
            r"unknown setting 'n_token' \(did you mean 'n_tokens'\?\); valid: encoder, seeds, .*, paths$",
        ),
        (dict(tasks=()), "unknown setting 'tasks'"),
        (dict(name="quick"), "unknown setting 'name'"),
        (dict(edge=None), "unknown setting 'edge'"),
        (dict(n_tokens="many"), "setting 'n_tokens': expected a number, got 'many'"),
        (dict(seeds=[]), "setting 'seeds': expected at least one value"),
        (
            dict(suite="ontonote"),
            r"unknown suite 'ontonote' \(did you mean 'ontonotes'\?\); valid: uds, open, ontonotes, json$",
        ),
        (dict(suite="json"), r"the suite json needs a folder .*paths=\{.edges.: <folder>\}"),
        (dict(probe_train="all"), "setting 'probe_train': expected a number"),
        (dict(probe_eval=1), "setting 'probe_eval': expected a number at least 2, got 1"),
        (dict(probe_rank=0), "setting 'probe_rank': expected a number at least 1"),
        (dict(head_rates=[]), "setting 'head_rates': expected at least one value"),
        (dict(n_tokens=1), "setting 'n_tokens': expected a number at least 10"),
        (dict(domain_share=0), "setting 'domain_share': expected a number above 0, at most 1, got 0"),
        (dict(paths={"udewt": "x"}), r"unknown corpus 'udewt' \(did you mean 'ud-ewt'\?\)"),
        (dict(text="wikpedia"), r"unknown corpus 'wikpedia' \(did you mean 'wikipedia'\?\)"),
    ],
)
def test_unknown_and_wrong_values_are_refused_with_the_valid_ones(arguments, message):
    with pytest.raises(ValueError, match=message):
        profiles.settings(**arguments)


def test_every_profile_is_complete_and_names_known_corpora():
    for profile in profiles.PROFILES.values():
        assert [task.model for task in profile.tasks] == list(vocabulary.MODELS)
        for task in profile.tasks:
            splits = corpora.CORPORA[task.corpus].files
            assert task.train_split in splits and task.eval_split in splits
        assert "all" in corpora.CORPORA[profile.text].files


def test_texts_are_in_one_part_and_the_users_own_among_them():
    assert profiles.TEXTS == ("wikipedia", "text")


def test_suites_are_those_that_are_probed():
    for suite, sources in edges.SUITES.items():
        for source in sources.values():
            paths = {name: "somewhere" for name in source.corpora}
            assert profiles.settings("quick", suite=suite, paths=paths).paths == paths
    assert profiles.settings("quick", suite="json", paths={"edges": "somewhere"}).suite == "json"


def test_the_paper_profile_has_the_hyperparameters_the_paper_prints():
    dep = profiles.PROFILES["paper"].task("Dep").recipe
    assert (dep.learning_rate, dep.epochs, dep.warmup) == (3e-5, 20, 0.1)
    qa = profiles.PROFILES["paper"].task("QA").recipe
    assert (qa.learning_rate, qa.batch_size, qa.epochs, qa.max_length, qa.doc_stride) == (
        3e-5,
        12,
        2,
        384,
        128,
    )


def test_profiles_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        profiles.PROFILES["quick"].n_tokens = 1
    with pytest.raises(ValueError, match="unknown model 'MNLI' .did you mean 'NLI'.*; valid: Dep, NLI, QA"):
        profiles.PROFILES["quick"].task("MNLI")
