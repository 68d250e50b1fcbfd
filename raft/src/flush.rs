//! One flush for many: groups whose machines share an engine need not flush it one after the other.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Counts flushes of an engine, so that whoever needs one finds out whether it happened already.
///
/// A flush covers everything written before it started. So what was written while `started()` was `n` is durable once a
/// flush with a number above `n` has finished.
#[derive(Debug, Default)]
pub(crate) struct FlushGate {
    started: AtomicU64,
    finished: AtomicU64,
    turn: Mutex<()>,
}

impl FlushGate {
    /// Number of flushes started so far.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Ordering::SeqCst)
    }

    /// Waits for a finished flush with a number above `written`; flushes if nobody did.
    pub(crate) async fn cover<E, F>(&self, written: u64, flush: impl FnOnce() -> F) -> Result<(), E>
    where
        F: Future<Output = Result<(), E>>,
    {
        let _turn = self.turn.lock().await;
        if self.finished.load(Ordering::SeqCst) > written {
            return Ok(());
        }
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(number > written, "nothing is written in the future");
        flush().await?;
        self.finished.store(number, Ordering::SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flush_covers_what_was_written_before_it_started_and_nothing_later() {
        let gate = FlushGate::default();
        let flushes = AtomicU64::new(0);
        let flush = |result: Result<(), &'static str>| {
            flushes.fetch_add(1, Ordering::SeqCst);
            async move { result }
        };
        let first = gate.started();
        assert_eq!(gate.cover(first, || flush(Err("full"))).await, Err("full"));
        assert_eq!(gate.cover(first, || flush(Ok(()))).await, Ok(()), "a failed flush covers nothing");
        assert_eq!(gate.cover(first, || flush(Ok(()))).await, Ok(()));
        assert_eq!(flushes.load(Ordering::SeqCst), 2);
        let later = gate.started();
        assert_eq!(gate.cover(later, || flush(Ok(()))).await, Ok(()));
        assert_eq!(flushes.load(Ordering::SeqCst), 3);
    }
}
