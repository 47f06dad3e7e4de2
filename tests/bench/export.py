#!/usr/bin/env python3
"""Records per CPU second of the exporter alone, encoded and sent over each transport to `weir collect`: export.py BUILD"""

import subprocess
import sys
import tempfile
from pathlib import Path

import transports


def main():
    build = Path(sys.argv[1]).resolve()
    bench = build / "tests" / "bench" / "bench_export"
    subprocess.run([bench], check=True)
    for name in ("Tcp", "Tls", "Dtls"):
        with tempfile.TemporaryDirectory(prefix="weir-export-") as held:
            folder = Path(held)
            transports.certificates(folder)
            port, http = transports.free_ports(2)
            collector = transports.Collector(build / "src" / "cmd" / "weir", folder, f"{name}/127.0.0.1:{port}", http)
            collector.start()
            tls = [folder / "probe.pem", folder / "probe.key", folder / "ca.pem", "flows.example"] if name in ("Tls", "Dtls") else []
            subprocess.run([bench, f"{name}/127.0.0.1:{port}", *tls], check=True)
            collector.kill()
    with tempfile.TemporaryDirectory(prefix="weir-export-") as held:
        subprocess.run([bench, f"File/{held}/out.ipfix"], check=True)


if __name__ == "__main__":
    main()
