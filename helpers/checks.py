"""What to check of an encoder before trusting a curve: none of it needs any fine-tuning.

Whether it loads, whether its tokenizer has pieces for the words, whether each of its blocks does something,
and how much of a tree its embeddings show before any block has read them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from helpers import analyses, encoders, results
from helpers.analyses import structural
from helpers.claims.run import IDLE, Run
from helpers.claims.words import listed
from helpers.corpora.records import Sentence
from helpers.encoders import Encoder
from helpers.pretraining.quality import chain_baseline
from helpers.profiles import PROFILES, Profile
from helpers.results import format_number
from helpers.vocabulary import MODELS

GOOD, LOOK = "good", "look"
UNKNOWN = 0.01  # share of words without pieces from which the tokenizer is in doubt
PIECES = 2.0  # pieces per word from which the vocabulary is taken for that of other texts
SHOWN_WORDS = 5
READ = ("rsa_between_layers", "structural_probe")  # the analyses whose corpora the checks read


@dataclass(frozen=True)
class Check:
    """A question to an encoder, what was found, and what to make of it."""

    question: str
    found: str
    state: str  # GOOD, or LOOK: to be looked at before anything is concluded
    means: str


def before_tuning(settings: Profile) -> tuple[list[Check], dict[str, pd.DataFrame]]:
    """The checks of the settings' encoder, and the tables that they are read from, by analysis.

    Errors are those of :func:`helpers.encoders.load` and of the two analyses.
    """
    encoder = encoders.load(settings.encoder)
    bank = structural.treebank(settings)
    saved = results.saved("rsa_between_layers", settings)
    tables = {
        "rsa_between_layers": analyses.rsa_between_layers(settings) if saved is None else saved,
        "structural_probe": untuned_trees(settings),
    }
    chain = float(chain_baseline(bank.parts["test"])[0].mean())
    found = [
        loads(encoder),
        has_pieces(encoder, bank.parts["test"]),
        blocks_work(tables["rsa_between_layers"]),
        trees_begin(tables["structural_probe"], chain),
    ]
    return found, tables


# -- the checks ----------------------------------------------------------------------------------------


def loads(encoder: Encoder) -> Check:
    """What was loaded. An encoder of an unknown family, or whose weights do not fit, raises before this."""
    family, n_weights = encoder.family, sum(weights.numel() for weights in encoder.model.parameters())
    found = (
        f"{family.name}: {len(encoder.layers) - 1} blocks of width {encoder.width}, {n_weights:,} weights; "
        f"inputs of up to {encoder.max_length} wordpieces"
    )
    means = "Its family is one that is tested, and every tensor of the file has its place in the model."
    note = f" Note: {family.note}." if family.note else ""
    return Check("Does it load?", found, GOOD, means + note)


def has_pieces(encoder: Encoder, sentences: Sequence[Sentence]) -> Check:
    """Whether words have pieces of the tokenizer, and how many, in sentences of a treebank."""
    unknown, n_pieces, n_words, n_cut = Counter[str](), 0, 0, 0
    room = encoder.max_length - len(encoder.templates[False][0]) - len(encoder.templates[False][2])
    for record, [(ids, words)] in encoders.align_records(encoder.tokenizer, sentences):
        lost = {w for piece, w in zip(ids, words, strict=True) if piece == encoder.tokenizer.unk_token_id}
        unknown.update(record.words[word] for word in lost)
        n_pieces, n_words, n_cut = n_pieces + len(ids), n_words + len(record.words), n_cut + (len(ids) > room)
    share, mean = unknown.total() / n_words, n_pieces / n_words
    found = f"{n_words:,} words: {share:.2%} have no piece but [UNK], {mean:.2f} pieces per word"
    if n_cut:
        found += f"; {n_cut} of {len(sentences)} sentences are longer than one input"
    if unknown:
        found += f"; without pieces, most often: {', '.join(w for w, _ in unknown.most_common(SHOWN_WORDS))}"
    if share > UNKNOWN:
        means = (
            f"More than {UNKNOWN:.0%} of the words look alike to it, whatever they are. Is the tokenizer "
            "this encoder's, and its vocabulary one of this language?"
        )
    elif mean > PIECES:
        means = (
            f"More than {PIECES:g} pieces per word: the vocabulary was made for other texts, and a word's "
            "vector is a mean over many pieces."
        )
    else:
        means = "Words and pieces can be matched: a word's vector is the mean of its pieces'."
    state = LOOK if share > UNKNOWN or mean > PIECES else GOOD
    return Check("Do its words have pieces?", found, state, means)


def blocks_work(frame: pd.DataFrame) -> Check:
    """Whether each block changes what it reads, by a table of :func:`helpers.analyses.rsa_between_layers`."""
    idle, values = Run({"blocks": frame}).idle_blocks(), frame.set_index("layer")
    lowest = values.loc[values["value"].idxmin()]
    busiest = (
        f"block {lowest.name} changes its input most, with an RSA to the layer below of {lowest['value']:.3f}"
    )
    if not idle:
        found, state = f"all {len(values)} blocks change what they read; {busiest}", GOOD
        means = "A curve over the layers can say where in the stack something happens."
    else:
        found, state = (
            f"{len(idle)} of {len(values)} blocks ({listed(map(str, idle))}) do almost nothing; {busiest}",
            LOOK,
        )
        means = (
            f"RSA of their output to their input is not clearly below {IDLE:g}. Freezing or cutting them "
            "costs nothing, and a curve that is flat over them says something about this encoder, not about "
            "a task."
        )
    return Check("Does every block do something?", found, state, means)


def trees_begin(frame: pd.DataFrame, chain: float) -> Check:
    """How much of the trees the embeddings show, and what the blocks add, by a table of structural probes.

    ``chain`` is the UUAS of linking each word to its neighbour. The best layers, of the encoder and of random
    weights, are chosen on the sentences that they are judged by, which favours both a little.
    """
    uuas = results.select(frame, analysis="structural_probe", metric="uuas")
    base = results.select(uuas, model="Base").set_index("layer")
    best = int(base["value"].astype(float).idxmax())
    top, below = base.loc[best], base.loc[-1]
    random = results.select(uuas, model="Random")
    drawn = random.loc[random["value"].astype(float).idxmax()]
    found = (
        f"UUAS {_text(below)} at the embeddings, at best {_text(top)} (layer {best}); with random weights "
        f"at best {_text(drawn)}, each word linked to its neighbour {format_number(chain)}"
    )
    gaps = frame[(frame["analysis"] == "structural_probe_delta") & (frame["metric"] == "uuas")]
    added = gaps[(gaps["model"] == "Lexical") & (gaps["layer"] == best) & (gaps["ci_high"] < 0)]
    lacking = ["its own embeddings"] if added.empty else []
    lacking += ["random weights"] if not top["ci_low"] > drawn["value"] else []
    lacking += ["a chain of neighbours"] if not top["ci_low"] > chain else []
    if lacking:
        means = (
            f"Its best layer is not clearly above {listed(lacking)}. What a probe finds here, and what "
            "tuning loses, then says little about the encoder's knowledge of trees."
        )
    else:
        means = (
            "What its blocks add is clear of the embeddings, of random weights and of a chain of neighbours."
        )
    return Check("Where do trees begin?", found, LOOK if lacking else GOOD, means)


def tasks_learnt(tables: Mapping[str, pd.DataFrame]) -> Check:
    """Whether the fine-tuned models have learnt their tasks, by tables with their scores and baselines."""
    run = Run(tables)
    seeds: list[int | None] = [*sorted(run.seeds.get("finetuning", ()))] or [None]
    reasons = [reason for model in MODELS if (reason := run.unlearnt(model, "finetuning", seeds))]
    if reasons:
        means = "What is found in such a model, or lost by an ablation of it, is no effect of its task."
        return Check("Are the tasks learnt?", "; ".join(reasons), LOOK, means)
    found = "each model's score lies clear of the best score that needs no learning"
    return Check(
        "Are the tasks learnt?", found, GOOD, "Curves of the tuned models can be effects of their tasks."
    )


def _text(row: pd.Series) -> str:
    return format_number(float(row["value"]), float(row["ci_low"]), float(row["ci_high"]))


# -- before any fine-tuning ----------------------------------------------------------------------------


def untuned_trees(settings: Profile) -> pd.DataFrame:
    """UUAS of every layer of Base and of random weights: the rows that
    :func:`helpers.analyses.structural_probes` has of them, by the same probes out of the store."""
    once = replace(settings, probe_seeds=settings.probe_seeds[:1])
    rows = structural.rows(once, structural.treebank(once), tuned=[], kinds=["distance"])
    return results.select(results.table(list(rows)), metric="uuas")


def fitted(settings: Profile, encoder: Encoder) -> Profile:
    """The settings with the ablations' layers at the same share of depth in an encoder of another depth.

    Only where they are the profile's own, which are those of its own encoder; layers that were set stay.
    """
    own = PROFILES[settings.name]
    if settings.sweep_layers != own.sweep_layers or own.encoder not in encoders.ENCODERS:
        return settings
    of, n = encoders.ENCODERS[own.encoder].shape[0], len(encoder.layers) - 1
    layers = sorted({max(0, round((layer + 1) * n / of) - 1) for layer in own.sweep_layers})
    return replace(settings, sweep_layers=tuple(layers))
