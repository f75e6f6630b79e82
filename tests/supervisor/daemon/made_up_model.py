"""The program that stands for a model's server: `made_up_model.py PORT [OPTION …]`. `Supervised.model` starts it.

It answers each chat at once, with seven tokens read and five written. The gateway's own probes say "hi".
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import time
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--echo", action="store_true", help="say what was asked last")
    parser.add_argument("--prompt-tokens", type=int, default=7, help="what it says that it has read")
    parser.add_argument("--work-s", type=float, default=0.0, help="print 'asked' for each 'work', and take so long")
    parser.add_argument("--paid", metavar="FILE", help="402 as long as that is not there")
    parser.add_argument("--gate", metavar="FILE", help="write there what is asked, and answer once FILE.go is there")
    Handler.options = parser.parse_args()
    Server(("127.0.0.1", Handler.options.port), Handler).serve_forever()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options: argparse.Namespace

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": "made-up", "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        options = self.options
        if options.paid and not os.path.exists(options.paid):
            self.send_error(402)
            return
        if options.work_s and asked == "work":
            print("asked", flush=True)
            time.sleep(options.work_s)
        if options.gate and asked != "hi":
            self._pass(asked)
        self._answer(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "made-up",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": f"to: {asked}" if options.echo else "hi"},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": options.prompt_tokens,
                    "completion_tokens": 5,
                    "total_tokens": options.prompt_tokens + 5,
                },
            }
        )

    def _pass(self, asked: str) -> None:
        """Wait at the gate, and be at work for a moment: who asks next is to wait for a place."""
        with open(self.options.gate, "a", encoding="utf-8") as file:
            file.write(asked + "\n")
        while not os.path.exists(f"{self.options.gate}.go"):
            time.sleep(0.01)
        time.sleep(0.2)

    def _answer(self, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        pass


if __name__ == "__main__":
    main()
