#!/bin/bash
# `make bench`: everything beside its floor and beside the engines that are installed here, in interleaved runs.
#
#   benches/run.sh [targets] [density] [limits] [images] [phases] [prices] [peers] [walls]      default: all but walls; some six minutes
#
# targets: what ctr promises, each beside what it is measured against. density: a thousand containers at once, and two hundred
# beside crun. limits: what one limit more costs a create, and hogs at theirs beside a neighbour. images: imports and exports; on the tmpfs, or in $CTR_BENCH_PLACE. phases: how a lifecycle divides up. prices: what each
# wall around a container costs it. peers: whole commands of other engines. walls: what the kernel charges for each step of a
# container (benches/kernel.c).
# Needs root, a C compiler, libctr (CTR_LIBDIR, else target/release) and a busybox that is linked statically. Python's
# rows need `import ctr` to work in $PYTHON (python3). What is missing is named and left out.
# Images are kept in build/bench ($BUILD/bench); everything else lives on a tmpfs in a private mount namespace and is gone afterwards.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
libdir=${CTR_LIBDIR:-${CARGO_TARGET_DIR:-$top/target}/release}
python=${PYTHON:-python3}
build=$(cd "$top" && realpath -m "${BUILD:-build}")
out=$build/bench
results=$out/results.tsv

stop() { echo "bench: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || stop "needs root: the floor and the other engines do"
if [ "${CTR_BENCH_NAMESPACE:-}" != private ]; then
    exec env CTR_BENCH_NAMESPACE=private unshare --mount --propagation private "$0" "$@"
fi
[ $# -gt 0 ] || set -- targets density limits images phases prices peers
wanted() { [[ " $sections " == *" $1 "* ]]; }
sections="$*"
have() { command -v "$1" > /dev/null; }
skip() { printf 'skip\t%s\t%s\n' "$1" "$2" >> "$results"; }

{ mkdir -p "$out/tmp" && : > "$results"; } || stop "cannot write to $out"
mount -t tmpfs -o mode=0755 ctr-bench "$out/tmp" || stop "cannot mount a tmpfs on $out/tmp"
tmp=$out/tmp

### programs
[ -f "$libdir/libctr.so" ] || stop "no $libdir/libctr.so: run make build, or set CTR_LIBDIR"
[ -f "$top/include/ctr.h" ] || stop "no include/ctr.h"
cc=${CC:-cc}
flags=(-std=gnu11 -O2 -Wall -Wextra -Werror)
$cc "${flags[@]}" -I"$top/include" -o "$out/lifecycle" "$here"/{lifecycle,floor,walls,forward,bench}.c -L"$libdir" -lctr \
    -Wl,-rpath,"$libdir" -lpthread || exit 1
$cc "${flags[@]}" -I"$top/include" -o "$out/files" "$here"/{files,bench}.c -L"$libdir" -lctr \
    -Wl,-rpath,"$libdir" || exit 1
$cc "${flags[@]}" -I"$top/include" -o "$out/images" "$here"/{images,bench}.c -L"$libdir" -lctr \
    -Wl,-rpath,"$libdir" || exit 1
$cc "${flags[@]}" -I"$top/include" -o "$out/density" "$here"/{density,bench}.c -L"$libdir" -lctr \
    -Wl,-rpath,"$libdir" -lpthread || exit 1
$cc "${flags[@]}" -I"$top/include" -o "$out/limits" "$here"/{limits,bench}.c -L"$libdir" -lctr \
    -Wl,-rpath,"$libdir" || exit 1
$cc "${flags[@]}" -I"$top/include" -o "$out/networks" "$here"/{networks,bench}.c -L"$libdir" -lctr \
    -Wl,-rpath,"$libdir" || exit 1
$cc "${flags[@]}" -static -o "$out/kernel" "$here"/{kernel,kernel_container,bench}.c || exit 1

### images: a small one of busybox alone, as directory and as tarball, and a Debian of 170 MB
busybox=$(readlink -f "$(command -v busybox)")
[ -f "$busybox" ] || stop "no busybox: apt-get install busybox-static"
ldd "$busybox" > /dev/null 2>&1 && stop "$busybox is linked dynamically: apt-get install busybox-static"
if [ ! -f "$out/busybox.tar" ]; then
    mkdir -p "$out"/rootfs/{bin,dev,etc,proc,root,sys,tmp,usr,mnt,srv}
    cp "$busybox" "$out/rootfs/bin/busybox"
    for applet in $("$busybox" --list); do
        [ "$applet" = busybox ] || ln -sf busybox "$out/rootfs/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' > "$out/rootfs/etc/passwd"
    echo 'root:x:0:' > "$out/rootfs/etc/group"
    tar -C "$out/rootfs" -cf "$out/busybox.tar.new" . && mv "$out/busybox.tar.new" "$out/busybox.tar" || exit 1
fi
large=$out/debian.tar
if { wanted targets || wanted images; } && [ ! -f "$large" ] && have mmdebstrap; then
    echo "bench: making the large image, once" >&2
    sources=/etc/apt/sources.list.d/debian.sources
    [ -f "$sources" ] || sources=
    mmdebstrap --quiet --variant=minbase bookworm "$out/new.tar" $sources > "$out/mmdebstrap.log" 2>&1 &&
        mv "$out/new.tar" "$large"
fi

# Images that were unpacked for the bench go when it goes; running containers are written down where they always are.
export CTR_STORE_DIR=$out/store
bench() { # MODE [ARGUMENT...]: appends what it prints to the results
    "$out/lifecycle" "$1" "$out/busybox.tar" "$out/rootfs" "$tmp" "${@:2}" >> "$results" 2> "$out/errors" ||
        skip "$1" "failed: $(tail -n 1 "$out/errors")"
}

### runs
if wanted targets; then
    for mode in back_to_back{,_walls} pauses{,_walls} crowd{,_walls} exec{,_one_cpu} live_mount binds forward heap first memory stats; do
        bench "$mode"
    done
    "$out/files" "$out/busybox.tar" "$tmp" >> "$results" 2> "$out/errors" || skip files "failed: $(tail -n 1 "$out/errors")"
    unshare --net "$out/networks" "$out/busybox.tar" >> "$results" 2> "$out/errors" ||
        skip networks "failed: $(tail -n 1 "$out/errors")"
    if [ -f "$large" ]; then bench large_image "$large"; else skip large_image "mmdebstrap could not make the image"; fi
    if $python -c 'import ctr' 2> "$out/errors"; then
        for row in "python_same host" "python_busybox $out/busybox.tar"; do
            $python "$here/python_run.py" "${row#* }" "${row%% *}" >> "$results" 2> "$out/errors" ||
                skip "${row%% *}" "failed: $(tail -n 1 "$out/errors")"
        done
    else
        skip python_same "$python has no ctr module"
    fi
fi
if wanted density; then
    ps=()
    $python -c 'import ctr' 2> "$out/errors" && ps=("$python" -m ctr ps)
    [ ${#ps[@]} -gt 0 ] || skip density_ps "$python has no ctr module"
    "$out/density" many "$out/busybox.tar" 1000 "${ps[@]}" >> "$results" 2> "$out/errors" ||
        skip density "failed: $(tail -n 1 "$out/errors")"
fi
if wanted limits; then
    disk=$(find /sys/block -mindepth 1 -maxdepth 1 ! -name 'loop*' ! -name 'ram*' | head -n 1)
    disk=$([ -n "$disk" ] && cat "$disk/dev" || echo -)
    "$out/limits" "$out/busybox.tar" "$disk" >> "$results" 2> "$out/errors" ||
        skip limits "failed: $(tail -n 1 "$out/errors")"
    if ! have stress-ng; then
        skip hogs_neighbour "stress-ng is not installed"
    elif ! $python "$here/hogs.py" >> "$results" 2> "$out/errors"; then
        skip hogs_neighbour "failed: $(tail -n 1 "$out/errors")"
    fi
fi
images() { # MODE [ARGUMENT...]: likewise
    "$out/images" "$@" >> "$results" 2> "$out/errors" || skip "images $1" "failed: $(tail -n 1 "$out/errors")"
}
if wanted images && [ -f "$large" ]; then
    place=${CTR_BENCH_PLACE:-$tmp}
    [ -f "$large.gz" ] || { gzip -k < "$large" > "$large.gz.new" && mv "$large.gz.new" "$large.gz"; }
    [ -f "$large.zst" ] || zstd -q "$large" || skip image_tar_zst "zstd is not installed"
    cat "$large"{,.gz,.zst} > /dev/null 2>&1
    commands=$tmp/imports
    printf 'image_tar_gz\t%s\ttar -C @ -xzf %s\n' "$large.gz"{,} > "$commands"
    printf 'image_tar\t%s\ttar -C @ -xf %s\n' "$large"{,} >> "$commands"
    [ -f "$large.zst" ] && printf 'image_tar_zst\t%s\ttar -C @ --zstd -xf %s\n' "$large.zst"{,} >> "$commands"
    images import "$place" < "$commands"
    : > "$commands"
    if have podman; then
        # The driver that costs it least: vfs copies what it has.
        podman="podman --root @/root --runroot @/run --storage-driver overlay --events-backend none"
        printf 'image_podman\t%s\t%s import --quiet %s ctr-bench\n' "$large.gz" "$podman" "$large.gz" >> "$commands"
    else
        skip image_podman "podman is not installed"
    fi
    if have umoci; then
        if [ ! -d "$out/debian.oci" ]; then
            mkdir -p "$out/oci.new" && "$out/images" layout "$large.gz" "$tmp/oci.tar" &&
                tar -C "$out/oci.new" -xf "$tmp/oci.tar" && mv "$out/oci.new" "$out/debian.oci"
            rm -f "$tmp/oci.tar"
        fi
        printf 'image_umoci\t%s\tumoci unpack --image %s:ctr-bench @/bundle\n' "$out/debian.oci"{,} >> "$commands"
    else
        skip image_umoci "umoci is not installed"
    fi
    images import "$place" 3 < "$commands"
    images export "$place" "$large"
    images peak "$place" "$large"{,.gz,.zst}
    # docker's form: layers as files in the archive, and what they are in two documents.
    "$python" - "$out" << 'END'
import hashlib, io, json, sys, tarfile
def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
def packed(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            add(archive, name, content)
    return out.getvalue()
for count in (1, 100):
    layers = [packed({f"layer-{l}/file-{f}": b"%d" % f for f in range(10)}) for l in range(count)]
    names = [f"{l}/layer.tar" for l in range(count)]
    ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}
    documents = {"config.json": config, "manifest.json": [{"Config": "config.json", "Layers": names}]}
    files = dict(zip(names, layers)) | {name: json.dumps(what).encode() for name, what in documents.items()}
    with open(f"{sys.argv[1]}/layers-{count}.tar", "wb") as out:
        out.write(packed(files))
END
    images create "$out/layers-100.tar" "$out/layers-1.tar"
elif wanted images; then
    skip "images" "mmdebstrap could not make the image"
fi
wanted phases && { bench phases; bench processor; }
wanted prices && bench prices
if wanted targets || wanted density || wanted peers; then
    bundle=$tmp/bundle
    mkdir "$bundle" "$bundle-asleep" && "$python" - "$bundle" "$out/rootfs" << 'END'
import json, sys
# The same walls: every namespace (but no user namespace), a memory limit, no seccomp filter.
kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
mounts = [
    ("/proc", "proc", "proc", []),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
]
config = {
    "ociVersion": "1.0.0",
    "process": {
        "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": True,
        "capabilities": {k: capabilities for k in ("bounding", "effective", "permitted")},
    },
    "root": {"path": sys.argv[2], "readonly": False},
    "hostname": "bench",
    "mounts": [dict(zip(("destination", "type", "source", "options"), m)) for m in mounts],
    "linux": {"namespaces": [{"type": k} for k in kinds], "resources": {"memory": {"limit": 64 << 20}}},
}
json.dump(config, open(sys.argv[1] + "/config.json", "w"))
# One of many, which sleeps.
config["process"]["args"] = ["/bin/sleep", "1000"]
config["linux"]["resources"]["pids"] = {"limit": 64}
json.dump(config, open(sys.argv[1] + "-asleep/config.json", "w"))
END
    commands=$tmp/commands
    : > "$commands"
    have crun && { wanted targets || wanted peers; } &&
        printf 'crun run\tcrun run -b %s ctr-bench\n' "$bundle" >> "$commands"
    if wanted peers; then
        have runc && printf 'runc run\trunc run -b %s ctr-bench\n' "$bundle" >> "$commands"
        have bwrap && printf '%s\tbwrap --unshare-all --bind %s / --proc /proc --dev /dev /bin/true\n' \
            'bwrap --unshare-all' "$out/rootfs" >> "$commands"
        if have podman; then
            podman="podman --root $tmp/podman --runroot $tmp/podman-run --storage-driver overlay"
            podman="$podman --cgroup-manager cgroupfs --events-backend none"
            options="--network none --memory 64m --security-opt seccomp=unconfined"
            # What podman sets by default needs CAP_SYS_RESOURCE.
            options="$options --ulimit nofile=1024:1024 --ulimit nproc=1000:1000"
            printf 'podman run\t%s run --rm %s ctr-bench /bin/true\n' "$podman" "$options" >> "$commands"
        fi
        for engine in crun runc bwrap podman; do have $engine || skip $engine "is not installed"; done
    elif wanted targets && ! have crun; then
        skip "crun run" "crun is not installed"
    fi
    # crun of Debian 12 refuses a machine with cgroup v1 controllers beside an empty v2 tree, so the latter is covered
    # by an empty tmpfs, in one more private mount namespace.
    crun=
    if wanted density; then
        if have crun; then crun=$bundle-asleep; else skip density_start_other "crun is not installed"; fi
    fi
    export out tmp commands podman=${podman:-} crun
    # shellcheck disable=SC2016
    unshare --mount --propagation private bash -c '
        [ ! -d /sys/fs/cgroup/memory ] || mount -t tmpfs ctr-bench /sys/fs/cgroup/unified 2> /dev/null
        [ -z "$podman" ] || $podman import --quiet "$out/busybox.tar" ctr-bench > /dev/null 2>&1
        [ ! -s "$commands" ] || "$out/lifecycle" commands "$out/busybox.tar" "$out/rootfs" "$tmp" 20 < "$commands"
        [ -z "$crun" ] || "$out/density" beside "$out/busybox.tar" 200 "crun run --detach -b $crun ctr-bench-@" \
            "crun delete --force ctr-bench-@"
        [ -z "$podman" ] || $podman rmi --all --force > /dev/null 2>&1
        for group in /sys/fs/cgroup/*/libpod_parent; do
            [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2> /dev/null
        done' >> "$results" 2> "$out/errors" || skip "crun run" "failed: $(tail -n 1 "$out/errors")"
    mount | awk -v below="$tmp/" 'index($3, below) == 1 { print $3 }' | sort -r | xargs -r umount -l
fi

### table
echo "$(uname -r), $(nproc) cpus, load $(cut -d' ' -f1 /proc/loadavg), $(date -u +%Y-%m-%d)"
wanted images && echo "images: on $(stat -f -c %T "${CTR_BENCH_PLACE:-$tmp}")"
awk -F'\t' -f "$here/table.awk" "$results"
wanted walls && { echo; "$out/kernel" "$out/rootfs" 200; }
umount -l "$tmp" 2> /dev/null
rmdir "$tmp" 2> /dev/null
exit 0
