#!/usr/bin/env bash
# Runs a command in a virtual machine with a kernel of its own, all of cgroup v2 and nothing of v1.
#   boot.sh [-u USER]... [-f SRC[:DEST]]... [-t SECONDS] [-m MIB] [-k WORDS] -- COMMAND [ARG]...
# -u  who runs it, each in turn: root, user (an ordinary user with cgroups of its own, as systemd delegates them) or
#     stranger (an ordinary user without).
# -f  a file or directory to have inside, at DEST or the same path; a program brings its shared libraries along.
# -k  more words for the kernel's command line.
# Everything inside is busybox, in memory but for an ext4 disk for /tmp, /home and /var/lib, without a network. What the command prints is printed, and what it writes to
# /run/note becomes part of the last line, which says how it ended. Exit 0: it succeeded as every user; 1: it did not, or the machine hung; 77: no machine can be had here.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${CTR_TEST_CACHE:-$here/../../build/vm}
users=() files=() seconds=600 memory=1024 words=
modules=(virtio_pci virtio_blk overlay veth bridge tun dummy fuse loop xfs squashfs erofs btrfs vfat nls_cp437 nls_ascii)
while getopts u:f:t:m:k: option; do
    case $option in
    u) users+=("$OPTARG") ;;
    f) files+=("$OPTARG") ;;
    t) seconds=$OPTARG ;;
    m) memory=$OPTARG ;;
    k) words=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '2,11s/^# //p' "$0" >&2; exit 2; }
[ ${#users[@]} -gt 0 ] || users=(root)
skip() { echo "SKIPPED vm: $*"; exit 77; }

needed=()
command -v qemu-system-x86_64 >/dev/null || needed+=(qemu-system-x86)
# A static one; ldd fails on those.
if ! command -v busybox >/dev/null || ldd "$(command -v busybox)" >/dev/null 2>&1; then needed+=(busybox-static); fi
if [ ${#needed[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then skip "missing: ${needed[*]}"; fi
    apt-get install -qq --no-install-recommends "${needed[@]}" >/dev/null 2>&1 || skip "apt-get install ${needed[*]} failed"
fi
mkdir -p "$cache"
kernel=$("$here/kernel.sh" "$cache" 2>"$cache/kernel.log") || {
    [ $? = 77 ] && skip "$(tail -n 1 "$cache/kernel.log")"
    cat "$cache/kernel.log" >&2
    exit 1
}
image=("$kernel"/boot/vmlinuz-*)
version=${image[0]##*/vmlinuz-}

work=$(mktemp -d "${TMPDIR:-/tmp}/ctr-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,proc,sys,dev,tmp,run,root,home,var/lib,lib64,lane}
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 "$here/init" "$root/init"
# What every system has.
echo '127.0.0.1 localhost' >"$root/etc/hosts"
echo ctr-vm >"$root/etc/hostname"
: >"$root/etc/resolv.conf"

# The modules with what they depend on, which modules.dep lists behind the colon.
for module in "${modules[@]}"; do
    { grep "/$module.ko:" "$kernel/lib/modules/$version/modules.dep" || true; } | tr -d : | tr ' ' '\n'
done | sort -u | while read -r path; do
    [ -n "$path" ] || continue
    install -D -m 644 "$kernel/lib/modules/$version/${path#/lib/modules/"$version"/}" "$root/lib/modules/$version/${path#/lib/modules/"$version"/}"
done
busybox depmod -b "$root" "$version"
printf '%s\n' "${modules[@]}" >"$root/lane/modules"

libraries() { ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true; }
for file in "${files[@]}"; do
    source=${file%%:*}
    target=$root/${file#*:}
    mkdir -p "$(dirname "$target")"
    cp -a --dereference "$source" "$target"
    find "$target" -type f -perm -100 | while read -r program; do
        strip --strip-debug "$program" 2>/dev/null || true
        libraries "$program"
    done | sort -u | while read -r library; do
        [ -e "$root$library" ] || install -D -m 755 "$(readlink -f "$library")" "$root$library"
    done
done
printf '%s\n' "${users[@]}" >"$root/lane/users"
{ echo '#!/bin/sh'; printf 'exec'; printf " '%s'" "${@//\'/\'\\\'\'}"; echo; } >"$root/lane/command"
chmod 755 "$root/lane/command"
(cd "$root" && find . -print0 | busybox cpio -0 -o -H newc 2>/dev/null) >"$work/initramfs"

truncate -s 4G "$work/disk"
PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 "$work/disk"

start=$SECONDS
# A hang of the machine is what the time limit is for; setpriv ends it with us. Its console is a serial line with CR LF.
setpriv --pdeathsig TERM timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m "$memory" \
    -nodefaults -no-user-config -display none -monitor none -nic none -no-reboot -serial stdio \
    -drive "file=$work/disk,if=virtio,format=raw,cache=unsafe" -kernel "${image[0]}" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet loglevel=1 printk.devkmsg=off panic=-1 cgroup_no_v1=all $words" </dev/null 2>"$work/qemu.log" |
    tr -d '\r' | tee "$work/console" | grep -v -e '^CTR-VM ' -e 'reboot: Power down' || true

said=() failed=0
for user in "${users[@]}"; do
    read -r status note < <(sed -n "s/^CTR-VM $user exit //p" "$work/console") || true
    case $status in
    0) said+=("$user passed${note:+ ($note)}") ;;
    '') said+=("$user never ended") failed=1 ;;
    *) said+=("$user failed with $status${note:+ ($note)}") failed=1 ;;
    esac
done
summary=$(printf ', %s' "${said[@]}")
echo "vm: linux $version, cgroup v2 alone, qemu tcg: ${summary:2} ($((SECONDS - start)) s)"
[ $failed = 0 ] || cat "$work/qemu.log" >&2
exit $failed
