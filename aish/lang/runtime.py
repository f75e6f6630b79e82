"""What a running shell has: the one argument of every closure.

It is state, and the few operations on it that closures call all the time. What the parts do is in their files:
variables, options, signals, jobs, lookup, redirect, process.
"""

from __future__ import annotations

import os
from time import time

from aish.lang import descriptors, options, pattern, signals
from aish.lang.control import CommandError, Exit, Return
from aish.lang.digits import saturated
from aish.lang.fields import DEFAULT_IFS
from aish.lang.locale import Locale
from aish.lang.lookup import DEFAULT_PATH, Lookup
from aish.lang.signals import Signals
from aish.lang.source import ExpansionError, ScriptError, Site, Source, unset_error
from aish.lang.text import encode
from aish.lang.variables import Variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.error import AishError
    from aish.lang.builtins.completion import Spec
    from aish.lang.host import History, Host
    from aish.lang.jobs import Job, JobTable
    from aish.lang.tree import Function as FunctionNode

    Run = Callable[["Runtime"], int]
    """A compiled command. It leaves `Runtime.status` equal to the status that it returns."""
    Frame = tuple[str, str, Site | None]
    """What is being called: the function, or 'source'; the file that it is in; where it was called."""

MAX_CALLS = 2000
"""Functions, sourced files and evals within each other."""

_MAGIC = frozenset("*?[")


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


class Runtime:
    """One process of the shell."""

    # The options of `set`, by the names of `set -o`.
    allexport = errexit = ignoreeof = monitor = noclobber = noexec = noglob = notify = nounset = False
    pipefail = posix = verbose = xtrace = emacs = vi = False
    errtrace = functrace = histexpand = history = keyword = nolog = onecmd = physical = privileged = False
    braceexpand = hashall = True
    exits = False
    """`set -e` itself. `errexit` is also True while an ERR trap is set: a failure is then told to `failed`."""
    debugs = False
    """A DEBUG trap is set."""
    monitor_outside = False
    """In a copy of the shell: the one that it was made of has job control, and so says `set -o` here. It has none."""
    trapped_inside: Site | None = None
    """The command that failed set the ERR trap itself, which therefore does not run for it."""

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
        self.capture: list[str] | None = None
        """Where built-ins write while $(built-in ..) runs without a process."""
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
        self.completing: Spec | None = None
        self.disabled: set[str] = set()
        """Built-ins that `enable -n` turned off."""
        self.folders: list[str] = []
        """What pushd remembers, below the current folder."""
        self.folder = ""
        """The current folder by the way it was entered; '' before the first cd."""
        self.signals = Signals(self)
        self._jobs: JobTable | None = None
        self.commands = Lookup(self.vars)
        self.typed: History | None = None
        """What was typed, where a shell at a prompt keeps it."""
        self.abbreviations: dict[str, str] = {}
        """What a word at the prompt is replaced by as it is typed."""
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

    def _prepare(self, environment: dict[str, str], version: str) -> None:
        """The variables that a shell sets."""
        self.vars.adopt(environment)
        for name in self.vars.foreign:
            if name.startswith("BASH_FUNC_"):
                from aish.lang.inherited import adopt

                adopt(self, name)
        self.vars.watch("IFS", self._ifs_changed)
        self.vars.watch("OPTIND", self._optind_changed)
        self.vars.watch("GLOBIGNORE", self._ignored_changed)
        self.vars.watch("BASH_XTRACEFD", self._trace_moved)
        self.vars.watch("POSIXLY_CORRECT", self._posix_wanted)
        self.vars.set("IFS", " \t\n")
        self.vars.set("OPTIND", "1")
        self.values["PPID"] = str(os.getppid())
        self.vars.attributes["PPID"] = "i"
        self.vars.protect("PPID")
        self.values["AISH_VERSION"] = version
        self.values.setdefault("PS4", "+ ")
        self.values.setdefault("PATH", DEFAULT_PATH)
        self.values["OPTERR"] = "1"
        if "POSIXLY_CORRECT" in environment:
            options.turn(self, "posix", True)
        level = environment.get("SHLVL", "")
        self.vars.set("SHLVL", str(int(level) + 1) if level.isdecimal() and len(level) < 5 else "1")
        self.vars.export("SHLVL")

    def _ifs_changed(self, value: str | None) -> None:
        ifs = " \t\n" if value is None else value
        known = self._splitting.get(ifs)
        if known is None:  # a loop over `IFS= read` comes here twice a line
            separators = DEFAULT_IFS if ifs == " \t\n" else frozenset(ifs)
            known = self._splitting[ifs] = (separators, separators & DEFAULT_IFS, separators | self.magic)
        self.separators, self.blanks, self.stops = known
        self.joiner = ifs[:1]

    def patterns_changed(self) -> None:
        """An option or the locale changed what a pattern means."""
        extended = "extglob" in self.shopt
        self.magic = _MAGIC | {"("} if extended else _MAGIC
        self._splitting.clear()
        self.stops = self.separators | self.magic
        folded = "nocasematch" in self.shopt
        pattern.speak(self.locale.pattern_flags | pattern.EXTENDED * extended | pattern.FOLDED * folded)

    def _optind_changed(self, value: str | None) -> None:
        self.options_index = 0

    def _ignored_changed(self, value: str | None) -> None:
        """GLOBIGNORE: with it hidden names match, until it is unset."""
        if value is None:
            self.shopt.discard("dotglob")
        elif value:
            self.shopt.add("dotglob")

    def _trace_moved(self, value: str | None) -> None:
        """BASH_XTRACEFD: where `set -x` writes. What it named before is closed."""
        if self.trace_fd != 2:
            if not descriptors.is_private(self.trace_fd):  # the script closed it, and we have it since
                descriptors.close(self.trace_fd)
            self.trace_fd = 2
        if value and value.isdecimal() and value.isascii():
            fd = min(saturated(value), descriptors.MOST_FD)
            if descriptors.is_written(fd) and not descriptors.is_private(fd):
                self.trace_fd = fd
            else:
                self.complain(f"BASH_XTRACEFD: {value}: no descriptor that is open for writing")

    def _posix_wanted(self, value: str | None) -> None:
        """POSIXLY_CORRECT: posix mode while it is set."""
        if self.posix != (value is not None):
            options.turn(self, "posix", value is not None)

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
        return environment

    def subscript_error(self, subscript: str, reason: str) -> ExpansionError:
        """The error of a subscript that has no value."""
        error = self.expansion_error(f"[{subscript[:40]}]: {reason}")
        error.discards = True
        return error

    # ---------------------------------------------------------------------------------------- output

    def write(self, text: str) -> None:
        """A built-in's output. Raises CommandError."""
        if self.capture is not None:
            self.capture.append(text)
            return
        if not text:
            return  # even where nothing can be written
        data = encode(text)
        try:
            written = os.write(1, data)
            while written < len(data):
                data = data[written:]
                written = os.write(1, data)
        except OSError as error:
            raise CommandError(f"write error: {error.strerror}") from None

    def error_line(self, text: str, fd: int = 2) -> None:
        """A line on stderr, where there is one, or on another descriptor."""
        try:
            os.write(fd, encode(text + "\n"))
        except OSError:
            pass  # nobody listens

    def prompt(self, text: str) -> None:
        """A question on stderr, without a newline."""
        try:
            os.write(2, encode(text))
        except OSError:
            pass  # nobody is there to be asked

    def complain(self, message: str, *, hint: str | None = None) -> None:
        """Report something about the command that is being run, with its place."""
        self._tell("complaint", message, message, hint)

    def complain_of(self, name: str, error: CommandError) -> None:
        """Report what the built-in `name` cannot do."""
        self._tell("command_error", f"{name}: {error.message}", name, error)

    def complain_not_run(self, name: str, error: CommandError) -> None:
        """Report a command word that could not be run."""
        self._tell("not_run", f"{name}: {error.message}", name, error)

    def report(self, error: AishError) -> None:
        """Report an error that has its own place or hint, once."""
        if isinstance(error, ScriptError):
            if error.told:
                return
            error.told = True
        self._tell("report", str(error), error)

    def report_fault(self, error: BaseException) -> int:
        """Tell of something that no command may do: out of memory, or our own mistake. Gives the status."""
        self._tell("fault", f"{type(error).__name__}: {error}", error)
        return 70

    def _tell(self, how: str, plain: str, *details: object) -> None:
        """Write what the function `how` of diagnose makes of the details."""
        try:
            from aish.lang import diagnose

            text: str = getattr(diagnose, how)(self, *details)
        except (ImportError, OSError):
            text = f"aish: {plain}"  # no descriptor left to load the better words with
        self.error_line(text)

    def reading(self) -> signals.Section:
        """`with rt.reading():` around a system call that may last, so that Ctrl-C ends it."""
        return signals.Section(self.signals, signals.READING)

    def command_text(self, argv: list[str]) -> str:
        """The command that is being run, as it was written, for `jobs`."""
        site = self.at
        return " ".join(argv) if site is None else site.source.text[site.start : site.end]

    # -------------------------------------------------------------------------------------- control

    def failed(self, status: int) -> None:
        """A command that nobody tests failed, under `set -e` or with an ERR trap."""
        if self.tested:
            return
        if self.trapped_inside is None or self.trapped_inside is not self.at:
            self.run_moment(signals.ERR)
        self.trapped_inside = None
        if self.exits:
            raise Exit(status)

    def run_moment(self, signo: int) -> int:
        """Run the trap of DEBUG, ERR or RETURN, but not within itself; gives its status."""
        action = self.signals.traps.get(signo)
        if not action or signo in self.moments:
            return 0
        self.moments.add(signo)
        at, tested = self.at, self.tested
        try:
            return self.run_trap(action, signo)
        finally:
            self.moments.discard(signo)
            self.at, self.tested = at, tested

    def held_back(self) -> bool:
        """Run the DEBUG trap before a command. True where that is not to be run then: with `shopt -s extdebug`, where
        the trap fails. Its status 2 is a `return` from the function, or the sourced file, that is being run."""
        self.left_at = None
        status = self.run_moment(signals.DEBUG)
        if not status or "extdebug" not in self.shopt:
            return False
        if status == 2 and self.returns:
            raise Return(2)
        self.status, self.pipe_status = 0, None
        return True

    def moments_changed(self) -> None:
        """Traps of DEBUG, ERR, RETURN, or `set -e`, came or went."""
        traps = self.signals.traps
        self.debugs = bool(traps.get(signals.DEBUG))
        self.errexit = self.exits or bool(traps.get(signals.ERR))

    def _hide_moments(self, *, traced: bool) -> dict[int, str]:
        """A function begins: its caller's traps of DEBUG, ERR and RETURN are not its own, but with set -ET; `traced`:
        declare -ft."""
        traps = self.signals.traps
        hidden = {}
        for signo in signals.MOMENTS:
            if signo in traps and not (self.errtrace if signo == signals.ERR else self.functrace or traced):
                hidden[signo] = traps.pop(signo)
        if hidden:
            self.moments_changed()
        return hidden

    def _show_moments(self, hidden: dict[int, str]) -> None:
        """It ends: they are back, where it has not set its own."""
        for signo, action in hidden.items():
            self.signals.traps.setdefault(signo, action)
        self.moments_changed()

    def call(self, function: Function, argv: list[str]) -> int:
        """Run a function with its own positional parameters and local variables."""
        params, loops, at = self.params, self.loops, self.at
        self.calls += 1
        self.uncounted = False
        if self.calls > MAX_CALLS:
            self.calls -= 1
            raise self.too_deep()
        self.params = argv[1:]
        self.loops = 0
        self.returns += 1
        self.frames.append((argv[0], function.file, self.at))
        self.vars.scopes.append({})
        traced = self.function_marks and "t" in self.function_marks.get(argv[0], ())
        hidden = self._hide_moments(traced=bool(traced)) if self.signals.traps else None
        pushed = self.arguments if "extdebug" in self.shopt else None
        if pushed is not None:
            pushed.append(argv[1:])
        self.left_at = None
        before = signals.ERR in self.signals.traps or bool(hidden)
        try:
            try:
                status = 0 if self.debugs and self.held_back() else function.body(self)
                if self.pending:
                    self.signals.poll()
            except Return as error:
                status = error.status
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
                self._show_moments(hidden)
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

    def too_deep(self) -> ExpansionError:
        """The error for runaway recursion."""
        error = self.expansion_error(f"more than {MAX_CALLS} calls within each other")
        error.hint = "does a function call itself without end?"
        return error

    def enter_subshell(self, *, interruptible: bool = True) -> None:
        """In a forked child, before anything else."""
        self.in_subshell = True
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

    def run_trap(self, action: str, signo: int) -> int:
        """Run a trap's action; $? is afterwards what it was before. Gives the action's status."""
        from aish.lang.evaluate import run_text
        from aish.lang.source import ParseError

        line = self.at.line - 1 if self.at and signo else 0
        status, pipe_status, interrupted = self.status, self.pipe_status, self.interrupted
        self.interrupted = self.command_site()
        outer, self.trap_status = self.trap_status, status
        self.trace_depth += signo != signals.EXIT
        try:
            found = run_text(self, action, f"trap {signals.name_of(signo)}", line_shift=line)
        except ParseError as error:
            self.report(error)
            found = error.exit_status
        finally:
            self.trap_status = outer
            self.trace_depth -= signo != signals.EXIT
            self.interrupted = interrupted
        self.status, self.pipe_status = status, pipe_status
        return found

    def command_site(self) -> Site | None:
        """The command that $BASH_COMMAND shows: outside of traps the last one that began, in a function perhaps."""
        if self.interrupted is not None:
            return self.interrupted
        if self.left_at is not None and self.left_at[0] is self.at:
            return self.left_at[1]
        return self.at

    def run_exit_trap(self, status: int) -> int:
        """Run the EXIT trap, once; gives the exit status, which `exit` in the trap may change."""
        action = self.signals.traps.pop(signals.EXIT, None)
        if not action:
            return status
        from aish.lang.ending import settle

        self.status = status
        self.tested = 0

        def body() -> int:
            assert action is not None
            self.run_trap(action, signals.EXIT)
            return status

        return settle(self, body)

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
