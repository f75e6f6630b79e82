"""up, reload, down and project on a real daemon: only what changed is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Home

pytestmark = pytest.mark.slow
"""Many processes each: some half a minute together. `./dev soak` runs them."""

ROOT = Path(__file__).resolve().parents[2]
TWO = """
[services.db]
shell = "echo listening; exec sleep 600"
ready = { log = "listening", every = "0.05s" }
[services.web]
shell = "echo web; exec sleep 600"
needs = ["db"]
"""


class Folder:
    """A project in the home of a test."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.path = home.root / "project"
        self.path.mkdir()

    def put(self, text: str, name: str = "aish.toml") -> None:
        (self.path / name).write_text(text)

    def aish(self, *words: str, status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        done = self.home.aish(*words, cwd=self.path, env=self.home.environ | environ)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def told(self, *words: str, status: int = 0, **environ: str) -> dict[str, dict[str, Any]]:
        rows = json.loads(self.aish(*words, "--json", status=status, **environ).stdout)
        return {row["name"]: row for row in rows}

    def steps(self, *words: str, **environ: str) -> dict[str, str]:
        return {name: row["step"] for name, row in self.told(*words, **environ).items()}

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.home.aish("ps", "--all", "--json").stdout)}

    def pids(self) -> dict[str, int]:
        return {name: row["pid"] for name, row in self.rows().items()}


@pytest.fixture
def folder(home: Home) -> Folder:
    return Folder(home)


def test_up_twice_is_once(folder: Folder) -> None:
    folder.put(TWO)
    first = folder.told("up")
    assert {name: (row["step"], row["state"]) for name, row in first.items()} == {
        "db": ("start", "running"),
        "web": ("start", "running"),
    }
    pids = folder.pids()
    assert folder.steps("up") == {"db": "keep", "web": "keep"}
    assert folder.steps("reload") == {"db": "keep", "web": "keep"}
    assert folder.pids() == pids


def test_reload_restarts_what_changed_and_nothing_else(folder: Folder) -> None:
    """supervisor, pm2 and process-compose restart the neighbours, or all."""
    folder.put(TWO)
    folder.aish("up")
    before = folder.rows()
    folder.put(TWO.replace("echo web", "echo web2"))
    assert folder.steps("reload", "--dry-run") == {"db": "keep", "web": "restart"}
    assert folder.pids() == {name: row["pid"] for name, row in before.items()}
    assert folder.steps("reload") == {"db": "keep", "web": "restart"}
    after = folder.rows()
    assert after["db"]["pid"] == before["db"]["pid"]
    assert after["web"]["pid"] != before["web"]["pid"]
    assert after["web"]["id"] == before["web"]["id"]
    assert folder.aish("logs", "web").stdout == "web\nweb2\n"


def test_what_can_change_while_it_runs_does(folder: Folder) -> None:
    folder.put(TWO)
    folder.aish("up")
    pids = folder.pids()
    folder.put(TWO.replace("[services.web]", '[services.web]\nlabels = { team = "a" }\nlimits = { pids = 50 }'))
    assert folder.steps("up") == {"db": "keep", "web": "amend"}
    assert folder.pids() == pids
    spec = json.loads(folder.aish("inspect", "--json", "web").stdout)["spec"]
    assert (spec["limits"]["pids"], spec["labels"]) == (50, {"team": "a"})
    assert folder.steps("up") == {"db": "keep", "web": "keep"}


def test_a_budget_of_the_project_is_that_of_its_file_until_somebody_raises_it(folder: Folder) -> None:
    budgets = TWO + '[budget]\ntokens = "2M"\nusd = 9.5\nday = { usd = 2, requests = 100 }\n'
    id = f"project:{folder.path}/aish.toml"

    def shown(*words: str) -> dict[str, float]:
        lines = json.loads(folder.aish("limit", "project:.", *words, "--json").stdout)["lines"]
        assert {line["account"] for line in lines} <= {id}
        return {line["word"]: line["most"] for line in lines}

    folder.put(TWO)
    folder.aish("up", "db")
    assert not [row for row in folder.rows().values() if row["name"] == "gateway"], "it needs none"
    folder.put(budgets)
    folder.aish("up")
    assert shown() == {"tokens": 2e6, "usd": 9.5, "usd/day": 2, "requests/day": 100}
    folder.aish("limit", f"{id}", "usd=+1/day")
    folder.aish("up")
    assert shown()["usd/day"] == 3
    folder.put(budgets.replace("usd = 2", "usd = 4"))
    folder.aish("reload")
    assert shown()["usd/day"] == 4
    folder.put(TWO)
    folder.aish("up")
    assert shown() == {}


def test_the_environment_is_the_declared_one_whoever_brings_it_up(folder: Folder) -> None:
    """Another value of it is a change; another terminal is none; a provider's key is not handed on."""
    folder.put(".env\nX=1".partition("\n")[2], ".env")
    folder.put(
        '[env]\nA = "1"\n[services.s]\nenv_file = ".env"\ninherit = ["WANTED"]\n'
        'shell = "echo $A $X $Y ${WANTED:-none} $STRAY ${ANTHROPIC_API_KEY:-no}; exec sleep 600"\n'.replace(
            "${W", "$${W"
        ).replace("${ANT", "$${ANT")
    )
    folder.aish("up", STRAY="s", WANTED="w", ANTHROPIC_API_KEY="sk-never", TERM="one")
    assert folder.steps("up", STRAY="t", TERM="two") == {"s": "keep"}
    folder.put("X=2\nY='and this'\n", ".env")
    assert folder.steps("up", STRAY="t") == {"s": "restart"}
    reason = json.loads(folder.aish("events", "--json", "s").stdout.splitlines()[-1])
    assert "sk-never" not in json.dumps(reason)
    log = folder.aish("logs", "s").stdout
    assert log == "1 1 w no\n1 2 and this none no\n"


def test_reload_ends_what_is_not_declared_any_more_and_up_only_tells(folder: Folder) -> None:
    folder.put(TWO)
    folder.aish("up")
    folder.put(TWO.partition("[services.web]")[0])
    told = folder.aish("up")
    assert "no longer declared, still there: web" in told.stderr
    assert folder.rows()["web"]["lifecycle"] == "running"
    assert folder.steps("reload") == {"web": "stop", "db": "keep"}
    assert {name: row["lifecycle"] for name, row in folder.rows().items()} == {"db": "running", "web": "exited"}


def test_needs_are_there_first_and_down_goes_the_other_way(folder: Folder) -> None:
    """Each notes when it began and when it was told to end."""
    note = "echo $AISH_NAME+ >> order; trap 'echo $AISH_NAME- >> order; exit 0' TERM; echo up; "
    note += "while :; do sleep 0.05; done"
    table = '[services.{0}]\nshell = """{1}"""\nready = {{ log = "up", every = "0.05s" }}\nneeds = {2}\n'
    folder.put(
        "".join(table.format(*each) for each in (("c", note, '["b"]'), ("b", note, '["a"]'), ("a", note, "[]")))
    )
    folder.aish("up")
    assert set(folder.told("down")) == {"a", "b", "c"}
    assert (folder.path / "order").read_text().split() == ["a+", "b+", "c+", "c-", "b-", "a-"]
    assert folder.told("down") == {}
    assert folder.steps("up") == {"a": "start", "b": "start", "c": "start"}


def test_a_dry_run_changes_nothing_and_starts_no_daemon(folder: Folder) -> None:
    folder.put(TWO)
    assert folder.steps("up", "--dry-run") == {"db": "start", "web": "start"}
    assert not (folder.home.runtime / "daemon.sock").exists()
    assert folder.told("down") == {}
    assert not (folder.home.runtime / "daemon.sock").exists()


def test_what_is_done_is_done_until_it_is_asked_for_again(folder: Folder) -> None:
    folder.put('[services.job]\nshell = "echo ran"\nrestart = "never"\n[services.after]\ncommand = "sleep 600"\n'
               'needs = [{ name = "job", until = "completed" }]\n')  # fmt: skip
    assert {name: row["state"] for name, row in folder.told("up").items()} == {"job": "exited", "after": "running"}
    assert folder.steps("up") == {"job": "keep", "after": "keep"}
    assert folder.aish("logs", "job").stdout == "ran\n"
    assert folder.steps("up", "--again", "job") == {"job": "start"}
    folder.aish("wait", "job")
    assert folder.aish("logs", "job").stdout == "ran\nran\n"


def test_what_fails_is_told_with_its_reason_and_status_1(folder: Folder) -> None:
    folder.put(
        '[services.bad]\nshell = "echo no such table >&2; exit 3"\nrestart = "never"\nready = { log = "never" }\n'
        '[services.after]\ncommand = "sleep 600"\nneeds = ["bad"]\n[services.good]\ncommand = "sleep 600"\n'
    )
    done = folder.aish("up", status=1)
    assert "bad (p" in done.stderr
    assert "no such table" in done.stderr
    assert "it needs bad, which has ended" in done.stderr
    rows = folder.told("up", "good")
    assert rows["good"]["state"] == "running"
    missing = '[services.bad]\ncommand = "/no/such/program"\n'
    folder.put(missing)
    error = folder.told("up", status=1)["bad"]["error"]
    assert "cannot be run" in error["message"]
    assert error["hint"] == "aish.toml:2: /no/such/program", "which one of a whole project's"


def test_a_time_out_says_what_is_awaited(folder: Folder) -> None:
    folder.put('[services.slow]\ncommand = "sleep 600"\nready = { log = "never", every = "0.05s" }\n')
    error = folder.told("up", "--timeout", "0.3", status=1)["slow"]["error"]
    assert error["message"].startswith("slow (p1) is loading after 0.3 s")
    assert folder.told("up", "--no-wait")["slow"]["error"] is None


def test_a_name_of_somebody_else_is_told_before_anything_is_done(folder: Folder) -> None:
    folder.home.aish("spawn", "--name", "web", "--", "sleep", "600")
    folder.put(TWO)
    done = folder.aish("up", status=69)
    assert "web is p1" in done.stderr
    assert set(folder.rows()) == {"web"}


def test_two_ups_at_once_give_one_instance_each(folder: Folder) -> None:
    names = [f"s{number}" for number in range(6)]
    folder.put("".join(f'[services.{name}]\nshell = "echo {name} >> ran; exec sleep 600"\n' for name in names))
    both = [folder.home.popen("up", cwd=folder.path, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [each.wait(timeout=60) for each in both] == [0, 0, 0, 0]
    folder.aish("up")
    assert sorted((folder.path / "ran").read_text().split()) == names
    assert sorted(folder.rows()) == names


def test_a_schedule_changes_without_being_run(folder: Folder) -> None:
    text = '[schedules.tidy]\ncron = "0 3 1 1 *"\nshell = "echo ran >> ran"\n'
    folder.put(text)
    assert folder.told("up")["tidy"]["state"] == "scheduled"
    folder.put(text.replace("0 3", "0 4"))
    assert folder.steps("reload") == {"tidy": "amend"}
    folder.put(text.replace("echo", "printf"))
    assert folder.steps("reload") == {"tidy": "restart"}
    assert folder.rows()["tidy"]["lifecycle"] == "scheduled"
    assert not (folder.path / "ran").exists()


def test_profiles_names_and_what_they_need(folder: Folder) -> None:
    folder.put(TWO + '[services.debug]\ncommand = "sleep 600"\nprofiles = ["dev"]\nneeds = ["db"]\n')
    assert set(folder.steps("up", "db")) == {"db"}
    assert folder.steps("up", "--profile", "dev") == {"db": "keep", "web": "start", "debug": "start"}
    assert folder.steps("reload") == {"db": "keep", "web": "keep", "debug": "keep"}
    assert "did you mean dev?" in folder.aish("up", "--profile", "dve", status=2).stderr
    assert set(folder.told("down", "debug")) == {"debug"}
    assert folder.rows()["db"]["lifecycle"] == "running"
    assert "did you mean debug?" in folder.aish("down", "debgu", status=69).stderr


def test_a_file_that_is_wrong_changes_nothing_and_down_does_not_read_it(folder: Folder) -> None:
    folder.put(TWO)
    folder.aish("up")
    pids = folder.pids()
    folder.put(TWO.replace('needs = ["db"]', 'neds = ["db"]\nnice = 99'))
    done = folder.aish("reload", status=2)
    assert "aish.toml:7: services.web.neds: unknown key\n  did you mean needs?" in done.stderr
    assert "aish.toml:8: services.web.nice: expected a whole number, -20 to 19, found 99" in done.stderr
    assert folder.pids() == pids
    told = json.loads(folder.aish("project", "check", "--json", status=2).stdout)
    assert [(each["line"], each["code"]) for each in told["problems"]] == [(7, "source"), (8, "source")]
    os.unlink(folder.path / "aish.toml")
    assert set(folder.told("down", "--file", "aish.toml")) == {"db", "web"}


def test_what_the_daemon_would_refuse_has_its_line(folder: Folder) -> None:
    folder.put(
        '[schedules.s]\ncommand = "x"\ncron = "never"\n[services.t]\ncommand = "x"\nlimits = { memory = "1K" }\n'
    )
    told = folder.aish("project", "check", status=2).stderr
    assert "aish.toml:3: schedules.s.cron: " in told
    assert "aish.toml:6: services.t.limits.memory: expected a size" in told
    assert "64K or more" in told


def test_show_tells_all_but_values(folder: Folder) -> None:
    folder.put('include = ["more.toml"]\n[env]\nPASSWORD = "hunter2"\n' + TWO)
    folder.put('[services.more]\ncommand = "${PROGRAM}"\nenv = { B = "hunter3" }\n', "more.toml")
    shown = folder.aish("project", "show", "--json", PROGRAM="sleep").stdout
    told = json.loads(shown)["entries"]
    assert (told["more"]["spec"]["argv"], told["more"]["environ_names"]) == (["sleep"], ["B", "PASSWORD"])
    assert "hunter" not in shown
    assert "more" in folder.aish("project", "show", PROGRAM="sleep").stdout
    assert "more.toml:2: services.more.command: the variable PROGRAM is not set" in folder.aish("up", status=2).stderr


def test_secrets_of_an_env_file_are_nowhere_but_in_the_process(folder: Folder) -> None:
    folder.put("PASSWORD=hunter2\n", ".env")
    folder.put('[services.s]\nenv_file = ".env"\ncommand = "sleep 600"\n')
    folder.aish("up")
    seen = folder.aish("inspect", "s").stdout + folder.aish("events", "--json").stdout
    assert "hunter2" not in seen
    for path in folder.home.state.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_import_prints_a_file_that_is_right(folder: Folder) -> None:
    folder.put("web: python app.py --port 80\nworker: a | b\n", "Procfile")
    done = folder.aish("project", "import", "Procfile")
    folder.put(done.stdout)
    folder.aish("project", "check")
    assert "what is it?" in folder.aish("project", "import", "aish.toml", status=2).stderr


def test_the_example(folder: Folder) -> None:
    folder.put((ROOT / "examples" / "project" / "aish.toml").read_text())
    rows = folder.told("up")
    assert {name: row["state"] for name, row in rows.items()} == {
        "queue": "running",
        "seed": "exited",
        "tidy": "scheduled",
        "worker": "running",
    }
    assert folder.aish("logs", "worker").stdout == "worker: hello\n"


def test_a_supervised_process_sees_nothing_of_the_project_and_changes_nothing(folder: Folder) -> None:
    folder.put(TWO)
    folder.aish("up")
    for verb in ("down", "up"):
        folder.home.aish("run", "--", sys.executable, "-m", "aish", verb, cwd=folder.path)
    assert folder.rows()["web"]["lifecycle"] == "running"
    assert {row["parent"] for row in folder.rows().values()} == {None}


@pytest.mark.model
def test_a_model_of_the_store_and_an_agent_that_asks_it(folder: Folder, embedded_model: str) -> None:
    text = f"""
[models.{embedded_model}]
labels = {{ size = "small" }}
[agents.title]
agent = "title"
model = "{embedded_model}"
input = "in.txt"
needs = ["{embedded_model}"]
"""
    folder.put(text)
    folder.put("The ferry leaves at nine. Tickets are sold on board.", "in.txt")
    rows = folder.told("up")
    assert (rows[embedded_model]["error"], rows["title"]["error"]) == (None, None)
    folder.aish("wait", "title")
    assert folder.aish("logs", "title").stdout.strip()
    pid = folder.pids()[embedded_model]
    assert folder.steps("up") == {embedded_model: "keep", "title": "keep"}
    folder.put(text.replace("small", "tiny"))
    assert folder.steps("reload") == {embedded_model: "amend", "title": "keep"}
    assert folder.pids()[embedded_model] == pid
    folder.put(text.replace("labels", 'env = { A = "1" }\nlabels'))
    assert folder.steps("reload") == {embedded_model: "restart", "title": "keep"}
    assert folder.pids()[embedded_model] != pid
    assert set(folder.told("down")) == {embedded_model}
    assert folder.steps("up", embedded_model) == {embedded_model: "start"}


def test_a_model_that_the_store_does_not_have_is_told(folder: Folder) -> None:
    folder.put('[models."no/such-model"]\n')
    assert "no/such-model" in folder.aish("up", status=69).stderr


def test_down_dry_run_tells_the_order_and_ends_nothing(home: Home, tmp_path: Path) -> None:
    (tmp_path / "aish.toml").write_text(
        '[services.db]\ncommand = "sleep 600"\n[services.web]\ncommand = "sleep 600"\nneeds = ["db"]\n'
    )
    assert home.aish("up", cwd=tmp_path).returncode == 0
    shown = home.aish("down", "--dry-run", "--json", cwd=tmp_path)
    assert [(row["name"], row["state"]) for row in json.loads(shown.stdout)] == [
        ("web", "running"),
        ("db", "running"),
    ]
    assert home.aish("down", cwd=tmp_path).returncode == 0


def test_a_restart_keeps_the_declared_environment(home: Home, tmp_path: Path) -> None:
    """The caller's came in, and what the file says went."""
    (tmp_path / "aish.toml").write_text(
        '[services.v]\nshell = \'echo "$DECLARED/$CALLER/"; exec sleep 600\'\nenv = { DECLARED = "yes" }\n'
    )
    assert home.aish("up", cwd=tmp_path).returncode == 0
    caller = home.environ | {"CALLER": "leak"}
    assert home.aish("restart", "v", env=caller).returncode == 0
    assert home.aish("stop", "v").returncode == 0
    assert home.aish("start", "v", env=caller).returncode == 0
    home.aish("stop", "v")
    assert home.aish("logs", "v").stdout.splitlines() == ["yes//"] * 3


def test_what_is_not_ready_in_time_is_late_and_goes_on(folder: Folder) -> None:
    """Fault: 'failed' and 'loading' in one row, and then that it goes on."""
    folder.put('[services.slow]\ncommand = "sleep 600"\nready = { log = "never" }\n')
    done = folder.aish("up", "--timeout", "0.3", status=1)
    assert done.stdout.splitlines()[1].split() == ["slow", "p1", "late", "loading"]
    assert "slow (p1) is loading after 0.3 s" in done.stderr
    assert "it goes on" in done.stderr
    assert folder.rows()["slow"]["lifecycle"] == "running"


def test_a_folder_without_a_file_is_named_as_what_it_is(folder: Folder) -> None:
    """Fault: 'no such file: d.toml' of a folder that is there."""
    (folder.path / "d.toml").mkdir()
    for verb in ("up", "down"):
        told = folder.aish(verb, "-f", "d.toml", status=69).stderr
        assert "there is no aish.toml in the folder d.toml" in told, verb


def test_down_says_that_there_was_nothing_to_end(folder: Folder) -> None:
    """Fault: a mistyped file, or one of which nothing runs: no word, and 0."""
    told = folder.aish("down", "-f", "tpyo.toml", status=69).stderr
    assert "no such file: tpyo.toml" in told
    folder.put(TWO)
    done = folder.aish("down")
    assert (done.stdout, done.stderr) == ("", "aish down: nothing of aish.toml runs\n")
    folder.put("")
    assert folder.aish("up", "--dry-run").stderr == "aish up: aish.toml declares nothing\n"
    folder.put(
        TWO.replace("[services.web]", '[services.web]\nprofiles = ["x"]').replace(
            "[services.db]", "[services.db]\nprofiles = ['y']"
        )
    )
    told = folder.aish("up", "--dry-run").stderr
    assert told == "aish up: aish.toml declares nothing without a profile\n  --profile: x, y\n"
    assert folder.aish("down", "--json").stdout == "[]\n"


def test_a_file_through_a_pipe_is_checked_and_shown_but_brings_nothing_up(folder: Folder) -> None:
    """Fault: 'cannot be read: No such file or directory' of /dev/stdin."""
    for name in ("-", "/dev/stdin"):
        done = folder.home.aish("project", "check", "-f", name, cwd=folder.path, input=TWO.replace("needs", "neds"))
        assert (done.returncode, "stdin:7: services.web.neds: unknown key" in done.stderr) == (2, True)
        done = folder.home.aish("project", "show", "-f", name, cwd=folder.path, input=TWO)
        assert (done.returncode, [line.split()[0] for line in done.stdout.splitlines()[1:]]) == (0, ["db", "web"])
        done = folder.home.aish("up", "-f", name, cwd=folder.path, input=TWO)
        assert (done.returncode, "known by its file" in done.stderr) == (2, True)


def test_inspect_shows_the_project_and_the_digest(folder: Folder) -> None:
    """Fault: the page speaks of them, and only --json had them."""
    folder.put('[services.s]\ncommand = "sleep 600"\n')
    folder.aish("up")
    spec = json.loads(folder.aish("inspect", "--json", "s").stdout)["spec"]
    lines = dict(line.split(None, 1) for line in folder.aish("inspect", "s").stdout.splitlines() if " " in line)
    assert (lines["project"], lines["digest"]) == (str(folder.path / "aish.toml"), spec["digest"])
