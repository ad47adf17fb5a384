//! Writes `include/ctr.h` from the doc comments and signatures of `src/ffi`, and the names of its functions to
//! `src/ffi/ctr.map`: `make header`. With `--check` it writes nothing and fails when a committed file is not what it would
//! write: `make lint`.

mod map;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const HEADER: &str = "include/ctr.h";
const MAP: &str = "src/ffi/ctr.map";

/// The order of the header, which is read from top to bottom.
const FILES: [&str; 29] = [
    "types",
    "config",
    "config_limits",
    "walls",
    "container",
    "limits",
    "pause",
    "mounts",
    "disks",
    "sockets",
    "ports",
    "networks",
    "files",
    "copy",
    "stats",
    "exec_config",
    "process",
    "watch",
    "list",
    "inspect",
    "probe",
    "images",
    "volumes",
    "image_options",
    "image",
    "image_config",
    "changes",
    "scratch",
    "error",
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let header = generate(&root)?;
    let release = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    let map = map::updated(&fs::read_to_string(root.join(MAP)).unwrap_or_default(), &header, release)?;
    let mut answer = ExitCode::SUCCESS;
    for (name, text) in [(HEADER, header), (MAP, map)] {
        if fs::read_to_string(root.join(name)).is_ok_and(|committed| committed == text) {
            continue;
        }
        if env::args().any(|argument| argument == "--check") {
            eprintln!("{name} is not what src/ffi says: run `make header` and commit the result");
            answer = ExitCode::FAILURE;
        } else {
            fs::write(root.join(name), text)?;
            println!("wrote {name}");
        }
    }
    Ok(answer)
}

fn generate(root: &Path) -> Result<String, Box<dyn Error>> {
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    config.after_includes = config.after_includes.map(|text| {
        text.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
            .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
            .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
            .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
    });
    let source = |name: &str| -> PathBuf { root.join("src/ffi").join(name).with_extension("rs") };
    let builder =
        FILES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, name| builder.with_src(source(name)));
    let mut header = Vec::new();
    builder.generate()?.write(&mut header);
    Ok(short(&String::from_utf8(header)?))
}

/// A line as every C and C++ takes it: no comma at the end of an enumeration, no comment of C99. `closes`: the next
/// line ends the braces.
fn plain(line: &str, closes: bool) -> String {
    let line = if line.starts_with("typedef") { line.to_owned() } else { line.replace("struct ctr_", "ctr_") };
    match (line.strip_suffix(',').filter(|_| closes), line.split_once("// ")) {
        (Some(last), _) => last.to_owned(),
        (None, Some((code, comment))) if code.starts_with(['#', '}']) => format!("{} /* {comment} */", code.trim_end()),
        _ => line,
    }
}

/// Comments of one line on one line, and types of parameters without their keyword, as a person would write it.
fn short(header: &str) -> String {
    let lines: Vec<&str> = header.lines().collect();
    let mut out = String::with_capacity(header.len());
    let mut at = 0;
    while at < lines.len() {
        let text = lines.get(at + 1).and_then(|line| line.trim_start().strip_prefix("* "));
        let ends = lines.get(at + 2).is_some_and(|line| line.trim() == "*/");
        match (lines[at].strip_suffix("/**"), text, ends) {
            (Some(indent), Some(text), true) => {
                out += &format!("{indent}/** {text} */\n");
                at += 3;
            }
            _ => {
                out += &plain(lines[at], lines.get(at + 1).is_some_and(|next| next.starts_with("} ")));
                out.push('\n');
                at += 1;
            }
        }
    }
    out
}
