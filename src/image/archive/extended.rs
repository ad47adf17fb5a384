//! What stands before an entry and belongs to it: PAX records, and GNU's long names.

use super::super::fault::{Fault, Outcome};
use super::super::number;
use super::super::pax::Pax;

/// What the extended headers in front of an entry say.
#[derive(Default)]
pub(super) struct Extended {
    pub(super) pax: Option<Pax>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
}

impl Extended {
    pub(super) fn add(&mut self, typeflag: u8, bytes: Vec<u8>, global: &Pax) -> Outcome<()> {
        let twice = match typeflag {
            b'L' => self.name.replace(until_nul(&bytes).to_vec()).is_some(),
            b'K' => self.link.replace(until_nul(&bytes).to_vec()).is_some(),
            _ => {
                let mut pax = global.clone();
                pax.read(&bytes, false)?;
                self.pax.replace(pax).is_some()
            }
        };
        // Some readers add two up, others take the last one.
        if twice {
            return Err(Fault::bad(b"", "two extended headers of a kind for one entry"));
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pax.is_none() && self.name.is_none() && self.link.is_none()
    }
}

/// The size of an entry that PAX records do not speak of.
pub(super) fn claimed_size(header: &tar::Header) -> Outcome<u64> {
    let size = number::field(&header.as_old().size).and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| Fault::bad(b"", "an extended header whose size is no number"))
}

/// A field of a header, which ends at a NUL where it is not full.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())]
}
