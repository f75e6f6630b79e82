"""The options of `shopt`: `Runtime.shopt` holds the names of those that are on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

NAMES = (
    "autocd", "assoc_expand_once", "cdable_vars", "cdspell", "checkhash", "checkjobs", "checkwinsize",
    "cmdhist", "compat31", "compat32", "compat40", "compat41", "compat42", "compat43", "compat44",
    "complete_fullquote", "direxpand", "dirspell", "dotglob", "execfail", "expand_aliases", "extdebug",
    "extglob", "extquote", "failglob", "force_fignore", "globasciiranges", "globskipdots", "globstar",
    "gnu_errfmt", "histappend", "histreedit", "histverify", "hostcomplete", "huponexit", "inherit_errexit",
    "interactive_comments", "lastpipe", "lithist", "localvar_inherit", "localvar_unset", "login_shell",
    "mailwarn", "no_empty_cmd_completion", "nocaseglob", "nocasematch", "noexpand_translation", "nullglob",
    "patsub_replacement", "progcomp", "progcomp_alias", "promptvars", "restricted_shell", "shift_verbose",
    "sourcepath", "varredir_close", "xpg_echo",
)  # fmt: skip
"""In the order in which they are listed."""

FIXED = frozenset(["login_shell", "restricted_shell"])
"""Told, not set."""


_COMPAT = ("compat31", "compat32", "compat40", "compat41", "compat42", "compat43", "compat44")
"""Of which one is on at most: $BASH_COMPAT says it, too, and versions for which there is no option."""
_VERSIONS = (*[name[-2:] for name in _COMPAT], "50", "51", "52")


def compat_changed(rt: Runtime, value: str | None) -> None:
    """BASH_COMPAT has a new value: 4.2 or 42."""
    rt.shopt.difference_update(_COMPAT)
    version = (value or "").replace(".", "", 1)
    if version in _VERSIONS:
        rt.shopt |= {f"compat{version}"} & {*_COMPAT}
    elif value:
        rt.complain(f"BASH_COMPAT: {value}: no version of bash that can be had")


def turn(rt: Runtime, name: str, on: bool) -> None:
    """Set an option that is in NAMES."""
    if name in FIXED:
        return
    if name in _COMPAT:
        rt.vars.set("BASH_COMPAT", name[-2:] if on else _VERSIONS[-1])
    elif on:
        rt.shopt.add(name)
    else:
        rt.shopt.discard(name)
    if name in ("extglob", "nocasematch"):
        rt.patterns_changed()
    elif name == "extdebug":
        rt.functrace = rt.errtrace = on
        if on and rt.arguments is None:
            rt.arguments = [list(rt.params)]


def shown(rt: Runtime) -> str:
    """What $BASHOPTS says."""
    return ":".join([name for name in NAMES if name in rt.shopt])
