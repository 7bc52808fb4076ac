//! Whatever the stream and whoever stops where: each attempt sends a plain copy.

use super::*;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(Step::Data),
        2 => Just(Step::Waits),
    ];
    let end = prop_oneof![Just(Step::Ends), Just(Step::Trailers(trailers()))];
    (proptest::collection::vec(step, 0..12), end).prop_map(|(mut steps, end)| {
        steps.push(end);
        steps
    })
}

proptest! {
    /// However the stream comes in pieces, whatever the cap, wherever attempts stop: each attempt that is allowed
    /// sends a prefix of the very same bytes, the last one all of them and the trailers, and no more is kept than
    /// the cap allows.
    #[test]
    fn each_attempt_sends_a_plain_copy(
        steps in steps(),
        cap in 0_usize..80,
        stops in proptest::collection::vec((0_usize..14, any::<bool>()), 0..5),
        known in any::<bool>(),
    ) {
        let plain: Vec<u8> = steps.iter().flat_map(|step| match step {
            Step::Data(data) => data.clone(),
            _ => Vec::new(),
        }).collect();
        let with_trailers = matches!(steps.last(), Some(Step::Trailers(_)));
        let fed = Fed { exact: known.then_some(plain.len() as u64), ..Fed::of(steps) };
        let stream = stream(fed, cap);
        let mut zombies = Vec::new();
        let frames = stops.iter().map(|(frames, keep)| (*frames, *keep)).chain([(usize::MAX, false)]);
        for (frames, keep) in frames {
            if !stream.hold() {
                break;
            }
            let mut body = attempt(&stream);
            if known {
                prop_assert_eq!(body.size_hint().exact(), Some(plain.len() as u64));
            }
            let (mut sent, mut seen_trailers, mut ended) = (Vec::new(), None, false);
            for _ in 0..frames {
                let hint = body.size_hint();
                prop_assert!(hint.lower() <= (plain.len() - sent.len()) as u64);
                prop_assert!(hint.upper().is_none_or(|upper| upper >= (plain.len() - sent.len()) as u64));
                prop_assert!(!body.is_end_stream() || sent.len() == plain.len());
                match poll(&mut body, &Arc::default()) {
                    Poll::Pending => {} // it was woken
                    Poll::Ready(None) => { ended = true; break }
                    Poll::Ready(Some(frame)) => match frame.expect("no error of ours").into_data() {
                        Ok(bytes) => sent.extend_from_slice(&bytes),
                        Err(frame) => seen_trailers = frame.into_trailers().ok(),
                    },
                }
                let state = stream.state.lock();
                prop_assert!(state.kept.len() <= cap && state.kept.chunked + state.kept.tail.capacity() <= cap);
                prop_assert!(state.over.is_none());
            }
            prop_assert!(plain.starts_with(&sent));
            if ended {
                prop_assert_eq!(&sent, &plain);
                prop_assert_eq!(seen_trailers.is_some(), with_trailers);
                prop_assert!(body.is_end_stream());
            }
            for zombie in &mut zombies {
                prop_assert!(["", GONE].contains(&next(zombie).as_str()));
            }
            prop_assert!(ended || frames < usize::MAX);
            if keep {
                zombies.push(body);
            }
        }
        if plain.len() <= cap {
            prop_assert!(stream.is_whole());
        }
    }

    /// Two that race read the same, in whatever order they are polled.
    #[test]
    fn hedges_send_the_same(steps in steps(), turns in proptest::collection::vec(any::<bool>(), 0..60)) {
        let plain: Vec<u8> = steps.iter().flat_map(|step| match step {
            Step::Data(data) => data.clone(),
            _ => Vec::new(),
        }).collect();
        let stream = stream(Fed::of(steps), 1_000);
        let mut bodies = [attempt(&stream), hedge(&stream)];
        let mut sent = [Vec::new(), Vec::new()];
        let turns = turns.into_iter().map(usize::from).chain([0; 60]).chain([1; 60]);
        for turn in turns {
            if let Poll::Ready(Some(Ok(frame))) = poll(&mut bodies[turn], &Arc::default())
                && let Ok(bytes) = frame.into_data()
            {
                sent[turn].extend_from_slice(&bytes);
            }
        }
        prop_assert_eq!(&sent[0], &plain);
        prop_assert_eq!(&sent[1], &plain);
        prop_assert!(bodies.iter().all(Body::is_end_stream));
    }
}
