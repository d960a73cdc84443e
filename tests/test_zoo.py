"""The zoo: every fault is killed by the check that it names, and for what it does; controls raise no alarm."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from kdcheck.cli import main
from kdcheck.conform.trainer.relations import RELATIONS
from kdcheck.zoo import faulty_trainers, visit
from kdcheck.zoo.entry import Control, Fault
from kdcheck.zoo.sound_loop import SoundLoop

ROOT = Path(__file__).resolve().parent.parent
SHORT = 2
"""Repetitions here; docs/guides/how-kdcheck-can-be-wrong.md says what 200 gave."""
ISSUED = 40


@pytest.mark.parametrize("fault", visit.FAULTS, ids=lambda fault: f"{fault.kind}: {fault.name}")
def test_every_fault_is_killed_by_the_check_that_it_names(fault):
    assert fault.is_killed(), fault.killed_by


@pytest.mark.parametrize("control", visit.CONTROLS, ids=lambda control: control.name)
def test_no_clean_control_raises_an_alarm(control):
    assert [control.alarms(seed) for seed in range(100, 100 + SHORT)] == [()] * SHORT


def test_there_are_enough_faults_each_under_a_name_of_its_own():
    assert len(visit.FAULTS) >= ISSUED
    twice = {name for name, n in Counter((f.kind, f.name) for f in visit.FAULTS).items() if n > 1}
    assert not twice
    assert {fault.kind for fault in visit.FAULTS} == {each.kind for each in visit.CONTROLS}


def test_the_readme_says_killed_k_of_n():
    count = len(visit.FAULTS)
    assert f"killed {count} of {count}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_check_of_a_trainer_kills_a_fault():
    named = {fault.killed_by for fault in faulty_trainers.FAULTS}
    assert named == {relation.__name__ for relation in RELATIONS}


def test_a_faulty_trainer_that_only_breaks_is_killed_by_no_check():
    class Breaks(SoundLoop):
        def run(self):
            raise KeyError("a slip in the zoo")

    fault = faulty_trainers._fault(Breaks, "breaks", "none", RELATIONS[0])
    assert fault.alarms(0) == (
        f"{RELATIONS[0].__name__}: It ended in KeyError: 'a slip in the zoo'",
    )
    assert not fault.is_killed()


def planted(monkeypatch, *, alarms):
    """A zoo of one fault, which a check misses or not, and one control."""
    fault = Fault("planted", "metric", "a test", "the_check", lambda seed: alarms)
    control = Control("clean", "metric", lambda seed: ("late",) if seed == 2 and not alarms else ())
    monkeypatch.setattr(visit, "FAULTS", (fault,))
    monkeypatch.setattr(visit, "CONTROLS", (control,))


def test_the_command_says_killed_k_of_n_and_ends_with_0(monkeypatch, capsys):
    planted(monkeypatch, alarms=("the_check",))
    assert main(["zoo", "--repeat", "3"]) == 0
    told = capsys.readouterr().out
    assert "killed 1 of 1; 0 of 1 clean controls raised an alarm in 3 random repetitions" in told
    assert "planted  a test" in told


def test_a_fault_that_survives_and_a_control_that_alarms_end_it_with_1(monkeypatch, capsys):
    planted(monkeypatch, alarms=())
    assert main(["zoo", "--repeat", "3", "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["outcome"] for each in told["entries"]] == ["SURVIVED", "ALARM"]
    assert told["entries"][1]["check"] == "late"
    assert not told["right"]
    assert main(["zoo", "--repeat", "2"]) == 1
    assert "killed 0 of 1; 0 of 1 clean controls" in capsys.readouterr().out


def test_a_fault_killed_by_another_check_than_the_one_it_names_survives(monkeypatch):
    planted(monkeypatch, alarms=("some_other_check",))
    assert [each.outcome for each in visit.visit(["metric"])] == ["SURVIVED", "no alarm"]


def test_kinds_are_chosen_and_no_repetition_is_refused(capsys):
    assert main(["zoo", "--kind", "metric", "--format", "markdown"]) == 0
    told = capsys.readouterr().out
    assert "| metric | entropy in bits |" in told
    assert "| trainer |" not in told
    assert main(["zoo", "--repeat", "0"]) == 2
    assert "wanted a whole number from 1" in capsys.readouterr().err
