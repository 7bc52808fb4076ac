//! Readers side by side: who is woken, who is dropped, and what goes between threads.

use super::*;

#[test]
fn every_reader_is_woken_whoever_polled_last() {
    let fed = Fed::default();
    let stream = stream(fed.clone(), 8);
    let (mut one, mut other) = (attempt(&stream), hedge(&stream));
    let counts: [Arc<Count>; 2] = Default::default();
    assert!(poll(&mut one, &counts[0]).is_pending());
    assert!(poll(&mut other, &counts[1]).is_pending());
    drop(other); // the stream knows its waker
    fed.feed(data("1"));
    assert_eq!((counts[0].woken(), counts[1].woken()), (1, 0));
    assert_eq!(next(&mut one), "1");
}

#[test]
fn frame_that_one_took_wakes_the_others() {
    let fed = Fed::default();
    let stream = stream(fed.clone(), 8);
    let (mut one, mut other) = (attempt(&stream), hedge(&stream));
    let count = Arc::<Count>::default();
    fed.shared.lock().steps.push_back(data("1")); // and wakes nobody
    stream.state.lock().missed = false;
    let body = stream.state.lock().body.take().unwrap();
    assert!(poll(&mut other, &count).is_pending(), "the stream is away");
    stream.state.lock().body = Some(body);
    assert_eq!(next(&mut one), "1");
    assert_eq!(count.woken(), 1);
    assert_eq!(next(&mut other), "1");
}

#[test]
fn dropping_all_drops_the_stream() {
    struct Dropping(#[expect(dead_code, reason = "tells when it is dropped")] Gone);
    impl Body for Dropping {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }
    let feed = Arc::<Lock<Feed>>::default();
    let stream = Arc::new(Stream::new(Dropping(Gone(Arc::clone(&feed))), 8));
    let mut body = ReplayBody::read(Arc::clone(&stream), stream.enter(false));
    let waker = std::task::Waker::from(Arc::<Count>::default());
    assert!(Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker)).is_pending());
    drop(stream);
    assert!(!feed.lock().dropped);
    drop(body);
    assert!(feed.lock().dropped, "nothing that was registered keeps it alive");
}

#[test]
fn body_that_is_only_send_is_served() {
    struct NotSync(#[expect(dead_code, reason = "makes it so")] std::cell::Cell<u8>);
    impl Body for NotSync {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(None)
        }
    }
    fn is_fit<T: Send + Sync + Unpin>() {}
    is_fit::<ReplayBody<NotSync>>();
    is_fit::<crate::adapters::http::Outgoing<NotSync>>();
}

/// Two readers and a writer, each on a thread of its own, in whatever order the machine runs them.
#[test]
fn no_wakeup_is_lost_between_threads() {
    for round in 0..200_u32 {
        let fed = Fed::default();
        let stream = stream(fed.clone(), 1_000);
        let readers = [attempt(&stream), hedge(&stream)];
        std::thread::scope(|scope| {
            let reading = readers
                .map(|body| scope.spawn(move || tokio_test::block_on(body.collect()).unwrap().to_bytes()));
            for n in 0..round % 17 {
                fed.feed(Step::Data(vec![u8::try_from(n).unwrap()]));
            }
            fed.feed(Step::Ends);
            let expected: Vec<u8> = (0..round % 17).map(|n| u8::try_from(n).unwrap()).collect();
            for reader in reading {
                assert_eq!(reader.join().unwrap(), expected);
            }
        });
    }
}
