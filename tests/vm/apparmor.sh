#!/usr/bin/env bash
# Prints the path of apparmor.profile, compiled as the kernel takes it, by the parser of Debian's package apparmor, which is
# fetched once by apt and not installed. Exit 77: it can't be had here, and why, on stderr.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath "$1")
skip() { echo "$*" >&2; exit 77; }

package=$cache/apparmor
exec 9>"$cache/apparmor.lock"
flock 9
if [ ! -e "$package" ]; then
    command -v apt-get >/dev/null || skip "no apt-get to fetch apparmor_parser with"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    (cd "$work" && apt-get download -qq apparmor >/dev/null 2>"$work/log") || skip "apt-get download apparmor failed: $(tail -n 1 "$work/log")"
    dpkg -x "$work"/*.deb "$work/root"
    mv "$work/root" "$package"
fi
# The features of a kernel, not of the one that runs here.
"$package/sbin/apparmor_parser" --quiet --config-file /dev/null --skip-kernel-load --skip-cache \
    --features-file "$package/usr/share/apparmor-features/features" --ofile "$cache/apparmor.policy" "$here/apparmor.profile" >&2
echo "$cache/apparmor.policy"
