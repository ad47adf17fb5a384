use ctr::*;
use std::time::{Duration, Instant};
fn med(v: &mut Vec<f64>) -> f64 {
    v.sort_by(|a, b| a.total_cmp(b));
    v[v.len() / 2]
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n: usize = a[2].parse().unwrap();
    let pause: u64 = a[3].parse().unwrap();
    let config = Config { memory: Some(64 << 20), ..Config::default() };
    let ec = ExecConfig { stdin: Stdio::Null, stdout: Stdio::Null, stderr: Stdio::Null, ..Default::default() };
    let (mut c_, mut e_, mut w_, mut d_, mut t_) = (vec![], vec![], vec![], vec![], vec![]);
    for i in 0..n {
        let t = Instant::now();
        let c = Container::create(&a[1], &config).unwrap();
        let t1 = Instant::now();
        if i == 0 {
            println!("first create {:?}", t1 - t);
        }
        let p = c.exec(["/bin/true"], &ec).unwrap();
        let t2 = Instant::now();
        assert_eq!(p.wait(None).unwrap().unwrap().code, 0);
        let t3 = Instant::now();
        c.destroy().unwrap();
        let t4 = Instant::now();
        let us = |a: Instant, b: Instant| (b - a).as_nanos() as f64 / 1e3;
        c_.push(us(t, t1));
        e_.push(us(t1, t2));
        w_.push(us(t2, t3));
        d_.push(us(t3, t4));
        t_.push(us(t, t4));
        if pause > 0 {
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
    println!(
        "create {:.0} exec {:.0} wait {:.0} destroy {:.0} total {:.0}",
        med(&mut c_),
        med(&mut e_),
        med(&mut w_),
        med(&mut d_),
        med(&mut t_)
    );
    let c = Container::create(&a[1], &config).unwrap();
    let mut x = vec![];
    for _ in 0..300 {
        let t = Instant::now();
        let p = c.exec(["/bin/true"], &ec).unwrap();
        p.wait(None).unwrap();
        x.push(t.elapsed().as_nanos() as f64 / 1e3);
    }
    println!("exec+wait {:.0}", med(&mut x));
}
