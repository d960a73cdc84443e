"""Which argument of a stranger's loss is which: read from its signature, or told by its user."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from kdcheck.conform.loss.subject import FORMS, LAYOUTS, Loss, Slot
from kdcheck.errors import ConformError, ParameterError

TENSORS = ("student", "teacher", "labels")
ROLES = (*TENSORS, "alpha", "beta", "tau", "classes")
PATTERNS = {
    "tau": r"^(tau|t|temp|temperature|kd_?t|kd_temp\w*|\w*_temperature|temperature_\w*|\w+_temp)$",
    "alpha": r"^(alpha|lambd?a?|lamb|lam|smoothing|label_?smoothing|smooth_factor|ls_eps|eps\w*"
    r"|weight|w|soft_?weight|(kd|kl|kld|distill\w*|soft|teacher)_(weight|ratio|alpha|lambda|coef\w*"
    r"|loss_weight)|alpha_\w+|\w+_alpha|lambda_\w+|mix\w*|ratio|(w|weight)_(kd|kl|soft|distill\w*))$",
    "beta": r"^(beta|gamma|hard_?weight|(ce|hard|cls|gt|label|task|student)_(weight|ratio|beta|coef\w*"
    r"|loss_weight)|beta_\w+|\w+_beta|(w|weight)_(ce|hard|cls|gt))$",
    "classes": r"^(n|num|nb|number_of|n_of)_?(class|classes|labels|cls)$|^(class|classes|cls)(_?(num|n))?$",
    "teacher": r"teacher|(^|_)tea(_|$)|_t$|^t_|soft_?(target|label)|target_?logit|kd_?logit"
    r"|^ref(erence)?_|dark|^t$",
    "labels": r"label|^gt(_|$)|truth|y_?true|hard_?target|(^|_)ids?$",
    "student": r"student|(^|_)stu(_|$)|_s$|^s_|^s$|^(cls_?)?(logits?|outputs?|outs?|preds?|predictions?"
    r"|inputs?|x|z|scores?|y_?pred|y_?hat|predicted|estimates?|model_outputs?|log_?probs?|probs?)$",
}
EITHER = r"^(targets?|y|tgt|trg)$"
"""A name that may stand for labels, or for the teacher where those have an argument of their own."""
SMALLEST_ALPHA = 1e-3
"""An ``eps`` below this is a guard against log 0, not a weight."""
SHAPED = re.compile(r"_[NKS1]+$")
"""The suffix that tells a shape, as in ``logits_NK``."""
UNUSUAL = {"one-hot": 4, "model output": 4}
"""Forms that are tried after another reading of the same argument."""
MOST_TRIES = 72


def bindings(
    target: Any, *, name: str, arguments: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[Loss]:
    """Every way in which the loss may want to be called, the likeliest first.

    Args:
        target: a function, a class, or an object that can be called or has ``per_example``.
        name: how to call it in errors.
        arguments: settings that stay as they are, by its own names.
        names: our roles to its own names or positions, with ``:form`` where that is known.

    Raises:
        ConformError: an argument is needed that no role fits, or the signature cannot be read.
        ParameterError: an unknown role or form, or a name that the loss does not have.
    """
    told = {role: _told(role, text) for role, text in names.items()}
    constructor, called = _signatures(target, name)
    keys = {slot_key for slot_key, _ in told.values()}
    fixed = _placed(arguments, constructor, called, name)
    slots = _number_slots(constructor, called, fixed, told)
    slots |= _attribute_slots(target, slots, told)
    for role, (key, _) in told.items():
        if key in (*fixed["call"], *fixed["construct"]):
            got = f"{key!r} as {role} and as a setting that stays"
            raise ParameterError(name, got, "one of the two", "Leave out its --map or its --arg.")
    slots |= {role: _explicit(role, told[role][0], constructor, called, name) for role in told}
    taken = {s.key for s in slots.values() if s.place == "call"}
    taken |= {str(key).partition(".")[0] for key in taken | keys}
    free = [p for p in called if p.name not in taken and p.name not in fixed["call"]]
    _refuse_missing(constructor, slots, fixed["construct"], name)
    tensor_slots = _tensor_assignments(free, slots, name)
    ranked = sorted(_ranked(tensor_slots, told), key=lambda each: each[0])
    for _, roles, forms, layout in ranked[:MOST_TRIES]:
        yield Loss(
            name=name,
            target=target,
            slots={**slots, **{role: Slot("call", key) for role, key in roles.items()}},
            forms=forms,
            layout=layout,
            construct=fixed["construct"],
            call=fixed["call"],
        )


def _told(role: str, text: str) -> tuple[str | int, str]:
    """``output:probabilities`` as a name and a form; a number is a position."""
    if role not in ROLES:
        step = "As in --map teacher=soft_targets, or names={'teacher': 'soft_targets'}."
        raise ParameterError("names", f"the role {role!r}", f"one of {', '.join(ROLES)}", step)
    key, _, form = str(text).partition(":")
    if form and form not in FORMS.get(role, ()):
        forms = FORMS.get(role)
        wanted = f"one of {', '.join(forms)}" if forms else "no form: it is a number"
        raise ParameterError(f"names, {role}", f"the form {form!r}", wanted, "Correct it.")
    return (int(key) if key.isdigit() else key), form


def _signatures(target: Any, name: str) -> tuple[list[inspect.Parameter], list[inspect.Parameter]]:
    """Parameters of the constructor, if there is one, and of the call."""
    if isinstance(target, type):
        is_module = issubclass(target, torch.nn.Module)
        method = getattr(target, "forward") if is_module else _method(target)  # noqa: B009 - typed
        return _parameters(target, name), _parameters(method, name)[1:]
    if isinstance(target, torch.nn.Module):
        return [], _parameters(target.forward, name)
    if not callable(target):
        return [], _parameters(_method(target), name)
    return [], _parameters(target, name)


def _method(target: Any) -> Any:
    own = target if isinstance(target, type) else type(target)
    for method in ("__call__", "per_example", "forward"):
        if method in dir(own) and (
            method != "__call__" or any("__call__" in vars(c) for c in own.__mro__)
        ):
            return getattr(target, method)
    got = f"a {own.__name__}, which cannot be called"
    step = "Name the function or the class of the loss."
    raise ConformError(getattr(target, "__name__", own.__name__), got, "a loss", step)


def _parameters(function: Any, name: str) -> list[inspect.Parameter]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        step = "Say the places: --map student=0 --map teacher=1 --map labels=2."
        raise ConformError(name, "a function without a signature", "one", step) from error
    return list(found)


def _placed(
    arguments: Mapping[str, Any],
    constructor: Sequence[inspect.Parameter],
    called: Sequence[inspect.Parameter],
    name: str,
) -> dict[str, dict[Any, Any]]:
    """Settings that stay as they are, by place."""
    places: dict[str, dict[Any, Any]] = {"construct": {}, "call": {}}
    for key, value in arguments.items():
        head = str(key).partition(".")[0]
        if _takes(constructor, head):
            places["construct"][key] = value
        elif _takes(called, head) or str(key).isdigit():
            places["call"][int(key) if str(key).isdigit() else key] = value
        else:
            wanted = f"one of {', '.join(p.name for p in (*constructor, *called))}"
            raise ParameterError(name, f"the argument {key!r}", wanted, "Check the spelling.")
    return places


def _takes(parameters: Sequence[inspect.Parameter], name: str) -> bool:
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


def _number_slots(
    constructor: Sequence[inspect.Parameter],
    called: Sequence[inspect.Parameter],
    fixed: Mapping[str, Mapping[Any, Any]],
    told: Mapping[str, tuple[str | int, str]],
) -> dict[str, Slot]:
    """Weights, temperature and number of classes, found by name; the call goes before the constructor."""
    slots: dict[str, Slot] = {}
    for place, parameters in (("call", called), ("construct", constructor)):
        for parameter in parameters:
            role = _number_role(parameter)
            taken = parameter.name in fixed[place] or parameter.name in {
                k for k, _ in told.values()
            }
            # Two weights of one kind of name: which is which is fitted.
            other = {"alpha": "beta", "beta": "alpha"}.get(role or "")
            for each in (role, other):
                if each and not taken and each not in slots and each not in told:
                    slots[each] = Slot(place, parameter.name)
                    break
    return slots


def _number_role(parameter: inspect.Parameter) -> str | None:
    default, text = parameter.default, str(parameter.annotation)
    is_number = isinstance(default, (int, float)) and not isinstance(default, bool)
    bare = default is parameter.empty or (default is None and "float" in text)
    if not (is_number or bare) or parameter.kind in (
        parameter.VAR_KEYWORD,
        parameter.VAR_POSITIONAL,
    ):
        return None
    if "Tensor" in text or (
        bare and parameter.name in ("t", "weight", "w") and "float" not in text
    ):
        return None  # a tensor of that name: a teacher, or weights of the classes
    for role in ("tau", "alpha", "beta", "classes"):
        if re.search(PATTERNS[role], parameter.name, re.IGNORECASE):
            small = is_number and 0 < abs(float(default)) < SMALLEST_ALPHA
            return None if small and role == "alpha" else role
    return None


def _attribute_slots(
    target: Any, slots: Mapping[str, Slot], told: Mapping[str, tuple[str | int, str]]
) -> dict[str, Slot]:
    """Weights and temperature that an object keeps, found by name."""
    if isinstance(target, type) or not hasattr(target, "__dict__") or inspect.isroutine(target):
        return {}
    found: dict[str, Slot] = {}
    for name, value in vars(target).items():
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name[0] != "_":
            parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value)
            role = _number_role(parameter)
            if role and role != "classes" and role not in {*slots, *told, *found}:
                found[role] = Slot("attribute", name)
    return found


def _explicit(
    role: str,
    key: str | int,
    constructor: Sequence[inspect.Parameter],
    called: Sequence[inspect.Parameter],
    name: str,
) -> Slot:
    head = str(key).partition(".")[0]
    if head == "self":
        return Slot("attribute", str(key).partition(".")[2])
    if isinstance(key, int) or _takes(called, head):
        return Slot("call", key)
    if _takes(constructor, head):
        return Slot("construct", key)
    wanted = f"one of {', '.join(p.name for p in (*constructor, *called))}"
    step = "For an attribute of the object write self.NAME."
    raise ParameterError(f"{name}, {role}", f"the argument {key!r}", wanted, step)


def _refuse_missing(
    constructor: Sequence[inspect.Parameter],
    slots: Mapping[str, Slot],
    fixed: Mapping[Any, Any],
    name: str,
) -> None:
    heads = {str(k).partition(".")[0] for k in (*fixed, *(s.key for s in slots.values()))}
    for parameter in constructor:
        if parameter.default is parameter.empty and parameter.name not in heads:
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            got = f"no value for {parameter.name!r} of its constructor"
            step = (
                f"Give it: --arg {parameter.name}=VALUE, or arguments={{{parameter.name!r}: ...}}."
            )
            raise ConformError(name, got, "one", step)


def _tensor_assignments(
    free: Sequence[inspect.Parameter], slots: Mapping[str, Slot], name: str
) -> list[dict[str, str | int]]:
    """Which of the arguments that are left are student, teacher and labels, the likeliest first."""
    choices: list[tuple[str | int, tuple[str, ...]]] = []
    place = sum(s.place == "call" for s in slots.values())
    for parameter in free:
        if parameter.kind is parameter.VAR_POSITIONAL and not choices and "student" not in slots:
            choices = [(i, ("student", "teacher", "labels")) for i in range(place, place + 2)]
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        roles = _tensor_roles(parameter)
        if roles:
            choices.append((parameter.name, roles))
        elif parameter.default is parameter.empty:
            choices.append((parameter.name, ("student", "teacher", "labels")))
    open_roles = [role for role in TENSORS if role not in slots]
    found = []
    for roles in itertools.product(*(each for _, each in choices)):
        chosen = [role for role in roles if role != "none"]
        if len(set(chosen)) == len(chosen) and set(chosen) <= set(open_roles):
            keys = (key for key, _ in choices)
            found.append(
                {role: key for role, key in zip(roles, keys, strict=True) if role != "none"}
            )
    found = [each for each in found if "student" in each or "student" in slots]
    if not found:
        got = f"arguments {', '.join(str(key) for key, _ in choices) or 'of no known meaning'}"
        step = "Say which is which: --map student=NAME --map teacher=NAME --map labels=NAME."
        raise ConformError(name, got, "student, and teacher or labels among them", step)
    return found


def _tensor_roles(parameter: inspect.Parameter) -> tuple[str, ...]:
    """What the argument may be, by its name; nothing if it has a default and no such name."""
    bare = SHAPED.sub("", parameter.name).lower()
    optional = parameter.default is not parameter.empty
    if optional and parameter.default is not None:
        return ()
    for role in ("teacher", "labels", "student"):
        if re.search(PATTERNS[role], bare):
            return (role, "none") if optional else (role,)
    if re.search(EITHER, bare):
        return ("labels", "teacher", "none") if optional else ("labels", "teacher")
    return ()


def _ranked(
    assignments: Sequence[Mapping[str, str | int]], told: Mapping[str, tuple[str | int, str]]
) -> Iterator[tuple[int, Mapping[str, str | int], dict[str, str], str]]:
    """Assignments with forms and layouts, each with how much it would surprise."""
    for order, roles in enumerate(assignments):
        present = [role for role in TENSORS if role in roles or role in told]
        keys = {**{role: key for role, (key, _) in told.items()}, **roles}
        choices = [_forms(role, keys[role], told.get(role, ("", ""))[1]) for role in present]
        for picked in itertools.product(*(enumerate(each) for each in choices)):
            surprise = sum(UNUSUAL.get(form, 0) + place for place, form in picked)
            forms = {role: form for role, (_, form) in zip(present, picked, strict=True)}
            for far, layout in enumerate(LAYOUTS):
                yield 3 * order + surprise + 4 * far, roles, forms, layout


def _forms(role: str, key: str | int, told: str) -> tuple[str, ...]:
    if told:
        return (told,)
    name, forms = str(key).lower(), FORMS[role]
    first = "model output" if re.search(r"model_out", name) else None
    if re.search(r"log_?p|log_?soft|logprob", name):
        first = "log-probabilities"
    elif re.search(r"prob|softmax", name) and role != "labels":
        first = "probabilities"
    elif re.search(r"one_?hot", name):
        first = "one-hot"
    return forms if first is None else (first, *(form for form in forms if form != first))
