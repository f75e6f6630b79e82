"""`aish doctor`: what works here, what does not, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.cli.standing import USER
from aish.client import connect, offers
from aish.errors import AishError
from aish.report import clean
from aish.wire.message import Doctor
from aish.wire.part import Finding
from aish.wire.reply import Findings

if TYPE_CHECKING:
    from aish.wire.reply import Welcome

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def main(argv: list[str]) -> int:
    """Exit status 0 where nothing fails, 1 otherwise."""
    parser = Parser("doctor", "Check this installation.")
    json_option(parser)
    options = parser.parse_args(argv)
    findings = _local()
    try:
        with connect(program="doctor") as client:
            findings.append(_standing(client.welcome))
            if client.welcome.standing == USER:
                findings += client.ask(Findings, Doctor()).findings
    except AishError as error:
        findings.append(Finding(level="fail", topic="daemon", text=str(error), hint=error.hint))
    findings += [Finding(level="ok", topic="offer", text=text) for text in offers.lines()]
    if options.json:
        print_json(findings)
    else:
        for finding in findings:
            print(clean(f"{_MARKS.get(finding.level, finding.level)}  {finding.topic}: {finding.text}"))
            if finding.hint:
                print(clean(f"      {finding.hint}"))
    return int(any(finding.level == "fail" for finding in findings))


def _standing(welcome: Welcome) -> Finding:
    """As whom we ask: what is refused, and what is not seen, follows from it."""
    match welcome.standing:
        case "user":
            text, hint = "you act as the user", None
        case "process":
            text = f"this program acts as {welcome.caller}: it sees and controls what that started, nothing else"
            hint = "the rest of the check is the user's: run `aish doctor` from outside"
        case _:
            text = "where this program comes from is not known, so it has no rights"
            hint = "it was started below a supervised process and lost its parents; run it from your own shell"
    return Finding(level="ok" if welcome.standing != "nobody" else "warn", topic="caller", text=text, hint=hint)


def _has_gomp() -> bool:
    import ctypes

    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return False
    return True


def _local() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    findings = [Finding(level="ok", topic="python", text=f"{version} at {sys.executable}")]
    for module, topic, lacks in (
        ("xllamacpp", "local models", "the embedded model server is not installed"),
        ("huggingface_hub", "model hub", "models cannot be pulled by their Hugging Face id"),
        ("ml_dtypes", "bfloat16", "bfloat16 and fp8 tensors are read as plain integers"),
        ("keyring", "keyring", "secrets cannot be fetched from the desktop's keyring"),
    ):
        extra = {"xllamacpp": "local", "huggingface_hub": "hub", "ml_dtypes": "bf16"}.get(module, module)
        if module == "xllamacpp" and importlib.util.find_spec(module) and not _has_gomp():
            text = "xllamacpp is installed, but the system lacks libgomp.so.1, which it needs"
            findings.append(Finding(level="fail", topic=topic, text=text, hint="apt-get install libgomp1"))
        elif importlib.util.find_spec(module) is None:
            hint = f"pip install 'aish-shell[{extra}]'"
            findings.append(Finding(level="warn", topic=topic, text=lacks, hint=hint))
        else:
            findings.append(Finding(level="ok", topic=topic, text=f"{module} is installed"))
    return [*findings, _login_shell(os.environ.get("SHELL", "")), *_telemetry()]


def _login_shell(shell: str) -> Finding:
    """Who starts a login shell says so in the word before its arguments, and Linux drops that word of a script."""
    if os.path.basename(shell) != "aish":
        return Finding(level="ok", topic="login shell", text=f"{shell or 'unknown'} ($SHELL)")
    return Finding(
        level="warn",
        topic="login shell",
        text=f"{shell} ($SHELL) is not told where it is started as one: it does not read /etc/profile then",
        hint="have `aish -l` started. tmux: set -g default-command 'aish -l'; chsh: docs/reference/shell.md",
    )


def _telemetry() -> list[Finding]:
    """Only for who asks for it: aish.supervisor.gateway.observed."""
    if not os.environ.get("AISH_OTEL"):
        return []
    for name in ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            text, hint = f"AISH_OTEL is set, and {name} is not installed", "pip install 'aish-shell[otel]'"
            return [Finding(level="warn", topic="telemetry", text=text, hint=hint)]
    return [Finding(level="ok", topic="telemetry", text="OpenTelemetry is installed")]
