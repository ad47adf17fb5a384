//! The value that knows where containers and images are, and who hears of long work.

mod common;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use common::leftovers::Scope;
use common::sh;
use ctr::{Client, Config, Container, ErrorCode};

#[test]
fn its_places_hold_where_the_configuration_has_none() {
    let scope = Scope::new("client");
    let store = scope.dir().join("store");
    let client = scope.client().with_store_dir(&store);
    let c = client.create("host", &Config::default().with(|c| c.name = Some("it".into()))).unwrap();
    assert_eq!(c.store_dir(), store);
    assert_eq!(client.list().unwrap().len(), 1);
    assert_eq!(sh(&client.join("it").unwrap(), "echo joined"), "joined");
    assert!(Container::list().unwrap().iter().all(|info| info.pid != c.pid()), "it is not in the usual place");
    let other = scope.dir().join("other");
    let elsewhere = client.create("host", &Config::default().with(|c| c.state_dir = Some(other.clone()))).unwrap();
    assert_eq!(elsewhere.store_dir(), store);
    assert_eq!(client.list().unwrap().len(), 1, "what the configuration says counts more");
    assert_eq!(Client::new().with_state_dir(&other).list().unwrap().len(), 1);
    client.destroy_named("it").unwrap();
    assert!(!c.is_running());
}

#[test]
fn whoever_reports_to_it_can_be_stopped() {
    let scope = Scope::new("report");
    let tar = common::busybox_tar();
    let heard = AtomicU32::new(0);
    let client = || scope.client().with_store_dir(scope.dir().join("store"));
    let stopping = client().with_report(|_| {
        heard.fetch_add(1, Ordering::Relaxed);
        false
    });
    let error = stopping.create(tar, &Config::default()).err().expect("it was stopped");
    assert_eq!(error.code(), ErrorCode::Interrupted, "{error}");
    let error = stopping.explain(tar, &Config::default()).expect_err("it was stopped");
    assert_eq!(error.code(), ErrorCode::Interrupted, "{error}");
    assert_eq!(heard.load(Ordering::Relaxed), 2);
    assert_eq!(client().store().unwrap().list().unwrap(), []);
    // One that has the same client do something meanwhile does not wait for itself.
    static CLIENT: OnceLock<Client> = OnceLock::new();
    let asks = |_| CLIENT.get().is_some_and(|client| client.resolve("host").is_ok() && client.list().is_ok());
    let client = CLIENT.get_or_init(|| client().with_report(asks));
    assert_eq!(sh(&client.create(tar, &Config::default()).unwrap(), "echo made"), "made");
    assert_eq!(client.store().unwrap().list().unwrap().len(), 1);
}
