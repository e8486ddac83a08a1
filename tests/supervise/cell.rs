//! A replica's state machine against a model: whatever is asked for in whatever order, no event is lost, none runs beside another,
//! and nobody waits for a driver that sleeps.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use skep::{
    facts::InstanceMode,
    manifest::spec::{RestartPolicy, RestartSpec},
    supervise::{
        SuperviseError,
        cell::{Cell, Control, Message, Next, Phase},
        policy::Budget,
    },
    worker::{Answer, Event},
};
use tokio::{sync::oneshot, time::Instant};

#[derive(Debug, Clone)]
enum Op {
    /// An event comes.
    Post,
    /// A caller gives up.
    GiveUp,
    Ask(Control),
    Redeploy(InstanceMode),
    /// The driver takes its next step; what it does ends so.
    Step(End),
    Pass(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Well,
    Crash,
    Refusal,
}

fn op() -> impl Strategy<Value = Op> {
    let mode = prop_oneof![Just(InstanceMode::Resident), Just(InstanceMode::PerEvent)];
    let end = prop_oneof![4 => Just(End::Well), 2 => Just(End::Crash), 1 => Just(End::Refusal)];
    prop_oneof![
        6 => Just(Op::Post),
        1 => Just(Op::GiveUp),
        1 => Just(Op::Ask(Control::Restart)),
        1 => Just(Op::Ask(Control::Drain)),
        1 => mode.prop_map(Op::Redeploy),
        12 => end.prop_map(Op::Step),
        2 => (1u64..5_000).prop_map(|ms| Op::Pass(Duration::from_millis(ms))),
    ]
}

type Reply = oneshot::Receiver<Result<Answer, SuperviseError>>;

/// A cell and its driver, one step at a time.
struct Model {
    cell: Cell,
    spec: RestartSpec,
    resident: bool,
    now: Instant,
    driver: Driver,
    /// The one event with the guest.
    running: Option<Box<Message>>,
    callers: Vec<Reply>,
    answered: usize,
    refused: usize,
    given_up: usize,
    posted: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Driver {
    None,
    AtWork,
    Starting,
    Asleep { until: Option<Instant> },
}

impl Model {
    fn new(mode: InstanceMode, policy: RestartPolicy, intensity: u32) -> Self {
        let spec = RestartSpec { policy, intensity, period: Duration::from_secs(5) };
        let mut model = Self {
            cell: Cell::new(Budget::new(spec, mode), mode, Timestamp::UNIX_EPOCH),
            spec,
            resident: mode == InstanceMode::Resident,
            now: Instant::now(),
            driver: Driver::None,
            running: None,
            callers: Vec::new(),
            answered: 0,
            refused: 0,
            given_up: 0,
            posted: 0,
        };
        model.kick();
        model
    }

    fn kick(&mut self) {
        if self.cell.claim_driver() {
            assert_eq!(self.driver, Driver::None, "two drivers");
            self.driver = Driver::AtWork;
        } else if matches!(self.driver, Driver::Asleep { .. }) {
            self.driver = Driver::AtWork;
        }
    }

    fn post(&mut self) {
        let (reply, caller) = oneshot::channel();
        let event = Event::Call { method: "m".into(), payload: vec![0; 8], chain: None };
        self.posted += 1;
        match self.cell.accept(Box::new(Message { event, due: self.now, reply: Some(reply), tick: None })) {
            Ok(()) => {
                self.callers.push(caller);
                self.kick();
            }
            Err(_) => self.refused += 1,
        }
    }

    fn settle(&mut self, end: End) {
        let (verdict, failed) = match end {
            End::Crash => (self.cell.budget.crashed(self.now, 0.0), false),
            End::Refusal => (self.cell.budget.refused(self.now, 0.0), true),
            End::Well => unreachable!(),
        };
        self.cell.settle(verdict, failed, Timestamp::UNIX_EPOCH);
    }

    fn step(&mut self, end: End) {
        if let Some(message) = self.running.take() {
            match end {
                End::Well => self.cell.budget.succeeded(self.now),
                _ => self.settle(End::Crash),
            }
            self.cell.busy = false;
            let _ = message.reply.unwrap().send(Ok(Ok(Vec::new())));
            self.answered += 1;
            return;
        }
        match self.driver {
            Driver::None => return,
            Driver::Asleep { until } if until.is_none_or(|until| self.now < until) => return,
            Driver::Starting => {
                self.driver = Driver::AtWork;
                match end {
                    End::Well => {
                        self.cell.holding = self.resident;
                        self.cell.enter(Phase::Ready, Timestamp::UNIX_EPOCH);
                    }
                    end => self.settle(end),
                }
                return;
            }
            Driver::Asleep { .. } | Driver::AtWork => self.driver = Driver::AtWork,
        }
        match self.cell.next(self.now, || Timestamp::UNIX_EPOCH) {
            Next::Start => self.driver = Driver::Starting,
            Next::Run(message) if message.abandoned() => {
                self.cell.busy = false;
                self.given_up += 1;
            }
            Next::Run(message) => {
                assert!(self.running.is_none(), "two events at once");
                assert!(matches!(self.cell.phase, Phase::Ready), "an event while {:?}", self.cell.phase);
                self.running = Some(message);
            }
            Next::Refuse(queue) => {
                assert!(!queue.is_empty());
                for message in queue {
                    let _ = message.reply.unwrap().send(Err(SuperviseError::Timeout));
                    self.refused += 1;
                }
            }
            Next::Stop => self.cell.holding = false,
            Next::Sleep(until) => self.driver = Driver::Asleep { until: Some(until) },
            Next::Wait => self.driver = Driver::Asleep { until: None },
            Next::Park => self.driver = Driver::None,
        }
        if matches!(self.driver, Driver::None | Driver::Asleep { .. }) {
            assert_eq!(self.cell.waiting(), 0, "events wait and nobody works: {:?}", self.cell);
            assert_eq!(self.cell.control, None, "a change waits and nobody works");
            assert!(self.cell.idle());
        }
    }

    /// Lets the driver work until it has nothing to do, backoffs included.
    fn rest(&mut self) {
        for _ in 0..100_000 {
            match (self.driver, &self.running) {
                (Driver::None | Driver::Asleep { until: None }, None) => return,
                (Driver::Asleep { until: Some(until) }, None) => self.now = until,
                _ => {}
            }
            self.step(End::Well);
        }
        panic!("it never rests: {:?}", self.cell);
    }
}

proptest! {
    #[test]
    fn no_event_is_lost_and_none_runs_beside_another(
        resident in any::<bool>(),
        policy in prop_oneof![Just(RestartPolicy::Permanent), Just(RestartPolicy::Transient), Just(RestartPolicy::Temporary)],
        intensity in 0u32..4,
        ops in prop::collection::vec(op(), 1..200),
        last in prop_oneof![Just(None), Just(Some(Control::Drain)), Just(Some(Control::Remove))],
    ) {
        let mode = if resident { InstanceMode::Resident } else { InstanceMode::PerEvent };
        let mut model = Model::new(mode, policy, intensity);
        for op in ops {
            match op {
                Op::Post => model.post(),
                Op::GiveUp => drop(model.callers.pop()),
                Op::Ask(control) => {
                    model.cell.ask(control);
                    model.kick();
                }
                Op::Redeploy(mode) => {
                    model.resident = mode == InstanceMode::Resident;
                    model.cell.redeploy(Budget::new(model.spec, mode), mode);
                    model.cell.ask(Control::Restart);
                    model.kick();
                }
                Op::Step(end) => model.step(end),
                Op::Pass(time) => model.now += time,
            }
        }
        if let Some(control) = last {
            model.cell.ask(control);
            model.kick();
        }
        model.rest();
        prop_assert_eq!(model.cell.waiting(), 0);
        prop_assert_eq!(model.answered + model.refused + model.given_up, model.posted, "every event is answered, refused or given up");
        for caller in &mut model.callers {
            prop_assert!(caller.try_recv().is_ok(), "a caller waits for ever");
        }
        match last {
            Some(Control::Drain) => prop_assert_eq!(model.cell.phase, Phase::Stopped),
            Some(Control::Remove) => prop_assert_eq!(model.cell.phase, Phase::Gone),
            _ => {}
        }
        prop_assert!(!model.cell.holding || model.cell.phase == Phase::Ready, "an instance is held while it is down");
    }
}

#[test]
fn what_is_asked_for_last_wins_but_a_removal_is_final() {
    let spec = RestartSpec { policy: RestartPolicy::Permanent, intensity: 3, period: Duration::from_secs(5) };
    let mode = InstanceMode::PerEvent;
    let mut cell = Cell::new(Budget::new(spec, mode), mode, Timestamp::UNIX_EPOCH);
    cell.ask(Control::Drain);
    cell.ask(Control::Restart);
    assert_eq!(cell.control, Some(Control::Restart), "a worker that is drained and then restarted runs");
    cell.ask(Control::Remove);
    cell.ask(Control::Restart);
    assert_eq!(cell.control, Some(Control::Remove));
}
