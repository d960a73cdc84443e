"""kdcheck ui: its links, its port, and that it leaves no process behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from kdcheck.cli import main, ui
from kdcheck.errors import EvidenceError, OptionError
from kdcheck.places import Location

# Stands for 'mlflow server': takes its time to come up and has a child of its own.
SERVER = """#!{python} -S
import http.server, os, subprocess, sys, time
assert sys.argv[1:4] == ["-m", "mlflow", "server"], sys.argv
assert not [k for k in os.environ if k == "MLFLOW_RUN_ID"]
port = int(sys.argv[sys.argv.index("--port") + 1])
child = subprocess.Popen(["sleep", "600"])
with open("pids", "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}")
if os.path.exists("broken"):
    sys.exit("no such table: experiments")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="looks processes up in /proc"
)


@pytest.fixture
def location(tmp_path, monkeypatch):
    server = tmp_path / "python"
    server.write_text(SERVER.format(python=sys.executable))
    server.chmod(0o755)
    monkeypatch.setattr(ui.sys, "executable", str(server))
    monkeypatch.setenv("MLFLOW_RUN_ID", "leak")
    return Location.parse(tmp_path)


def alive(folder: Path) -> list[bool]:
    """Of the server and its child; a zombie has no command line any more."""
    files = [Path(f"/proc/{pid}/cmdline") for pid in (folder / "pids").read_text().split()]
    return [file.exists() and file.read_bytes() != b"" for file in files]


def gone(folder: Path) -> bool:
    """A killed process takes a moment to disappear."""
    deadline = time.monotonic() + 5
    while any(alive(folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(alive(folder))


@needs_proc
def test_the_server_is_up_inside_the_block_and_gone_with_its_children_after_it(location):
    port = ui.free_port(0)
    with ui.serve(location, port):
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/health").status == 200
        assert alive(location.folder) == [True, True]
    assert gone(location.folder)


OPENED = {
    "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
}
"""What a user may have set for a server of another kind."""


def status_of(app, **headers):
    """The status of an answer to a question, asked without a server."""
    told = {"type": "http", "method": "POST", "path": "/ajax-api/2.0/mlflow/x", "query_string": b""}
    told |= {"headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    said = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        said.append(message)

    asyncio.run(app(told, receive, send))
    return said[0]["status"]


def test_whatever_opens_a_server_to_others_is_kept_from_ours_and_mlflow_then_says_403(monkeypatch):
    from fastapi import FastAPI
    from mlflow.server.fastapi_security import init_fastapi_security

    for name, value in OPENED.items():
        monkeypatch.setenv(name, value)
    told = ui.environment()
    for name in OPENED:
        assert name not in told
        monkeypatch.delenv(name)
    app = FastAPI()
    app.post("/ajax-api/2.0/mlflow/x")(lambda: "taken")
    init_fastapi_security(app)
    assert status_of(app, host="127.0.0.1:5000") == 200
    assert status_of(app, host="evil.example") == 403
    assert status_of(app, host="127.0.0.1:5000", origin="http://evil.example") == 403


@pytest.mark.skipif(
    not os.environ.get("KDCHECK_SLOW"), reason="starts MLflow's server, 10 s; set KDCHECK_SLOW=1"
)
def test_another_host_or_a_page_of_another_origin_gets_403(store_folder):
    port = ui.free_port(0)
    with ui.serve(Location.parse(store_folder), port):
        address = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search"
        codes = {}
        for headers in ((), ("Host", "evil.example"), ("Origin", "http://evil.example")):
            question = urllib.request.Request(address, b'{"max_results": 1}', method="POST")
            question.add_header("Content-Type", "application/json")
            if headers:
                question.add_header(*headers)
            try:
                codes[headers] = urllib.request.urlopen(question).status  # noqa: S310 - our own
            except urllib.error.HTTPError as error:
                codes[headers] = error.code
    assert list(codes.values()) == [200, 403, 403]


@pytest.fixture
def handled():
    """Let tests set handlers of SIGTERM and SIGHUP; those that there were come back."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield signal.signal
    for number, handler in earlier.items():
        signal.signal(number, handler)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_the_end_of_the_process_or_its_terminal_stops_the_server(
    location, handled, monkeypatch, number
):
    def of_somebody_else(*_):
        pass

    def stop_while_it_comes_again(process):
        signal.raise_signal(number)
        stop(process)

    handled(number, of_somebody_else)
    stop = ui._stop
    monkeypatch.setattr(ui, "_stop", stop_while_it_comes_again)
    with pytest.raises(KeyboardInterrupt), ui.serve(location, ui.free_port(0)):
        signal.raise_signal(number)
    assert gone(location.folder)
    assert signal.getsignal(number) is of_somebody_else


@needs_proc
def test_under_nohup_a_closed_terminal_stops_nothing(location, handled):
    handled(signal.SIGHUP, signal.SIG_IGN)
    with ui.serve(location, ui.free_port(0)):
        signal.raise_signal(signal.SIGHUP)
        assert alive(location.folder) == [True, True]
    assert gone(location.folder)


@needs_proc
def test_a_server_that_does_not_come_up_says_why(location):
    (location.folder / "broken").touch()
    with (
        pytest.raises(EvidenceError, match=r"ended with status 1: no such table: experiments"),
        ui.serve(location, ui.free_port(0)),
    ):
        pass
    assert gone(location.folder)


def test_a_server_that_ends_on_its_own_is_an_error():
    with pytest.raises(EvidenceError, match=r"ended with status 3; wanted it up until Ctrl-C"):
        ui._wait(subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]))


def test_a_port_in_use_is_an_error_with_a_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=rf"--port: got {port} .*--port 0 for any"):
            ui.free_port(port)
    with pytest.raises(OptionError, match="wanted a free port"):
        ui.free_port(70000)


def test_print_url_prints_deep_links_and_starts_nothing(store, capsys, monkeypatch):
    monkeypatch.setattr(ui, "serve", None)
    arguments = ["ui", "--store", str(store.location.folder), "--port", "5001", "--print-url"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"{store.location.folder} (--store)" in printed
    assert f"http://127.0.0.1:5001/{store.claims_url()}" in printed
    assert printed.count("workflowType=machine_learning") == 3


def test_a_store_named_by_mlflow_is_honoured_and_said(store, capsys, monkeypatch):
    monkeypatch.delenv("KDCHECK_STORE", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.location.uri)
    assert main(["ui", "--print-url"]) == 0
    assert f"{store.location} (MLFLOW_TRACKING_URI)" in capsys.readouterr().out


def test_no_store_is_one_line_with_a_next_step_and_exit_code_2(tmp_path, capsys):
    assert main(["ui", "--store", str(tmp_path / "absent"), "--print-url"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "make one by running pytest claims/" in error
    assert not (tmp_path / "absent").exists()


@pytest.mark.skipif(
    "KDCHECK_SLOW" not in os.environ,
    reason="starts a real MLflow server, 10 to 30 s; set KDCHECK_SLOW=1",
)
def test_a_real_server_serves_the_store_and_is_a_store_itself(store, capsys):
    from kdcheck.evidence.store import Store
    from tests.evidence_doubles import add, sample_evidence, sample_recipe

    port = ui.free_port(0)
    with ui.serve(store.location, port):
        address = f"http://me:secret@127.0.0.1:{port}"
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
        assert b"<html" in page
        remote = Store.create(address)
        add(remote)
        remote.leave()  # or its heart would ask a server that is gone
        back = Store.open(address).get(sample_recipe().digest)
        assert back.final.values == sample_evidence().final.values
        assert main(["ui", "--store", address]) == 0
    assert "secret" not in capsys.readouterr().out, "MLflow prints the address at the end of a run"
    assert store.digests() == {sample_recipe().digest}
