"""Images: a directory becomes one, runs, is changed, and leaves as an archive that docker and podman load."""

import io
import tarfile
import tempfile
from pathlib import Path

import ctr

# This machine's own programs are mounted over the image, which has just a script of its own.
SYSTEM = [ctr.Bind(path, path, read_only=True) for path in ("/bin", "/lib", "/lib64", "/usr") if Path(path).exists()]

with tempfile.TemporaryDirectory() as scratch:
    app = Path(scratch, "app")
    app.mkdir()
    (app / "main.sh").write_text('echo "main.sh says: $GREETING"\n')

    image = ctr.build_image(
        files={app: "/app"},
        config={"cmd": ["sh", "main.sh"], "working_dir": "/app", "env": {"GREETING": "hello", "PATH": "/usr/bin:/bin"}},
        store_dir=Path(scratch, "store"),
    )
    print(ctr.run(image, mounts=SYSTEM, capture_output=True, text=True).stdout, end="")

    with ctr.Container(image, mounts=SYSTEM) as c:
        c.run("echo 'echo and bye' >> main.sh", shell=True, check=True)
        for path, change in c.diff():
            print(change, path)
        second = c.commit("app:2")
    print(ctr.run(second, mounts=SYSTEM, capture_output=True, text=True).stdout, end="")

    # To a file, a descriptor, or anything that has `write`; and back from anything that has `read`.
    archive = io.BytesIO()
    second.save(archive, compression="zstd")
    archive.seek(0)
    print(len(tarfile.open(fileobj=archive).getnames()), "entries in the archive")
    archive.seek(0)
    again = ctr.import_image(
        archive, progress=lambda progress: print("read", progress.bytes, "bytes"), store_dir=second.store_dir
    )
    print("it is the same image:", again == second)
