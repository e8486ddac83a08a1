//! A replica's state machine against a model: whatever is asked for in whatever order, no event is lost, no more run at once than there is
//! room for, and nobody waits for a driver or a lane that isn't there.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use skep::{
    facts::InstanceMode,
    manifest::spec::{RestartPolicy, RestartSpec},
    supervise::{
        SuperviseError,
        cell::{After, Cell, Control, Message, Next, Offered, Phase, Reply, Shape},
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
    Redeploy(Shape),
    /// The driver takes its next step; what it does ends so.
    Drive(End),
    /// The event of some lane ends so.
    Finish(usize, End),
    Pass(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Well,
    Crash,
    Refusal,
}

fn shape() -> impl Strategy<Value = Shape> {
    let resident = any::<bool>().prop_map(|lazy| Shape { mode: InstanceMode::Resident, room: 1, lazy, service: false });
    let per_event = (1u32..4).prop_map(|room| Shape { mode: InstanceMode::PerEvent, room, lazy: false, service: false });
    prop_oneof![resident, per_event]
}

fn op() -> impl Strategy<Value = Op> {
    let end = || prop_oneof![4 => Just(End::Well), 2 => Just(End::Crash), 1 => Just(End::Refusal)];
    prop_oneof![
        6 => Just(Op::Post),
        1 => Just(Op::GiveUp),
        1 => Just(Op::Ask(Control::Restart)),
        1 => Just(Op::Ask(Control::Drain)),
        1 => shape().prop_map(Op::Redeploy),
        8 => end().prop_map(Op::Drive),
        6 => (0usize..4, end()).prop_map(|(lane, end)| Op::Finish(lane, end)),
        2 => (1u64..5_000).prop_map(|ms| Op::Pass(Duration::from_millis(ms))),
    ]
}

type Caller = oneshot::Receiver<Result<Answer, SuperviseError>>;

/// A cell, its driver and its lanes, one step at a time.
struct Model {
    cell: Cell,
    spec: RestartSpec,
    shape: Shape,
    now: Instant,
    driver: Driver,
    #[allow(clippy::vec_box, reason = "as the cell hands them out")]
    lanes: Vec<Box<Message>>,
    callers: Vec<Caller>,
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
    Asleep { until: Instant },
}

impl Model {
    fn new(shape: Shape, policy: RestartPolicy, intensity: u32) -> Self {
        let spec = RestartSpec { policy, intensity, period: Duration::from_secs(5) };
        let mut model = Self {
            cell: Cell::new(Budget::new(spec, shape.mode), shape, Timestamp::UNIX_EPOCH),
            spec,
            shape,
            now: Instant::now(),
            driver: Driver::None,
            lanes: Vec::new(),
            callers: Vec::new(),
            answered: 0,
            refused: 0,
            given_up: 0,
            posted: 0,
        };
        model.kick();
        model
    }

    fn begin_driver(&mut self) {
        assert_eq!(self.driver, Driver::None, "two drivers");
        self.driver = Driver::AtWork;
    }

    fn kick(&mut self) {
        if self.cell.claim_driver() {
            self.begin_driver();
        } else if matches!(self.driver, Driver::Asleep { .. }) {
            self.driver = Driver::AtWork;
        }
    }

    fn post(&mut self) {
        let (reply, caller) = oneshot::channel();
        let event = Event::Call { method: "m".into(), payload: vec![0; 8], chain: None };
        self.posted += 1;
        match self.cell.offer(Box::new(Message { event, due: self.now, reply: Reply::Caller(reply), tick: None, pinned: false })) {
            Offered::Lane(message) => {
                self.callers.push(caller);
                self.lane(message);
            }
            Offered::Queued { drive } => {
                self.callers.push(caller);
                if drive {
                    self.begin_driver();
                }
            }
            Offered::Refused(..) => self.refused += 1,
        }
    }

    fn lane(&mut self, message: Box<Message>) {
        assert!(matches!(self.cell.phase, Phase::Ready), "an event while {:?}", self.cell.phase);
        self.lanes.push(message);
        assert!(self.lanes.len() <= self.shape.room as usize, "more events at once than there is room for");
    }

    fn settle(&mut self, end: End) {
        let (verdict, failed) = match end {
            End::Crash => (self.cell.budget.crashed(self.now, 0.0), false),
            End::Refusal => (self.cell.budget.refused(self.now, 0.0), true),
            End::Well => unreachable!(),
        };
        self.cell.settle(verdict, failed, Timestamp::UNIX_EPOCH);
    }

    /// The event of one lane ends.
    fn finish(&mut self, lane: usize, end: End) {
        if self.lanes.is_empty() {
            return;
        }
        let message = self.lanes.swap_remove(lane % self.lanes.len());
        if message.abandoned() {
            self.given_up += 1;
        } else {
            match end {
                End::Well => self.cell.budget.succeeded(self.now),
                _ => self.settle(End::Crash),
            }
            let Reply::Caller(caller) = message.reply else { unreachable!() };
            let _ = caller.send(Ok(Ok(Vec::new())));
            self.answered += 1;
        }
        match self.cell.lane_done() {
            After::Lane(message) => self.lane(message),
            After::Drive => self.begin_driver(),
            After::Done => {}
        }
        self.somebody_works();
    }

    fn drive(&mut self, end: End) {
        match self.driver {
            Driver::None => return,
            Driver::Asleep { until } if self.now < until => return,
            Driver::Starting => {
                self.driver = Driver::AtWork;
                match end {
                    End::Well => {
                        self.cell.holding = self.shape.mode == InstanceMode::Resident;
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
            Next::Spawn(message) => self.lane(message),
            Next::Lane(message) => {
                self.driver = Driver::None;
                self.lane(message);
            }
            Next::Refuse(queue) => {
                assert!(!queue.is_empty());
                for message in queue {
                    let Reply::Caller(caller) = message.reply else { unreachable!() };
                    let _ = caller.send(Err(SuperviseError::Timeout));
                    self.refused += 1;
                }
            }
            Next::Stop => {
                assert!(self.lanes.is_empty(), "stopped under an event");
                self.cell.holding = false;
            }
            Next::Sleep(until) => self.driver = Driver::Asleep { until },
            Next::Serve => unreachable!("no service here"),
            Next::Park => self.driver = Driver::None,
        }
        self.somebody_works();
    }

    /// Nothing waits for a task that isn't there.
    fn somebody_works(&self) {
        if self.lanes.is_empty() && matches!(self.driver, Driver::None | Driver::Asleep { .. }) {
            assert_eq!(self.cell.waiting(), 0, "events wait and nobody works: {:?}", self.cell);
            assert_eq!(self.cell.control, None, "a change waits and nobody works");
            assert!(self.cell.idle());
        }
        if self.driver == Driver::None && self.lanes.len() < self.shape.room as usize && self.cell.phase == Phase::Ready {
            assert!(self.cell.waiting() == 0 || self.cell.control.is_some(), "there is room, and events wait: {:?}", self.cell);
        }
    }

    /// Lets everybody work until there is nothing to do, backoffs included.
    fn rest(&mut self) {
        for _ in 0..100_000 {
            match (self.driver, self.lanes.is_empty()) {
                (Driver::None, true) => return,
                (Driver::Asleep { until }, true) => self.now = until,
                _ => {}
            }
            self.finish(0, End::Well);
            self.drive(End::Well);
        }
        panic!("it never rests: {:?}", self.cell);
    }
}

proptest! {
    #[test]
    fn no_event_is_lost_and_none_runs_beside_another(
        shape in shape(),
        policy in prop_oneof![Just(RestartPolicy::Permanent), Just(RestartPolicy::Transient), Just(RestartPolicy::Temporary)],
        intensity in 0u32..4,
        ops in prop::collection::vec(op(), 1..200),
        last in prop_oneof![Just(None), Just(Some(Control::Drain)), Just(Some(Control::Remove))],
    ) {
        let mut model = Model::new(shape, policy, intensity);
        for op in ops {
            match op {
                Op::Post => model.post(),
                Op::GiveUp => drop(model.callers.pop()),
                Op::Ask(control) => {
                    model.cell.ask(control);
                    model.kick();
                }
                // The number of lanes at work may be beyond the new room until they end.
                Op::Redeploy(shape) if model.lanes.len() <= shape.room as usize => {
                    model.shape = shape;
                    model.cell.redeploy(Budget::new(model.spec, shape.mode), shape);
                    model.cell.ask(Control::Restart);
                    model.kick();
                }
                Op::Redeploy(_) => {}
                Op::Drive(end) => model.drive(end),
                Op::Finish(lane, end) => model.finish(lane, end),
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
    let shape = Shape { mode: InstanceMode::PerEvent, room: 1, lazy: false, service: false };
    let mut cell = Cell::new(Budget::new(spec, shape.mode), shape, Timestamp::UNIX_EPOCH);
    cell.ask(Control::Drain);
    cell.ask(Control::Restart);
    assert_eq!(cell.control, Some(Control::Restart), "a worker that is drained and then restarted runs");
    cell.ask(Control::Remove);
    cell.ask(Control::Restart);
    assert_eq!(cell.control, Some(Control::Remove));
}
