"""The families of encoders that this package reads, fine-tunes and takes apart, each tested.

A family is one entry of :data:`FAMILIES`: where its blocks are, and what is special about it. An encoder of
any other family is refused. To add one, add an entry here and its small model to
``tests/encoders/test_families.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class EncoderError(ValueError):
    """An encoder that cannot be used, or not for this; the message says why."""


@dataclass(frozen=True)
class Family:
    """How an architecture of transformers is built. Parts are named by their path in the model.

    ``model_type`` is its name in ``config.json`` and ``blocks`` its list of blocks, above the part
    ``embeddings``. ``beneath`` are parts between embeddings and blocks, ``above`` those that read the last
    block's output, ``shared`` those that all blocks use, ``first`` those that belong to the first block.
    ``per_block`` are values of the configuration with one entry per block, ``fixed`` those of which only one
    value is supported. With ``one_block`` all blocks are the same weights, applied again and again. A
    ``never_empty`` list of blocks must have one.
    """

    name: str
    model_type: str
    example: str  # of the Hugging Face Hub
    blocks: str = "encoder.layer"
    beneath: tuple[str, ...] = ()
    above: tuple[str, ...] = ("pooler",)
    shared: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    per_block: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    one_block: bool = False
    never_empty: bool = False
    note: str = ""


FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family("BERT", "bert", "google-bert/bert-base-uncased"),
        Family("RoBERTa", "roberta", "FacebookAI/roberta-base"),
        Family("XLM-R", "xlm-roberta", "FacebookAI/xlm-roberta-base"),
        Family("DistilBERT", "distilbert", "distilbert/distilbert-base-uncased", blocks="transformer.layer"),
        Family(
            "MPNet", "mpnet", "microsoft/mpnet-base",
            shared=("encoder.relative_attention_bias",),
            note="position biases, which all blocks share, stay frozen with the blocks below",
        ),
        Family(
            "ELECTRA", "electra", "google/electra-base-discriminator",
            beneath=("embeddings_project",),
        ),
        Family(
            "ALBERT", "albert", "albert/albert-base-v2",
            blocks="encoder.albert_layer_groups",
            above=("pooler",),
            fixed={"num_hidden_groups": 1, "inner_group_num": 1},
            one_block=True,
            note="its blocks are one set of weights: none can be frozen or re-initialised alone",
        ),
        Family(
            "DeBERTa-v2", "deberta-v2", "microsoft/deberta-v3-base",
            shared=("encoder.rel_embeddings", "encoder.LayerNorm"),
            first=("encoder.conv",),
            never_empty=True,
            note="position vectors, which all blocks share, stay frozen with the blocks below",
        ),
        Family(
            "ModernBERT", "modernbert", "answerdotai/ModernBERT-base",
            blocks="layers",
            above=("final_norm",),
            per_block=("layer_types",),
            note="a norm above the blocks: the last layer is its output, and so is a truncated encoder's",
        ),
    )
}  # fmt: skip


def of(config: Any) -> Family:
    """The family of a configuration of transformers. Raises EncoderError for one that is not listed."""
    return named(config.model_type)


def named(model_type: str, *, own_code: bool = False) -> Family:
    """The family of a ``model_type``; ``own_code``: it came with code of its own, which is never run.

    Raises EncoderError, which says what it is instead and lists the families that work.
    """
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    from transformers.models.auto import modeling_auto as auto

    if model_type in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        kind = "is an encoder-decoder"
    elif (
        model_type in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and model_type not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    ):
        kind = "is a decoder, whose words see only those before them"
    elif own_code:
        kind = "needs code that comes with it, which is never run"
    else:
        kind = "is not a family that has been tested"
    raise EncoderError(f"{model_type!r} {kind}; {supported()}")


def supported() -> str:
    """The families that work, as part of a message."""
    return f"encoders of these families work: {', '.join(family.name for family in FAMILIES.values())}"


def check(config: Any) -> Family:
    """The family of a configuration whose values it supports.

    Raises EncoderError for another family, a decoder, and values outside ``fixed``.
    """
    family = of(config)
    if getattr(config, "is_decoder", False) or getattr(config, "is_encoder_decoder", False):
        raise EncoderError(f"a {family.name} configured as a decoder (is_decoder); {supported()}")
    for name, value in family.fixed.items():
        if getattr(config, name) != value:
            raise EncoderError(f"{family.name} with {name} {getattr(config, name)}; supported: {value}")
    return family


def describe() -> list[dict[str, str]]:
    """One row per family: ``family, model_type, example, note``."""
    return [
        {"family": f.name, "model_type": f.model_type, "example": f.example, "note": f.note}
        for f in FAMILIES.values()
    ]
