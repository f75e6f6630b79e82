"""How processes of a session are ended: asked, given a grace, killed; and the shell that is at them as well. Pure.

What is ended may start others meanwhile, so it is looked again and again until nobody is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from aish.session.kin import Key

TICK_S: Final = 0.01
"""Between two looks at processes that are not our children: there is no event."""
INSIST_S: Final = 0.5
"""After the first ABORT the second one."""
SHELL_S: Final = 1.0
"""After the processes are killed the shell is, where it has not come back."""
HOPELESS_S: Final = 5.0
"""What SIGKILL does not end in this time, in an uninterruptible wait say, is left, and told."""

ASK, INSIST, KILL, KILL_SHELL = "ask", "insist", "kill", "kill shell"


class Ending:
    """`numbers`: whose processes; None: all of them. `at_shell`: the shell is at that command, and has to
    give it up."""

    def __init__(self, numbers: frozenset[int] | None, *, at_shell: bool, now_s: float, grace_s: float) -> None:
        self.numbers = numbers
        self.at_shell = at_shell
        self._begun_s = now_s
        self._grace_s = grace_s
        self._done: set[str] = set()
        self._next_s = now_s
        self._pause_s = TICK_S
        self.over = False
        self.asked: set[Key] = set()
        """Processes that were."""

    def concerns(self, number: int) -> bool:
        return self.numbers is None or number in self.numbers

    @property
    def next_s(self) -> float:
        """When to look again."""
        return self._next_s

    def acts(self, now_s: float) -> list[str]:
        """What is due."""
        self._next_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 1.5, 10 * TICK_S)
        past_s = now_s - self._begun_s
        due = [ASK]
        if past_s >= INSIST_S and self.at_shell:
            due.append(INSIST)
        if past_s >= self._grace_s + SHELL_S and self.at_shell:
            due.append(KILL_SHELL)
        once = [act for act in due if act not in self._done]
        self._done.update(once)
        return [*once, KILL] if past_s >= self._grace_s else once

    def looked(self, now_s: float, *, left: bool, busy: bool) -> None:
        """Whether processes are left, and whether the shell is still at it."""
        hopeless = now_s - self._begun_s >= self._grace_s + HOPELESS_S
        self.over = not (left or (busy and self.at_shell)) or hopeless
