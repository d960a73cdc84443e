"""Two sessions of pytest on machines of other names share the work of one study through an MLflow server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdcheck.evidence.layout import TRAININGS
from kdcheck.evidence.leases import LEASE_SECONDS
from kdcheck.evidence.store import Store
from tests.integration.test_main_job import CLAIMS, SCALE
from tests.tiny_files import write_encoder, write_task

pytestmark = pytest.mark.skipif(
    not os.environ.get("KDCHECK_SLOW"), reason="starts servers and pytest anew; set KDCHECK_SLOW=1"
)
NAMED = "import os, platform\nplatform.node = lambda: os.environ['NODE_OF_THE_TEST']\n"
SECONDS = 900


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a real tracking server with an empty store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()  # noqa: S310
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError("the server did not start")


@pytest.fixture
def machines(tmp_path: Path) -> Iterator:
    """Start the study on a machine of some name, with a folder of its own."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "sitecustomize.py").write_text(NAMED)  # run as each Python starts

    def start(name: str, store: str, epochs: int = 20) -> subprocess.Popen[str]:
        folder = tmp_path / name
        write_task(folder / "data" / "words")
        for encoder, layers in (("my-bert", 2), ("my-small-bert", 1)):
            write_encoder(folder / "models" / encoder, layers)
        (folder / "test_claims.py").write_text(CLAIMS.format(margin=0.05))
        (folder / "smoke.toml").write_text(SCALE.format(seeds=3, epochs=epochs))
        command = f"-m pytest test_claims.py -p no:cacheprovider --scale smoke.toml --store {store}"
        command += " --data-dir data --model-dir models --workers 1"
        path = os.pathsep.join([str(tmp_path / "named"), os.environ.get("PYTHONPATH", "")])
        with (tmp_path / f"{name}.log").open("w") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, *command.split()],
                    cwd=folder,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env={**os.environ, "PYTHONPATH": path, "NODE_OF_THE_TEST": name},
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def weights(store: Store) -> dict[str, str]:
    return {digest: store.get(digest).weights_digest for digest in store.digests()}


def test_two_machines_share_the_work_and_train_nothing_twice(server, machines, tmp_path):
    sessions = [machines(name, server) for name in ("one", "two")]
    for session in sessions:
        session.wait(SECONDS)
    one, two = (_verdicts(tmp_path / f"{name}.log") for name in ("one", "two"))
    store = Store.open(server)
    runs = store._runs.search(TRAININGS, "")
    assert Counter(run.data.tags["digest"] for run in runs) == dict.fromkeys(store.digests(), 1)
    assert len(runs) == 12  # three seeds of four arms
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["kdcheck.host"] for run in runs} == {"one", "two"}
    trained = sum(_trained(tmp_path / name) for name in ("one", "two"))
    assert trained == 12, "each was trained once, not stored once"
    machines("alone", "store").wait(SECONDS)
    assert one == two == _verdicts(tmp_path / "alone.log")
    assert weights(store) == weights(Store.open(tmp_path / "alone" / "store"))


def _verdicts(log: Path) -> str:
    """What a session printed of its claims, all of which were decided."""
    text = log.read_text()
    assert "2 of 2 claims decided" in text, text
    return text.partition(" verdicts at ")[2].partition("\npage: ")[0]


def _trained(folder: Path) -> int:
    """Recipes that the workers of a machine trained to their end."""
    import json

    files = (folder / ".kdcheck" / "work" / "workers").glob("*.json")
    return sum(len(json.loads(file.read_text())["trained"]) for file in files)


def test_of_two_machines_one_that_is_killed_costs_the_other_at_most_a_lease(
    server, machines, tmp_path
):
    doomed, other = machines("one", server, 40), machines("two", server, 40)
    _kill_while_it_trains(server, doomed)
    killed = time.monotonic()
    other.wait(SECONDS)
    print(
        f"the other ended {time.monotonic() - killed:.0f} s later; a lease is {LEASE_SECONDS:g} s"
    )
    store = Store.open(server)
    assert len(store.digests()) == 12
    machines("alone", "store", 40).wait(SECONDS)
    assert _verdicts(tmp_path / "two.log") == _verdicts(tmp_path / "alone.log")
    assert weights(store) == weights(Store.open(tmp_path / "alone" / "store"))


def _kill_while_it_trains(server: str, session: subprocess.Popen[str]) -> None:
    """Kill a session and its worker of that machine, which trains, as a power cut would."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            running = Store.open(server)._runs.search(TRAININGS, "attributes.status = 'RUNNING'")
        except Exception:  # noqa: BLE001, S112 - it is being made
            continue
        for run in running:
            if run.data.tags["kdcheck.host"] == "one":
                os.kill(int(run.data.tags["kdcheck.pid"]), signal.SIGKILL)
                session.kill()
                session.wait()
                return
    raise AssertionError("it never trained")
