"""The encoders that probes are trained on."""

from collections.abc import Callable, Iterator, Sequence

from helpers import encoders
from helpers.analyses.finetuning import fine_tuned
from helpers.analyses.rsa import RANDOM_SEED
from helpers.encoders import Encoder
from helpers.profiles import Profile


def probing_seeds(settings: Profile) -> tuple[int, ...]:
    """Seeds of the fine-tuned models that are probed; the first is the one that extra analyses are of."""
    return settings.probe_tuning_seeds or settings.seeds


def probed_models(
    settings: Profile, report: Callable, seeds: Sequence[int] | None = None
) -> Iterator[tuple[str, str, int | None, Encoder]]:
    """The encoders that are probed: model, corpus it was tuned on, fine-tuning seed, encoder.

    ``seeds``: of the fine-tuned models; None: all that are probed. All models of one seed come before
    those of the next, so that what an interrupted run has done is a whole run of fewer seeds.
    """
    yield "Base", "", None, encoders.load(settings.encoder)
    yield "Random", "", RANDOM_SEED, encoders.load(settings.encoder, random_init=RANDOM_SEED)
    for seed in probing_seeds(settings) if seeds is None else seeds:
        for task in settings.tasks:
            tuned = fine_tuned(settings, task.model, seed, report)
            yield task.model, task.corpus, seed, encoders.load(tuned.encoder)
