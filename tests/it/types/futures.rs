//! Every future that a user can hold: how much larger it is than what it drives, and where it may go. Both
//! are promises: a future that is no longer `Send` stops programs from compiling, and one that grows is paid
//! for by every call in flight.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use recoup::testing::{Chaos, Script};
use recoup::{
    Attempt, Bulkhead, CacheFallback, CallContext, CircuitBreaker, Coalesce, DeadLetter, DeadLetterQueue,
    Fallback, Hedge, Idempotent, LastGood, LetterFilter, LetterId, LoadShedder, MemoryQueue, RateLimiter,
    Reconnect, Recovery, RetryPolicy, TimeLimits, Traced, Transient, Work, execute_with_recovery,
    execute_with_recovery_mut, reconnect, redrive, redrive_one, retry, retry_mut, retry_with, timeout,
};

use super::Oops;

/// Asks of a value whether its type has an auto trait. The reference that the second answer is given for
/// takes one step more to find, so the first is taken wherever it holds.
struct Asked<T>(PhantomData<T>);

macro_rules! auto_traits {
    ($($Is:ident, $Not:ident, $name:ident: $trait:ident;)*) => {
        $(
            trait $Is {
                fn $name(&self) -> Option<&'static str>;
            }
            impl<T: $trait> $Is for Asked<T> {
                fn $name(&self) -> Option<&'static str> {
                    Some(stringify!($trait))
                }
            }
            trait $Not {
                fn $name(&self) -> Option<&'static str>;
            }
            impl<T> $Not for &Asked<T> {
                fn $name(&self) -> Option<&'static str> {
                    None
                }
            }
        )*
    };
}

auto_traits! {
    IsSend, NotSend, send: Send;
    IsSync, NotSync, sync: Sync;
    IsUnpin, NotUnpin, unpin: Unpin;
    IsUnwindSafe, NotUnwindSafe, unwind_safe: UnwindSafe;
    IsRefUnwindSafe, NotRefUnwindSafe, ref_unwind_safe: RefUnwindSafe;
}

fn asked<T>(_: &T) -> Asked<T> {
    Asked(PhantomData)
}

/// One future: what it is called, its bytes beyond those of the operation, and its auto traits.
struct Seen {
    name: &'static str,
    over: usize,
    traits: Vec<&'static str>,
}

macro_rules! seen {
    ($name:literal, $future:expr, $operation:expr) => {{
        let future = $future;
        seen!($name, asked(&future), size_of_val(&future), $operation)
    }};
    ($name:literal, $asked:expr, $size:expr, $operation:expr) => {{
        let asked = &$asked;
        let traits =
            [asked.send(), asked.sync(), asked.unpin(), asked.unwind_safe(), asked.ref_unwind_safe()];
        let traits = traits.into_iter().flatten().collect();
        Seen { name: $name, over: $size.saturating_sub($operation), traits }
    }};
}

type Answer = Ready<Result<u64, Oops>>;

/// The plainest operation: it goes everywhere, so what is missing is missing of the future around it.
fn op(_: Attempt) -> Answer {
    ready(Ok(1))
}

fn alone() -> Answer {
    ready(Ok(1))
}

/// Over an operation that has every auto trait: how many bytes each future may have beyond it, and which of
/// its traits it keeps. `Sync` and `Unpin` are kept where nothing is boxed or waits in place; to be unwind
/// safe is promised by none, for each of them holds what an observer or a runtime may have left half done.
const PROMISED: [(&str, usize, &str); 32] = [
    ("the operation", 0, "Send Sync Unpin UnwindSafe RefUnwindSafe"),
    ("execute_with_recovery", 232, "Send"),
    ("execute_with_recovery, with a context", 232, "Send"),
    ("execute_with_recovery, judged", 232, "Send"),
    ("execute_with_recovery_mut", 600, "Send"),
    ("or_value", 16, "Send"),
    ("or_else", 16, "Send"),
    ("or_else_async", 16, "Send"),
    ("or_last_good", 16, "Send"),
    ("retry", 72, "Send"),
    ("retry_with", 72, "Send"),
    ("retry_with, timed", 208, "Send"),
    ("retry_mut", 616, "Send"),
    ("CircuitBreaker::call", 64, "Send Sync Unpin"),
    ("Bulkhead::call", 208, "Send Sync"),
    ("Bulkhead::acquire", 208, "Send Sync"),
    ("RateLimiter::call", 248, "Send Sync"),
    ("RateLimiter::acquire", 240, "Send Sync"),
    ("Hedge::call", 400, "Send"),
    ("timeout", 176, "Send Sync"),
    ("traced", 64, "Send Sync Unpin"),
    ("Reconnect::wait", 256, "Send"),
    ("reconnect", 352, "Send"),
    ("redrive", 16, "Send Unpin"),
    ("redrive_one", 16, "Send Unpin"),
    ("Chaos::call", 160, "Send Sync"),
    ("Script::call", 192, "Send Sync"),
    ("MemoryQueue::push", 16, "Send Unpin"),
    ("LoadShedder::admit", 240, "Send Sync"),
    ("LoadShedder::call", 256, "Send Sync"),
    ("Coalesce::call", 96, "Send Sync Unpin"),
    ("CacheFallback::call", 96, "Send Sync Unpin"),
];

#[test]
fn t_every_future_goes_where_it_went_and_is_no_larger_than_it_may_be() {
    const OP: usize = size_of::<Answer>();
    let recovery = Recovery::<Oops>::builder("r").build().unwrap();
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let limiter = RateLimiter::builder(1, Duration::from_secs(1)).build().unwrap();
    let hedge = Hedge::at_quantile(0.95).build().unwrap();
    let (policy, context) = (RetryPolicy::default(), CallContext::new("op"));
    let (last_good, chaos, queue) = (LastGood::new(), Chaos::new(), MemoryQueue::default());
    let script = Script::<u64, Oops>::new().succeed(1).succeed(1);
    let filter = LetterFilter::new();
    let (shedder, coalesce) = (LoadShedder::builder(1).build().unwrap(), Coalesce::new());
    let cache: CacheFallback<u64, u64> = CacheFallback::builder().build().unwrap();
    let (mut waiting, supervised) = (Reconnect::default(), Reconnect::default());
    let (mut lent, mut also_lent) = (0_u64, 0_u64);
    let call = || execute_with_recovery(&recovery, op as fn(_) -> _);
    let whole = size_of_val(&call());
    let redriven = |_: Arc<DeadLetter>, attempt: Attempt| op(attempt);
    let all = [
        seen!("the operation", alone(), OP),
        seen!("execute_with_recovery", call(), OP),
        seen!(
            "execute_with_recovery, with a context",
            execute_with_recovery(recovery.with_context(&context), op as fn(_) -> _),
            OP
        ),
        seen!("execute_with_recovery, judged", call().judge(|_: &u64| None), OP),
        seen!(
            "execute_with_recovery_mut",
            execute_with_recovery_mut(&recovery, &mut lent, |_: &mut u64, attempt| op(attempt)),
            OP
        ),
        seen!("or_value", call().or_value(0), whole),
        seen!("or_else", call().or_else(Err), whole),
        seen!("or_else_async", call().or_else_async(|error| ready(Err(error))), whole),
        seen!("or_last_good", call().or_last_good(&last_good), whole),
        seen!("retry", retry(alone as fn() -> _), OP),
        seen!("retry_with", retry_with(op as fn(_) -> _).policy(&policy), OP),
        seen!("retry_with, timed", retry_with(op as fn(_) -> _).deadline(Duration::MAX), OP),
        seen!(
            "retry_mut",
            retry_mut(&policy, &Transient, &mut also_lent, |_: &mut u64, attempt| op(attempt)),
            OP
        ),
        seen!("CircuitBreaker::call", breaker.call(alone as fn() -> _), OP),
        seen!("Bulkhead::call", bulkhead.call(alone as fn() -> _), OP),
        seen!("Bulkhead::acquire", bulkhead.acquire(), 0),
        seen!("RateLimiter::call", limiter.call(alone as fn() -> _), OP),
        seen!("RateLimiter::acquire", limiter.acquire(), 0),
        seen!("Hedge::call", hedge.call(Idempotent(op as fn(_) -> _)), OP),
        seen!("timeout", timeout(Duration::MAX, alone as fn() -> _), OP),
        seen!("traced", Asked::<Traced<Answer>>(PhantomData), size_of::<Traced<Answer>>(), OP),
        seen!("Reconnect::wait", waiting.wait(), 0),
        seen!(
            "reconnect",
            reconnect(supervised, (|| ready(ControlFlow::Break(()))) as fn() -> _),
            size_of::<Ready<ControlFlow<()>>>()
        ),
        seen!("redrive", redrive(&recovery, &filter, redriven).into_future(), OP),
        seen!("redrive_one", redrive_one(&recovery, LetterId::new(1), redriven).into_future(), OP),
        seen!("Chaos::call", chaos.call(alone as fn() -> _, || Oops), OP),
        seen!("Script::call", script.call(), 0),
        seen!("MemoryQueue::push", queue.push(DeadLetter::new("op")), 0),
        seen!("LoadShedder::admit", shedder.admit(Work::new()), 0),
        seen!("LoadShedder::call", shedder.call(alone as fn() -> _), OP),
        seen!("Coalesce::call", coalesce.call(1_u64, (|| ready(1)) as fn() -> Ready<u64>), OP),
        seen!("CacheFallback::call", cache.call(1, alone as fn() -> _), OP),
    ];
    let stays_here = seen!("stays", ready(Rc::new(1)), 0);
    assert_eq!(
        stays_here.traits,
        ["Unpin", "UnwindSafe", "RefUnwindSafe"],
        "the question can be answered with no"
    );
    assert_eq!(all.len(), PROMISED.len());
    for (Seen { name, over, traits }, (promised, most, goes)) in all.into_iter().zip(PROMISED) {
        println!("{name}: {over} bytes more than the operation, of at most {most}; {}", traits.join(" "));
        assert_eq!(name, promised);
        assert!(over <= most, "{name} is {over} bytes larger than the operation");
        for auto_trait in goes.split(' ') {
            assert!(traits.contains(&auto_trait), "{name} is no longer {auto_trait}");
        }
    }
}

/// Also where it is not known yet whether time is limited: whether there is room for a timer follows from it.
#[test]
fn t_retry_goes_to_another_thread_under_a_policy_of_any_kind() {
    fn goes(_: &impl Send) {}
    fn retried<L: TimeLimits>(policy: &RetryPolicy<L>) {
        goes(&retry_with(op).policy(policy));
    }
    retried(&RetryPolicy::default());
    retried(&RetryPolicy::builder().deadline(Duration::from_secs(1)).build().unwrap());
}
