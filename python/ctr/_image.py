"""`Image`: an image in the store, and the ways in and out."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from . import _ctr
from ._files import place, reading, writing
from ._progress import told
from ._rows import Rows
from ._sizes import count, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal

    from ._types import Files, OnProgress, Path, Readable, Size, Writable

    ConfigParts = tuple[list[str], list[str], list[str], str, str, str, list[str], dict[str, str], str]
    Parts = tuple[str, list[str], int, float, list[str], ConfigParts]
    Config = Union["ImageConfig", Mapping[str, object]]

# Of an import's limits, those that are sizes.
_SIZES = ("bytes", "file", "header")


class Progress(NamedTuple):
    """How far a long piece of work is."""

    bytes: int
    """Bytes so far: of the archive as it is (compressed), or in `Image.save` of the image's files."""
    total: int | None
    """How many it will be; None where that can't be known (a pipe, an export)."""
    entries: int
    """Files, directories and links so far."""


@dataclass(frozen=True)
class ImageConfig:
    """What an image says about how it is run, as the OCI image specification has it. Empty for a plain tarball.

    `dataclasses.replace` makes another one of it, for `Container.commit` or `build_image`.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    """Environment of every program."""
    entrypoint: Sequence[str] = ()
    """What `ctr.run` always runs; its `args` follow it."""
    cmd: Sequence[str] = ()
    """Arguments, or the program itself, where `ctr.run` is given none."""
    working_dir: str = ""
    """Where programs start; "" where the image says nothing, which is /."""
    user: str = ""
    """Who they run as, "name", "uid" or "name:group"; "" where the image says nothing, which is root."""
    stop_signal: str = ""
    """What asks its program to end, "SIGQUIT" or "3"; "" where the image says nothing, which is SIGTERM."""
    volumes: Sequence[str] = ()
    """Absolute paths that stay writable where the root is read-only."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Free-form."""
    architecture: str = ""
    """GOARCH's name for the machine ("amd64"); "" where the image says nothing."""


class Image:
    """An image in the store: what `ctr.images`, `ctr.image` and `ctr.import_image` give, and `ctr.Container` takes.

    Two are equal that have the same digest.
    """

    digest: str
    """"sha256:" and 64 digits: of a tarball's uncompressed bytes, of an OCI or docker image's configuration."""
    names: tuple[str, ...]
    """The names that it had when it was looked up, or was last named through this object."""
    size: int
    """Bytes of its files, layer by layer, holes included."""
    created: float
    """When it was imported, in seconds since the epoch."""
    config: ImageConfig
    """What it says about how it is run."""
    layers: tuple[str, ...]
    """Directories of the store, one for each layer, lowest first. They are shared: look, don't touch. More than four
    are not mounted over one another but as one tree made of them."""
    store_dir: str | None
    """The store it is in; None is the user's own."""

    def __init__(self, parts: Parts, store_dir: str | None = None) -> None:
        """Use `ctr.image`."""
        self.store_dir = store_dir
        self._take(parts)

    def _take(self, parts: Parts) -> None:
        self.digest, names, self.size, self.created, layers, config = parts
        self.names, self.layers, self.config = tuple(names), tuple(layers), config_from(config)

    @property
    def name(self) -> str | None:
        """The first of its names; None where it has none."""
        return self.names[0] if self.names else None

    def tag(self, name: str) -> None:
        """Give it a further name. An image that had this name loses it.

        Raises `ValueError` for what is no name: letters, digits and ._-/:@ are, "host" and digests aren't.
        """
        _ctr.tag_image(self.digest, name, self.store_dir)
        self._take(_ctr.image(self.digest, self.store_dir))

    def remove(self, name: str | None = None) -> None:
        """Remove it with all its names; or take just this name away, and the image with the last one.

        Raises `ctr.Error` (EBUSY) where a container uses the image, `FileNotFoundError` where it is gone already.
        """
        if name is None:
            _ctr.remove_image(self.digest, self.store_dir)
        elif name not in self.names:
            raise ValueError(f"{name!r} is not a name of {self!r}")
        else:
            _ctr.remove_image(name, self.store_dir)
            self.names = tuple(known for known in self.names if known != name)

    def save(
        self,
        target: Writable,
        *,
        format: Literal["oci", "docker"] = "oci",
        compression: Literal["gzip", "zstd", "none"] = "gzip",
        name: str | None = None,
        progress: OnProgress | None = None,
    ) -> None:
        """Write it as an archive for other tools: docker, podman, skopeo, umoci, and `ctr.import_image`.

        The same image gives the same bytes; with SOURCE_DATE_EPOCH in the environment no file is younger than that. A
        path appears when it is whole; what ends it early, an error, Ctrl-C or an exception of `progress`, leaves none.

        Args:
            target: A path, a file object (binary) or a descriptor.
            format: "oci", an OCI image layout that `docker load` reads as well, or "docker", what `docker save` wrote
                before version 25.
            compression: Of the layers.
            name: The name that other tools find it by; its first one by default.
            progress: Called with a `Progress` some ten times a second. What it raises ends the work. True shows a bar.
        """
        options: dict[str, object] = {"format": format, "compression": compression}
        if name is not None:
            options["name"] = name
        with writing(target) as opened, told(progress, "saving", self.name or self.digest) as call:
            _ctr.save_image(self.digest, opened, options, call, self.store_dir)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Image) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<ctr.Image {self.name or self.digest[:19]!r}>"

    def _repr_html_(self) -> str:
        from ._display import image

        return image(self)


class Difference(NamedTuple):
    """A line of `Container.diff`."""

    path: str
    """Absolute, inside."""
    change: str
    """"added", "changed" (content, owner, mode, time or kind) or "deleted"."""


class Applied(NamedTuple):
    """What `Container.apply` has done."""

    changes: list[Difference]
    """What the host has now."""
    conflicts: list[Difference]
    """What was changed on the host as well, or lies below that, and has stayed as it was on both sides."""
    left_out: list[Difference]
    """Devices and sockets, which are not made on the host."""


class Pruned(NamedTuple):
    """What `ctr.prune` removed."""

    images: list[str]
    """The digests of the images."""
    bytes: int
    """Disk space that is free now."""


def import_image(
    source: Readable,
    *,
    name: str | None = None,
    reference: str | None = None,
    platform: str | None = None,
    strip: int = 0,
    progress: OnProgress | None = None,
    limits: Mapping[str, Size] | None = None,
    store_dir: Path | None = None,
) -> Image:
    """Unpack a tarball, a `docker save` archive or an OCI layout into the store.

    How it is compressed (gzip, zstd, xz, bzip2, lz4, or not) is told by its content. A file that is known already is
    not read again. What ends the import early, an error, Ctrl-C or an exception of `progress`, leaves nothing of it.

    Args:
        source: A path (of an archive, or of a directory that is an OCI layout), a file object (binary; anything that
            has `read`), or a descriptor. Of these two what is left is read, and they stay open.
        name: A name for the image; taken from the image that had it.
        reference: Which one of several images in the archive: the end of its name, or its digest. A path can have it
            behind a ":", too.
        platform: Which one of several of the same name, as docker's `--platform`: "linux/arm64", "arm/v7". By default
            this machine's.
        strip: How many leading components every name loses: 1 for a tarball whose content is wrapped in one directory.
        progress: Called with a `Progress` some ten times a second, on this thread. What it raises ends the import. True
                shows a bar, in the notebook or on the terminal.
        limits: Bounds of what the archive may take, over the defaults: "bytes" (after decompression), "entries", "file"
            and "header" (bytes of one), "name" (bytes), "depth", "ratio" (of decompression), "layers", "documents"
            (read to find an image), "config" (bytes of its configuration), "volumes", "window" (bytes of memory for
            xz and zstd), "walks" (directories that are opened on the way to all entries).
        store_dir: Where images are kept; by default CTR_STORE_DIR, or else the user's own place.

    Raises:
        ctr.Error: The archive is not one, is cut off or damaged, has no such image, or asks for more than the limits
            allow (E2BIG); the store's file system is full; and so on. `FileNotFoundError` where there is no such file.
    """
    options: dict[str, object] = {"strip": count(strip, "strip")}
    if name is not None:
        options["name"] = name
    if reference is not None:
        options["reference"] = reference
    if platform is not None:
        options["platform"] = platform
    if limits:
        options["limits"] = {
            key: size(value, f"limit {key}") if key in _SIZES else count(value, f"limit {key}")
            for key, value in limits.items()
        }
    store = place(store_dir)
    with reading(source) as (opened, total):
        options["total"] = total
        with told(progress, "importing", source) as call:
            return Image(_ctr.import_image(opened, options, call, store), store)


def build_image(
    base: Path | Image | None = None,
    files: Files = (),
    *,
    name: str | None = None,
    config: Config | None = None,
    keep_owners: bool = False,
    progress: OnProgress | None = None,
    store_dir: Path | None = None,
) -> Image:
    """Make an image of files of this machine, without a Dockerfile: what its FROM, COPY, ENV, CMD and so on would do.

    The same base, files and configuration give the same image; with SOURCE_DATE_EPOCH in the environment no file is
    younger than that. Whatever ends it early leaves nothing of it.

    Args:
        base: What to build upon: an `Image`, its name or digest, or an archive's path, which is imported; None for
            nothing.
        files: What to add, in order, as {source: target}, [(source, target), …] or ["source:target", …]. What is in a
            directory goes into the target; a file goes there, or into it where it ends in / or is a directory. Targets
            are absolute.
        name: A name for the image; taken from the image that had it.
        config: How it is run: an `ImageConfig`, or a dict of what is to be otherwise than in the base, of which "env"
            and "labels" are added to the base's.
        keep_owners: Files keep their owners; otherwise they all are root's.
        progress: Called with a `Progress` some ten times a second. What it raises ends the work. True shows a bar.
        store_dir: Where images are kept.
    """
    if isinstance(base, Image) and store_dir is None:
        store_dir = base.store_dir
    store = place(store_dir)
    if base is not None and not isinstance(base, Image):
        base = find_image(base, progress=progress, store_dir=store_dir)
    options = make_options(name, config, ImageConfig() if base is None else base.config)
    digest, pairs = None if base is None else base.digest, [_pair(item) for item in _items(files)]
    with told(progress, "building", name or "an image") as call:
        return Image(_ctr.build_image(digest, pairs, keep_owners, options, call, store), store)


def find_image(source: Path, *, progress: OnProgress | None = None, store_dir: Path | None = None) -> Image:
    """The image of this name or digest, or of the archive at this path, which is imported."""
    store = place(store_dir)
    with told(progress, "importing", source) as call:
        return Image(_ctr.find_image(source, call, store), store)


def images(*, store_dir: Path | None = None) -> list[Image]:
    """All images in the store, oldest first."""
    store = place(store_dir)
    return Rows(Image(parts, store) for parts in _ctr.images(store))


def image(name: str, *, store_dir: Path | None = None) -> Image:
    """The image of this name or digest; `FileNotFoundError` if there is none."""
    store = place(store_dir)
    return Image(_ctr.image(name, store), store)


def prune(*, store_dir: Path | None = None) -> Pruned:
    """Remove images without a name that no container uses, and layers without an image."""
    return Pruned(*_ctr.prune(place(store_dir)))


def disk_use(*, store_dir: Path | None = None) -> int:
    """Bytes of disk space that the images take, shared layers counted once."""
    return _ctr.disk_use(place(store_dir))


IMAGE_FIELDS = tuple(field.name for field in fields(ImageConfig))
"""How an image is run: the names of what it says."""


def make_options(name: str | None, config: Config | None, base: ImageConfig) -> dict[str, object]:
    """What `_ctr` makes an image with."""
    options: dict[str, object] = {}
    if name is not None:
        options["name"] = name
    if config is None:
        return options
    if not isinstance(config, ImageConfig):
        changes: dict[str, Any] = dict(config)
        for key in changes:
            if key not in IMAGE_FIELDS:
                raise TypeError(f"an image's config has no {key!r}, but {', '.join(IMAGE_FIELDS)}")
        for key in ("env", "labels"):
            if key in changes:
                if not hasattr(changes[key], "keys"):
                    raise TypeError(f"{key} must be a dict, not {type(changes[key]).__name__}")
                changes[key] = {**getattr(base, key), **changes[key]}
        config = replace(base, **changes)
    for key in ("entrypoint", "cmd", "volumes"):
        if isinstance(getattr(config, key), str):
            raise TypeError(f"{key} must be a list of words, not one str")
    for name in config.env:
        if not name or "=" in name:
            raise ValueError(f"illegal environment variable name: {name!r}")
    options["config"] = (
        [f"{key}={value}" for key, value in config.env.items()],
        list(config.entrypoint),
        list(config.cmd),
        config.working_dir,
        config.user,
        config.stop_signal,
        list(config.volumes),
        dict(config.labels),
        config.architecture,
    )
    return options


def _items(files: Any) -> Iterable[Any]:
    items: Iterable[Any] = files.items() if hasattr(files, "items") else files
    return items


def _pair(item: Any) -> tuple[Any, Any]:
    pair = item.split(":") if isinstance(item, str) else tuple(item)
    if len(pair) != 2:
        raise ValueError(f'a file is (source, target) or "source:target", not {item!r}')
    return pair[0], pair[1]


def config_from(parts: ConfigParts) -> ImageConfig:
    """An image's configuration, from what `_ctr` tells of it."""
    env, entrypoint, cmd, working_dir, user, stop_signal, volumes, labels, architecture = parts
    pairs = {name: value for name, _, value in (pair.partition("=") for pair in env)}
    return ImageConfig(
        pairs, tuple(entrypoint), tuple(cmd), working_dir, user, stop_signal, tuple(volumes), labels, architecture
    )
