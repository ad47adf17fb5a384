"""Images that the tests make themselves: busybox as a tarball, and as docker and OCI tools write it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

BUSYBOX = shutil.which("busybox")
PROGRAMS = ("cat", "echo", "env", "false", "id", "ls", "pwd", "rm", "sh", "sleep", "stat", "touch", "true")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home:/bin/sh\n"


def tar(entries: dict[str, bytes | str | tarfile.TarInfo], **options: Any) -> bytes:
    """An archive: bytes are a file, a str is the target of a link, a name that ends in / a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as archive:
        for name, content in entries.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.mtime = 1_700_000_000
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            data = content if isinstance(content, bytes) else b""
            entry.size = len(data)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def rootfs() -> bytes:
    """Busybox with a few of its programs."""
    assert BUSYBOX is not None
    entries: dict[str, bytes | str | tarfile.TarInfo] = {
        "bin/": b"",
        "etc/": b"",
        "home/": b"",
        "tmp/": b"",
        "proc/": b"",
    }
    entries |= {"bin/busybox": Path(os.path.realpath(BUSYBOX)).read_bytes(), "etc/passwd": PASSWD.encode()}
    entries |= {f"bin/{name}": "busybox" for name in PROGRAMS}
    return tar(entries)


def tar_with(archive: bytes, files: dict[str, bytes]) -> bytes:
    """A tarball with further files, which can be run, and their directories."""
    out = io.BytesIO(archive)
    with tarfile.open(fileobj=out, mode="a") as tar_file:
        for name, data in files.items():
            above = tarfile.TarInfo(os.path.dirname(name))
            above.type, above.mode = tarfile.DIRTYPE, 0o755
            tar_file.addfile(above)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar_file.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def docker_archive(config: dict[str, object], *layers: bytes, tag: str | None = "box:1") -> bytes:
    """What `docker save` wrote before version 25."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    whole = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    text = json.dumps(whole).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    places = [f"{index}/layer.tar" for index, _ in enumerate(layers)]
    manifest = [{"Config": name, "RepoTags": [tag] if tag else [], "Layers": places}]
    return tar({**dict(zip(places, layers)), name: text, "manifest.json": json.dumps(manifest).encode()})
