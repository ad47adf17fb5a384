//! `src/ffi/ctr.map`, the linker's version script: which symbol libctr.so exports, and since which release.

use std::collections::BTreeSet;
use std::error::Error;

const ABOUT: &str = "\
/* What libctr.so exports, and since which release. `make header` adds what src/ffi declares to the node of the present
   release; nodes of earlier ones stay as they are. */
";

/// A node: the symbols that came with a release.
struct Node {
    name: String,
    symbols: BTreeSet<String>,
}

/// The functions that a header declares, each on a line of its own.
pub fn declared(header: &str) -> BTreeSet<String> {
    let functions =
        header.lines().filter(|line| line.ends_with(");") && line.starts_with(|c: char| c.is_ascii_lowercase()));
    let names = functions.filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next());
    names.filter(|name| name.starts_with("ctr_")).map(str::to_owned).collect()
}

/// The map with the functions of `header`, as release `major.minor` has them. An error where one of an earlier release is gone.
pub fn updated(map: &str, header: &str, release: &str) -> Result<String, Box<dyn Error>> {
    let mut nodes = parsed(map)?;
    let mut new = declared(header);
    let present = format!("CTR_{release}");
    for node in nodes.iter().filter(|node| node.name != present) {
        if let Some(gone) = node.symbols.iter().find(|symbol| !new.contains(*symbol)) {
            return Err(format!("{gone} of {} is not declared any more: symbols are never removed", node.name).into());
        }
    }
    for node in nodes.iter().filter(|node| node.name != present) {
        new.retain(|symbol| !node.symbols.contains(symbol));
    }
    nodes.retain(|node| node.name != present);
    if !new.is_empty() {
        nodes.push(Node { name: present, symbols: new });
    }
    Ok(written(&nodes))
}

fn parsed(map: &str) -> Result<Vec<Node>, Box<dyn Error>> {
    let mut nodes: Vec<Node> = Vec::new();
    for line in map.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" {") {
            nodes.push(Node { name: name.to_owned(), symbols: BTreeSet::new() });
        } else if let Some(symbol) = line.strip_suffix(';').filter(|symbol| symbol.starts_with("ctr_")) {
            let node = nodes.last_mut().ok_or("src/ffi/ctr.map: a symbol before the first node")?;
            if symbol != "ctr_*" {
                node.symbols.insert(symbol.to_owned());
            }
        }
    }
    Ok(nodes)
}

fn written(nodes: &[Node]) -> String {
    let mut out = ABOUT.to_owned();
    let mut before = "";
    for node in nodes {
        out += &format!("{} {{\n\tglobal:\n", node.name);
        out.extend(node.symbols.iter().map(|symbol| format!("\t\t{symbol};\n")));
        if before.is_empty() {
            out += "\tlocal:\n\t\t*;\n};\n";
        } else {
            out += &format!("}} {before};\n");
        }
        before = &node.name;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "typedef int (*ctr_f)(void);\n * ctr_no();\nint ctr_b(const char *x);\nconst char *ctr_a(void);\n";

    #[test]
    fn functions_are_found_and_nothing_else() {
        assert_eq!(declared(HEADER), ["ctr_a", "ctr_b"].map(String::from).into());
    }

    #[test]
    fn a_new_function_goes_to_the_present_release() {
        let first = updated("", HEADER, "0.1").unwrap();
        assert_eq!(updated(&first, HEADER, "0.1").unwrap(), first);
        assert_eq!(updated(&first, HEADER, "0.2").unwrap(), first);
        let second = updated(&first, &format!("{HEADER}int ctr_c(void);\n"), "0.2").unwrap();
        assert_eq!(second, format!("{first}CTR_0.2 {{\n\tglobal:\n\t\tctr_c;\n}} CTR_0.1;\n"));
        assert!(updated(&second, "int ctr_a(void);\n", "0.2").is_err());
    }
}
