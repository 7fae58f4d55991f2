"""The models that are pre-trained: new ones, or an existing encoder to continue from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from helpers import encoders
from helpers.encoders import EncoderError, families
from helpers.pretraining.recipe import Recipe

# Families that can be trained on: their vocabularies are wordpieces, so that whole words can be masked.
CONTINUED = ("bert", "mpnet")


def make(recipe: Recipe, tokenizer: Any) -> Any:
    """A model with heads for pre-training: that of ``recipe.start`` or, where it is empty, a new BERT.

    Raises :class:`EncoderError` for a start that cannot be trained on.
    """
    return trained_on(recipe.start, recipe.seed) if recipe.start else _new(recipe, tokenizer)


def trained_on(start: str, seed: int) -> Any:
    """An encoder without dropout, under the heads that its library pre-trains it with.

    Heads that its checkpoint lacks are drawn from the seed; the map to the vocabulary is that of the word
    embeddings. Raises :class:`EncoderError` for an encoder that cannot be loaded or is of a family that
    cannot be trained on.
    """
    from transformers import AutoModelForPreTraining

    _load(start)
    with encoders.quiet(), encoders.seeded(seed):
        model: Any = AutoModelForPreTraining.from_pretrained(
            encoders.resolve(start), dtype=torch.float32, trust_remote_code=False
        )
    encoders.set_dropout(model, 0.0)
    return model


def described(recipe: Recipe) -> Recipe:
    """The recipe with the shape of the encoder that it goes on from. Raises like :func:`trained_on`."""
    encoder = _load(recipe.start)
    config = encoder.model.config
    return replace(
        recipe,
        vocabulary=len(encoder.tokenizer),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        intermediate=config.intermediate_size,
        positions=encoder.max_length,
        short_length=min(recipe.short_length, encoder.max_length),
    )


def _load(start: str) -> encoders.Encoder:
    encoder = encoders.load(start, device="cpu")
    if encoder.model.config.model_type not in CONTINUED:
        known = ", ".join(families.FAMILIES[name].name for name in CONTINUED)
        raise EncoderError(
            f"{start}: {encoder.family.name} is not one of the families that pre-training can continue from: "
            f"{known}"
        )
    return encoder


def vocabulary_head(model: Any) -> Any:
    """The part that maps states to scores of the vocabulary."""
    return model.cls.predictions if hasattr(model, "cls") else model.lm_head


def _new(recipe: Recipe, tokenizer: Any) -> Any:
    """A freshly initialised ``BertForPreTraining`` of the recipe's shape; its seed is the recipe's.

    Dropout is off: no token is seen often enough to be learnt by heart. Two things start otherwise than in
    BERT, because a small model on small batches takes long to find out that neighbours matter, and learns
    little but word frequencies until it has: positions as sinusoids (Vaswani et al. 2017), from which
    training goes on, and keys equal to queries, large enough for attention to favour what is near or alike
    (mimetic initialisation, Trockman and Kolter 2023).
    """
    from transformers import BertConfig, BertForPreTraining

    torch.manual_seed(recipe.seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate,
        max_position_embeddings=recipe.positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = BertForPreTraining(config)
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.copy_(_sinusoids(recipe.positions, recipe.hidden))
        for block in model.bert.encoder.layer:
            query, key = block.attention.self.query.weight, block.attention.self.key.weight
            query.normal_(std=recipe.hidden**-0.5)
            key.copy_(query)
    return model


def _sinusoids(positions: int, width: int) -> torch.Tensor:
    """Sines and cosines of geometrically spaced wavelengths, (positions, width), not far above the words."""
    angles = torch.arange(positions)[:, None] * 10_000.0 ** (-torch.arange(0, width, 2) / width)
    return 0.07 * torch.cat([angles.sin(), angles.cos()], dim=1)


def save(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Save in fp16 with its pre-training heads, with BERT's dropout switched on for fine-tuning."""
    model = model.to("cpu")
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1
    model.half().save_pretrained(folder)
    for name in ("is_local", "local_files_only"):  # where it was loaded from is no part of a tokenizer
        tokenizer.init_kwargs.pop(name, None)
    tokenizer.save_pretrained(folder)
    return folder
