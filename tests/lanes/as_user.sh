#!/bin/sh
# Runs a command as an ordinary user who exists for it only: everything that it takes (/etc with the user in it, a home, a
# scratch) is in a private mount namespace, so nothing of the machine is touched. Root is needed.
#   as_user.sh [-s LINE]... [-g LINE]... [-f FILE:NAME]... [-d DIR]... [-r] -- COMMAND [ARG]...
# -s  a line of /etc/subuid, and of /etc/subgid where no -g is given; without any the user has no further ids
# -g  a line of /etc/subgid
# -f  a file that the user can run or read as /mnt/NAME, wherever it lies
# -d  a directory that the user can read at its own path, also below one that is closed to them
# -r  newuidmap and newgidmap of /mnt/bin, first in PATH, are setuid root, but no such programs: they refuse everything
# The user is ctr-lane, uid 4242, and has no password, no other group and no cgroup.
set -eu

if [ "${CTR_LANE_INSIDE:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "SKIPPED as_user: root is needed to make a user in a private mount namespace"; exit 77; }
	CTR_LANE_INSIDE=1 exec unshare --mount --propagation private -- "$0" "$@"
fi
unset CTR_LANE_INSIDE
mount -t tmpfs -o mode=755 ctr-lane /mnt
# Bind mounts over single files would need the files.
cp -a /etc /mnt/etc
echo 'ctr-lane:x:4242:4242:a lane of the tests:/mnt/home:/bin/sh' >>/mnt/etc/passwd
echo 'ctr-lane:x:4242:' >>/mnt/etc/group
: >/mnt/etc/subuid
: >/mnt/etc/subgid
# Only the directories on the way to them are seen in a closed one.
show() {
	mkdir -p /mnt/shown
	mkdir /mnt/shown/$OPTIND
	mount --bind "$1" /mnt/shown/$OPTIND
	closed=$1
	for above in $(echo "$1" | awk -F/ '{ path = ""; for (i = 2; i < NF; i++) print path = path "/" $i }'); do
		case $(stat -c %A "$above") in
		*[xt]) ;;
		*)
			closed=$above
			mount -t tmpfs -o mode=755 ctr-lane "$above"
			break
			;;
		esac
	done
	[ "$closed" = "$1" ] || { mkdir -p "$1" && mount --bind /mnt/shown/$OPTIND "$1"; }
}

while getopts s:g:f:d:r option; do
	case $option in
	s) echo "$OPTARG" >>/mnt/etc/subuid ;;
	g) echo "$OPTARG" >>/mnt/etc/subgid ;;
	f)
		: >"/mnt/${OPTARG##*:}"
		mount --bind "${OPTARG%:*}" "/mnt/${OPTARG##*:}"
		;;
	d) show "$OPTARG" ;;
	r)
		mkdir /mnt/bin
		for name in newuidmap newgidmap; do install -m 4755 "$(command -v ls)" /mnt/bin/$name; done
		PATH=/mnt/bin:$PATH
		;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ -s /mnt/etc/subgid ] || cp /mnt/etc/subuid /mnt/etc/subgid
mount --bind /mnt/etc /etc
mount -t tmpfs -o mode=1777 ctr-lane /dev/shm
for place in home run tmp; do
	mkdir -m 700 "/mnt/$place"
	chown 4242:4242 "/mnt/$place"
done
cd /mnt/home
exec setpriv --reuid 4242 --regid 4242 --clear-groups env -i PATH="$PATH" HOME=/mnt/home USER=ctr-lane LOGNAME=ctr-lane \
	XDG_RUNTIME_DIR=/mnt/run TMPDIR=/mnt/tmp CTR_TEST_SCRATCH=/mnt/tmp RUST_BACKTRACE="${RUST_BACKTRACE:-0}" "$@"
