"""Mail on the whole way: durable, at least once, by place in the tree, and answered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import ConflictError, InputError, NotFoundError
from aish.wire.message import AwaitResponse, Forget, MailQuery, Receive, Send, Stop
from aish.wire.reply import Done, Mail, MailList, Sent

if TYPE_CHECKING:
    from conftest import Supervised

    from aish.wire.mail import MailPart

READER = """
import sys, time
from aish.client import Aish
with Aish() as aish:
    for number in range(int(sys.argv[1])):
        mail = aish.receive()
        print("got", mail.text, mail.sender_name, flush=True)
        if mail.text == "die":
            sys.exit(3)
        if mail.text == "sleep":
            time.sleep(600)
        aish.respond(mail.number, mail.text.upper(), status=7 if mail.text == "fail" else 0)
"""


def reader(up: Supervised, count: int = 1, **fields: Any) -> str:
    return up.spawn(sys.executable, "-c", READER, str(count), **{"kind": "agent", "name": "reader"} | fields).id


def send(up: Supervised, target: str, text: str, token: str = "") -> int:
    return up.client.ask(Sent, Send(token=token or f"{target}-{text}", target=target, text=text)).number


def response(up: Supervised, number: int) -> MailPart:
    mail = up.client.ask(Mail, AwaitResponse(number=number, timeout_s=60)).mail
    assert mail is not None
    return mail


def test_sent_read_and_answered(up: Supervised) -> None:
    id_ = reader(up, 2)
    first, second = send(up, id_, "hello"), send(up, "@reader", "fail")
    assert (response(up, first).answer, response(up, first).status) == ("HELLO", 0)
    assert (response(up, second).answer, response(up, second).status) == ("FAIL", 7)
    assert up.code(id_) == 0
    assert up.log(id_)[0] == "got hello None\ngot fail None\n"
    kinds = [event.kind for event in up.events() if event.kind.startswith("mail")]
    assert sorted(kinds) == ["mail", "mail", "mail-answered", "mail-answered"]


@pytest.mark.usefixtures("home")
def test_killed_daemon_at_any_moment_it_arrives_once_and_so_does_its_answer(up: Supervised) -> None:
    id_ = reader(up, 3)
    first = send(up, id_, "one", token="t1")
    up.kill_daemon()
    up.next_daemon()
    assert send(up, id_, "one", token="t1") == first, "sent again, since nobody had acknowledged it"
    second = send(up, id_, "two")
    up.kill_daemon()
    up.next_daemon()
    assert response(up, first).answer == "ONE"
    up.kill_daemon()
    up.next_daemon()
    assert response(up, first).answer == "ONE"
    assert response(up, second).answer == "TWO"
    third = send(up, id_, "three")
    assert third == second + 1
    assert up.code(id_) == 0
    got = up.log(id_)[0].splitlines()
    assert [line.split()[1] for line in got] == ["one", "two", "three"]


@pytest.mark.usefixtures("home")
def test_who_waits_for_mail_is_idle_whatever_daemon_there_is(up: Supervised) -> None:
    """An agent that had told a daemon which was killed was `running` until its next turn."""
    id_ = reader(up, 2)
    up.until("it is idle", lambda: up.row(id_).activity == "idle")
    assert up.row(id_).doing == "waits for messages"
    up.kill_daemon()
    up.next_daemon()
    up.until("it is idle for the next one, too", lambda: up.row(id_).activity == "idle")
    send(up, id_, "sleep")
    up.until("it works", lambda: "got sleep" in up.log(id_)[0])
    assert up.row(id_).activity != "idle", "it waits no more, and tells nothing"


def test_what_a_run_has_not_answered_waits_for_the_next(up: Supervised) -> None:
    id_ = reader(up, 2, restart="on-failure")
    number = send(up, id_, "die")
    up.until("it was read twice", lambda: up.log(id_)[0].count("got die") >= 2)
    (mail,) = up.client.ask(MailList, MailQuery(target=id_)).mail
    assert (mail.number, mail.state in ("waiting", "delivered"), mail.deliveries >= 2) == (number, True, True)
    up.client.ask(Done, Stop(target=id_))
    assert response(up, number).state == "returned"


def test_nobody_waits_for_who_has_ended_for_good(up: Supervised) -> None:
    id_ = reader(up)
    number = send(up, id_, "sleep")
    up.until("it was read", lambda: "got sleep" in up.log(id_)[0])
    up.client.ask(Done, Stop(target=id_, grace_s=0))
    mail = response(up, number)
    assert (mail.state, mail.answer) == ("returned", None)
    with pytest.raises(ConflictError, match="has ended"):
        send(up, id_, "late")
    up.wait(id_)
    up.client.ask(Done, Forget(target=id_))
    with pytest.raises(NotFoundError):
        response(up, number)


def test_who_reads_no_mail_gets_none(up: Supervised) -> None:
    up.spawn("sleep", "60", name="plain")
    with pytest.raises(ConflictError, match="reads no mail"):
        send(up, "plain", "hello")
    with pytest.raises(NotFoundError):
        send(up, "nobody", "hello")
    with pytest.raises(InputError):
        send(up, "plain", " ")
    with pytest.raises(InputError, match="only a supervised process"):
        up.client.ask(Mail, Receive())


def test_a_wait_that_is_over_tells_how_it_is_now(up: Supervised) -> None:
    id_ = reader(up)
    number = send(up, id_, "sleep")
    mail = up.client.ask(Mail, AwaitResponse(number=number, timeout_s=0.0)).mail
    assert mail is not None
    assert not mail.over


FAMILY = """
import sys
from aish.client import Aish
from aish.errors import AishError
with Aish() as aish:
    if sys.argv[1] == "parent":
        children = [aish.spawn([sys.executable, "-c", sys.argv[2], role], kind="agent", name=role)
                    for role in ("brother", "sister")]
        for child in children:
            number = aish.send(child, "go")
            print(child.name, aish.response(number, timeout_s=60).answer, flush=True)
    elif sys.argv[1] == "brother":
        mail = aish.receive()
        told = []
        for name in ("sister", "parent", "stranger"):
            try:
                told.append(str(aish.send(name, "hello from the brother") > 0))
            except AishError as error:
                told.append(type(error).__name__)
        aish.respond(mail.number, " ".join(told))
    else:
        texts = []
        while True:
            mail = aish.receive()
            texts.append(f"{mail.text}/{mail.sender_name}")
            aish.respond(mail.number, ", ".join(texts))
            if mail.text == "go":
                break
"""


def test_by_place_in_the_tree(up: Supervised) -> None:
    """A stranger could tell an agent what to do; brothers and sisters work together."""
    up.spawn(sys.executable, "-c", READER, "1", kind="agent", name="stranger")
    id_ = up.spawn(sys.executable, "-c", FAMILY, "parent", FAMILY, kind="agent", name="parent").id
    assert up.code(id_) == 0, up.log(id_)[1]
    assert up.log(id_)[0].splitlines() == [
        "brother True True RefusedError",
        "sister hello from the brother/brother, go/parent",
    ]
    assert up.client.ask(MailList, MailQuery(target="stranger")).mail == []


def test_nobody_reads_the_answer_to_anothers_message(up: Supervised) -> None:
    id_ = reader(up)
    number = send(up, id_, "secret")
    code = f"""
from aish.client import Aish
from aish.errors import AishError
try:
    print(Aish().response({number}).answer)
except AishError as error:
    print(type(error).__name__)
"""
    spy = up.spawn(sys.executable, "-c", code, kind="agent", name="spy").id
    assert up.code(spy) == 0
    assert up.log(spy)[0] == "RefusedError\n"
