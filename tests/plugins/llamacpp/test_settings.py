"""How a model is served: defaults by machine and model, options by name, nothing unknown."""

from __future__ import annotations

import os
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from aish.config import folders, slots
from aish.errors import UnavailableError, UsageError
from aish.plugins.llamacpp import server, settings
from aish.plugins.llamacpp.cores import cores, group_limits, memory_bytes
from aish.plugins.llamacpp.settings import decide
from aish.spi.model_server import ModelServer, StoredModel

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


def test_defaults_on_two_cores() -> None:
    chosen = decide({}, trained_tokens=8192, cores=2, memory_bytes=8 * GIB)
    assert chosen == settings.Settings(4096, 2, 512, "on", "mean", 0, -1, GIB // 2)


def test_a_request_never_holds_more_than_the_weights_were_trained_for() -> None:
    assert decide({}, trained_tokens=512, cores=2, memory_bytes=GIB).ctx_tokens == 512
    assert decide({}, trained_tokens=None, cores=2, memory_bytes=GIB).ctx_tokens == 4096


def test_an_encoder_takes_its_whole_context_in_one_batch_and_its_own_pooling() -> None:
    """llama.cpp refuses a text to embed that is longer than a batch."""
    chosen = decide({"embeddings": "only"}, trained_tokens=512, cores=2, memory_bytes=GIB)
    assert (chosen.batch_tokens, chosen.pooling) == (512, None)


@pytest.mark.parametrize(
    ("slots", "given", "batch"), [("3", None, 513), ("5", None, 515), ("3", "8", 9), ("2", None, 512)]
)
def test_a_batch_is_whole_rows_of_slots(slots: str, given: str | None, batch: int) -> None:
    """llama.cpp rounds up its own plan of a batch, and not the means that it pools: it aborted at 3, 5, 6 slots."""
    options = {"slots": slots} | ({} if given is None else {"batch": given})
    assert settings.decide(options, 8192, 2, 8 << 30).batch_tokens == batch


def test_options_win() -> None:
    given = {
        "ctx": "8k",
        "slots": "1",
        "cache": "0",
        "threads": "3",
        "gpu_layers": "0",
        "pooling": "cls",
        "batch": "1024",
    }
    chosen = decide(given, trained_tokens=2048, cores=8, memory_bytes=GIB)
    assert chosen == settings.Settings(8000, 1, 1024, "on", "cls", 3, 0, 0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ctxx": "1"}, "did you mean ctx?"),
        ({"flavour": "mild"}, "there are: ctx, slots"),
        ({"slots": "0"}, None),
        ({"ctx": "lots"}, "a count such as"),
        ({"embeddings": "maybe"}, "one of on, off, only"),
        ({"cache": "-1"}, "a size such as"),
        ({"ctx": "99G"}, None),
        ({"ctx": "2000000000", "slots": "4"}, "fewer of either"),
        ({"ctx": "1G", "slots": "4"}, "fewer of either"),
        ({"cache": "99999999T"}, "must be below"),
        ({"cache": "4096T"}, None),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, str], says: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        decide(options, trained_tokens=None, cores=2, memory_bytes=GIB)
    if says:
        assert says in (caught.value.hint or "")


def test_there_is_at_least_one_core_and_no_more_than_this_process_may_use() -> None:
    assert 1 <= cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/a/b\n", {"a/memory.max": "1000\n", "a/b/memory.max": "2000\n", "memory.max": "max\n"}, [1000, 2000]),
        ("0::/not/here\n", {"memory.max": "500\n"}, [500]),
        ("0::/../x\n", {"memory.max": "max\n"}, []),
        (
            "5:cpu,memory:/m\n4:pids:/p\n0::/\n",
            {"memory/m/memory.limit_in_bytes": "700\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"},
            [700, 9223372036854771712],
        ),
        ("", {"memory.max": "1\n"}, []),
    ],
)
def test_the_memory_is_what_the_control_group_leaves(
    tmp_path: Path, groups: str, files: dict[str, str], limits: list[int]
) -> None:
    """In a container of 1 GB on a machine of 64 the cache of prefixes alone took it all."""
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert sorted(group_limits(groups, str(tmp_path))) == limits


def test_the_memory_is_not_more_than_the_machine_has() -> None:
    assert 0 < memory_bytes() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def model(**more: object) -> StoredModel:
    fields: dict[str, object] = {"name": "m", "digest": "sha256:0", "path": "/m", "format": "gguf", "size_bytes": 1}
    return StoredModel(**(fields | more))  # type: ignore[arg-type]


def test_the_plugin_is_found_by_its_entry_point() -> None:
    (point,) = metadata.entry_points(group="aish.model_server", name="llamacpp")
    assert isinstance(point.load()(), ModelServer)


def test_it_serves_gguf_alone() -> None:
    assert server().serves(model())
    assert not server().serves(model(format="safetensors"))


def test_a_plan_names_socket_model_and_context() -> None:
    plan = server().plan(model(context_tokens=1024), "/run/x.sock")
    assert plan.url == "unix:/run/x.sock"
    assert plan.upstream_name == "m"
    assert plan.context_tokens == 1024
    assert plan.environ["OMP_WAIT_POLICY"] == "passive"
    assert plan.argv[plan.argv.index("--slots-folder") + 1] == slots.drafts(folders.state())


def test_a_socket_path_that_the_kernel_would_cut_is_refused() -> None:
    with pytest.raises(UnavailableError) as caught:
        server().plan(model(), "/" + "x" * 107)
    assert "XDG_RUNTIME_DIR" in (caught.value.hint or "")


def test_what_is_missing_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server().missing() is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'aish-shell[local]'" in (server().missing() or "")
