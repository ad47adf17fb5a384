#!/usr/bin/env bash
# The virtual machine's lane of `make test`: the Rust tests on an older kernel (Debian 12's 6.1) with all of cgroup v2, as
# root, as an ordinary user with cgroups of its own, and as one without. Ends in one line that sums it up.
#   run.sh [FILTER]...   only tests whose name has one of these; all of them where there is none
# Exit 0: passed; 1: failed; 77: skipped, the line says why.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

# What needs more of a system than the machine has (GNU tar, strace, setpriv and unshare, newuidmap, Python, a C compiler, this repository), or hours of an emulated one.
left_out=(image attacks capi counts faults options places owners soak steps)
files=() labels=()
while read -r binary; do
    name=$(basename "$binary")
    name=${name%-*}
    case " ${left_out[*]} " in
    *" $name "*) echo "SKIPPED vm: tests/$name runs on the host only" ;;
    *) files+=(-f "$binary:/lane/tests/$name") ;;
    esac
    [ "$name" != labels ] || labels=(-f "$binary:/lane/tests/$name")
done < <(cargo test --no-run --lib --tests 2>&1 | tee /dev/stderr | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
[ ${#files[@]} -gt 0 ] || { echo "vm: cargo built no tests"; exit 1; }

# What tests of single rooms read on the host.
header=/usr/include/linux/capability.h
[ ! -e $header ] || files+=(-f "$header")

# What makes the images of tests/disks.rs.
for program in mke2fs debugfs tune2fs mksquashfs mkfs.erofs mkfs.xfs mkfs.btrfs mkfs.vfat sgdisk; do
    ! found=$(PATH=$PATH:/usr/sbin:/sbin command -v "$program") || files+=(-f "$found:/lane/bin/$program")
done

# Policies for tests/labels.rs.
mkdir -p "${cache:=${CTR_TEST_CACHE:-$here/../../build/vm}}"
for module in apparmor selinux; do
    if policy=$("$here/policy.sh" "$cache" $module 2>/tmp/ctr-vm-policy.$$); then
        files+=(-f "$policy:/lane/$module.policy") labels+=(-f "$policy:/lane/$module.policy")
    else
        echo "SKIPPED vm: no policy for $module, so no test under one: $(tail -n 1 /tmp/ctr-vm-policy.$$)"
    fi
    rm -f /tmp/ctr-vm-policy.$$
done

# shellcheck disable=SC2016 # expanded inside
script='worst=0
# Before those of busybox.
export PATH=/lane/bin:$PATH
# The long ones once.
[ "$(id -u)" = 0 ] || set -- "$@" --skip ten_thousand_lives --skip a_host_killed_at_any_moment --skip hundreds_of_containers --skip two_hundred_from
for test in /lane/tests/*; do
    echo "-- ${test##*/}"
    { "$test" --nocapture "$@" || echo "FAILED ${test##*/} $?"; } 2>&1 | tee /tmp/out
    cat /tmp/out >>/tmp/all
    ! grep -q "^FAILED " /tmp/out || worst=1
done
passed=$(sed -n "s/^test result:.* \([0-9]*\) passed;.*/\1/p" /tmp/all | awk "{ n += \$1 } END { print n + 0 }")
skipped=$(grep -c "SKIPPED " /tmp/all)
echo "$((passed - skipped)) tests, $skipped skipped" >/run/note
rm /tmp/out /tmp/all
exit $worst'
failed=0
"$here/boot.sh" -u root -u user -u stranger -m 2560 -t "${CTR_VM_SECONDS:-4200}" "${files[@]}" -- sh -c "$script" sh "$@" || failed=$?
[ $failed = 0 ] || exit $failed
# A kernel has AppArmor or SELinux: once more with the other one, for its labels only.
"$here/boot.sh" -u root -u user -k 'lsm=landlock,yama,selinux selinux=1' "${labels[@]}" -- sh -c "$script" sh
