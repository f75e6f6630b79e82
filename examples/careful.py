"""An agent of your own, in a few lines: it asks before it does anything, and then answers messages.

aish spawn --kind agent --name coder -- python examples/careful.py 'git push origin fix'
"""

import sys

from aish.client import Aish

command = sys.argv[1]
with Aish() as aish:
    aish.tell("tool", "pytest -q")  # what `aish ps` shows: here it would work
    answer = aish.ask_person(f"run: {command}", body=command, form="command")
    print(f"{command}: {answer.option}", flush=True)
    aish.tell("idle")
    while mail := aish.receive():
        aish.respond(mail.number, f"{command} was {'done' if answer.option == 'allow' else 'not done'}")
        print(f"answered: {mail.text}", flush=True)
