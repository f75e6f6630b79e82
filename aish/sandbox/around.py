"""What the machine and the user have that sandboxes are made of: folders, links of the system, programs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import aish
from aish.config import folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SYSTEM: Final = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/gnu",
    "/sys",
)
"""Read by everybody, but for SECRETS."""
RESOLVER: Final = (
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    "/mnt/wsl/resolv.conf",
)
"""Where /etc/resolv.conf may lead."""
SECRETS: Final = (
    *("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d"),
    *("/etc/ssl/private", "/etc/ssh", "/etc/krb5.keytab", "/etc/wireguard", "/etc/openvpn", "/etc/ppp"),
    *(
        "/etc/NetworkManager/system-connections",
        "/etc/docker",
        "/etc/kubernetes",
        "/etc/rancher",
        "/etc/security/opasswd",
    ),
    *("/run/user", "/run/dbus", "/run/docker.sock", "/run/containerd", "/run/podman", "/run/systemd/private"),
    *("/run/screen", "/var/run/screen", "/proc", "/dev"),
)
"""Hidden whatever a spec allows: what belongs to the system, and the ways to have it done by somebody else. /proc and
/dev are those of the sandbox."""
HOME_SECRETS: Final = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".password-store", ".vault-token"),
    *(".config/gh", ".config/hub", ".config/gcloud", ".config/op", ".config/rclone", ".config/git/credentials"),
    *(".git-credentials", ".npmrc", ".pypirc", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials"),
    *(
        ".local/share/keyrings",
        ".local/share/kwalletd",
        ".config/systemd",
        ".local/share/systemd",
        ".config/autostart",
    ),
    *(".mozilla", ".thunderbird", ".config/google-chrome", ".config/chromium", ".terraform.d", ".Xauthority"),
    *(".bash_history", ".zsh_history", ".python_history", ".node_repl_history", ".psql_history", ".mysql_history"),
    *(".local/share/fish", ".local/state/python_history", ".viminfo", ".lesshst", ".sqlite_history"),
)


class Around(NamedTuple):
    home: str
    aish: tuple[str, ...]
    """aish's own folders: state, runtime, configuration, data."""
    system: tuple[str, ...]
    """Of SYSTEM, those that are folders."""
    links: tuple[tuple[str, str], ...]
    """Of SYSTEM, those that are links, and where they lead."""
    resolver: tuple[str, ...]
    programs: tuple[str, ...]
    """What aish and its Python are made of."""
    cache: str
    """What sandboxes see as ~/.cache: never the user's own, where one of them could leave a poisoned wheel."""


def look() -> Around:
    """Of this user, by this process's environment."""
    links = tuple((path, os.readlink(path)) for path in SYSTEM if os.path.islink(path))
    package = os.path.dirname(os.path.abspath(aish.__file__))
    own = (package, *(os.path.realpath(os.path.join(package, name)) for name in ("supervisor", "plugins")))
    return Around(
        home=os.path.realpath(os.path.expanduser("~")),
        aish=tuple(
            os.path.realpath(path) for path in (folders.state(), folders.runtime(), folders.config(), folders.data())
        ),
        system=tuple(path for path in SYSTEM if os.path.isdir(path) and not os.path.islink(path)),
        links=links,
        resolver=tuple(os.path.realpath(path) for path in RESOLVER if os.path.exists(path)),
        programs=tuple(sorted({os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *own)})),
        cache=os.path.join(os.path.realpath(folders.data()), "sandbox", "cache"),
    )


def tools(
    search: str, programs: Iterable[str], home: str, real: Callable[[str], str] = os.path.realpath
) -> list[str]:
    """What the programs in the folders of PATH are made of: of /x/y/bin it is /x/y, and of node_modules/.bin, whose
    links lead to packages beside it, node_modules. Never a home, and of ~/.local or ~/.config no more than the folder
    itself."""
    found = []
    places = [*(part for part in search.split(":") if part.startswith("/")), *map(os.path.dirname, programs)]
    for place in map(real, places):
        above, name = os.path.split(place)
        links = name == ".bin" and os.path.basename(above) == "node_modules"
        wide = (links or name in ("bin", "sbin", "shims", "Scripts")) and not _too_wide(above, home)
        if wide or not _too_wide(place, home):
            found.append(above if wide else place)
    return sorted(set(found))


_WIDE: Final = (".local", ".local/share", ".config", ".cache", ".var")


def _too_wide(folder: str, home: str) -> bool:
    """A home, what is above it, what programs of all kinds keep things in."""
    return (
        f"{home}/".startswith(f"{folder.rstrip('/')}/")
        or folder in ("/tmp", "/var", "/run")  # noqa: S108
        or folder in (os.path.join(home, name) for name in _WIDE)
    )
