"""How a loss is called: under its own names, in its own forms, and found where it is."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from kdcheck.conform.loss import adapters, compute_loss, compute_loss_func, recognising, subject
from kdcheck.conform.loss.by_name import named
from kdcheck.conform.loss.fitting import Fit, NoFit, Part
from kdcheck.conform.loss.formulas import Case
from kdcheck.conform.loss.laws import Law, constant
from kdcheck.conform.loss.subject import Loss, Output, Settings, Slot, tensor_of
from kdcheck.conform.loss.terms import library
from kdcheck.errors import ConformError

CASE = Case(
    student_NK=np.array([[1.0, 2.0, 4.0], [0.5, 0.0, -1.0]]),
    teacher_NK=np.array([[3.0, 2.0, 1.0], [0.0, 0.0, 2.0]]),
    labels_N=np.array([2, 0]),
    alpha=0.25,
    beta=2.0,
    tau=3.0,
)


def calls(slots, *, forms=None, target=None, **settings):
    """What a loss with these slots was handed over, by position and by name."""
    seen = []

    def loss(*given, **by_name):
        seen.append((given, by_name))
        return torch.zeros(())

    made = Loss(
        name="loss",
        target=target or loss,
        slots={
            role: slot if isinstance(slot, Slot) else Slot("call", slot)
            for role, slot in slots.items()
        },
        forms=forms or {},
        **settings,
    )
    made.total(CASE)
    return seen[0] if seen else made


def equal(got, wanted):
    return torch.allclose(got, torch.as_tensor(wanted, dtype=got.dtype)) and list(
        got.shape
    ) == list(np.shape(wanted))


def test_each_value_goes_to_its_place():
    given, by_name = calls(
        {
            "student": 1,
            "teacher": 0,
            "labels": "y",
            "alpha": "w",
            "beta": "cfg.b",
            "tau": "cfg.T",
            "classes": "k",
        },
        call={"reduction": "mean", 2: "third", "cfg.extra": 7},
    )
    assert equal(given[0], CASE.teacher_NK)
    assert equal(given[1], CASE.student_NK)
    assert given[2] == "third"
    assert by_name["y"].tolist() == [2, 0]
    assert (by_name["w"], by_name["k"], by_name["reduction"]) == (0.25, 3, "mean")
    cfg = by_name["cfg"]
    assert (cfg.b, cfg.T, cfg.extra, cfg["T"]) == (2.0, 3.0, 7, 3.0)
    assert set(by_name) == {"y", "w", "k", "reduction", "cfg"}


def test_positions_with_a_gap_are_refused():
    with pytest.raises(ConformError) as caught:
        calls({"student": 0, "labels": 2})
    assert str(caught.value) == (
        "loss: got positions [0, 2]; wanted all of them from 0 to 2. "
        "Say the others with --map ROLE=POSITION or --arg POSITION=VALUE."
    )


SOFT_2 = np.exp([0.5, 0.0, -1.0]) / np.exp([0.5, 0.0, -1.0]).sum()


def test_tensors_are_handed_over_in_the_form_that_was_found():
    given, _ = calls({"student": 0, "teacher": 1, "labels": 2})
    assert equal(given[0], CASE.student_NK)
    assert given[2].tolist() == [2, 0]
    given, _ = calls(
        {"student": 0, "teacher": 1, "labels": 2},
        forms={"student": "probabilities", "teacher": "log-probabilities", "labels": "one-hot"},
    )
    assert equal(given[0][1], SOFT_2)
    assert equal(given[1], torch.tensor(CASE.teacher_NK).log_softmax(-1))
    assert equal(given[2], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    assert given[2].dtype is torch.float64
    given, _ = calls(
        {"student": 0, "teacher": 1}, forms={"student": "model output", "teacher": "model output"}
    )
    for output, wanted in zip(given, (CASE.student_NK, CASE.teacher_NK), strict=True):
        assert equal(output.logits, wanted)
        assert output[0] is output["logits"] is output.logits
        with pytest.raises(AttributeError, match=r"^loss$"):
            _ = output.loss


@pytest.mark.parametrize(
    ("layout", "shape", "of_labels", "of_hot"),
    [
        ("(N, K)", (2, 3), (2,), (2, 3)),
        ("(N, 1, K)", (2, 1, 3), (2, 1), (2, 1, 3)),
        ("(N, K, 1, 1)", (2, 3, 1, 1), (2, 1, 1), (2, 3, 1, 1)),
    ],
)
def test_classes_lie_where_the_layout_says(layout, shape, of_labels, of_hot):
    slots = {"student": 0, "teacher": 1, "labels": 2}
    for form in ("logits", "log-probabilities", "probabilities"):
        given, _ = calls(slots, layout=layout, forms={"student": form, "teacher": form})
        assert [tuple(each.shape) for each in given] == [shape, shape, of_labels]
    given, _ = calls(slots, layout=layout, forms={"labels": "one-hot", "student": "model output"})
    assert tuple(given[0].logits.shape) == shape
    assert tuple(given[2].shape) == of_hot


class Scaled(nn.Module):
    """Remembers what it was made with."""

    made = 0

    def __init__(self, alpha, table="none", cfg=None):
        super().__init__()
        Scaled.made += 1
        self.alpha, self.table, self.cfg = alpha, table, cfg
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, student):
        assert student.dtype is self.weight.dtype
        return student.sum() * self.weight * self.alpha


class PerExample:
    def __init__(self, inner=0.0):
        self.inner = SimpleNamespace(tau=inner)

    def per_example(self, student):
        return student.sum(-1) * self.inner.tau


def test_a_class_is_built_with_its_settings_once_for_each_of_them():
    slots = {"student": Slot("call", "student"), "alpha": Slot("construct", "alpha")}
    loss = Loss(
        name="loss", target=Scaled, slots=slots, forms={}, construct={"table": 7, "cfg.x": 1}
    )
    Scaled.made = 0
    total = CASE.student_NK.sum()
    assert loss.total(CASE) == pytest.approx(0.25 * total)
    assert loss.total(CASE) == pytest.approx(0.25 * total)
    assert Scaled.made == 1
    assert loss.total(CASE, torch.float32) == pytest.approx(0.25 * total)
    assert loss.total(Case(CASE.student_NK, CASE.teacher_NK, CASE.labels_N, alpha=2.0)) == (
        pytest.approx(2.0 * total)
    )
    assert Scaled.made == 3
    built = next(iter(loss._built.values()))
    assert (built.table, built.cfg.x) == (7, 1)


def test_an_attribute_of_an_object_is_set_on_a_copy():
    mine = PerExample(0.5)
    slots = {"student": Slot("call", "student"), "tau": Slot("attribute", "inner.tau")}
    loss = Loss(name="loss", target=mine, slots=slots, forms={})
    assert loss.total(CASE) == pytest.approx(3.0 * CASE.student_NK.sum())
    assert mine.inner.tau == 0.5
    module = Scaled(0.5)
    slots = {"student": Slot("call", "student")}
    loss = Loss(name="loss", target=module, slots=slots, forms={})
    assert loss.total(CASE) == pytest.approx(0.5 * CASE.student_NK.sum())
    assert module.weight.dtype is torch.float32


def test_a_loss_knows_what_it_takes_and_how_it_calls_it():
    loss = Loss(
        name="loss",
        target=print,
        slots={"tau": Slot("call", "T"), "student": Slot("call", 3)},
        forms={},
    )
    assert (loss.has("tau"), loss.has("alpha")) == (True, False)
    assert (loss.own_name("tau"), loss.own_name("student")) == ("T", "argument 3")


def test_an_exit_inside_a_loss_is_an_error_of_the_loss():
    def leaves(student):
        raise SystemExit(3)

    loss = Loss(name="loss", target=leaves, slots={"student": Slot("call", "student")}, forms={})
    with pytest.raises(RuntimeError, match=r"^exit with 3$"):
        loss.total(CASE)


def test_a_gradient_is_that_of_the_total_and_nothing_where_there_is_none():
    def gradient_of(target, dtype=torch.float64):
        slots = {role: Slot("call", role) for role in ("student", "teacher")}
        return Loss(name="loss", target=target, slots=slots, forms={}).gradient(CASE, dtype)

    got = gradient_of(lambda student, teacher: (student**2).sum(-1))
    np.testing.assert_allclose(got, 2 * CASE.student_NK)
    assert got.dtype == np.float64
    assert (
        gradient_of(lambda student, teacher: (student**2).sum(), torch.float16).dtype == np.float64
    )
    nothing = np.zeros((2, 3))
    np.testing.assert_array_equal(gradient_of(lambda student, teacher: teacher.sum()), nothing)
    weight = torch.ones((), requires_grad=True)
    np.testing.assert_array_equal(
        gradient_of(lambda student, teacher: teacher.sum() * weight), nothing
    )


def test_tensors_of_a_case_are_copies_of_which_the_students_learns():
    slots = {"student": Slot("call", "student")}
    loss = Loss(name="loss", target=print, slots=slots, forms={})
    turned = Case(CASE.student_NK[::-1], CASE.teacher_NK[::-1], CASE.labels_N[::-1])
    student, teacher, labels = loss.tensors(turned, torch.float32)
    assert (student.requires_grad, teacher.requires_grad) == (True, False)
    assert {student.dtype, teacher.dtype} == {torch.float32}
    assert labels.tolist() == [0, 2]
    assert loss.tensors(CASE)[0].dtype is torch.float64


ONE, TWO = torch.tensor(1.0), torch.tensor(2.0, requires_grad=True)
COUNT = torch.tensor(3)


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (ONE, ONE),
        ({"other": ONE, "kd_loss": ONE, "x": TWO}, ONE),
        ({"other": ONE, "x": TWO}, TWO),
        ({"other": ONE, "x": COUNT}, ONE),
        ({"loss": None, "total": ONE}, ONE),
        ((COUNT, ONE), ONE),
        ([ONE, TWO], TWO),
        (SimpleNamespace(logits=TWO, loss=ONE), ONE),
        (SimpleNamespace(total_loss=ONE), ONE),
    ],
)
def test_the_loss_is_found_among_what_is_returned(returned, found):
    assert tensor_of(returned, "loss") is found


def test_a_number_is_a_loss_and_a_truth_or_nothing_is_none():
    for value in (2, 0.5):
        got = tensor_of(value, "loss")
        assert (got.item(), got.dtype) == (value, torch.float64)
    for value in (True, None, (COUNT,), {"x": "low"}):
        with pytest.raises(ConformError) as caught:
            tensor_of(value, "mine")
        assert str(caught.value) == (
            f"mine: got a {type(value).__name__} without a tensor; wanted a tensor, or a tuple or "
            "mapping with one. Wrap it in a function that returns the loss."
        )


def test_settings_in_one_object_are_read_as_attributes_or_items():
    settings = Settings(tau=2.0)
    assert settings["tau"] == settings.tau == 2.0
    nested = subject._nested({"a": 1, "b.c": 2, "b.d": 3, "e.f": 4, 5: 6})
    assert nested == {"a": 1, "b": Settings(c=2, d=3), "e": Settings(f=4), "5": 6}


# Which way of calling is believed


def attempt(*kinds, forms=None, names=None):
    slots = {role: Slot("call", (names or {}).get(role, role)) for role in ("student", "teacher")}
    loss = Loss(name="loss", target=print, slots=slots, forms=forms or {})
    terms = {t.kind: t for t in library(labels=True, teacher=True)}
    return Fit(loss, tuple(Part(terms[kind], Law(constant(1.0))) for kind in kinds), 0.0)


MISNAMED = {"forms": {"student": "probabilities"}, "names": {"student": "logits"}}


@pytest.mark.parametrize(
    ("tried", "doubt"),
    [
        (attempt("kl"), 0),
        (attempt("kl", "one"), 0),
        (attempt("kl_raw"), 1),
        (attempt("kl", **MISNAMED), 2),
        (NoFit(attempt("kl").loss, "odd"), 3),
        (attempt("kl_raw", **MISNAMED), 4),
        (attempt("one", "teacher_entropy"), 4),
    ],
)
def test_an_account_of_a_loss_is_doubted_by_what_speaks_against_it(tried, doubt):
    assert recognising._doubt(tried) == doubt


def recognised(target, **names):
    return recognising.recognise(target, name="loss", arguments={}, names=names)


def test_ways_that_fail_are_passed_over_and_the_first_failure_is_told_if_all_do():
    def only_one_hot(student, labels):
        if labels.dim() == 1:
            raise ValueError("one-hot, please")
        return -(labels * student.log_softmax(-1)).sum(-1).mean()

    found = recognised(only_one_hot)
    assert (found.loss.forms["labels"], found.loss.forms["student"]) == ("one-hot", "logits")
    assert found.base == "plain cross-entropy (ERM)"
    assert (found.unknown, found.counterexample, found.reduction) == ("", "", "mean over examples")
    turns = iter(range(1000))

    def never(student, labels):
        raise ValueError(f"no {next(turns)}")

    with pytest.raises(ConformError) as caught:
        recognised(never)
    assert str(caught.value) == (
        "loss: got a call that ends with ValueError: no 0; wanted a loss of the batch or of each example. "
        "Say what goes where (--map student=NAME) and what stays (--arg NAME=VALUE)."
    )


def test_no_more_ways_are_looked_at_closely_than_are_worth_it():
    shapes = []

    def strange(a, b):
        shapes.append(a.dtype)
        return (a.abs() * b.abs()).sum().pow(1.3)

    found = recognised(strange)
    assert found.fit is None
    # Each way costs one call to see that it works, and the 24 of a fit.
    assert len(shapes) == recognising.MOST_ATTEMPTS * 25 == 200
    assert (found.remarks, found.base, found.reduction) == ((), "", "")
    assert found.unknown == "no combination of up to three known terms gives its values"


# Where a loss is


def test_a_name_leads_through_modules_and_attributes():
    assert named("torch.nn:functional.kl_div") is nn.functional.kl_div


@pytest.mark.parametrize("text", ["torch.nn", ":x", "torch.nn:", "", ":"])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(ConformError) as caught:
        named(text)
    assert str(caught.value) == (
        f"conform: got {text!r}; wanted MODULE:NAME. As in my_package.losses:kd_loss or losses.py:kd_loss."
    )


def test_a_name_that_is_not_there_is_told_with_those_that_are(tmp_path):
    names = "\n".join(f"name_{n:02} = {n}" for n in reversed(range(14)))
    file = tmp_path / "few_losses.py"
    file.write_text(f"_hidden = 1\nclass Kept:\n    inner = 3\n{names}\n")
    assert named(f"{file}:Kept.inner") == 3
    with pytest.raises(ConformError) as caught:
        named(f"{file}:name_99")
    known = ", ".join(["Kept", *(f"name_{n:02}" for n in range(11))])
    assert str(caught.value) == (
        f"{file}:name_99: got the name 'name_99'; wanted a name in {file}, such as {known}. Check the spelling."
    )


def test_an_import_that_fails_is_told_and_leaves_the_path_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    (tmp_path / "breaks_at_once.py").write_text("raise ValueError('not today')")
    for where in ("breaks_at_once", "breaks_at_once.py"):
        with pytest.raises(ConformError) as caught:
            named(f"{where}:loss")
        assert str(caught.value) == (
            f"{where}: got an import that fails: ValueError: not today; wanted a module or a .py file. "
            "Install the package, or check the spelling and the folder."
        )
    assert sys.path == before


def test_a_module_of_this_folder_comes_before_one_that_is_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "statistics_of_mine.py").write_text("import sys\npath = list(sys.path)\n")
    assert named("statistics_of_mine:path")[0] == ""


def test_a_file_of_a_package_finds_its_relatives_without_running_the_packages(tmp_path):
    inner = tmp_path / "outer_pack" / "inner_pack"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        (folder / "__init__.py").write_text("raise RuntimeError('it was run')")
    (inner / "beside.py").write_text("value = 5\n")
    (inner.parent / "above.py").write_text("value = 7\n")
    (inner / "losses.py").write_text(
        "from .beside import value as near\nfrom ..above import value as far\nwho = __name__\n"
    )
    assert named(f"{inner}/losses.py:near") == 5
    assert named(f"{inner}/losses.py:far") == 7
    assert named(f"{inner}/losses.py:who") == "outer_pack.inner_pack.losses"
    spec = sys.modules["outer_pack"].__spec__
    assert (spec.name, spec.loader, spec.submodule_search_locations) == ("outer_pack", None, [])


# Losses inside a Trainer


def test_a_stand_in_answers_as_a_model_does():
    logits = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    model = adapters.Standing(logits)
    assert (model.config.num_labels, model.config.is_encoder_decoder) == (2, False)
    assert list(model(input_ids=1)) == ["logits"]
    output = model("anything", labels=torch.tensor([1, 1]), attention_mask=None)
    assert list(output) == ["loss", "logits"]
    assert output.loss.item() == pytest.approx(
        nn.functional.cross_entropy(logits, torch.tensor([1, 1])).item()
    )
    assert output[1] is model.logits


class Counts:
    def __call__(self, outputs, labels, num_items_in_batch):
        self.seen = (outputs.logits.shape, num_items_in_batch)
        return (
            nn.functional.cross_entropy(outputs.logits, labels, reduction="sum")
            / num_items_in_batch
        )


def test_a_function_of_a_trainer_is_told_the_labels_of_the_step():
    counts = Counts()
    checked = compute_loss_func(counts, expected_failures={"in_nats": "why"})
    assert checked.name == "Counts"
    assert checked.expected_failures == {"in_nats": "why"}
    assert compute_loss_func(lambda outputs, labels, **_: outputs.logits.sum()).name == "<lambda>"
    checked.target(Output(logits=torch.zeros(4, 3)), torch.zeros(4, dtype=torch.long))
    assert counts.seen == ((4, 3), 4)


class Kept:
    """As a subclass of ``Trainer`` would be."""

    def __init__(self):
        self.seen = None
        self.kept = [1]
        self.args = None

    def compute_loss(self, model, inputs):
        Kept.seen = (vars(self), model, inputs)
        return model(**inputs).loss


def seen_by(trainer, **told):
    attributes = {"teacher": "teacher", "alpha": "args.deep.alpha", "tau": "T"}
    checked = compute_loss(trainer, attributes=attributes, **told)
    logits = torch.tensor([[1.0, 2.0, 0.0]] * 2)
    checked.target(
        student=logits,
        labels=torch.tensor([1, 0]),
        teacher=2 * logits,
        args=SimpleNamespace(deep=SimpleNamespace(alpha=0.25)),
        T=3.0,
    )
    return checked, Kept.seen


def test_the_compute_loss_of_a_class_has_what_trainer_reads():
    checked, (own, model, inputs) = seen_by(Kept, others={"extra": 5, "args.more": 6})
    assert (checked.name, dict(checked.names)) == (
        "Kept.compute_loss",
        {
            "student": "student",
            "labels": "labels",
            "teacher": "teacher",
            "alpha": "args.deep.alpha",
            "tau": "T",
        },
    )
    assert torch.equal(own["teacher"].logits, 2 * model.logits)
    args = own["args"]
    assert (args.deep.alpha, args.more, own["T"], own["extra"]) == (0.25, 6, 3.0, 5)
    assert (args.average_tokens_across_devices, args.past_index, args.n_gpu) == (False, -1, 1)
    assert (own["label_smoother"], own["compute_loss_func"]) == (None, None)
    assert own["model_accepts_loss_kwargs"] is False
    assert "kept" not in own
    assert set(inputs) == {"input_ids", "attention_mask", "labels"}
    assert inputs["input_ids"].tolist() == inputs["attention_mask"].tolist() == [[1], [1]]
    assert inputs["input_ids"].dtype is torch.long
    assert inputs["labels"].tolist() == [1, 0]


def test_the_compute_loss_of_an_object_keeps_what_the_object_has():
    mine = Kept()
    mine.args = SimpleNamespace(deep=SimpleNamespace(), own=1)
    checked, (own, *_) = seen_by(mine, expected_failures={"in_nats": "why"})
    assert checked.expected_failures == {"in_nats": "why"}
    assert (checked.name, own["kept"], own["args"].own) == ("Kept.compute_loss", [1], 1)
    assert "label_smoother" not in own
    assert "T" not in vars(mine)
    assert vars(mine.args.deep) == {}
