"""An independent reader of docker's seccomp profiles: what libseccomp makes of one, for comparison with ours.

    libseccomp_filter.py PROFILE OUT KERNEL [CAP_...]

reads the profile as docker's daemon does on amd64 (moby/profiles, seccomp/seccomp_linux.go) for a container with these
capabilities in its bounding set and a kernel KERNEL ("6.18"), adds the rules as runc does, writes the filter to OUT and prints
the names that this libseccomp does not know, one a line.
"""

import ctypes
import errno
import json
import sys

import seccomp

LIB = ctypes.CDLL("libseccomp.so.2")

PLAIN = {
    "SCMP_ACT_ALLOW": seccomp.ALLOW,
    "SCMP_ACT_LOG": seccomp.LOG,
    "SCMP_ACT_KILL": seccomp.KILL,
    "SCMP_ACT_KILL_THREAD": seccomp.KILL,
    "SCMP_ACT_KILL_PROCESS": seccomp.KILL_PROCESS,
    "SCMP_ACT_TRAP": seccomp.TRAP,
}
OPERATORS = {
    "SCMP_CMP_NE": seccomp.NE,
    "SCMP_CMP_LT": seccomp.LT,
    "SCMP_CMP_LE": seccomp.LE,
    "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_GE": seccomp.GE,
    "SCMP_CMP_GT": seccomp.GT,
    "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def action(name, number):
    if name in PLAIN:
        return PLAIN[name]
    number = errno.EPERM if number is None else number
    return {"SCMP_ACT_ERRNO": seccomp.ERRNO, "SCMP_ACT_TRACE": seccomp.TRACE}[name](number)


def version(text):
    return tuple(int(part) for part in text.split(".")[:2])


def counts(rule, kernel, caps):
    excludes, includes = rule.get("excludes") or {}, rule.get("includes") or {}
    return not (
        "amd64" in (excludes.get("arches") or [])
        or any(cap in caps for cap in excludes.get("caps") or [])
        or (excludes.get("minKernel") and kernel >= version(excludes["minKernel"]))
        or (includes.get("arches") and "amd64" not in includes["arches"])
        or any(cap not in caps for cap in includes.get("caps") or [])
        or (includes.get("minKernel") and kernel < version(includes["minKernel"]))
    )


def main(profile, out, kernel, *caps):
    with open(profile) as file:
        document = json.load(file)
    kernel = version(kernel)
    default = action(document["defaultAction"], document.get("defaultErrnoRet"))
    filter = seccomp.SyscallFilter(default)
    arches = list(document.get("architectures") or [])
    for entry in document.get("archMap") or []:
        if entry["architecture"] == "SCMP_ARCH_X86_64":
            arches += entry.get("subArchitectures") or []
    # x32 is left out: ours never lets it in, and its numbers would fill the same filter.
    if "SCMP_ARCH_X86" in arches:
        filter.add_arch(seccomp.Arch.X86)
    unknown = set()
    for rule in document.get("syscalls") or []:
        if not counts(rule, kernel, caps):
            continue
        answer = action(rule["action"], rule.get("errnoRet"))
        if answer == default:
            continue
        args = rule.get("args") or []
        conditions = [
            seccomp.Arg(arg["index"], OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0)) for arg in args
        ]
        repeats = len({arg["index"] for arg in args}) < len(args)
        alternatives = [[condition] for condition in conditions] if repeats else [conditions]
        for name in rule.get("names") or [rule["name"]]:
            if LIB.seccomp_syscall_resolve_name(name.encode()) == -1:
                unknown.add(name)
                continue
            for alternative in alternatives:
                filter.add_rule(answer, name, *alternative)
    with open(out, "wb") as file:
        filter.export_bpf(file)
    print("\n".join(sorted(unknown)))


main(*sys.argv[1:])
