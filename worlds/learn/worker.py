"""``python -m worlds.learn.worker``: fits segments that it is sent, in a process of its own."""

import pickle
import sys
from pathlib import Path
from typing import Any, BinaryIO

from worlds.domain import load_domain
from worlds.learn.lifeline import die_with
from worlds.learn.segment_fit import Work, fit_segment

LENGTH = 8
"""Bytes that say how long a message is."""


def send(pipe: BinaryIO, message: object) -> None:
    """Write one message."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(len(content).to_bytes(LENGTH, "big"))
    pipe.write(content)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """Read one message.

    Raises
    ------
    EOFError
        If the other end is gone.
    """
    head = pipe.read(LENGTH)
    if len(head) < LENGTH:
        raise EOFError
    content = pipe.read(int.from_bytes(head, "big"))
    return pickle.loads(content)  # noqa: S301 - from the process that started this one


def main(arguments: list[str]) -> int:
    """Answer one message after the other until the pipe closes."""
    die_with(int(arguments[0]))
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what models print must not be taken for an answer
    domain, rest = receive(source)
    work = Work(load_domain(domain), *rest)
    send(answers, "ready")
    while True:
        try:
            part = receive(source)
        except EOFError:
            return 0
        try:
            answer: object = fit_segment(work, part)
        except Exception as error:  # noqa: BLE001 - a segment fails by itself, with a line
            answer = f"{type(error).__name__}: {error}"
        send(answers, answer)


def command(parent: int) -> list[str]:
    """Return the command line of a worker."""
    here = Path(sys.executable)
    return [str(here), "-m", "worlds.learn.worker", str(parent)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
