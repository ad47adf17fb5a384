"""What `libctr run` does where its stdout or stderr is a file."""

from __future__ import annotations

import os
import stat
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from ._types import Self


class PipedFiles:
    """Pipes in the place of those of our stdout and stderr that are regular files, as docker has them.

    A file opens by name (/dev/stdout) only for whom its mode lets in, which is nobody of a container of root's, and
    opening it for writing empties it. A pipe opens for everybody inside. What comes through is written to the file.
    """

    def __init__(self) -> None:
        self.streams: dict[str, int] = {}
        """The keywords of `popen`: the ends that the program gets."""
        self.failed = False
        """Whether a file could not be written."""
        self._copiers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        pipes: dict[tuple[int, int], int] = {}
        for fd, name in ((1, "stdout"), (2, "stderr")):
            try:
                file = os.fstat(fd)
            except OSError:
                # It is closed.
                continue
            if not stat.S_ISREG(file.st_mode):
                continue
            # One pipe for both where they are the same file, so that what is written stays in its order.
            key = file.st_dev, file.st_ino
            if key not in pipes:
                ours, pipes[key] = os.pipe()
                copier = threading.Thread(target=self._copy, args=(ours, fd, name), daemon=True)
                copier.start()
                self._copiers.append(copier)
            self.streams[name] = pipes[key]
        return self

    def _copy(self, pipe: int, fd: int, name: str) -> None:
        try:
            while block := os.read(pipe, 1 << 16):
                while block:
                    block = block[os.write(fd, block) :]
        except OSError as error:
            self.failed = True
            print(f"libctr: write {name}: {error.strerror}", file=sys.stderr)
        finally:
            # A program that goes on writing is told by SIGPIPE.
            os.close(pipe)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for end in set(self.streams.values()):
            os.close(end)
        for copier in self._copiers:
            copier.join()
