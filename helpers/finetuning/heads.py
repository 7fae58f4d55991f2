"""Task heads on a bare encoder, and the model that joins the two.

Every head is called as ``head(states, pooled, **inputs)`` with the encoder's last hidden states (n_inputs,
n_pieces, d) and pooled vector (n_inputs, d) or None. It returns a dict of scores in float32, and of
``loss`` if the inputs hold targets; targets of ``IGNORED`` do not count.
"""

import torch
from torch import nn
from torch.nn import functional as F

IGNORED = -100
ENCODER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class TaskModel(nn.Module):
    """An encoder with a task head: called with a batch of :func:`helpers.finetuning.data.collate`.

    Where the batch has ``states`` (n_inputs, n_pieces, d), the encoder is one that begins above embeddings
    (:func:`helpers.finetuning.frozen.section`).
    """

    accepts_loss_kwargs = False  # the loss is a mean over the batch, which Trainer has to know

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.head = head
        # DistilBERT and RoBERTa have no segments to tell apart.
        self.typed = getattr(encoder.config, "type_vocab_size", 0) > 1

    def forward(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        inputs = {name: batch.pop(name) for name in ENCODER_INPUTS}
        if not self.typed:
            del inputs["token_type_ids"]
        if "states" in batch:  # the encoder's own blocks go on from these
            del inputs["input_ids"]
            inputs["inputs_embeds"] = batch.pop("states")
        output = self.encoder(**inputs)
        pooled = getattr(output, "pooler_output", None)
        return self.head(output.last_hidden_state, pooled, mask=inputs["attention_mask"].bool(), **batch)


def build(model: str, encoder: nn.Module, labels: tuple[str, ...]) -> nn.Module:
    """A freshly drawn head for Dep, NLI or QA. Draws from torch's global generator."""
    width = encoder.config.hidden_size
    if model == "NLI":
        dropout = getattr(encoder.config, "hidden_dropout_prob", 0.1)
        return ClassificationHead(width, len(labels), dropout)
    if model == "QA":
        return SpanHead(width)
    if model == "Dep":
        return ParserHead(width, len(labels))
    raise ValueError(f"unknown model {model!r}; valid: Dep, NLI, QA")


def _linear(n_in: int, n_out: int, std: float = 0.02) -> nn.Linear:
    """A linear layer drawn as BERT draws its own: normal, truncated at two deviations, zero biases."""
    layer = nn.Linear(n_in, n_out)
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(layer.bias)
    return layer


class ClassificationHead(nn.Module):
    """Label of a pair, from the pooled [CLS] (Devlin et al. 2019), or [CLS] itself without a pooler.

    Inputs: ``labels`` (n_inputs,), optional. Returns ``logits`` (n_inputs, n_labels).
    """

    def __init__(self, width: int, n_labels: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = _linear(width, n_labels)

    def forward(self, states, pooled, *, mask, labels=None) -> dict[str, torch.Tensor]:
        vector = states[:, 0] if pooled is None else pooled
        with torch.autocast(states.device.type, enabled=False):
            logits = self.output(self.dropout(vector.float()))
        if labels is None:
            return {"logits": logits}
        return {"logits": logits, "loss": F.cross_entropy(logits, labels)}


class SpanHead(nn.Module):
    """First and last wordpiece of an answer (Devlin et al. 2019).

    Inputs: ``starts``, ``ends`` (n_inputs,), optional; position 0 stands for no answer in this window.
    Returns ``start_logits`` and ``end_logits`` (n_inputs, n_pieces), -inf on padding.
    """

    def __init__(self, width: int):
        super().__init__()
        self.output = _linear(width, 2)

    def forward(self, states, pooled, *, mask, starts=None, ends=None) -> dict[str, torch.Tensor]:
        with torch.autocast(states.device.type, enabled=False):
            logits = self.output(states.float()).masked_fill(~mask[..., None], float("-inf"))
        start, end = logits.unbind(-1)
        scores = {"start_logits": start, "end_logits": end}
        if starts is not None:
            scores["loss"] = (F.cross_entropy(start, starts) + F.cross_entropy(end, ends)) / 2
        return scores


class ParserHead(nn.Module):
    """Biaffine parser on word vectors (Dozat & Manning 2017).

    A word is the mean of its wordpieces; [CLS] stands for the root. Arcs are scored by a biaffine form
    with a bias on the dependent's side, relations with biases on both.

    Inputs: ``word_of`` (n_inputs, n_pieces), the word each wordpiece belongs to, counted from 1, 0 for
    [CLS] and -1 for none; ``words`` (n_inputs, n_words), true for words and false for padding; ``heads``
    and ``relations`` (n_inputs, n_words), optional. Returns ``arcs`` (n_inputs, n_words, n_words + 1),
    the scores of heads (0 the root, -inf where there is no such head), and ``dependents`` and
    ``governors``, from which :meth:`relation_scores` scores the relations to chosen heads. The loss is
    the cross-entropy of heads plus that of relations to the gold heads.
    """

    def __init__(self, width: int, n_relations: int, arc: int = 500, relation: int = 100, dropout=0.33):
        super().__init__()
        self.n_relations = n_relations
        self.arc_dependent, self.arc_governor = (
            _Projection(width, arc, dropout),
            _Projection(width, arc, dropout),
        )
        self.relation_dependent = _Projection(width, relation, dropout)
        self.relation_governor = _Projection(width, relation, dropout)
        # Biaffine forms as linear maps of the dependent: their biases are the dependent side's. Drawn near
        # zero: at BERT's 0.02 first scores are large and at small scale training fared clearly worse.
        self.arc = _linear(arc, arc, std=0.002)
        self.relation = _linear(relation, n_relations * (relation + 1), std=0.002)

    def forward(self, states, pooled, *, mask, word_of, words, heads=None, relations=None):
        vectors = self._words(states, word_of, words.shape[1])
        dependents, governors = self.arc_dependent(vectors[:, 1:]), self.arc_governor(vectors)
        mapped = self.arc(dependents)
        with torch.autocast(states.device.type, enabled=False):
            arcs = mapped.float() @ governors.float().transpose(1, 2)
        root = torch.ones_like(words[:, :1])
        possible = torch.cat([root, words], 1)[:, None, :]
        itself = torch.eye(words.shape[1], dtype=torch.bool, device=words.device)
        possible = possible & ~F.pad(itself, (1, 0))
        scores = {
            "arcs": arcs.masked_fill(~possible, float("-inf")),
            "dependents": self.relation_dependent(vectors[:, 1:]),
            "governors": self.relation_governor(vectors),
        }
        if heads is not None:
            found = self.relation_scores(scores["dependents"], scores["governors"], heads.clamp(min=0))
            scores["loss"] = F.cross_entropy(
                scores["arcs"].flatten(0, 1), heads.flatten(), ignore_index=IGNORED
            ) + F.cross_entropy(found.flatten(0, 1), relations.flatten(), ignore_index=IGNORED)
        return scores

    def relation_scores(self, dependents, governors, heads) -> torch.Tensor:
        """Scores of relations to chosen ``heads`` (n_inputs, n_words): (n_inputs, n_words, n_relations)."""
        chosen = torch.take_along_dim(governors, heads[..., None], 1)
        mapped = self.relation(dependents).unflatten(-1, (self.n_relations, -1))
        with torch.autocast(dependents.device.type, enabled=False):
            weights, bias = mapped.float().split([chosen.shape[-1], 1], -1)
            return (weights @ chosen.float()[..., None] + bias).squeeze(-1)

    def _words(self, states: torch.Tensor, word_of: torch.Tensor, n_words: int) -> torch.Tensor:
        """Mean states of the root and the words, (n_inputs, n_words + 1, d)."""
        # A matrix product rather than scattered sums, which are not repeatable on GPUs.
        numbers = torch.arange(n_words + 1, device=states.device)
        member = (word_of[:, None, :] == numbers[:, None]).float()
        with torch.autocast(states.device.type, enabled=False):
            return (member @ states.float()) / member.sum(-1, keepdim=True).clamp(min=1)


class _Projection(nn.Module):
    """Linear layer, leaky ReLU, and dropout that spares or drops a unit for all words of a sentence alike."""

    def __init__(self, n_in: int, n_out: int, dropout: float):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.dropout = dropout

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        out = F.leaky_relu(self.linear(vectors), 0.1)
        kept = F.dropout(torch.ones_like(out[:, :1]), self.dropout, self.training)
        return out * kept
