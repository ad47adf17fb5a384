//! Programs that people run, in a Debian that mmdebstrap makes once: as root, as an ordinary user with ranges of ids and as one with
//! a single id; see tools/test.

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use common::{LONG, captured, has_ids, quiet, read_all, run_with, skipped};
use ctr::{Bind, Config, Container, ExecConfig, Mount, Process, Volume};

const PACKAGES: &str =
    "nginx-light,postgresql,redis-server,openjdk-17-jre-headless,nodejs,sudo,git,python3-minimal,iputils-ping";

/// The archive; the lanes of ordinary users find it where root's lane has made it.
fn archive() -> Result<PathBuf, String> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = || {
        let given = Path::new("/mnt/programs.tar");
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs.tar");
        if let Some(there) = [given, &place].into_iter().find(|path| File::open(path).is_ok()) {
            return Ok(there.to_path_buf());
        }
        if !nix::unistd::geteuid().is_root() {
            return Err("there is no /mnt/programs.tar, which root's lane makes".into());
        }
        let new = place.with_extension(format!("{}.tar", std::process::id()));
        let include = format!("--include={PACKAGES}");
        let mut debootstrap = Command::new("mmdebstrap");
        let made = debootstrap.args(["--quiet", "--variant=apt", &include, "bookworm"]).arg(&new).output();
        match made {
            Ok(output) if output.status.success() => {
                std::fs::rename(&new, &place).map(|()| place).map_err(|error| error.to_string())
            }
            other => {
                _ = std::fs::remove_file(&new);
                let said = |output: std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
                let why = other.map_or_else(|error| error.to_string(), said);
                Err(format!("mmdebstrap bookworm: {}", why.lines().last().unwrap_or_default()))
            }
        }
    };
    MADE.get_or_init(make).clone()
}

/// A container of it; None where there is no image, which is said.
fn debian(config: Config) -> Option<Container> {
    let archive = archive().map_err(|why| skipped(&why)).ok()?;
    // The archive is unpacked once, not once for each test.
    static FIRST: Mutex<()> = Mutex::new(());
    let _one = FIRST.lock().unwrap();
    let store = common::scratch("programs-store");
    let config = config.with(|c| {
        c.store_dir = Some(store);
        c.hostname = Some("box".into());
    });
    Some(Container::create(&archive, &config).unwrap())
}

fn as_user(user: &str, config: ExecConfig) -> ExecConfig {
    config.with(|c| c.user = Some(user.into()))
}

/// A script that has to succeed; what it said on both streams.
fn says(c: &Container, user: &str, script: &str) -> String {
    let (said, exit) = run_with(c, &["/bin/sh", "-euc", script], &as_user(user, captured()));
    assert_eq!(exit.code, 0, "{script} as {user} said: {said}");
    said.trim_end().to_string()
}

/// A program that goes on until the container ends, with its output in a pipe.
fn serve(c: &Container, user: &str, script: &str) -> Process {
    c.exec(["/bin/sh", "-euc", script], &as_user(user, captured())).unwrap()
}

/// Tries a script until it succeeds.
fn until(c: &Container, user: &str, script: &str) -> String {
    for _ in 0..300 {
        let (said, exit) = run_with(c, &["/bin/sh", "-euc", script], &as_user(user, captured()));
        if exit.code == 0 {
            return said.trim_end().to_string();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{script} as {user} never succeeds");
}

/// Where there is one id only, another user is refused by name.
fn other_users(c: &Container, name: &str) -> bool {
    if has_ids(c, 65536) {
        return true;
    }
    let error = c.exec(["true"], &as_user(name, quiet())).err().expect("there is no such id").to_string();
    assert!(error.contains("single id"), "{error}");
    false
}

const GET: &str = "bash -euc 'exec 3<>/dev/tcp/localhost/80; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'";

/// As in nginx's own image, the logs are links to the streams.
#[test]
fn nginx_logs_to_its_streams() {
    let Some(c) = debian(Config::default()) else { return };
    says(&c, "0", "ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log");
    let many = has_ids(&c, 65536);
    if !many {
        // Its workers become www-data, whom there isn't with a single id.
        let (said, exit) = run_with(&c, &["timeout", "9", "nginx", "-g", "daemon off;"], &captured());
        assert!(exit.code != 0, "{said}");
        says(&c, "0", "sed -i 's/^user .*/user root;/' /etc/nginx/nginx.conf");
    }
    let master = serve(&c, "0", "exec nginx -g 'daemon off;'");
    let page = until(&c, "0", GET);
    assert!(page.contains("nginx"), "{page}");
    let mut lines = BufReader::new(File::from(master.take_stdout().unwrap())).lines();
    assert!(lines.any(|line| line.unwrap().contains("GET / HTTP/1.0")), "its access log came to its stdout");
}

#[test]
fn nginx_serves_port_80_as_an_ordinary_user() {
    let Some(c) = debian(Config::default()) else { return };
    if !other_users(&c, "www-data") {
        return;
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path /tmp/{kind}; "))
        .concat();
    let settings = format!(
        "pid /tmp/pid; events {{}} http {{ {temporary} access_log /dev/stdout; server {{ listen 80; root /var/www/html; }} }}"
    );
    let script = format!("echo '{settings}' > /tmp/conf; exec nginx -e /dev/stderr -c /tmp/conf -g 'daemon off;'");
    let master = serve(&c, "www-data", &script);
    assert!(until(&c, "www-data", GET).contains("nginx"));
    master.kill(libc::SIGTERM).unwrap();
    assert!(read_all(master.take_stdout().unwrap()).contains("GET / HTTP/1.0"));
}

#[test]
fn postgres_answers_as_its_own_user() {
    let Some(c) = debian(Config::default()) else { return };
    const BIN: &str = "/usr/lib/postgresql/15/bin";
    // It refuses to be root, whoever root is.
    let (said, exit) = run_with(&c, &[&format!("{BIN}/initdb"), "-D", "/tmp/data"], &captured());
    assert!(exit.code != 0 && said.contains("root"), "{said}");
    if !other_users(&c, "postgres") {
        return;
    }
    says(&c, "postgres", &format!("{BIN}/initdb -D ~/data --no-sync --auth=trust --encoding=UTF8 --locale=C"));
    let server = serve(&c, "postgres", &format!("exec {BIN}/postgres -D ~/data -k /tmp -c fsync=off"));
    let query = "psql -h /tmp -At -c \"create table if not exists t (n int); insert into t values (40), (2); select sum(n) from t\"";
    assert!(until(&c, "postgres", query).ends_with("42"));
    assert_eq!(says(&c, "postgres", "psql -h localhost -At -c 'select count(*) from t'"), "2");
    server.kill(libc::SIGINT).unwrap();
    assert_eq!(server.wait(LONG).unwrap().unwrap().code, 0);
}

/// The server is killed in the middle of a load, with the whole container, and a new one has all that was committed.
fn postgres_keeps_what_was_committed(mount: &Mount, is_filled: bool) {
    const BIN: &str = "/usr/lib/postgresql/15/bin";
    let make = || debian(Config::default().with(|c| c.mounts = vec![mount.clone()]));
    let Some(c) = make() else { return };
    if !other_users(&c, "postgres") {
        return;
    }
    if !is_filled {
        says(&c, "0", "chown postgres:postgres /var/lib/postgresql");
    }
    assert_eq!(says(&c, "0", "stat -c %U:%G /var/lib/postgresql"), "postgres:postgres");
    says(&c, "postgres", &format!("{BIN}/initdb -D ~/data --no-sync --auth=trust --encoding=UTF8 --locale=C"));
    let serving = format!("exec {BIN}/postgres -D ~/data -k /tmp");
    serve(&c, "postgres", &serving);
    until(&c, "postgres", "psql -h /tmp -c 'create table t (n int primary key)'");
    let load = "for n in $(seq 100000); do echo \"insert into t values ($n);\"; done | psql -h /tmp";
    let load = serve(&c, "postgres", load);
    let mut said = BufReader::new(File::from(load.take_stdout().unwrap())).lines();
    let mut committed = 0;
    let is_commit = |line: std::io::Result<String>| line.is_ok_and(|line| line == "INSERT 0 1");
    while committed < 500 {
        committed += usize::from(is_commit(said.next().expect("it goes on")));
    }
    // SAFETY: it is the container's first process, so all that runs in it ends.
    unsafe { libc::kill(c.pid(), libc::SIGKILL) };
    committed += said.filter_map(|line| is_commit(line).then_some(())).count();
    assert!(committed < 100_000, "it was killed too late");
    drop(c);
    let c = make().unwrap();
    let server = serve(&c, "postgres", &serving);
    let found = until(&c, "postgres", "psql -h /tmp -AtF ' ' -c 'select count(*), max(n) from t'");
    let (rows, last) = found.split_once(' ').unwrap();
    let rows: usize = rows.parse().unwrap();
    assert!(rows.to_string() == last && rows >= committed, "{committed} were committed, and there are {found}");
    server.kill(libc::SIGINT).unwrap();
    assert_eq!(server.wait(LONG).unwrap().unwrap().code, 0);
}

#[test]
fn postgres_on_a_volume_keeps_what_was_committed_when_it_is_killed() {
    // Its own user has it: the image's directory fills it.
    postgres_keeps_what_was_committed(&Volume::new("postgres", "/var/lib/postgresql").into(), true);
}

#[test]
fn postgres_on_a_bind_keeps_what_was_committed_when_it_is_killed() {
    let directory = common::scratch("postgres");
    postgres_keeps_what_was_committed(&Bind::new(directory, "/var/lib/postgresql").into(), false);
}

#[test]
fn redis_keeps_what_it_is_given() {
    let Some(c) = debian(Config::default()) else { return };
    let user = if other_users(&c, "redis") { "redis" } else { "0" };
    let home = if user == "redis" { "/var/lib/redis" } else { "/tmp" };
    let server = serve(&c, user, &format!("cd {home}; exec redis-server --port 6379 --daemonize no"));
    assert_eq!(until(&c, user, "redis-cli set key value"), "OK");
    assert_eq!(says(&c, user, "redis-cli get key; redis-cli save"), "value\nOK");
    server.kill(libc::SIGTERM).unwrap();
    server.wait(LONG).unwrap().unwrap();
    assert_eq!(says(&c, "0", &format!("stat -c %U {home}/dump.rdb")), if user == "redis" { "redis" } else { "root" });
}

#[test]
fn a_jvm_works_within_a_limit() {
    let Some(c) = debian(Config::default().with(|c| c.memory = common::memory_if_possible(512 << 20))) else { return };
    let script = "java -Xmx128m -version 2>&1; keytool -J-Xmx128m -genkeypair -keystore /tmp/k -storepass secret -alias a -keyalg EC \
                  -dname CN=x 2>/dev/null; keytool -J-Xmx128m -list -keystore /tmp/k -storepass secret";
    let said = says(&c, "0", script);
    assert!(said.contains("17.") && said.contains("PrivateKeyEntry"), "{said}");
}

#[test]
fn node_serves_and_finds_its_own_name() {
    let Some(c) = debian(Config::default()) else { return };
    let script = "node -e \"require('dns').lookup(require('os').hostname(), (e, a) => { if (e) throw e; console.log(a); \
                  const s = require('http').createServer((q, r) => r.end('hi')).listen(80, () => \
                  fetch('http://localhost/').then(r => r.text()).then(t => { console.log(t); s.close(); process.exit() })) })\"";
    assert_eq!(says(&c, "0", script), "127.0.1.1\nhi");
    if other_users(&c, "www-data") {
        assert_eq!(says(&c, "www-data", script), "127.0.1.1\nhi");
    }
}

#[test]
fn sudo_finds_its_host_and_raises_who_may() {
    let Some(c) = debian(Config::default().with(|c| c.new_privileges = true)) else { return };
    if !other_users(&c, "www-data") {
        // It sets the groups of whom it becomes, and there are none to be set.
        let (said, exit) = run_with(&c, &["sudo", "id", "-un"], &captured());
        assert!(exit.code != 0 && !said.contains("resolve host"), "{said}");
        return;
    }
    // Nothing of "unable to resolve host".
    assert_eq!(says(&c, "0", "sudo id -un"), "root");
    assert_eq!(says(&c, "0", "sudo -u www-data id -un"), "www-data");
    says(
        &c,
        "0",
        "echo 'www-data ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/www-data; chmod 440 /etc/sudoers.d/www-data",
    );
    assert_eq!(says(&c, "www-data", "sudo -n id -un"), "root");
    // And nobody by default.
    let Some(c) = debian(Config::default()) else { return };
    says(&c, "0", "echo 'www-data ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/www-data");
    let (said, exit) = run_with(&c, &["sudo", "-n", "id", "-un"], &as_user("www-data", captured()));
    assert!(exit.code != 0 && said.contains("no new privileges"), "{said}");
}

#[test]
fn git_commits() {
    let Some(c) = debian(Config::default()) else { return };
    let script = "cd $(mktemp -d); git init -q; echo x > f; git add f; git -c user.name=me -c user.email=me@box commit -qm first; \
                  git log --format=%s";
    assert_eq!(says(&c, "0", script), "first");
    if other_users(&c, "1234") {
        assert_eq!(says(&c, "1234", script), "first");
    }
}

#[test]
fn packages_are_made_and_installed() {
    let Some(c) = debian(Config::default()) else { return };
    let script = "apt-get --version | head -n 1; mkdir -p /tmp/p/DEBIAN /tmp/p/opt/hello; echo hi > /tmp/p/opt/hello/file; \
                  printf 'Package: hello-box\\nVersion: 1\\nArchitecture: all\\nMaintainer: me <me@box>\\nDescription: x\\n' \
                  > /tmp/p/DEBIAN/control; dpkg-deb --root-owner-group --build /tmp/p /tmp/p.deb >/dev/null; \
                  dpkg -i /tmp/p.deb >/dev/null 2>&1; cat /opt/hello/file; dpkg-query -W -f '${Status}' hello-box";
    let said = says(&c, "0", script);
    assert!(said.starts_with("apt ") && said.ends_with("hi\ninstall ok installed"), "{said}");
}

#[test]
fn ping_and_python_find_localhost_and_their_own_name() {
    let Some(c) = debian(Config::default()) else { return };
    let script = "ping -qc1 localhost | grep -c '1 received'; ping -qc1 box | grep -c '1 received'; \
                  python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()))'";
    assert_eq!(says(&c, "0", script), "1\n1\n127.0.1.1");
    if other_users(&c, "www-data") {
        assert_eq!(says(&c, "www-data", script), "1\n1\n127.0.1.1");
    }
}
