"""``kdcheck conform`` and the decorator: what is printed, what the exit code says, what is refused."""

from __future__ import annotations

import json

import pytest

from kdcheck.cli import main
from kdcheck.conform.loss import checked_loss, parametrize_with_checks
from kdcheck.conform.loss.marking import Check
from kdcheck.errors import ParameterError
from tests import foreign_losses as foreign
from tests.refusal import refused

LOSS = """
from torch.nn import functional as F

def smoothing(guess, truth, amount, reduction="mean"):
    return F.cross_entropy(guess, truth, label_smoothing=amount, reduction=reduction)
"""
MAPPED = ("--map", "student=guess", "--map", "labels=truth", "--map", "alpha=amount")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of a user, with a loss in it."""
    (tmp_path / "mine_to_check.py").write_text(LOSS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


STRANGE = """
def ends(student, teacher, labels):
    raise SystemExit(0)

def loud(student, teacher, labels):
    raise ValueError("red \\x1b[31m\\nand more")

def long(student, teacher, labels):
    raise ValueError("x" * 10**6)

class Shy:
    def __getattr__(self, name):
        raise RuntimeError("none of your business")

shy = Shy()

calls = []

def tired(student, teacher, labels):
    calls.append(1)
    if len(calls) > 200:
        raise ValueError(f"tired after {len(calls)}")
    return (teacher.softmax(-1) * -student.log_softmax(-1)).sum()
"""


@pytest.fixture
def strangers(here):
    """Files that are no losses, or not as one thinks of them."""
    (here / "this_ends.py").write_text("raise SystemExit(0)")
    (here / "strange_losses.py").write_text(STRANGE)


def test_a_loss_that_no_longer_answers_fails_its_checks_and_ends_nothing(strangers, capsys):
    assert main(["conform", "strange_losses.py:tired"]) == 1
    assert "tired after" in capsys.readouterr().out


def test_a_loss_of_a_file_is_checked_with_its_own_names_and_settings(here, capsys):
    asked = ["conform", "mine_to_check.py:smoothing", *MAPPED, "--arg", "reduction=none", "--json"]
    assert main(asked) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "Eq. 1 with alpha = amount"
    assert report["convention"]["reduction"] == "one value per example"


def test_a_loss_of_a_module_in_this_folder_is_found(here, capsys):
    assert main(["conform", "mine_to_check:smoothing", *MAPPED, "--arg", "amount=0.2"]) == 2
    assert "amount" in capsys.readouterr().err
    asked = ["conform", "mine_to_check:smoothing", *MAPPED[:4], "--arg", "amount=0.2"]
    assert main(asked) == 0
    assert "Eq. 1 with alpha = 0.2 built in" in capsys.readouterr().out


def test_a_failed_check_ends_with_1_and_one_that_was_expected_with_0(capsys):
    asked = ["conform", "torch.nn:KLDivLoss"]
    assert main(asked) == 1
    told = capsys.readouterr().out
    assert "torch.nn:KLDivLoss: 1/K of Eq. 2's soft term alone" in told
    assert "failed             sums_over_classes" in told
    assert "failed             no_gradient_to_the_teacher" in told
    asked += ["--expect", "sums_over_classes=torch says so itself"]
    assert main(asked) == 1
    asked += ["--expect", "no_gradient_to_the_teacher=its caller detaches"]
    assert main(asked) == 0
    assert capsys.readouterr().out.count("expected failure   ") == 3


@pytest.mark.parametrize(
    ("asked", "facts"),
    [
        (["torch.nn"], ["MODULE:NAME", "losses.py:kd_loss"]),
        (["no_such_package.x:y"], ["ModuleNotFoundError", "Install"]),
        (["no_such_file.py:y"], ["FileNotFoundError"]),
        (["torch.nn:KLDivergence"], ["'KLDivergence'", "spelling"]),
        (["torch.nn:KLDivLoss", "--arg", "reduction"], ["'reduction'", "NAME=VALUE"]),
        (["math:pi"], ["cannot be called"]),
        (["math:hypot"], ["--map student=0"]),
        (["torch.nn:KLDivLoss", "--arg", "a=1", "--arg", "a=2"], ["a a second time"]),
        (["this_ends.py:loss"], ["an import that fails: SystemExit: 0"]),
        (["strange_losses.py:ends"], ["a call that ends with RuntimeError: exit with 0"]),
        (["strange_losses.py:loud"], ["ValueError: red ?[31m; wanted"]),
        (["strange_losses.py:long"], [f"ValueError: {'x' * 300}; wanted"]),
        (["strange_losses.py:shy"], ["code that ends with RuntimeError: none of your business"]),
    ],
)
@pytest.mark.usefixtures("strangers")
def test_what_cannot_be_run_ends_with_2_and_says_the_next_step(asked, facts, capsys):
    assert main(["conform", *asked]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for fact in facts:
        assert fact in error


def test_the_decorator_makes_a_test_of_each_check_and_expectations_strict():
    known = {"tau_squared_once": "as its paper has it"}
    loss = checked_loss(foreign.tau_squared_dropped, expected_failures=known)
    mark = parametrize_with_checks([loss, foreign.hinton]).mark
    found = {each.id: each for each in mark.args[1]}
    assert "hinton-student_shift" in found
    expected = found["tau_squared_dropped-tau_squared_once"].marks
    assert [(each.name, each.kwargs) for each in expected] == [
        ("xfail", {"reason": "as its paper has it", "strict": True})
    ]
    assert [each.id for each in mark.args[1] if each.marks] == [
        "tau_squared_dropped-tau_squared_once"
    ]


def test_a_check_passes_fails_with_the_smallest_input_or_skips_with_the_reason():
    loss = checked_loss(foreign.mse_of_logits)
    Check("teacher_shift")(checked_loss(foreign.reverse_kl))
    with pytest.raises(AssertionError, match=r"smallest: student \[\[0\.0, 0\.0\]\]"):
        Check("student_shift")(loss)
    with pytest.raises(pytest.skip.Exception, match="no labels"):
        Check("two_classes")(loss)


def test_an_expectation_of_an_unknown_check_is_refused():
    loss = checked_loss(foreign.hinton, expected_failures={"tau": "x"})
    with refused(ParameterError, "'tau'", "tau_scaling"):
        parametrize_with_checks([loss])
