"""A Jupyter kernel that runs wholly inside a container: the provisioner that jupyter_client finds by its entry point.

The notebook's server and the kernel talk by sockets of the file system (transport "ipc"), in a directory that both see,
so the kernel needs no network. See "Kernel provisioning" of jupyter_client's documentation.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import List, Unicode

from ._cli_options import parse_rows
from ._container import Container
from ._options import Bind
from ._this_python import this_python

if TYPE_CHECKING:
    from typing import IO

    from ._popen import Popen

STDOUT, PIPE, DEVNULL = -2, -1, -3
# How much of what a kernel writes to its own stdout and stderr the server logs, and what each line counts besides.
_LOGGED, _LINE = 1 << 20, 1 << 8
# Of the server's environment. JPY_PARENT_PID would end the kernel, whose parent inside is always PID 1.
_PASSED = ("LANG", "LC_ALL", "MPLBACKEND", "TZ")
# The home of a root that is read-only, too.
_ENV = {"IPYTHONDIR": "/tmp/ipython", "MPLCONFIGDIR": "/tmp/matplotlib", "JUPYTER_RUNTIME_DIR": "/tmp/jupyter"}


class ContainerProvisioner(KernelProvisionerBase):
    """Runs a kernel in a container of its own; `libctr kernel install` writes the kernel.json that names it."""

    image = Unicode("host", help="What the container is made from.", config=True)
    options = List(Unicode(), help="Options of `libctr run`, as ['--memory', '2G'].", config=True)
    python = Unicode("", help="The image's own interpreter; by default the server's, with its packages.", config=True)
    folder = Unicode("", help="How the notebook's folder is seen inside: '' (not at all), 'ro', 'rw'.", config=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.process: Popen[Any] | None = None
        self.container: Container | None = None
        self._directory: str | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel that has not been waited for."""
        return self.process is not None

    @property
    def _shared(self) -> str:
        """The directory of the sockets, which is seen inside."""
        assert self._directory is not None
        return os.path.join(self._directory, "s")

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose the sockets."""
        manager: Any = self.parent
        if self._directory is None:
            # Short, since the path of a socket has 107 bytes at most, unix(7).
            self._directory = tempfile.mkdtemp(prefix="ctr-kernel-")
            # The kernel may change the mode of what it shares, make files there setuid. Nobody else has a way to it.
            os.mkdir(self._shared, 0o700)
            manager.transport, manager.ip = "ipc", os.path.join(self._shared, "k")
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        command = manager.format_kernel_cmd(extra_arguments=kwargs.pop("extra_arguments", []))
        return dict(await super().pre_launch(cmd=command, **kwargs))

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Make the container and start the kernel in it."""
        manager: Any = self.parent
        connection = manager.connection_file
        keywords = parse_rows(self.options)
        mounts, env = ([], {}) if self.python else this_python()
        given = kwargs.get("env") or {}
        env = {**_ENV, **env, **{name: given[name] for name in _PASSED if name in given}}
        mounts = [*mounts, Bind(self._shared, self._shared), Bind(connection, connection, read_only=True)]
        folder = kwargs.get("cwd")
        if self.folder and folder:
            mounts.append(Bind(folder, "/notebook", read_only=self.folder == "ro"))
        keywords["mounts"] = [*mounts, *keywords.get("mounts", ())]
        self.container = container = await asyncio.to_thread(Container, self.image, **keywords)
        try:
            self.process = process = await asyncio.to_thread(
                container.popen,
                [self.python or cmd[0], *cmd[1:]],
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                bufsize=0,
                extra_env=env,
                cwd="/notebook" if self.folder and folder else "/tmp",
            )
        except BaseException:
            await self._destroy()
            raise
        assert process.stdout is not None
        threading.Thread(target=self._log_output, args=(process.stdout,), daemon=True).start()
        return self.connection_info

    def _log_output(self, stream: IO[bytes]) -> None:
        """What the kernel's process itself says, as a line of ours each: it may be a stranger."""
        left = _LOGGED
        with contextlib.suppress(OSError, ValueError), stream:
            while chunk := os.read(stream.fileno(), 1 << 14):
                for line in chunk[: max(left, 0)].decode("utf-8", "replace").splitlines():
                    if left > 0:
                        self.log.info("kernel %s: %s", self.kernel_id, line.encode("unicode_escape").decode())
                    left -= _LINE
                left -= len(chunk)

    async def poll(self) -> int | None:
        """None while it runs."""
        return 0 if self.process is None else self.process.poll()

    async def wait(self) -> int | None:
        """Wait until it ends; then the container is destroyed, and the log says why it ended."""
        process = self.process
        if process is None:
            return 0
        while process.poll() is None:
            await asyncio.sleep(0.05)
        self._say_why(process)
        self.process = None
        await self._destroy()
        return process.returncode

    def _say_why(self, process: Popen[Any]) -> None:
        if process.exit is not None and process.exit.reason not in ("exited", "signaled"):
            self.log.warning("kernel %s has ended: %s", self.kernel_id, process.exit.reason)

    async def send_signal(self, signum: int) -> None:
        """To the kernel and to what runs in its process group. Signal 0 asks whether it lives."""
        if self.process is None:
            return
        if signum == 0:
            if self.process.poll() is not None:
                raise ProcessLookupError
            return
        if signum == signal.SIGKILL and self.container is not None:
            await asyncio.to_thread(self.container.kill_all)
        else:
            self.process.kill_group(signum)

    async def kill(self, restart: bool = False) -> None:
        """Kill all that runs inside."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask it to end."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Destroy the container; the sockets' directory goes with the last one."""
        if self.process is not None and self.process.poll() is not None:
            self._say_why(self.process)
        self.process = None
        await self._destroy()
        if not restart and self._directory is not None:
            directory, self._directory = self._directory, None
            # The kernel may have made it deeper than Python can go.
            remove = ["rm", "-rf", "--", directory]
            await asyncio.to_thread(subprocess.run, remove, stdin=DEVNULL, stderr=DEVNULL, check=False)

    async def _destroy(self) -> None:
        container, self.container = self.container, None
        if container is not None:
            await asyncio.to_thread(container.destroy)
            container.close()
