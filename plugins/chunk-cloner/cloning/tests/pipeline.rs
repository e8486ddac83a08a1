//! The whole pipeline in memory: splitter, cloner, exchange and collector over queues that deliver at least once, with everything going
//! wrong that can. What comes out must be the exchange's trades, each once, and one answer a task.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cloning::{
    answer::Generation,
    collector,
    desk::{Desk, Job, Push, Setback},
    messages::{ClonedChunk, TaskResponse, TaskResult, TodoChunk, TodoTask},
    splitter,
    verdict::{Heard, Verdict, judge},
};
use market::{
    api::{Api, decimal},
    front::{Faults, Front},
    trades::Trades,
};
use proptest::prelude::*;
use prost::Message;

/// 2020-06-01, a Monday.
const START: i32 = 1_590_969_600;
const NOW_MS: u64 = 1_600_000_000_000;

/// What goes wrong, each one time in so many; 0: never.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    /// The host dies after the handler ran: changes in the bucket stay, pushes on ack never were.
    crash: u64,
    /// The store refuses a request.
    store: u64,
    /// Somebody else changed the key.
    conflict: u64,
    faults: Faults,
}

/// Queues, bucket and dice of one run.
struct World {
    queues: BTreeMap<String, VecDeque<(String, u32, Vec<u8>)>>,
    bucket: BTreeMap<String, (Vec<u8>, u64)>,
    staged: Vec<Push>,
    /// Unique keys that were pushed, by queue.
    keys: BTreeSet<(String, String)>,
    trouble: Trouble,
    dice: u64,
    ids: u64,
    /// Payloads that the last job pushed.
    last: usize,
    dead: Vec<String>,
    delayed: Vec<u64>,
}

impl World {
    fn new(trouble: Trouble, seed: u64) -> Self {
        Self {
            queues: BTreeMap::new(),
            bucket: BTreeMap::new(),
            staged: Vec::new(),
            keys: BTreeSet::new(),
            trouble,
            dice: seed | 1,
            ids: 0,
            last: 0,
            dead: Vec::new(),
            delayed: Vec::new(),
        }
    }

    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    fn hits(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.roll().is_multiple_of(one_in)
    }

    fn enqueue(&mut self, push: Push) {
        for payload in push.payloads {
            if let Some(key) = &push.unique_key
                && !self.keys.insert((push.queue.clone(), key.clone()))
            {
                continue;
            }
            self.delayed.extend(push.delay_ms);
            self.ids += 1;
            let id = format!("job-{}", self.ids);
            self.queues.entry(push.queue.clone()).or_default().push_back((id, 0, payload));
        }
    }

    fn push(&mut self, queue: &str, message: &impl Message) {
        self.enqueue(Push::one(queue, message.encode_to_vec()));
    }

    /// Leases some job of a queue, runs `work`, and does what the host does with its answer.
    fn step(&mut self, queue: &str, work: impl FnOnce(&mut Self, Job<'_>, u32) -> Result<(), Setback>) -> bool {
        let waiting = self.queues.get(queue).map_or(0, VecDeque::len);
        if waiting == 0 {
            return false;
        }
        let at = usize::try_from(self.roll()).unwrap() % waiting;
        let (id, attempt, payload) = self.queues.get_mut(queue).unwrap().remove(at).unwrap();
        let attempt = attempt + 1;
        self.staged.clear();
        let answer = work(self, Job { id: &id, payload: &payload }, attempt);
        let staged = std::mem::take(&mut self.staged);
        self.last = staged.iter().map(|push| push.payloads.len()).sum();
        assert!(self.last <= cloning::desk::MAX_PUSH, "the host takes no more of one job");
        if self.hits(self.trouble.crash) {
            // A crash of the host costs no attempt that matters here.
            self.queues.get_mut(queue).unwrap().push_back((id, attempt - 1, payload));
            return true;
        }
        match answer {
            Ok(()) => staged.into_iter().for_each(|push| self.enqueue(push)),
            Err(Setback::Again(_)) => self.queues.get_mut(queue).unwrap().push_back((id, attempt, payload)),
            Err(Setback::Dead(reason)) => self.dead.push(reason),
        }
        true
    }

    fn take<M: Message + Default>(&mut self, queue: &str) -> Vec<M> {
        self.queues.remove(queue).unwrap_or_default().iter().map(|(_, _, payload)| M::decode(payload.as_slice()).unwrap()).collect()
    }

    fn asks(&mut self) -> Result<(), String> {
        if self.hits(self.trouble.store) { Err("the store is busy".into()) } else { Ok(()) }
    }
}

impl Desk for World {
    fn get(&mut self, key: &str) -> Result<Option<(Vec<u8>, u64)>, String> {
        self.asks()?;
        Ok(self.bucket.get(key).cloned())
    }

    fn swap(&mut self, key: &str, expected: u64, value: Vec<u8>) -> Result<bool, String> {
        self.asks()?;
        let revision = self.bucket.get(key).map_or(0, |(_, revision)| *revision);
        if revision != expected || self.hits(self.trouble.conflict) {
            return Ok(false);
        }
        self.bucket.insert(key.to_owned(), (value, revision + 1));
        // Written, but the answer is lost.
        self.asks().map(|()| true)
    }

    fn count(&mut self, key: &str) -> Result<i64, String> {
        self.asks()?;
        let entry = self.bucket.entry(key.to_owned()).or_default();
        entry.1 += 1;
        Ok(i64::try_from(entry.1).unwrap())
    }

    fn keys(&mut self, prefix: &str) -> Result<Vec<String>, String> {
        self.asks()?;
        Ok(self.bucket.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn push(&mut self, push: Push) -> Result<(), String> {
        self.asks()?;
        self.staged.push(push);
        Ok(())
    }

    fn now_ms(&mut self) -> u64 {
        NOW_MS
    }

    fn info(&mut self, _: &str) {}

    fn warn(&mut self, _: &str) {}
}

/// The cloner's part, as its guest does it.
fn clone(world: &mut World, front: &mut Front, split: bool, job: Job<'_>, last: bool) -> Result<(), Setback> {
    let (chunk, window) = TodoChunk::read(job.payload).map_err(Setback::Dead)?;
    let reply = front.serve("GET", &Generation::Legacy.path(&chunk.currency_pair, window), 0, 1_600_000_000);
    let heard = Heard::Answer { status: reply.status, retry_after: None, body: reply.body };
    match judge(Generation::Legacy, split, &chunk, window, heard, last) {
        Verdict::Again { reason, .. } => Err(Setback::Again(reason)),
        Verdict::Answered(answer) => {
            Ok(Desk::push(world, Push::one("finished-chunks", answer.encode_to_vec()).keyed(format!("{}/cloned", job.id)))?)
        }
        Verdict::Halved(_, halves) => {
            for (half, name) in halves.iter().zip(["low", "high"]) {
                Desk::push(world, Push::one("todo-chunks", half.encode_to_vec()).keyed(format!("{}/{name}", job.id)))?;
            }
            Ok(())
        }
    }
}

struct Run {
    world: World,
    front: Front,
    split: bool,
    attempts: u32,
}

impl Run {
    fn new(trouble: Trouble, seed: u64, split: bool, bursts: bool) -> Self {
        let api = Api { trades: Trades { bursts }, pairs: vec!["BTC_ETH".into()] };
        Self { world: World::new(trouble, seed), front: Front::new(api, 0, trouble.faults), split, attempts: 6 }
    }

    fn task(&mut self, operation: i32, uuid: &str, from: i32, seconds: i32) {
        let task = TodoTask {
            task_operation: operation,
            task_uuid: uuid.into(),
            currency_pair: "BTC_ETH".into(),
            from_unix_ts: from,
            until_unix_ts: from + seconds - 1,
            ..TodoTask::default()
        };
        self.world.push("todo-tasks", &task);
    }

    fn splitting() -> splitter::Settings {
        splitter::Settings {
            todo_tasks: "todo-tasks".into(),
            todo_chunks: "todo-chunks".into(),
            finished_tasks: "finished-tasks".into(),
            chunk_seconds: 3_600,
            settle_ms: 0,
        }
    }

    /// One job of the splitter; answers how many it pushed.
    fn split(&mut self) -> usize {
        let splitting = Self::splitting();
        let worked = self.world.step("todo-tasks", |world, job, _| splitter::handle(world, &splitting, job));
        if worked { self.world.last } else { 0 }
    }

    /// Until nothing is left to do; at most `steps` jobs.
    fn work(&mut self, steps: usize) {
        let splitting = Self::splitting();
        let collecting = collector::Settings {
            todo_chunks: "todo-chunks".into(),
            finished_tasks: "finished-tasks".into(),
            entries: "clones".into(),
            retries: 1_000,
            retry_after_ms: 60_000,
        };
        for _ in 0..steps {
            let first = self.world.roll() % 3;
            let worked = (0..3).any(|turn| match (first + turn) % 3 {
                0 => self.world.step("todo-tasks", |world, job, _| splitter::handle(world, &splitting, job)),
                1 => {
                    let (front, split, attempts) = (&mut self.front, self.split, self.attempts);
                    self.world.step("todo-chunks", |world, job, attempt| clone(world, front, split, job, attempt >= attempts))
                }
                _ => self.world.step("finished-chunks", |world, job, _| collector::handle(world, &collecting, job)),
            });
            if !worked {
                return;
            }
        }
    }

    /// What came out: entries as (id, rate, amount), and results by task.
    fn entries(&mut self) -> Vec<(i32, String, String)> {
        let chunks: Vec<ClonedChunk> = self.world.take("clones");
        let mut all: Vec<_> =
            chunks.into_iter().flat_map(|chunk| chunk.entries).map(|entry| (entry.trade_id, entry.rate, entry.amount)).collect();
        all.sort();
        all
    }

    fn responses(&mut self) -> Vec<(String, TaskResult)> {
        let responses: Vec<TaskResponse> = self.world.take("finished-tasks");
        let mut all: Vec<_> = responses.into_iter().map(|response| (response.todo_task_uuid.clone(), response.task_result())).collect();
        all.sort();
        all
    }
}

fn truth(from: i32, seconds: i32) -> Vec<(i32, String, String)> {
    let trades = Trades::default().newest("BTC_ETH", from.into(), i64::from(from) + i64::from(seconds) - 1, usize::MAX);
    let row = |trade: &market::trades::Trade| (i32::try_from(trade.id).unwrap(), decimal(trade.rate), decimal(trade.amount));
    trades.iter().rev().map(row).collect()
}

#[test]
fn a_task_is_whole_and_exact() {
    for split in [false, true] {
        let mut run = Run::new(Trouble::default(), 7, split, false);
        run.task(0, "t", START, 40 * 3_600 + 1);
        run.work(usize::MAX);
        assert_eq!(run.entries(), truth(START, 40 * 3_600 + 1), "its last second, too");
        assert_eq!(run.responses(), [("t".into(), TaskResult::Complete)]);
        assert!(run.world.dead.is_empty());
    }
}

#[test]
fn a_task_of_many_chunks_is_split_page_by_page() {
    for (chunks, pages) in [(1_000, &[1_000][..]), (1_001, &[1_000, 2]), (2_500, &[1_000, 1_000, 502])] {
        let mut run = Run::new(Trouble::default(), 7, true, false);
        run.task(0, "t", START, chunks * 3_600 - 10);
        let seen: Vec<usize> = pages.iter().map(|_| run.split()).collect();
        assert_eq!(seen, pages);
        let mut windows: Vec<_> = run.world.take::<TodoChunk>("todo-chunks").iter().map(|c| (c.from_unix_ts, c.until_unix_ts)).collect();
        windows.sort_unstable();
        assert_eq!(windows.len(), usize::try_from(chunks).unwrap());
        assert_eq!((windows[0].0, windows.last().unwrap().1), (START, START + chunks * 3_600 - 11));
        assert!(windows.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
    }
}

#[test]
fn what_is_cancelled_is_split_no_further() {
    let mut run = Run::new(Trouble::default(), 7, true, false);
    run.task(0, "t", START, 2_500 * 3_600);
    assert_eq!(run.split(), 1_000);
    run.task(1, "t", START, 2_500 * 3_600);
    let pushed = run.split() + run.split() + run.split() + run.split();
    assert!(pushed <= 1_503, "{pushed}");
    run.world.take::<TodoChunk>("todo-chunks");
    run.work(usize::MAX);
    assert_eq!(run.responses(), [("t".into(), TaskResult::Cancelled)]);
}

#[test]
fn a_conflict_and_a_delete_are_answered() {
    let mut run = Run::new(Trouble::default(), 7, true, false);
    run.task(0, "a", START, 36_000);
    run.work(1);
    run.task(0, "b", START + 35_999, 10);
    run.task(1, "a", START, 36_000);
    run.work(usize::MAX);
    let responses = run.responses();
    assert!(responses.contains(&("a".into(), TaskResult::Cancelled)), "{responses:?}");
    assert_eq!(responses.len(), 2);
    // Whether b met a is a matter of order: the queue is worked in any.
    let b = responses.iter().find(|(uuid, _)| uuid == "b").unwrap();
    let expected = if b.1 == TaskResult::TaskConflict { Vec::new() } else { truth(START + 35_999, 10) };
    let entries = run.entries();
    assert!(expected.iter().all(|entry| entries.contains(entry)));
}

#[test]
fn a_second_that_can_not_be_split_is_a_dead_letter_and_its_task_stays_open() {
    let mut run = Run::new(Trouble::default(), 3, true, true);
    run.task(0, "t", START, 40 * 3_600);
    run.work(usize::MAX);
    assert_eq!(run.responses(), []);
    assert!(!run.world.dead.is_empty());
    assert!(run.world.dead.iter().all(|reason| reason.contains("one second can't be split")), "{:?}", run.world.dead);
}

#[test]
fn a_task_that_reaches_into_the_future_waits_for_it() {
    let mut run = Run::new(Trouble::default(), 3, true, false);
    run.task(0, "t", 1_600_000_000 - 7_200, 4 * 3_600);
    run.work(1);
    assert_eq!(run.world.delayed, [3_600_000, 7_200_000], "two chunks are over, two wait for their last second");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_goes_wrong_the_entries_are_the_exchanges_trades_each_once(
        seed in any::<u64>(),
        split in any::<bool>(),
        (crash, store, conflict) in (2..8_u64, 6..30_u64, 2..8_u64),
        (error, garbage, cut) in (2..9_u64, 2..9_u64, 2..9_u64),
        (from, first, second) in (0..50_000_i32, 1..30_000_i32, 1..30_000_i32),
    ) {
        let mut run = Run::new(Trouble { crash, store, conflict, faults: Faults { error, garbage, cut } }, seed, split, false);
        let from = START + from;
        run.task(0, "one", from, first);
        run.task(0, "two", from + first, second);
        // The same message twice, as a careless producer sends it.
        run.task(0, "one", from, first);
        run.work(20_000);
        prop_assert!(run.world.dead.is_empty(), "{:?}", run.world.dead);
        prop_assert_eq!(run.responses(), [("one".into(), TaskResult::Complete), ("two".into(), TaskResult::Complete)]);
        prop_assert_eq!(run.entries(), truth(from, first + second));
    }
}
