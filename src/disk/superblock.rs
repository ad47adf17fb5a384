//! Which file system it is, by what stands at its beginning, and how large it says that it is. Sources: the kernel's
//! Documentation/filesystems/ext4/super.rst, fs/xfs/libxfs/xfs_format.h, fs/btrfs/ctree.h, fs/squashfs/squashfs_fs.h, fs/erofs/erofs_fs.h,
//! libblkid's superblocks.

use crate::FileSystem;

/// As many bytes of the beginning as are looked at.
pub const LENGTH: usize = 0x1_0100;

/// Which it is, and how many bytes it has where it says that.
pub fn detect(start: &[u8]) -> Option<(FileSystem, Option<u64>)> {
    if at(start, 0, b"XFSB") {
        let blocks = be64(start, 8)?;
        return Some((FileSystem::Xfs, blocks.checked_mul(u64::from(be32(start, 4)?))));
    }
    if at(start, 0, b"hsqs") {
        return Some((FileSystem::Squashfs, le64(start, 40)));
    }
    if le32(start, 1024) == Some(0xe0f5_e1e2) {
        let blocks = le32(start, 1024 + 36).map(u64::from);
        let shift = u32::from(*start.get(1024 + 12)?);
        return Some((FileSystem::Erofs, blocks.and_then(|blocks| blocks.checked_mul(1u64.checked_shl(shift)?))));
    }
    if at(start, 1024 + 0x38, &[0x53, 0xef]) {
        return Some((FileSystem::Ext4, ext_size(&start[1024..])));
    }
    if at(start, 0x1_0040, b"_BHRfS_M") {
        return Some((FileSystem::Btrfs, None));
    }
    let is_fat = at(start, 54, b"FAT12   ") || at(start, 54, b"FAT16   ") || at(start, 82, b"FAT32   ");
    (is_fat && at(start, 510, &[0x55, 0xaa])).then_some((FileSystem::Vfat, None))
}

/// What it is instead, where that is known.
pub fn other(start: &[u8]) -> Option<&'static str> {
    const OTHERS: [(usize, &[u8], &str); 6] = [
        (0, b"LUKS\xba\xbe", "it is encrypted (LUKS)"),
        (536, b"LVM2 001", "it is a physical volume of LVM"),
        (3, b"NTFS    ", "it has NTFS, which is not supported"),
        (3, b"EXFAT   ", "it has exFAT, which is not supported"),
        (0x8001, b"CD001", "it has ISO 9660, which is not supported"),
        (4086, b"SWAPSPACE2", "it is swap space"),
    ];
    OTHERS.iter().find(|(offset, magic, _)| at(start, *offset, magic)).map(|(.., what)| *what)
}

fn ext_size(superblock: &[u8]) -> Option<u64> {
    const INCOMPAT_64BIT: u32 = 0x80;
    let low = u64::from(le32(superblock, 4)?);
    let is_64bit = le32(superblock, 0x60)? & INCOMPAT_64BIT != 0;
    let high = if is_64bit { u64::from(le32(superblock, 0x150)?) } else { 0 };
    let block = 1024u64.checked_shl(le32(superblock, 0x18)?).filter(|&size| size <= 1 << 16)?;
    (high << 32 | low).checked_mul(block)
}

pub fn at(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

fn four(bytes: &[u8], offset: usize) -> Option<[u8; 4]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn eight(bytes: &[u8], offset: usize) -> Option<[u8; 8]> {
    bytes.get(offset..)?.first_chunk().copied()
}

pub fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    four(bytes, offset).map(u32::from_le_bytes)
}

pub fn le64(bytes: &[u8], offset: usize) -> Option<u64> {
    eight(bytes, offset).map(u64::from_le_bytes)
}

fn be32(bytes: &[u8], offset: usize) -> Option<u32> {
    four(bytes, offset).map(u32::from_be_bytes)
}

fn be64(bytes: &[u8], offset: usize) -> Option<u64> {
    eight(bytes, offset).map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(offset: usize, bytes: &[u8]) -> Vec<u8> {
        let mut start = vec![0; LENGTH];
        start[offset..offset + bytes.len()].copy_from_slice(bytes);
        start
    }

    #[test]
    fn a_file_system_is_known_by_its_magic_and_size() {
        let mut ext = with(1024 + 0x38, &[0x53, 0xef]);
        ext[1024 + 4] = 16;
        ext[1024 + 0x18] = 2;
        assert_eq!(detect(&ext), Some((FileSystem::Ext4, Some(16 * 4096))));
        ext[1024 + 0x18] = 200;
        assert_eq!(detect(&ext), Some((FileSystem::Ext4, None)));
        assert_eq!(detect(&with(0, b"XFSB\0\0\x10\0\0\0\0\0\0\0\0\x02")), Some((FileSystem::Xfs, Some(8192))));
        assert_eq!(detect(&with(0, b"hsqs")), Some((FileSystem::Squashfs, Some(0))));
        assert_eq!(detect(&with(1024, &[0xe2, 0xe1, 0xf5, 0xe0])), Some((FileSystem::Erofs, Some(0))));
        assert_eq!(detect(&with(0x1_0040, b"_BHRfS_M")), Some((FileSystem::Btrfs, None)));
        let mut fat = with(82, b"FAT32   ");
        assert_eq!(detect(&fat), None);
        fat[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(detect(&fat), Some((FileSystem::Vfat, None)));
        assert_eq!(other(&with(0, b"LUKS\xba\xbe")), Some("it is encrypted (LUKS)"));
    }

    #[test]
    fn what_ends_early_is_nothing() {
        let all: Vec<u8> = with(1024 + 0x38, &[0x53, 0xef]);
        for length in [0, 3, 511, 1024, 1024 + 0x39, 1024 + 0x60] {
            assert!(detect(&all[..length]).is_none_or(|(_, size)| size.is_none()));
            assert_eq!(other(&all[..length]), None);
        }
    }
}
