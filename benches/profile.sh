#!/bin/bash
# Where a lifecycle's time goes: system calls by role, wakeups, and what the kernel is busy with.
#
#   benches/profile.sh [ours|floor] [LIFECYCLES] [calls] [times] [sched] [kernel]      default: ours 200, all four
#
# calls: how many of each system call host, zygote, PID 1 and program make per lifecycle (strace: the counts are exact,
# the times are not). times: how long each takes without strace in the way (perf trace). sched: who wakes whom, and
# every switch of a few milliseconds in a row. kernel: processor time by command and call (perf record).
# Run benches/run.sh once before: it builds build/bench. Needs root, strace, perf.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/.." && realpath -m "${BUILD:-build}")/bench
[ -x "$out/lifecycle" ] || { echo "profile: run benches/run.sh first" >&2; exit 1; }
# perf mounts tracefs where it finds none: in a namespace of our own it stays ours.
if [ "${CTR_BENCH_NAMESPACE:-}" != private ]; then
    exec env CTR_BENCH_NAMESPACE=private unshare --mount --propagation private "$0" "$@"
fi
side=${1:-ours}; [ $# -gt 0 ] && shift
count=${1:-200}; [ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- calls times sched kernel
sections=" $* "
wanted() { [[ $sections == *" $1 "* ]]; }
export CTR_STORE_DIR=$out/store
mkdir -p "$out/tmp" && mount -t tmpfs -o mode=0755 ctr-bench "$out/tmp" || exit 1
data=$out/tmp/data
mkdir "$data" "$data/scratch"
run=("$out/lifecycle" "only_$side" "$out/busybox.tar" "$out/rootfs" "$data/scratch")
"${run[@]}" 5 || exit 1 # unpacks the image, warms up

if wanted calls; then
    echo "## system calls per lifecycle, $count lifecycles of $side under strace"
    strace -f -T --decode-pids=pidns -o "$data/strace" "${run[@]}" "$count" &&
        python3 "$here/roles.py" "$count" < "$data/strace"
fi
if wanted times; then
    echo; echo "## microseconds per lifecycle in system calls, by command name (perf trace; waiting included)"
    perf trace -o "$data/trace" -- "${run[@]}" "$count" 2> /dev/null
    # "  12.345 ( 0.006 ms): lifecycle/123 write(...)"
    line='^ *[0-9.]+ \( *([0-9.]+) ms\): ([^/]+)/[0-9]+ (\.\.\. \[continued\]: )?([a-z0-9_]+)\(.*'
    sed -nE "s#$line#\2\t\4\t\1#p" "$data/trace" |
        sed -E 's/^:[0-9]+/(not known yet)/' |
        awk -F'\t' -v n="$count" '{ us[$1 "\t" $2] += $3 * 1e3; calls[$1 "\t" $2]++ }
            END { for (k in us) printf "%s\t%.2f\t%.1f\t%.1f\n", k, calls[k] / n, us[k] / n, us[k] / calls[k] }' |
        sort -t$'\t' -k4,4nr | head -n 60 |
        awk -F'\t' '
            BEGIN { printf "%-16s %-24s %10s %12s %10s\n", "command", "call", "a round", "us a round", "us each" }
            { printf "%-16s %-24s %10.2f %12.1f %10.1f\n", $1, $2, $3, $4, $5 }'
fi
if wanted sched; then
    echo; echo "## switches and wakeups, whole machine while $count lifecycles of $side run (perf record)"
    perf record -q -a -e sched:sched_switch,sched:sched_wakeup,sched:sched_wakeup_new -o "$data/sched" -- \
        "${run[@]}" "$count" > /dev/null 2>&1
    perf script -i "$data/sched" -F comm,pid,cpu,time,event,trace 2> /dev/null | python3 "$here/wakeups.py" "$count"
fi
if wanted kernel; then
    echo; echo "## processor time while lifecycles of $side run, whole machine (perf record, cpu-clock)"
    perf record -q -a -g -F 4000 -e cpu-clock -o "$data/record" -- "${run[@]}" $((count * 5)) > /dev/null 2>&1
    perf script -i "$data/record" -F comm,ip,sym 2> /dev/null | python3 "$here/stacks.py" $((count * 5)) 4000
fi
umount -l "$out/tmp"
rmdir "$out/tmp" 2> /dev/null
