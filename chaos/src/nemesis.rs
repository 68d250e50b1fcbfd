//! What goes wrong and when: a schedule from a seed, and the one who carries it out.

use std::{fmt, io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};

use crate::{
    cluster::{Cluster, ClusterError},
    history::Micros,
};

/// Free space that a full disk keeps.
const LEFT_BYTES: u64 = 64 << 10;
/// Name of the file that fills a disk.
const BALLAST: &str = "ballast";

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The process ends at once and starts again
    Kill,
    /// Every process ends at once, and all start again
    KillAll,
    /// The process ends in order and starts again
    Term,
    /// The process stands still for a while
    Pause,
    /// A minority of the nodes and the others hear nothing of each other
    Partition,
    /// A node hears nothing of the others, which hear it, or the other way round
    OneWay,
    /// Two nodes hear nothing of each other, and the others hear both
    Partial,
    /// The disk is full
    DiskFull,
}

/// One fault of a schedule.
#[derive(Clone, Debug)]
pub struct Step {
    /// Quiet before.
    pub after: Duration,
    /// What.
    pub fault: Fault,
    /// Whom it hits; the rest is always a majority, except where all are hit.
    pub victims: Vec<usize>,
    /// Another choice of the fault, such as the direction.
    pub flip: bool,
    /// How long.
    pub hold: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (after, hold) = (self.after.as_secs_f64(), self.hold.as_secs_f64());
        write!(f, "after {after:.1} s {:?} {:?} for {hold:.1} s (flip {})", self.fault, self.victims, self.flip)
    }
}

/// Faults until a time is over; the same for the same arguments.
pub fn schedule(seed: u64, faults: &[Fault], nodes: usize, total: Duration) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut steps = Vec::new();
    let mut spent = Duration::ZERO;
    while let Some(fault) = faults.choose(&mut rng) {
        let step = step(*fault, nodes, &mut rng);
        spent += step.after + step.hold;
        if spent > total {
            break;
        }
        steps.push(step);
    }
    steps
}

fn step(fault: Fault, nodes: usize, rng: &mut StdRng) -> Step {
    let mut victims: Vec<usize> = (0..nodes).collect();
    victims.shuffle(rng);
    let minority = (nodes - 1) / 2;
    match fault {
        Fault::KillAll => {}
        Fault::Partial => victims.truncate(2),
        Fault::OneWay | Fault::DiskFull => victims.truncate(1),
        Fault::Kill | Fault::Term | Fault::Pause | Fault::Partition => victims.truncate(rng.random_range(1..=minority)),
    }
    let hold = match fault {
        // Shorter than, about as long as, and longer than a lease.
        Fault::Pause => rng.random_range(200..6000),
        Fault::Kill | Fault::KillAll | Fault::Term => rng.random_range(0..4000),
        Fault::Partition | Fault::OneWay | Fault::Partial | Fault::DiskFull => rng.random_range(500..9000),
    };
    let after = Duration::from_millis(rng.random_range(1500..6000));
    Step { after, fault, victims, flip: rng.random(), hold: Duration::from_millis(hold) }
}

/// A fault that happened.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Which.
    pub step: Step,
    /// When it began.
    pub start: Micros,
    /// When its cause was gone.
    pub end: Micros,
}

/// Carries out schedules.
pub struct Nemesis {
    cluster: Arc<Cluster>,
    /// What it has done.
    pub happened: Mutex<Vec<Happened>>,
}

impl Nemesis {
    /// One for a cluster.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, happened: Mutex::default() }
    }

    /// One step after the other; `now` tells the time of the history.
    pub async fn run(&self, steps: &[Step], now: impl Fn() -> Micros) -> Result<(), ClusterError> {
        for step in steps {
            tokio::time::sleep(step.after).await;
            let start = now();
            self.begin(step).await?;
            tokio::time::sleep(step.hold).await;
            self.end(step)?;
            self.happened.lock().push(Happened { step: step.clone(), start, end: now() });
        }
        Ok(())
    }

    async fn begin(&self, step: &Step) -> Result<(), ClusterError> {
        let cluster = &self.cluster;
        match step.fault {
            Fault::Kill | Fault::KillAll => step.victims.iter().try_for_each(|node| cluster.kill(*node))?,
            Fault::Pause => step.victims.iter().try_for_each(|node| cluster.pause(*node))?,
            Fault::Term => {
                for node in &step.victims {
                    cluster.terminate(*node).await?;
                }
            }
            Fault::Partition | Fault::OneWay | Fault::Partial => self.cut(step)?,
            Fault::DiskFull => step.victims.iter().try_for_each(|node| self.fill(*node))?,
        }
        Ok(())
    }

    fn cut(&self, step: &Step) -> io::Result<()> {
        let network = self.cluster.network();
        if let (Fault::Partial, [a, b]) = (step.fault, step.victims.as_slice()) {
            network.cut(*a, *b)?;
            return network.cut(*b, *a);
        }
        for victim in &step.victims {
            for other in (0..network.nodes()).filter(|node| !step.victims.contains(node)) {
                if step.fault == Fault::Partition || step.flip {
                    network.cut(*victim, other)?;
                }
                if step.fault == Fault::Partition || !step.flip {
                    network.cut(other, *victim)?;
                }
            }
        }
        Ok(())
    }

    fn fill(&self, node: usize) -> io::Result<()> {
        let disk = self.cluster.disk(node);
        let status = rustix::fs::statvfs(&disk)?;
        let free = (status.f_bavail * status.f_frsize).saturating_sub(LEFT_BYTES);
        let file = std::fs::File::create(disk.join(BALLAST))?;
        Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free)?)
    }

    /// Takes the cause away. Processes that have ended for it start again, whoever ended them.
    fn end(&self, step: &Step) -> io::Result<()> {
        let cluster = &self.cluster;
        match step.fault {
            Fault::Kill | Fault::KillAll | Fault::Term => step.victims.iter().try_for_each(|node| cluster.spawn(*node)),
            Fault::Pause => step.victims.iter().try_for_each(|node| cluster.resume(*node)),
            Fault::Partition | Fault::OneWay | Fault::Partial => cluster.network().mend(),
            Fault::DiskFull => step.victims.iter().try_for_each(|node| {
                std::fs::remove_file(cluster.disk(*node).join(BALLAST))?;
                // A node whose log cannot be written ends by itself.
                if cluster.alive(*node) { Ok(()) } else { cluster.spawn(*node) }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Fault; 4] = [Fault::Kill, Fault::Pause, Fault::Partition, Fault::OneWay];

    fn text(seed: u64) -> Vec<String> {
        schedule(seed, &ALL, 5, Duration::from_secs(300)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_seed_is_a_schedule() {
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn a_majority_is_always_left() {
        for step in schedule(3, &ALL, 5, Duration::from_secs(3000)) {
            assert!((1..=2).contains(&step.victims.len()), "{step}");
        }
    }
}
