"""What the language asks of the program around it. The shell injects an implementation; `NoHost` has none.

The language knows a command word that begins with `@`, the edge `|=` and the built-in `aish`; what they mean
is the host's business.
"""

from __future__ import annotations

from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from aish.lang.history_text import Files
    from aish.lang.runtime import Runtime

    class TensorEdge(Protocol):
        """Both ends of a `|=`, made by the shell before it forks the two stages.

        The descriptors are close-on-exec; the pipeline maker lets each stage inherit its own side and no other.
        """

        @property
        def writer_fds(self) -> tuple[int, ...]: ...
        @property
        def reader_fds(self) -> tuple[int, ...]: ...
        def writer_env(self) -> str: ...
        def reader_env(self) -> str: ...
        def close_writer(self) -> None: ...
        def close_reader(self) -> None: ...
        def close(self) -> None: ...

    class History(Protocol):
        """The lines that were typed, oldest first; each has a number."""

        files: Files
        """Up to where text files were read."""

        def lines(self) -> list[tuple[int, str, float]]:
            """(number, line, when it was run) of each."""

        def next_number(self) -> int:
            """The number that the next line gets."""

        def has_own(self) -> bool:
            """Whether the last line is that of the command that runs."""

        def add(self, line: str) -> None:
            """A line that a file has."""

        def delete(self, first: int, last: int, *, disk: bool = True) -> None:
            """Forget lines by their numbers; with `disk` for every shell."""

        def replace_last(self, line: str) -> None:
            """The command that runs is to stand as `line` in the history."""

        def new_lines(self) -> list[tuple[int, str, float]]:
            """Those of this shell that no text file was given yet, and that one may be given."""

        def written(self) -> None:
            """One has them."""

        def is_own(self, path: str) -> bool:
            """Whether `path` is where all lines are kept anyway."""

        def save(self) -> None:
            """Another program is about to take the shell's place; where it cannot, the shell goes on."""

        def close(self) -> None:
            """The shell ends."""

    class Host(Protocol):
        """What a shell inside a supervisor can do that a plain one cannot."""

        def is_supervised(self, name: str) -> bool:
            """Whether the command word `name` is run by `run_stage` rather than looked up in PATH."""

        def run_stage(self, argv: list[str], environment: dict[str, str]) -> int:
            """Run a supervised stage to its end and return its exit status.

            Called in a forked child that is a member of its job's process group and has its redirections
            done; signals have their default actions.
            """

        def is_verb(self, words: list[str]) -> bool:
            """Whether `aish WORDS` is a verb; else it is another shell: `aish script`, `aish -c ...`."""

        def run_verb(self, words: list[str], environment: dict[str, str]) -> int:
            """`aish VERB ...`, in this process; returns its exit status."""

        def verb_needs_process(self, words: list[str]) -> bool:
            """Whether that verb holds the terminal (run, logs -f, top): at a prompt it is then a job."""

        def tensor_edge(self) -> TensorEdge:
            """A new edge for `|=`. Raises AishError."""

        def edit_line(self, rt: Runtime, prompt: str, begin: str, within_s: float | None) -> str | None:
            """A line that is edited at the terminal, without its end; None at the end of the input. Raises
            Interrupted, TimeoutError; CommandError where nothing can be edited."""

        def tree_folder(self) -> str:
            """Where trees of scripts are kept; '': nowhere."""


class NoHost:
    """A shell with nothing around it: `@x` and `aish` are not found, `|=` is refused."""

    def is_supervised(self, name: str) -> bool:
        return False

    def run_stage(self, argv: list[str], environment: dict[str, str]) -> int:
        raise CommandError(f"{argv[0]}: no supervisor in this shell", status=127)

    def is_verb(self, words: list[str]) -> bool:
        return False

    def run_verb(self, words: list[str], environment: dict[str, str]) -> int:
        raise CommandError("aish: no supervisor in this shell", status=127)

    def verb_needs_process(self, words: list[str]) -> bool:
        return False

    def tensor_edge(self) -> TensorEdge:
        raise CommandError("|=: no tensor edges in this shell", status=127)

    def tree_folder(self) -> str:
        return ""

    def edit_line(self, rt: Runtime, prompt: str, begin: str, within_s: float | None) -> str | None:
        raise CommandError("no line editor in this shell")
