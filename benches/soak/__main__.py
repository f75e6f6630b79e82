"""`./dev soak`: chaos for some minutes in a private home, then a look at everything that must hold."""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time

from aish.client import connect
from aish.errors import AishError
from aish.wire.message import Shutdown
from benches import machine
from benches.soak import invariants
from benches.soak.chaos import Chaos
from benches.soak.killer import Killer


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="the same choices again (not the same moments)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1 << 31)
    print(f"soak: seed {seed}, {options.minutes:g} minutes", flush=True)
    folder = tempfile.mkdtemp(prefix="aish-k-", dir="/tmp")
    _enter(folder)
    try:
        faults = _soak(seed, options.minutes, folder)
    finally:
        for pid in invariants.living(folder):
            machine.kill(pid, signal.SIGKILL)
    for fault in faults:
        print(f"soak: BROKEN: {fault}")
    if faults:
        print(f"soak: {len(faults)} broken promises with seed {seed}; what there was lies in {folder}")
        return 1
    shutil.rmtree(folder)
    print("soak: all promises held")
    return 0


def _enter(folder: str) -> None:
    """A private home: nothing of the user's is touched."""
    for name, variable in {
        "run": "RUNTIME_DIR",
        "state": "STATE_HOME",
        "data": "DATA_HOME",
        "config": "CONFIG_HOME",
    }.items():
        os.mkdir(f"{folder}/{name}", 0o700)
        os.environ[f"XDG_{variable}"] = f"{folder}/{name}"
    os.environ["HOME"] = folder
    for name in ("AISH_ID", "AISH_NAME", "AISH_TAG", "AISH_RUNTIME_DIR"):
        os.environ.pop(name, None)


def _soak(seed: int, minutes: float, folder: str) -> list[str]:
    """Every broken promise."""
    chaos = Chaos(random.Random(seed), folder)
    end = time.monotonic() + minutes * 60
    faults: list[str] = []
    while time.monotonic() < end:
        faults += _round(chaos, random.Random(seed + 1 + len(chaos.past)), folder, end)
    faults += chaos.faults
    with connect(start=False, program="soak") as client:
        try:
            client.request(Shutdown(force=True))
        except AishError as error:
            faults.append(f"shutdown: {error}")
    end = time.monotonic() + 20
    while (left := invariants.left_behind(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return faults + left + invariants.in_log(folder)


def _round(chaos: Chaos, rng: random.Random, folder: str, end: float) -> list[str]:
    """The broken promises of one round."""
    killer = Killer(rng, folder)
    killer.start()
    chaos.run(end)
    killer.finish()
    names: dict[str, int] = {}
    for _, victims in killer.kills:
        names["+".join(victims)] = names.get("+".join(victims), 0) + 1
    print(f"soak: {len(chaos.children)} processes; asked {chaos.counts}; killed {names}", flush=True)
    chaos.stop_all()
    ends: dict[str, int] = {}
    for child in chaos.children:
        ends[child.lifecycle] = ends.get(child.lifecycle, 0) + 1
    print(f"soak: ended as {ends}", flush=True)
    return invariants.broken(chaos, killer, folder)


if __name__ == "__main__":
    sys.exit(main())
