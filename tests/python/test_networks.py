"""Named networks: containers of a program in a network namespace of its own, which plays the host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ctr
from lanes import ROOT_ONLY

_MEMBERS = """
import ctr, errno, subprocess, sys

def libctr(*words):
    return subprocess.run([sys.executable, "-m", "ctr", *words], capture_output=True, text=True)

web = ctr.network("web", "10.9.8.0/24", ipv6=True)
assert web == ctr.network("web") and web.subnet == "10.9.8.0/24" and web.ipv6.startswith("fd"), web
assert ctr.network("plain").ipv6 is None
assert [each.name for each in ctr.networks()] == ["plain", "web"]
db = ctr.Container(network="web", name="db", ip="10.9.8.7", aliases=["database"])
with db, ctr.Container(network=web) as app:
    assert db.addresses["web"][0] == "10.9.8.7" and len(db.addresses["web"]) == 2, db.addresses
    assert ctr.join("db").addresses == db.addresses
    said = "import socket; print(sorted({at[4][0] for at in socket.getaddrinfo(NAME, 80)}))"
    for name in ("db", "database"):
        run = app.run(["python3", "-c", said.replace("NAME", repr(name))], capture_output=True, text=True)
        assert "10.9.8.7" in run.stdout, run
    server = db.listen(("0.0.0.0", 8080))
    client = app.popen(["python3", "-c", "import socket; socket.create_connection(('db', 8080), 5).sendall(b'hello')"])
    server.settimeout(20)
    connection, (peer, _) = server.accept()
    assert (connection.recv(10), peer) == (b"hello", app.addresses["web"][0])
    client.wait()
    assert ctr.networks()[1].members == ["db", app.name]
    try:
        web.remove()
    except ctr.Error as error:
        assert error.errno == errno.EBUSY and "db" in str(error), error
    else:
        raise AssertionError("it has members")
    try:
        ctr.Container(network="web", ip="10.9.8.7")
    except ctr.Error as error:
        assert (error.errno, error.step_id) == (errno.EADDRINUSE, "choose-address"), error
    else:
        raise AssertionError("db has it")
    listed = libctr("network", "ls").stdout.splitlines()
    assert listed[0].split() == ["NAME", "SUBNET", "IPV6", "MEMBERS"] and "db, " + app.name in listed[2], listed
    place = ["--network", "web", "--ip", "10.9.8.9", "--network-alias", "x"]
    run = libctr("run", *place, "host", "--", "cat", "/etc/hosts")
    lines = [line.split() for line in run.stdout.splitlines()]
    assert "10.9.8.7" in run.stdout and any(line[0] == "10.9.8.9" and "x" in line for line in lines), run
assert ctr.Container().addresses == {}
made = libctr("network", "create", "--subnet", "10.9.7.0/24", "--ipv6", "fd00:9::/64", "cli")
assert made.stdout == "10.9.7.0/24\\n", made
assert libctr("network", "ls", "-q").stdout.split() == ["cli", "plain", "web"]
assert libctr("network", "rm", "cli", "plain").returncode == 0
assert "ENOENT" in libctr("network", "rm", "cli").stderr or "none of this name" in libctr("network", "rm", "cli").stderr
web.remove()
assert ctr.networks() == []
"""


@ROOT_ONLY
def test_members_find_each_other(tmp_path: Path) -> None:
    probe = "ip link add ctr-p type bridge && ip link add ctr-p0 type veth peer name ctr-p1"
    if subprocess.run(["unshare", "--net", "sh", "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no bridge or no veth")
    script = tmp_path / "members.py"
    script.write_text(_MEMBERS)
    env = dict(os.environ, CTR_STATE_DIR=str(tmp_path / "state"))
    command = ["unshare", "--net", sys.executable, str(script)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr


def test_what_is_no_network_is_refused() -> None:
    for name in ("new", "", "a/b", 1.5, None, object()):
        if name is None:
            continue
        with pytest.raises((ValueError, TypeError, OSError)):
            ctr.Container(network=name)  # type: ignore[arg-type]
    if os.geteuid() != 0:
        with pytest.raises(PermissionError, match="root"):
            ctr.network("web")
