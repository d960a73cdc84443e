"""Conventions of losses put together by hand: terms of the library with weights that a test chooses."""

from __future__ import annotations

import math

from kdcheck.conform.loss.convention import Convention
from kdcheck.conform.loss.fitting import Fit, Part
from kdcheck.conform.loss.laws import Law, Weight, constant
from kdcheck.conform.loss.subject import Loss, Slot
from kdcheck.conform.loss.terms import library

BITS = 1 / math.log(2)
TERMS = library(labels=True, teacher=True, temperatures=("1", "tau", "1/tau", "4"))
ZERO, ONE = constant(0.0), constant(1.0)
ALPHA, BETA = Weight((0.0, 1.0, 0.0, 0.0)), Weight((0.0, 0.0, 1.0, 0.0))
REST = Weight((1.0, -1.0, 0.0, 0.0))


def part(kind, weight=ONE, *, taus=("1", "1"), tau=0, classes="1", examples="1/{}"):
    """A part of this kind, at these temperatures of student and teacher."""
    sides = [t for t in TERMS if t.kind == kind and (t.student_tau, t.teacher_tau) == taus]
    return Part(sides[0], Law(weight, tau, classes, examples))


def hard(weight=ONE, *, tau="1", **sizes):
    return part("ce_label", weight, taus=(tau, "1"), **sizes)


def soft(weight=ONE, kind="kl", *, taus=("tau", "tau"), tau=2, **sizes):
    return part(kind, weight, taus=taus, tau=tau, **sizes)


def found(*parts, roles="student teacher labels alpha beta tau", error=0.0, **names):
    """The convention of a loss that takes these roles, under these names, and has these parts."""
    slots = {role: Slot("call", names.get(role, role)) for role in roles.split()}
    loss = Loss(name="loss", target=print, slots=slots, forms={})
    return Convention(loss, Fit(loss, parts, error), "", "", (), "", "mean over examples")
