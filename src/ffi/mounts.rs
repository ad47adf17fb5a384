//! ctr_mount: what a container sees comes and goes while it runs. ctr_mounts_of: what that is.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null;

use super::border::{at, border, bytes, out, text};
use super::container::container;
use super::handle::{Ref, Table};
use super::setters::checked;
use super::types::{CTR_INSIDE, ctr_config, ctr_container, ctr_mounts, limit};
use crate::{Bind, ImageTree, MountInfo, Owner, Result, Tmpfs, Volume};

/// Mounts a file or directory of the host into a container that runs, as `mount --rbind`: programs inside see it at once. All that
/// ctr_config_add_mount_bind() says holds here too: target is an absolute path inside, which is made where it is missing if what
/// is above it can be written to; links inside are followed within the container only; set-user-ID programs and device nodes have no
/// effect; files of the caller are those of the container's root. What is mounted below source comes along. Nothing of it is
/// seen on the host, and what is mounted below source later is not seen inside. Programs that have made a mount namespace of their
/// own, unshare(2), don't see it.
///
/// c           a container that this process made or joined; any number of processes may mount into it
/// read_only   nothing can be written through it, nor through what is mounted below it
///
/// The mount ends by ctr_unmount(), or with the container. It works in a paused container if the caller is root.
///
/// Return value: 0; CTR_ERR_INVALID for a target that is no absolute path or lies in /proc or /sys, also by way of links inside, and
/// for a container whose mount namespace is not its own; CTR_ERR_SYSTEM with EBUSY if ctr_mount() or the configuration has mounted
/// something there, with ENOENT if there is no source or the target can't be made, with ENOTDIR or EINVAL if one is a
/// directory and the other is none, with EINVAL or EPERM if the file system of source can't be id-mapped; CTR_ERR_UNSUPPORTED for
/// ctr_join_pid(); CTR_ERR_TIMED_OUT if a file system inside does not answer within a minute; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount(
    c: *mut ctr_container,
    source: *const c_char,
    target: *const c_char,
    read_only: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (source, target) = unsafe { (bytes("source", source)?, bytes("target", target)?) };
        let bind = Bind::new(source, target).with(|bind| bind.read_only = read_only);
        container(c)?.container.mount(&bind.into()).map(|()| 0)
    })
}

/// Mounts a volume of the store into a container that runs, at a place as for ctr_mount(). What ctr_config_add_volume() says of
/// volumes holds here too.
///
/// Return value: as ctr_mount(); CTR_ERR_INVALID for what can't be a name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_volume(
    c: *mut ctr_container,
    name: *const c_char,
    target: *const c_char,
    read_only: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (name, target) = unsafe { (text("name", name)?, bytes("target", target)?) };
        let volume = Volume::new(name, target).with(|volume| volume.read_only = read_only);
        container(c)?.container.mount(&volume.into()).map(|()| 0)
    })
}

/// Mounts an empty tmpfs(5) into a container that runs, at a place as for ctr_mount().
///
/// size   the most bytes it may hold, at least 1; CTR_UNLIMITED: as many as the container's changes may take
///        (ctr_config_set_upper_size(), half of the memory limit, or half of the machine's memory)
/// mode   the permission bits of its root directory; 0: 01777
///
/// Its files are memory of the programs that write them, and count against the container's limit.
///
/// Return value: as ctr_mount().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_tmpfs(c: *mut ctr_container, target: *const c_char, size: u64, mode: u32) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let target = unsafe { bytes("target", target) }?;
        let tmpfs = Tmpfs::new(target).with(|it| (it.size, it.mode) = (limit(size), (mode != 0).then_some(mode)));
        container(c)?.container.mount(&tmpfs.into()).map(|()| 0)
    })
}

/// As ctr_mount(), of files whose owner inside is another one: what belongs to the owner of source outside belongs to uid and gid inside,
/// and what these write belongs to the owner of source. So a program that runs as the image's own user can use the caller's files without a
/// chown(2). Nobody else can make files there (EOVERFLOW), not even root, and files of others are nobody's: so no set-user-ID program of
/// another user comes out of the container. Only if source is root's, all others have their ids as for ctr_mount(), and root and uid
/// change places.
///
/// uid, gid   a user and a group inside; CTR_INSIDE for uid: those as whom the image's programs run, and gid is passed over
///
/// It is an id-mapped mount, mount_setattr(2), which takes root of the machine and a file system that has them: ext4, xfs, btrfs, and tmpfs
/// since Linux 6.3. ctr_probe() says whether they can be had.
///
/// Return value: as ctr_mount(); CTR_ERR_UNSUPPORTED for an ordinary user, unless that owner is uid and gid inside already;
/// CTR_ERR_INVALID if the container has no such ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_owned(
    c: *mut ctr_container,
    source: *const c_char,
    target: *const c_char,
    read_only: bool,
    uid: u32,
    gid: u32,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (source, target) = unsafe { (bytes("source", source)?, bytes("target", target)?) };
        let bind = Bind::new(source, target).with(|it| (it.read_only, it.owner) = (read_only, owner(uid, gid)));
        container(c)?.container.mount(&bind.into()).map(|()| 0)
    })
}

/// Adds to a configuration what ctr_mount_owned() mounts.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_mount_owned(
    config: *mut ctr_config,
    source: *const c_char,
    target: *const c_char,
    read_only: bool,
    uid: u32,
    gid: u32,
) -> c_int {
    // SAFETY: the caller's promise.
    let paths = || Ok(unsafe { (bytes("source", source)?, bytes("target", target)?) });
    checked(config, paths, |config, (source, target)| {
        let bind = Bind::new(source, target).with(|it| (it.read_only, it.owner) = (read_only, owner(uid, gid)));
        config.mounts.push(bind.into());
    })
}

/// Mounts a file or directory of another running container of the caller's, as ctr_mount() does one of the host, with what is mounted below
/// it; of its root "/" what is mounted there stays out. Programs of both see what either writes. It is there as long as it is mounted, also
/// when the other container has ended.
///
/// name     the other container, as ctr_join() takes it, in the same state directory
/// source   an absolute path inside that one. Links lead nowhere but into it, whatever its programs do
///
/// Owners are those of the other container. Containers of root have ids of their own each: then it is id-mapped, and where it can't be, as the
/// overlay of an image, it can be had read-only as far as everybody may read it, or if both have one user namespace
/// (ctr_config_set_namespace_container()).
///
/// Return value: as ctr_mount(); CTR_ERR_NOT_FOUND if no such container runs; CTR_ERR_INVALID for what is in its /proc or /sys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_from(
    c: *mut ctr_container,
    name: *const c_char,
    source: *const c_char,
    target: *const c_char,
    read_only: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (name, source, target) =
            unsafe { (text("name", name)?, bytes("source", source)?, bytes("target", target)?) };
        let set = |it: &mut Bind| (it.from_container, it.read_only) = (Some(name.into()), read_only);
        container(c)?.container.mount(&Bind::new(source, target).with(set).into()).map(|()| 0)
    })
}

/// Adds to a configuration what ctr_mount_from() mounts.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_mount_from(
    config: *mut ctr_config,
    name: *const c_char,
    source: *const c_char,
    target: *const c_char,
    read_only: bool,
) -> c_int {
    // SAFETY: the caller's promise.
    let words = || Ok(unsafe { (text("name", name)?, bytes("source", source)?, bytes("target", target)?) });
    checked(config, words, |config, (name, source, target)| {
        let set = |it: &mut Bind| (it.from_container, it.read_only) = (Some(name.into()), read_only);
        config.mounts.push(Bind::new(source, target).with(set).into());
    })
}

/// Mounts the files of an image into a container that runs, read-only, with the owners that they have in it. They are shared with all
/// containers of that image, and cost nothing. The image can't be removed from its store before the container has ended.
///
/// image   as for ctr_create(), but no plain directory and not "host"; it is looked for in the container's store
///
/// Return value: as ctr_mount(); else as ctr_create() for an image that can't be had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_image(c: *mut ctr_container, image: *const c_char, target: *const c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (image, target) = unsafe { (bytes("image", image)?, bytes("target", target)?) };
        container(c)?.container.mount(&ImageTree::new(image, target).into()).map(|()| 0)
    })
}

/// Adds to a configuration what ctr_mount_image() mounts.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_mount_image(
    config: *mut ctr_config,
    image: *const c_char,
    target: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let words = || Ok(unsafe { (bytes("image", image)?, bytes("target", target)?) });
    checked(config, words, |config, (image, target)| config.mounts.push(ImageTree::new(image, target).into()))
}

fn owner(uid: u32, gid: u32) -> Owner {
    if uid == CTR_INSIDE { Owner::Inside } else { Owner::Ids(uid, gid) }
}

/// Takes off what ctr_mount() and the like, or ctr_config_add_mount_bind() and the like, have mounted at target,
/// umount2(2), whichever process did it: the last one if there are several. It is found where it is by now, whatever programs inside have
/// moved. One that is gone already, as with another one on which it lay, is no error. The directory or file at target stays.
///
/// lazy   if programs use it, it is gone all the same for whoever looks for it from now on, and ends with its last use, as by
///        MNT_DETACH. One that has further mounts below it always ends so, and these end with it.
///
/// Return value: 0; CTR_ERR_SYSTEM with EBUSY if programs use it and lazy is false, or if another mount covers it; CTR_ERR_NOT_FOUND if
/// nothing was mounted there, or if it came with the container and programs inside have moved the directory that it is in;
/// CTR_ERR_INVALID for what the container has for itself (/proc, /sys, /dev, /etc/hosts and the like); else as ctr_mount().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_unmount(c: *mut ctr_container, target: *const c_char, lazy: bool) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let target = unsafe { bytes("target", target) }?;
        container(c)?.container.unmount(target, lazy).map(|()| 0)
    })
}

static LISTS: Table<Vec<Line>> = Table::new("mounts", 16);

struct Line {
    target: CString,
    source: Option<CString>,
    kind: CString,
    info: MountInfo,
}

/// What was mounted into a container for whoever made or joined it, when it was made and since, in that order: all that ctr_unmount()
/// takes off. ctr_inspect() also tells what the container has for itself.
///
/// Return value: 0 and the list in *out, which ctr_mounts_free() frees; CTR_ERR_DESTROYED, CTR_ERR_SYSTEM if its record can't be read,
/// CTR_ERR_INVALID. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mounts_of(c: *const ctr_container, out: *mut *mut ctr_mounts) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = LISTS.insert(container(c)?.container.mounts()?.into_iter().map(line).collect())?;
        Ok(0)
    })
}

/// How many mounts are in a list; the others take an index from 0 to one less.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_mounts_count(mounts: *const ctr_mounts) -> c_int {
    border(|| Ok(c_int::try_from(lines(mounts)?.len()).unwrap_or(c_int::MAX)))
}

/// The path inside at which it was mounted.
///
/// Return value: a string that is good until ctr_mounts_free(); NULL when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_mounts_target(mounts: *const ctr_mounts, index: c_int) -> *const c_char {
    border(|| at(&lines(mounts)?, index, "mounts").map(|line| line.target.as_ptr()))
}

/// What is seen there: a path of the host, "NAME:PATH" of another container, the name of a volume, or an image as it was named.
///
/// Return value: as ctr_mounts_target(); NULL also for what began empty, as "tmpfs".
#[unsafe(no_mangle)]
pub extern "C" fn ctr_mounts_source(mounts: *const ctr_mounts, index: c_int) -> *const c_char {
    border(|| {
        at(&lines(mounts)?, index, "mounts").map(|line| line.source.as_ref().map_or(null(), |source| source.as_ptr()))
    })
}

/// What it is: "bind", "volume", "tmpfs", "disk", "image" or "scratch". Later releases may add some.
///
/// Return value: as ctr_mounts_target().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_mounts_kind(mounts: *const ctr_mounts, index: c_int) -> *const c_char {
    border(|| at(&lines(mounts)?, index, "mounts").map(|line| line.kind.as_ptr()))
}

/// Whether nothing can be written through it.
///
/// Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_mounts_read_only(mounts: *const ctr_mounts, index: c_int) -> c_int {
    border(|| at(&lines(mounts)?, index, "mounts").map(|line| line.info.read_only.into()))
}

/// Whether it was mounted while the container ran, and not when it was made.
///
/// Return value: as ctr_mounts_read_only().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_mounts_live(mounts: *const ctr_mounts, index: c_int) -> c_int {
    border(|| at(&lines(mounts)?, index, "mounts").map(|line| line.info.live.into()))
}

/// Frees a list of mounts and its strings. NULL is allowed. The mounts are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_mounts_free(mounts: *mut ctr_mounts) {
    border(|| if mounts.is_null() { Ok(()) } else { LISTS.release(mounts).map(drop) });
}

fn lines(mounts: *const ctr_mounts) -> Result<Ref<'static, Vec<Line>>> {
    LISTS.get(mounts)
}

fn line(info: MountInfo) -> Line {
    // A path that was mounted has no NUL in it.
    let string = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    Line {
        target: string(&info.target),
        source: info.source.as_deref().map(string),
        kind: CString::new(info.kind).unwrap_or_default(),
        info,
    }
}
