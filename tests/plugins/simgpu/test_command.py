"""python -m aish.plugins.simgpu, as people type it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aish.plugins.simgpu import driver
from tests.deadline import until

GIB = 1 << 30
Command = Callable[..., subprocess.CompletedProcess[str]]
Started = Callable[..., subprocess.Popen[str]]


def used(device: int = 0) -> int | None:
    return driver().sample()[device].used_bytes


def test_create_says_what_it_made_and_may_be_repeated(command: Command) -> None:
    """The demo creates its card at every start."""
    first = command("create", "--devices", "2", "--memory", "24G")
    assert first.returncode == 0
    assert first.stdout.splitlines()[0].startswith("GPU0  Simulated 24G  24G  SIM-")
    again = command("create", "--devices", "2", "--memory", "24G")
    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_other_cards_are_replaced_only_on_demand(command: Command) -> None:
    command("create")
    refused = command("create", "--memory", "8G")
    assert refused.returncode == 69
    assert "other cards already: GPU0 Simulated 24G 24G" in refused.stderr
    assert command("create", "--memory", "8G", "--replace").returncode == 0
    assert driver().devices()[0].memory_bytes == 8 * GIB


def test_remove(command: Command) -> None:
    command("create")
    assert command("remove").returncode == 0
    assert driver().devices() == []
    assert command("remove").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "VERB"),
        (["creat"], "creat"),
        (["create", "--memory", "lots"], "8G, 512M"),
        (["create", "--memory", "0"], "1.0M to 1.0P"),
        (["create", "--devices", "0"], "1 to 64"),
        (["create", "--devices", "-1"], "-1"),
        (["create", "--name", "a\nb"], "printable"),
        (["run", "--alloc", "1G"], "COMMAND"),
        (["run", "--after", "soon", "--", "true"], "2s, 500ms"),
        (["run", "--busy", "120%", "--", "true"], "more than 100%"),
        (["hold"], "SIZE"),
    ],
)
def test_bad_words_are_explained(command: Command, arguments: list[str], words: str) -> None:
    result = command(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not driver().devices()


def test_without_a_card_the_hint_says_how_to_get_one(command: Command) -> None:
    result = command("hold", "1G")
    assert result.returncode == 69
    assert "simgpu create" in result.stderr


def test_an_unknown_device_is_named(command: Command) -> None:
    command("create", "--devices", "2")
    result = command("hold", "1G", "--device", "7")
    assert result.returncode == 69
    assert "there are: 0, 1" in result.stderr


def test_hold_beyond_the_card_fails_as_out_of_memory(command: Command) -> None:
    command("create", "--memory", "4G")
    result = command("hold", "6G")
    assert result.returncode == 1
    assert "out of memory on simulated GPU0: 6.0G asked for, 4.0G free of 4.0G" in result.stderr


def test_run_leaves_as_its_command_left(command: Command) -> None:
    command("create")
    assert command("run", "--alloc", "1G", "--", "sh", "-c", "exit 7").returncode == 7
    assert command("run", "--alloc", "1G", "--", "sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL
    assert command("run", "--", "no-such-program").returncode == 69


def test_run_takes_more_later_and_all_is_free_at_the_end(command: Command, started: Started) -> None:
    command("create")
    process = started(
        "run",
        "--alloc",
        "6G",
        "--alloc",
        "1G",
        "--after",
        "300ms",
        "--alloc",
        "3G",
        "--",
        "sh",
        "-c",
        "echo up; exec sleep 60",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    assert used() in (7 * GIB, 10 * GIB)
    until("the card has it", lambda: used() == 10 * GIB)
    process.terminate()
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert used() == 0


def test_an_allocation_that_fails_later_ends_the_command_with_status_1(command: Command, tmp_path: Path) -> None:
    command("create")
    result = command(
        "run", "--alloc", "20G", "--after", "100ms", "--alloc", "6G", "--", "sh", "-c", "echo $$; exec sleep 60"
    )
    assert result.returncode == 1
    assert "6.0G asked for, 4.0G free of 24G" in result.stderr
    assert not os.path.exists(f"/proc/{result.stdout.strip()}")


def test_the_command_dies_with_the_process_that_holds_its_memory(command: Command, started: Started) -> None:
    """Otherwise kill -9 of the runner would free memory that its command still 'uses'."""
    command("create")
    process = started("run", "--alloc", "1G", "--", "sh", "-c", "echo $$; exec sleep 60")
    assert process.stdout is not None
    fd = os.pidfd_open(int(process.stdout.readline()))
    try:
        process.kill()
        assert select.select([fd], [], [], 20)[0]
    finally:
        os.close(fd)


def test_a_signal_to_the_group_lets_the_command_decide(command: Command, started: Started) -> None:
    command("create")
    process = started(
        "run",
        "--alloc",
        "1G",
        "--",
        "sh",
        "-c",
        "trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.1; done",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "caught\n"
    assert process.wait(timeout=60) == 3


def test_a_stopped_process_keeps_its_memory(command: Command, started: Started) -> None:
    """As on a real card: SIGSTOP frees no VRAM."""
    command("create")
    process = started("hold", "2G")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert used() == 2 * GIB
