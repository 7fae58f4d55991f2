"""Batches for pre-training, each a pure function of corpus, recipe and step."""

import numpy as np
import torch

from helpers.pretraining.recipe import Recipe
from helpers.pretraining.text import EncodedCorpus

IGNORED = -100  # the label of a place that is not to be predicted


class Batches(torch.utils.data.Dataset):
    """Training batches by step number; batch ``t`` depends on nothing but (corpus, recipe, t).

    A batch is a dict of ``input_ids``, ``token_type_ids``, ``attention_mask`` (sequences, length),
    ``masked`` (sequences, n_masked) positions of the masked pieces and ``labels`` (sequences, n_masked)
    their identities, -100 where a short sequence has fewer; and of inputs in two segments ``is_random``
    (sequences,): 0 where segment B follows A, 1 where it comes from elsewhere.

    Whole words are masked unless ``whole_words`` is false: all pieces of a word, or none, but for the last
    word of a sequence's share.
    """

    def __init__(self, corpus: EncodedCorpus, tokenizer, recipe: Recipe, *, whole_words: bool = True):
        self.corpus, self.recipe, self.whole_words = corpus, recipe, whole_words
        self.cls, self.sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        self.mask, self.pad = tokenizer.mask_token_id, tokenizer.pad_token_id
        self.plain = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        self.continues: np.ndarray = np.array([piece.startswith("##") for piece in pieces])
        self._epochs: dict[tuple[int, int], np.ndarray] = {}
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return self.recipe.steps

    def _window(self, size: int, position: int) -> np.ndarray:
        """Window number ``position`` of the endless shuffled stream of windows of this size.

        Every epoch after the first cuts the documents elsewhere.
        """
        if size not in self._counts:
            self._counts[size] = len(self.corpus.windows(size))
        epoch, index = divmod(position, self._counts[size])
        if (size, epoch) not in self._epochs:
            rng = np.random.default_rng([self.recipe.seed, size, epoch])
            order = rng.permutation(self._counts[size])
            shift = int(rng.integers(1 - size // 2, size // 2)) if epoch else 0
            self._epochs = {(size, epoch): self.corpus.windows(size, shift)[order]}
        return self._epochs[size, epoch][index]

    def _pair(self, rng, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Split a window at a sentence boundary; half the time replace what follows.

        What replaces it begins with a sentence of another document. It is drawn uniformly over tokens, as
        the windows are: drawn over documents, long ones would be recognised as true continuations.
        """
        corpus = self.corpus
        first, last = np.searchsorted(corpus.units, [start + 1, stop])
        inner = corpus.units[first:last]
        # The middle half of the window, so that neither segment is a scrap.
        quarter = (stop - start) // 4
        inner = inner[(inner >= start + quarter) & (inner <= stop - quarter)]
        cut = int(rng.choice(inner)) if len(inner) else (start + stop) // 2
        a, b = corpus.tokens[start:cut], corpus.tokens[cut:stop]
        if rng.random() < 0.5:
            return a, b, 0
        home = np.searchsorted(corpus.starts, start, side="right") - 1
        before, after = corpus.starts[home], corpus.starts[home + 1]
        if corpus.n_documents > 1:
            place = rng.integers(len(corpus.tokens) - (after - before))
            place += (after - before) * (place >= before)
        else:
            place = rng.integers(len(corpus.tokens))
        other = np.searchsorted(corpus.starts, place, side="right") - 1
        low, high = corpus.starts[other], corpus.starts[other + 1]
        place = min(place, max(low, high - len(b)))
        begin = corpus.units[np.searchsorted(corpus.units, place, side="right") - 1]
        return a, corpus.tokens[begin : min(begin + len(b), high)], 1

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        recipe = self.recipe
        count, length = recipe.batch_shape(step)
        paired = recipe.paired(step)
        origin = step if step < recipe.short_steps else step - recipe.short_steps
        rng = np.random.default_rng([recipe.seed, 1, step])
        size = length - (3 if paired else 2)
        windows = [self._window(size, origin * count + row) for row in range(count)]
        return self.assemble(rng, windows, length, paired)

    def assemble(self, rng: np.random.Generator, windows, length: int, paired: bool) -> dict:
        """A batch of ``length`` from windows (begin, end) of the corpus, at most ``length`` - 3 long.

        Without pairs they may be ``length`` - 2 long.
        """
        count = len(windows)
        ids = np.full((count, length), self.pad, dtype=np.int64)
        types = np.zeros((count, length), dtype=np.int64)
        attended = np.zeros((count, length), dtype=np.int64)
        is_random = np.zeros(count, dtype=np.int64)
        ids[:, 0] = self.cls
        for row, (start, stop) in enumerate(windows):
            if paired:
                a, b, is_random[row] = self._pair(rng, start, stop)
                n_a, n = len(a) + 2, len(a) + len(b) + 3
                ids[row, n_a : n - 1] = b
                types[row, n_a:n] = 1
            else:
                a = self.corpus.tokens[start:stop]
                n_a = n = len(a) + 2
            ids[row, 1 : n_a - 1] = a
            ids[row, [n_a - 1, n - 1]] = self.sep
            attended[row, :n] = 1
        masked, labels = self._mask(rng, ids)
        arrays: dict[str, np.ndarray] = dict(input_ids=ids, token_type_ids=types, attention_mask=attended)
        arrays |= dict(masked=masked, labels=labels)
        if paired:
            arrays["is_random"] = is_random
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _mask(self, rng, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mask in place, 80 / 10 / 10 %; returns positions and original pieces, (sequences, n_masked)."""
        special = np.isin(ids, (self.cls, self.sep, self.pad))
        chance: np.ndarray = rng.random(ids.shape)
        if self.whole_words:
            first: np.ndarray = ~(self.continues[ids] & ~special)
            first[:, 0] = True
            word = first.cumsum(axis=1) - 1  # a word's pieces share the chance of its number
            chance = np.take_along_axis(chance, np.asarray(word), axis=1)
        chance[special] = 2.0
        order = np.argsort(chance, axis=1, kind="stable")
        share = self.recipe.masked
        most = max(1, round(share * (ids.shape[1] - 2)))  # the same for all, so that shapes never change
        positions = order[:, :most]
        wanted = np.minimum(most, np.maximum(1, np.round(share * (~special).sum(axis=1)))).astype(int)
        chosen = np.arange(most) < wanted[:, None]
        pieces = np.take_along_axis(ids, positions, axis=1)
        how = rng.random(pieces.shape)
        drawn = self.plain[rng.integers(len(self.plain), size=pieces.shape)]
        shown = np.where(how < 0.8, self.mask, np.where(how < 0.9, pieces, drawn))
        np.put_along_axis(ids, positions, np.where(chosen, shown, pieces), axis=1)
        return positions, np.where(chosen, pieces, IGNORED)
