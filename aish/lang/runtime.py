"""What a running shell has: the one argument of every closure.

It is state, and the few operations on it that closures call all the time. What the parts do is in their files:
variables, options, signals, jobs, lookup, redirect, process.
"""

from __future__ import annotations

import os
from time import time

from aish.error import AishError
from aish.lang import descriptors, options, pattern, signals
from aish.lang.control import CommandError, Exit, Interrupted, Return
from aish.lang.digits import signed
from aish.lang.fields import DEFAULT_IFS
from aish.lang.locale import Locale
from aish.lang.lookup import DEFAULT_PATH, Lookup
from aish.lang.moments import Moments
from aish.lang.signals import Signals
from aish.lang.source import ExpansionError, Site, Source, unset_error
from aish.lang.text import spread
from aish.lang.variables import Variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.builtins.completion import Spec
    from aish.lang.host import History, Host
    from aish.lang.job import Job
    from aish.lang.jobs import JobTable
    from aish.lang.tree import Function as FunctionNode

    Run = Callable[["Runtime"], int]
    """A compiled command. It leaves `Runtime.status` equal to the status that it returns."""
    Frame = tuple[str, str, Site | None]
    """What is being called: the function, or 'source'; the file that it is in; where it was called."""

MAX_CALLS = 2000
"""Functions, sourced files and evals within each other."""

_MOST_LEVELS = 1000
"""Shells within each other, after which bash counts anew."""
_MAGIC = frozenset("*?[")
_WATCHED = ("GLOBIGNORE", "FUNCNEST", "BASH_COMPAT", "BASH_XTRACEFD", "POSIXLY_CORRECT")
"""Variables that mean something to the shell when they change, beside IFS and OPTIND: aish.lang.watched."""


class Function:
    """A function: its closure, its definition as it was written, the part of that behind the name, its file; and
    what it was made of, None where that is not known."""

    __slots__ = ("body", "body_text", "definition", "file", "tree")

    def __init__(
        self,
        body: Run,
        definition: str,
        body_text: str = "",
        file: str = "environment",
        tree: tuple[Source, FunctionNode] | None = None,
    ) -> None:
        self.body = body
        self.definition = definition
        self.body_text = body_text
        self.file = file
        self.tree = tree


class Runtime(Moments):
    """One process of the shell."""

    # The options of `set`, by the names of `set -o`.
    allexport = errexit = ignoreeof = monitor = noclobber = noexec = noglob = notify = nounset = False
    pipefail = posix = verbose = xtrace = emacs = vi = False
    errtrace = functrace = histexpand = history = keyword = nolog = onecmd = physical = privileged = False
    braceexpand = hashall = True
    monitor_outside = False
    """In a copy of the shell: the one that it was made of has job control, and so says `set -o` here. It has none."""

    vars: Variables
    values: dict[str, str]
    name: str
    status: int
    subshells: int
    started_s: float

    def __init__(self, host: Host, environment: dict[str, str], *, name: str = "aish", version: str = "") -> None:
        self.host = host
        self.name = name
        self.params: list[str] = []
        self.params_set = False
        """`set` has given them since the sourced file began that is being run; not in a function."""
        self.pid = os.getpid()
        self.interpreter: list[str] = ["aish"]
        """The words that start another shell like this one."""
        self.program: str = "aish"
        """The file that others start for that: $BASH."""

        self.began_s = time()
        self.interactive = False
        self.lasting = False
        """It outlives the command it is at, as a shell at a prompt does: what interrupts that, ends that alone."""
        self.from_string = False
        self.from_prompt = False
        """This is a copy of an interactive shell."""
        self.from_stdin = False
        self.stdin_given = False
        """A pipe, or a redirection of what is being run, is stdin: commands in the background keep it."""
        self.in_subshell = False
        self.in_parentheses = False
        """This copy of the shell is a ( )."""
        self.leaving = False
        """The EXIT trap runs, or has run."""

        self.status = 0
        self.substituted = 0
        """The status of the last command substitution."""
        self.pipe_status: list[int] | None = None
        """Statuses of the stages, where the last command was a pipeline; else None: its status is all."""
        self.last_argument = name
        self.at: Site | None = None
        """The command that is being run."""

        self.trap_status: int | None = None
        """While a trap's action runs: $? as it was before, which `exit` without a number gives."""
        self.interrupted: Site | None = None
        """The command before the trap that is being run."""
        self.left_at: tuple[Site | None, Site | None] | None = None
        """The last call of a function that has ended, and the last command in the function."""
        self.moments: set[int] = set()
        """Traps of DEBUG, ERR, RETURN that are running."""
        self.tested = 0
        """Above 0 while a failure is somebody's condition: `set -e` does not act."""
        self.loops = 0
        self.loops_outside = 0
        """In a copy of the shell: loops around it."""
        self.calls = 0
        self.most_calls = MAX_CALLS
        self.frames: list[Frame] = []
        self.arguments: list[list[str]] | None = None
        """Positional parameters of the script and, with extdebug, of the calls within each other: $BASH_ARGV."""
        self.returns = 0
        """Functions and sourced files that `return` could leave."""
        self.arithmetic_depth = 0
        self.trace_fd = 2
        self.trace_depth = 0
        """Substitutions, evals and sourced files within each other: `set -x` shows it."""
        self.pending = False
        """Signals have come, or jobs are `unsettled`."""
        self.unsettled = False
        self.capture: list[str] | None = None
        self.files: list[int] = []
        """Our ends of the <( ) and >( ) of the commands that are being run."""
        self.coprocesses: dict[str, tuple[Job, list[int]]] = {}

        self.shopt: set[str] = set(options.SHOPT_AT_START)
        """The options of `shopt` that are on."""
        self.magic = _MAGIC
        """Characters that make a pattern of a word, if they are not quoted."""

        self.subshells = 0
        self.uncounted: bool = False
        """The words of a pipeline's stage are being expanded: $BASH_SUBSHELL is still the shell's, as in bash."""
        self.random_state = self.random_pid = 0
        self.random_last = 0
        self.started_s = os.times().elapsed

        self.ignored = ""
        """Patterns of files that no pattern matches."""
        self._splitting: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {}
        self.vars = Variables(self)
        self.values = self.vars.values
        self.functions: dict[str, Function] = {}
        self.function_marks: dict[str, set[str]] = {}
        """Letters of declare: r for those that cannot change, t for those that have the caller's traps."""
        self.aliases: dict[str, str] = {}
        self.completions: dict[str, Spec] = {}
        """What `complete` said about commands."""
        self.bound: dict[tuple[str, str], tuple[str, str]] = {}
        """What keys do at the prompt (bind), by emacs or vi and the keys: a kind, and a text, a command or a name."""
        self.bracketed_paste: bool | None = None
        """What bind said of it; None: as the terminal can."""
        self.completing: Spec | None = None
        self.disabled: set[str] = set()
        """Built-ins that `enable -n` turned off."""
        self.folders: list[str] = []
        """What pushd remembers, below the current folder."""
        self.folder = ""
        """The current folder by the way it was entered; '' before the first cd."""
        self.signals = Signals(self)
        self._jobs: JobTable | None = None
        self.commands = Lookup(self.vars, lambda: self.posix or "checkhash" in self.shopt)
        self.typed: History | None = None
        """What was typed, where a shell at a prompt keeps it."""
        self.abbreviations: dict[str, str] = {}
        """What a word at the prompt is replaced by as it is typed."""
        self.lines_before = 0
        """Lines that were typed at the prompt before the command that runs."""
        self.command_number = 1
        """Of the command that a prompt asks for."""
        self.options_index = 0
        """Where getopts stands inside a word."""
        self.locale = Locale(self.vars)
        self.locale.changed = self.patterns_changed
        self._prepare(environment, version)
        self.locale.refresh()
        self.patterns_changed()

    @property
    def jobs(self) -> JobTable:
        """The processes that were started. A script that starts none does without the table."""
        if self._jobs is None:
            from aish.lang.jobs import JobTable

            self._jobs = JobTable()
        return self._jobs

    def look_at_jobs(self) -> None:
        """See, without waiting, what became of them, if there are any."""
        if self._jobs is not None:
            self._jobs.reap()

    def brackets_paste(self) -> bool:
        """Whether the terminal is to say at the prompt what is pasted."""
        return self.values.get("TERM") != "dumb" if self.bracketed_paste is None else self.bracketed_paste

    def settle_jobs(self) -> None:
        """A command that was waited for has ended: what did meanwhile in the background is told behind it, once its
        redirections are undone."""
        if self._jobs is not None and self._jobs.order:
            self.unsettled = self.pending = True

    def _prepare(self, environment: dict[str, str], version: str) -> None:
        """The variables that a shell sets."""
        self.vars.adopt(environment)
        for name in self.vars.foreign:
            if name.startswith("BASH_FUNC_"):
                from aish.lang.inherited import adopt

                adopt(self, name)
        self.vars.watch("IFS", self._ifs_changed)
        self.vars.watch("OPTIND", self._optind_changed)
        for name in _WATCHED:
            self.vars.watch(name, self._watcher(name))
        self.vars.set("IFS", " \t\n")
        self.vars.set("OPTIND", "1")
        self.values["PPID"] = str(os.getppid())
        self.vars.attributes["PPID"] = "i"
        self.vars.protect("PPID")
        self.values["AISH_VERSION"] = version
        self.values.setdefault("PS4", "+ ")
        self.values.setdefault("TERM", "dumb")
        self.values.setdefault("PATH", DEFAULT_PATH)
        self.values["OPTERR"] = "1"
        for name in ("BASH_XTRACEFD", "FUNCNEST"):
            if name in environment:
                self._watcher(name)(environment[name])
        if "POSIXLY_CORRECT" in environment:
            options.turn(self, "posix", True)
        depth = (signed(environment.get("SHLVL", "")) or 0) + 1
        self.vars.set("SHLVL", str(max(depth, 0) if depth < _MOST_LEVELS else 1))
        self.vars.export("SHLVL")

    def _watcher(self, name: str) -> Callable[[str | None], None]:
        """Who is told when `name` changes: most scripts do without all that."""

        def changed(value: str | None) -> None:
            from aish.lang import watched

            watched.CHANGED[name](self, value)

        return changed

    def _ifs_changed(self, value: str | None) -> None:
        ifs = " \t\n" if value is None else value
        known = self._splitting.get(ifs)
        if known is None:  # a loop over `IFS= read` comes here twice a line
            separators = DEFAULT_IFS if ifs == " \t\n" else frozenset(ifs)
            blanks, stops = separators & DEFAULT_IFS, separators | self.magic
            if self.locale.bytewise and not ifs.isascii():
                from aish.lang.bytewise import Bytes

                separators = Bytes(spread(ifs))
                stops = Bytes(separators | self.magic)
            known = self._splitting[ifs] = (separators, blanks, stops)
        self.separators, self.blanks, self.stops = known
        if self.locale.bytewise and not ifs[:1].isascii():
            ifs = spread(ifs)
        self.joiner = ifs[:1]

    def patterns_changed(self) -> None:
        """An option or the locale changed what a pattern means."""
        extended = "extglob" in self.shopt
        self.magic = _MAGIC | {"("} if extended else _MAGIC
        self._splitting.clear()
        self._ifs_changed(self.values.get("IFS"))
        folded = "nocasematch" in self.shopt
        pattern.speak(self.locale.pattern_flags | pattern.EXTENDED * extended | pattern.FOLDED * folded)

    def _optind_changed(self, value: str | None) -> None:
        self.options_index = 0

    # ------------------------------------------------------------------------------------- expansions

    def absent(self, name: str, site: Site | None) -> str:
        """The value of a name that is not in `values`: made up, an array's first element, another's; or unset."""
        value = self.vars.get(name)
        if value is not None:
            return value
        if self.nounset:
            raise self.unset(name, site)
        return ""

    def unset(self, name: str, site: Site | None = None) -> AishError:
        """The error of `set -u`."""
        site = site or self.at
        return CommandError(f"{name}: parameter not set") if site is None else unset_error(name, site)

    def set_list(self, name: str, values: list[str]) -> None:
        """Give the array `name` these elements."""
        from aish.lang.arrays import Indexed

        self.vars.put(name, Indexed(values))

    def assign(self, name: str, value: str, site: Site) -> None:
        """Set a variable for the command at `site`. Raises ExpansionError for a readonly one."""
        try:
            self.vars.set(name, value)
        except CommandError as error:
            raise self.error_at(error, site) from None

    def error_at(self, error: CommandError, site: Site) -> ExpansionError:
        """The error of the expansion or assignment at `site` that `error` is the reason of."""
        return ExpansionError(error.message, site.source, site.start, site.end, hint=error.hint)

    def expansion_error(self, message: str) -> ExpansionError:
        """An error that ends the command that is being run, as one in its expansions does."""
        site = self.at or Site(Source(self.name), 0, 0)
        return ExpansionError(message, site.source, site.start, site.end)

    def environment_for(self, path: str) -> dict[str, str]:
        """What the program at `path` gets."""
        environment = self.vars.environment()
        environment["_"] = path
        if self.vars.foreign:
            from aish.lang.inherited import handed_on

            return handed_on(environment, self.vars.foreign, path, self.program)
        return environment

    def subscript_error(self, subscript: str, reason: str) -> ExpansionError:
        """The error of a subscript that has no value."""
        return self.discarding_error(f"[{subscript[:40]}]: {reason}")

    def discarding_error(self, message: str) -> ExpansionError:
        """One that is more than an expansion's, or a built-in's."""
        error = self.expansion_error(message)
        error.discards = True
        return error

    def reading(self) -> signals.Section:
        """`with rt.reading():` around a system call that may last, so that Ctrl-C ends it."""
        return signals.Section(self.signals, signals.READING)

    def command_text(self, argv: list[str]) -> str:
        """The command that is being run, as it was written, for `jobs`."""
        site = self.at
        return " ".join(argv) if site is None else site.source.text[site.start : site.end]

    # -------------------------------------------------------------------------------------- control

    def call(self, function: Function, argv: list[str]) -> int:
        """Run a function with its own positional parameters and local variables."""
        params, loops, at = self.params, self.loops, self.at
        self.calls += 1
        self.uncounted = False
        if self.calls > self.most_calls:
            self._count_calls()
        self.params = argv[1:]
        self.loops = 0
        self.returns += 1
        self.frames.append((argv[0], function.file, self.at))
        self.vars.scopes.append({})
        traced = self.function_marks and "t" in self.function_marks.get(argv[0], ())
        hidden = self.hide_moments(traced=bool(traced)) if self.signals.traps else None
        pushed = self.arguments if "extdebug" in self.shopt else None
        if pushed is not None:
            pushed.append(argv[1:])
        self.left_at = None
        before = signals.ERR in self.signals.traps or bool(hidden)
        try:
            try:
                if self.pending:  # since a substitution in the words
                    self.signals.poll()
                status = 0 if self.debugs and self.held_back() else function.body(self)
                if self.pending:
                    self.signals.poll()
            except Return as error:
                status = error.status
            except (Exit, Interrupted, AishError) as error:
                if signals.EXIT in self.signals.traps:
                    from aish.lang.ending import leave_function

                    leave_function(self, error)
                raise
            if self.signals.traps:
                self.run_moment(signals.RETURN)
                self.trapped_inside = at if not before and signals.ERR in self.signals.traps else None
        finally:
            self.calls -= 1
            self.returns -= 1
            self.frames.pop()
            if pushed is not None:
                pushed.pop()
            self.params = params
            self.loops = loops
            self.left_at = at, self.at
            self.at = at
            if hidden:
                self.show_moments(hidden)
            if self.vars.scopes[-1]:
                self.vars.pop()
            else:
                self.vars.scopes.pop()
        return status

    def restore_options(self, saved: object) -> None:
        """The end of a function with `local -`."""
        from aish.lang import options

        assert isinstance(saved, dict)
        for name, on in saved.items():
            if options.is_on(self, name) != on:
                options.turn(self, name, on)

    def _count_calls(self) -> None:
        """Raises ExpansionError where a call is one too many; `eval` and sourced files do not count for FUNCNEST."""
        if self.calls <= MAX_CALLS and sum(name != "source" for name, _, _ in self.frames) < self.most_calls:
            return
        self.calls -= 1
        raise self.too_deep()

    def too_deep(self) -> ExpansionError:
        """The error for runaway recursion."""
        error = self.expansion_error(f"more than {self.most_calls} calls within each other")
        error.hint = "does a function call itself without end?"
        return error

    def enter_subshell(self, *, interruptible: bool = True) -> None:
        """In a forked child, before anything else."""
        self.in_subshell = True
        self.in_parentheses = self.leaving = False
        self.subshells += not self.uncounted
        self.uncounted = False
        self.from_prompt |= self.interactive
        self.interactive = False
        self.lasting = False
        self.monitor_outside |= self.monitor
        self.monitor = False
        self.loops_outside, self.loops = self.loops, 0
        self.capture = None
        self.trap_status = self.interrupted = None
        for _, ends in self.coprocesses.values():  # whoever is at the other end must see the shell leave
            for fd in ends:
                descriptors.close(fd)
        self.coprocesses.clear()
        if self._jobs is not None:
            self._jobs.forget_all()
        self.signals.enter_subshell(interruptible=interruptible)

    def run_text(self, text: str, name: str, line_shift: int) -> int:
        from aish.lang.evaluate import run_text

        return run_text(self, text, name, line_shift=line_shift)

    def expands_aliases(self) -> bool:
        """At a prompt, where the option is on, and as POSIX has it; a script of bash's kind asks for it (shopt)."""
        return self.posix or "expand_aliases" in self.shopt

    def close_files(self, before: int) -> None:
        """A command that opened files by <( ) or >( ) ended; `before` of them are its callers'."""
        while len(self.files) > before:
            descriptors.close(self.files.pop())

    def private(self, fd: int) -> int:
        """Move a descriptor of the shell's own out of the way of scripts."""
        return descriptors.private(fd)
