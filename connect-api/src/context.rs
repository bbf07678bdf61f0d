//! What the runtime lends to a plugin: the signal to stop, the async runtime, the time.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Tells a connector or task to stop. Cheap to clone; can be waited for by threads and by futures.
#[derive(Clone, Default)]
pub struct StopSignal(Arc<StopState>);

#[derive(Default)]
struct StopState {
    set: Mutex<bool>,
    changed: Condvar,
    notify: tokio::sync::Notify,
}

impl StopSignal {
    /// A signal that is not set.
    pub fn new() -> Self {
        Self::default()
    }
    /// Sets it, for good.
    pub fn set(&self) {
        *self.0.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
        self.0.notify.notify_waiters();
    }
    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        *self.0.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Blocks the thread until it is set or the time has passed; answers whether it is set.
    pub fn wait(&self, limit: Duration) -> bool {
        let set = self.0.set.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, _) = self
            .0
            .changed
            .wait_timeout_while(set, limit, |set| !*set)
            .unwrap_or_else(PoisonError::into_inner);
        *set
    }
    /// Completes when it is set.
    pub async fn wait_async(&self) {
        let notified = self.0.notify.notified();
        tokio::pin!(notified);
        // Registered before the check, so that a signal in between is not missed.
        notified.as_mut().enable();
        if !self.is_set() {
            notified.await;
        }
    }
}

impl fmt::Debug for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StopSignal({})", self.is_set())
    }
}

/// What every plugin gets when it is configured.
#[derive(Clone, Debug)]
pub struct PluginContext {
    /// The runtime for a plugin's own I/O. Plugins' methods run on threads of their own and may
    /// block on it.
    pub runtime: tokio::runtime::Handle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_wakes_when_the_signal_is_set() {
        let signal = StopSignal::new();
        assert!(!signal.wait(Duration::from_millis(1)));
        let other = signal.clone();
        let waiter = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        signal.set();
        assert!(waiter.join().expect("the waiter returns"));
        assert!(signal.is_set());
    }
}
