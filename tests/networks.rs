//! Named networks: containers that find each other by name, and nobody else. Each test has a network namespace of its own that plays the
//! host, so nothing of this machine's network is touched.

mod common;

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{IpAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::leftovers::{Scope, wait_for_none};
use common::{busybox, captured, end_of, run, sh, skipped};
use ctr::{Config, Container, Error, ErrorCode, NamedNetwork, Network, SocketType, Step};
use nix::unistd::geteuid;

/// Runs this test once more in a network namespace of its own; false in there, and where it can't be run.
fn played(test: &str) -> bool {
    if std::env::var_os(PLAYED).is_some() {
        return false;
    }
    if !geteuid().is_root() {
        skipped("named networks are root's");
        return true;
    }
    let exe = std::env::current_exe().unwrap();
    let ran = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" --exact \"$1\" --nocapture --test-threads=1"])
        .arg(exe)
        .arg(test)
        .env(PLAYED, "1")
        .output()
        .expect("unshare is there");
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    for line in said.lines().filter_map(|line| line.split_once("SKIPPED ")) {
        skipped(line.1);
    }
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    true
}

const PLAYED: &str = "CTR_TEST_NETWORK_PLAYED";

/// Runs the body where [`played`] says so.
macro_rules! played {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {
        $(#[test]
        $(#[$attribute])*
        fn $name() {
            if !played(stringify!($name)) && has_bridges() $body
        })*
    };
}

/// Whether the kernel has what networks are made of.
fn has_bridges() -> bool {
    let scope = Scope::new("probe");
    network(&scope, "probe");
    match Container::create(busybox(), &member_config(&scope, "probe")) {
        Err(error) if error.failed_step() == Step::JoinNetwork && error.errno() == nix::libc::EOPNOTSUPP => {
            assert!(error.hint().contains("no bridge or no veth"), "{error}");
            skipped("this kernel has no bridge or no veth");
            false
        }
        made => made.unwrap().destroy().is_ok(),
    }
}

fn network(scope: &Scope, name: &str) -> NamedNetwork {
    scope.client().network(name, None, None).unwrap()
}

fn member_config(scope: &Scope, network: &str) -> Config {
    scope.config().with(|c| c.network = Some(Network::Named(network.into())))
}

fn member(scope: &Scope, network: &str) -> Container {
    Container::create(busybox(), &member_config(scope, network)).unwrap()
}

fn address(container: &Container) -> IpAddr {
    let [(_, addresses)] = &container.addresses().unwrap()[..] else { panic!("it is in one network") };
    addresses[0]
}

/// What a server in `to` is told by a client in `from` who calls it by this name; None where it is not reached.
fn talks(from: &Container, to: &Container, called: &str) -> Option<String> {
    let listener = TcpListener::from(to.listen(SocketType::Stream, "0.0.0.0", 0).unwrap());
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let script = "echo hello from $(hostname) | nc -w 2 \"$0\" \"$1\"";
    let client = from.exec(["/bin/sh", "-c", script, called, &port], &captured()).unwrap();
    let start = Instant::now();
    let mut server = loop {
        match listener.accept() {
            Ok((server, _)) => break server,
            Err(_) if client.wait(Some(Duration::ZERO)).unwrap().is_some() => return None,
            Err(_) => assert!(start.elapsed() < Duration::from_secs(30), "nc gives up after two seconds"),
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    server.set_nonblocking(false).unwrap();
    let mut said = String::new();
    server.read_to_string(&mut said).unwrap();
    drop(server);
    end_of(&client);
    Some(said.trim().into())
}

/// Interfaces of the host that ctr has made.
fn links() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let names = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_string()));
    names.filter(|name| name.starts_with("ctr")).collect()
}

fn refused<T>(outcome: ctr::Result<T>) -> Error {
    outcome.err().expect("it is refused")
}

played! {
    fn members_find_each_other_by_name_and_nobody_else_does() {
        let scope = Scope::new("members");
        let (web, other) = (network(&scope, "web"), network(&scope, "other"));
        assert_ne!(web.subnet, other.subnet);
        assert_eq!(links(), BTreeSet::new(), "a network without members is a record");
        let config = member_config(&scope, "web").with(|c| {
            c.aliases = vec!["db".into(), "db.example.org".into()];
            c.hostname = Some("postgres".into());
        });
        let (db, app) = (Container::create(busybox(), &config).unwrap(), member(&scope, "web"));
        let stranger = member(&scope, "other");
        let hello = Some(format!("hello from {}", app.name()));
        for called in [db.name(), "db", "db.example.org", "postgres", &address(&db).to_string()] {
            assert_eq!(talks(&app, &db, called), hello, "{called}");
        }
        assert_eq!(talks(&db, &app, app.name()).as_deref(), Some("hello from postgres"));
        assert_eq!(talks(&app, &app, app.name()), hello, "by its own name");
        assert_eq!(talks(&app, &app, "localhost"), hello);
        // The name of a member of another network is no name, and its address leads nowhere.
        assert_eq!(talks(&stranger, &db, "db"), None);
        assert_eq!(talks(&stranger, &db, &address(&db).to_string()), None);
        assert_eq!(talks(&db, &stranger, &address(&stranger).to_string()), None);

        let web = &scope.client().networks().unwrap()[1];
        assert_eq!((&*web.name, &web.members[..]), ("web", &[db.name().to_string(), app.name().to_string()][..]));
        assert!(links().contains(&web.bridge) && web.bridge.len() <= 15, "{:?}", links());
        assert_eq!(db.inspect().unwrap().network, "web");
        assert_eq!(Container::create(busybox(), &scope.config()).unwrap().addresses().unwrap(), []);
        let joined = scope.client().join(db.name()).unwrap();
        assert_eq!(joined.addresses().unwrap(), db.addresses().unwrap());

        // Who comes later is found by those that are there, and who goes is found no more.
        let late = member(&scope, "web");
        assert_eq!(talks(&db, &late, late.name()).as_deref(), Some("hello from postgres"));
        let name = late.name().to_string();
        late.destroy().unwrap();
        assert!(!sh(&db, "grep -v ^# /etc/hosts").contains(&name));
        drop((db, app, stranger, joined));
        wait_for_none(links);
        scope.assert_nothing_left();
    }

    fn what_can_not_be_is_refused_by_name() {
        let scope = Scope::new("refused");
        let client = scope.client();
        let none = refused(Container::create(busybox(), &member_config(&scope, "web")));
        assert_eq!((none.code(), none.failed_step(), none.object()), (ErrorCode::NotFound, Step::JoinNetwork, "web"));
        let web = client.network("web", Some("10.9.8.0/24"), None).unwrap();
        assert_eq!(client.network("web", None, None).unwrap(), web);
        assert_eq!(client.network("web", Some("10.9.8.0/24"), None).unwrap(), web);
        for (subnet, ipv6) in [(Some("10.9.7.0/24"), None), (None, Some("auto")), (None, Some("fd00:9::/64"))] {
            let other = refused(client.network("web", subnet, ipv6));
            assert_eq!((other.errno(), other.failed_step()), (nix::libc::EEXIST, Step::MakeNetwork), "{other}");
        }
        let clash = refused(client.network("other", Some("10.9.0.0/16"), None));
        assert!(clash.to_string().contains("the network web has 10.9.8.0/24"), "{clash}");
        for name in ["", "a/b", "..", ".x", "-x", "none", "host", "a b", &"x".repeat(65)] {
            assert_eq!(refused(client.network(name, None, None)).failed_step(), Step::NameNetwork, "{name}");
        }

        let with = |change: fn(&mut Config)| Container::create(busybox(), &member_config(&scope, "web").with(change));
        let first = with(|c| c.ip = Some([10, 9, 8, 7].into())).unwrap();
        assert_eq!(first.addresses().unwrap(), [("web".into(), vec![IpAddr::from([10, 9, 8, 7])])]);
        let taken = refused(with(|c| c.ip = Some([10, 9, 8, 7].into())));
        assert_eq!((taken.errno(), taken.failed_step(), taken.object()), (nix::libc::EADDRINUSE, Step::ChooseAddress, "10.9.8.7"));
        assert!(taken.to_string().contains(first.name()), "{taken}");
        for ip in [[10, 9, 8, 0], [10, 9, 8, 1], [10, 9, 8, 255], [10, 9, 9, 2]] {
            let config = member_config(&scope, "web").with(|c| c.ip = Some(ip.into()));
            assert_eq!(refused(Container::create(busybox(), &config)).failed_step(), Step::ChooseAddress, "{ip:?}");
        }
        for alias in ["a b", "x\n10.0.0.1 bank", "", "#"] {
            let config = member_config(&scope, "web").with(|c| c.aliases = vec![alias.into()]);
            assert_eq!(refused(Container::create(busybox(), &config)).failed_step(), Step::ChooseAlias, "{alias:?}");
        }
        let alone = scope.config().with(|c| c.aliases = vec!["db".into()]);
        assert_eq!(refused(Container::create(busybox(), &alone)).failed_step(), Step::ChooseAlias);
        let alone = scope.config().with(|c| c.ip = Some([10, 9, 8, 9].into()));
        assert_eq!(refused(Container::create(busybox(), &alone)).failed_step(), Step::ChooseAddress);

        let busy = refused(web.remove());
        assert_eq!((busy.errno(), busy.failed_step()), (nix::libc::EBUSY, Step::RemoveNetwork));
        assert!(busy.to_string().contains(first.name()), "{busy}");
        drop(first);
        web.remove().unwrap();
        let gone = refused(web.remove());
        assert_eq!((gone.code(), gone.failed_step()), (ErrorCode::NotFound, Step::RemoveNetwork));
        assert_eq!(client.networks().unwrap(), []);
        scope.assert_nothing_left();
    }

    fn a_subnet_is_none_that_this_machine_has_a_route_for() {
        let scope = Scope::new("routes");
        for address in ["10.201.0.1/24", "10.201.2.1/30", "10.77.0.1/16"] {
            let added = Command::new("ip").args(["addr", "add", address, "dev", "lo"]).status().unwrap();
            assert!(added.success());
        }
        let names = ["a", "b", "c"].map(|name| network(&scope, name).subnet);
        assert_eq!(names, ["10.201.1.0/24", "10.201.3.0/24", "10.201.4.0/24"]);
        let clash = refused(scope.client().network("d", Some("10.77.5.0/24"), None));
        assert_eq!((clash.errno(), clash.failed_step(), clash.object()), (nix::libc::EADDRINUSE, Step::ChooseSubnet, "10.77.5.0/24"));
        assert!(clash.to_string().contains("this machine has a route for 10.77.0.0/16"), "{clash}");
        assert_eq!(scope.client().networks().unwrap().len(), 3);
    }

    fn the_host_is_not_reached_by_who_sets_routes_of_their_own() {
        let scope = Scope::new("host");
        network(&scope, "web");
        let added = Command::new("ip").args(["addr", "add", "10.88.0.1/32", "dev", "lo"]).status().unwrap();
        assert!(added.success());
        let server = TcpListener::bind("10.88.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let config = member_config(&scope, "web").with(|c| c.cap_add = vec!["NET_ADMIN".into(), "NET_RAW".into()]);
        let container = Container::create(busybox(), &config).unwrap();
        let bridge = &scope.client().networks().unwrap()[0].bridge;
        let ethernet = std::fs::read_to_string(format!("/proc/thread-self/root/sys/class/net/{bridge}/address"));
        let ethernet = ethernet.ok().unwrap_or_else(|| {
            let said = Command::new("ip").args(["-o", "link", "show", bridge]).output().unwrap().stdout;
            let said = String::from_utf8_lossy(&said).to_string();
            said.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_string()
        });
        let port = server.local_addr().unwrap().port();
        let script = format!("ip route add 10.88.0.1 dev eth0; timeout 2 nc 10.88.0.1 {port} </dev/null; \
            arp -i eth0 -s 10.88.0.1 {} && echo set; timeout 2 nc 10.88.0.1 {port} </dev/null; true", ethernet.trim());
        let said = sh(&container, &script);
        assert!(said.contains("set"), "{said}");
        assert!(server.accept().is_err());
        // The same packets do reach a bridge that is as others are.
        for setting in ["arp_ignore", "rp_filter"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{bridge}/{setting}"), "0").unwrap();
        }
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
        let subnet = &scope.client().networks().unwrap()[0].subnet;
        assert!(Command::new("ip").args(["route", "add", subnet, "dev", bridge]).status().unwrap().success());
        sh(&container, &format!("timeout 2 nc 10.88.0.1 {port} </dev/null; true"));
        assert!(server.accept().is_ok());
    }

    fn what_a_killed_container_or_host_leaves_goes_with_the_next_call() {
        let scope = Scope::new("killed");
        let web = network(&scope, "web");
        let (first, second) = (member(&scope, "web"), member(&scope, "web"));
        let name = second.name().to_string();
        let of_second = address(&second);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(second.pid()), nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_for_none(|| {
            let members = scope.client().networks().unwrap().remove(0).members;
            members.into_iter().filter(|member| *member == name).collect()
        });
        assert!(!sh(&first, "grep -v ^# /etc/hosts").contains(&name));
        wait_for_none(|| links().into_iter().skip(2).collect());
        // An address that only a dead container has can be asked for.
        let third = member(&scope, "web");
        let of_third = address(&third);
        assert_ne!(of_third, of_second);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(third.pid()), nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_for_none(|| third.is_running().then(|| "the third".to_string()).into_iter().collect());
        let IpAddr::V4(ip) = of_third else { panic!("a network has IPv4") };
        let fourth = Container::create(busybox(), &member_config(&scope, "web").with(|c| c.ip = Some(ip))).unwrap();
        assert_eq!(talks(&first, &fourth, fourth.name()), Some(format!("hello from {}", first.name())));
        drop((first, second, third, fourth));
        wait_for_none(links);

        // A host that is killed in the middle of its work.
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role_makes_members", "--ignored", "--nocapture"])
            .env("CTR_TEST_NETWORK_STATE", scope.state_dir())
            .env("CTR_TEST_NETWORK_PREFIX", scope.prefix())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while scope.client().networks().unwrap()[0].members.len() < 3 {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        host.kill().unwrap();
        host.wait().unwrap();
        wait_for_none(|| {
            scope.client().list().unwrap();
            links()
        });
        assert_eq!(scope.client().networks().unwrap(), [NamedNetwork::clone(&web)]);
        web.remove().unwrap();
        scope.assert_nothing_left();
    }

    fn processes_that_make_members_at_once_hand_out_each_address_once() {
        let scope = Scope::new("at-once");
        let makers: Vec<_> = (0..2)
            .map(|number| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "role_makes_members", "--ignored", "--nocapture"])
                    .env("CTR_TEST_NETWORK_STATE", scope.state_dir())
                    .env("CTR_TEST_NETWORK_PREFIX", format!("{}.{number}", scope.prefix()))
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let start = Instant::now();
        let members = || scope.client().networks().unwrap().first().map_or(0, |network| network.members.len());
        while members() < 2 * MEMBERS {
            assert!(start.elapsed() < Duration::from_secs(120));
            std::thread::sleep(Duration::from_millis(20));
        }
        let networks = scope.client().networks().unwrap();
        assert_eq!(networks.len(), 1);
        let addresses: BTreeSet<_> = networks[0].members.iter().map(|name| address(&scope.client().join(name).unwrap())).collect();
        assert_eq!(addresses.len(), 2 * MEMBERS);
        for mut maker in makers {
            drop(maker.stdin.take());
            assert!(maker.wait().unwrap().success());
        }
        wait_for_none(|| {
            scope.client().list().unwrap();
            links()
        });
    }

    fn a_bridge_whose_maker_was_killed_on_the_way_is_made_whole() {
        let scope = Scope::new("bridge");
        let web = network(&scope, "web");
        assert!(Command::new("ip").args(["link", "add", &web.bridge, "type", "bridge"]).status().unwrap().success());
        let (one, other) = (member(&scope, "web"), member(&scope, "web"));
        let setting = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{}/{name}", web.bridge)).unwrap();
        assert_eq!([setting("arp_ignore"), setting("rp_filter")], ["8\n", "1\n"]);
        assert_eq!(talks(&one, &other, other.name()), Some(format!("hello from {}", one.name())));
    }

    fn fifty_containers_find_each_other() {
        let scope = Scope::new("fifty");
        network(&scope, "a-network-with-a-long-name");
        let all: Vec<_> = (0..50).map(|_| member(&scope, "a-network-with-a-long-name")).collect();
        let addresses: BTreeSet<_> = all.iter().map(address).collect();
        assert_eq!(addresses.len(), 50);
        assert!(links().iter().all(|name| name.len() <= 15) && links().len() == 51, "{:?}", links());
        assert!(links().iter().any(|name| name.starts_with("ctr-a-netw-") && name.len() == 15));
        for (from, to) in [(0, 49), (49, 0), (20, 30)] {
            assert_eq!(talks(&all[from], &all[to], all[to].name()), Some(format!("hello from {}", all[from].name())));
        }
        drop(all);
        wait_for_none(links);
        scope.assert_nothing_left();
    }

    fn a_network_with_ipv6_has_both() {
        if std::fs::metadata("/proc/sys/net/ipv6").is_err() {
            return skipped("this kernel has no IPv6");
        }
        let scope = Scope::new("ipv6");
        let web = scope.client().network("web", None, Some("auto")).unwrap();
        assert!(web.ipv6.as_deref().is_some_and(|subnet| subnet.starts_with("fd") && subnet.ends_with("::/64")), "{web:?}");
        let (one, other) = (member(&scope, "web"), member(&scope, "web"));
        let [(_, addresses)] = &other.addresses().unwrap()[..] else { panic!() };
        let [IpAddr::V4(_), IpAddr::V6(ip)] = addresses[..] else { panic!("{addresses:?}") };
        let listener = TcpListener::from(other.listen(SocketType::Stream, "::", 0).unwrap());
        let port = listener.local_addr().unwrap().port().to_string();
        let (said, exit) = run(&one, &["nc", "-w", "5", &ip.to_string(), &port, "-e", "true"]);
        assert_eq!(exit.code, 0, "{said}");
        assert_eq!(sh(&one, &format!("grep -c {} /etc/hosts", other.name())), "2");
        // There was none before, and who has it without is not asked for it.
        let with = scope.client().network("given", None, Some("fd00:5::/64")).unwrap();
        assert_eq!(with.ipv6.as_deref(), Some("fd00:5::/64"));
    }

    fn c_has_the_same() {
        use ctr::ffi::*;
        use std::ffi::{CStr, CString, c_char};
        use std::ptr::{null, null_mut};
        let scope = Scope::new("c");
        let c_string = |text: &str| CString::new(text).unwrap();
        let (state, image) = (c_string(scope.state_dir().to_str().unwrap()), c_string(busybox().to_str().unwrap()));
        let name = c_string(&format!("{}.c", scope.prefix()));
        let told = |json: *mut c_char| {
            // SAFETY: a string of the library's, freed once.
            unsafe {
                let text = CStr::from_ptr(json).to_str().unwrap().to_string();
                ctr_string_free(json);
                serde_json::from_str::<serde_json::Value>(&text).unwrap()
            }
        };
        // SAFETY: strings that end in NUL, and pointers that can be written to.
        unsafe {
            let last = || CStr::from_ptr(ctr_last_error()).to_str().unwrap().to_string();
            assert_eq!(ctr_network(null(), null(), null(), null()), ErrorCode::Invalid as i32);
            assert_eq!(ctr_network(c"a b".as_ptr(), null(), null(), state.as_ptr()), ErrorCode::Invalid as i32, "{}", last());
            let subnet = c"10.9.8.0/24".as_ptr();
            assert_eq!(ctr_network(c"web".as_ptr(), subnet, null(), state.as_ptr()), 0, "{}", last());
            assert_eq!(ctr_network(c"web".as_ptr(), c"10.9.7.0/24".as_ptr(), null(), state.as_ptr()), ErrorCode::Invalid as i32);
            assert_eq!(ctr_last_errno(), nix::libc::EEXIST);
            let config = ctr_config_new();
            assert_eq!(ctr_config_set_ip(config, c"10.9.8".as_ptr()), ErrorCode::Invalid as i32);
            assert_eq!(ctr_config_set_network(config, c"web".as_ptr()), 0);
            assert_eq!(ctr_config_set_ip(config, c"10.9.8.7".as_ptr()), 0);
            assert_eq!(ctr_config_add_alias(config, c"db".as_ptr()), 0);
            assert_eq!(ctr_config_set_name(config, name.as_ptr()), 0);
            assert_eq!(ctr_config_set_state_dir(config, state.as_ptr()), 0);
            let (mut container, mut json) = (null_mut(), null_mut());
            assert_eq!(ctr_create(image.as_ptr(), config, &raw mut container), 0, "{}", last());
            assert_eq!(ctr_addresses(container, &raw mut json), 0);
            assert_eq!(told(json), serde_json::json!({"web": ["10.9.8.7"]}));
            assert_eq!(ctr_networks(state.as_ptr(), &raw mut json), 0);
            let networks = told(json);
            assert_eq!((&networks[0]["subnet"], &networks[0]["ipv6"]), (&"10.9.8.0/24".into(), &serde_json::Value::Null));
            assert_eq!(networks[0]["members"][0].as_str(), name.to_str().ok());
            let app = member(&scope, "web");
            let joined = scope.client().join(name.to_str().unwrap()).unwrap();
            assert_eq!(talks(&app, &joined, "db"), Some(format!("hello from {}", app.name())));
            assert_eq!(ctr_network_remove(c"web".as_ptr(), state.as_ptr()), ErrorCode::System as i32);
            assert_eq!(ctr_last_errno(), nix::libc::EBUSY);
            drop((app, joined));
            assert_eq!(ctr_destroy(container), 0);
            assert_eq!(ctr_network_remove(c"web".as_ptr(), state.as_ptr()), 0, "{}", last());
            assert_eq!(ctr_network_remove(c"web".as_ptr(), state.as_ptr()), ErrorCode::NotFound as i32);
            ctr_config_free(config);
        }
        scope.assert_nothing_left();
    }

    fn a_container_of_the_host_s_programs_is_a_member_like_others() {
        let scope = Scope::new("programs");
        network(&scope, "web");
        let other = member(&scope, "web");
        let own = Container::create("host", &member_config(&scope, "web")).unwrap();
        assert!(sh(&own, "cat /etc/hosts").contains(&format!("{}\t{}", address(&other), other.name())));
        assert_eq!(sh(&own, "echo 1.2.3.4 bank >> /etc/hosts || echo refused").lines().last(), Some("refused"));
        // What it is called is not among its changes, and a file of the caller's covers that.
        assert_eq!(scope.client().diff(&other).unwrap(), []);
        let hosts = scope.dir().join("hosts");
        std::fs::write(&hosts, "127.0.0.1 mine\n").unwrap();
        let config = member_config(&scope, "web").with(|c| c.mounts = vec![ctr::Mount::Bind(ctr::Bind::new(&hosts, "/etc/hosts"))]);
        assert_eq!(sh(&Container::create(busybox(), &config).unwrap(), "cat /etc/hosts"), "127.0.0.1 mine");
        let text = ctr::explain(busybox(), &member_config(&scope, "web")).unwrap();
        for said in ["the members of the network web; asked for: network = web", "# ip link add ctr-$PID type veth peer name eth0 netns $PID"] {
            assert!(text.contains(said), "{said} in {text}");
        }
    }
}

/// As many members a maker makes.
const MEMBERS: usize = 10;

#[test]
#[ignore = "a role"]
fn role_makes_members() {
    let state = std::env::var_os("CTR_TEST_NETWORK_STATE").unwrap();
    let prefix = std::env::var("CTR_TEST_NETWORK_PREFIX").unwrap();
    let client = ctr::Client::new().with_state_dir(state);
    client.network("web", None, None).unwrap();
    let config = |number| {
        Config::default().with(|c| {
            c.name = Some(format!("{prefix}-role{number}"));
            c.network = Some(Network::Named("web".into()));
        })
    };
    let all: Vec<_> = (0..MEMBERS).map(|number| client.create(busybox(), &config(number)).unwrap()).collect();
    // Until whoever has started it is done.
    _ = std::io::stdin().read(&mut [0]);
    drop(all);
}

#[test]
fn ordinary_users_are_told_that_named_networks_are_root_s() {
    if geteuid().is_root() {
        return skipped("root may");
    }
    let scope = Scope::new("users");
    for error in [
        refused(scope.client().network("web", None, None)),
        refused(Container::create("host", &member_config(&scope, "web"))),
    ] {
        assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, nix::libc::EPERM), "{error}");
        assert!(error.hint().contains("root") && error.hint().contains("network=\"host\""), "{error}");
    }
}
