//! What the files of an image could not hold, and so was kept beside them when it was unpacked: it comes back here.

use std::collections::HashSet;

use super::super::dirs::Dirs;
use super::super::entry::{Entry, Kind, split};
use super::super::fault::Outcome;
use super::Walk;
use super::attributes::look;

impl Walk<'_, '_, '_> {
    /// What `unpack` kept because there was no file to hold it.
    pub(super) fn kept_entry(&mut self, path: &[u8]) -> Outcome<()> {
        match self.kept.get(path) {
            Some(entry) if matches!(entry.kind, Kind::Char | Kind::Block) => {
                let entry = entry.clone();
                self.put_header(&entry)
            }
            _ => Ok(()),
        }
    }

    /// Gives back what the file could not have.
    pub(super) fn restore(&self, path: &[u8], entry: &mut Entry) {
        if let Some(kept) = self.kept.get(path)
            && kept.kind == entry.kind
            && !self.special.changed.is_some_and(|changed| has(&mut changed.borrow_mut(), path))
        {
            entry.uid = kept.uid;
            entry.gid = kept.gid;
            // Linux has no mode of links; that of the archive was never anything.
            if entry.kind != Kind::Symlink {
                entry.mode = kept.mode;
            }
            let known: HashSet<Vec<u8>> = entry.xattrs.iter().map(|(name, _)| name.clone()).collect();
            let others =
                kept.xattrs.iter().filter(|(name, _)| !name.starts_with(b"user.ctr.") && !known.contains(name));
            entry.xattrs.extend(others.cloned());
        }
    }
}

/// Whether there is anything under this name.
pub(super) fn has(tree: &mut Dirs, path: &[u8]) -> bool {
    let (above, name) = split(path);
    let opener = tree.opener();
    tree.enter(above).is_ok_and(|parent| look(opener.as_ref(), parent, name).is_ok())
}
