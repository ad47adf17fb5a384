#!/bin/sh
# fence.sh SCRATCH COMMAND...: runs COMMAND in a private mount namespace in which nothing but SCRATCH can be written to, so
# that an attack that succeeds does no harm. Run by unshare --mount --propagation private. Exits with 99 where the fence
# is not closed.
#
# What stays writable because ctr works there: /proc/PID (id maps) and the cgroup hierarchies. Disks and other devices are
# not reachable at all: /dev has the six harmless ones only, and fuse, which does nothing to who does not mount it.
set -eu
scratch=$1
shift

mount -t tmpfs -o mode=755 scratch "$scratch"
mkdir "$scratch/dev" "$scratch/tmp"
chmod 1777 "$scratch/tmp"

mount -t tmpfs -o mode=755,nosuid dev "$scratch/dev"
for name in null zero full random urandom tty fuse; do
	[ -e "/dev/$name" ] || continue
	: > "$scratch/dev/$name"
	mount --bind "/dev/$name" "$scratch/dev/$name"
done
mkdir "$scratch/dev/pts" "$scratch/dev/shm" "$scratch/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$scratch/dev/pts"
ln -s pts/ptmx "$scratch/dev/ptmx"
ln -s /proc/self/fd "$scratch/dev/fd"
mount -t tmpfs -o mode=1777 shm "$scratch/dev/shm"
mount -t mqueue mqueue "$scratch/dev/mqueue"
mount --move "$scratch/dev" /dev

while read -r _ _ _ _ at _; do
	case $at in
	"$scratch" | /dev/* | /proc | /sys/fs/cgroup*) ;;
	/dev) mount -o remount,bind,ro,nosuid "$at" ;;
	*) mount -o remount,bind,ro "$at" 2>/dev/null || { mountpoint -q "$at" && exit 99; } ;;
	esac
done < /proc/self/mountinfo
for at in /proc/sys /proc/sysrq-trigger /proc/irq /proc/bus /proc/fs; do
	if [ -e "$at" ]; then
		mount --bind "$at" "$at"
		mount -o remount,bind,ro "$at"
	fi
done

# A new procfs in a user namespace is only to be had where a whole one is in sight (mount_too_revealing of
# fs/namespace.c). This one is, in a directory that nobody inside a container has a way to.
mkdir -m 700 "$scratch/whole" "$scratch/whole/proc"
mount -t proc proc "$scratch/whole/proc"

# The proof: a write fails everywhere, and is let through in the scratch.
for at in / /etc /usr /bin /sbin /lib /var /root /home /opt /srv /mnt /run /tmp /boot /dev /sys /sys/kernel; do
	if [ -d "$at" ] && (: > "$at/.ctr-fence") 2>/dev/null; then
		echo "the fence is open at $at" >&2
		exit 99
	fi
done
if (echo 1 > /proc/sys/kernel/core_uses_pid) 2>/dev/null; then
	echo "the fence is open at /proc/sys" >&2
	exit 99
fi
: > "$scratch/.ctr-fence"

export TMPDIR="$scratch/tmp" CTR_STATE_DIR="$scratch/state" CTR_STORE_DIR="$scratch/store" CTR_FENCE="$scratch"
cd "$scratch"
exec "$@"
