"""Open the MLflow UI on the store: verdicts, trainings, curves and files, on this machine only.

Example:
    kdcheck ui --store .kdcheck/store --port 5000
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from kdcheck.cli._source import add_store
from kdcheck.errors import EvidenceError, OptionError
from kdcheck.places import Location, Places

HELP = "open the MLflow UI on the store"
HOST = "127.0.0.1"
LAST_PORT = 65535
START_TIMEOUT_SECONDS = 90
STOP_TIMEOUT_SECONDS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_store(parser)
    parser.add_argument(
        "--port", type=int, default=5000, help="port on 127.0.0.1, 0 for a free one (default: 5000)"
    )
    parser.add_argument(
        "--print-url", action="store_true", help="print the links and start no server"
    )


def run(args: argparse.Namespace) -> int:
    """Print the links, and for a store on this machine serve them until Ctrl-C.

    Raises:
        EvidenceError: there is no store, or the server does not come up or ends by itself.
        OptionError: the port is in use.
    """
    from kdcheck.evidence.store import Store
    from kdcheck.evidence.tracking import no_store

    location = Places.resolve(store=args.store).store
    print(f"store      {location} ({location.origin})")
    if location.database is None:
        _print_links(Store.open(location), location.address)
        return 0
    if not location.database.exists():
        raise no_store(location, f"no database {location.database.name} there")
    # Not merely opened: a folder that was moved is put right, so that its files are found.
    store = Store.create(location)
    lowest = 1 if args.print_url else 0  # 0 is any that is free, which no link can name
    if not lowest <= args.port <= LAST_PORT:
        step = "Choose another, or --port 0 without --print-url for any that is free."
        raise OptionError("--port", str(args.port), f"a port from {lowest} to {LAST_PORT}", step)
    port = args.port if args.print_url else free_port(args.port)
    address = f"http://{HOST}:{port}"
    if args.print_url:
        _print_links(store, address)
        return 0
    with serve(location, port) as server:
        _print_links(store, address)
        print("Ctrl-C stops the server.", flush=True)
        _wait(server)
    return 0


def _print_links(store: Any, base: str) -> None:
    print(f"verdicts   {store.claims_url(base=base)}")
    print(f"trainings  {store.trainings_url(base=base)}")
    print(f"curves     {store.trainings_url(chart=True, base=base)}")


def free_port(wanted: int) -> int:
    """The port, if nothing listens there; for 0 any that is free.

    Raises:
        OptionError: it is in use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            next_step = "Choose another, or --port 0 for any that is free."
            raise OptionError("--port", f"{wanted} ({error})", "a free port", next_step) from error
        return int(probe.getsockname()[1])


@contextmanager
def serve(location: Location, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An MLflow server on a local store, up when the block starts and gone when it ends.

    One worker and no job runner: 2 processes and half a GB instead of 13 and 2.6 GB.

    Raises:
        EvidenceError: it did not come up; the message has the end of its log.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", location.uri]
    command += ["--artifacts-destination", str(location.artifacts)]
    with tempfile.TemporaryFile("w+") as log, _stopped_by_signals():
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command,
            env=environment(),
            cwd=location.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_health(process, port, log)
            yield process
        finally:
            _stop(process)


def environment() -> dict[str, str]:
    """What the server is told: nothing that points MLflow elsewhere or opens it to other machines."""
    passed_on = {k: v for k, v in os.environ.items() if "MLFLOW_" not in k}
    ours = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return passed_on | ours


def _await_health(process: subprocess.Popen[bytes], port: int, log: IO[str]) -> None:
    # No proxy: the address is this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            opener.open(f"http://{HOST}:{port}/health", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    log.seek(0)
    tail = " / ".join(log.read().strip().splitlines()[-3:])
    got = f"a server that {_state(process)}: {tail}"
    next_step = "Read what it says; 'mlflow doctor' checks the installation."
    raise EvidenceError("kdcheck ui", got, "it up on its port", next_step)


def _state(process: subprocess.Popen[bytes]) -> str:
    status = process.poll()
    silent = f"did not answer in {START_TIMEOUT_SECONDS} s"
    return silent if status is None else f"ended with status {status}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    # The group is the server and its children, which Ctrl-C alone would leave behind.
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_TIMEOUT_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """What ends a process, or closes its terminal, ends the server as Ctrl-C does."""
    caught = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    # Under nohup a closed terminal is to stop nothing.
    earlier = {n: h for n in caught if (h := signal.getsignal(n)) != signal.SIG_IGN}

    def interrupt(*_: object) -> None:
        for number in earlier:  # a shell sends it once more, which must not cut the stop short
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in earlier:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _wait(server: subprocess.Popen[bytes]) -> None:
    try:
        server.wait()
    except KeyboardInterrupt:
        print("stopped")
        return
    got = f"a server that {_state(server)}"
    raise EvidenceError("kdcheck ui", got, "it up until Ctrl-C", "Start kdcheck ui again.")
