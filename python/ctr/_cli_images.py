"""The commands of `libctr` about images, and those that make an archive or an image of a container."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from ._cli_json import add_json, print_json
from ._containers import containers, join
from ._errors import Error
from ._image import IMAGE_FIELDS, Image, build_image, disk_use, image, images, import_image, prune
from ._progress import bar
from ._words import age, amount, printable, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator


def add_commands(make: Callable[..., Any]) -> None:
    """The commands and their options; `make` gives a command its parser."""

    def command(name: str, act: Callable[[argparse.Namespace], int], about: str, **rest: str) -> Any:
        parser = make(name, act, about, **rest)
        if name in ("images", "diff"):
            add_json(parser)
        return parser.add_argument

    about = "unpack a tarball, a docker archive or an OCI layout into the store"
    add = command("import", _import, about, usage="FILE [NAME]", late="name")
    add("file", metavar="FILE", help='an archive, the directory of an OCI layout, or "-" for stdin')
    add("name", metavar="NAME", nargs="?", help="a name for the image")
    add("--reference", metavar="REF", help="which one of several images in the archive")
    add("--platform", metavar="PLATFORM", help='which one of several of a name, as "linux/arm64"; ours by default')
    add("--strip", type=int, default=0, metavar="N", help="remove so many leading components from every name")
    add("--limit", action="append", default=[], metavar="NAME=N", help='a bound of the import, as "bytes=1T"')

    add = command("images", _images, "list images")
    add("-q", "--quiet", action="store_true", help="only digests")

    about = "make an image of files, as COPY, ENV, CMD … of a Dockerfile do"
    add = command("build", _build, about, usage="[SRC:DST...]", late="files")
    add("files", metavar="SRC:DST", nargs="*", default=[], help="a file or directory, and its place inside")
    add("--from", dest="base", metavar="IMAGE", help="the image to build upon; none by default")
    add("-t", "--name", metavar="NAME", help="a name for the image")
    _about_the_config(add)
    add("--keep-owners", action="store_true", help="files keep their owners; otherwise they all are root's")

    add = command("inspect", _inspect, "show running containers and images as JSON")
    add("names", metavar="NAME", nargs="+", help="names of containers, or names or digests of images")

    add = command("tag", _tag, "give an image a further name")
    add("image", metavar="IMAGE", help="a name or digest")
    add("name", metavar="NAME")

    add = command("rmi", _rmi, "remove names, and with the last one the image")
    add("names", metavar="IMAGE", nargs="+", help="names, or digests for an image with all its names")

    add = command("save", _save, "write an image as an archive for docker, podman, skopeo, umoci")
    add("image", metavar="IMAGE", help="a name or digest")
    _about_the_output(add)
    add("--format", choices=("oci", "docker"), default="oci", help="oci (docker loads it too) or docker's older form")
    add("--compression", choices=("gzip", "zstd", "none"), default="gzip", help="of the layers")
    add("--name", help="the name that other tools find it by")

    add = command("export", _export, "write the files of a running container as a tarball")
    add("container", metavar="NAME", help="the name of a container")
    _about_the_output(add)
    add("--compression", choices=("none", "gzip", "zstd"), default="none")

    add = command("diff", _diff, "list what a running container has changed: A added, C changed, D deleted")
    add("container", metavar="NAME", help="the name of a container")
    add("target", metavar="DST", nargs="?", help="only beneath the scratch mount at this place")
    add(
        "-z",
        "--null",
        action="store_true",
        help="end each line with NUL and escape nothing; else as `ls -b`, newline is \\n",
    )

    about = "make an image of the files of a running container"
    add = command("commit", _commit, about, usage="NAME [IMAGE]", late="name")
    add("container", metavar="NAME", help="the name of a container")
    add("name", metavar="IMAGE", nargs="?", help="a name for the image")
    _about_the_config(add)

    about = "make an image of what a running container has changed, without packing it: a new starting point"
    add = command("snapshot", _snapshot, about, usage="NAME [IMAGE]", late="name")
    add("container", metavar="NAME", help="the name of a container")
    add("name", metavar="IMAGE", nargs="?", help="a name for the image")
    _about_the_config(add)

    command("prune", _prune, "remove images without a name that no container uses, and unused layers")

    command("df", _df, "show the disk space that images take")


def _about_the_output(add: Any) -> None:
    add("-o", "--output", metavar="FILE", help="the file to write; stdout by default")


def _about_the_config(add: Any) -> None:
    add(
        "-c",
        "--change",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="how it is run: cmd, entrypoint, working_dir, user, stop_signal, env (=NAME=VALUE), labels, volumes",
    )


def _import(options: argparse.Namespace) -> int:
    limits = {}
    for text in options.limit:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"write NAME=N, not {text!r}")
        limits[name] = int(value) if value.isdecimal() else value
    source = sys.stdin.buffer if options.file == "-" else options.file
    with bar("importing", "stdin" if options.file == "-" else options.file) as progress:
        imported = import_image(
            source,
            name=options.name,
            reference=options.reference,
            platform=options.platform,
            strip=options.strip,
            limits=limits,
            progress=progress,
        )
    print(imported.digest)
    return 0


def _build(options: argparse.Namespace) -> int:
    for text in options.files:
        if ":" not in text:
            there = os.path.join(text, "Dockerfile")
            hint = "a Dockerfile is not read" if text == "." or os.path.exists(there) else "as src:/app"
            raise ValueError(f"build takes files and their places inside, SRC:DST, not {text!r} ({hint})")
    with bar("building", options.name or "an image") as progress:
        built = build_image(
            options.base,
            options.files,
            name=options.name,
            config=_changes(options),
            keep_owners=options.keep_owners,
            progress=progress,
        )
    print(built.digest)
    return 0


def _images(options: argparse.Namespace) -> int:
    found = images()
    if options.quiet:
        print(*(each.digest for each in found), sep="\n", end="\n" if found else "")
        return 0
    if options.json:
        print_json([_described(each) for each in found])
        return 0
    rows = [("NAME", "DIGEST", "AGE", "SIZE", "LAYERS")]
    for each in found:
        short, old = each.digest.partition(":")[2][:12], age(time.time() - each.created)
        rows += [(name, short, old, amount(each.size), str(len(each.layers))) for name in each.names or ("-",)]
    table(rows)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    print_json([_inspected(name) for name in options.names])
    return 0


def _inspected(name: str) -> dict[str, Any]:
    """A running container of this name, or else an image, as in docker."""
    if name in (info.name for info in containers()):
        told = join(name).inspect()
        return {**told, "created": _time(told["created"])}
    return _described(image(name))


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _described(shown: Image) -> dict[str, object]:
    return {
        "digest": shown.digest,
        "names": shown.names,
        "size": shown.size,
        "created": _time(shown.created),
        "config": {key: value for key, value in dataclasses.asdict(shown.config).items() if value},
        "layers": shown.layers,
    }


def _tag(options: argparse.Namespace) -> int:
    image(options.image).tag(options.name)
    return 0


def _rmi(options: argparse.Namespace) -> int:
    status = 0
    for name in options.names:
        try:
            found = image(name)
            found.remove(name if name in found.names else None)
        except Error as error:
            print(f"libctr: {error}", file=sys.stderr)
            status = 125
    return status


def _save(options: argparse.Namespace) -> int:
    saved = image(options.image)
    with _output(options) as target, bar("saving", options.image) as progress:
        saved.save(
            target,
            format=options.format,
            compression=options.compression,
            name=options.name,
            progress=progress,
        )
    return 0


def _export(options: argparse.Namespace) -> int:
    container = join(options.container)
    with container, _output(options) as target, bar("exporting", options.container) as progress:
        container.export(target, compression=options.compression, progress=progress)
    return 0


def _diff(options: argparse.Namespace) -> int:
    with join(options.container) as container:
        if options.json:
            print_json(container.diff(options.target))
            return 0
        for path, change in container.diff(options.target):
            if options.null:
                sys.stdout.buffer.write(change[0].upper().encode() + b" " + os.fsencode(path) + b"\0")
            else:
                print(change[0].upper(), printable(path))
    return 0


def _changes(options: argparse.Namespace) -> dict[str, Any] | None:
    """What `-c` says."""
    changes: dict[str, Any] = {}
    for text in options.change:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"-c: write FIELD=VALUE, not {text!r}")
        if key not in IMAGE_FIELDS:
            raise ValueError(f"-c {text}: there is no field {key!r}, but {', '.join(IMAGE_FIELDS)}")
        if key in ("env", "labels"):
            name, equals, value = value.partition("=")
            if not equals:
                raise ValueError(f"-c {text}: write {key}=NAME=VALUE")
            changes.setdefault(key, {})[name] = value
        elif key == "volumes":
            changes.setdefault(key, []).append(value)
        else:
            try:
                changes[key] = shlex.split(value) if key in ("cmd", "entrypoint") else value
            except ValueError as error:
                raise ValueError(f"-c {text}: {str(error)[:1].lower()}{str(error)[1:]} in the words of {key}") from None
    return changes or None


def _commit(options: argparse.Namespace) -> int:
    changes = _changes(options)
    with join(options.container) as container, bar("committing", options.container) as progress:
        print(container.commit(options.name, config=changes, progress=progress).digest)
    return 0


def _snapshot(options: argparse.Namespace) -> int:
    changes = _changes(options)
    with join(options.container) as container, bar("copying", options.container) as progress:
        print(container.snapshot(options.name, config=changes, progress=progress).digest)
    return 0


def _prune(options: argparse.Namespace) -> int:
    pruned = prune()
    print(*pruned.images, f"{amount(pruned.bytes)} freed", sep="\n")
    return 0


def _df(options: argparse.Namespace) -> int:
    print(amount(disk_use()))
    return 0


@contextlib.contextmanager
def _output(options: argparse.Namespace) -> Iterator[str | IO[bytes]]:
    if options.output not in (None, "-"):
        yield options.output
    elif os.isatty(1):
        raise ValueError("an archive can't be written to a terminal: give -o FILE, or redirect stdout")
    else:
        yield sys.stdout.buffer
