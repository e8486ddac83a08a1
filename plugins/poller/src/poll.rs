//! All URLs of one tick: as many at once as the host lets a worker have in flight, each handed over as soon as it is done.
//!
//! Must not block anywhere but in the one `poll`.

use std::collections::VecDeque;

use crate::{
    bindings::wasi::io::poll,
    config::Probe,
    failure::Failure,
    flight::{Flight, Outcome},
};

/// The host's bound on requests in flight.
const IN_FLIGHT: usize = 64;

/// Requests every probe; `done` gets each one's place in the list with what came of it, in the order they end.
pub fn all(probes: &[Probe], mut done: impl FnMut(usize, Result<Outcome, Failure>)) {
    let mut waiting: VecDeque<(usize, &Probe)> = probes.iter().enumerate().collect();
    let mut flights: Vec<(usize, Flight)> = Vec::with_capacity(probes.len().min(IN_FLIGHT));
    loop {
        while flights.len() < IN_FLIGHT
            && let Some((place, probe)) = waiting.pop_front()
        {
            match Flight::launch(probe) {
                Ok(flight) => flights.push((place, flight)),
                Err(failure) => done(place, Err(failure)),
            }
        }
        if flights.is_empty() {
            return;
        }
        let mut stirred = stirred(&flights).into_iter();
        flights.retain_mut(|(place, flight)| {
            if !stirred.next().unwrap_or(false) {
                return true;
            }
            match flight.advance() {
                Some(result) => {
                    done(*place, result);
                    false
                }
                None => true,
            }
        });
    }
}

/// Waits until at least one flight can go on; tells of each whether it can.
fn stirred(flights: &[(usize, Flight)]) -> Vec<bool> {
    let (owners, pollables): (Vec<usize>, Vec<_>) =
        flights.iter().enumerate().flat_map(|(i, (_, flight))| flight.pollables().map(move |pollable| (i, pollable))).unzip();
    let ready = poll::poll(&pollables);
    let mut stirred = vec![false; flights.len()];
    for index in ready {
        let owner = usize::try_from(index).ok().and_then(|index| owners.get(index));
        if let Some(flag) = owner.and_then(|owner| stirred.get_mut(*owner)) {
            *flag = true;
        }
    }
    stirred
}
