"""Say whether this machine can run a study: what is there, what is not, and the command that mends it.

Python, torch and its devices, memory, cores, the disk of the store, the hub, tasks and encoders with
their digests, MLflow and pytest-xdist, and the hours that each scale would take here, about. Nothing is
trained or fetched. The exit code is 1 if something RED stands in the way of the default scale; a note does
not.

Example:
  kdcheck doctor
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._source import add_store

if TYPE_CHECKING:
    from kdcheck.claims import Claim
    from kdcheck.places import Places
    from kdcheck.planning.machine import Check
    from kdcheck.study.scale import Scale

HELP = "say what of this machine stands in the way of a study, and what mends it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    text = "folders or files of claims, as for pytest (default: claims)"
    parser.add_argument("paths", nargs="*", default=["claims"], metavar="PATH", help=text)
    add_store(parser)
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of GLUE files")
    parser.add_argument("--model-dir", type=Path, metavar="DIR", help="folder of encoders")
    parser.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help="where fetched files are kept"
    )


def run(args: argparse.Namespace) -> int:
    """Print a line for each check; 1 if something stands in the way of the default scale."""
    from kdcheck.planning.machine import State

    red = 0
    for check in _checks(args):
        print(f"{check.state:<4}  {check.what:<24}  {check.said}")
        if check.mend and check.state is not State.OK:
            print(f"{'':30}  mend: {check.mend}")
        red += check.state is State.RED
    print(
        f"\n{red} in the way of the default scale"
        if red
        else "\nnothing in the way of the default scale"
    )
    return int(red > 0)


def _checks(args: argparse.Namespace) -> Iterator[Check]:
    """Every check; what needs a library that cannot be imported is left out."""
    from kdcheck.planning import machine
    from kdcheck.study.cores import cores

    yield machine.check_python()
    mend = ".venv/bin/pip install -c constraints-cpu.txt -e .  # without -c for CUDA"
    torch = machine.check_library("torch", "torch", mend)
    yield torch
    mlflow = machine.check_library("mlflow", "mlflow")
    yield mlflow
    yield machine.check_library("transformers", "transformers")
    yield machine.check_library("xdist", "pytest-xdist", needed=False)
    yield machine.check_cores()
    yield machine.check_memory(cores())
    yield machine.check_hub()
    if machine.State.RED not in (torch.state, mlflow.state):
        yield from _with_torch(args)


def _with_torch(args: argparse.Namespace) -> Iterator[Check]:
    from kdcheck.errors import InputError
    from kdcheck.evidence.store import Store
    from kdcheck.planning import machine
    from kdcheck.planning.at_hand import check_inputs
    from kdcheck.plugin.collecting import plan_paths
    from kdcheck.study.local import cuda_devices
    from kdcheck.study.scale import load

    yield machine.check_accelerator(cuda_devices(), _build())
    asked = {name: getattr(args, name) for name in ("store", "data_dir", "model_dir")}
    try:
        found = plan_paths(args.paths, **asked)
    except InputError as error:
        are_there = any(Path(each).exists() for each in args.paths)
        mend = f"pytest --collect-only {' '.join(args.paths)}" if are_there else "kdcheck init"
        yield machine.Check("claims", machine.State.RED, str(error), mend)
        return
    paper, places = found.claims[0].paper, replace(found.places, cache_dir=args.cache_dir)
    need, hours = {}, []
    for name in dict.fromkeys((*paper.scale_names, found.scale)):
        scale = load(name, paper)
        yield from check_inputs(scale, places, is_default=name == found.scale)
        need[name], check = _hours(found.claims, scale, places)
        hours.append(check)
    room = need[found.scale]
    yield machine.check_store(places.store, room, lambda place: Store.open(place).digests())
    yield from hours


def _hours(claims: Sequence[Claim], scale: Scale, places: Places) -> tuple[float, Check]:
    """Bytes that a scale leaves behind, and about how long it takes on this machine."""
    from kdcheck.errors import KdcheckError
    from kdcheck.planning.at_hand import can_be_sized
    from kdcheck.planning.devices import find, this_cpu
    from kdcheck.planning.forecast import about
    from kdcheck.planning.machine import Check, State
    from kdcheck.study.cores import cores
    from kdcheck.study.local import cuda_devices

    what, exactly = f"hours, {scale.name} scale", f"kdcheck plan --measure --scale {scale.name}"
    devices = cuda_devices()
    if scale.needs_cuda and not devices:
        said = "needs a CUDA device, and there is none"
        return 0.0, Check(what, State.NOTE, said, f"kdcheck plan --scale {scale.name}")
    device = find(_device_name()) if devices else this_cpu()
    if device is None or not can_be_sized(scale, places):
        said = "unknown" if device is None else "unknown until its data and encoders are here"
        return 0.0, Check(what, State.NOTE, said, exactly)
    try:
        size, hours = about(claims, scale, places, device, len(devices) or cores())
    except KdcheckError as error:
        return 0.0, Check(what, State.NOTE, str(error), exactly)
    shown = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    said = f"about {shown} by the model of {device.name}, {size / 1e6:.0f} MB in the store"
    return size, Check(what, State.OK, said)


def _device_name() -> str:
    import torch

    return str(torch.cuda.get_device_name(0))


def _build() -> str:
    import torch

    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
