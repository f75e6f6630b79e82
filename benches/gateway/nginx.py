"""nginx: proxy_pass and nothing else, with one worker. It is the ceiling: it reads no body and counts nothing."""

from __future__ import annotations

from benches import fetch
from benches.gateway import upstream
from benches.gateway.driver import Address, Driver, free_port

_CONF = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream model {{
        server {upstream};
        keepalive 128;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


class Nginx(Driver):
    name = "nginx"

    def __init__(self, folder: str, upstream_url: str) -> None:
        super().__init__(folder, upstream_url)
        self.program = fetch.debian_unpacked("nginx", "nginx", "nginx-light")
        self._port = free_port()

    def up(self) -> float | None:
        server = self.upstream_url.removeprefix("http://").removesuffix("/v1")
        with open(f"{self.folder}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(_CONF.format(folder=self.folder, upstream=server, port=self._port))
        conf, log = f"{self.folder}/nginx.conf", f"{self.folder}/nginx.log"
        return self.started_and_answering(self.program, "-p", self.folder, "-e", log, "-c", conf)

    @property
    def address(self) -> Address:
        return Address(f"http://127.0.0.1:{self._port}/v1", {"Authorization": "Bearer sk-bench"}, upstream.MODEL)
