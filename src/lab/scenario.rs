//! Who calls, who answers, and what goes wrong.

use std::time::Duration;

/// One fleet, one backend, and the faults that it goes through.
///
/// The four ready ones are [`outage`](Self::outage), [`spike`](Self::spike), [`errors`](Self::errors) and
/// [`brownout`](Self::brownout). Every field can be changed; [`check`](Self::check) says what cannot work.
///
/// A ready backend is as large as its fleet needs. For one that offers fewer than a hundred requests a second
/// that is so few servers that chance alone makes some of them late.
///
/// ```
/// use recoup::lab::{Fleet, Scenario};
///
/// let mut scenario = Scenario::spike(Fleet::new(5_000, 1.0));
/// assert!(scenario.check().is_ok());
/// scenario.fleet.rate_per_client = f64::NAN;
/// assert_eq!(scenario.check().unwrap_err().setting, "rate_per_client");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scenario {
    /// What it is called in reports.
    pub name: String,
    /// Who calls.
    pub fleet: Fleet,
    /// Who answers.
    pub backend: Backend,
    /// How long a client waits for the answer to one attempt. The ready scenarios: 0.5 s.
    pub timeout: Duration,
    /// What goes wrong, and when. May be empty, and may overlap.
    pub faults: Vec<Fault>,
    /// How long the fleet runs before anything is counted. The ready scenarios: 30 s, which is when their fault
    /// begins too.
    pub warm_up: Duration,
    /// How long the fleet runs on after the last fault has ended, or after the warm-up if there is none. The
    /// ready scenarios: 90 s.
    pub after: Duration,
}

/// Who calls: independent clients, each with policies of its own.
///
/// ```
/// use recoup::lab::Fleet;
/// assert_eq!(Fleet::new(5_000, 1.0).offered(), 5_000.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fleet {
    /// How many clients there are, at least one.
    pub clients: u32,
    /// How many requests each of them makes in a second, on average; more than zero. A request is made whether
    /// the ones before it were answered or not.
    pub rate_per_client: f64,
    /// How requests are spread over time.
    pub arrivals: Arrivals,
}

/// How requests are spread over time.
///
/// ```
/// assert_eq!(recoup::lab::Arrivals::default(), recoup::lab::Arrivals::Poisson);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrivals {
    /// By chance: what many independent users do. The default.
    #[default]
    Poisson,
    /// In turn and evenly, each gap between half and one and a half of the mean.
    Even,
    /// In turn and to the moment, as by a metronome.
    Regular,
}

/// Who answers: servers that share a bounded queue.
///
/// A request whose caller has gone still waits for a server and occupies it, unless
/// [`skip_expired`](Self::skip_expired) says otherwise. That is what makes a backend vulnerable: it may be busy
/// with nothing but work that nobody waits for.
///
/// ```
/// use std::time::Duration;
/// use recoup::lab::Backend;
///
/// let backend = Backend::new(320, Duration::from_millis(50));
/// assert_eq!(backend.capacity(), 6_400.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Backend {
    /// How many calls are served at once, by all shards together; at least one for each shard.
    pub servers: u32,
    /// How long one call is served, on average; longer than zero.
    pub service: Duration,
    /// How service times differ. Default: [`Spread::Exponential`].
    pub spread: Spread,
    /// How many calls may wait for a server; others are turned away. Default: 2 s of work.
    pub queue: QueueBound,
    /// Who is served next. Default: [`Discipline::Fifo`].
    pub discipline: Discipline,
    /// Whether a call whose caller has gone is skipped when its turn comes. Default: no. A
    /// [shedder](Discipline::Shedder) goes by the timeout, whatever is said here.
    pub skip_expired: bool,
    /// The share of its speed that the backend loses while its queue is full, growing evenly with the queue:
    /// from 0.0, below 1.0. Default: 0.0.
    pub slowdown: f64,
    /// Into how many parts the backend is split: each request belongs to one of them by chance, and each has
    /// its share of the servers and a queue of its own. At least one. Default: 1.
    pub shards: u32,
}

/// How service times differ.
///
/// ```
/// assert_eq!(recoup::lab::Spread::default(), recoup::lab::Spread::Exponential);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Spread {
    /// All calls take the same time.
    Fixed,
    /// Exponentially: many are short, few are long. The default.
    #[default]
    Exponential,
    /// Log-normally: `sigma` is the standard deviation of the logarithm, from 0.0 up to 3.0. The mean stays what
    /// it is.
    LogNormal {
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
}

/// How much may wait.
///
/// ```
/// use recoup::lab::{Fleet, QueueBound, Scenario};
///
/// let mut scenario = Scenario::quiet(Fleet::new(10, 1.0));
/// scenario.backend.queue = QueueBound::Calls(u32::MAX);
/// assert_eq!(scenario.check().unwrap_err().setting, "queue");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueBound {
    /// As many calls as the healthy backend serves in this time.
    Work(Duration),
    /// This many calls in each shard.
    Calls(u32),
}

/// Who is served next.
///
/// ```
/// assert_eq!(recoup::lab::Discipline::default(), recoup::lab::Discipline::Fifo);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discipline {
    /// Who came first. The default.
    #[default]
    Fifo,
    /// Who came first while the queue empties now and then; who came last once it has stood for `interval`, and
    /// then whoever has waited longer than `target` is turned away. (Facebook's variant of controlled delay with
    /// adaptive LIFO, "Fail at Scale", 2015: 100 ms and 5 ms.)
    CoDelLifo {
        /// How long a call may wait while a queue stands.
        target: Duration,
        /// How long a queue may stand before that holds; until then it is how long a call may wait.
        interval: Duration,
    },
    /// What the crate's own [`LoadShedder`](crate::LoadShedder) says, which each shard has in front of its servers.
    ///
    /// Its queue is that of the backend, and the deadline of a call is that its caller waits for
    /// [`timeout`](Scenario::timeout). Whoever is turned away is told at once, and when to come back.
    /// [`shedder`](Self::shedder) gives one that suits a timeout.
    Shedder {
        /// The wait that does no harm: [`target`](crate::LoadShedderBuilder::target).
        target: Duration,
        /// For how long the longest wait must be above it: [`interval`](crate::LoadShedderBuilder::interval).
        interval: Duration,
    },
}

impl Discipline {
    /// A [shedder](Self::Shedder) with its defaults, for callers who wait so long: its target is a tenth of that,
    /// its interval 100 ms.
    ///
    /// It does more than any policy of the clients can. In the ready [spike](Scenario::spike) of 5,000 clients
    /// with a request a second, against a plain queue and against this:
    ///
    /// | clients | plain: in the fault | after it, 30 s | recovery | shedder: in the fault | after it, 30 s | recovery |
    /// |---|---|---|---|---|---|---|
    /// | without retries | 7 % | 64 % | 11 s | 83 % | 100 % | at once |
    /// | three retries after full jitter | 7 % | 0 % | never | 97 % | 98.8 % | 19 s |
    /// | the same, given up after 2 s | 7 % | 0 % | never | 84 % | 99.9 % | 0.9 s |
    /// | the default | 63 % | 100 % | at once | 86 % | 98.7 % | 4 s |
    ///
    /// Where it takes longer that is because nothing was lost: who comes back when told to, up to a minute later,
    /// is served then, and keeps the servers busy. A [deadline](crate::RetryPolicyBuilder::deadline) ends that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recoup::lab::{Contender, Discipline, Fleet, Scenario, run};
    ///
    /// let mut scenario = Scenario::spike(Fleet::new(100, 1.0));
    /// scenario.backend.discipline = Discipline::shedder(scenario.timeout);
    /// let figures = run(&scenario, &[Contender::full_jitter()], 1)?.runs[0].figures.clone();
    /// assert!(figures.goodput_in_fault > Some(0.6));
    /// assert!(!figures.recovery.is_stuck());
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    #[must_use]
    pub fn shedder(timeout: Duration) -> Self {
        let target = (timeout / 10).max(Duration::from_nanos(1));
        Self::Shedder { target, interval: Duration::from_millis(100) }
    }
}

/// Something that goes wrong for a while.
///
/// ```
/// use std::time::Duration;
/// use recoup::lab::{Fault, FaultKind};
///
/// let fault = Fault::new(FaultKind::Outage, Duration::from_secs(30), Duration::from_secs(60));
/// assert_eq!(fault.ends(), Duration::from_secs(90));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// When it begins, from the start of the run.
    pub from: Duration,
    /// How long it lasts; longer than zero.
    pub lasting: Duration,
}

/// What goes wrong.
///
/// ```
/// use recoup::lab::{FaultKind, Fleet, Scenario};
///
/// let mut scenario = Scenario::errors(Fleet::new(10, 1.0));
/// scenario.faults[0].kind = FaultKind::Errors { share: 1.5 };
/// let error = scenario.check().unwrap_err();
/// assert_eq!(error.to_string(), "lab: `share` is 1.5, but must be above 0.0 and at most 1.0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Every call is refused at once, as by a host without the service.
    Outage,
    /// No call is answered, as by a host that is gone.
    BlackHole,
    /// The fleet offers this many times the *capacity* of the healthy backend, more than 0.0.
    Spike {
        /// Of the capacity, not of what is offered otherwise.
        factor: f64,
    },
    /// Calls fail by chance after they were served.
    Errors {
        /// The share of calls that fail, above 0.0 and at most 1.0.
        share: f64,
    },
    /// Calls are lost by chance, and never answered.
    Losses {
        /// The share of calls that are lost, above 0.0 and at most 1.0.
        share: f64,
    },
    /// Every service takes this many times as long, more than 0.0.
    Brownout {
        /// Of the service time.
        factor: f64,
    },
    /// The first so many shards answer nothing, at least one and at most all.
    DeadShards {
        /// How many.
        shards: u32,
    },
}

impl Fleet {
    /// So many clients, each with so many requests in a second.
    #[must_use]
    pub const fn new(clients: u32, rate_per_client: f64) -> Self {
        Self { clients, rate_per_client, arrivals: Arrivals::Poisson }
    }

    /// What all of them offer in a second.
    #[must_use]
    pub fn offered(&self) -> f64 {
        f64::from(self.clients) * self.rate_per_client
    }
}

impl Backend {
    /// So many servers, each busy with one call for `service` on average.
    #[must_use]
    pub const fn new(servers: u32, service: Duration) -> Self {
        Self {
            servers,
            service,
            spread: Spread::Exponential,
            queue: QueueBound::Work(Duration::from_secs(2)),
            discipline: Discipline::Fifo,
            skip_expired: false,
            slowdown: 0.0,
            shards: 1,
        }
    }

    /// How many calls it serves in a second when it is well and all servers are busy.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        f64::from(self.servers) / self.service.as_secs_f64()
    }

    /// How many calls may wait in each shard.
    pub(crate) fn queue_of_a_shard(&self) -> f64 {
        match self.queue {
            QueueBound::Work(time) => (self.capacity() * time.as_secs_f64() / f64::from(self.shards)).round(),
            QueueBound::Calls(calls) => f64::from(calls),
        }
    }
}

impl Fault {
    /// This, beginning `from` after the start of the run.
    #[must_use]
    pub const fn new(kind: FaultKind, from: Duration, lasting: Duration) -> Self {
        Self { kind, from, lasting }
    }

    /// When it is over, from the start of the run.
    #[must_use]
    pub const fn ends(&self) -> Duration {
        self.from.saturating_add(self.lasting)
    }
}
