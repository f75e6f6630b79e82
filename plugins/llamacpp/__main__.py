"""The child: llama.cpp's OpenAI-compatible server for one GGUF, on a Unix socket, until SIGTERM.

Exit status: 65 the GGUF is damaged or llama.cpp cannot run it · 69 the socket cannot be made, or xllamacpp is missing
71 not enough memory · 2 wrong options. The last lines on stderr say why.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import stat
import sys
from typing import TYPE_CHECKING, Any, Final

from aish.config import folders
from aish.config.slots import SAVES
from aish.errors import AishError, InputError, StorageError, UnavailableError, UsageError
from aish.plugins.llamacpp.cores import cores
from aish.plugins.llamacpp.settings import EMBEDDINGS, POOLINGS
from aish.report import report
from aish.store import gguf

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "aish llamacpp"
HTTP_THREADS: Final = 16
"""One is busy for each open stream and each connection that says nothing."""
_LOG_MOST_BYTES: Final = 65_536
_MEMORY_WORDS: Final = ("failed to allocate", "Cannot allocate memory", "out of memory", "bad_alloc")


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # like SIGTERM: ends at once, also while the weights are loading
    os.umask(0o077)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when the library is loaded
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    options = _parser().parse_args(argv)
    try:
        head = gguf.read(options.gguf)
        if not head.tensor_count:
            raise InputError(f"{options.gguf} has no tensors: it is a vocabulary, not a model", field="tensor count")
        _free_socket(options.socket)
        _occupy_simulated_card(options.gguf)
        server = _start(options)
    except AishError as error:
        report(PROGRAM, error)
        return error.exit_status
    except OSError as error:
        report(PROGRAM, UnavailableError(f"{error.filename or options.gguf}: {error.strerror}"))
        return UnavailableError.exit_status
    print(_started(options, server.listening_address), file=sys.stderr, flush=True)
    while True:  # the library's threads work; SIGTERM keeps its default: the kernel ends us, nothing needs saving
        signal.pause()


def _started(options: argparse.Namespace, address: str) -> str:
    return (
        f"{PROGRAM}: {options.alias} on {address}: {options.slots} slots of {options.ctx} tokens, "
        f"{options.threads or cores()} threads, embeddings {options.embeddings}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, allow_abbrev=False)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--ctx", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--embeddings", choices=EMBEDDINGS, required=True)
    parser.add_argument("--pooling", choices=POOLINGS)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--gpu-layers", type=int, default=-1)
    parser.add_argument("--cache-bytes", type=int, default=0)
    parser.add_argument("--slots-folder", help="where KV slots are saved and read, by names alone")
    return parser


def _occupy_simulated_card(gguf_path: str) -> None:
    """On a simulated card (demo, tests) the weights take the room that a real one would give them.

    Raises LimitError where a real card would be out of memory.
    """
    if os.environ.get("AISH_SIMGPU_DEVICE"):
        from aish.plugins.simgpu.allocation import allocate

        allocate(os.path.getsize(gguf_path))  # held until this process ends


def _free_socket(path: str) -> None:
    """Remove the socket that a killed predecessor left: bind would fail. Raises UnavailableError if one listens."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise UnavailableError(f"{path} is there and is not a socket", hint="move it away")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
            return
    raise UnavailableError(f"another server listens on {path}", hint="stop it, or give another --socket")


def _start(options: argparse.Namespace) -> Any:
    """The running server. Raises UsageError, InputError, UnavailableError."""
    try:
        import xllamacpp
    except ImportError as error:
        hint = _GOMP if "libgomp.so" in str(error) else "pip install 'aish-shell[local]'"
        raise UnavailableError(f"xllamacpp cannot be loaded: {error}", hint=hint) from error
    try:
        parameters = _parameters(xllamacpp, options)
    except (OverflowError, TypeError) as error:  # a number that its C type cannot hold
        raise UsageError(f"llama.cpp does not take these options: {error}", hint=_SMALLER) from error
    start = _log_end()
    try:
        return xllamacpp.Server(parameters)
    except (RuntimeError, MemoryError) as error:
        said = _errors_since(start)
        why = said[0] if said else "its own lines above say why"
        if isinstance(error, MemoryError) or any(word in line for word in _MEMORY_WORDS for line in said):
            raise _NoMemoryError(f"not enough memory for {options.alias}: {why}", hint=_SMALLER) from error
        raise InputError(f"llama.cpp cannot run {options.gguf}: {why}", field="model", hint=_NEWER) from error


_GOMP: Final = "install OpenMP's library: apt-get install libgomp1 (Debian, Ubuntu), dnf install libgomp (Fedora)"


class _NoMemoryError(UnavailableError):
    exit_status = 71


_SMALLER: Final = "ask for less: `aish model pull` it again with -o ctx=2048 -o slots=1, or take a smaller model"
_NEWER: Final = (
    "the file may be damaged (`aish model show --verify`), or of a kind that this xllamacpp does not know yet"
)


def _parameters(xllamacpp: Any, options: argparse.Namespace) -> Any:
    it = xllamacpp.CommonParams()
    it.model.path = options.gguf
    it.model_alias = {options.alias}
    it.hostnames = [options.socket]  # a name that ends in .sock is a Unix socket
    it.port = 0
    it.n_parallel = options.slots
    it.n_ctx = options.ctx * options.slots  # split evenly: no request can take another's room
    it.kv_unified = False
    it.n_batch = it.n_ubatch = options.batch
    it.cont_batching = True
    it.cache_prompt = True
    it.cache_ram_mib = options.cache_bytes >> 20
    it.n_gpu_layers = options.gpu_layers
    it.n_threads_http = HTTP_THREADS
    threads = options.threads or cores()
    it.cpuparams.n_threads = it.cpuparams_batch.n_threads = threads
    kinds = {device["type"].name for device in xllamacpp.get_device_info()}
    it.fit_params = any("CPU" not in kind for kind in kinds)  # loads the model twice to see what fits a GPU
    it.warmup = False  # the gateway's one-token probe does the same
    it.embedding = options.embeddings != "off"
    if options.pooling:
        it.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{options.pooling.upper()}")
    it.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_DEEPSEEK
    it.endpoint_metrics = True
    it.endpoint_slots = True
    if options.slots_folder and _is_ours(options.slots_folder):
        it.slot_save_path = os.path.join(options.slots_folder, "")
        it.model_tags = {f"{SAVES}xllamacpp-{xllamacpp.__version__}"}
    it.ui = False
    it.verbosity = 1  # errors only: at the default each request writes some 700 bytes to the log
    return it


def _is_ours(folder: str) -> bool:
    """Made, and nobody else's. A model is served without, too: what it has read is read again then."""
    try:
        folders.private(folder)
    except StorageError as error:
        print(f"{PROGRAM}: KV slots are not saved: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _log_end() -> int | None:
    """Where stderr's file ends; None where stderr is no file (a terminal, a pipe)."""
    status = os.fstat(2)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _errors_since(start: int | None) -> list[str]:
    """The library's error lines in our log, the innermost reason first, without time and level.

    For every failure the library raises the same sentence ("please check the input params"); the reason is only in
    what it writes to stderr. It holds the interpreter's lock while it loads: nothing of ours could read a pipe.
    """
    if start is None:
        return []
    try:
        with open("/proc/self/fd/2", "rb") as log:
            log.seek(start)
            lines = log.read(_LOG_MOST_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []
    texts = [line.partition(" E ")[2].strip() for line in lines if " E " in line]
    return [text.partition(": ")[2] or text for text in texts]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
