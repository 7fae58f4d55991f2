"""Profiles: what is unknown or of the wrong kind fails at once, with what would have been right."""

import dataclasses

import pytest

from helpers import corpora, profiles, vocabulary
from helpers.corpora import edges
from helpers.validation import described, nested, replaced


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
            r"unknown setting 'n_token' \(did you mean 'n_tokens'\?\); valid: encoder, tasks, .*, paths$",
        ),
        (dict(tasks=()), r"setting 'tasks': expected settings of its own, by name, got \(\)"),
        (dict(name="quick"), "unknown setting 'name'"),
        (dict(n_tokens="many"), "setting 'n_tokens': expected a whole number, got 'many'"),
        ({"edge.max_step": 5}, r"unknown setting 'edge.max_step' \(did you mean 'edge.max_steps'\?\); valid"),
        (
            {"tasks.dep.corpus": "gum"},
            r"unknown model in tasks 'dep' \(did you mean 'Dep'\?\); valid: Dep, NLI",
        ),
        ({"tasks.NLI.corpus": "mnl"}, r"unknown corpus 'mnl' \(did you mean 'mnli'\?\)"),
        ({"tasks.NLI.eval_split": "tset"}, r"unknown split of uds-nli 'tset' \(did you mean 'test'\?\)"),
        ({"tasks.Dep.recipe.epochs": 0}, "'tasks.Dep.recipe.epochs': expected a number above 0"),
        (
            {"tasks.QA.recipe.learning_rate": -1e-4},
            "'tasks.QA.recipe.learning_rate': expected a number above",
        ),
        ({"tasks.QA.recipe.batch_size": 0}, "'tasks.QA.recipe.batch_size': expected a number at least 1"),
        ({"structural.epochs": 0}, "'structural.epochs': expected a number at least 1"),
        (dict(seeds=[0, 0]), r"setting 'seeds': expected different values, got \[0, 0\]"),
        (dict(seeds=[-1]), "setting 'seeds': expected a number at least 0"),
        (dict(head_rates=[-1e-3]), "setting 'head_rates': expected a number above 0"),
        (dict(tuning_rates=[0]), "setting 'tuning_rates': expected a number above 0"),
        (dict(sweep_layers=[-1]), "setting 'sweep_layers': expected a number at least 0"),
        (dict(seeds=[]), "setting 'seeds': expected at least one value"),
        (
            dict(suite="ontonote"),
            r"unknown suite 'ontonote' \(did you mean 'ontonotes'\?\); valid: uds, .*, ud:NAME$",
        ),
        (dict(suite="json"), r"the suite json needs a folder .*paths=\{.edges.: <folder>\}"),
        (dict(probe_train="all"), "setting 'probe_train': expected a whole number"),
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


def test_every_setting_of_every_profile_is_within_its_own_limits():
    for profile in profiles.PROFILES.values():
        for name, value, _ in described(profile):
            if name != "paths" and not (name == "sweep" and not profile.sweep):
                assert replaced(profile, nested({name: value})) == profile, name
    assert set(profiles.COSTS) == set(profiles.PROFILES)


def test_settings_of_tasks_hold_in_the_ablations_too_but_limits_do_not():
    quick = profiles.PROFILES["quick"]
    changed = profiles.settings("quick", **{"tasks.NLI.recipe.epochs": "2", "tasks.NLI.train_limit": 50})
    assert changed.task("NLI").recipe.epochs == 2 and changed.task("NLI").train_limit == 50
    assert changed.tasks[::2] == quick.tasks[::2] and changed.sweep[::2] == quick.sweep[::2]
    swept, before = changed.sweep[1], quick.sweep[1]
    assert swept == dataclasses.replace(before, recipe=dataclasses.replace(before.recipe, epochs=2))
    own = {"tasks": {"NLI": {"corpus": "mnli"}}, "sweep": {"NLI": {"corpus": "mnli-reduced"}}}
    changed = profiles.settings("quick", **own)
    assert (changed.tasks[1].corpus, changed.sweep[1].corpus) == ("mnli", "mnli-reduced")
    # A profile whose ablations are of its tasks: a limit there makes copies of them.
    changed = profiles.settings("paper", **{"sweep.QA.train_limit": 500, "tasks.QA.recipe.epochs": 1})
    assert changed.sweep[:2] == changed.tasks[:2] and changed.sweep[2].train_limit == 500
    assert changed.sweep[2].recipe.epochs == 1 and changed.tasks[2].train_limit is None


def test_folders_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "mine" / "model").mkdir(parents=True)
    changed = profiles.settings(encoder="mine/model", paths={"ud-ewt": "ewt", "gum": "~/gum"})
    assert changed.encoder == str(tmp_path / "mine" / "model")
    assert changed.paths == {"ud-ewt": str(tmp_path / "ewt"), "gum": str(tmp_path / "home" / "gum")}
    assert profiles.settings(encoder="~/model").encoder == str(tmp_path / "home" / "model")
    assert profiles.settings(encoder="./absent").encoder == str(tmp_path / "absent")
    for name in ("minibert", "minibert-seed0", "tiny", "google-bert/bert-base-uncased"):
        assert profiles.settings(encoder=name).encoder == name


def test_settings_from_a_file_and_folders_beside_it(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    file = tmp_path / "run.toml"
    file.write_text(
        'profile = "smoke"\nencoder = "mine"\nseeds = [3]\ntasks.QA.train_limit = "none"\n'
        '[tasks.Dep.recipe]\nepochs = 2\n[paths]\nud-ewt = "ewt"\n'
    )
    changed = profiles.settings(**profiles.from_file(file))
    assert (changed.name, changed.seeds, changed.task("Dep").recipe.epochs) == ("smoke", (3,), 2)
    assert changed.task("QA").train_limit is None
    assert changed.encoder == str(tmp_path / "mine") and changed.paths == {"ud-ewt": str(tmp_path / "ewt")}
    file.write_text("seeds = [3")
    with pytest.raises(ValueError, match="run.toml: not a TOML file"):
        profiles.from_file(file)


def test_every_profile_is_complete_and_names_known_corpora():
    for profile in profiles.PROFILES.values():
        assert [task.model for task in profile.tasks] == list(vocabulary.MODELS)
        for task in profile.tasks:
            splits = corpora.named(task.corpus).files
            assert task.train_split in splits and task.eval_split in splits
        assert "all" in corpora.CORPORA[profile.text].files


def test_texts_are_in_one_part_and_the_users_own_among_them():
    assert [name for name in corpora.CORPORA if name in corpora.TEXTS] == ["wikipedia", "text"]
    changed = profiles.settings(text="text:novels", paths={"text:novels": "/novels"})
    assert changed.text == "text:novels" and changed.paths == {"text:novels": "/novels"}
    own = {"tasks.Dep.corpus": "ud:french-gsd", "tasks.NLI.corpus": "nli:snli", "suite": "ud:french-gsd"}
    assert profiles.settings(**own).task("Dep").corpus == profiles.settings(**own).suite == "ud:french-gsd"


def test_suites_are_those_that_are_probed():
    for suite, sources in edges.SUITES.items():
        for source in sources.values():
            paths = {name: "/somewhere" for name in source.corpora}
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
