"""Sentences about what a run found, chosen by intervals, on tables made for each case."""

import shutil

import pytest

from helpers import results
from helpers.claims import findings, judging
from helpers.claims.run import Run

METRICS = {"Dep": "las", "NLI": "accuracy", "QA": "f1"}


def rows(values, *, half=0.01, **columns):
    """One row per layer from 0 on, with an interval of ``half`` to both sides."""
    return [columns | dict(layer=k, value=v, ci_low=v - half, ci_high=v + half) for k, v in enumerate(values)]


def number(value, half=0.01, **columns):
    return columns | dict(value=value, ci_low=value - half, ci_high=value + half)


def scores(**reached):
    """Scores in three seeds, all 0.5 by the best baseline."""
    made = []
    for model, value in reached.items():
        of = dict(analysis="finetuning", metric=METRICS[model], model=model)
        made += [of | number(value, inputs="in_domain", seed=seed) for seed in range(3)]
        made.append(of | dict(inputs="majority", value=0.5))
    return made


def found(*made):
    return findings.found({"all": results.table([row for part in made for row in part])}, "minibert")


LEARNT = scores(Dep=0.8, QA=0.7)


def rsa(values, model="QA", seeds=(0,), **columns):
    of = dict(analysis="rsa", metric="rsa_pearson", model=model) | columns
    return [row for seed in seeds for row in rows(values, **of, seed=seed)]


def test_what_was_not_learnt_is_named_and_left_out():
    said = found(scores(Dep=0.8, NLI=0.505, QA=0.7), rsa([0.9, 0.5], "NLI"), rsa([0.9, 0.5], "QA"))
    assert said["learnt"].short == "MiniBERT learnt parsing and question answering, but not inference."
    assert (
        "Dep reaches LAS 80.0, 30.0 [29.0, 31.0] points above the best baseline, the most frequent answer."
        in said["learnt"].long
    )
    assert said["untested"].short == "We can conclude nothing about NLI, which did not learn its task."
    assert "NLI reaches accuracy 50.5 [49.5, 51.5]" in said["untested"].long
    assert "the 50.0 of the most frequent answer" in said["untested"].long
    assert "QA is least similar" in said["depth"].long and "NLI" not in said["depth"].long


def test_nothing_is_left_out_where_all_is_learnt_and_nothing_found_where_none_is():
    said = found(scores(Dep=0.8, NLI=0.7, QA=0.7))
    assert said["learnt"].short == "MiniBERT learnt parsing, inference and question answering."
    assert said["untested"].short == "Every model learnt its task."
    little = found(scores(Dep=0.8, NLI=0.55, QA=0.7))["learnt"].short
    assert little == "MiniBERT learnt parsing and question answering, and inference a little."

    said = found(scores(Dep=0.5, NLI=0.4, QA=0.3), rsa([0.9, 0.5]))
    assert said["learnt"].short == "MiniBERT learnt none of the three tasks."
    for name in ("probes", "trees", "depth"):
        assert "could not be" in said[name].short
    for name in ("ablations", "texts", "rates", "heads"):
        assert said[name].short.endswith("not recorded.")


def test_the_lowest_layer_is_named_where_intervals_tell_it():
    top, middle, flat = rsa([0.9, 0.8, 0.5]), rsa([0.9, 0.4, 0.5]), rsa([0.505, 0.51, 0.5])
    assert found(LEARNT, top)["depth"].short == "The last layer changes most."
    said = found(LEARNT, middle)["depth"]
    assert said.short == "The last layer is not clearly the one that changes most."
    assert said.long.startswith(
        "QA is less similar to Base at layer 1 than at the last layer (RSA 0.40 [0.39"
    )
    said = found(LEARNT, flat)["depth"]
    assert "its lowest layer is uncertain" in said.long and "not clearly" in said.short
    said = found(LEARNT, top, rsa([0.9, 0.4, 0.5], "Dep"))["depth"]
    assert said.short == "Only in QA does the last layer change most."


def test_a_difference_within_the_spread_of_seeds_tells_nothing():
    """Each seed's last layer is clearly its lowest or clearly not; over the seeds neither is clear."""
    seeds = [rsa([0.9, 0.5 + d, 0.5], seeds=(k,)) for k, d in enumerate((-0.2, 0.05, 0.2))]
    assert "uncertain" in found(LEARNT, *seeds)["depth"].long
    assert "least similar to Base at the last" in found(LEARNT, seeds[2])["depth"].long


def test_paired_differences_decide_where_a_run_has_them():
    curve = rsa([0.52, 0.51, 0.5])
    assert "uncertain" in found(LEARNT, curve)["depth"].long
    of = dict(analysis="rsa_contrast", metric="rsa_pearson", model="QA", inputs="minus the last layer")
    paired = rows([0.02, 0.01], half=0.005, **of, seed=0)
    assert "least similar to Base at the last" in found(LEARNT, curve, paired)["depth"].long


def test_a_model_below_the_floor_is_said_to_be():
    floor = rsa([0.3, 0.3, 0.3], "Random", seeds=(1000,))

    def said(last):
        return found(LEARNT, rsa([0.9, 0.5, last]), floor)["depth"].long

    short = found(LEARNT, rsa([0.9, 0.5, 0.305]), floor)["depth"].short
    assert short.startswith("The last layer changes most; in QA it is not clearly more like Base than")
    assert "last layer of QA is less similar to Base than a random encoder's is (0.30)" in said(0.2)
    assert "last layer of QA is not clearly more similar to Base than a random encoder's" in said(0.305)
    assert "random encoder" not in said(0.4)


def test_a_change_of_the_common_direction_is_one_that_centring_takes_away():
    def run(raw, centred):
        made = []
        for metric, own, floor in (("rsa_pearson", raw, 0.3), ("rsa_pearson_centred", centred, 0.2)):
            made += rsa([0.9, own], metric=metric) + rsa([0.3, floor], "Random", (1000,), metric=metric)
        return Run({"all": results.table(LEARNT + made)})

    assert "after centring: QA." in findings.direction(run(0.1, 0.5))
    for raw, centred in ((0.1, 0.2), (0.29, 0.5), (0.5, 0.5), (0.1, 0.1)):
        assert findings.direction(run(raw, centred)).startswith("No model")


def test_what_no_table_has_over_seeds_is_taken_over_those_of_single_seeds():
    made = rsa([0.9, 0.5], seeds=(0, 1, 2)) + rsa([0.8, 0.4], seeds=(0, 1, 2), metric="rsa_pearson_centred")
    made += rsa([0.9, 0.5], analysis="rsa_over_seeds")
    run = Run({"all": results.table(LEARNT + made)})
    assert findings.similarity(run, ["QA"])["value"].tolist() == [0.9, 0.5]
    centred = findings.similarity(run, ["QA"], "rsa_pearson_centred")
    assert centred["value"].round(9).tolist() == [0.8, 0.4] and (centred["ci_high"] > centred["value"]).all()


def test_probes_count_clear_losses_gains_and_open_ones():
    of = dict(analysis="edge_probing_delta", metric="micro_f1", model="QA", seed=0)
    made = [number(v, **of, inputs=task) for task, v in (("POS", 0.0), ("SRL", -0.03), ("SPR1", 0.06))]
    curve = rsa([0.9, 0.5])  # which says how many layers there are
    said = found(LEARNT, curve, made)
    assert said["probes"].short == (
        "Probes that may read any layer lose little (in none of 3 scores clearly more than 3 points)."
    )
    assert said["probes"].long == (
        "Of 3 changes in F1 of probes on a mix of all layers, none is clearly a loss of more than 3 points, "
        "1 is clearly a gain of more, 1 is clearly smaller, 1 is uncertain."
    )
    assert said["answer"].short == "It keeps nearly all of it."
    top = [number(-0.08, **of | dict(metric="micro_f1_top"), inputs="POS", layer=1)]
    said = found(LEARNT, curve, made, top)
    assert said["probes"].short.endswith(
        "; those of the last layer alone clearly lose more than 3 points in 1 of 1 scores."
    )
    assert said["answer"].short == "Mostly it keeps it, but less of it reaches the top."
    assert said["answer"].long.endswith("at the last layer alone 1 does.")
    said = found(
        LEARNT, curve, made, top, [number(0.05, **of | dict(metric="micro_f1_top"), inputs="SRL", layer=1)]
    )
    assert said["answer"].short == "Mostly it keeps it, but the last layer gives up some of it for the task."
    assert said["answer"].long.endswith("at the last layer alone 1 does, and 1 rises by as much.")
    assert said["probes"].short.endswith("lose more than 3 points in 1 of 2 scores and gain as much in 1.")

    said = found(LEARNT, curve, made, [number(-0.08, **of, inputs="Entities")])
    assert said["probes"].short.endswith("more than 3 points in 1 of 4 scores and gain as much in 1.")
    assert said["probes"].long.endswith("(largest loss: QA on Entities −8.0 [−9.0, −7.0]).")
    assert said["answer"].short == "It gives some of it up."


@pytest.mark.parametrize(
    ("changes", "short", "long"),
    [
        ((0.0, 0.1), "easier to read off the last layer of Dep", "clearly rises (+10.0"),
        ((0.0, -0.1), "harder off the last layer of Dep", "clearly falls (−10.0"),
        ((0.0, 0.005), "as easy to read as before", "does not clearly change"),
        ((-0.05, -0.04, 0.0, -0.02, 0.1), "and harder off lower layers of Dep", "at layers 0 and 1 and 3 it"),
        (
            (-0.05, -0.04, -0.02, 0.0, 0.1),
            "and harder off",
            "at layers 0 to 2 it clearly falls (by 2.0 to 5.0",
        ),
    ],
)
def test_trees_by_layer(changes, short, long):
    made = rows(list(changes), analysis="structural_probe_delta", metric="uuas", model="Dep", seed=0)
    said = found(LEARNT, made)["trees"]
    assert short in said.short and long in said.long


def test_ablations_of_halves_of_the_stack():
    def frozen(model, *values, seeds=(0,)):
        of = dict(analysis="partial_freezing", metric=METRICS[model], model=model, inputs="one_rate")
        at = zip((-1, 6, 11), values, strict=True)
        return [number(v, **of, layer=k, seed=seed) for k, v in at for seed in seeds]

    same, less = frozen("QA", 0.7, 0.7, 0.5), frozen("Dep", 0.8, 0.7, 0.4)
    said = found(LEARNT, same)["ablations"]
    assert (
        said.short == "Freezing the lower half of the blocks has no clear cost for QA (one fine-tuning seed)."
    )
    assert "Freezing layers 0 to 6 has no clear effect on QA (0.0 [" in said.long
    sure = [row | dict(ci_low=row["value"] - 0.003, ci_high=row["value"] + 0.003) for row in same]
    assert "hardly changes the score of QA (0.0 [" in found(LEARNT, sure)["ablations"].long
    said = found(LEARNT, same, less)["ablations"]
    assert said.short == (
        "Freezing the lower half of the blocks lowers the score of Dep, but not clearly of QA "
        "(one fine-tuning seed)."
    )
    assert "lowers the score of Dep (−10.0 [" in said.long and "one fine-tuning seed" in said.long
    said = found(LEARNT, frozen("Dep", 0.8, 0.7, 0.4, seeds=(0, 1)))["ablations"]
    assert said.short == "Freezing the lower half of the blocks lowers the score of Dep."
    assert "seed" not in said.long
    cut = [row | dict(analysis="truncation", inputs=None) for row in frozen("Dep", 0.5, 0.8, 0.8)]
    said = found(LEARNT, less, cut)["ablations"].short
    assert said.endswith(
        "; removing the upper half of the blocks has no clear cost for Dep (one fine-tuning seed)."
    )
    cut += [row | dict(analysis="truncation", inputs=None) for row in frozen("QA", 0.5, 0.6, 0.7)]
    said = found(LEARNT, same, less, cut)["ablations"].short
    assert "; removing the upper half of the blocks lowers the score of QA, but not clearly of Dep" in said
    idle = frozen("QA", 0.505, 0.4, 0.3)  # not learnt with nothing frozen
    said = found(scores(Dep=0.8, NLI=0.7, QA=0.7), idle)
    assert "could not be tested" in said["ablations"].short
    assert said["untested"].short.startswith(
        "Every model learnt its task, but not every one that the ablations"
    )
    assert (
        "QA with nothing ablated reaches F1 50.5 [49.5, 51.5], which is not clearly above"
        in said["untested"].long
    )


@pytest.mark.parametrize(
    ("gap", "words"),
    [(-0.1, "less similar to Base"), (0.1, "more similar to Base"), (0.0, "no clear difference")],
)
def test_gaps_between_texts_are_beyond_those_of_a_random_encoder(gap, words):
    of = dict(analysis="out_of_domain_gap", metric="rsa_gap", inputs="format", task="squad")
    random = rows([0.05] * 12, **of, model="Random", seed=1000)
    said = found(LEARNT, random, rows([gap + 0.05] * 12, **of, model="QA", seed=0))["texts"]
    assert words in said.long and "layers 8 to 10" in said.long
    assert ("QA has changed more" in said.short) is (gap < 0)


def test_a_rate_has_an_effect_where_it_moves_a_model_further_than_another_seed_does():
    def at(rate, value, score):
        of = dict(analysis="rsa_by_rate", model="QA", inputs=f"rate {rate}", seed=0)
        return [*rows([value] * 12, **of, metric="rsa_pearson"), number(score, **of, metric="f1")]

    def said(seeds, *rates):
        own = [rsa([value] * 12, seeds=(seed,)) for seed, value in enumerate(seeds)]
        return found(LEARNT, *own, *rates)["rates"]

    smaller, larger = at("3e-05", 0.8, 0.7), at("0.0001", 0.6, 0.7)
    moved = said((0.6, 0.65, 0.62), larger, smaller)
    assert (
        moved.short == "The learning rate matters for QA."
        and "At the larger rate QA is less similar" in moved.long
    )
    assert "0.80 [0.79, 0.81] at rate 3e-05" in moved.long and "seeds differ by 0.05" in moved.long
    within = said((0.6, 0.85, 0.62), larger, smaller)
    assert (
        within.short == "No effect of the learning rate is shown." and "no more than two seeds" in within.long
    )
    assert "not known" in said((0.6,), larger, smaller).long
    assert "did not learn" in said((0.6, 0.65), at("0.0001", 0.6, 0.5), smaller).long
    assert "not recorded" in said((0.6, 0.65)).short


@pytest.mark.parametrize(("own", "helps"), [(0.6, True), (0.5, False)])
def test_what_a_rate_of_its_own_gives_the_head_of_a_frozen_encoder(own, helps):
    of = dict(analysis="partial_freezing", metric="las", model="Dep", seed=0)
    whole = number(0.8, **of, inputs="one_rate", layer=-1)
    ends = [number(v, **of, inputs=i, layer=11) for i, v in (("one_rate", 0.5), ("tuned_head", own))]
    said = found(LEARNT, [whole, *ends])["heads"]
    assert ("undertrained head" in said.short) is helps
    assert ("scores higher when" if helps else "scores not clearly higher when") in said.long


@pytest.mark.parametrize(("own", "random"), [(0.1, 0.2), (0.0, 0.2), (-0.1, -0.2)])
def test_a_gap_that_only_the_random_encoders_makes_is_called_that(own, random):
    of = dict(analysis="out_of_domain_gap", metric="rsa_gap", inputs="format", task="squad")
    made = rows([own] * 12, **of, model="QA", seed=0) + rows([random] * 12, **of, model="Random", seed=1000)
    said = found(LEARNT, made)["texts"]
    assert "only after subtracting a random encoder" in said.long and said.short.startswith("No model")


def test_what_the_blocks_do_is_said_only_where_it_was_measured():
    def base(*values):
        of = dict(analysis="rsa_between_layers", metric="rsa_pearson", model="Base")
        return Run({"all": results.table(rows(values, half=0.001, **of))})

    assert "was not recorded" in findings.blocks(Run({"all": results.table(rsa([0.9]))}))
    assert findings.blocks(base(0.5, 0.9)).startswith("Each of the 2 blocks")
    assert findings.blocks(base(0.5, 0.995)).startswith("1 of the 2 blocks of Base does almost nothing")
    assert findings.blocks(base(0.999, 0.9, 0.995)).endswith("by this measure: 0 and 2.")


def test_the_recorded_run_is_spoken_of_by_its_own_verdicts():
    said = findings.recorded()
    assert {"answer", "learnt", "untested", "verdicts"} < set(said)
    assert all(f.short.endswith(".") and "nan" not in f.long for f in said.values())
    tables = results.recorded_run()
    able = findings.learnt(Run(tables))
    claim = [claim for claim in judging.CLAIMS if claim.id == "tasks-learned"]
    (judged,) = judging.judge(tables, claim).to_dict("records")
    assert all(model in able for model in METRICS if judged[model] == judging.SUPPORTED)
    curves, last = findings.similarity(Run(tables), able), Run(tables).last
    assert set(curves["model"]) == set(able)
    one = results.select(tables["rsa"], analysis="rsa", metric="rsa_pearson", model=able[0], layer=last)
    mean = curves[(curves["model"] == able[0]) & (curves["layer"] == last)]["value"].item()
    assert mean == pytest.approx(one["value"].mean())


def test_what_the_pages_run_lacks_is_shown_of_another_run_by_name(tmp_path, monkeypatch):
    for name in ("pages", "other"):
        shutil.copytree(results.RECORDED / "reduced", tmp_path / name)
    (tmp_path / "pages" / "rsa_by_rate.csv").unlink()
    monkeypatch.setattr(results, "RECORDED", tmp_path)
    monkeypatch.setattr(results, "RUN", "pages")
    assert results.run_with() == results.run_with("rsa", "truncation") == "pages"
    assert results.run_with("rsa", "rsa_by_rate") == "other"
    with pytest.raises(FileNotFoundError, match="no recorded run has rsa, none"):
        results.run_with("rsa", "none")
    own, shown = (findings.recorded("other")["rates"], findings.shown("rates", "rsa_by_rate"))
    assert shown.short[len("With MiniBERT, ") :].lower() == own.short.lower()
    assert shown.long == f"{own.long} These numbers are from MiniBERT."
    assert findings.shown("depth", "rsa") == findings.recorded("pages")["depth"]
