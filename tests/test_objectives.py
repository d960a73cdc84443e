"""Objectives as objects: their record, their registry, their defaults, and what they refuse."""

# Shapes: N examples, K classes.

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from kdcheck import objectives
from kdcheck.errors import LabelError, ParameterError, ShapeError
from kdcheck.objectives import (
    ERM,
    ConfidencePenalty,
    Distillation,
    InstanceSmoothing,
    LabelSmoothing,
    Objective,
    SelfTraining,
    VirtualTeacher,
    members,
    origin,
)

# (objective, name, teacher?, what its constant is called, its record)
KD_DEFAULTS = {"temperature": 1.0, "tau_squared": True}
FAMILY = [
    (ERM(), "erm", False, "0", {}),
    (LabelSmoothing(0.3), "ls", False, "alpha log K", {"alpha": 0.3}),
    (Distillation(0.3), "kd", True, "alpha H(p^t)", {"alpha": 0.3, **KD_DEFAULTS}),
    (SelfTraining(0.3), "self_training", True, "alpha H(p^t)", {"alpha": 0.3, **KD_DEFAULTS}),
    (
        VirtualTeacher(0.3),
        "virtual_teacher",
        False,
        "alpha H(virtual teacher)",
        {"alpha": 0.3, "correct_probability": 0.99, **KD_DEFAULTS},
    ),
    (InstanceSmoothing(0.3), "instance_smoothing", True, "alpha H(smoothed label)", {"alpha": 0.3}),
    (ConfidencePenalty(0.3), "confidence_penalty", False, None, {"alpha": 0.3}),
]
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]])
TEACHER = torch.tensor([[3.0, 1.0, -2.0], [1.0, 0.0, 0.5]])
LABELS = torch.tensor([0, 2])


@pytest.fixture
def empty_registry(monkeypatch):
    """Lets a test define objectives without leaving them behind."""
    monkeypatch.setattr("kdcheck.objectives.objective._REGISTRY", objectives.registered())


def refuses(error_type, message):
    return pytest.raises(error_type, match=f"^{re.escape(message)}$")


@pytest.mark.parametrize(("objective", "name", "needs_teacher", "constant", "record"), FAMILY)
def test_an_objective_states_its_name_its_teacher_its_constant_and_its_parameters(
    objective, name, needs_teacher, constant, record
):
    assert objective.name == name
    assert objective.needs_teacher is needs_teacher
    assert getattr(objective, "constant_name", None) == constant
    assert objective.as_dict() == {"name": name, **record}


@pytest.mark.parametrize("objective", [entry[0] for entry in FAMILY])
def test_an_objective_survives_the_way_through_json_and_cannot_be_changed(objective):
    assert objectives.from_dict(json.loads(json.dumps(objective.as_dict()))) == objective
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.alpha = 0.9


def test_equal_objectives_have_one_json_text_whatever_type_their_numbers_had():
    texts = {
        json.dumps(LabelSmoothing(alpha).as_dict())
        for alpha in (1, 1.0, np.float32(1), np.float64(1), np.int64(1))
    }
    assert texts == {'{"name": "ls", "alpha": 1.0}'}
    record = Distillation(0.5, temperature=2, tau_squared=False).as_dict()
    assert record["tau_squared"] is False
    assert (type(record["temperature"]), record["temperature"]) == (float, 2.0)


def test_the_registry_holds_the_family_and_is_a_copy():
    known = objectives.registered()
    assert {entry[1]: type(entry[0]) for entry in FAMILY}.items() <= known.items()
    known.clear()
    assert objectives.registered()


@pytest.mark.usefixtures("empty_registry")
def test_a_new_objective_registers_itself_under_its_name():
    @dataclasses.dataclass(frozen=True)
    class Focal(Objective):
        name = "focal"
        note: str = "text stays text"

        def per_example(self, logits_NK, labels_N, teacher_logits_NK=None):
            return logits_NK.sum(dim=-1)

    assert objectives.registered()["focal"] is Focal
    assert objectives.from_dict({"name": "focal"}).as_dict() == {
        "name": "focal",
        "note": "text stays text",
    }
    assert Focal().needs_teacher is False


DEFINES = """
import dataclasses
from kdcheck.objectives import Objective

@dataclasses.dataclass(frozen=True)
class Focal(Objective):
    name = "focal"

    def per_example(self, logits_NK, labels_N, teacher_logits_NK=None):
        return logits_NK.sum(dim=-1)
"""


@pytest.fixture
def write(empty_registry, tmp_path, monkeypatch):
    """Write a module; what is loaded from it, and where from, is forgotten again."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)

    def file(name, text=DEFINES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    yield file
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_objective_is_loaded_from_its_file_and_says_where_it_comes_from(write):
    with pytest.raises(ParameterError):
        objectives.from_dict({"name": "focal"})
    file = write("defines_focal.py")
    objectives.load_modules([file])
    focal = objectives.from_dict({"name": "focal"})
    assert objectives.modules_of([ERM(), focal, focal]) == (file,)


def test_a_file_of_a_package_is_loaded_with_its_relative_imports(write):
    write("lab/__init__.py", "")
    inner = write("lab/losses/defines.py")
    outer = write("lab/losses/__init__.py", "from .defines import Focal")
    objectives.load_modules([outer])
    focal = objectives.from_dict({"name": "focal"})
    assert type(focal).__module__ == "lab.losses.defines"
    assert objectives.modules_of([focal]) == (inner,)
    assert "lab.losses.__init__" not in sys.modules  # it would be made a second time


def test_a_file_that_is_loaded_under_another_name_is_left_alone(write, monkeypatch):
    file = write("script.py")
    main = types.ModuleType("__main__")
    main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(compile(DEFINES, file, "exec"), vars(main))  # noqa: S102
    focal = main.Focal()
    assert objectives.modules_of([focal]) == (file,)
    objectives.load_modules([file])
    assert objectives.from_dict({"name": "focal"}) == focal
    # As `python -m package` has it: no other process can import what is called __main__ here.
    monkeypatch.setattr(origin, "_INSTALLED", (Path(file).parent,))
    assert objectives.modules_of([focal]) == (file,)


def test_an_installed_module_is_named_and_one_without_a_file_is_refused(write, monkeypatch):
    file = write("installed_focal.py")
    objectives.load_modules([file])
    focal = objectives.from_dict({"name": "focal"})
    monkeypatch.setattr(origin, "_INSTALLED", (Path(file).parent,))
    assert objectives.modules_of([focal]) == ("installed_focal",)
    objectives.load_modules(["installed_focal"])
    del sys.modules["installed_focal"].__file__
    with pytest.raises(ParameterError) as caught:
        objectives.modules_of([focal])
    assert str(caught.value) == (
        "objective 'focal': got module 'installed_focal', which is no file; wanted a class in a file, which workers "
        "can load. Put the class into a .py file and import it from there."
    )


def test_a_file_comes_before_a_module_of_its_name_elsewhere_on_the_path(write, monkeypatch):
    write("elsewhere/same_name.py", "1 / 0")
    file = write("lab/same_name.py")
    monkeypatch.syspath_prepend(str(Path(file).parents[1] / "elsewhere"))
    objectives.load_modules([file])
    assert objectives.modules_of([objectives.from_dict({"name": "focal"})]) == (file,)


@pytest.mark.parametrize("text", [None, "1 / 0"])
def test_a_module_that_cannot_be_loaded_is_named_with_the_reason(write, tmp_path, text):
    file = write("fails.py", text) if text else str(tmp_path / "absent.py")
    reason = "ZeroDivisionError: division by zero" if text else "FileNotFoundError: "
    with pytest.raises(ParameterError) as caught:
        objectives.load_modules(["json", file])
    error = caught.value
    assert error.who == "module of an objective"
    assert error.got.startswith(f"{file!r}, whose import fails: {reason}")
    assert error.wanted == "the name of a module or the path of a .py file that can be imported"
    assert error.next_step == "Check the spelling, and whether the file is still there."


def test_another_process_loads_what_this_one_names(write):
    objectives.load_modules([write("for_workers.py")])
    named = objectives.modules_of([objectives.from_dict({"name": "focal"})])
    code = f"from kdcheck import objectives as o; o.load_modules({named}); print(o.from_dict({{'name': 'focal'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "Focal()\n", done.stderr


@pytest.mark.usefixtures("empty_registry")
def test_a_slotted_dataclass_which_python_makes_twice_registers_once():
    @dataclasses.dataclass(frozen=True, slots=True)
    class Slotted(Objective):
        name = "slotted"

        def per_example(self, logits_NK, labels_N, teacher_logits_NK=None):
            return logits_NK.sum(dim=-1)

    assert objectives.registered()["slotted"] is Slotted


@pytest.mark.usefixtures("empty_registry")
def test_a_base_without_a_name_is_not_registered():
    before = objectives.registered()

    class Base(Objective):
        """No name: not an objective yet."""

    assert objectives.registered() == before


@pytest.mark.usefixtures("empty_registry")
def test_two_objectives_cannot_share_a_name():
    message = (
        "objective test_objectives.Distillation: got the name 'kd', which belongs to "
        "kdcheck.objectives.members.Distillation; wanted a name of its own. Recipes are told apart "
        "by it: pick another."
    )
    with refuses(ParameterError, message):
        # Another module's class of the same name is another objective all the same.
        type("Distillation", (Objective,), {"name": "kd", "__module__": "test_objectives"})
    with pytest.raises(
        ParameterError, match=r"^objective kdcheck\.objectives\.members\.Other: got"
    ):
        type("Other", (Objective,), {"name": "kd", "__module__": members.__name__})
    assert objectives.registered()["kd"] is Distillation


def test_an_unknown_name_is_refused_with_the_known_ones():
    known = ", ".join(sorted(objectives.registered()))
    next_step = "Check the spelling, or load the module that defines it: kdcheck --load FILE ..."
    with refuses(
        ParameterError, f"objective: got the name 'lss'; wanted one of {known}. {next_step}"
    ):
        objectives.from_dict({"name": "lss", "alpha": 0.1})
    with refuses(
        ParameterError, f"objective: got the name None; wanted one of {known}. {next_step}"
    ):
        objectives.from_dict({"alpha": 0.1})


def test_a_parameter_that_would_have_no_effect_is_refused():
    with refuses(
        ParameterError,
        "objective 'erm': got the parameter 'alpha'; wanted only its name. Remove it: it would have "
        "no effect.",
    ):
        objectives.from_dict({"name": "erm", "alpha": 0.1})
    with refuses(
        ParameterError,
        "objective 'kd': got the parameter 'beta'; wanted only alpha, temperature, tau_squared. "
        "Remove it: it would have no effect.",
    ):
        objectives.from_dict({"name": "kd", "zeta": 1, "beta": 2})


def test_a_missing_parameter_is_named():
    with pytest.raises(ParameterError) as caught:
        objectives.from_dict({"name": "kd"})
    error = caught.value
    assert error.who == "objective 'kd'"
    assert "'alpha'" in error.got  # the rest is Python's own wording
    assert error.wanted == "values for alpha, temperature, tau_squared"
    assert error.next_step == "Add them."
    assert isinstance(error.__cause__, TypeError)


def test_from_dict_leaves_the_mapping_of_the_caller_alone():
    values = {"name": "ls", "alpha": 0.2}
    objectives.from_dict(values)
    assert values == {"name": "ls", "alpha": 0.2}


@pytest.mark.parametrize(
    ("make", "who"),
    [
        (
            lambda: VirtualTeacher(0.1, correct_probability=99),
            "virtual_teacher, correct_probability",
        ),
        (lambda: VirtualTeacher(0.1, tau_squared="no"), "virtual_teacher, tau_squared"),
        (lambda: VirtualTeacher(0.1, temperature=0), "virtual_teacher, temperature"),
        (lambda: Distillation(0.1, tau_squared=1), "distillation, tau_squared"),
        (lambda: Distillation(0.1, temperature=-1), "distillation, temperature"),
    ],
)
def test_every_parameter_is_checked_when_the_object_is_made(make, who):
    with pytest.raises(ParameterError) as caught:
        make()
    assert caught.value.who == who


# Values by hand


def test_values_by_hand_at_two_classes():
    # p = (3/4, 1/4), teacher (9/10, 1/10), label 0.
    logits_NK = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    teacher_NK = torch.tensor([[math.log(9), 0.0]], dtype=torch.float64)
    labels_N = torch.tensor([0])
    hard = -math.log(0.75)
    uniform = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    teacher = 0.9 * math.log(0.9 / 0.75) + 0.1 * math.log(0.1 / 0.25)
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    expected = {
        ERM(): hard,
        LabelSmoothing(0.2): 0.8 * hard + 0.2 * uniform,
        Distillation(0.2): 0.8 * hard + 0.2 * teacher,
        SelfTraining(0.2): 0.8 * hard + 0.2 * teacher,
        VirtualTeacher(0.2, 0.9): 0.8 * hard + 0.2 * teacher,
        InstanceSmoothing(0.2): 0.8 * hard + 0.2 * teacher,
        ConfidencePenalty(0.2): hard - 0.2 * entropy,
    }
    for objective, value in expected.items():
        loss_N = objective.per_example(logits_NK, labels_N, teacher_NK)
        # A handful of roundings of numbers below 2.
        assert loss_N.item() == pytest.approx(value, abs=16 * 2.2e-16)


def test_temperature_by_hand_softens_both_sides_of_the_soft_term_and_no_other():
    # At tau = 2 logits log 9 and 0 give (3/4, 1/4), and 0 and 0 stay uniform.
    logits_NK = torch.tensor([[math.log(9), 0.0]], dtype=torch.float64)
    teacher_NK, labels_N = torch.zeros(1, 2).double(), torch.tensor([0])
    soft = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    hard = -math.log(0.9)
    for tau_squared, scale in ((True, 4.0), (False, 1.0)):
        objective = Distillation(0.25, temperature=2.0, tau_squared=tau_squared)
        loss_N = objective.per_example(logits_NK, labels_N, teacher_NK)
        assert loss_N.item() == pytest.approx(0.75 * hard + 0.25 * scale * soft, abs=16 * 2.2e-16)


def test_a_virtual_teacher_keeps_its_shape_at_any_temperature():
    for temperature in (1e-6, 1e-3, 1.0, 1e6):
        objective = VirtualTeacher(0.5, correct_probability=0.5, temperature=temperature)
        soft_NK = objective.soft_target(LOGITS, LABELS, None)
        assert torch.isfinite(soft_NK).all()
        assert soft_NK.sum(-1).tolist() == pytest.approx([1.0, 1.0], abs=4 * 1.2e-7)
    # (1/2, 1/4, 1/4) at tau = 1/2 is squared and normalised: 4/6, 1/6, 1/6.
    soft_NK = VirtualTeacher(0.5, 0.5, temperature=0.5).soft_target(LOGITS, LABELS, None)
    assert soft_NK[0].tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6], abs=4 * 1.2e-7)


def test_a_virtual_teacher_that_gives_the_label_nothing_points_elsewhere():
    soft_NK = VirtualTeacher(0.5, correct_probability=0.0).soft_target(LOGITS, LABELS, None)
    assert soft_NK.tolist() == [[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]]


@pytest.mark.parametrize(
    ("function", "objective", "options"),
    [
        (objectives.erm, ERM(), {}),
        (objectives.label_smoothing, LabelSmoothing(0.3), {"alpha": 0.3}),
        (objectives.distillation, Distillation(0.3), {"alpha": 0.3}),
        (
            objectives.distillation,
            Distillation(0.3, 4.0, tau_squared=False),
            {"alpha": 0.3, "temperature": 4.0, "tau_squared": False},
        ),
        (objectives.self_training_distillation, SelfTraining(0.3), {"alpha": 0.3}),
        (objectives.distillation, Distillation(0.3, 4.0), {"alpha": 0.3, "temperature": 4.0}),
        (
            objectives.self_training_distillation,
            SelfTraining(0.3, 4.0),
            {"alpha": 0.3, "temperature": 4.0},
        ),
        (
            objectives.virtual_teacher_distillation,
            VirtualTeacher(0.3, temperature=4.0),
            {"alpha": 0.3, "temperature": 4.0},
        ),
        (
            objectives.self_training_distillation,
            SelfTraining(0.3, 4.0, tau_squared=False),
            {"alpha": 0.3, "temperature": 4.0, "tau_squared": False},
        ),
        (objectives.virtual_teacher_distillation, VirtualTeacher(0.3), {"alpha": 0.3}),
        (
            objectives.virtual_teacher_distillation,
            VirtualTeacher(0.3, 0.8, 4.0, tau_squared=False),
            {"alpha": 0.3, "correct_probability": 0.8, "temperature": 4.0, "tau_squared": False},
        ),
        (objectives.instance_smoothing, InstanceSmoothing(0.3), {"alpha": 0.3}),
        (objectives.confidence_penalty, ConfidencePenalty(0.3), {"alpha": 0.3}),
    ],
)
def test_function_and_object_are_one_formula_with_the_same_defaults(function, objective, options):
    teacher = (TEACHER,) if objective.needs_teacher else ()
    expected_N = objective.per_example(LOGITS, LABELS, TEACHER)
    assert torch.equal(function(LOGITS, LABELS, *teacher, **options), expected_N)
    # Labels of a narrow type are widened, since torch gathers by 64-bit indices.
    assert torch.equal(function(LOGITS, LABELS.to(torch.uint8), *teacher, **options), expected_N)


@pytest.mark.parametrize(
    "function",
    [objectives.distillation, objectives.self_training_distillation, objectives.instance_smoothing],
)
def test_teacher_and_student_of_different_shapes_are_refused_not_broadcast(function):
    with refuses(
        ShapeError,
        f"{function.__name__}: got logits of shape (2, 3) and teacher logits of shape (1, 3); wanted "
        "equal shapes. Both must cover the same examples and the same classes, in the same order.",
    ):
        function(LOGITS, LABELS, TEACHER[:1], alpha=0.5)


@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        (objectives.erm, (), {}),
        (objectives.label_smoothing, (), {"alpha": 0.1}),
        (objectives.distillation, (TEACHER,), {"alpha": 0.1}),
        (objectives.self_training_distillation, (TEACHER,), {"alpha": 0.1}),
        (objectives.virtual_teacher_distillation, (), {"alpha": 0.1}),
        (objectives.instance_smoothing, (TEACHER,), {"alpha": 0.1}),
        (objectives.confidence_penalty, (), {"alpha": 0.1}),
    ],
)
def test_every_function_names_itself_when_it_refuses(function, arguments, options):
    with pytest.raises(LabelError) as caught:
        function(LOGITS, torch.tensor([0, 3]), *arguments, **options)
    assert caught.value.who == f"{function.__name__}, labels"
    assert caught.value.wanted == "class ids from 0 to 2"


def test_a_temperature_that_overflows_either_sides_logits_is_refused():
    large = torch.tensor([[2e38, 0.0, 0.0]] * 2)
    for student, teacher in ((large, TEACHER), (LOGITS, large)):
        with pytest.raises(ParameterError, match=r"^distillation, temperature: got 1e-06, which"):
            objectives.distillation(student, LABELS, teacher, alpha=0.5, temperature=1e-6)
    # Only a temperature can overflow: at 1, and for ERM, such logits are merely large.
    objectives.distillation(large, LABELS, TEACHER, alpha=0.5)
    assert objectives.erm(large, LABELS).tolist() == pytest.approx([0.0, 2e38])
    assert objectives.confidence_penalty(large, LABELS, alpha=0.1)[0] == 0.0


@pytest.mark.parametrize("objective", [entry[0] for entry in FAMILY])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_a_float32_loss_and_a_half_precision_gradient(objective, dtype):
    logits_NK = LOGITS.to(dtype).requires_grad_()
    loss_N = objective.per_example(logits_NK, LABELS, TEACHER.to(dtype))
    assert loss_N.dtype == torch.float32
    exact_N = objective.per_example(logits_NK.detach().double(), LABELS, TEACHER.to(dtype).double())
    # Sums of 3 terms below 8: rounding.loss with S = 3 and K = 3 is about 500 eps.
    assert (loss_N - exact_N).abs().max() < 500 * torch.finfo(torch.float32).eps
    loss_N.sum().backward()
    assert logits_NK.grad.dtype == dtype


@pytest.mark.parametrize("objective", [entry[0] for entry in FAMILY if entry[2]])
def test_a_loop_that_forgets_the_teacher_is_a_bug_and_is_told_so(objective):
    with pytest.raises(AssertionError) as caught:
        objective.per_example(LOGITS, LABELS)
    # Where kdcheck is installed it is a pytest plugin, whose asserts pytest explains in further lines.
    assert str(caught.value).splitlines()[0] == "an objective with needs_teacher is given one"


# The target-distribution view


@pytest.mark.parametrize("objective", [e[0] for e in FAMILY if e[3] is not None])
def test_the_view_names_the_constant_and_gives_its_value(objective):
    view = objectives.target_view(objective, LOGITS, LABELS, TEACHER)
    assert view.constant_name == objective.constant_name
    soft_NK = objective.soft_target(LOGITS, LABELS, TEACHER).double()
    entropy_N = -torch.special.xlogy(soft_NK, soft_NK).sum(-1)
    expected_N = objective.alpha * entropy_N
    assert (view.constant_N - expected_N).abs().max() < 8 * torch.finfo(torch.float32).eps
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.constant_name = "other"


def test_the_view_is_wide_where_the_logits_are_half_precision():
    view = objectives.target_view(LabelSmoothing(0.3), LOGITS.bfloat16(), LABELS)
    assert view.targets_NK.dtype == torch.float32
    assert view.constant_N.tolist() == pytest.approx([0.3 * math.log(3)] * 2, abs=4 * 1.2e-7)


def test_there_is_no_view_of_a_target_that_moves_or_of_two_temperatures():
    with refuses(
        ParameterError,
        "target_view: got ConfidencePenalty(alpha=0.1); wanted an objective with a fixed target. "
        "This one's target moves with the model; see its gradient in kdcheck.theory.",
    ):
        objectives.target_view(ConfidencePenalty(0.1), LOGITS, LABELS)
    with refuses(
        ParameterError,
        "target_view: got Distillation(alpha=0.1, temperature=2.0, tau_squared=True); wanted "
        "temperature 1. At other temperatures the two terms see different posteriors: no one target "
        "exists.",
    ):
        objectives.target_view(Distillation(0.1, 2.0), LOGITS, LABELS, TEACHER)


# The two bricks of every target


def test_one_hot_and_peaked_rows_have_the_type_of_the_widened_logits():
    for dtype, wide in ((torch.float64, torch.float64), (torch.bfloat16, torch.float32)):
        hot_NK = members.one_hot_like(LOGITS.to(dtype), LABELS)
        assert hot_NK.dtype == wide
        assert hot_NK.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    peaked_NK = members.peaked(LOGITS, LABELS, torch.tensor([1.0, 0.5]))
    assert peaked_NK.tolist() == [[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]]
