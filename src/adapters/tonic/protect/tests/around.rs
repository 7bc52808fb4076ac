//! The layer around services that fail, that have to be made ready, and that are layers themselves.

use super::*;

#[tokio::test(start_paused = true)]
async fn limit_learns_from_answers_and_from_overload_and_from_nothing_else() {
    let limit = ConcurrencyLimit::aimd().initial(8).build().unwrap();
    let told = || (limit.snapshot().samples, limit.snapshot().dropped);
    let trailers_only = async |builder: ProtectLayerBuilder, code: Code| {
        let service = service_fn(move |_: Request<()>| {
            ready(Ok::<_, Infallible>(Status::new(code, "").into_http::<Empty<Bytes>>()))
        });
        let layer = builder.concurrency_limit(&limit).build().unwrap();
        layer.layer(service).oneshot(request(&[])).await.unwrap()
    };
    for builder in [ProtectLayer::builder, || ProtectLayer::builder().until_body_ends()] {
        let before = told();
        for code in [Code::NotFound, Code::Internal, Code::Cancelled, Code::Unknown, Code::InvalidArgument] {
            trailers_only(builder(), code).await;
        }
        assert_eq!(told(), before);
        for code in [Code::Unavailable, Code::ResourceExhausted, Code::DeadlineExceeded] {
            trailers_only(builder(), code).await;
        }
        assert_eq!(told(), (before.0, before.1 + 3));
    }
    let before = told();
    let to_the_end = ProtectLayer::builder().concurrency_limit(&limit).until_body_ends().build().unwrap();
    for code in [Code::Unavailable, Code::NotFound] {
        let frames = futures::stream::iter([Ok(Frame::trailers(trailers(code)))]);
        stream(&to_the_end, frames).await.into_body().frame().await.unwrap().unwrap();
    }
    assert_eq!(told(), (before.0, before.1 + 1), "the status stands in the trailers");
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_layer_within_is_not_counted_as_overload_by_the_one_around_it() {
    let limit = ConcurrencyLimit::aimd().initial(8).build().unwrap();
    let full = bulkhead(1, 0);
    let _slot = full.try_acquire().unwrap();
    let outer = ProtectLayer::builder().concurrency_limit(&limit).build().unwrap();
    let service = Prompt::default();
    let both = outer.layer(around(&full).build().unwrap().layer(service.clone()));
    let refused = both.oneshot(request(&[])).await.unwrap();
    assert_eq!((code(&refused), service.reached()), (Code::Unavailable, 0));
    assert_eq!((limit.snapshot().dropped, limit.snapshot().samples, limit.in_flight()), (0, 0, 0));
    let refusal = refused.extensions().get::<Refusal>();
    assert!(matches!(refusal, Some(Refusal::Full(full)) if full.reason == FullReason::QueueFull));
}

#[tokio::test(start_paused = true)]
async fn service_that_panics_or_fails_gives_its_slot_back() {
    let bulkhead = bulkhead(1, 0);
    let layer = around(&bulkhead).build().unwrap();
    let panics = service_fn(|_: Request<()>| async {
        assert!(std::hint::black_box(false), "on purpose");
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let panicked = AssertUnwindSafe(layer.layer(panics).oneshot(request(&[]))).catch_unwind().await;
    assert_eq!((panicked.is_err(), bulkhead.in_use()), (true, 0));
    let fails = service_fn(|_: Request<()>| ready(Err::<Response<Empty<Bytes>>, _>("broken")));
    assert_eq!(layer.layer(fails).oneshot(request(&[])).await.unwrap_err(), "broken");
    assert_eq!(bulkhead.in_use(), 0);
}

/// Ready only after it was asked, and only the instance that was asked. Panics when it is called unready.
struct Mindful {
    ready: bool,
    never: bool,
}

impl Clone for Mindful {
    fn clone(&self) -> Self {
        Self { ready: false, never: self.never }
    }
}

impl Service<Request<()>> for Mindful {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.never {
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        Box::pin(ready(Ok(Response::new(Empty::new()))))
    }
}

#[tokio::test(start_paused = true)]
async fn c4_instance_that_was_ready_takes_the_call_and_refusals_do_not_wait_for_readiness() {
    let bulkhead = bulkhead(1, 0);
    let layer = around(&bulkhead).build().unwrap();
    let mut service = layer.layer(Mindful { ready: false, never: false });
    for _ in 0..3 {
        let answer = service.ready().await.unwrap().call(request(&[])).await.unwrap();
        assert_eq!(code(&answer), Code::Ok);
    }
    let mut limited = layer.layer(tower::limit::ConcurrencyLimit::new(Prompt::default(), 1));
    for _ in 0..3 {
        limited.ready().await.unwrap().call(request(&[])).await.unwrap();
    }
    let mut reserved = tower::limit::ConcurrencyLimit::new(Prompt::default(), 1);
    reserved.ready().await.unwrap();
    let answer = layer.layer(reserved).call(request(&[]));
    tokio::time::timeout(SECOND, answer).await.expect("its only place is its own").unwrap();

    let never = layer.layer(Mindful { ready: false, never: true });
    let mut waits = task::spawn(never.clone().oneshot(request(&[])));
    assert_pending!(waits.poll());
    assert_eq!(code(&never.oneshot(request(&[])).await.unwrap()), Code::Unavailable);
    drop(waits);
    assert_eq!(bulkhead.in_use(), 0);
}

#[test]
fn service_goes_by_the_name_of_what_is_in_it() {
    fn name<S: NamedService>(_: &S) -> &'static str {
        S::NAME
    }
    let layer = ProtectLayer::builder().build().unwrap();
    assert_eq!(name(&layer.layer(Prompt::default())), "echo.v1.Echo");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |builder: ProtectLayerBuilder| builder.build().unwrap_err().setting;
    assert_eq!(refused(ProtectLayer::builder().come_back(Duration::ZERO)), "come_back");
    for key in ["", "a b", "käse", "x-priority-bin"] {
        assert_eq!(refused(ProtectLayer::builder().priority_from(key)), "priority_from", "{key:?}");
    }
    assert!(ProtectLayer::builder().come_back(Duration::MAX).priority_from("X-Priority").build().is_ok());
}
