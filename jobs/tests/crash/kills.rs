//! SIGKILL at random moments, restarts with other numbers of workers, kills during the recovery.
//!
//! `TAPEFLOW_KILLS=100 cargo test --test crash kills` tries it a hundred times, `TAPEFLOW_SEED`
//! repeats the moments of an earlier try.

use std::os::unix::process::ExitStatusExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::world::{KILLED, World, job, reference};

/// Moments by a seed: a multiplicative generator is random enough for a fault.
pub(crate) struct Moments(u64);

impl Moments {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below.max(1)
    }
}

pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How long a run takes that nobody disturbs.
fn duration() -> Duration {
    static DURATION: OnceLock<Duration> = OnceLock::new();
    *DURATION.get_or_init(|| {
        let world = World::new(&job());
        let started = Instant::now();
        world.succeed(1, &[]);
        started.elapsed()
    })
}

/// Kills a run after `delay`; false: it had ended well before.
fn kill_after(world: &World, workers: usize, delay: Duration) -> bool {
    let mut child = world.start(workers);
    // The fault itself, not a way to wait for something.
    std::thread::sleep(delay);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let is_killed = output.status.signal() == Some(KILLED);
    assert!(is_killed || output.status.success(), "{}", crate::world::said(&output));
    is_killed
}

/// Kills a run one to four times, then lets it end; says when it was killed.
pub(crate) fn disturb(world: &World, moments: &mut Moments, further: &mut u64) -> String {
    let most = u64::try_from(duration().as_millis()).unwrap();
    let mut history = String::new();
    let times = 1 + moments.next(4);
    for _ in 0..times {
        let workers = [1, 2, 4][usize::try_from(moments.next(3)).unwrap()];
        let delay = Duration::from_millis(moments.next(most));
        let is_killed = kill_after(world, workers, delay);
        history.push_str(&format!("{workers} workers killed after {delay:?} ({is_killed}); "));
        *further += u64::from(is_killed);
    }
    let workers = [1, 2, 4][usize::try_from(moments.next(3)).unwrap()];
    let summary = world.succeed(workers, &[]);
    history.push_str(&format!("{workers} workers went on: {}", summary["resumed"]));
    history
}

#[test]
fn a_run_that_is_killed_at_random_moments_leaves_what_an_undisturbed_one_leaves() {
    let (runs, seed) = (number("TAPEFLOW_KILLS", 6), number("TAPEFLOW_SEED", 1));
    println!("TAPEFLOW_SEED={seed}, {runs} runs of {:?}", duration());
    let mut kills = 0;
    for run in 0..runs {
        let mut moments = Moments::new(seed * 1_000 + run);
        let world = World::new(&job());
        let history = disturb(&world, &mut moments, &mut kills);
        println!("run {run}: {history}");
        world.left().assert_is(reference(), &format!("seed {seed}, run {run}: {history}"));
    }
    println!("{kills} kills");
    assert!(kills >= runs / 2, "only {kills} kills in {runs} runs");
}
