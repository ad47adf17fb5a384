#![no_main]
//! Entries of hostile archives, compared with what the tar crate sees.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(ours) = ctr::image::fuzzing::entries(bytes) else { return };
    for (path, _) in &ours {
        assert!(path.split(|&byte| byte == b'/').all(|part| !matches!(part, b".." | b".") && !part.contains(&0)));
        assert!(!path.starts_with(b"/") && !path.ends_with(b"/"));
    }
    // The tar crate takes extended headers only where they are marked as POSIX's or GNU's to the letter; GNU tar and we take all.
    let unmarked = |block: &[u8]| {
        let extended = block.get(156).is_some_and(|kind| b"xgLK".contains(kind));
        extended && !matches!(block.get(257..265), Some(b"ustar\x0000" | b"ustar  \0"))
    };
    // And to it a hard link that states a size has data; to GNU tar, Python, Go and us it has none.
    let sized = |block: &[u8]| {
        block.get(156) == Some(&b'1') && block[124..136].iter().any(|byte| !matches!(byte, b'0' | b' ' | 0))
    };
    if bytes.chunks(512).any(|block| unmarked(block) || sized(block)) {
        return;
    }
    let mut archive = tar::Archive::new(bytes);
    let Ok(entries) = archive.entries() else { return };
    let mut theirs = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else { return };
        theirs.push((entry.path_bytes().into_owned(), entry.size()));
    }
    assert_eq!(ours.len(), theirs.len(), "{ours:?}\n{theirs:?}");
});
