"""Pre-training: what the batches hold, the schedule, exact resumption, errors in the text."""

import dataclasses
import json
import lzma
import random
import shutil

import numpy as np
import pytest
import torch

from helpers import pretraining, store
from helpers.pretraining import Recipe

WORDS = (
    "the a small old cat dog bird tree house saw heard liked near under of and quickly then it was".split()
)
TINY = Recipe(
    tokens=30 * 256,
    vocabulary=120,
    layers=2,
    hidden=16,
    heads=2,
    intermediate=32,
    positions=64,
    short_length=32,
    long_share=0.2,
    batch_tokens=256,
    learning_rate=1e-2,
)


def sentences(rng, topic: str, n: int) -> str:
    return " ".join(
        " ".join([topic, *rng.choices(WORDS, k=rng.randint(3, 12))]).capitalize() + "." for _ in range(n)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Text of 40 + 6 documents; each sentence of document k begins with its own word."""
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("text")
    topics = [a + b for a in "bcdfg" for b in "aeiouy"] + [a + b for a in "hjk" for b in "aeiouy"]
    for name, part in (("train.txt", topics[:40]), ("heldout.txt", topics[40:46])):
        texts = ["\n".join(sentences(rng, topic, 5) for _ in range(3)) for topic in part]
        (folder / name).write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
    cache = store.Store(tmp_path_factory.mktemp("store"))
    return pretraining.prepare([folder / "train.txt"], [folder / "heldout.txt"], 120, cache)


@pytest.fixture(scope="module")
def batches(prepared):
    tokenizer, corpus, _ = prepared
    return pretraining.Batches(corpus, tokenizer, dataclasses.replace(TINY, batch_tokens=512, tokens=10**7))


# -- text and its encoding -----------------------------------------------------------------------


def test_documents_are_paragraphs_between_blank_lines(tmp_path):
    (tmp_path / "a.txt").write_text("\n\nOne.\n two \n\n\n\nThree.", encoding="utf-8")
    with lzma.open(tmp_path / "b.txt.xz", "wt", encoding="utf-8") as file:
        file.write("Four.\n")
    files = pretraining.text_files(tmp_path)
    assert list(pretraining.documents(files)) == [["One.", "two"], ["Three."], ["Four."]]


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\nbad \xff here\n")
    with pytest.raises(ValueError, match=r"a\.txt:2: not UTF-8"):
        list(pretraining.documents(pretraining.text_files(tmp_path)))


def test_damaged_compression_is_refused(tmp_path):
    whole = lzma.compress("\n".join(f"line {random.Random(n).random()}" for n in range(5000)).encode())
    (tmp_path / "a.txt.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.txt\.xz: damaged xz stream after line \d+"):
        list(pretraining.documents(pretraining.text_files(tmp_path)))


def test_a_folder_without_text_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file matches"):
        pretraining.text_files(tmp_path)


def test_empty_text_is_refused(prepared, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n \n")
    with pytest.raises(ValueError, match="no text in"):
        pretraining.encode([tmp_path / "a.txt"], prepared[0], tmp_path)


def test_encoded_corpus_holds_the_text(folder, prepared):
    tokenizer, corpus, _ = prepared
    texts = list(pretraining.documents([folder / "train.txt"]))
    assert corpus.n_documents == len(texts) == 40
    for number, paragraphs in enumerate(texts):
        ids = corpus.tokens[corpus.starts[number] : corpus.starts[number + 1]]
        assert ids.tolist() == [
            i for p in paragraphs for i in tokenizer(p, add_special_tokens=False).input_ids
        ]
    # Every sentence is announced by its document's own word, so a unit begins where that word does.
    begins = {tokenizer.decode(corpus.tokens[u : u + 4]).split()[0][:2] for u in corpus.units}
    assert begins <= {p[0][:2].lower() for p in texts}


def test_windows_stay_within_documents_and_cover_them(prepared):
    corpus = prepared[1]
    for length in (13, 29, 10_000):
        for shift in (0, 5, -6):
            windows = corpus.windows(length, shift)
            first = np.searchsorted(corpus.starts, windows[:, 0], side="right") - 1
            last = np.searchsorted(corpus.starts, windows[:, 1] - 1, side="right") - 1
            sizes = np.diff(corpus.starts)
            np.testing.assert_array_equal(first, last)
            np.testing.assert_array_equal(np.diff(windows)[:, 0], np.minimum(length, sizes[first]))
            np.testing.assert_array_equal(np.bincount(first), -(-sizes // length))
    seen = np.zeros(len(corpus.tokens), bool)
    for shift in range(-14, 15):
        for begin, end in corpus.windows(29, shift):
            seen[begin:end] = True
    assert seen.all()


# -- batches -------------------------------------------------------------------------------------


def rows_of(batches, batch):
    """(A, B, is_random) of each row, with the masked pieces put back."""
    ids = batch["input_ids"].clone().reshape(-1)
    ids[batch["masked"]] = batch["labels"]
    for row, types, attended, random_ in zip(
        ids.reshape(batch["input_ids"].shape).numpy(),
        batch["token_type_ids"].numpy(),
        batch["attention_mask"].numpy(),
        batch["is_random"].tolist(),
        strict=True,
    ):
        n = attended.sum()
        n_a = n - types.sum()
        assert attended[:n].all() and types[n_a:n].all() and not types[:n_a].any()
        assert row[0] == batches.cls and row[n_a - 1] == row[n - 1] == batches.sep
        assert (row[n:] == batches.pad).all()
        yield row[1 : n_a - 1], row[n_a : n - 1], random_


def test_pairs_follow_or_come_from_another_document(batches):
    corpus = batches.corpus
    text = corpus.tokens.tobytes()
    document = np.repeat(np.arange(corpus.n_documents), np.diff(corpus.starts))
    pairs = [row for step in range(40) for row in rows_of(batches, batches[step])]
    assert len(pairs) == 40 * 16
    kinds = [random_ for *_, random_ in pairs]
    assert 0.4 < np.mean(kinds) < 0.6
    others = []
    for a, b, random_ in pairs:
        both = np.concatenate([a, b]).astype(np.uint16).tobytes()
        assert (both in text) == (not random_)
        places = [text.find(x.astype(np.uint16).tobytes()) // 2 for x in (a, b)]
        assert min(places) >= 0
        if random_:
            assert document[places[0]] != document[places[1]]
            assert places[1] in corpus.units
            others.append(document[places[1]])
    assert len(set(others)) > 30


def test_replacements_are_drawn_by_length_not_by_document(prepared, tmp_path):
    """A document nine times as long as the others together supplies most replacements for theirs."""
    tokenizer = prepared[0]
    rng = random.Random(1)
    long, short = sentences(rng, "ba", 900), [sentences(rng, "ce", 10) for _ in range(10)]
    (tmp_path / "text.txt").write_text("\n\n".join([long, *short]))
    pretraining.encode([tmp_path / "text.txt"], tokenizer, tmp_path)
    corpus = pretraining.EncodedCorpus(tmp_path)
    batches = pretraining.Batches(corpus, tokenizer, TINY)
    rng, from_long = np.random.default_rng(0), []
    for start in corpus.units[corpus.units >= corpus.starts[1]][:40]:
        for _ in range(20):
            _, b, random_ = batches._pair(rng, start, start + 20)
            if random_:
                place = corpus.tokens.tobytes().find(b.tobytes()) // 2
                from_long.append(place < corpus.starts[1])
    assert np.mean(from_long) > 0.8  # 1 in 11 if documents were drawn


def test_masking_shares(batches):
    how, labels, rates, replaced = [], [], [], []
    for step in range(150):
        batch = batches[step]
        now = batch["input_ids"].reshape(-1)[batch["masked"]]
        how.append(np.where(now == batches.mask, 0, np.where(now == batch["labels"], 1, 2)))
        replaced.append(now[how[-1] == 2])
        labels.append(batch["labels"])
        plain = batch["attention_mask"].sum() - 3 * len(batch["input_ids"])
        rates.append(len(batch["masked"]) / int(plain))
    how, labels, replaced = np.concatenate(how), torch.cat(labels), torch.cat(replaced)
    shares = np.bincount(how) / len(how)
    assert len(how) > 9000
    # A random piece is the right one by chance now and then, so a little of the last share shows as kept.
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.015)
    special = torch.tensor([batches.cls, batches.sep, batches.pad, batches.mask])
    assert not torch.isin(labels, special).any() and not torch.isin(replaced, special).any()
    assert abs(np.mean(rates) - 0.15) < 0.02


def test_short_rows_are_masked_at_the_same_rate(batches):
    ids = np.full((2, 103), batches.pad)
    ids[0, :103], ids[1, :23] = 50, 50
    ids[:, 0] = batches.cls
    ids[0, [50, 102]] = ids[1, [10, 22]] = batches.sep
    flat, labels = batches._mask(np.random.default_rng(0), ids)
    assert np.bincount(flat // 103).tolist() == [15, 3]
    assert (labels == 50).all()


def test_a_batch_depends_on_its_number_alone(prepared, batches):
    tokenizer, corpus, _ = prepared
    other = pretraining.Batches(corpus, tokenizer, batches.recipe)
    for step in (7, 300, 3):
        ours, theirs = batches[step], other[step]
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not torch.equal(batches[3]["input_ids"], batches[4]["input_ids"])


def test_an_epoch_shows_every_window_once(prepared):
    tokenizer, corpus, _ = prepared
    batches = pretraining.Batches(corpus, tokenizer, TINY)
    n = len(corpus.windows(29))
    for epoch in (0, 1):
        drawn = [tuple(batches._window(32, epoch * n + i)) for i in range(n)]
        shift_free = sorted(map(tuple, corpus.windows(29)))
        assert (sorted(drawn) == shift_free) == (epoch == 0)  # later epochs cut elsewhere


# -- schedule ------------------------------------------------------------------------------------


def test_schedule_by_hand():
    recipe = Recipe(
        tokens=1000 * 4096, learning_rate=1.0, warmup=0.1, decay=0.5, long_share=0.1, batch_tokens=4096
    )
    assert recipe.steps == 1000 and recipe.short_steps == 900
    expected = {0: 0.01, 49: 0.5, 99: 1.0, 100: 1.0, 500: 1.0, 750: 0.5, 999: 1 / 500}
    for step, rate in expected.items():
        assert recipe.rate(step) == pytest.approx(rate), step
    assert recipe.batch_shape(899) == (32, 128)
    assert recipe.batch_shape(900) == (8, 512)


# -- training ------------------------------------------------------------------------------------


def train(prepared, folder, recipe=TINY, **options):
    options = {"device": "cpu", "log_every": 10, "n_evaluations": 3, "report": lambda line: None} | options
    return pretraining.pretrain(recipe, folder, *prepared, **options)


def at(steps: int):
    return lambda done: done >= steps


def timeless(folder) -> list[dict]:
    """The log without what the clock says."""
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "tokens_per_s")}
        for row in pretraining.read_log(folder)
    ]


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(prepared, folder)
    return folder


@pytest.mark.parametrize("stops", [(15,), (4, 9, 9, 7)])
def test_a_stopped_run_ends_like_one_that_was_not(prepared, whole, tmp_path, stops):
    for stop in stops:
        with pytest.raises(pretraining.Interrupted):
            train(prepared, tmp_path, stop=at(stop))
    train(prepared, tmp_path)
    ours, theirs = weights(tmp_path), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert timeless(tmp_path) == timeless(whole)
    steps = [row["step"] for row in timeless(whole) if "mlm" in row]
    held = [row["step"] for row in timeless(whole) if "heldout" in row]
    assert steps == [10, 20, 30] and held == [0, 3, 13, 30]


def test_a_killed_run_forgets_what_it_logged_after_its_checkpoint(prepared, whole, tmp_path):
    with pytest.raises(pretraining.Interrupted):
        train(prepared, tmp_path, stop=at(15))
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write(json.dumps({"step": 20, "tokens": 1, "mlm": 9.9}) + '\n{"step": 21, "mlm"')
    train(prepared, tmp_path)
    assert timeless(tmp_path) == timeless(whole)


def test_a_run_killed_before_its_first_checkpoint_starts_over(prepared, whole, tmp_path):
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 10, "tokens": 1, "mlm": 9.9}) + "\n")
    train(prepared, tmp_path)
    assert timeless(tmp_path) == timeless(whole)


def test_the_loss_falls(whole):
    held = [row["heldout"]["mlm"] for row in pretraining.read_log(whole) if "heldout" in row]
    assert abs(held[0] - np.log(120)) < 0.3  # knows nothing: as good as a uniform guess
    assert held[-1] < held[0] - 0.5


def test_other_settings_are_refused_on_resuming(prepared, tmp_path):
    with pytest.raises(pretraining.Interrupted):
        train(prepared, tmp_path, stop=at(10))
    with pytest.raises(ValueError, match=r"other settings \(clip\)"):
        train(prepared, tmp_path, dataclasses.replace(TINY, clip=2.0))
    with pytest.raises(ValueError, match="tokens can be changed between these alone"):
        train(prepared, tmp_path, dataclasses.replace(TINY, tokens=11 * 256))
    train(prepared, tmp_path, dataclasses.replace(TINY, tokens=20 * 256))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 20


def test_a_run_goes_on_with_its_blocks_stacked(prepared, tmp_path):
    with pytest.raises(pretraining.Interrupted):
        train(prepared, tmp_path, stop=at(10))
    shallow = weights(tmp_path)
    with pytest.raises(ValueError, match="cannot stack 2 blocks into 3"):
        train(prepared, tmp_path, dataclasses.replace(TINY, layers=3))
    deep = pretraining.stacked(shallow, 6)
    for block in range(6):
        name = "bert.encoder.layer.{}.attention.self.query.weight"
        assert torch.equal(deep[name.format(block)], shallow[name.format(block // 3)])
    assert torch.equal(deep["cls.predictions.bias"], shallow["cls.predictions.bias"])
    train(prepared, tmp_path, dataclasses.replace(TINY, layers=6))
    assert sorted(weights(tmp_path)) == sorted(deep)
    recipes = [row["recipe"]["layers"] for row in pretraining.read_log(tmp_path) if "recipe" in row]
    assert recipes == [2, 6]


def test_a_deepened_model_computes_what_it_did(prepared):
    tokenizer, corpus, _ = prepared
    shallow = pretraining.new_model(TINY, tokenizer).eval()
    for block in shallow.bert.encoder.layer:  # as after training: no layer norm is the identity any more
        torch.nn.init.normal_(block.output.LayerNorm.weight, 0.8, 0.02)
        torch.nn.init.normal_(block.output.LayerNorm.bias, 0.1, 0.02)
    deep = pretraining.new_model(dataclasses.replace(TINY, layers=6), tokenizer).eval()
    deep.load_state_dict(pretraining.stacked(shallow.state_dict(), 6))
    batch = pretraining.Batches(corpus, tokenizer, TINY)[0]
    with torch.no_grad():
        before, after = (
            model.bert(input_ids=batch["input_ids"], output_hidden_states=True).hidden_states
            for model in (shallow, deep)
        )
    for block in range(2):  # equal up to what the norms of single vectors differ by
        torch.testing.assert_close(after[3 * block + 3], before[block + 1], atol=0.1, rtol=0.1)
    # The copies have a gradient, so they can learn.
    loss = pretraining.losses(deep.train(), batch)["mlm"]
    loss.backward()
    assert deep.bert.encoder.layer[1].output.dense.weight.grad.abs().max() > 0


def test_a_run_goes_on_with_longer_inputs(prepared, tmp_path):
    with pytest.raises(pretraining.Interrupted):
        train(prepared, tmp_path, dataclasses.replace(TINY, short_length=16), stop=at(10))
    train(prepared, tmp_path, TINY)
    rows = pretraining.read_log(tmp_path)
    assert [row["recipe"]["short_length"] for row in rows if "recipe" in row] == [16, TINY.short_length]
    tokenizer, _, heldout = prepared
    judges = [
        pretraining.judge(heldout, tokenizer, dataclasses.replace(TINY, short_length=n, seed=n))
        for n in (16, 32)
    ]
    a, b = (judge[0] for judge in judges)  # what a run is judged on is not changed by its own inputs
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_new_model_attends_to_what_is_near_or_alike(prepared):
    tokenizer, _, _ = prepared
    recipe = dataclasses.replace(TINY, hidden=64, heads=1, positions=64)
    bert = pretraining.new_model(recipe, tokenizer).bert
    position = bert.embeddings.position_embeddings.weight.detach().double()
    # Sinusoids: how alike two positions are depends on their distance alone, and falls from 0 to 3.
    alike = position @ position.T
    for distance in range(4):
        diagonal = alike.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-6)
    assert (alike[20, 20:24].diff() < 0).all()
    queries = [block.attention.self.query.weight for block in bert.encoder.layer]
    for block in bert.encoder.layer:
        assert torch.equal(block.attention.self.query.weight, block.attention.self.key.weight)
    assert not torch.equal(*queries[:2])
    assert torch.equal(
        queries[0], pretraining.new_model(recipe, tokenizer).bert.encoder.layer[0].attention.self.key.weight
    )


def test_finished_model_is_loaded_by_the_library_alone(prepared, whole):
    from transformers import AutoModel, AutoTokenizer, BertForPreTraining

    tokenizer = AutoTokenizer.from_pretrained(whole / "model")
    encoder = AutoModel.from_pretrained(whole / "model", dtype=torch.float32).eval()
    model = BertForPreTraining.from_pretrained(whole / "model", dtype=torch.float32).eval()
    assert model.config.hidden_dropout_prob == 0.1
    inputs = tokenizer("The cat saw.", "It was a bird.", return_tensors="pt")
    with torch.no_grad():
        states = encoder(**inputs).last_hidden_state
        expected = model.bert(**inputs).last_hidden_state
    torch.testing.assert_close(states, expected)
    stored = weights(whole)["cls.predictions.transform.dense.weight"]
    torch.testing.assert_close(model.cls.predictions.transform.dense.weight.data, stored.half().float())


def test_losses_are_those_of_the_library(prepared):
    tokenizer, corpus, _ = prepared
    batch = pretraining.Batches(corpus, tokenizer, TINY)[0]
    model = pretraining.new_model(TINY, tokenizer).eval()
    labels = torch.full(batch["input_ids"].shape, -100)
    labels.reshape(-1)[batch["masked"]] = batch["labels"]
    with torch.no_grad():
        ours = pretraining.losses(model, batch)
        theirs = model(
            input_ids=batch["input_ids"],
            token_type_ids=batch["token_type_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels,
            next_sentence_label=batch["is_random"],
        )
    assert float(ours["mlm"] + ours["nsp"]) == pytest.approx(float(theirs.loss), rel=1e-5)
    right = theirs.prediction_logits.argmax(-1)[labels != -100] == labels[labels != -100]
    assert float(ours["mlm_accuracy"]) == pytest.approx(float(right.float().mean()))


# -- command line --------------------------------------------------------------------------------

SMALL = dict(layers=1, hidden=16, heads=2, intermediate=16, vocabulary=120, batch_tokens=256)


def test_run_trains_and_resumes_with_the_settings_of_its_checkpoint(folder, tmp_path):
    lines = []
    options = dict(device="cpu", cache=store.Store(tmp_path / "store"), report=lines.append)
    settings = SMALL | {"tokens": 3e3, "seed": 1}
    model = pretraining.run(folder, tmp_path / "out", settings, **options)
    assert (model / "model.safetensors").is_file()
    assert any("min left" in line for line in lines)
    assert pretraining.run(folder, tmp_path / "out", {}, **options) == model
    state = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert state["recipe"]["seed"] == 1 and state["step"] == 3000 // 256


def test_a_run_goes_on_with_the_vocabulary_it_was_begun_with(folder, whole, tmp_path):
    """Also if it was given as a folder and is not given again, where one of its size could be trained."""
    options = dict(device="cpu", cache=store.Store(tmp_path / "store"), report=lambda line: None)
    other = tmp_path / "other"
    shutil.copytree(whole / "model", other)
    pieces = json.loads((other / "tokenizer.json").read_text())
    a, b = [p for p in pieces["model"]["vocab"] if p.isalpha() and len(p) == 1][:2]
    vocabulary = pieces["model"]["vocab"]
    vocabulary[a], vocabulary[b] = vocabulary[b], vocabulary[a]
    (other / "tokenizer.json").write_text(json.dumps(pieces))
    begun = SMALL | {"vocabulary": str(other), "tokens": 512}
    pretraining.run(folder, tmp_path / "out", begun, **options)
    shutil.rmtree(tmp_path / "out" / "model")
    model = pretraining.run(folder, tmp_path / "out", {}, **options)
    shipped, trained = (json.loads((p / "tokenizer.json").read_text()) for p in (model, whole / "model"))
    assert shipped["model"]["vocab"][a] == vocabulary[a] != trained["model"]["vocab"][a]
    with pytest.raises(ValueError, match="was begun with another vocabulary"):
        pretraining.run(folder, tmp_path / "out", {"vocabulary": str(whole / "model")}, **options)


def test_an_interrupted_run_saves_and_goes_on(folder, tmp_path):
    import os
    import signal

    options = dict(device="cpu", cache=store.Store(tmp_path / "store"), report=lambda line: None)
    settings = SMALL | {"tokens": 256 * 40}

    def interrupt(line):
        if "held-out" in line and "step 7:" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        pretraining.run(folder, tmp_path / "out", settings, **options | {"report": interrupt})
    assert stopped.value.code == 128 + signal.SIGTERM and signal.getsignal(signal.SIGTERM) is before
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["step"] == 8
    pretraining.run(folder, tmp_path / "out", {}, **options)
    pretraining.run(folder, tmp_path / "other", settings, **options)
    ours, theirs = weights(tmp_path / "out"), weights(tmp_path / "other")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_run_takes_a_tokenizer_as_vocabulary(folder, whole, tmp_path):
    settings = SMALL | {"tokens": 512, "vocabulary": str(whole / "model")}
    cache = store.Store(tmp_path / "store")
    pretraining.run(folder, tmp_path / "out", settings, device="cpu", cache=cache, report=lambda line: None)
    assert not (tmp_path / "store" / "vocabulary").exists()
    ours, theirs = ((p / "tokenizer.json").read_text() for p in (tmp_path / "out" / "model", whole / "model"))
    assert json.loads(ours)["model"]["vocab"] == json.loads(theirs)["model"]["vocab"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": 2}, r"unknown setting 'layer'; valid, with their values: seed \(0\), tokens"),
        ({"layers": 2.5}, "'layers': expected a whole number, got 2.5"),
        ({"tokens": "many"}, "'tokens': expected a whole number, got 'many'"),
        ({"tokens": 0}, "'tokens': expected a number above 0"),
        ({"masked": 1.5}, "'masked': expected a share between 0 and 1"),
        ({"learning_rate": True}, "'learning_rate': expected a number"),
        ({"hidden": 250}, "must be a multiple of heads"),
        ({"short_length": 1024}, "short_length must lie between"),
    ],
)
def test_unknown_settings_are_refused(folder, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        pretraining.run(folder, tmp_path, settings, device="cpu", report=lambda line: None)


def test_unknown_places_and_devices_are_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        pretraining.run(tmp_path / "nowhere", tmp_path, {})
    with pytest.raises(FileNotFoundError, match=r"no file matches test\*"):
        pretraining.run(folder, tmp_path, {}, heldout="test*")
    with pytest.raises(ValueError, match="unknown device 'gpu'; valid: auto, cpu, cuda"):
        pretraining.run(folder, tmp_path, {}, device="gpu")


def test_hub_data_sets_become_documents(tmp_path):
    pandas = pytest.importorskip("pandas")
    rows = ["First line.\nSecond line.\n", " = A title = \n", "", "One.\n", " = = Part = = \n", "Two.\n"]
    rows += [" = Another title = \n", "Three.\n"]
    pandas.DataFrame({"text": rows}).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    assert list(pretraining.hub_documents(str(tmp_path))) == [
        ["First line.", "Second line."],
        ["= A title =", "One.", "= = Part = =", "Two."],
        ["= Another title =", "Three."],
    ]
    pandas.DataFrame({"words": rows}).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="no text column, but words"):
        list(pretraining.hub_documents(str(tmp_path)))


def test_run_takes_a_data_set_in_the_hubs_format(folder, tmp_path):
    pandas = pytest.importorskip("pandas")
    rows = ["\n".join(paragraphs) for paragraphs in pretraining.documents([folder / "train.txt"])]
    (tmp_path / "data").mkdir()
    pandas.DataFrame({"text": rows * 6}).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    lines = []
    pretraining.run(
        tmp_path / "data",
        tmp_path / "out",
        SMALL | {"tokens": 512},
        device="cpu",
        cache=store.Store(tmp_path / "store"),
        report=lines.append,
    )
    assert any("in 238 documents" in line for line in lines)  # 240 less numbers 1 and 201


def test_imports_neither_tables_nor_data_sets():
    import subprocess
    import sys

    code = "import sys, helpers.pretraining; print(sorted({'pandas', 'datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
