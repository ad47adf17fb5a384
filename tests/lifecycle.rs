//! The main job: create, exec, wait, destroy.
use ctr::{Config, Container, ExecConfig, Stdio};
use std::io::Read;

fn output(c: &Container, argv: &[&str]) -> (String, i32) {
    let config = ExecConfig { stdout: Stdio::Pipe, stderr: Stdio::Stdout, stdin: Stdio::Null, ..ExecConfig::default() };
    let p = c.exec(argv, &config).unwrap();
    let mut text = String::new();
    std::fs::File::from(p.take_stdout().unwrap()).read_to_string(&mut text).unwrap();
    (text, p.wait(None).unwrap().unwrap().code)
}

#[test]
fn a_program_of_the_host_runs_isolated() {
    let c = Container::create("host", &Config::default()).unwrap();
    let (text, code) = output(
        &c,
        &[
            "sh",
            "-c",
            "id; ps ax; mount; ls -la / /dev; hostname; ip a; cat /proc/self/status | grep -E 'Cap|NoNew'; ls -la /proc/self/fd; cat /proc/self/uid_map",
        ],
    );
    println!("{text}");
    assert_eq!(code, 0);
    c.destroy().unwrap();
    c.destroy().unwrap();
}
