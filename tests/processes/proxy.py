"""nginx with the configuration that Keycard ships, on ports of this machine."""

import contextlib
import os
import signal
import ssl
import subprocess
from pathlib import Path

import httpx

from tests.processes.servers import STOP_SECONDS, Server, eventually

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
NGINX = "/usr/sbin/nginx"


class Proxy:
    """deploy/nginx.conf in front of some servers, at https://127.0.0.1. Only addresses and paths are not as shipped."""

    def __init__(self, folder: Path, port: int, certificates: Path) -> None:
        self.folder, self.port, self._certificates = folder, port, certificates
        self.base_url = f"https://127.0.0.1:{port}"
        self.authority = certificates / "authority.pem"
        self.trust = ssl.create_default_context(cafile=self.authority)
        self.client = self.client_from("127.0.0.1")
        self._process: subprocess.Popen[bytes] | None = None

    def client_from(self, address: str, **options: object) -> httpx.Client:
        """A client at one of this machine's addresses, 127.0.0.1 to 127.255.255.254."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=address, limits=httpx.Limits(max_connections=None))
        return httpx.Client(base_url=self.base_url, transport=transport, timeout=30, trust_env=False, **options)  # type: ignore[arg-type]

    def start(self, *servers: Server) -> None:
        self._write(servers)
        arguments = [NGINX, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        tried = subprocess.run([*arguments, "-t"], capture_output=True, text=True, check=False)
        assert tried.returncode == 0, tried.stderr
        assert "[warn]" not in tried.stderr.replace('the "user" directive', ""), tried.stderr
        self._process = subprocess.Popen([*arguments, "-g", "daemon off;"], start_new_session=True)
        eventually(self._answers)

    def _write(self, servers: tuple[Server, ...]) -> None:
        text = (DEPLOY / "nginx.conf").read_text()
        changes = {
            "pid /tmp/": f"pid {self.folder}/",
            " /tmp/nginx-": f" {self.folder}/",
            "error_log /dev/stderr": f"error_log {self.folder}/error.log",
            "access_log /dev/stdout": f"access_log {self.folder}/access.log",
            "listen 8443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/certs/": f"{self._certificates}/",
            **{f"server api-{number}:8000": f"server 127.0.0.1:{each.port}" for number, each in enumerate(servers, 1)},
        }
        for shipped, here in changes.items():
            assert shipped in text, shipped
            text = text.replace(shipped, here)
        (self.folder / "nginx.conf").write_text(text)

    def _answers(self) -> bool:
        try:
            return self.client.get("/health/live").status_code == 200
        except httpx.TransportError:
            return False

    def answered(self) -> list[tuple[str, int, str]]:
        """What was asked so far: the request, its status, and the servers that were asked for it."""
        found = []
        whole, _, _ = (self.folder / "access.log").read_text().rpartition("\n")  # the last line may be half written
        for line in whole.splitlines():
            _, request, rest = line.split('"')
            status, _seconds, servers = rest.split(maxsplit=2)
            found.append((request, int(status), servers))
        return found

    def stop(self) -> None:
        self.client.close()
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(STOP_SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)


def make_certificates(folder: Path) -> Path:
    """Certificates for 127.0.0.1, made by the script that Compose runs."""
    subprocess.run([DEPLOY / "certificate.sh", folder, "localhost", "127.0.0.1"], check=True)
    (folder / "proxy.key").chmod(0o644)  # whoever runs nginx here
    return folder
