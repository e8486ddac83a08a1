//! scratch
use skep::{
    capability::{http::Outbound, log::*},
    checks::Checks,
    clock::Clock,
    journal::Journal,
    worker::*,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn pct(v: &mut Vec<Duration>, p: f64) -> Duration {
    v.sort();
    v[((v.len() - 1) as f64 * p) as usize]
}
fn rss() -> (u64, u64) {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    let g = |k: &str| s.lines().find(|l| l.starts_with(k)).map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).unwrap();
    (g("VmRSS:"), g("VmPTE:"))
}

fn main() {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = std::env::temp_dir().join("skep-bench");
    std::fs::create_dir_all(&dir).unwrap();
    let t = Instant::now();
    let engines = Arc::new(Engines::new(10_000).unwrap());
    println!("engines {:?}", t.elapsed());
    let comps = Components::new(engines.clone(), &dir).unwrap();
    let base = std::path::Path::new("/work/target/wasm32-wasip2/plugin");
    rt.block_on(async {
        let t = Instant::now();
        let echo = comps.load_file(&base.join("echo.wasm")).await.unwrap();
        println!("load echo {:?} {:?} {:?}", t.elapsed(), echo.kind, echo.surface);
        let crash = comps.load_file(&base.join("crash.wasm")).await.unwrap();
        println!("load crash {:?}", t.elapsed());
        let journal = Journal::new(Clock::system(), None);
        let target = Arc::new(LogTarget {
            journal: journal.clone(),
            clock: Clock::system(),
            worker: "x".into(),
            replica: 1,
            meter: Default::default(),
        });
        let e2 = engines.clone();
        let purpose = move |c: &Arc<Component>, cfg: &str| {
            Arc::new(Purpose {
                engines: e2.clone(),
                component: c.clone(),
                worker: "x".into(),
                replica: 1,
                config: cfg.into(),
                timeout: Duration::from_secs(10),
            })
        };
        let out = Arc::new(Outbound {});
        let ctx = move || Context {
            worker: "x".into(),
            checks: Checks {},
            clock: Clock::system(),
            outbound: out.clone(),
            log: Log::new(target.clone()),
            memory_bytes: 64 << 20,
        };
        let tick = || Event::Tick { scheduled: jiff::Timestamp::UNIX_EPOCH, sequence: 1, missed: 0 };
        let call = |m: &str| Event::Call { method: m.into(), payload: vec![1, 2, 3] };
        let (echo, engines_) = (echo, engines.clone());
        let crash2 = crash.clone();
        tokio::spawn(async move {
            let p = purpose(&echo, "{}");
            let mut first = vec![];
            for _ in 0..20000 {
                let t = Instant::now();
                let place = engines_.lean.events.clone().acquire_owned().await.unwrap();
                let i = Instance::start(p.clone(), ctx(), place).await.unwrap();
                let (i, a) = i.handle(tick()).await.unwrap();
                a.unwrap();
                first.push(t.elapsed());
                drop(i);
            }
            println!("fresh->first event p50 {:?} p99 {:?}", pct(&mut first, 0.5), pct(&mut first, 0.99));
            let place = engines_.lean.events.clone().acquire_owned().await.unwrap();
            let mut i = Instance::start(p.clone(), ctx(), place).await.unwrap();
            let mut v = vec![];
            for _ in 0..100000 {
                let t = Instant::now();
                let (j, a) = i.handle(call("echo")).await.unwrap();
                a.unwrap();
                i = j;
                v.push(t.elapsed());
            }
            println!("live call p50 {:?} p99 {:?}", pct(&mut v, 0.5), pct(&mut v, 0.99));
            let pc = purpose(&crash2, "{}");
            let mut v = vec![];
            let mut vt = vec![];
            for n in 0..3000 {
                let place = engines_.lean.events.clone().acquire_owned().await.unwrap();
                let i = Instance::start(pc.clone(), ctx(), place).await.unwrap();
                let t0 = Instant::now();
                let e = i.handle(call("unreachable")).await.unwrap_err();
                let t = Instant::now();
                vt.push(t - t0);
                let place = engines_.lean.events.clone().acquire_owned().await.unwrap();
                let i = Instance::start(pc.clone(), ctx(), place).await.unwrap();
                let (_i, a) = i.handle(call("ok")).await.unwrap();
                a.unwrap();
                v.push(t.elapsed());
                if n == 0 {
                    if let Ended::Crashed(c) = *e {
                        println!("{:#?}", c.into_record(jiff::Timestamp::UNIX_EPOCH, 1, "crash.wasm"));
                    }
                }
            }
            println!(
                "trapping call p50 {:?} p99 {:?}; next p50 {:?} p99 {:?}",
                pct(&mut vt, 0.5),
                pct(&mut vt, 0.99),
                pct(&mut v, 0.5),
                pct(&mut v, 0.99)
            );
            for m in ["panic", "oom", "stack", "stack-native", "handles", "exit", "err"] {
                let place = engines_.lean.events.clone().acquire_owned().await.unwrap();
                let i = Instance::start(pc.clone(), ctx(), place).await.unwrap();
                match i.handle(call(m)).await {
                    Ok((_, a)) => println!("{m}: {a:?}"),
                    Err(e) => match *e {
                        Ended::Crashed(c) => {
                            let r = c.into_record(jiff::Timestamp::UNIX_EPOCH, 1, "c");
                            println!(
                                "{m}: {:?} {} panic={:?} bt={:?}",
                                r.cause,
                                r.message,
                                r.panic,
                                &r.backtrace[..r.backtrace.len().min(4)]
                            )
                        }
                        e => println!("{m}: {e:?}"),
                    },
                }
            }
            let before = rss();
            let mut all = vec![];
            for _ in 0..10000 {
                let place = engines_.lean.residents.clone().acquire_owned().await.unwrap();
                let i = Instance::start(p.clone(), ctx(), place).await.unwrap();
                let (i, a) = i.handle(call("echo")).await.unwrap();
                a.unwrap();
                all.push(i);
            }
            let after = rss();
            println!(
                "10000 residents: rss {} KiB each, pte {} KiB each, maps {}",
                (after.0 - before.0) as f64 / 10000.0,
                (after.1 - before.1) as f64 / 10000.0,
                std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
            );
        })
        .await
        .unwrap();
    });
}
