"""What a script knows of its coprocesses: their descriptors in an array, their ids in a variable, while they run."""

from __future__ import annotations

from aish.lang import descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.job import Job
    from aish.lang.runtime import Runtime


def began(rt: Runtime, name: str, job: Job, ends: list[int]) -> None:
    """Its descriptors are in the array `name`, its id in `name`_PID."""
    _ended(rt, name)
    rt.coprocesses[name] = job, ends
    rt.set_list(name, [str(fd) for fd in ends])
    rt.vars.set(f"{name}_PID", str(job.processes[-1].pid))


def look_after(rt: Runtime) -> None:
    """Those that have ended take their variables with them."""
    rt.jobs.reap()
    for name, (job, _) in [*rt.coprocesses.items()]:
        if job.ended:
            _ended(rt, name)


def _ended(rt: Runtime, name: str) -> None:
    if name in rt.coprocesses:
        for fd in rt.coprocesses.pop(name)[1]:
            descriptors.close(fd)
        rt.vars.unset(name)
        rt.vars.unset(f"{name}_PID")
