//! One call: what is kept of it, and what may be done about its failures.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use super::answer_body::AnswerBody;
use super::errors::told;
use super::layer::Settings;
use super::lost::Lost;
use super::policy::{Hedging, MethodPolicy};
use super::pushback::{Pushback, pushback};
use super::race::race;
use super::send::{one_of, send};
use super::unsent::Unsent;
use super::{deadline, rejection};
use crate::adapters::http::{CallOptions, Outgoing, Requests};
use crate::adapters::traced;
use crate::attempt::Attempt;
use crate::call::{CallContext, Own};
use crate::classification::{Advice, Category, Classification, Severity};
use crate::error::CannotRepeat;
use crate::recovery::execute_with_recovery;
use crate::retry::{RetryBudget, RetryPolicy};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::time::{self, Instant, earlier, later};

const PREVIOUS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// How often in one call what never left this side is sent again at once. It is more than ever happens: each time a
/// connection has to break in the moment between being made and being used.
const MOST_UNCOUNTED: u32 = 5;

/// A call, while it is made.
pub(super) struct Outbound {
    outgoing: Outgoing<Body>,
    pub(super) policy: MethodPolicy,
    pub(super) settings: Arc<Settings>,
    /// When the call must have ended, if the request or its method's policy says so.
    told_until: Option<Instant>,
    /// The same, or when the recovery's time is over.
    pub(super) until: Option<Instant>,
    /// How many attempts the call wants at most, whatever its policy allows.
    most: Option<u32>,
    /// How many attempts were begun that count as such.
    begun: AtomicU32,
    /// How often it was sent again without that counting, after it was refused and because it never left.
    refused: AtomicU32,
    never_left: AtomicU32,
}

/// Makes one call, with as many attempts as it takes and the policies allow.
pub(super) async fn make<S, B>(
    mut inner: S,
    settings: Arc<Settings>,
    request: Request<Body>,
) -> Result<Response<AnswerBody<B>>, Status>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Send,
{
    let (call, context) = Outbound::new(Arc::clone(&settings), request);
    let (call, hedging) = (&call, call.policy.hedges());
    let attempts = |attempt| {
        let mut inner = one_of(&mut inner);
        async move {
            match hedging {
                Some(hedging) => race(call, inner, attempt, hedging).await,
                None => traced(move |attempt| send(call, one_of(&mut inner), attempt, call.begin(), None))(
                    attempt,
                )
                .await
                .inspect_err(|status| call.mind_refusal(status)),
            }
        }
    };
    let unthrottled = settings.throttling.as_ref().map(|_| settings.recovery.unthrottled());
    let mut using = settings.recovery.with_context(&context);
    if let Some(unthrottled) = &unthrottled {
        using = using.on(unthrottled);
    }
    let answer = execute_with_recovery(using, attempts)
        .refine(|status, answer| call.refine(status, answer))
        .repeat_if(|failed| call.may_repeat(failed))
        .await;
    match answer {
        Ok(response) => {
            let (recovery, tokens) = (settings.recovery.clone(), call.tokens().cloned());
            Ok(response.map(|body| AnswerBody::new(body, recovery, tokens, call.told_until)))
        }
        Err(error) => Err(rejection::status(error)),
    }
}

impl Outbound {
    fn new(settings: Arc<Settings>, mut request: Request<Body>) -> (Self, CallContext<'static>) {
        let policy = settings.policy(request.uri().path());
        let limit = shorter(deadline::read(request.headers()), policy.limit());
        let recovery = settings.recovery.limits().call;
        let now = limit.or(recovery).map(|_| time::now());
        let ends = |limit: Option<Duration>| later(now?, limit?);
        let (told_until, until) = (ends(limit), ends(shorter(limit, recovery)));

        if policy.is_idempotent() {
            allow(&mut request);
        }
        let operation = request.uri().path().trim_start_matches('/').to_owned();
        let mut outgoing = Outgoing::new(request, &Requests::new().body_cap(settings.body_cap));

        let mut context = CallContext::new(operation).under(own(&settings, &policy));
        if let Some(destination) = outgoing.destination() {
            context = context.destination(destination);
        }
        if let Some(until) = until {
            context = context.deadline(until);
        }
        let context = outgoing.adopt(context);
        let until = earlier(until, context.latest_end());
        let (begun, refused, never_left) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let most = context.most_attempts();
        let call = Self { outgoing, policy, settings, told_until, until, most, begun, refused, never_left };
        (call, context)
    }

    /// A further attempt that counts as such begins. How many there were before it.
    pub(super) fn begin(&self) -> u32 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// What is sent by an attempt before which there were `previous` others.
    pub(super) fn request(&self, attempt: Attempt, previous: u32, lost: Option<&Lost>) -> Request<Body> {
        let mut request = self.outgoing.request(attempt).map(|body| match lost {
            Some(lost) => Body::new(lost.watch(body)),
            None => Body::new(body),
        });
        if previous > 0 {
            request.headers_mut().insert(PREVIOUS, HeaderValue::from(previous));
        }
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(time::now());
            request.headers_mut().insert(deadline::TIMEOUT, deadline::write(left));
        }
        request
    }

    /// Whether the call's time ends about now: the server was told so to the millisecond at worst.
    pub(super) fn is_all_but_over(&self) -> bool {
        const ABOUT: Duration = Duration::from_millis(10);
        self.until.is_some_and(|until| until.saturating_duration_since(time::now()) <= ABOUT)
    }

    /// Whether an attempt that came to nobody is sent again at once, without that counting. `alone` if no other is
    /// under way.
    pub(super) fn sends_again(&self, unsent: Unsent, alone: bool) -> bool {
        let (counter, most) = match unsent {
            Unsent::NoConnection => return false,
            Unsent::NeverLeft => (&self.never_left, MOST_UNCOUNTED),
            Unsent::Refused => (&self.refused, 1),
        };
        let answer = unsent.classification();
        let whole =
            if alone { self.outgoing.may_repeat(&answer) } else { self.outgoing.could_repeat(&answer) };
        whole.is_ok() && counter.fetch_add(1, Ordering::Relaxed) < most
    }

    /// What the rules for this method make of an answer.
    pub(super) fn refine(&self, status: &Status, answer: Classification) -> Classification {
        if answer.is_unprocessed() {
            return answer;
        }
        let listed = match (self.policy.retries(), self.policy.hedges()) {
            (Some(retry), _) => Some(retry.is_retryable(status.code())),
            (None, Some(hedging)) => Some(!hedging.is_fatal(status.code())),
            (None, None) => None,
        };
        let answer = match listed {
            Some(true) if answer.advice() == Advice::Stop => {
                answer.with_severity(Severity::Transient).retry()
            }
            Some(false) => answer.stop(),
            _ => answer,
        };
        told(answer, status.metadata().as_ref())
    }

    pub(super) fn classify(&self, status: &Status) -> Classification {
        self.refine(status, self.settings.recovery.classify(status))
    }

    /// The tokens that failures cost and successes bring, if the call is made under such.
    pub(super) fn tokens(&self) -> Option<&RetryBudget> {
        self.settings.tokens()
    }

    /// A failure costs a token if the server asks not to be called again, even one that says nothing of the server
    /// by its code (gRPC A6).
    pub(super) fn mind_refusal(&self, status: &Status) {
        if pushback(status.metadata().as_ref()) != Some(Pushback::Stop) {
            return;
        }
        if let Some(tokens) = self.tokens()
            && !RetryBudget::counts(&self.classify(status))
        {
            tokens.failed(&Category::ServiceUnavailable.into());
        }
    }

    fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.outgoing.may_repeat(failed)
    }

    /// How many attempts a race may be made of.
    pub(super) fn at_most(&self, hedging: &Hedging) -> u32 {
        let most = self.most.unwrap_or(u32::MAX);
        hedging.max_attempts().min(most)
    }

    /// Whether one more may be sent beside those under way: the call may be made twice, and its messages are there.
    pub(super) fn could_repeat(&self) -> bool {
        let slow = Classification::of(Category::Timeout);
        self.outgoing.could_repeat(&slow).is_ok()
    }
}

/// What a call has instead of its recovery's.
fn own(settings: &Settings, policy: &MethodPolicy) -> Own {
    let throttling = settings.throttling.clone();
    match (policy.retries(), policy.hedges()) {
        (Some(retry), _) => Own { retry: Some(retry.policy().clone()), budget: throttling },
        // The race pays for its attempts itself, and so it must not be charged for once more.
        (None, Some(_)) => {
            let budget = settings.tokens().map(|_| RetryBudget::unlimited());
            Own { retry: Some(RetryPolicy::never().into()), budget }
        }
        (None, None) => Own { retry: None, budget: throttling },
    }
}

/// Says of the request that it may be sent twice, unless it says itself that it may not.
fn allow(request: &mut Request<Body>) {
    let options = request.extensions().get::<CallOptions>().cloned().unwrap_or_default();
    if options != options.clone().idempotent(false) {
        request.extensions_mut().insert(options.idempotent(true));
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
