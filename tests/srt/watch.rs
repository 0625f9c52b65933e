//! Whether the machine stood still. A run by real programs in real time that was held up for longer than its latency allows says
//! nothing of SRT, for better or worse, and is made again.
#![allow(clippy::disallowed_methods, dead_code)]

use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// By how much any thread of the tests may be late in a run that is judged.
const STILL: Duration = Duration::from_millis(30);
/// How often a run is made at most.
const RUNS: u32 = 5;

/// Whenever a thread was later than [`STILL`]: when it went on, and by how much it was late.
static LATE: Mutex<Vec<(Instant, Duration)>> = Mutex::new(Vec::new());

/// Notes that the calling thread wanted to go on at `due`, and did now.
pub(crate) fn went_on(due: Instant) {
    let now = Instant::now();
    if now > due + STILL {
        LATE.lock().unwrap_or_else(PoisonError::into_inner).push((now, now - due));
    }
}

/// Sleeps for `pause`, and notes by how much that took too long.
pub(crate) fn sleep(pause: Duration) {
    let due = Instant::now() + pause;
    thread::sleep(pause);
    went_on(due);
}

/// One thread for each processor, which does nothing but see whether it is woken in time.
fn look() {
    static LOOKING: Once = Once::new();
    LOOKING.call_once(|| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            thread::spawn(|| {
                loop {
                    sleep(Duration::from_millis(5));
                }
            });
        }
    });
}

/// What a run came to.
pub(crate) enum Run {
    Good,
    /// What is wrong, for which the test fails.
    Bad(String),
    /// What is wrong, and what other than SRT may have made it so.
    Void(String),
}

/// One run, from when this is made on.
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Self {
        look();
        Self(Instant::now())
    }

    /// A run that is good unless something is `wrong`; it is void if a thread was late meanwhile.
    pub(crate) fn judge(&self, wrong: Option<String>) -> Run {
        let Some(wrong) = wrong else { return Run::Good };
        let late = LATE.lock().unwrap_or_else(PoisonError::into_inner);
        match late.iter().filter(|(at, _)| *at >= self.0).map(|(_, by)| *by).max() {
            Some(most) => {
                Run::Void(format!("{wrong}, and a thread that only waited went on {} ms late", most.as_millis()))
            }
            None => Run::Bad(wrong),
        }
    }
}

/// Makes a run until one is not void.
pub(crate) fn fairly(mut run: impl FnMut() -> Run) {
    for number in 1..=RUNS {
        match run() {
            Run::Good => return,
            Run::Bad(wrong) => panic!("{wrong}"),
            Run::Void(why) => println!("run {number} of {RUNS} is void: {why}"),
        }
    }
    panic!("none of {RUNS} runs can be judged: the machine stood still in each of them");
}
