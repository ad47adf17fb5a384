//! Trees of files from one place to another that may be full of traps: into a running container and out of it. What is read is packed
//! by `export`, as for an archive, and what comes of it is read by `archive`, so that a tree is copied as its archive would be
//! unpacked. It is made by a helper at the place where it goes ([`Writer`]): [`unpack`](mod@super::unpack) is for places that nobody else can
//! change meanwhile, and for files of the caller's.

mod file;
mod writer;

use std::io::{BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::thread;

pub(crate) use file::CopiedFile;
pub(crate) use writer::{Keeps, Told, Writer};

use super::archive::Archive;
use super::dirs::Opener;
use super::entry::split;
use super::export::{Export, Special};
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::owner::Id;
use super::{pipe, pipeline, write};
use crate::{Error, Result, Step};

/// Files that are to be copied.
pub(crate) struct Tree {
    /// A directory.
    pub root: OwnedFd,
    /// What in it, empty for all of it.
    pub start: Vec<u8>,
    /// What that is called where it goes to; empty: what is in it goes there.
    pub top: Vec<u8>,
    /// Opens what this process may not.
    pub opener: Option<Opener>,
    /// A host's id as it is where it goes to.
    pub inside: Box<dyn Fn(Id) -> Option<u32> + Send + Sync>,
    /// What errors call it.
    pub shown: String,
}

impl Tree {
    /// Writes it as an archive, but for its end.
    fn pack(self, out: &mut dyn Write) -> Outcome<u64> {
        let start = self.start.clone();
        let names = |path: &[u8]| {
            let below = path[start.len()..].strip_prefix(b"/").unwrap_or(&path[start.len()..]);
            Ok(Some(match (self.top.as_slice(), below) {
                (top, b"") => top.to_vec(),
                (b"", below) => below.to_vec(),
                (top, below) => [top, b"/", below].concat(),
            }))
        };
        let special = Special {
            names: Some(&names),
            start: self.start.clone(),
            opener: self.opener.clone(),
            doubts_owners: true,
            leaves_kernels: true,
            ..Special::default()
        };
        let inside = |id| (self.inside)(id);
        Export { inside: Some(&inside), ..Export::default() }.entries(special, self.root, out)
    }

    /// Writes it as an archive. Answers how many bytes.
    pub fn to(self, out: &mut dyn Write) -> Result<u64> {
        let shown = self.shown.clone();
        let packed = self.pack(out).and_then(|bytes| {
            out.write_all(&write::END).and_then(|()| out.flush()).map_err(Fault::write)?;
            Ok(bytes + write::END.len() as u64)
        });
        packed.map_err(|fault| fault.into_packing_error(&shown, "the archive"))
    }

    /// Makes it once more by `writer`.
    pub fn copy(self, writer: Writer, told: &mut Told<'_>) -> Result<()> {
        let (mut out, input) = pipe::pipe();
        let shown = self.shown.clone();
        thread::scope(|scope| {
            let packer = pipeline::spawn(scope, "ctr-pack", move || {
                self.pack(&mut out)?;
                out.write_all(&write::END).and_then(|()| out.finish()).map_err(Fault::write)
            });
            let packer = packer.map_err(|fault| fault.into_packing_error(&shown, ""))?;
            let unpacked = unpack(input, writer, &shown, told);
            match (pipeline::join(packer), unpacked) {
                // Whoever reads is gone: it has failed, or has what it needs and does not wait for the end.
                (Err(Fault::System { step: Step::Write, .. }), unpacked) => unpacked,
                (Err(fault), _) => Err(fault.into_packing_error(&shown, "")),
                (Ok(()), unpacked) => unpacked,
            }
        })
    }
}

/// Makes what an archive says by `writer`. `shown` is what errors call it.
pub(crate) fn unpack(input: impl Read, mut writer: Writer, shown: &str, told: &mut Told<'_>) -> Result<()> {
    let limits = Limits::default();
    let mut archive = Archive::new(BufReader::with_capacity(256 << 10, input), &limits);
    while let Some(entry) = archive.next().map_err(|fault| fault.into_error(shown))? {
        writer.entry(&entry, &mut archive, told)?;
    }
    if archive.entries() == 0 {
        let hint = "sockets are of their programs, and are not copied";
        return Err(Error::invalid(writer.step, shown, "there is no file in it").with_hint(hint));
    }
    writer.finish()
}

/// The parent of a path and its last component, without slashes at its end; `None` if the last one is no name.
pub(crate) fn parent_and_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    let (above, name) = split(&path[..end]);
    let above: &[u8] = match above {
        b"" if path.starts_with(b"/") => b"/",
        b"" => b".",
        above => above,
    };
    (!matches!(name, b"" | b"." | b"..")).then_some((above, name))
}
