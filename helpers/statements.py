"""Sentences of the chapters that depend on results: which one stands is chosen by intervals."""

from helpers.claims.numbers import Number
from helpers.claims.run import Run
from helpers.notebook import by_interval


def change_by_depth(run: Run, model: str) -> dict[str, str]:
    """What RSA to Base says of a model's first and last block and of the random encoder, the floor.

    ``run`` is looked at for one seed. Texts: ``first`` and ``last``, the numbers; ``shape``, which of the two
    has changed more; ``floor``, whether the last layer is nearer to Base than a random encoder's.
    """
    first, last, floor = run.rsa(model, 0), run.rsa(model, run.last), run.rsa("Random", run.last)
    fall, clear = run.rsa_minus_last(model, 0), last - floor
    return {
        "first": first.text(),
        "last": last.text(),
        "shape": by_interval(
            fall.low,
            fall.high,
            above="Tuning changed the last block's output more than the first one's.",
            below="Tuning changed the first block's output more than the last one's.",
            neither="The intervals do not tell which of the two tuning changed more.",
        ),
        "floor": by_interval(
            clear.low,
            clear.high,
            above=f"The last layer is still nearer to Base than a random encoder's ({floor.text()}).",
            below=f"The last layer is further from Base than a random encoder's ({floor.text()}).",
            neither=f"The last layer is not clearly nearer to Base than a random encoder's ({floor.text()}).",
        ),
    }


def learnt(score: Number, trivial: float) -> str:
    """Whether a score, given in points, is clear of the best trivial one."""
    reached = score.text(points=True)
    return by_interval(
        score.low,
        score.high,
        bound=trivial,
        above=f"Your model scores {reached}, clearly more than the best baseline: it has begun to learn.",
        below=f"Your model scores {reached}, less than the best baseline: it has not learnt its task.",
        neither=f"Your model scores {reached}, not clearly more than the best baseline: "
        "nothing shows yet that it has learnt its task.",
    )
