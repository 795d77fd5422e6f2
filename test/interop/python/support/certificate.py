"""A certificate of an upstream's own making."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    cert_file: Path
    key_file: Path


def self_signed(directory: Path, name: str) -> Certificate:
    """Made with the openssl command."""
    openssl = shutil.which("openssl")
    assert openssl is not None, "openssl is not installed; Debian: apt-get install openssl"
    certificate = Certificate(directory / "cert.pem", directory / "key.pem")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
        + ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        + ["-keyout", str(certificate.key_file), "-out", str(certificate.cert_file)],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return certificate
