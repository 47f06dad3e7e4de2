"""Certificates for the tests of Tls and Dtls: made by `openssl`, with whatever is wrong with them."""

import lib

GOOD = ("20200101000000Z", "20490101000000Z")
EXPIRED = ("20200101000000Z", "20210101000000Z")
FUTURE = ("20480101000000Z", "20490101000000Z")
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def certificate(folder, name, issuer=None, alternative=None, common_name=None, when=GOOD):
    """NAME.pem and NAME.key: signed by the authority `issuer`, or by itself (then for two days)."""
    key = [*KEY, "-subj", f"/CN={common_name or name}", "-keyout", folder / f"{name}.key"]
    if not issuer:
        lib.run(["openssl", "req", "-x509", "-days", "2", *key, "-out", folder / f"{name}.pem"])
        return
    extension = ["-addext", f"subjectAltName={alternative}"] if alternative else []
    lib.run(["openssl", "req", *key, *extension, "-out", folder / f"{name}.csr"])
    sign(folder, name, issuer, when)


def sign(folder, name, issuer, when):
    """By `openssl ca`, the one that takes any time."""
    config = folder / f"{issuer}.conf"
    if not config.exists():
        (folder / f"{issuer}.index").write_text("", encoding="ascii")
        (folder / f"{issuer}.index.attr").write_text("unique_subject = no\n", encoding="ascii")
        config.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/{issuer}.index\nrand_serial=yes\nnew_certs_dir={folder}\n"
            "default_md=sha256\npolicy=p\ncopy_extensions=copy\nx509_extensions=x\n"
            "[p]\ncommonName=supplied\n[x]\nbasicConstraints=critical,CA:FALSE\n",
            encoding="ascii",
        )
    words = ["openssl", "ca", "-batch", "-notext", "-config", config, "-in", folder / f"{name}.csr", "-out", folder / f"{name}.pem"]
    words += ["-cert", folder / f"{issuer}.pem", "-keyfile", folder / f"{issuer}.key"]
    lib.run([*words, "-startdate", when[0], "-enddate", when[1]])


def identity(folder, name):
    """For s_server and s_client."""
    return ["-cert", folder / f"{name}.pem", "-key", folder / f"{name}.key"] if name else []
