#!/usr/bin/env bash
# Prints a directory with Debian's cloud kernel, unpacked: boot/vmlinuz-*, lib/modules/*. Fetched once, by apt, as the
# package linux-image-cloud-amd64 names it; nothing is installed. Exit 77: it can't be had here, and why, on stderr.
set -euo pipefail

cache=$1
skip() { echo "$*" >&2; exit 77; }

[ "$(uname -m)" = x86_64 ] || skip "the kernel is for x86_64, this is $(uname -m)"
command -v apt-get >/dev/null || skip "no apt-get to fetch Debian's cloud kernel with"
mkdir -p "$cache"
exec 9>"$cache/kernel.lock"
flock 9

ready=("$cache"/linux-image-*/boot/vmlinuz-*)
if [ ! -e "${ready[0]}" ]; then
    package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'; }
    name=$(package)
    if [ -z "$name" ] && [ "$(id -u)" = 0 ]; then
        apt-get update -qq >&2 || true
        name=$(package)
    fi
    [ -n "$name" ] || skip "apt knows no linux-image-cloud-amd64"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    (cd "$work" && apt-get download -qq "$name" >/dev/null 2>"$work/log") || skip "apt-get download $name failed: $(tail -n 1 "$work/log")"
    dpkg -x "$work"/*.deb "$work/root"
    # modules.dep is made when the package is installed, which it is not.
    busybox depmod -b "$work/root" "${name#linux-image-}"
    mv "$work/root" "$cache/$name"
fi
ready=("$cache"/linux-image-*/boot/vmlinuz-*)
dirname "$(dirname "${ready[-1]}")"
