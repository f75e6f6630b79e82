"""What `./dev demo` runs: the digest of the notes, from set-up to usage table, in a home of its own.

    ./dev demo              all of it; a second run repeats every model call and needs no network
    ./dev demo --resume     keep what an interrupted run has finished
    ./dev picture           the same, and top is drawn meanwhile: docs/top.txt, docs/top.svg

Everything that it starts is supervised in a private home under out/demo and has ended when it returns.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "demo"
AISH = str(Path(sys.executable).parent / "aish")


def environment() -> dict[str, str]:
    """The caller's environment, with aish's folders (and a simulated GPU) under out/demo."""
    runtime = Path(f"/tmp/aish-demo-{os.getuid()}")  # noqa: S108  a socket's path is short; made private below
    runtime.mkdir(mode=0o700, exist_ok=True)
    made = {
        "XDG_RUNTIME_DIR": runtime,
        "XDG_STATE_HOME": OUT / "state",
        "XDG_DATA_HOME": OUT / "data",
        "XDG_CONFIG_HOME": OUT / "config",
        "AISH_SIMGPU_DIR": OUT / "simgpu",
    }
    for folder in made.values():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.environ | {name: str(folder) for name, folder in made.items()} | {"AISH_ID": ""}


def main(argv: list[str]) -> int:
    if [word for word in argv if word not in ("--resume", "--picture")]:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    shutil.rmtree(OUT / "state", ignore_errors=True)  # a table and records of this run only; the models are kept
    environ = environment()
    began = time.monotonic()
    try:
        return story(environ, argv, began)
    except subprocess.CalledProcessError as error:
        print(f"demo: {' '.join(map(str, error.cmd))} ended with {error.returncode}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; ./dev demo --resume goes on from here", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        run(environ, "shutdown")


def story(environ: dict[str, str], argv: list[str], began: float) -> int:
    def chapter(text: str) -> None:
        print(f"\n== {text}  [{time.monotonic() - began:.0f} s]", flush=True)

    chapter("A simulated card, and the embedded models on it under a quota")
    simulated = [sys.executable, "-m", "aish.plugins.simgpu", "create", "--devices", "1", "--memory", "2G"]
    if not (OUT / "simgpu" / "devices.json").exists():
        subprocess.run(simulated, env=environ, check=True)
    for model, vram in (("smollm2", "1G"), ("minilm", "256M")):
        run(environ, "model", "pull", model)
        run(environ, "model", "serve", model, "--vram", vram)
    run(environ, "gpu")

    chapter("The digest: an aish script with agents, models and a tensor edge")
    drawing = draw(environ) if "--picture" in argv else None
    resume = ["--resume"] if "--resume" in argv else []
    run(environ, "examples/digest.aish", *resume, "examples/notes", str((OUT / "digest").relative_to(ROOT)))
    if drawing is not None:
        drawing.wait()

    chapter("What ran, and what it used")
    run(environ, "ps", "--all")
    run(environ, "top", "--once")
    run(environ, "usage", "--by", "agent")
    run(environ, "usage", "--by", "model")

    chapter("Done; ending everything that was supervised")
    print(f"The digest is {(OUT / 'digest' / 'digest.md').relative_to(ROOT)}")
    return 0


def draw(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """top after 15 seconds of the digest, as text and as a picture."""
    words = ["--watch", "15", "--size", "120x24", "--text", "docs/top.txt", "--svg", "docs/top.svg"]
    return subprocess.Popen([sys.executable, "docs/make_top_picture.py", *words], env=environ, cwd=ROOT)


def run(environ: dict[str, str], *words: str) -> None:
    """`aish words…`, shown as a person would type it."""
    print(f"$ aish {' '.join(words)}", flush=True)
    subprocess.run([AISH, *words], env=environ, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
