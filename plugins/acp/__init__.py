"""Agents that speak the Agent Client Protocol (https://agentclientprotocol.com): JSON-RPC, a message a line. Entry
point `acp` of `aish.agent_adapter`; the adapters of opencode and gemini stand upon it.

    adapter.py       how the program is started
    conversation.py  one turn: initialize, session, prompt, and what the agent asks meanwhile
    messages.py      lines of the program <-> messages of the library
    update.py        what one message says: pure
    call.py          what is known of a call of a tool: pure
    permission.py    a permission that is wanted, as a question, and its answer: pure
    model.py         which of the agent's models is meant: pure
    failure.py       errors of the protocol as those of aish: pure
    teller.py        what the host is told of it
    files.py         reading and writing for the agent, in its folder
"""

from __future__ import annotations

from aish.plugins.acp.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
