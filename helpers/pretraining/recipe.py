"""Everything a pre-training run can vary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from helpers import validation
from helpers.validation import limited

OPTIMIZERS = ("muon", "adamw")
_SHARE: dict[str, Any] = dict(least=0, most=1)


@dataclass(frozen=True)
class Recipe:
    """Everything a pre-training run can vary. The defaults are those of MiniBERT's next training."""

    seed: int = limited(0, "of weights, order and masks", least=0, below=2**32)
    tokens: int = limited(1_000_000_000, "wordpieces seen in all", least=1)
    vocabulary: int = limited(16_000, "wordpieces of a new tokenizer; or the folder of one", least=1)
    layers: int = limited(12, "blocks", least=1)
    hidden: int = limited(256, "width of the states", least=1)
    heads: int = limited(4, "of attention", least=1)
    intermediate: int = limited(1024, "width within a block", least=1)
    positions: int = limited(512, "longest input in wordpieces", least=16)
    short_length: int = limited(128, "of the inputs seen first, in wordpieces", least=16)
    long_share: float = limited(0.1, "of the tokens, at the end, seen at the full length", **_SHARE)
    next_sentence: float = limited(0.1, "share of the tokens, at the end, seen as pairs", **_SHARE)
    batch_tokens: int = limited(16_384, "wordpieces per step", least=1)
    optimizer: str = limited("muon", "of the blocks' matrices; AdamW trains all else", valid=OPTIMIZERS)
    learning_rate: float = limited(1e-3, "after warm-up", above=0, most=1)
    warmup: int = limited(500, "steps of linear warm-up; then the rate is constant", least=0)
    decay: float = limited(0.2, "share of the steps, at the end, with the rate falling to zero", **_SHARE)
    weight_decay: float = limited(0.1, "of both optimizers", **_SHARE)
    clip: float = limited(1.0, "largest gradient norm", above=0)
    masked: float = limited(0.2, "share of the wordpieces", above=0, most=1)
    start: str = limited("", "encoder that is trained on, with its vocabulary and shape; none: a new one")

    def batch_shape(self, step: int) -> tuple[int, int]:
        """(sequences, length) of the batch at a step."""
        length = self.short_length if step < self.short_steps else self.positions
        return max(1, self.batch_tokens // length), length

    def paired(self, step: int) -> bool:
        """Whether the inputs of a step are pairs of segments, for next-sentence prediction."""
        return step >= self.steps - round(self.next_sentence * self.steps)

    @property
    def steps(self) -> int:
        return max(1, self.tokens // self.batch_tokens)

    @property
    def short_steps(self) -> int:
        return self.steps - round(self.long_share * self.steps)

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, constant, linear decay to zero."""
        up = (step + 1) / max(1, self.warmup)
        down = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, up, down)

    def steady(self, step: int) -> bool:
        """Whether a step comes before decay, long inputs and pairs, so that their beginnings may be moved."""
        return step <= min(self.short_steps, self.steps - int(self.decay * self.steps)) and not (
            step and self.paired(step - 1)
        )


def continued(start: str) -> Recipe:
    """A recipe for bringing an encoder that was trained for something else back to masked language modelling.

    It has far fewer wordpieces, a rate that leaves most of what the encoder knows in place, and neither long
    inputs nor pairs. ``start`` is a name, a folder or a Hub id.
    """
    return Recipe(
        start=start,
        tokens=10_000_000,
        long_share=0.0,
        next_sentence=0.0,
        batch_tokens=4096,
        optimizer="adamw",
        learning_rate=2e-4,
        warmup=100,
        weight_decay=0.01,
        masked=0.15,
    )


def demonstration(steps: int, seed: int = 0) -> Recipe:
    """A recipe to watch: a model of two blocks on 1,024 wordpieces per step, some minutes for 1,000 steps."""
    return Recipe(
        seed=seed,
        tokens=steps * 1024,
        vocabulary=4000,
        layers=2,
        hidden=128,
        heads=2,
        intermediate=512,
        positions=128,
        long_share=0.0,
        next_sentence=1.0,
        batch_tokens=1024,
        learning_rate=2e-3,
        warmup=max(1, steps // 20),
    )


def replaced(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with some settings replaced. Raises ValueError for unknown ones and values out of range."""
    new = validation.replaced(recipe, settings)
    if new.hidden % new.heads:
        raise ValueError(f"hidden ({new.hidden}) must be a multiple of heads ({new.heads})")
    if new.short_length > new.positions:
        raise ValueError(f"short_length ({new.short_length}) must not exceed positions ({new.positions})")
    return new
