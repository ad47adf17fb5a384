//! Steps have an identity beside their text: the documents list all of them, each is one that is done, and nothing but people
//! goes by the text.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ctr::{Config, Container, Step};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below `directory` of these kinds.
fn sources(directory: &str, kinds: &[&str]) -> Vec<(PathBuf, String)> {
    let (mut found, mut todo) = (Vec::new(), vec![root().join(directory)]);
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|kind| kinds.iter().any(|wanted| kind == *wanted)) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{directory}");
    found
}

#[test]
fn the_documents_list_every_step_with_its_text_below_its_phase() {
    let text = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let mut phase = "";
    let mut listed = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            phase = name;
        } else if let Some(row) = line.strip_prefix("| `") {
            listed.push((phase.to_string(), format!("| `{row}")));
        }
    }
    let rows =
        Step::all().map(|step| (step.phase().name().to_string(), format!("| `{}` | {} |", step.id(), step.text())));
    let rows: Vec<_> = rows.collect();
    for (phase, row) in &rows {
        assert!(listed.contains(&(phase.clone(), row.clone())), "docs/errors.md lacks, below ### {phase}:\n{row}");
    }
    for (phase, row) in &listed {
        assert!(
            rows.contains(&(phase.clone(), row.clone())),
            "docs/errors.md has, below ### {phase}, what is no step:\n{row}"
        );
    }
    assert_eq!(listed, rows, "docs/errors.md has another order than src/step/table.rs");
}

#[test]
fn every_step_of_the_table_is_done_somewhere() {
    let mut named = BTreeSet::new();
    let code = [sources("src", &["rs"]), sources("bindings", &["rs"])].concat();
    for (_, text) in code.iter().filter(|(path, _)| !path.ends_with("src/step/table.rs")) {
        // What only tests do, nobody does.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for after in text.split("Step::").skip(1) {
            named.insert(after.chars().take_while(char::is_ascii_alphanumeric).collect::<String>());
        }
    }
    let python: String = sources("python", &["py"]).into_iter().map(|(_, text)| text).collect();
    for step in Step::all() {
        let is_done = named.contains(&format!("{step:?}")) || python.contains(&format!("\"{}\"", step.id()));
        assert!(is_done, "nothing does the step {}", step.id());
    }
}

#[test]
fn no_code_goes_by_the_text_of_a_step() {
    let all = ["src", "bindings", "python", "tests", "examples"]
        .map(|directory| sources(directory, &["rs", "py", "c", "cpp", "h", "ipynb"]));
    for (path, text) in all.concat() {
        if path.ends_with("tests/steps.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}: {}", path.display(), number + 1, line.trim());
            for (before, after) in [".step()", ".step "].iter().filter_map(|asked| line.split_once(asked)) {
                let after = after.trim_start();
                let compared = ["==", "!=", "in (", "in {", ".contains(", ".starts_with(", ".ends_with("];
                assert!(!compared.iter().any(|how| after.starts_with(how)), "{place}");
                assert!(!before.trim_start().starts_with("match ") && !before.contains(" match "), "{place}");
            }
            assert!(!line.contains("strcmp(ctr_last_step()") && !line.contains(".step.startswith("), "{place}");
        }
    }
}

#[test]
fn an_error_tells_which_step_failed() {
    let error = Container::join("no-such-container").err().unwrap();
    assert_eq!(
        (error.failed_step(), error.step_id(), error.step()),
        (Step::FindContainer, "find-container", "find container")
    );
    assert_eq!(Step::from_id(error.step_id()), Some(Step::FindContainer));
    assert_eq!(Step::from_id("find container"), None);
    let error = Container::create("/no/such/image", &Config::default()).err().unwrap();
    assert_eq!((error.step_id(), error.object()), ("find-image", "/no/such/image"));
    assert!(error.to_string().starts_with(&format!("{} {}: ", error.step(), error.object())), "{error}");
}
