#!/usr/bin/env python3
"""Boot one of Debian's own kernels under QEMU and run one script of guest/ inside, beside the weir just built.

run.py PACKAGE SCRIPT    PACKAGE: a Debian package that depends on a kernel, such as linux-image-cloud-amd64
                         SCRIPT: the name of a file in guest/, without ".sh"

Nothing is installed: the kernel is downloaded by apt-get and unpacked below .cache/vm/ of the project, once; remove
that folder to get newer ones. The guest is an initramfs of busybox, the modules it may want, weir and a few tools.
It has two serial lines: the first is its console, kept for when something fails; on the second the script tells its
results, a line each: "ok WHAT", "not ok WHAT", "skip WHAT: REASON", "# NOTE", and at last "end COUNT". Its exit
status comes back through isa-debug-exit.

KVM is not used even where it is: a /dev/kvm that can be opened may still hang its guests, and emulation is quick
enough. The processor is without cmpxchg16b, which the QEMU of Debian 12 emulates in a way that stops Linux 6.12.

Environment: WEIR, OBSERVE_LIVE, VM_HELPER (programs for the guest), VM_CACHE (instead of .cache/vm), VM_SECONDS (until
the guest is ended, 200), VM_MEMORY (of the guest, in MiB, 768), VM_SETTINGS (NAME=VALUE..., which the script finds as
$weir_NAME).
"""

import fcntl
import lzma
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
CACHE = Path(os.environ.get("VM_CACHE") or PROJECT / ".cache" / "vm")
SECONDS = int(os.environ.get("VM_SECONDS") or 200)
MEMORY = os.environ.get("VM_MEMORY") or "768"
SETTINGS = [f"weir_{word}" for word in (os.environ.get("VM_SETTINGS") or "").split()]
DOWNLOAD_SECONDS = 300
CONSOLE_LINES = 150  # shown of a guest that failed

TOOLS = ["ip", "wg", "nft"]
# With all they depend on. What a kernel has built in, or has not, is left out.
MODULES = """
    wireguard veth tun dummy
    sctp
    nf_tables nft_log nft_ct nft_counter nf_log_syslog nfnetlink_log nf_conntrack nf_conntrack_netlink
""".split()


class Skip(Exception):
    """It cannot run here; the text says why."""


# The kernel


def run_quietly(what, command, **how):
    """Run a command of the host; what it said is the reason when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=DOWNLOAD_SECONDS, check=False,
            stdin=subprocess.DEVNULL, **how,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Skip(f"{what}: {e}") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise Skip(f"{what}: {lines[-1]}")
    return done.stdout


def versioned_package(package):
    """linux-image-cloud-amd64 is empty and depends on the kernel of the day."""
    listed = run_quietly(f"no package {package}", ["apt-cache", "depends", "--important", package])
    found = re.findall(r"^\s*Depends: (linux-image-\d\S*)$", listed, re.M)
    if not found:
        raise Skip(f"the package sources of this machine know no kernel by the name {package}")
    return found[0]


def unpack_kernel(package, into):
    with tempfile.TemporaryDirectory(prefix="unpack-", dir=CACHE) as name:
        folder = Path(name)
        folder.chmod(0o755)
        versioned = versioned_package(package)
        print(f"downloading {versioned}", flush=True)
        run_quietly(f"{versioned} cannot be downloaded", ["apt-get", "-q", "download", versioned], cwd=folder)
        archive = next(folder.glob("*.deb"))
        root = folder / "root"
        run_quietly(f"{archive.name} cannot be unpacked", ["dpkg-deb", "-x", archive, root])
        if not (root / "lib").exists() and (root / "usr" / "lib").exists():
            (root / "lib").symlink_to("usr/lib")
        release = next((root / "lib" / "modules").iterdir()).name
        run_quietly(f"depmod for {release}", ["depmod", "-b", root, release])
        root.rename(into)


def find_kernel(package):
    """(vmlinuz, folder of modules), both below the cache."""
    root = CACHE / package
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            unpack_kernel(package, root)
    return next((root / "boot").glob("vmlinuz-*")), next((root / "lib" / "modules").iterdir())


# The initramfs


class Initramfs:
    """A cpio archive in the "newc" form (Documentation/driver-api/early-userspace/buffer-format of Linux)."""

    def __init__(self, out):
        self.out, self.count, self.names = out, 0, set()

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        encoded = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0]
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
        self.out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def folder(self, name):
        name = name.strip("/")
        if name in ("", ".") or name in self.names:
            return
        self.folder(os.path.dirname(name))
        self.names.add(name)
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        name = name.strip("/")
        if name in self.names:
            return
        self.folder(os.path.dirname(name))
        self.names.add(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def device(self, name, major, minor):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def program(self, name, path):
        """A program of this machine with its shared libraries and its loader."""
        self.file(name, Path(path).read_bytes())
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(?:^|=>)\s*(/\S+) \(0x", listed, re.M):
            # What only the build folder's rpath finds lies elsewhere in the guest: where the loader looks anyway.
            usual = library.startswith(("/lib", "/usr/lib"))
            self.file(library if usual else f"/usr/lib/{Path(library).name}", Path(library).read_bytes())

    def end(self):
        self._entry("TRAILER!!!", 0)


def module_name(path):
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def add_modules(archive, folder):
    """MODULES and what they need, unpacked, with the lists that modprobe reads."""
    needs, paths = {}, {}
    for line in (folder / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, wants = line.partition(":")
        paths[module_name(path)] = path
        needs[module_name(path)] = [module_name(want) for want in wants.split()]
    chosen = {name for module in MODULES if module in paths for name in (module, *needs[module])}
    base = f"lib/modules/{folder.name}"
    dependencies = []
    for name in sorted(chosen):
        data, path = (folder / paths[name]).read_bytes(), paths[name]
        if path.endswith(".xz"):
            data, path = lzma.decompress(data), path.removesuffix(".xz")
        archive.file(f"{base}/{path}", data, 0o644)
        wants = " ".join(re.sub(r"\.xz$", "", paths[want]) for want in needs[name])
        dependencies.append(f"{path}: {wants}".rstrip() + "\n")
    archive.file(f"{base}/modules.dep", "".join(dependencies).encode(), 0o644)
    aliases = (folder / "modules.alias").read_text(encoding="utf-8").splitlines()
    kept = [line + "\n" for line in aliases if line.split()[-1].replace("-", "_") in chosen]
    archive.file(f"{base}/modules.alias", "".join(kept).encode(), 0o644)


def make_certificates(folder):
    """For a collector at 192.0.2.2 and its probe, and one of a probe that nobody there trusts."""
    sys.path.insert(0, str(HERE.parent / "e2e"))
    import tls_lib  # noqa: PLC0415

    for name, issuer, alternative in (
        ("ca", None, None), ("otherca", None, None),
        ("collector", "ca", "IP:192.0.2.2,DNS:flows.example"), ("probe", "ca", "DNS:probe.example"),
        ("strange", "otherca", "DNS:probe.example"),
    ):  # fmt: skip
        tls_lib.certificate(folder, name, issuer, alternative)
    return sorted(path for path in folder.iterdir() if path.suffix in (".pem", ".key"))


def make_initramfs(path, modules, programs, certificates):
    with open(path, "wb") as out:
        archive = Initramfs(out)
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "var/run"):
            archive.folder(name)
        archive.device("dev/console", 5, 1)
        for name, program in programs.items():
            archive.program(f"tools/{name}", program)
        archive.file("init", (HERE / "guest" / "init").read_bytes())
        for script in sorted((HERE / "guest").glob("*.sh")):
            archive.file(f"test/{script.name}", script.read_bytes())
        for certificate in certificates:
            archive.file(f"certificates/{certificate.name}", certificate.read_bytes(), 0o600)
        add_modules(archive, modules)
        archive.end()


# The guest


def boot(vmlinuz, initramfs, script, folder):
    """Its exit status; None: it did not tell one. Its two serial lines are the files console and results."""
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", "1", "-m", MEMORY,
        "-kernel", vmlinuz, "-initrd", initramfs,
        "-append", f"console=ttyS0 panic=-1 quiet mitigations=off no_timer_check {' '.join([f'weir_test={script}', *SETTINGS])}",
        "-device", "isa-debug-exit,iobase=0x501,iosize=4",
        "-serial", f"file:{folder}/console", "-serial", f"file:{folder}/results",
    ]  # fmt: skip
    with open(folder / "qemu", "wb") as log:
        qemu = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def end(number, frame):
            qemu.kill()
            qemu.wait()
            sys.exit(128 + number)

        signal.signal(signal.SIGTERM, end)
        try:
            status = qemu.wait(SECONDS)
        except subprocess.TimeoutExpired:
            print(f"the guest was ended after {SECONDS} s")
            status = 0
        finally:
            if qemu.poll() is None:
                qemu.kill()
                qemu.wait()
    # isa-debug-exit makes an odd number of whatever it is given; 0 is a reset, which is what a panic ends in.
    return status >> 1 if status > 0 and status & 1 else None


def read_text(path):
    return path.read_text(encoding="utf-8", errors="replace").replace("\r", "") if path.exists() else ""


def show_failure(folder):
    print("\n---- console of the guest")
    print("\n".join(read_text(folder / "console").splitlines()[-CONSOLE_LINES:]))
    if read_text(folder / "qemu").strip():
        print(f"---- qemu\n{read_text(folder / 'qemu')}")


def judge(status, folder):
    """What the results and the exit status mean together."""
    lines = read_text(folder / "results").splitlines()
    print("\n".join(lines))
    good = sum(line.startswith("ok ") for line in lines)
    bad = sum(line.startswith("not ok ") for line in lines)
    skipped = [line.removeprefix("skip ") for line in lines if line.startswith("skip ")]
    whole = bool(lines) and lines[-1] == f"end {good + bad + len(skipped)}"
    if status == 0 and whole and not bad and good:
        return 0
    if status == 0 and whole and not bad and skipped:
        print(f"SKIP: {skipped[-1]}")
        return 77
    show_failure(folder)
    print(f"\nexit status {status}, {bad} failed, {'complete' if whole else 'cut short'}")
    return 1


def find_programs(script):
    programs = {"weir": os.environ["WEIR"], "observe_live": os.environ["OBSERVE_LIVE"], "helper": os.environ["VM_HELPER"]}
    if script in ("collect", "sctp", "dtls_sctp"):
        for module in ("weir-collect.so", "weir-query.so"):
            programs[module] = Path(os.environ["WEIR_COLLECT"]).parent / module
    if b"__asan_init" in Path(programs["weir"]).read_bytes():
        raise Skip("this build has a sanitizer in it, which is too slow and too large for the guest")
    for tool in ["busybox", *TOOLS]:
        # A plain user's path may not name the folders of ip and nft.
        programs[tool] = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not programs[tool]:
            raise Skip(f"'{tool}' is not installed; scripts/setup --test does that")
    return programs


def main(package, script):
    began = time.monotonic()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.uname().machine != "x86_64":
        raise Skip(f"the kernels are for x86_64, this is {os.uname().machine}")
    for tool in ("qemu-system-x86_64", "apt-get", "dpkg-deb", "depmod", "ldd"):
        if not shutil.which(tool):
            raise Skip(f"'{tool}' is not installed; scripts/setup --test does that on Debian")
    programs = find_programs(script)
    vmlinuz, modules = find_kernel(package)
    with tempfile.TemporaryDirectory(prefix="weir-vm-") as name:
        folder = Path(name)
        (folder / "certificates").mkdir()
        certificates = make_certificates(folder / "certificates") if script == "dtls_sctp" else []
        make_initramfs(folder / "initramfs", modules, programs, certificates)
        status = boot(vmlinuz, folder / "initramfs", script, folder)
        verdict = judge(status, folder)
    print(f"{modules.name}: {time.monotonic() - began:.1f} s")
    return verdict


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(main(*sys.argv[1:]))
    except Skip as e:
        print(f"SKIP: {e}")
        sys.exit(77)
