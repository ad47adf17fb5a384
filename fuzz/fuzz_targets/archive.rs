#![no_main]
//! Entries of hostile archives, compared with what the tar crate sees.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(ours) = ctr::image::fuzzing::entries(bytes) else { return };
    for (path, _) in &ours {
        assert!(path.split(|&byte| byte == b'/').all(|part| !matches!(part, b".." | b".") && !part.contains(&0)));
        assert!(!path.starts_with(b"/") && !path.ends_with(b"/"));
    }
    // What has another version than "00" is no extended header to the tar crate; to GNU tar and to us it is.
    let other_version = |block: &[u8]| block.get(257..265).is_some_and(|m| m.starts_with(b"ustar\0") && !m.ends_with(b"00"));
    if bytes.chunks(512).any(other_version) {
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
