"""An authority that signs certificates, and a proxy that passes all on and remembers for whom."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import selectors
import socket
import socketserver
import ssl
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The authority's certificate in PEM, and what a server at 127.0.0.1, or of the name
    a.test, that it signed listens with."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of ours")])
    now = datetime.datetime.now(datetime.UTC)

    def built(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=1)
        )
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("a.test")]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(authority, hashes.SHA256())

    pem = serialization.Encoding.PEM
    root, chain = folder / "authority.pem", folder / "server.pem"
    root.write_bytes(built(issuer, authority, ca=True).public_bytes(pem))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    private = server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + built(name, server, ca=False).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return root, context


def strict(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """The system's only authority is that of `root`, and Python is as strict as from 3.13 on: such a certificate is
    refused by who leaves it at that."""
    made = ssl.create_default_context

    def create(*args: Any, **named: Any) -> ssl.SSLContext:
        context = made(*args, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)
    monkeypatch.setenv("SSL_CERT_FILE", str(root))


class Proxy(socketserver.ThreadingTCPServer):
    """`asked`: the first line of each request. `refuses`: what it answers instead; "": nothing, it closes. `tls`:
    what it listens with itself, where it is an https:// one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        super().__init__(("127.0.0.1", 0), _Passing)
        self.asked: list[str] = []
        self.refuses: str | None = None
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self) -> tuple[socket.socket, object]:
        client, address = super().get_request()
        return (client if self._tls is None else self._tls.wrap_socket(client, server_side=True)), address

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Proxy)
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
        line, _, rest = head.partition(b"\r\n")
        self.server.asked.append(line.decode())
        if self.server.refuses is not None:
            if self.server.refuses:
                self.request.sendall(f"HTTP/1.1 {self.server.refuses}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        method, url, version = line.decode().split()
        if method == "CONNECT":
            host, _, port = url.partition(":")
            with socket.create_connection((host, int(port))) as there:
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                _splice(self.request, there)
        else:
            parts = urlsplit(url)
            with socket.create_connection((parts.hostname or "", parts.port or 80)) as there:
                there.sendall(f"{method} {parts.path} {version}\r\n".encode() + rest)
                _splice(self.request, there)


def _splice(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(65536)
                if not data:
                    return
                key.data.sendall(data)
