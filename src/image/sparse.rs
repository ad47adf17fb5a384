//! Sparse maps: which parts of a file the archive holds.

use super::entry::Extent;
use super::number;

/// Adds the pairs of 12-byte offset and length in `fields`, up to the first empty one.
pub fn extents(fields: &[u8], map: &mut Vec<Extent>) -> Option<()> {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let number = |field: &[u8]| number::field(field).and_then(|number| u64::try_from(number).ok());
        map.push(Extent { offset: number(&pair[..12])?, length: number(&pair[12..])? });
    }
    Some(())
}

/// Whether `map` fits a file of `size` bytes of which the archive holds `held`: parts in order, apart, inside, and adding
/// up. Anything else would write one byte twice or take the next entry for content.
pub fn check(map: &[Extent], size: u64, held: u64) -> Result<(), &'static str> {
    let (mut end, mut sum) = (0u64, 0u64);
    for extent in map {
        if extent.offset < end {
            return Err("a sparse map whose parts overlap");
        }
        end = extent.offset.checked_add(extent.length).ok_or("a sparse map that overflows")?;
        sum += extent.length;
    }
    match () {
        () if end > size => Err("a sparse map that reaches past the file's end"),
        () if sum != held => Err("a sparse map that does not add up to its data"),
        () => Ok(()),
    }
}

/// The map as GNU's PAX form 1.0 has it in front of the data: decimal lines, padded to a block.
pub fn map_text(map: &[Extent]) -> Vec<u8> {
    let mut text = format!("{}\n", map.len());
    for extent in map {
        text.push_str(&format!("{}\n{}\n", extent.offset, extent.length));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_must_be_in_order_inside_and_complete() {
        let map = |parts: &[(u64, u64)]| -> Vec<Extent> {
            parts.iter().map(|&(offset, length)| Extent { offset, length }).collect()
        };
        assert!(check(&map(&[(0, 5), (10, 5), (20, 0)]), 20, 10).is_ok());
        assert!(check(&map(&[]), 20, 0).is_ok());
        assert!(check(&map(&[(0, 5), (4, 5)]), 20, 10).is_err());
        assert!(check(&map(&[(10, 5), (0, 5)]), 20, 10).is_err());
        assert!(check(&map(&[(18, 5)]), 20, 5).is_err());
        assert!(check(&map(&[(u64::MAX, 5)]), 20, 5).is_err());
        assert!(check(&map(&[(0, 5)]), 20, 6).is_err());
    }
}
