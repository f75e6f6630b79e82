"""The gateway: the one address for models. Keys, metering, budgets and routes; a supervised process of its own.

`python -m aish.supervisor.gateway` runs it. It is the only program that reads real upstream keys and the only writer
of reservations and usage. It talks to the daemon through aish.wire.link and never imports it.
"""
