//! Each option is declared once, in Config or ExecConfig, and reaches every face by its name there: C, Python, the command line,
//! and the documents. What a face leaves out, or calls otherwise, is in a list here with the reason.

mod common;

use std::collections::BTreeSet;

use common::sh;
use ctr::{Config, Container, ErrorCode, ExecConfig, Namespace, Network};
use serde::de::{Deserialize, Deserializer, Error, Visitor, value};
use serde::forward_to_deserialize_any;

/// A field, and what it is called in a face.
type Renamed = (&'static str, &'static [&'static str]);
/// A field, and why a face doesn't have it.
type LeftOut = (&'static str, &'static str);

fn source(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names of a struct's fields, as serde knows them.
fn fields<'de, T: Deserialize<'de>>() -> Vec<String> {
    struct Names<'a>(&'a mut Vec<String>);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, value::Error> {
            self.0.extend(fields.iter().map(ToString::to_string));
            Err(Error::custom("only names are wanted"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
            Err(Error::custom("only names are wanted"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names = Vec::new();
    _ = T::deserialize(Names(&mut names));
    names
}

/// Holds what a face has against what there is to have.
fn compare(face: &str, has: &[String], fields: &[String], renamed: &[Renamed], left_out: &[LeftOut], more: &[LeftOut]) {
    let mut wanted: BTreeSet<String> = more.iter().map(|(name, _)| name.to_string()).collect();
    for field in fields {
        if left_out.iter().any(|(name, _)| name == field) {
            continue;
        }
        match renamed.iter().find(|(name, _)| name == field) {
            Some((_, names)) => wanted.extend(names.iter().map(ToString::to_string)),
            None => _ = wanted.insert(field.clone()),
        }
    }
    let has: BTreeSet<String> = has.iter().cloned().collect();
    let lacks: Vec<_> = wanted.difference(&has).collect();
    let unknown: Vec<_> = has.difference(&wanted).collect();
    assert!(lacks.is_empty(), "{face} lacks {lacks:?}: see docs/extending.md");
    assert!(unknown.is_empty(), "{face} has {unknown:?}, which no field stands behind");
    for name in renamed.iter().map(|(name, _)| name).chain(left_out.iter().map(|(name, _)| name)) {
        assert!(fields.iter().any(|field| field == name), "{face}: {name} is no field any more");
    }
}

/// The names behind `prefix` and one of `verbs`, as ctr.h declares them.
fn setters(prefix: &str, verbs: &[&str]) -> Vec<String> {
    let header = source("include/ctr.h");
    let declared = |line: &str| {
        let name = line.strip_prefix("int ")?.strip_prefix(prefix)?.split('(').next()?.to_string();
        let verb = verbs.iter().find(|verb| name.starts_with(**verb))?;
        // add_env and set_name are of env and name; drop_capability has its verb in the name.
        Some(if *verb == "drop_" { name } else { name[verb.len()..].to_string() })
    };
    header.lines().filter_map(declared).collect()
}

/// The keys of a TypedDict of python/ctr/_types.py.
fn keys(class: &str) -> Vec<String> {
    let text = source("python/ctr/_types.py");
    let body = text.split_once(&format!("class {class}(")).unwrap_or_else(|| panic!("no {class}")).1;
    let lines = body.lines().skip(1).take_while(|line| line.is_empty() || line.starts_with("    "));
    let key = |line: &str| {
        let (name, _) = line.strip_prefix("    ")?.split_once(": ")?;
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then(|| name.to_string())
    };
    lines.filter_map(key).collect()
}

/// The first strings of the rows of python/ctr/_cli_options.py.
fn rows() -> Vec<String> {
    let text = source("python/ctr/_cli_options.py");
    let rows = text.split("Row(").skip(1).filter_map(|row| row.trim_start().strip_prefix('"'));
    rows.map(|row| row.split('"').next().unwrap().to_string()).collect()
}

#[test]
fn every_option_of_containers_has_a_setter_in_c() {
    let renamed: [Renamed; 12] = [
        ("mounts", &["mount_bind", "mount_owned", "mount_from", "mount_image", "tmpfs", "volume", "disk", "scratch"]),
        ("ports", &["port"]),
        ("aliases", &["alias"]),
        ("namespaces", &["namespace", "namespace_pid", "namespace_path", "namespace_container"]),
        ("time_offsets", &["time_offset"]),
        ("seccomp", &["seccomp", "seccomp_file", "seccomp_json"]),
        ("rlimits", &["rlimit"]),
        ("sysctls", &["sysctl"]),
        ("devices", &["device"]),
        ("cap_add", &["capability"]),
        ("cap_drop", &["drop_capability"]),
        ("env", &["env"]),
    ];
    let setters = setters("ctr_config_", &["set_", "add_", "drop_"]);
    compare("ctr.h", &setters, &fields::<Config>(), &renamed, &[], &[]);
}

#[test]
fn every_option_of_containers_is_a_keyword_in_python_with_a_line_of_documentation() {
    let more = [("progress", "it hears of the import of an image, and is no part of a container")];
    let keywords = [keys("OfContainers"), keys("ContainerOptions")].concat();
    compare("ctr.Container", &keywords, &fields::<Config>(), &[], &[], &more);
    let text = source("python/ctr/_container.py");
    let args = text.split_once("        Args:\n            image: ").unwrap().1.split_once("\"\"\"").unwrap().0;
    let documented = |name: &&String| args.contains(&format!("\n            {name}: "));
    let missing: Vec<_> = keywords.iter().filter(|name| !documented(name)).collect();
    assert!(missing.is_empty(), "the docstring of ctr.Container lacks {missing:?}");
}

#[test]
fn every_option_of_containers_can_be_typed() {
    let left_out = [
        ("env", "-e says what the program has, which is what everybody means who types it"),
        ("detached", "-d is an option of run alone, explain makes nothing"),
        ("state_dir", "every command heeds $CTR_STATE_DIR, or exec and ps would not find what run made"),
        ("store_dir", "every command heeds $CTR_STORE_DIR"),
    ];
    compare("the command line", &rows(), &fields::<Config>(), &[], &left_out, &[]);
}

#[test]
fn every_option_of_programs_has_a_setter_in_c() {
    let renamed: [Renamed; 6] = [
        ("groups", &["group"]),
        ("session", &["session", "process_group"]),
        ("stdin", &["stdio", "stdio_fd"]),
        ("stdout", &["stdio"]),
        ("stderr", &["stdio"]),
        ("fds", &["fd"]),
    ];
    compare("ctr.h", &setters("ctr_exec_config_", &["set_", "add_"]), &fields::<ExecConfig>(), &renamed, &[], &[]);
}

#[test]
fn every_option_of_programs_is_a_keyword_in_python() {
    let renamed: [Renamed; 4] = [
        ("program", &["executable"]),
        ("groups", &["extra_groups"]),
        ("fds", &["pass_fds"]),
        ("session", &["process_group", "start_new_session"]),
    ];
    let left_out =
        [("clear_env", "env is the whole environment, as in subprocess, and extra_env is over the container's")];
    let more = [
        ("extra_env", "env of ExecConfig, where env is the whole one"),
        ("group", "a part of user"),
        ("shell", "as in subprocess: of the arguments"),
        ("bufsize", "as in subprocess: of the pipes' file objects"),
        ("pipesize", "as in subprocess: of the pipes"),
        ("preexec_fn", "of subprocess, can only be idle"),
        ("close_fds", "of subprocess, can only be idle"),
        ("startupinfo", "of subprocess, can only be idle"),
        ("creationflags", "of subprocess, can only be idle"),
        ("restore_signals", "of subprocess, can only be idle"),
    ];
    compare("Container.popen", &keys("PopenOptions"), &fields::<ExecConfig>(), &renamed, &left_out, &more);
}

#[test]
fn every_option_of_programs_can_be_typed_or_need_not_be() {
    let text = source("python/ctr/_cli.py");
    let about = text.split_once("def _about_the_program").unwrap().1.split_once("\ndef ").unwrap().0;
    let long = |call: &str| Some(call.split_once("\"--")?.1.split('"').next()?.to_string());
    let options: Vec<_> = about.split("add(").skip(1).filter_map(long).collect();
    let renamed: [Renamed; 4] = [
        ("cwd", &["workdir"]),
        ("pty", &["tty", "no-tty"]),
        ("time_limit", &["timeout"]),
        ("cpu_time_limit", &["cpu-timeout"]),
    ];
    let left_out = [
        ("program", "what is typed is what is run"),
        ("clear_env", "env -i does it, before the program"),
        ("groups", "docker exec has none either; the image's /etc/group says"),
        ("umask", "sh -c 'umask …' does it"),
        ("stdin", "the shell redirects"),
        ("stdout", "the shell redirects"),
        ("stderr", "the shell redirects"),
        ("fds", "the shell can't say which of its own"),
        ("session", "a program that is typed has a session of its own, or a terminal"),
        ("start_timeout", "a person has Ctrl-C"),
    ];
    let more = [("interactive", "as docker's, and does nothing")];
    compare("run and exec", &options, &fields::<ExecConfig>(), &renamed, &left_out, &more);
}

#[test]
fn a_domain_name_is_set_in_a_uts_namespace_of_its_own() {
    let domain = || std::fs::read_to_string("/proc/sys/kernel/domainname").unwrap();
    let before = domain();
    let config = Config::default().with(|c| c.domainname = Some("inside.example".into()));
    let container = Container::create("host", &config).unwrap();
    assert_eq!(sh(&container, "cat /proc/sys/kernel/domainname"), "inside.example");
    assert_eq!(domain(), before, "the host's is its own");
    let walls = container.walls().unwrap();
    let uts = walls.iter().find(|wall| wall.name == "UTS namespace").unwrap();
    assert!(uts.says.contains("inside.example"), "{uts:?}");
    let text = ctr::explain("host", &config).unwrap();
    assert!(text.contains("domainname inside.example"), "{text}");
    let mut shared = config.clone();
    shared.namespaces.uts = Namespace::Host;
    let long = Config::default().with(|c| c.domainname = Some("x".repeat(65)));
    for (config, why) in [(shared, "not the container's own"), (long, "longer than 64 bytes")] {
        let error = Container::create("host", &config).err().unwrap();
        assert!(error.code() == ErrorCode::Invalid && error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_network_is_chosen_once() {
    let mut config = Config::default().with(|c| c.network = Some(Network::Host));
    let container = Container::create("host", &config).unwrap();
    assert_eq!(sh(&container, "readlink /proc/self/ns/net"), sh_outside("/proc/self/ns/net"));
    assert_eq!(container.inspect().unwrap().network, "host");
    config.namespaces.net = Namespace::Host;
    let error = Container::create("host", &config).err().unwrap();
    assert!(error.to_string().contains("may not both be used"), "{error}");
}

fn sh_outside(link: &str) -> String {
    std::fs::read_link(link).unwrap().to_string_lossy().into_owned()
}
