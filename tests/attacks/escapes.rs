//! Names that content chose, in what people read: errors, and what `explain` prints. A terminal must obey none of them, and
//! none may look like a line of its own.

use ctr::{Config, ErrorCode, ExecConfig};

use crate::attack;
use crate::fence::{defaults, run, scratch};

/// Sets the window's title, goes back to the beginning of the line, and forges one.
const HOSTILE: &str = "x\x1b]0;pwned\x07\r\nD /etc/passwd\u{9b}2J\u{202e}";

#[track_caller]
fn is_one_short_line(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(!text.contains('\u{202e}'), "{text:?}");
    assert!(text.len() < 4000, "{} bytes: {}…", text.len(), &text[..200]);
}

attack!(own_escapes, {
    let c = defaults();
    // An interpreter, a program, a user and a working directory of such a name.
    let script =
        format!("printf '#!/no/{HOSTILE}\\n' | tr -d '\\n' > /tmp/script; echo >> /tmp/script; chmod +x /tmp/script");
    assert_eq!(run(&c, &["/bin/sh", "-c", &script], &ExecConfig::default()).code, 0);
    let plain = ExecConfig::default();
    let user = plain.clone().with(|c| c.user = Some(HOSTILE.into()));
    let group = plain.clone().with(|c| c.user = Some(format!("0:{HOSTILE}")));
    let cwd = plain.clone().with(|c| c.cwd = Some(format!("/no/{HOSTILE}").into()));
    for (argv, config) in
        [("/tmp/script", &plain), (HOSTILE, &plain), ("true", &user), ("true", &group), ("true", &cwd)]
    {
        let error = c.exec([argv], config).err().expect("there is none of that name");
        is_one_short_line(&error.to_string());
        assert!(error.to_string().contains(r"x\x1b]0;pwned\x07"), "{error}");
        is_one_short_line(error.object());
        is_one_short_line(error.hint());
    }
    // One of a megabyte makes a sentence, too.
    let long = "é".repeat(1 << 19);
    for error in [
        ctr::Container::create("host", &Config::default().with(|c| c.name = Some(long.clone()))).err(),
        ctr::Container::create(&long, &Config::default()).err(),
        ctr::Container::join(&long).err(),
        c.exec(["true"], &plain.clone().with(|c| c.user = Some(long.clone()))).err(),
    ] {
        is_one_short_line(&error.unwrap().to_string());
    }
    assert_eq!(c.exec([&long], &plain).err().unwrap().code(), ErrorCode::Exec);
    // What explain prints of a bind's target and a hostname.
    let source = scratch().join("given");
    std::fs::create_dir(&source).unwrap();
    let config = Config::default().with(|c| {
        c.hostname = Some("h\x1b[31m".into());
        c.mounts = vec![ctr::Mount::Bind(ctr::Bind::new(source, format!("/t{HOSTILE}")).with(|b| b.read_only = true))];
    });
    let told = ctr::explain("host", &config).unwrap();
    assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
    assert!(!told.lines().any(|line| line.starts_with("D /etc/passwd")), "{told}");
});
