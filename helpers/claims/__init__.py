"""What the paper claims, and by which rule a run's tables support or contradict it.

A claim is data (:mod:`.claims`): what it says, where, the tables it needs, and its comparisons. Each
comparison is a number with a 95 % interval and a bound. It holds if the whole interval lies on the bound's
right side, fails if it lies on the other, and is open otherwise. A claim's comparisons decide
(:func:`.judging.verdict`):

- nine in ten hold and none fails: supported;
- more than one in ten fail: contradicted;
- anything else: inconclusive.

With fewer than ten comparisons that asks for all of them to hold, and lets one that fails contradict.
Because one of many fails by chance sooner than one alone, those that fail do so after Holm's correction for
all of the claim's comparisons (:func:`.judging.failing`); p-values are read off the intervals as if errors
were normal. Supporting needs no correction: it asks for nearly all. A claim of several parts has its
comparisons in groups: it is supported if each of them is, contradicted if one is.

The same is asked of each model that a claim is about, by the comparisons that it is part of, and of the
claim by all of them.

An interval is of fine-tuning seeds and sentences together (:func:`helpers.statistics.over_seeds`). Numbers of
the same sentences are compared by paired resamples. With one seed a comparison may hold but not fail.

Not testable here: a comparison of a model that has not learnt its task (:meth:`.run.Run.unlearnt`: its score
has to lie clear of the best baseline's), which is left open, and a claim or model that has no other; a claim
on where in the stack something happens, if a block of Base does next to nothing
(:meth:`.run.Run.idle_blocks`: RSA of its output to its input is not surely below .99). Not tested: a claim
for which the run lacks a table, a layer or a model.

Layers are the paper's, of twelve. In an encoder of another number of blocks they are the blocks at the same
share of depth (:meth:`.run.Run.layers`).

The same rules run on the paper's own numbers (:func:`.paper.tables`). Of another encoder than the paper's,
contradicted is worded as not reproduced with it. When the rules changed: :mod:`.changelog`.
"""
