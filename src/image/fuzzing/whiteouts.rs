//! Layers over one another, beside a model of them in memory: what is hidden by whom, whatever the order of the entries.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use super::super::entry::{Entry, Kind, split};
use super::super::fault::Outcome;
use super::super::flat;
use super::super::lower::Lower;
use super::super::names::Remembered;
use super::super::rights::Rights;
use super::super::store::Store;
use super::super::write;
use super::{scratch, unpack_archive};

/// One entry of a layer.
#[derive(Debug)]
enum Op {
    File(Vec<u8>, u8),
    Directory(Vec<u8>),
    Symlink(Vec<u8>),
    HardLink(Vec<u8>, Vec<u8>),
    Whiteout(Vec<u8>),
    Opaque(Vec<u8>),
}

/// What a layer has under a name.
#[derive(Clone, Debug)]
enum Node {
    File(u8),
    Symlink,
    Whiteout,
    Directory(Directory),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    hides: bool,
    nodes: BTreeMap<Vec<u8>, Node>,
}

/// Unpacks the layers that `bytes` describe and compares what is seen of them with the model: by look-ups, and made flat.
pub fn whiteouts(bytes: &[u8]) {
    scratch(|place| {
        let store = Store::open(Some(&place.join("store"))).expect("a store");
        let (mut layers, mut model) = (Vec::new(), Directory::default());
        for (number, ops) in layers_of(bytes).into_iter().enumerate() {
            if leads_through_a_link(&ops) {
                return;
            }
            let layer = number.to_string();
            let directory = place.join("store/layers").join(&layer);
            std::fs::create_dir_all(&directory).expect("a directory");
            let expected = modelled(&ops);
            if unpack_archive(&directory, &archive(&ops)).is_none() {
                // The model knows of no other reasons than these two.
                assert!(expected.is_none(), "refused: {ops:?}");
                return;
            }
            let expected = expected.unwrap_or_else(|| panic!("not refused: {ops:?}"));
            apply(expected, &mut model);
            if store.is_opaque(&layer) {
                layers.clear();
            }
            layers.push(layer);
        }
        if layers.is_empty() {
            return;
        }
        let mut expected = BTreeMap::new();
        list(&model, b"", &mut expected);
        let paths: Vec<_> = layers.iter().map(|layer| store.layer_path(layer)).collect();
        let seen = seen(&mut Lower::open(&paths).expect("layers")).expect("look-ups");
        assert_eq!(seen, expected, "look-ups of {bytes:?}");
        let flat = place.join("store/flat");
        std::fs::create_dir(&flat).expect("a directory");
        let place = std::fs::File::open(&flat).expect("it");
        flat::make(&store, &layers, place.as_fd(), &Rights::of_this_user()).expect("a flat tree");
        let mut found = BTreeMap::new();
        walk(&flat.join("fs"), b"", &mut found);
        assert_eq!(found, expected, "the flat tree of {bytes:?}");
    });
}

/// Whether a name may lead through a symbolic link of the same layer, which is followed: the model knows of none.
fn leads_through_a_link(ops: &[Op]) -> bool {
    let links =
        ops.iter().filter_map(|op| if let Op::Symlink(path) = op { Some([path, &b"/"[..]].concat()) } else { None });
    let is_below = |path: &[u8], link: &[u8]| path.starts_with(link);
    links.into_iter().any(|link| {
        ops.iter().any(|op| match op {
            Op::HardLink(path, target) => is_below(path, &link) || is_below(target, &link),
            Op::File(path, _) | Op::Directory(path) | Op::Symlink(path) | Op::Whiteout(path) => is_below(path, &link),
            // Its mark lies in the directory.
            Op::Opaque(path) => is_below(&[path, &b"/"[..]].concat(), &link),
        })
    })
}

/// Each pair of bytes is an entry or the end of a layer: what it is, and names of two bits.
fn layers_of(bytes: &[u8]) -> Vec<Vec<Op>> {
    let mut layers = vec![Vec::new()];
    let mut pairs = bytes.chunks_exact(2).take(60);
    while let Some(&[what, path]) = pairs.next() {
        let (path, id) = (name(path), what);
        let last = layers.len() - 1;
        let op = match what % 8 {
            0 | 1 => Op::File(path, id),
            2 => Op::Directory(path),
            3 => Op::Symlink(path),
            4 => Op::HardLink(path, name(what >> 3)),
            5 => Op::Whiteout(path),
            6 => Op::Opaque(path),
            _ if layers.len() < 6 => {
                layers.push(Vec::new());
                continue;
            }
            _ => continue,
        };
        let is_root = |path: &[u8]| path.is_empty();
        match &op {
            // Faults of their own, which others look for.
            Op::File(path, _) | Op::Symlink(path) | Op::Whiteout(path) if is_root(path) => {}
            Op::HardLink(path, target) if is_root(path) || is_root(target) => {}
            _ => layers[last].push(op),
        }
    }
    layers
}

fn name(bits: u8) -> Vec<u8> {
    let parts = (0..3).map(|at| (bits >> (2 * at)) & 3).take_while(|&part| part > 0);
    parts.map(|part| (b'a' + part - 1) as char).fold(String::new(), joined).into_bytes()
}

fn joined(mut path: String, name: char) -> String {
    if !path.is_empty() {
        path.push('/');
    }
    path.push(name);
    path
}

fn below(above: &[u8], name: &[u8]) -> Vec<u8> {
    if above.is_empty() { name.to_vec() } else { [above, b"/", name].concat() }
}

fn archive(ops: &[Op]) -> Vec<u8> {
    let mut out = Vec::new();
    for op in ops {
        let hidden = |path: &[u8]| below(split(path).0, &[b".wh.", split(path).1].concat());
        let (path, kind, data) = match op {
            Op::File(path, id) => (path.clone(), Kind::File, vec![*id]),
            Op::Directory(path) => (path.clone(), Kind::Directory, Vec::new()),
            Op::Symlink(path) => (path.clone(), Kind::Symlink, Vec::new()),
            Op::HardLink(path, _) => (path.clone(), Kind::HardLink, Vec::new()),
            Op::Whiteout(path) => (hidden(path), Kind::File, Vec::new()),
            Op::Opaque(path) => (below(path, b".wh..wh..opq"), Kind::File, Vec::new()),
        };
        let mut entry = Entry::new(&path, kind, 0o755);
        entry.size = data.len() as u64;
        match op {
            Op::Symlink(_) => entry.link = b"../../../../victim".into(),
            Op::HardLink(_, target) => entry.link = target.clone(),
            _ => {}
        }
        write::header(&entry, &mut out);
        out.extend_from_slice(&data);
        out.extend_from_slice(write::padding(out.len() as u64));
    }
    out.extend_from_slice(&write::END);
    out
}

/// What a layer of these entries has; `None` where it must be refused: a way through what is no directory, or a hard link
/// to nothing or to a directory.
fn modelled(ops: &[Op]) -> Option<Directory> {
    let mut layer = Directory::default();
    let mut waiting = Vec::new();
    for op in ops {
        match op {
            Op::File(path, id) => put(&mut layer, path, Node::File(*id))?,
            Op::Symlink(path) => put(&mut layer, path, Node::Symlink)?,
            Op::Directory(path) if path.is_empty() => {}
            Op::Directory(path) => drop(directory(&mut layer, path, true)?),
            Op::HardLink(path, target) => match find(&layer, target) {
                Found::Directory | Found::NoWay => return None,
                Found::Node(_) if path == target => {}
                // It would take the place of a directory that its target is in.
                Found::Node(_) if target.starts_with(&[&path[..], b"/"].concat()) => return None,
                Found::Node(node) => put(&mut layer, path, node)?,
                Found::Nothing => {
                    directory(&mut layer, split(path).0, false)?.nodes.remove(split(path).1);
                    waiting.push((path, target));
                }
            },
            Op::Whiteout(path) => {
                let (above, name) = split(path);
                let node = directory(&mut layer, above, false)?.nodes.entry(name.into()).or_insert(Node::Whiteout);
                if let Node::Directory(there) = node {
                    there.hides = true;
                }
            }
            Op::Opaque(path) => directory(&mut layer, path, false)?.hides = true,
        }
    }
    for _ in 0..16 {
        for (path, target) in &waiting {
            match (find(&layer, path), find(&layer, target)) {
                (Found::NoWay, _) => return None,
                (Found::Node(_) | Found::Directory, _) | (_, Found::Nothing) => {}
                (Found::Nothing, Found::Node(node)) => put(&mut layer, path, node)?,
                (Found::Nothing, _) => return None,
            }
        }
    }
    waiting.iter().all(|(path, _)| matches!(find(&layer, path), Found::Node(_) | Found::Directory)).then_some(layer)
}

enum Found {
    Node(Node),
    Directory,
    Nothing,
    NoWay,
}

fn find(mut layer: &Directory, path: &[u8]) -> Found {
    let mut names = path.split(|&byte| byte == b'/').peekable();
    while let Some(name) = names.next() {
        match (layer.nodes.get(name), names.peek()) {
            // What is hidden is not there.
            (None | Some(Node::Whiteout), None) | (None, _) => return Found::Nothing,
            (Some(Node::Directory(_)), None) => return Found::Directory,
            (Some(node), None) => return Found::Node(node.clone()),
            (Some(Node::Directory(next)), Some(_)) => layer = next,
            (Some(_), Some(_)) => return Found::NoWay,
        }
    }
    Found::Directory
}

fn put(layer: &mut Directory, path: &[u8], node: Node) -> Option<()> {
    let (above, name) = split(path);
    directory(layer, above, false)?.nodes.insert(name.into(), node);
    Some(())
}

/// The directory `path`, made where it is missing, what a whiteout hid still hidden. `replaces` what is no directory there.
fn directory<'l>(mut layer: &'l mut Directory, path: &[u8], replaces: bool) -> Option<&'l mut Directory> {
    let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let replaces = replaces && names.peek().is_none();
        let node = layer.nodes.entry(name.into()).or_insert_with(|| Node::Directory(Directory::default()));
        match node {
            Node::Directory(_) => {}
            // A file hides what is below, too.
            Node::Whiteout => *node = Node::Directory(Directory { hides: true, ..Directory::default() }),
            _ if replaces => *node = Node::Directory(Directory { hides: true, ..Directory::default() }),
            _ => return None,
        }
        let Node::Directory(next) = node else { return None };
        layer = next;
    }
    Some(layer)
}

/// Puts a layer over what is seen of those below.
fn apply(layer: Directory, seen: &mut Directory) {
    if layer.hides {
        seen.nodes.clear();
    }
    for (name, node) in layer.nodes {
        match node {
            Node::Whiteout => drop(seen.nodes.remove(&name)),
            Node::Directory(directory) => {
                let below = seen.nodes.entry(name).or_insert(Node::Whiteout);
                if !matches!(below, Node::Directory(_)) {
                    *below = Node::Directory(Directory::default());
                }
                let Node::Directory(below) = below else { continue };
                apply(directory, below);
            }
            node => drop(seen.nodes.insert(name, node)),
        }
    }
}

type Tree = BTreeMap<Vec<u8>, String>;

fn list(directory: &Directory, above: &[u8], tree: &mut Tree) {
    for (name, node) in &directory.nodes {
        let path = below(above, name);
        match node {
            Node::File(id) => drop(tree.insert(path, format!("file {:?}", [*id]))),
            Node::Symlink => drop(tree.insert(path, "symlink".into())),
            Node::Whiteout => drop(tree.insert(path, "whiteout".into())),
            Node::Directory(directory) => {
                list(directory, &path, tree);
                tree.insert(path, "directory".into());
            }
        }
    }
}

/// What is seen in layers, by look-ups.
pub(super) fn seen(lower: &mut Lower) -> Outcome<Tree> {
    let mut tree = Tree::new();
    let mut todo = vec![Vec::new()];
    while let Some(above) = todo.pop() {
        for name in lower.names(&above, &Remembered::default())?.iter() {
            let path = below(&above, name);
            let found = lower.find(&path)?.unwrap_or_else(|| panic!("{} is listed only", path.escape_ascii()));
            let what = match found.stat.st_mode & libc::S_IFMT {
                libc::S_IFDIR => {
                    todo.push(path.clone());
                    "directory".into()
                }
                libc::S_IFLNK => "symlink".into(),
                libc::S_IFREG => {
                    let mut content = Vec::new();
                    let mut file = std::fs::File::from(lower.open_found(&found, &path)?);
                    file.read_to_end(&mut content).expect("content");
                    format!("file {content:?}")
                }
                other => format!("{other:o}"),
            };
            tree.insert(path, what);
        }
    }
    Ok(tree)
}

fn walk(place: &Path, above: &[u8], tree: &mut Tree) {
    for entry in std::fs::read_dir(place).expect("a directory") {
        let entry = entry.expect("an entry");
        let path = below(above, entry.file_name().as_encoded_bytes());
        let kind = entry.file_type().expect("a kind");
        let what = if kind.is_dir() {
            walk(&entry.path(), &path, tree);
            "directory".into()
        } else if kind.is_symlink() {
            "symlink".into()
        } else if kind.is_file() {
            format!("file {:?}", std::fs::read(entry.path()).expect("content"))
        } else {
            format!("{kind:?}")
        };
        tree.insert(path, what);
    }
}
