"""What is kept of an agent's process: where it lies.

state/agents/EPOCH-ID     as long as its row: the transcript. Ids are those of one table: another begins with p1
runtime/agents/ID         as long as it runs: settings that its program is started with, keys among them
"""

from __future__ import annotations

import os
import shutil
from typing import Final

_FOLDER: Final = "agents"


def folder(state_folder: str, id_: str, epoch: int) -> str:
    return os.path.join(state_folder, _FOLDER, f"{epoch}-{id_}")


def folders(state_folder: str) -> list[str]:
    """Of all of them."""
    try:
        with os.scandir(os.path.join(state_folder, _FOLDER)) as entries:
            return [entry.path for entry in entries]
    except FileNotFoundError:
        return []


def transcript(state_folder: str, id_: str, epoch: int) -> str:
    return os.path.join(folder(state_folder, id_, epoch), "transcript.jsonl")


def run_folder(runtime_folder: str, id_: str) -> str:
    return os.path.join(runtime_folder, _FOLDER, id_)


def over(runtime_folder: str, id_: str) -> None:
    """Its run has ended."""
    shutil.rmtree(run_folder(runtime_folder, id_), ignore_errors=True)


def forget(state_folder: str, id_: str, epoch: int) -> None:
    """Its row goes."""
    shutil.rmtree(folder(state_folder, id_, epoch), ignore_errors=True)
