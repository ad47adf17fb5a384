#!/usr/bin/env bash
# Prints the path of a policy for tests/labels.rs as the kernel takes it: policy.sh CACHE apparmor|selinux. It is compiled by the
# program of Debian's packages, which are fetched once by apt and not installed. Exit 77: it can't be had here, and why, on
# stderr.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath "$1")
skip() { echo "$*" >&2; exit 77; }

case $2 in
apparmor) packages=(apparmor) ;;
selinux) packages=(secilc libsepol2) ;;
*) exit 2 ;;
esac
tree=$cache/$2
exec 9>"$tree.lock"
flock 9
if [ ! -e "$tree" ]; then
    command -v apt-get >/dev/null || skip "no apt-get to fetch ${packages[*]} with"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    (cd "$work" && apt-get download -qq "${packages[@]}" >/dev/null 2>"$work/log") ||
        skip "apt-get download ${packages[*]} failed: $(tail -n 1 "$work/log")"
    for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
    mv "$work/root" "$tree"
fi
if [ "$2" = apparmor ]; then
    # The features of a kernel, not of the one that runs here.
    "$tree/sbin/apparmor_parser" --quiet --config-file /dev/null --skip-kernel-load --skip-cache \
        --features-file "$tree/usr/share/apparmor-features/features" --ofile "$tree.policy" "$here/apparmor.profile" >&2
else
    LD_LIBRARY_PATH=$(dirname "$tree"/usr/lib/*/libsepol.so.2) "$tree/usr/bin/secilc" --mls true --policyvers 31 \
        --filecontext /dev/null --output "$tree.policy" "$here/selinux.cil" >&2
fi
echo "$tree.policy"
