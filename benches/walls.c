// See walls.h. The lists are those of src/security/masks.rs, capabilities.rs and landlock.rs.
#define _GNU_SOURCE
#include "walls.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "bench.h"

// glibc's sys/mount.h collides with linux/mount.h.
int mount(const char *, const char *, const char *, unsigned long, const void *);

#define CLOSED (MS_NOSUID | MS_NODEV | MS_NOEXEC)

// Relative to the root to be; looked at on the host.
static struct place {
    const char *path;
    int read_only; // 0: masked
    mode_t kind;   // 0: not there
} places[] = {
    {"/proc/acpi", 0, 0},
    {"/proc/asound", 0, 0},
    {"/proc/interrupts", 0, 0},
    {"/proc/kcore", 0, 0},
    {"/proc/keys", 0, 0},
    {"/proc/latency_stats", 0, 0},
    {"/proc/sched_debug", 0, 0},
    {"/proc/scsi", 0, 0},
    {"/proc/timer_list", 0, 0},
    {"/proc/timer_stats", 0, 0},
    {"/sys/devices/virtual/powercap", 0, 0},
    {"/sys/firmware", 0, 0},
    {"/sys/fs/selinux", 0, 0},
    {"/proc/bus", 1, 0},
    {"/proc/fs", 1, 0},
    {"/proc/irq", 1, 0},
    {"/proc/sys", 1, 0},
    {"/proc/sysrq-trigger", 1, 0},
};

#define EACH(item, list) (__typeof__(&*(list)) item = (list); item < (list) + sizeof(list) / sizeof *(list); item++)

void walls_look(void) {
    struct stat stat;
    for EACH (place, places) place->kind = lstat(place->path, &stat) ? 0 : stat.st_mode & S_IFMT;
}

static void bind_mount(const char *from, const char *to) { CHECK(mount(from, to, NULL, MS_BIND, NULL)); }

static void set_attributes(const char *path, unsigned attributes, unsigned flags) {
    struct mount_attr attr = {.attr_set = attributes};
    CHECK(syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attr, sizeof attr));
}

static void loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = (int)CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    CHECK(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
}

static void dev(void) {
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
                                           {"/proc/self/fd/0", "dev/stdin"},
                                           {"/proc/self/fd/1", "dev/stdout"},
                                           {"/proc/self/fd/2", "dev/stderr"},
                                           {"pts/ptmx", "dev/ptmx"}};
    CHECK(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755"));
    for EACH (device, devices) {
        CHECK(mknod(*device + 1, S_IFREG | 0666, 0));
        bind_mount(*device, *device + 1);
    }
    for EACH (link, links) CHECK(symlink((*link)[0], (*link)[1]));
    CHECK(mkdir("dev/pts", 0755));
    CHECK(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620"));
    CHECK(mkdir("dev/shm", 01777));
    bind_mount("dev/shm", "dev/shm");
    set_attributes("dev/shm", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0);
    CHECK(mkdir("dev/mqueue", 0755));
    CHECK(mount("mqueue", "dev/mqueue", "mqueue", CLOSED, NULL));
}

// A masked file is /dev/null, as docker and crun have it: no file of our own has to be made.
static void masks(const char *empty) {
    bind_mount(empty, empty);
    set_attributes(empty, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0);
    for EACH (place, places) {
        const char *path = place->path + 1;
        if (!place->kind) continue;
        if (place->read_only) {
            CHECK(mount(path, path, NULL, MS_BIND | MS_REC, NULL));
            set_attributes(path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                           AT_RECURSIVE);
        } else if (mount(place->kind == S_IFDIR ? empty : "/dev/null", path, NULL, MS_BIND, NULL) && errno != ENOENT) {
            die(path); // What the host has may be missing in a procfs or sysfs of one's own.
        }
    }
}

void walls_put_up(const char *empty) {
    loopback();
    CHECK(mount("sysfs", "sys", "sysfs", CLOSED | MS_RDONLY, NULL));
    dev();
    masks(empty);
}

static void drop_capabilities(void) {
    static const unsigned char kept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER,           CAP_MKNOD,
                                         CAP_SETGID, CAP_SETUID,       CAP_SETFCAP, CAP_SETPCAP,         CAP_KILL,
                                         CAP_SYS_CHROOT, CAP_AUDIT_WRITE, CAP_NET_BIND_SERVICE};
    unsigned long long mask = 0;
    for EACH (capability, kept) mask |= 1ULL << *capability;
    for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
        if (!(mask >> capability & 1)) CHECK(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
}

static void landlock(void) {
    // LANDLOCK_ACCESS_FS_REFER and _IOCTL_DEV, and both bits of `scoped`: older headers lack them.
    const __u64 refer = 1 << 13, ioctl_dev = 1 << 15, all_scopes = 3;
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 2) return;
    __u64 handled = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | refer | (abi >= 5 ? ioctl_dev : 0);
    __u64 attr[] = {handled, 0, all_scopes};
    int domain = (int)CHECK(syscall(SYS_landlock_create_ruleset, attr, abi >= 6 ? sizeof attr : sizeof *attr, 0));
    for (int i = 0; i < (abi >= 5 ? 2 : 1); i++) {
        int fd = (int)CHECK(open(i ? "/dev" : "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
        struct landlock_path_beneath_attr rule = {.allowed_access = i ? ioctl_dev : refer, .parent_fd = fd};
        CHECK(syscall(SYS_landlock_add_rule, domain, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
        close(fd);
    }
    CHECK(syscall(SYS_landlock_restrict_self, domain, 0));
    close(domain);
}

void walls_put_up_last(void) {
    // The least of filters: what one that decides something costs is ctr's.
    struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &code};
    struct rlimit none = {0, 0};
    CHECK(sethostname("floor", strlen("floor")));
    CHECK(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
    CHECK(setrlimit(RLIMIT_CORE, &none));
    drop_capabilities();
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    landlock();
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}
