"""What the paper claims, and by which rule a run's tables support or contradict it.

A claim is data (:mod:`.claims`): what it says, where, the tables it needs, and its comparisons. Each
comparison is a number with a 95 % interval and a bound. It holds if the whole interval lies on the bound's
right side, fails if it lies on the other, and is open otherwise. A claim's comparisons decide
(:func:`.judging.verdict`):

- nine in ten hold and none fails: supported;
- more than one in ten fail: contradicted;
- anything else: inconclusive.

With fewer than ten comparisons that asks for all of them, and lets one that fails contradict. A claim of
several parts has its comparisons in groups: it is supported if each of them is, contradicted if one is. With
several fine-tuning seeds a comparison holds (fails) if it does for each of them. One of a model that has not
learnt its task (:meth:`.run.Run.unlearnt`) is open. A claim for which the run lacks a table, a layer or a
model is not tested. The same rules run on the paper's own numbers (:func:`.paper.tables`).
"""
