"""The gateway beside direct access, nginx, LiteLLM and Portkey: `./dev bench-gateway`."""
