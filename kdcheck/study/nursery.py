"""The process that workers are forked from: it imports what all of them need, and forks one when asked to.

``python -m kdcheck.study.nursery``; :mod:`kdcheck.study.forked` asks on its standard input, a socket.
"""

# A request is one message, the arguments of a worker as JSON, with three descriptors: its standard
# input, its log, and where its fate is told: pid=NUMBER by itself, and code=NUMBER once it has ended.

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from kdcheck.study.garbage import collect_rarely

MOST_BYTES = 4096
"""Of a request."""
LOOK_SECONDS = 0.05
"""Between two looks at who has ended."""


def main() -> int:
    """Fork until whoever asks has ended or closes the socket; its workers learn that by themselves.

    Until then this process has computed nothing, has opened no store, and has no thread but one of
    a library's allocator, which is made for forks.
    """
    on_ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it goes to the workers as well
    with suppress(Exception):  # each worker meets it again, and its log is where it is looked for
        _import_ahead()
    gc.freeze()  # a collection in a worker would copy the memory that all share
    fates: dict[int, int] = {}
    with socket.socket(fileno=os.dup(0)) as asked:
        while True:
            _tell_who_has_ended(fates)
            if not select.select([asked], [], [], LOOK_SECONDS)[0]:
                continue
            request, ends, *_ = socket.recv_fds(asked, MOST_BYTES, 3)
            if not request:
                return 0
            if (child := _fork()) == 0:
                _tell(ends[2], "pid", os.getpid())
                for others in fates.values():
                    os.close(others)
                asked.close()  # or whoever asks a nursery that has ended would wait for this worker
                signal.signal(signal.SIGINT, on_ctrl_c)
                code = _work(json.loads(request), *ends[:2])
                sys.stdout.flush()  # its log is read once its end is known
                sys.stderr.flush()
                _tell(ends[2], "code", code)  # by itself, should the nursery have ended
                return code
            for end in ends[:2]:
                os.close(end)
            fates[child] = ends[2]


def _import_ahead() -> None:
    from kdcheck.study import worker

    worker.import_ahead()


def _fork() -> int:
    with warnings.catch_warnings():
        # Python counts the allocator's thread.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded")
        return os.fork()


def _work(arguments: list[str], stdin: int, log: int) -> int:
    """Be the worker of these arguments, in a process that was forked for it.

    It keeps the pipe of its fate, so that nobody takes it for dead where this process died before it.
    """
    from kdcheck.study import worker

    for new, old in ((stdin, 0), (log, 1), (log, 2)):
        os.dup2(new, old)
    os.close(stdin)
    os.close(log)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"kdcheck {arguments[0]}", encoding="utf-8")  # for ps
    return worker.main(arguments)


def _tell_who_has_ended(fates: dict[int, int]) -> None:
    while fates and (ended := os.waitpid(-1, os.WNOHANG))[0]:
        fate = fates.pop(ended[0])
        _tell(fate, "code", os.waitstatus_to_exitcode(ended[1]))
        os.close(fate)


def _tell(fate: int, what: str, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever asked has ended
        os.write(fate, f"{what}={number}\n".encode())


if __name__ == "__main__":
    collect_rarely()
    sys.exit(main())
