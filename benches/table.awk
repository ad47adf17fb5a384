# Puts the lines of benches/lifecycle.c, images.c and python_run.py into the table of `make bench`.

function target(row, text, beside, unit, sense, limit) {
    order[++rows] = row
    what[row] = text; than[row] = beside; units[row] = unit; senses[row] = sense; limits[row] = limit
}

BEGIN {
    # unit: ms (from microseconds), KiB, per_s. sense: ratio (ours to the other), rate (the same, more is better),
    # times (the other to ours, more is better), ours (the value itself).
    target("back_to_back", "lifecycle, one after another", "floor", "ms", "ratio", 1.25)
    target("back_to_back_walls", "lifecycle, one after another", "floor with all of our walls", "ms", "ratio", 1.25)
    target("crun run", "lifecycle", "crun run, whole process", "ms", "times", 5)
    target("pauses", "lifecycle, 20 ms between", "floor, 20 ms between", "ms", "ratio", 1.30)
    target("pauses_walls", "lifecycle, 20 ms between", "floor with all of our walls", "ms", "ratio", 1.30)
    target("crowd", "lifecycles, 16 threads at once", "16 processes of the floor", "per_s", "rate", 0.70)
    target("crowd_walls", "lifecycles, 16 threads at once", "16 of the floor with all walls", "per_s", "rate", 0.70)
    target("exec", "exec + wait of busybox true inside", "posix_spawn + waitpid of it", "ms", "ratio", 1.10)
    target("exec_one_cpu", "the same, all of it on one cpu", "likewise", "ms", "ratio", 1.10)
    target("python_same", "Python: c.run([\"/bin/true\"]), \"host\"", "subprocess.run of it", "ms", "ratio", 1.00)
    target("python_busybox", "Python: c.run([\"/bin/true\"]), busybox", "subprocess.run", "ms", "ratio", 1.00)
    target("live_mount", "bind mount into a running container", "mount --bind", "ms", "ratio", 3)
    target("live_unmount", "unmount of it", "umount", "ms", "ratio", 3)
    target("create_binds", "create with 10 binds", "create without", "ms", "ratio", 1.3)
    target("file_read", "read of a small file of a running container", "cat inside", "ms", "ratio", 0.3)
    target("copy_large", "copy of 100 MB into one", "cp", "ms", "ratio", 1.1)
    target("copy_many", "copy of 10,000 small files into one", "tar | tar", "ms", "ratio", 1.2)
    target("scratch", "create, scratch mount of 20,000 files", "of one file", "ms", "ratio", 1.05)
    target("connect", "ctr_connect() to a server inside", "connect(2) on loopback", "ms", "ours", 0.1)
    target("forward", "256 MiB through a published port", "through loopback", "ms", "ratio", 2)
    target("forward_turn", "a byte there and back through it", "through loopback", "ms", "ratio", 0)
    target("network_create", "create of a member of a named network", "create with loopback only", "ms", "ratio", 1.5)
    target("network_destroy", "  destroy of it", "destroy with loopback only", "ms", "ratio", 0)
    target("network_last", "  the last 10 of 100 members", "the first 10", "ms", "ratio", 1.3)
    target("heap", "lifecycle, caller with 1 GiB of heap", "caller with a small one", "ms", "ratio", 1.05)
    target("large_image", "create, image of 170 MB, second time", "image of 2 MB", "ms", "ratio", 1.05)
    target("first", "first create of a process", "floor in the same run", "ms", "ours", 0.6)
    target("memory_container", "PSS of a container's PID 1", "its RSS", "KiB", "ours", 16)
    target("memory_zygote", "PSS of the zygote", "its RSS", "KiB", "ours", 16)
    target("stats", "ctr_stats() of one with three limits", "with a memory limit", "ms", "ours", 0.06)
    target("density_create", "1000 containers: the last 100 creates", "the first 100", "ms", "ratio", 1.2)
    target("density_create_cpu", "  processor time of each", "of the first 100", "ms", "ratio", 1.2)
    target("density_memory", "  PSS of a PID 1 of them", "", "KiB", "ours", 16)
    target("density_list", "  ctr_list() of all", "", "ms", "ours", 50)
    target("density_ps", "  libctr ps of all, whole process", "ctr_list()", "ms", "ours", 50)
    target("density_destroy", "  destroy of each", "of the last 100", "ms", "ours", 1)
    target("density_at_once", "  200 at once from 16 threads, each", "one after another", "ms", "ratio", 1)
    target("density_start_other", "200 started, with limits", "crun run --detach", "ms", "times", 5)
    target("density_remove_other", "200 removed", "crun delete --force", "ms", "times", 5)
    target("limit_memory", "create with a memory limit", "without one", "ms", "price", 0)
    target("limit_pids", "  and one of processes", "with the memory's alone", "ms", "price", 60)
    target("limit_cpus", "  and one of processor time", "with the memory's alone", "ms", "price", 60)
    target("limit_cpuset", "  and a cpuset", "with the memory's alone", "ms", "price", 60)
    target("limit_io", "  and a rate of a disk", "with the memory's alone", "ms", "price", 60)
    target("hogs_neighbour", "work of a neighbour of hogs", "without them", "per_s", "rate", 0.9)
    target("hogs_allocation", "4 MiB of the host's beside hogs", "without them", "ms", "ratio", 0)
    target("image_tar_gz", "import of a Debian tar.gz, 170 MB", "tar xzf", "ms", "ratio", 0.35)
    target("image_tar", "import of the tar", "tar xf", "ms", "ratio", 0.9)
    target("image_tar_zst", "import of the tar.zst", "tar x --zstd", "ms", "ratio", 0.9)
    target("image_podman", "import of the tar.gz", "podman import", "ms", "ratio", 0.15)
    target("image_umoci", "import of it as OCI layout", "umoci unpack", "ms", "ratio", 0.25)
    target("image_export", "export of a container of it", "tar cf of its root", "ms", "ratio", 1.0)
    target("image_layers", "create, image of 100 layers", "image of 1 layer", "ms", "ratio", 1.3)
    target("image_peak", "peak memory of these imports", "the least of them", "KiB", "ours", 65536)
    target("phase_create", "  create", "whole lifecycle", "ms", "share", 0)
    target("phase_exec_wait", "  exec + wait", "whole lifecycle", "ms", "share", 0)
    target("phase_destroy", "  destroy", "whole lifecycle", "ms", "share", 0)
    target("cpu_caller", "  processor time: caller", "of the floor", "ms", "ratio", 0)
    target("cpu_zygote", "  processor time: zygote", "(the floor has none)", "ms", "ratio", 0)
    target("cpu_inside", "  processor time: inside", "of the floor", "ms", "ratio", 0)
    # price: ours less the other, in microseconds; the aim is one of microseconds too.
    target("walls_all", "all walls: the default", "only namespaces: privileged", "ms", "ratio", 1.15)
    target("walls_strict", "all walls: strict", "only namespaces: privileged", "ms", "ratio", 0)
    target("wall_seccomp", "  with seccomp", "the same without", "ms", "price", 30)
    target("wall_landlock", "  with Landlock", "the same without", "ms", "price", 0)
    target("wall_masks", "  with masked and read-only paths", "the same without", "ms", "price", 0)
    target("wall_capabilities", "  with capabilities dropped", "with all but CAP_SYS_ADMIN", "ms", "price", 0)
    target("wall_no_new_privs", "  with no_new_privs", "the same without", "ms", "price", 0)
    target("wall_memory", "  with a memory limit", "the same without", "ms", "price", 0)
    target("wall_user", "  with a user namespace", "in the host's", "ms", "price", 0)
    target("wall_net", "  with a network namespace", "in the host's", "ms", "price", 0)
    target("wall_pid", "  with a PID namespace", "in the host's", "ms", "price", 0)
    target("wall_ipc", "  with an IPC namespace", "in the host's", "ms", "price", 0)
    target("wall_uts", "  with a UTS namespace", "in the host's", "ms", "price", 0)
    target("wall_cgroup", "  with a cgroup namespace", "in the host's", "ms", "price", 0)
    target("wall_time", "  with a time namespace", "the default, without", "ms", "price", 0)
    target("wall_pids", "  with a pids limit", "the default, without", "ms", "price", 0)
    target("wall_read_only", "  with a read-only root", "the default, without", "ms", "price", 0)
    target("etc_files", "  with /etc/hosts and its like of its own", "the image's, without", "ms", "price", 0)
    target("least_seccomp", "  privileged, but with seccomp", "privileged", "ms", "price", 0)
    target("least_masks", "  privileged, but with masked paths", "privileged", "ms", "price", 0)
    target("least_capabilities", "  privileged, but with 13 capabilities", "privileged", "ms", "price", 0)
    layout = "%-38s %26s  %-34s %29s  %7s  %-7s %s\n"
}

function side(median, min, p90, unit) {
    if (median > 1e6 && unit == "ms") return sprintf("%.2f s (%.1f - %.1f)", median / 1e6, min / 1e6, p90 / 1e6)
    if (unit == "KiB") return sprintf("%d KiB", median)
    if (unit == "per_s") return sprintf("%.0f/s (%.0f - %.0f)", median, min, p90)
    return sprintf("%.3f ms (%.2f - %.2f)", median / 1e3, min / 1e3, p90 / 1e3)
}

$1 == "skip" { reason[$2] = $3; next }
{
    seen[$1] = 1; ours[$1] = $2; other[$1] = $5; processes[$1] = $8
    if (!($1 in what)) { target($1, "lifecycle", $1 ", whole process", "ms", "times", 0) }
    left[$1] = side($2, $3, $4, units[$1]); right[$1] = side($5, $6, $7, units[$1])
}

END {
    printf layout, "what", "ours: median (min - p90)", "beside", "median (min - p90)", "ratio", "target", ""
    for (i = 1; i <= rows; i++) {
        row = order[i]
        if (!(row in seen)) {
            if (row in reason) printf "%-38s not measured: %s\n", what[row], reason[row]
            continue
        }
        sense = senses[row]; limit = limits[row]; more = sense == "rate" || sense == "times"
        value = sense == "times" ? other[row] / ours[row] : other[row] ? ours[row] / other[row] : 0
        price = ours[row] - other[row]
        judged = sense == "price" ? price : sense == "ours" ? ours[row] / (units[row] == "ms" ? 1e3 : 1) : value
        verdict = !limit ? "" : (more ? judged >= limit : judged <= limit) ? "reached" : "MISSED"
        goal = !limit ? "" : sprintf(more ? ">= %.4g" : "<= %.4g", limit)
        if (row == "memory_container" && processes[row] != 1) verdict = verdict ", but " processes[row] " processes"
        shown = sense == "price" ? sprintf("%+.0f us", price) : sprintf(sense == "times" ? "%.1f x" : "%.3f", value)
        printf layout, what[row], left[row], than[row], right[row], shown, goal, verdict
    }
    for (row in reason) if (!(row in what)) printf "%-38s %s\n", row, reason[row]
}
