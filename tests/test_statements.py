"""What chapters say of results, on tables made up so that it is known what may be said."""

import pytest

from helpers import results, statements
from helpers.claims.numbers import Number
from helpers.claims.run import Run


def rsa(model, *values, half=0.01, seed=0):
    return [
        dict(analysis="rsa", metric="rsa_pearson", model=model, seed=seed, layer=layer, value=value)
        | dict(ci_low=value - half, ci_high=value + half)
        for layer, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    "values, half, shape, floor",
    [
        ((0.9, 0.6), 0.01, "last block's output more", "still more similar"),
        ((0.6, 0.9), 0.01, "first block's output more", "still more similar"),
        ((0.9, 0.1), 0.01, "last block's output more", "less similar to Base than"),
        ((0.6, 0.59), 0.01, "do not tell", "still more similar"),
        ((0.6, 0.3), 0.4, "do not tell", "about as similar"),
    ],
)
def test_depth_and_floor_are_told_by_intervals(values, half, shape, floor):
    run = Run({"rsa": results.table(rsa("Dep", *values, half=half) + rsa("Random", 0.2, 0.2, seed=1000))})
    texts = statements.change_by_depth(run.of_seed(0), "Dep")
    assert shape in texts["shape"] and floor in texts["floor"]
    assert texts["last"].startswith(f"{values[1]:.2f} [")


def test_what_has_been_learnt_is_told_by_the_interval():
    score = Number(0.5, 0.4, 0.6)
    assert "50.0 [40.0, 60.0], clearly more" in statements.learnt(score, 0.3)
    assert "not clearly more" in statements.learnt(score, 0.55)
    assert "has not learnt" in statements.learnt(score, 0.7)


# -- probes ----------------------------------------------------------------------------------------


def row(analysis, metric, model, value, half=0.01, **more):
    interval = dict(ci_low=value - half, ci_high=value + half)
    seed = {"Base": None, "Lexical": None, "Random": 1000}.get(model, 0)
    return dict(analysis=analysis, metric=metric, model=model, value=value, seed=seed) | interval | more


def edge_run(changes, base, random):
    return Run({"edges": edge_table(changes, base, random)})


def edge_table(changes, base, random):
    rows = [row("edge_probing", "micro_f1", "Base", value, inputs=task) for task, value in base.items()]
    rows += [row("edge_probing", "micro_f1", "Random", value, inputs=task) for task, value in random.items()]
    rows += [
        row("edge_probing_delta", "micro_f1", model, value, inputs=task)
        for model in ("Dep", "NLI", "QA")
        for task, value in changes.items()
    ]
    return results.table(rows)


def test_weak_and_blind_tasks_are_not_read_whatever_changes_on_them():
    base = dict(POS=0.9, SRL=0.7, Entities=0.2, Coreference=0.88)
    random = dict(POS=0.6, SRL=0.5, Entities=0.1, Coreference=0.87)
    run = edge_run(dict(POS=-0.05, SRL=0.005, Entities=-0.3, Coreference=0.2), base, random)
    assert statements.unreadable(run) == {"weak": ["Entities"], "blind": ["Coreference"]}
    text = statements.edge_changes(run)["QA"]
    assert "gains on none and clearly loses on 1 of the 2 informative" in text
    assert "on POS (−5.0 [−6.0, −4.0] points)" in text
    nothing = edge_run(dict(POS=0.0, SRL=0.005), dict(POS=0.9, SRL=0.7), dict(POS=0.6, SRL=0.5))
    assert statements.edge_changes(nothing)["Dep"].startswith("Dep shows no clear change on any of the 2")
    none = edge_run(dict(POS=0.1), dict(POS=0.1), dict(POS=0.1))
    assert statements.edge_changes(none)["Dep"] == "No probing task is informative for Dep."


def test_changes_at_the_last_layer_alone_are_told_by_themselves():
    one, random = dict(POS=0.9), dict(POS=0.6)
    tables = [edge_table(dict(POS=-0.05), one, random)]
    tables.append(results.table([row("edge_probing", "micro_f1_layer", "Base", 0.9, inputs="POS", layer=3)]))
    tops = [
        row("edge_probing_delta", "micro_f1_top", model, 0.1, inputs="POS", layer=3)
        for model in ("Dep", "NLI", "QA")
    ]
    run = Run(dict(enumerate([*tables, results.table(tops)])))
    assert "clearly loses on 1" in statements.edge_changes(run)["QA"]
    assert "clearly gains on 1" in statements.edge_changes(run, top=True)["QA"]


def tree_run(levels, gain, change):
    """UUAS of all models at layers -1, 0 and 1, Base's blocks over its embeddings, and models over Base."""
    rows = [
        row("structural_probe", "uuas", model, value, layer=layer)
        for model in ("Base", "Dep", "NLI", "QA")
        for layer, value in enumerate(levels, start=-1)
    ]
    for layer in (-1, 0, 1):
        rows.append(row("structural_probe_delta", "uuas", "Lexical", -gain, layer=layer))
        rows += [row("structural_probe_delta", "uuas", m, change, layer=layer) for m in ("Dep", "NLI", "QA")]
    return Run({"trees": results.table(rows)})


def test_trees_at_or_below_the_chain_are_nothing_of_syntax():
    chain = Number(0.43, 0.42, 0.44)
    texts = statements.trees(tree_run((0.4, 0.43, 0.44), gain=0.0, change=-0.2), chain)
    assert "UUAS of 0.43. No layer of any model is clearly above it" in texts["chain"]
    assert "layer 1, does not clearly show more" in texts["embeddings"]
    assert texts["QA"].startswith("UUAS at the last layer of QA clearly falls (−20.0")
    texts = statements.trees(tree_run((0.4, 0.6, 0.5), gain=0.1, change=0.0), chain)
    assert "above it: 2 of Base, 2 of Dep, 2 of NLI and 2 of QA, out of 3 each" in texts["chain"]
    assert "layer 0, shows more of the trees than its embeddings do (+10.0" in texts["embeddings"]
    assert "does not clearly change" in texts["Dep"]


# -- scores ----------------------------------------------------------------------------------------


def test_baselines_with_the_same_score_are_named():
    rows = [
        row("corpus_baselines", "accuracy", "NLI", value, inputs=name)
        for name, value in (("hypothesis_only", 0.478), ("bag_of_words", 0.478), ("majority", 0.35))
    ]
    rows.append(row("finetuning", "accuracy", "NLI", 0.35, inputs="in_domain"))
    assert "hypothesis only and bag of words of NLI" in statements.ties(results.table(rows))
    assert statements.ties(results.table(rows[1:])).startswith("No two baselines")


def test_scores_are_held_against_the_best_baseline():
    metrics = {"Dep": "las", "NLI": "accuracy", "QA": "f1"}
    reached = {"Dep": 0.7, "NLI": 0.4, "QA": 0.1}
    rows = [row("finetuning", metrics[m], m, reached[m], inputs="in_domain") for m in metrics]
    rows += [row("finetuning", metrics[m], m, 0.05, inputs="untrained") for m in metrics]
    rows += [row("corpus_baselines", metrics[m], m, 0.405, inputs="bag_of_words") for m in metrics]
    said = statements.scores(Run({"scores": results.table(rows)}))
    assert said["Dep"].startswith("Dep scores 70.0 [69.0, 71.0], clearly more")
    assert "not clearly more" in said["NLI"] and "has not learnt" in said["QA"]
    assert all(
        "best baseline reaches 40.5, by a classifier of the words alone." in text for text in said.values()
    )


def test_what_classifiers_of_frozen_states_say_is_told_by_intervals():
    def said(words, context, cls, tuned):
        rows = [
            row("pair_probe", "accuracy", "Base", words, inputs="segments", layer=-1),
            row("pair_probe", "accuracy", "Base", context, inputs="segments", layer=3),
            row("pair_probe", "accuracy", "Base", cls, inputs="cls", layer=3),
            row("pair_probe", "accuracy", "NLI", tuned, inputs="cls", layer=3),
        ]
        return statements.pairs(Run({"pairs": results.table(rows)}).of_seed(0), 3)

    texts = said(0.5, 0.505, 0.4, 0.45)
    assert "context adds nothing visible" in texts["context"]
    assert "holds less than the two means" in texts["cls"] and "brings something" in texts["tuned"]
    texts = said(0.5, 0.6, 0.601, 0.6)
    assert "context adds something" in texts["context"] and "does not clearly differ" in texts["cls"]
    assert "does not clearly bring" in texts["tuned"]
    assert "harder to read" in said(0.6, 0.5, 0.5, 0.5)["context"]


def test_the_best_block_is_held_against_embeddings_and_chain():
    def said(*levels, chain):
        rows = [row("quality", "uuas", "Base", value, layer=k) for k, value in enumerate(levels, start=-1)]
        return statements.best_block(results.table([*rows, row("quality", "uuas", "Chain", chain)]))

    text = said(0.5, 0.51, 0.4, chain=0.43)
    assert "best at layer 0" in text
    assert "not clearly above the embeddings' own" in text and "clearly above linking" in text
    text = said(0.5, 0.4, 0.6, chain=0.7)
    assert "best at layer 1" in text and "That is clearly above the embeddings" in text
    assert "That is below linking" in text
