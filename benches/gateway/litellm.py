"""LiteLLM's proxy: one worker, one model, a master key, no database (so that it counts nothing)."""

from __future__ import annotations

import json

from benches import fetch
from benches.gateway import upstream
from benches.gateway.driver import Address, Driver, free_port

_KEY = "sk-bench"


class LiteLlm(Driver):
    name = "LiteLLM"
    slow = True

    def __init__(self, folder: str, upstream_url: str) -> None:
        super().__init__(folder, upstream_url)
        self.program = fetch.python("litellm", "litellm[proxy]")
        self._port = free_port()

    def environ(self) -> dict[str, str]:
        # Prices from its own package and not from the network; no line for each request.
        return super().environ() | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}

    def up(self) -> float | None:
        model = {"model": f"openai/{upstream.MODEL}", "api_base": self.upstream_url, "api_key": "sk-upstream"}
        config = {
            "model_list": [{"model_name": upstream.MODEL, "litellm_params": model}],
            "general_settings": {"master_key": _KEY},
        }
        path = f"{self.folder}/config.yaml"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        words = ("--host", "127.0.0.1", "--port", str(self._port), "--num_workers", "1", "--telemetry", "False")
        return self.started_and_answering(self.program, "--config", path, *words)

    @property
    def address(self) -> Address:
        return Address(f"http://127.0.0.1:{self._port}/v1", {"Authorization": f"Bearer {_KEY}"}, upstream.MODEL)
