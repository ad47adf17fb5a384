//! Scratch mounts: a directory of the host as copy-on-write, and what becomes of its changes. What is true for root is true for ordinary
//! users, with further ids and without: [`for_everybody`].

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::leftovers::Scope;
use common::{busybox, captured, end_of, run, sh};
use ctr::image::{Applied, Change, Conflicts, Difference};
use ctr::{Bind, Config, Container, Error, ErrorCode, Limit, Mount, Scratch, Step, Upper};

/// A directory of the host with files and directories in it.
fn tree(scope: &Scope) -> PathBuf {
    let tree = scope.dir().join("tree");
    fs::create_dir_all(tree.join("dir/deep")).unwrap();
    fs::create_dir_all(tree.join("gone/deep")).unwrap();
    for (path, text) in
        [("file", "of the host"), ("dir/a", "a"), ("dir/deep/b", "b"), ("gone/deep/c", "c"), ("kind", "k")]
    {
        fs::write(tree.join(path), text).unwrap();
    }
    symlink("file", tree.join("link")).unwrap();
    tree
}

fn mounts(tree: &Path) -> Vec<Mount> {
    vec![Scratch::new(tree, "/src").into()]
}

/// A container with the tree at /src.
fn with(scope: &Scope, tree: &Path) -> Container {
    Container::create(busybox(), &scope.config().with(|c| c.mounts = mounts(tree))).unwrap()
}

/// As `A path`, by path.
fn told(lines: &[Difference]) -> Vec<String> {
    let letter = |change| match change {
        Change::Added => 'A',
        Change::Changed => 'C',
        Change::Deleted => 'D',
    };
    lines.iter().map(|line| format!("{} {}", letter(line.change), line.path.display())).collect()
}

fn diff(container: &Container) -> Vec<String> {
    told(&container.diff_scratch("/src").unwrap())
}

fn apply(container: &Container, conflicts: Conflicts) -> Applied {
    container.apply_scratch("/src", conflicts).unwrap()
}

/// All that is in a directory: its kind, mode and content, by path.
fn listed(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(path) = todo.pop() {
        let it = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        let what = if it.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "/".into()
        } else if it.is_symlink() {
            format!(" -> {}", fs::read_link(&path).unwrap().display())
        } else if it.is_file() {
            format!(" = {}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
        } else {
            " ?".into()
        };
        lines.push(format!("{name}{what} {:o}", it.mode() & 0o7777));
    }
    lines.sort();
    lines
}

/// The clock has gone on by a tick, so that a change has another time.
fn tick() {
    std::thread::sleep(Duration::from_millis(25));
}

/// What holds for every user.
fn for_everybody() {
    the_hosts_files_stay_as_they_are_until_the_changes_are_applied();
    what_is_applied_is_no_difference_and_no_conflict_any_more();
    a_file_becomes_a_directory_and_the_reverse();
    a_file_that_both_have_changed_is_a_conflict_and_neither_is_lost();
    discarded_changes_are_gone_while_the_container_runs();
    one_is_mounted_and_unmounted_while_the_container_runs();
    a_joiner_can_do_it_all();
    one_behind_another_containers_files_is_mounted_in_its_turn();
    what_can_not_be_is_refused_by_name();
    names_of_one_file_stay_names_of_one_file();
    on_disk_it_is_the_same_and_nothing_is_left();
}

common::lane::users_can!(for_everybody);

#[test]
fn the_hosts_files_stay_as_they_are_until_the_changes_are_applied() {
    let scope = Scope::new("scratch");
    let tree = tree(&scope);
    let before = listed(&tree);
    let container = with(&scope, &tree);
    assert_eq!(
        sh(&container, "cat /src/file /src/dir/deep/b; stat -c %a:%u /src /src/file"),
        format!(
            "of the hostb{:o}:0\n{:o}:0",
            fs::metadata(&tree).unwrap().mode() & 0o777,
            fs::metadata(tree.join("file")).unwrap().mode() & 0o777
        )
    );
    assert_eq!(diff(&container), [""; 0]);
    sh(
        &container,
        "cd /src; echo more >> file; echo x > new; mkdir dir/n; echo y > dir/n/y; rm dir/deep/b; rm -r gone; ln -sf kind link",
    );
    sh(&container, "cd /src; chmod 700 dir/a; mkfifo fifo; touch kind; cat dir/n/y > /dev/null");
    let changes = [
        "C /src/dir/a",
        "D /src/dir/deep/b",
        "A /src/dir/n",
        "A /src/dir/n/y",
        "A /src/fifo",
        "C /src/file",
        "D /src/gone",
        "C /src/kind",
        "C /src/link",
        "A /src/new",
    ];
    assert_eq!(diff(&container), changes);
    assert_eq!(listed(&tree), before);
    // The whole container's changes have nothing of it.
    assert_eq!(told(&container.diff().unwrap()), [""; 0]);
    let applied = apply(&container, Conflicts::Refuse);
    assert_eq!(told(&applied.changes), changes);
    assert!(applied.conflicts.is_empty() && applied.left_out.is_empty(), "{applied:?}");
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "of the hostmore\n");
    assert_eq!(fs::read_to_string(tree.join("dir/n/y")).unwrap(), "y\n");
    assert_eq!(fs::read_link(tree.join("link")).unwrap(), Path::new("kind"));
    assert!(fs::symlink_metadata(tree.join("fifo")).unwrap().file_type().is_fifo());
    assert_eq!(fs::metadata(tree.join("dir/a")).unwrap().mode() & 0o7777, 0o700);
    assert!(!tree.join("gone").exists() && !tree.join("dir/deep/b").exists() && tree.join("dir/deep").exists());
    // Whose they are is as for a bind.
    let own = fs::metadata(&tree).unwrap();
    let new = fs::metadata(tree.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (own.uid(), own.gid()));
    assert!(listed(&tree).iter().all(|line| !line.contains(".ctr-")), "{:?}", listed(&tree));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn what_is_applied_is_no_difference_and_no_conflict_any_more() {
    let scope = Scope::new("again");
    let tree = tree(&scope);
    let container = with(&scope, &tree);
    sh(&container, "cd /src; echo 1 > file; mkdir n; echo 1 > n/f; rm dir/a; rm -r gone");
    apply(&container, Conflicts::Refuse);
    assert_eq!(diff(&container), [""; 0]);
    tick();
    sh(
        &container,
        "cd /src; echo 2 > file; echo 2 > n/f; echo 2 > n/g; chmod 711 n; rm -r dir; mkdir gone; echo 2 > gone/f",
    );
    assert_eq!(
        diff(&container),
        ["D /src/dir", "C /src/file", "A /src/gone", "A /src/gone/f", "C /src/n", "C /src/n/f", "A /src/n/g"]
    );
    apply(&container, Conflicts::Refuse);
    assert_eq!(diff(&container), [""; 0]);
    tick();
    sh(&container, "cd /src; rm -r n gone; echo 3 > file");
    apply(&container, Conflicts::Refuse);
    assert_eq!(diff(&container), [""; 0]);
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "3\n");
    assert!(!tree.join("n").exists() && !tree.join("gone").exists() && !tree.join("dir").exists());
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_file_becomes_a_directory_and_the_reverse() {
    let scope = Scope::new("kinds");
    let tree = tree(&scope);
    let container = with(&scope, &tree);
    sh(&container, "cd /src; rm file; mkdir file; echo in > file/in; rm -r gone; echo now > gone; rm link; mkdir link");
    // Emptied and made again: what was in it is hidden, and not there once more.
    sh(&container, "cd /src; rm -r dir; mkdir -p dir/deep; echo new > dir/deep/new");
    assert_eq!(
        diff(&container),
        [
            "D /src/dir/a",
            "D /src/dir/deep/b",
            "A /src/dir/deep/new",
            "C /src/file",
            "A /src/file/in",
            "C /src/gone",
            "C /src/link",
        ]
    );
    apply(&container, Conflicts::Refuse);
    assert_eq!(diff(&container), [""; 0]);
    assert_eq!(fs::read_to_string(tree.join("file/in")).unwrap(), "in\n");
    assert_eq!(fs::read_to_string(tree.join("gone")).unwrap(), "now\n");
    assert_eq!(fs::read_to_string(tree.join("dir/deep/new")).unwrap(), "new\n");
    assert!(fs::symlink_metadata(tree.join("link")).unwrap().is_dir() && !tree.join("dir/a").exists());
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_file_that_both_have_changed_is_a_conflict_and_neither_is_lost() {
    let scope = Scope::new("conflict");
    let tree = tree(&scope);
    let container = with(&scope, &tree);
    sh(
        &container,
        "cd /src; echo inside > file; echo inside > kind; rm -r gone; rm dir/a; echo inside > dir/deep/b; echo i > both; echo i > new",
    );
    tick();
    fs::write(tree.join("file"), "outside").unwrap();
    fs::write(tree.join("gone/deep/more"), "outside").unwrap();
    fs::write(tree.join("both"), "outside").unwrap();
    fs::remove_file(tree.join("kind")).unwrap();
    fs::remove_file(tree.join("dir/deep/b")).unwrap();
    fs::remove_dir(tree.join("dir/deep")).unwrap();
    let before = listed(&tree);
    let error = container.apply_scratch("/src", Conflicts::Refuse).unwrap_err();
    assert_eq!(
        (error.code(), error.errno(), error.failed_step()),
        (ErrorCode::System, libc::EEXIST, Step::ApplyScratch)
    );
    let named = "/src/both, /src/dir/deep, /src/file, /src/gone, /src/kind; nothing was applied";
    assert!(error.to_string().contains(named), "{error}");
    assert_eq!(listed(&tree), before);

    let applied = apply(&container, Conflicts::Keep);
    assert_eq!(told(&applied.changes), ["D /src/dir/a", "A /src/new"]);
    let conflicts =
        ["C /src/both", "A /src/dir/deep", "A /src/dir/deep/b", "C /src/file", "D /src/gone", "A /src/kind"];
    assert_eq!(told(&applied.conflicts), conflicts);
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "outside");
    assert_eq!(sh(&container, "cat /src/file /src/kind"), "inside\ninside");
    assert_eq!(diff(&container), conflicts);

    let applied = apply(&container, Conflicts::Overwrite);
    assert_eq!(told(&applied.changes), conflicts);
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "inside\n");
    assert_eq!(fs::read_to_string(tree.join("dir/deep/b")).unwrap(), "inside\n");
    assert!(!tree.join("gone").exists());
    assert_eq!(diff(&container), [""; 0]);
    // What the host alone changes is no conflict, and stays.
    tick();
    fs::write(tree.join("alone"), "outside").unwrap();
    sh(&container, "echo more > /src/file");
    apply(&container, Conflicts::Refuse);
    assert_eq!(fs::read_to_string(tree.join("alone")).unwrap(), "outside");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn discarded_changes_are_gone_while_the_container_runs() {
    let scope = Scope::new("discard");
    let tree = tree(&scope);
    let container = with(&scope, &tree);
    for round in 0..3 {
        sh(&container, "cd /src; echo inside > file; rm -r gone; dd if=/dev/zero of=big bs=1M count=4 2> /dev/null");
        let kept = container.exec(["/bin/sh", "-c", "cd /src && exec sleep 1000"], &captured()).unwrap();
        container.discard_scratch("/src").unwrap();
        assert_eq!(diff(&container), [""; 0], "round {round}");
        assert_eq!(
            sh(&container, "cd /src; cat file gone/deep/c; test ! -e big; grep -c ' /src ' /proc/self/mountinfo"),
            "of the hostc1"
        );
        kept.kill(libc::SIGKILL).unwrap();
        end_of(&kept);
    }
    // From then on it is as it was.
    sh(&container, "echo after > /src/file");
    apply(&container, Conflicts::Refuse);
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "after\n");
    let inside: Mount = ctr::Tmpfs::new("/src/dir").into();
    container.mount(&inside).unwrap();
    let error = container.discard_scratch("/src").unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::EBUSY, Step::DiscardScratch), "{error}");
    container.unmount("/src/dir", false).unwrap();
    container.discard_scratch("/src").unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn one_is_mounted_and_unmounted_while_the_container_runs() {
    let scope = Scope::new("live");
    let tree = tree(&scope);
    let before = listed(&tree);
    let container = Container::create(busybox(), &scope.config()).unwrap();
    let mount = |target: &str| container.mount(&Scratch::new(&tree, target).into());
    if let Err(error) = mount("/live") {
        assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::MountScratch), "{error}");
        assert!(!common::kernel_is_at_least(6, 6), "{error}");
        container.destroy().unwrap();
        return scope.assert_nothing_left();
    }
    // Each has changes of its own.
    mount("/mnt/other").unwrap();
    sh(&container, "echo live > /live/file; rm /mnt/other/file");
    assert_eq!(told(&container.diff_scratch("/live").unwrap()), ["C /live/file"]);
    assert_eq!(told(&container.diff_scratch("/mnt/./other").unwrap()), ["D /mnt/other/file"]);
    container.discard_scratch("/mnt/other").unwrap();
    assert_eq!(sh(&container, "cat /mnt/other/file"), "of the host");
    container.unmount("/mnt/other", false).unwrap();
    let error = container.diff_scratch("/mnt/other").unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::NotFound, Step::FindScratch), "{error}");
    assert_eq!(listed(&tree), before);
    container.apply_scratch("/live", Conflicts::Refuse).unwrap();
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "live\n");
    // There are slots for six, and they come back.
    for _ in 0..2 {
        for number in 0..5 {
            mount(&format!("/more/{number}")).unwrap();
        }
        let error = mount("/more/5").unwrap_err();
        assert_eq!((error.errno(), error.failed_step()), (libc::ENOSPC, Step::MountScratch), "{error}");
        for number in 0..5 {
            container.unmount(format!("/more/{number}"), false).unwrap();
        }
    }
    assert_eq!(sh(&container, "cat /live/file; grep -c overlay /proc/self/mountinfo"), "live\n2");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_joiner_can_do_it_all() {
    let scope = Scope::new("joiner");
    let tree = tree(&scope);
    let container = with(&scope, &tree);
    let joined = scope.client().join(container.name()).unwrap();
    sh(&container, "echo 1 > /src/file");
    assert_eq!(diff(&joined), ["C /src/file"]);
    apply(&joined, Conflicts::Refuse);
    tick();
    sh(&container, "echo 2 > /src/file");
    // What another process has applied is no conflict for this one.
    apply(&container, Conflicts::Refuse);
    sh(&container, "echo 3 > /src/file");
    joined.discard_scratch("/src").unwrap();
    assert_eq!(diff(&container), [""; 0]);
    assert_eq!(sh(&container, "cat /src/file"), "2");
    let text = container.explain().unwrap();
    assert!(text.contains("upperdir=$SCRATCH/scratch") && text.contains("/src"), "{text}");
    let mount = joined.inspect().unwrap().mounts.into_iter().find(|mount| mount.target == "/src").unwrap();
    assert_eq!(mount.kind, "overlay");
    assert!(mount.options.contains("nosuid") && mount.options.contains("nodev"), "{}", mount.options);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn one_behind_another_containers_files_is_mounted_in_its_turn() {
    let scope = Scope::new("late");
    let tree = tree(&scope);
    let web = Container::create("host", &scope.config()).unwrap();
    sh(&web, "echo of web > /srv/file");
    let set = |it: &mut Bind| (it.from_container, it.read_only) = (Some(web.name().into()), true);
    let from: Mount = Bind::new("/srv", "/mnt/web").with(set).into();
    let scratch = |source: &Path, target: &str| Mount::from(Scratch::new(source, target));
    let after = [scratch(&tree.join("dir"), "/mnt/dir"), scratch(&tree, "/src/gone")];
    let mounts: Vec<_> = [scratch(&tree, "/src"), from].into_iter().chain(after).collect();
    let store = scope.dir().join("store");
    for (upper, read_only) in [(Upper::Memory, false), (Upper::Memory, true), (Upper::Disk, false), (Upper::Disk, true)]
    {
        let config = scope.config().with(|c| {
            (c.mounts, c.upper, c.read_only, c.store_dir) = (mounts.clone(), upper, read_only, Some(store.clone()));
        });
        let container = Container::create(busybox(), &config).unwrap();
        let at = |target: &str| told(&container.diff_scratch(target).unwrap());
        // Each has a place of its own for its changes, whenever it was made.
        sh(&container, "cat /mnt/web/file; echo 1 > /src/new; echo 2 > /mnt/dir/a; rm /src/gone/file");
        assert_eq!(at("/src"), ["A /src/new"]);
        assert_eq!(at("/mnt/dir"), ["C /mnt/dir/a"]);
        assert_eq!(at("/src/gone"), ["D /src/gone/file"]);
        let given: Vec<_> = container.mounts().unwrap().into_iter().map(|it| (it.kind, it.target, it.live)).collect();
        let with_it = |kind, target: &str| (kind, PathBuf::from(target), false);
        let scratches = ["/src", "/mnt/dir", "/src/gone"].map(|target| with_it("scratch", target));
        let [first, second, third] = scratches;
        assert_eq!(given, [first, with_it("bind", "/mnt/web"), second, third]);
        container.discard_scratch("/mnt/dir").unwrap();
        assert_eq!(sh(&container, "cat /mnt/dir/a"), "a");
        container.unmount("/src/gone", false).unwrap();
        assert_eq!(at("/src"), ["A /src/new"]);
        container.unmount("/mnt/dir", false).unwrap();
        container.mount(&scratch(&tree, "/mnt/dir")).unwrap();
        assert_eq!(at("/mnt/dir"), [""; 0]);
        container.destroy().unwrap();
    }
    web.destroy().unwrap();
    // Those that would be mounted later are counted when it is made.
    let set = |it: &mut Bind| it.from_container = Some("none".into());
    let many = (0..7).map(|number| scratch(&tree, &format!("/mnt/{number}")));
    let many = [Bind::new("/srv", "/mnt/web").with(set).into()].into_iter().chain(many).collect();
    let error = Container::create("host", &scope.config().with(|c| c.mounts = many)).err().expect("it is refused");
    assert_eq!(error.failed_step(), Step::MountScratch, "{error}");
    assert_eq!(fs::read_dir(store.join("upper")).unwrap().count(), 0, "the directories of changes are gone");
    scope.assert_nothing_left();
}

#[test]
fn what_can_not_be_is_refused_by_name() {
    let scope = Scope::new("refused");
    let tree = tree(&scope);
    let create = |mounts: Vec<Mount>| Container::create("host", &scope.config().with(|c| c.mounts = mounts));
    let failed = |outcome: Result<Container, Error>| {
        let error = outcome.err().expect("it is refused");
        (error.errno(), error.failed_step())
    };
    let file = create(vec![Scratch::new(tree.join("file"), "/mnt/x").into()]);
    assert_eq!(failed(file), (libc::ENOTDIR, Step::BindSource));
    let missing = create(vec![Scratch::new(tree.join("missing"), "/mnt/x").into()]);
    assert_eq!(failed(missing), (libc::ENOENT, Step::BindSource));
    let many = (0..7).map(|number| Scratch::new(&tree, format!("/mnt/{number}")).into());
    assert_eq!(failed(create(many.collect())), (libc::EINVAL, Step::MountScratch));
    // A bind is none, and a directory that was moved away is not another one of its name.
    let both = vec![Bind::new(&tree, "/mnt/bind").into(), Scratch::new(tree.join("dir"), "/src").into()];
    let container = create(both).unwrap();
    let error = container.diff_scratch("/mnt/bind").unwrap_err();
    assert_eq!(error.failed_step(), Step::FindScratch, "{error}");
    sh(&container, "echo 1 > /src/a");
    fs::rename(tree.join("dir"), tree.join("moved")).unwrap();
    fs::create_dir(tree.join("dir")).unwrap();
    let error = container.apply_scratch("/src", Conflicts::Overwrite).unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ESTALE, Step::OpenPath), "{error}");
    fs::remove_dir(tree.join("dir")).unwrap();
    fs::rename(tree.join("moved"), tree.join("dir")).unwrap();
    apply(&container, Conflicts::Refuse);
    assert_eq!(fs::read_to_string(tree.join("dir/a")).unwrap(), "1\n");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let scope = Scope::new("links");
    let tree = tree(&scope);
    let container = with(&scope, &tree);
    sh(&container, "cd /src; ln file other; mkdir n; echo new > n/1; ln n/1 n/2; ln n/1 0");
    let applied = apply(&container, Conflicts::Refuse);
    assert_eq!(told(&applied.changes), ["A /src/0", "A /src/n", "A /src/n/1", "A /src/n/2", "A /src/other"]);
    let inode = |name: &str| fs::metadata(tree.join(name)).unwrap().ino();
    assert_eq!(inode("file"), inode("other"));
    assert_eq!((inode("n/1"), inode("n/2")), (inode("0"), inode("0")));
    assert_eq!(diff(&container), [""; 0]);
    tick();
    sh(&container, "cd /src; rm n/2; echo more >> n/1");
    apply(&container, Conflicts::Refuse);
    assert_eq!(fs::read_to_string(tree.join("0")).unwrap(), "new\nmore\n");
    assert_eq!(inode("n/1"), inode("0"));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn on_disk_it_is_the_same_and_nothing_is_left() {
    let scope = Scope::new("disk");
    let tree = tree(&scope);
    let store = scope.dir().join("store");
    let config = scope.config().with(|c| {
        (c.mounts, c.upper, c.store_dir) = (mounts(&tree), Upper::Disk, Some(store.clone()));
    });
    for image in [Path::new("host"), busybox()] {
        let container = Container::create(image, &config).unwrap();
        sh(&container, "cd /src; rm -r dir; mkdir dir; echo disk > dir/f");
        container.discard_scratch("/src").unwrap();
        assert_eq!(diff(&container), [""; 0]);
        sh(&container, "cd /src; rm -rf dir; mkdir dir; echo disk > dir/f");
        apply(&container, Conflicts::Refuse);
        assert_eq!(fs::read_to_string(tree.join("dir/f")).unwrap(), "disk\n");
        container.mount(&Scratch::new(&tree, "/mnt/live").into()).unwrap();
        sh(&container, "rm /mnt/live/dir/f");
        assert_eq!(told(&container.diff_scratch("/mnt/live").unwrap()), ["D /mnt/live/dir/f"]);
        container.unmount("/mnt/live", false).unwrap();
        assert_eq!(diff(&container), [""; 0]);
        container.destroy().unwrap();
    }
    let upper = fs::read_dir(store.join("upper")).unwrap().count();
    assert_eq!(upper, 0, "the directories of changes are gone");
    scope.assert_nothing_left();
}

#[test]
fn the_size_of_changes_holds_for_scratch_changes_too() {
    if !common::kernel_is_at_least(6, 6) {
        return common::skipped("before Linux 6.6 they are on disk");
    }
    let scope = Scope::new("size");
    let tree = tree(&scope);
    let config = scope.config().with(|c| (c.mounts, c.upper_size) = (mounts(&tree), Some(4 << 20)));
    let container = Container::create(busybox(), &config).unwrap();
    let fill =
        |place: &str| run(&container, &["/bin/dd", "if=/dev/zero", &format!("of={place}"), "bs=1M", "count=3"]).1.code;
    assert_eq!((fill("/src/big"), fill("/big")), (0, 1), "both together have 4 MiB");
    container.discard_scratch("/src").unwrap();
    assert_eq!(fill("/big"), 0, "what was discarded has made room");
    // From then on it has as much of its own.
    assert_eq!((fill("/src/big"), fill("/src/more")), (0, 1));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn set_user_id_bits_devices_and_sockets_stay_inside() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root of the machine, whose programs would have the most to lose");
    }
    let scope = Scope::new("hostile");
    let tree = tree(&scope);
    let preset = |c: &mut Config| (c.mounts, c.preset) = (mounts(&tree), ctr::Preset::Default);
    let container = Container::create("host", &scope.config().with(preset)).unwrap();
    sh(
        &container,
        "cd /src; cp /bin/ls suid; chmod 6755 suid; chmod 4700 file; mkdir -m 2770 shared; echo mine > theirs; chown 1000:1000 theirs",
    );
    if common::has_python() {
        let python = "import socket; socket.socket(socket.AF_UNIX).bind('/src/socket')";
        assert_eq!(run(&container, &["/usr/bin/env", "python3", "-c", python]).1.code, 0);
    }
    let applied = apply(&container, Conflicts::Refuse);
    let sockets = if common::has_python() { vec!["A /src/socket"] } else { Vec::new() };
    assert_eq!(told(&applied.left_out), sockets);
    let mode = |name: &str| fs::metadata(tree.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("suid"), mode("file"), mode("shared")), (0o755, 0o700, 0o2770));
    // The ids of a bind: what is 1000's inside is 1000's.
    assert_eq!(fs::metadata(tree.join("theirs")).unwrap().uid(), 1000);
    assert!(!tree.join("socket").exists());
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_link_of_the_host_leads_apply_nowhere() {
    let scope = Scope::new("links-out");
    let tree = tree(&scope);
    let outside = scope.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a"), "outside").unwrap();
    let container = with(&scope, &tree);
    sh(&container, "cd /src; echo inside > dir/a; echo inside > dir/deep/b");
    tick();
    fs::rename(tree.join("dir"), tree.join("old")).unwrap();
    symlink(&outside, tree.join("dir")).unwrap();
    let error = container.apply_scratch("/src", Conflicts::Refuse).unwrap_err();
    assert_eq!(error.errno(), libc::EEXIST, "{error}");
    apply(&container, Conflicts::Keep);
    assert_eq!(listed(&outside).len(), 2);
    assert_eq!(fs::read_to_string(outside.join("a")).unwrap(), "outside");
    // Overwritten, the link makes room; what it leads to is not touched.
    apply(&container, Conflicts::Overwrite);
    assert_eq!(fs::read_to_string(tree.join("dir/a")).unwrap(), "inside\n");
    assert_eq!((listed(&outside).len(), fs::read_to_string(outside.join("a")).unwrap().as_str()), (2, "outside"));
    // And a link inside that leads out is a link outside.
    sh(&container, "ln -s /etc/passwd /src/passwd");
    apply(&container, Conflicts::Keep);
    assert_eq!(fs::read_link(tree.join("passwd")).unwrap(), Path::new("/etc/passwd"));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn attributes_holes_and_modes_are_carried_over() {
    let scope = Scope::new("attributes");
    let tree = tree(&scope);
    let container = with(&scope, &tree);
    sh(
        &container,
        "cd /src; truncate -s 64M holes; echo end >> holes; chmod 640 holes; chmod 1777 dir; touch -d 2001-02-03 kind",
    );
    apply(&container, Conflicts::Refuse);
    let holes = fs::metadata(tree.join("holes")).unwrap();
    assert_eq!((holes.len(), holes.mode() & 0o7777), ((64 << 20) + 4, 0o640));
    assert!(holes.blocks() < 1000, "{} blocks", holes.blocks());
    assert_eq!(fs::metadata(tree.join("dir")).unwrap().permissions().mode() & 0o7777, 0o1777);
    let inside: i64 = sh(&container, "stat -c %Y /src/kind").parse().unwrap();
    assert_eq!(fs::metadata(tree.join("kind")).unwrap().mtime(), inside);
    assert_eq!(diff(&container), [""; 0]);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn memory_that_changes_take_counts_in_the_containers_limit() {
    if !common::can_limit() || !common::kernel_is_at_least(6, 6) {
        return common::skipped("it takes a memory limit, and changes in memory");
    }
    let scope = Scope::new("memory");
    let tree = tree(&scope);
    let config = scope.config().with(|c| (c.mounts, c.memory) = (mounts(&tree), Some(64 << 20)));
    let container = Container::create(busybox(), &config).unwrap();
    assert_eq!(container.limit(Limit::Memory).unwrap(), Some(64 << 20));
    let full = run(&container, &["/bin/dd", "if=/dev/zero", "of=/src/big", "bs=1M", "count=60"]);
    assert_eq!(full.1.code, 1, "half of the limit is as much as there may be: {}", full.0);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}
