"""`libctr kernel`: Jupyter kernels that run in containers."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._cli_options import add_rows, typed_rows

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_commands(command: Callable[..., Any]) -> None:
    """Let it be typed."""
    about = "install a Jupyter kernel that runs in a container, for the launcher of JupyterLab"
    kernel = command("kernel", _install, about, "install")
    kernel.add_argument("action", choices=("install",), help="`jupyter kernelspec` lists and removes it")
    add = kernel.add_argument
    add("--image", metavar="IMAGE", default="host", help='a tarball, a directory, an image, "host" (the default)')
    add("--kernel-name", metavar="NAME", help="the kernel's name for programs; made of the image's by default")
    add("--display-name", metavar="NAME", help="its name in the launcher")
    add("--prefix", metavar="DIR", help="install below this directory; by default for this user")
    add("--sys-prefix", action="store_true", help="install into this Python's environment")
    about = (
        "the image's own interpreter, which has ipykernel; by default the one of Jupyter's server, with its packages"
    )
    add("--python", metavar="PATH", help=about)
    add("--folder", choices=("ro", "rw"), help="show the notebook's folder inside, as /notebook; by default it is not")
    add_rows(kernel)


def _install(options: argparse.Namespace) -> int:
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError as error:
        raise ValueError("a kernel needs jupyter_client: pip install 'libctr[jupyter]'") from error
    name = options.kernel_name or "ctr-" + (re.sub(r"[^a-z0-9._-]+", "-", Path(options.image).name.lower()) or "image")
    config: dict[str, Any] = {"image": options.image, "options": typed_rows(options)}
    if options.python:
        config["python"] = options.python
    if options.folder:
        config["folder"] = options.folder
    spec = {
        "argv": [options.python or "python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": options.display_name or f"Python 3 in {Path(options.image).name}",
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {"debugger": True, "kernel_provisioner": {"provisioner_name": "ctr", "config": config}},
    }
    with tempfile.TemporaryDirectory(prefix="ctr-kernel-") as directory:
        Path(directory, "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
        prefix = sys.prefix if options.sys_prefix else options.prefix
        place = KernelSpecManager().install_kernel_spec(directory, name, user=prefix is None, prefix=prefix)
    print(f"{name} {place}")
    return 0
