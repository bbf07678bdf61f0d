//! Retries and what errors mean, over a bucket in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn store(attempts: usize) -> (Store, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let memory = Arc::new(object_store::memory::InMemory::new());
    let retry = Retry {
        attempts,
        base: Duration::from_millis(1),
    };
    let place = "bucket b at http://s3:9000".to_owned();
    let bucket = Arc::new(Foreign::new(memory));
    let store = Store::over(bucket, place, 1, retry, runtime.handle());
    (store, runtime)
}

fn answer(status: u16) -> StoreError {
    StoreError {
        status: Some(status),
        code: None,
        text: format!("status {status}"),
    }
}

#[test]
fn a_status_decides_who_hears_of_an_error() {
    let (store, _runtime) = store(1);
    for (status, kind) in [
        (503, ErrorKind::Retriable),
        (429, ErrorKind::Retriable),
        (403, ErrorKind::Fatal),
        (501, ErrorKind::Fatal),
        (412, ErrorKind::Conflict),
    ] {
        let error = store.failure("uploading", "k", answer(status));
        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(error.message(), "uploading k to bucket b at http://s3:9000");
    }
}

#[test]
fn part_retries_counts_all_tries_and_only_what_may_succeed_is_tried_again() {
    let (store, runtime) = store(3);
    for (status, expected) in [(503, 3), (403, 1)] {
        let tries = AtomicUsize::new(0);
        let result = runtime.block_on(store.tried(|_| {
            tries.fetch_add(1, Ordering::SeqCst);
            async { Err::<(), _>(answer(status)) }
        }));
        result.expect_err("refused");
        assert_eq!(tries.load(Ordering::SeqCst), expected, "{status}");
    }
}

#[test]
fn pauses_grow_from_the_base_and_are_random_below_it() {
    let retry = Retry {
        attempts: 3,
        base: Duration::from_millis(200),
    };
    assert_eq!(retry.ceiling(0), Duration::from_millis(200));
    assert_eq!(retry.ceiling(2), Duration::from_millis(800));
    assert_eq!(retry.ceiling(60), MAX_BACKOFF);
    let pauses: Vec<Duration> = (0..20).map(|_| retry.pause(1)).collect();
    assert!(
        pauses
            .iter()
            .all(|pause| *pause <= Duration::from_millis(400))
    );
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
}
