"""Everything a pre-training run can vary."""

import dataclasses
import math
from dataclasses import dataclass

OPTIMIZERS = ("muon", "adamw")
SHARES = ("long_share", "next_sentence", "decay", "masked")


@dataclass(frozen=True)
class Recipe:
    """Everything a pre-training run can vary. The defaults are MiniBERT's."""

    seed: int = 0
    tokens: int = 1_000_000_000  # wordpieces seen in all
    vocabulary: int = 16_000
    layers: int = 12
    hidden: int = 256
    heads: int = 4
    intermediate: int = 1024
    positions: int = 512
    short_length: int = 128
    long_share: float = 0.1  # share of the tokens, at the end, seen at the full length
    next_sentence: float = 0.1  # share of the tokens, at the end, seen as pairs of segments
    batch_tokens: int = 16_384
    optimizer: str = "muon"  # of the blocks' matrices; AdamW trains all else
    learning_rate: float = 1e-3
    warmup: int = 500  # steps of linear warm-up; then the rate is constant
    decay: float = 0.2  # share of the steps, at the end, in which it falls linearly to zero
    weight_decay: float = 0.1
    clip: float = 1.0
    masked: float = 0.2

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


def demonstration(steps: int, seed: int = 0) -> Recipe:
    """A recipe to watch: a model of two blocks on 1,024 wordpieces a step, some minutes for 1,000 steps."""
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


def replaced(recipe: Recipe, settings: dict) -> Recipe:
    """The recipe with some settings replaced. Raises ValueError for unknown ones and values out of range."""
    types = {f.name: f.type for f in dataclasses.fields(Recipe)}
    checked: dict = {}
    for name, value in settings.items():
        if name not in types:
            valid = ", ".join(f"{f.name} ({getattr(recipe, f.name)})" for f in dataclasses.fields(Recipe))
            raise ValueError(f"unknown setting {name!r}; valid, with their values: {valid}")
        if name == "optimizer":
            if value not in OPTIMIZERS:
                raise ValueError(f"setting 'optimizer': expected {' or '.join(OPTIMIZERS)}, got {value!r}")
            checked[name] = value
            continue
        whole = types[name] is int
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or (whole and value != int(value)):
            raise ValueError(f"setting {name!r}: expected a {'whole ' * whole}number, got {value!r}")
        if name in SHARES and not 0 <= value <= 1:
            raise ValueError(f"setting {name!r}: expected a share between 0 and 1, got {value!r}")
        if value < 0 or (value == 0 and whole and name not in ("seed", "warmup")):
            raise ValueError(f"setting {name!r}: expected a number above 0, got {value!r}")
        checked[name] = int(value) if whole else float(value)
    new = dataclasses.replace(recipe, **checked)
    if new.hidden % new.heads:
        raise ValueError(f"hidden ({new.hidden}) must be a multiple of heads ({new.heads})")
    if not 16 <= new.short_length <= new.positions:
        raise ValueError(f"short_length must lie between 16 and positions ({new.positions})")
    return new
