//! Where a partition lies: GPT, as the UEFI specification has it (5.3), or MBR with its logical partitions.

use crc32fast::hash as crc32;

use super::superblock::{at, le32, le64};

/// Where a partition begins, and how many bytes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub offset: u64,
    pub length: u64,
}

/// The partitions of a disk, by their numbers.
#[derive(Debug, PartialEq, Eq)]
pub struct Table(Vec<(u32, Extent)>);

/// Bytes at an offset of the disk, as many as were asked for.
pub type ReadAt<'a> = &'a dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// No table has more entries: the specification's least are 128, in 16 KiB.
const MAX_ENTRIES: u32 = 1024;
/// Logical partitions are a list, which may be a circle.
const MAX_LOGICAL: u32 = 60;
/// An MBR counts in these, whatever the disk has.
const SECTOR: u64 = 512;
/// The type of the one partition that an MBR has beside a GPT.
const PROTECTIVE: u8 = 0xee;

impl Table {
    /// The table of a disk of so many bytes; `None` where it has none.
    pub fn read(length: u64, read: ReadAt<'_>) -> Option<Self> {
        // A disk has one size of sectors; its image says nothing about it. The second header is for when the first one is damaged.
        for sector in [512, 4096] {
            for header in [sector, (length / sector).saturating_sub(1) * sector] {
                if let Some(table) = gpt(header, sector, read) {
                    return Some(table);
                }
            }
        }
        mbr(read)
    }

    /// The partition of this number.
    pub fn find(&self, number: u32) -> Option<Extent> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, extent)| *extent)
    }

    /// Their numbers, as a person reads them.
    pub fn numbers(&self) -> String {
        let numbers: Vec<_> = self.0.iter().map(|(number, _)| number.to_string()).collect();
        numbers.join(", ")
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn gpt(at_byte: u64, sector: u64, read: ReadAt<'_>) -> Option<Table> {
    let mut header = read(at_byte, 512)?;
    let size = le32(&header, 12)? as usize;
    if !at(&header, 0, b"EFI PART") || !(92..=512).contains(&size) || le64(&header, 24)?.checked_mul(sector)? != at_byte
    {
        return None;
    }
    let (sum, entries_sum) = (le32(&header, 16)?, le32(&header, 88)?);
    let (first, count, each) = (le64(&header, 72)?, le32(&header, 80)?, le32(&header, 84)?);
    header[16..20].fill(0);
    if crc32(&header[..size]) != sum || count > MAX_ENTRIES || !(128..=1024).contains(&each) {
        return None;
    }
    let entries = read(first.checked_mul(sector)?, count as usize * each as usize)?;
    if crc32(&entries) != entries_sum {
        return None;
    }
    let partition = |(number, entry): (u32, &[u8])| {
        let (from, to) = (le64(entry, 32)?, le64(entry, 40)?);
        let is_used = entry[..16].iter().any(|&byte| byte != 0);
        let sectors = to.checked_sub(from)?.checked_add(1).filter(|_| is_used)?;
        Some((number, Extent { offset: from.checked_mul(sector)?, length: sectors.checked_mul(sector)? }))
    };
    Some(Table((1..).zip(entries.chunks_exact(each as usize)).filter_map(partition).collect()))
}

fn mbr(read: ReadAt<'_>) -> Option<Table> {
    let (mut found, mut extended) = (Vec::new(), None);
    for (number, entry) in (1..).zip(entries(0, read)?) {
        let Entry { kind, first, sectors } = entry;
        match kind {
            0 => {}
            // Its GPT is damaged, and what stands here covers the whole disk.
            PROTECTIVE => return None,
            0x05 | 0x0f | 0x85 => extended = extended.or(Some(first)),
            _ => found.push((number, extent(first, sectors))),
        }
    }
    let (base, mut next) = (extended.unwrap_or(0), extended);
    for number in 5..5 + MAX_LOGICAL {
        let Some(record) = next else { break };
        let Some([own, link, ..]) = entries(record * SECTOR, read) else { break };
        if own.kind != 0 {
            found.push((number, extent(record + own.first, own.sectors)));
        }
        next = (link.kind != 0).then_some(base + link.first);
    }
    Some(Table(found))
}

/// One of the four entries of such a record, in sectors of 32 bits.
struct Entry {
    kind: u8,
    first: u64,
    sectors: u64,
}

fn entries(offset: u64, read: ReadAt<'_>) -> Option<[Entry; 4]> {
    let sector = read(offset, 512)?;
    if !at(&sector, 510, &[0x55, 0xaa]) {
        return None;
    }
    // A file system may begin with a boot sector, which has this signature too; the first byte of an entry is 0 or 0x80.
    if [446, 462, 478, 494].iter().any(|&start| sector[start] & 0x7f != 0) {
        return None;
    }
    let entry = |start: usize| Entry {
        kind: sector[start + 4],
        first: le32(&sector, start + 8).map_or(0, u64::from),
        sectors: le32(&sector, start + 12).map_or(0, u64::from),
    };
    Some([446, 462, 478, 494].map(entry))
}

fn extent(first: u64, sectors: u64) -> Extent {
    Extent { offset: first * SECTOR, length: sectors * SECTOR }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &[u8]) -> Option<Table> {
        let slice = |offset: u64, length: usize| {
            let start = usize::try_from(offset).ok()?;
            Some(disk.get(start..start.checked_add(length)?)?.to_vec())
        };
        Table::read(disk.len() as u64, &slice)
    }

    fn entry(disk: &mut [u8], record: usize, place: usize, [kind, first, sectors]: [u32; 3]) {
        let at = record * 512 + 446 + 16 * place;
        disk[at + 4] = kind as u8;
        disk[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
        disk[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        disk[record * 512 + 510..record * 512 + 512].copy_from_slice(&[0x55, 0xaa]);
    }

    #[test]
    fn an_mbr_has_primary_and_logical_partitions() {
        let mut disk = vec![0; 512 * 64];
        assert_eq!(read(&disk), None);
        entry(&mut disk, 0, 0, [0x83, 2, 4]);
        entry(&mut disk, 0, 2, [0x05, 10, 30]);
        entry(&mut disk, 10, 0, [0x83, 1, 3]);
        entry(&mut disk, 10, 1, [0x05, 5, 9]);
        entry(&mut disk, 15, 0, [0x83, 2, 6]);
        let table = read(&disk).unwrap();
        assert_eq!(table.numbers(), "1, 5, 6");
        assert_eq!(table.find(1), Some(Extent { offset: 1024, length: 2048 }));
        assert_eq!(table.find(5), Some(Extent { offset: 11 * 512, length: 3 * 512 }));
        assert_eq!(table.find(6), Some(Extent { offset: 17 * 512, length: 6 * 512 }));
        assert_eq!(table.find(3), None);
        // A list that is a circle has an end.
        entry(&mut disk, 15, 1, [0x05, 0, 9]);
        assert!(read(&disk).unwrap().0.len() < 100);
    }

    /// A GPT of one partition, the second one, in sectors of this size.
    fn gpt_disk(sector: usize, backup: bool) -> Vec<u8> {
        let mut disk = vec![0; sector * 64];
        let place = if backup { 63 } else { 1 };
        let mut entries = vec![0; 128 * 4];
        entries[128] = 1;
        entries[128 + 32] = 40;
        entries[128 + 40] = 49;
        disk[2 * sector..2 * sector + entries.len()].copy_from_slice(&entries);
        let header = &mut disk[place * sector..];
        header[..8].copy_from_slice(b"EFI PART");
        for (at, number) in [(12, 92), (24, place as u32), (72, 2), (80, 4), (84, 128), (88, crc32(&entries))] {
            header[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32(&header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        entry(&mut disk, 0, 0, [u32::from(PROTECTIVE), 1, 63]);
        disk
    }

    #[test]
    fn a_gpt_is_read_in_sectors_of_both_sizes_and_from_both_ends() {
        for (sector, backup) in [(512, false), (4096, false), (512, true), (4096, true)] {
            let mut disk = gpt_disk(sector, backup);
            let table = read(&disk).unwrap();
            let place = Extent { offset: 40 * sector as u64, length: 10 * sector as u64 };
            assert_eq!((table.numbers().as_str(), table.find(2)), ("2", Some(place)), "{sector} {backup}");
            // What its sums don't tell is believed of neither of them, nor of the record that only protects it.
            disk[2 * sector + 128 + 40] = 50;
            assert_eq!(read(&disk), None);
        }
    }

    #[test]
    fn numbers_of_a_stranger_are_no_sizes() {
        for at in [12, 72, 80, 84] {
            let mut disk = gpt_disk(512, false);
            let header = &mut disk[512..];
            header[at..at + 4].copy_from_slice(&[0xff; 4]);
            header[16..20].fill(0);
            let sum = crc32(&header[..92]);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            assert_eq!(read(&disk), None, "{at}");
        }
    }
}
