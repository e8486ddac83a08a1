//! The one timer behind all delayed jobs, leases from outside and times to live: armed for the soonest of them, or not at all.
//!
//! Must not change anything itself: it tells the writer that time has come, and the writer arms it anew.

use std::sync::{Arc, atomic::Ordering};

use tokio::{runtime::Handle, sync::watch, time::sleep_until};

use super::{
    core::Core,
    op::Op,
    timeline::{Moment, Timeline},
};
use crate::{
    clock::Clock,
    store::{control, queue::Queue},
};

/// Starts the timer once a runtime is there to run it.
pub(super) fn ensure(core: &Core) {
    if core.timer.load(Ordering::Relaxed) {
        return;
    }
    if let Ok(runtime) = Handle::try_current()
        && !core.timer.swap(true, Ordering::Relaxed)
    {
        // It holds no part of the store that would keep it open: it ends when the alarm's owner is gone.
        runtime.spawn(run(core.alarm.subscribe(), core.writer(), core.timeline(), core.clock));
    }
}

async fn run(mut alarm: watch::Receiver<Option<i64>>, writer: Arc<Queue<control::Work>>, timeline: Timeline, clock: Clock) {
    loop {
        let at = *alarm.borrow_and_update();
        if let Some(at) = at {
            tokio::select! {
                changed = alarm.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = sleep_until(timeline.instant(at)) => {
                    let moment: Moment = timeline.moment(clock.now(), clock.wall());
                    if writer.put(control::Work::Jobs(Op::Due { moment })).is_err() {
                        return;
                    }
                }
            }
        }
        // The writer answers a due alarm with a new one.
        if alarm.changed().await.is_err() {
            return;
        }
    }
}
