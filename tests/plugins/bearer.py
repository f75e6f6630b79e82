"""A stand-in for programs with a bearer of their own: told by `-c` it is Codex, else opencode. Its turn is one
request, where and with what it was told to beside its own bearer; its answer is what that one says."""

from __future__ import annotations

import json
import os
import sys
import tomllib
import urllib.request
from typing import Any

BEARER = "sk-a-bearer-of-a-test"


def tell(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def post(url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    head = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps({"model": "vendor-1", **body}).encode(), head)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def codex(sent: dict[str, Any]) -> None:
    id, params = sent.get("id"), sent.get("params", {})
    match sent.get("method"):
        case "account/read":
            tell(id=id, result={"account": {"type": os.environ.get("LOGIN", "apiKey")}})
        case "thread/start":
            tell(id=id, result={"thread": {"id": "t"}})
        case "turn/start":
            tell(id=id, result={"turn": {"id": "u"}})
            words = [after for word, after in zip(sys.argv, sys.argv[1:], strict=False) if word == "-c"]
            provider = tomllib.loads("\n".join(words))["model_providers"]["aish"]
            bearer = os.environ[provider["env_key"]] if "env_key" in provider else BEARER
            beside = {name: os.environ[value] for name, value in provider["env_http_headers"].items()}
            headers = {"Authorization": f"Bearer {bearer}", **beside}
            text = post(f"{provider['base_url']}/responses", {"input": params["input"][0]["text"]}, headers)
            said = "".join(part["text"] for item in text["output"] for part in item.get("content", ()))
            item = {"type": "agentMessage", "id": "m", "text": said}
            tell(method="item/completed", params={"threadId": "t", "item": item})
            tell(method="turn/completed", params={"threadId": "t", "turn": {"id": "u", "status": "completed"}})
        case "initialize":
            tell(id=id, result={})
        case _:
            pass


def opencode(sent: dict[str, Any]) -> None:
    id, params = sent.get("id"), sent.get("params", {})
    head: dict[str, Any] = {"jsonrpc": "2.0", "id": id}
    match sent.get("method"):
        case "initialize":
            tell(**head, result={"protocolVersion": 1, "agentCapabilities": {}})
        case "session/new":
            tell(**head, result={"sessionId": "s1"})
        case "session/prompt":
            options = json.loads(os.environ["OPENCODE_CONFIG_CONTENT"])["provider"]["vendor"]["options"]
            headers = {"Authorization": f"Bearer {BEARER}", **options["headers"]}
            messages = [{"role": "user", "content": params["prompt"][0]["text"]}]
            text = post(f"{options['baseURL']}/chat/completions", {"messages": messages}, headers)
            content = {"type": "text", "text": text["choices"][0]["message"]["content"]}
            update = {"sessionUpdate": "agent_message_chunk", "content": content}
            tell(jsonrpc="2.0", method="session/update", params={"sessionId": "s1", "update": update})
            tell(**head, result={"stopReason": "end_turn"})
        case _:
            pass


if __name__ == "__main__":
    for line in sys.stdin:
        (codex if "-c" in sys.argv else opencode)(json.loads(line))
