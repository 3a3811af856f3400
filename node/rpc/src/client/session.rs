//! What a client knows of the log of its service: the newest head that it has verified, the log's time, and what it remembers
//! between two runs. Start from [`Session::begin`].
//!
//! A head is verified when its signature holds and when it is shown to go on from the one before. All heads that a service
//! shows, those of receipts too, must be parts of one history: two that are not are a fork, whose proof is kept.

mod heads;
mod memory;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::signed_head::SignedHead;

use super::compare::{Comparison, compare};
use super::error::{ClientError, TrustError};
use super::greeting::{Asked, Greeting};
use super::line::Line;
use super::link::Reopen;
use super::nonces::{Ahead, Nonces};
use super::options::ClientOptions;
use super::receipt::Receipt;
use super::socket::{self, Socket};
use crate::url::ServiceUrl;

/// How often a stale head is asked for again, and the first pause before that. A copy that lags behind catches up.
const STALE_TRIES: u32 = 3;
const STALE_PAUSE: Duration = Duration::from_millis(200);

/// A client's view of one log, shared by its calls.
#[derive(Debug)]
pub(super) struct Session {
    url: String,
    place: ServiceUrl,
    options: ClientOptions,
    log: PublicKey,
    /// Under which name the service is remembered; `None` where the log was named beside the URL.
    name: Option<String>,
    state: Mutex<State>,
    /// Held by the call that compares heads, for all that wait.
    comparing: tokio::sync::Mutex<()>,
    /// Held while heads and nonces are being remembered.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    newest: SignedHead,
    /// Heads of receipts that are not yet shown to belong to the same history.
    open: Vec<SignedHead>,
    nonces: Nonces,
    distrust: Option<TrustError>,
    /// The remembered head with which `newest` was compared, and when that was.
    stored: Option<SignedHead>,
    stored_at: Instant,
}

impl Session {
    /// Begins with a socket on which nothing was sent yet: asks the service for its log, and compares that with what is known.
    pub(super) async fn begin(
        url: &str,
        place: &ServiceUrl,
        options: &ClientOptions,
        socket: &mut Socket,
    ) -> Result<Arc<Self>, ClientError> {
        let named = named_log(url, place, options)?;
        let known = memory::read(options.known_logs.clone()).await?;
        let name = named.is_none().then(|| place.name());
        let remembered = name.as_deref().and_then(|name| known.log_of(name));
        let expected = named.or(remembered);
        let head = expected.and_then(|log| known.head_of(&log));
        let asked = Asked { consistency: head.map(|head| head.length()), latest: false };
        let greeting = Greeting::over(socket, url, asked, options.connect_timeout).await?;
        let log = greeting.log;
        if let Some(expected) = expected.filter(|expected| *expected != log)
            && (named.is_some() || !options.accept_new_key)
        {
            let known = options.known_logs.as_ref().filter(|_| named.is_none());
            let known = known.map(|known| known.path().to_owned());
            return Err(TrustError::OtherLog { url: url.into(), expected, found: log, known }.into());
        }
        let newest = known.head_of(&log);
        let key = options.key.as_ref().map(SecretKey::public_key);
        let nonce = key.and_then(|key| known.nonce_of(&key, &log));
        let state = State {
            newest: newest.unwrap_or(greeting.head),
            open: vec![],
            nonces: Nonces::new(nonce, greeting.now, Instant::now(), greeting.call_age),
            distrust: None,
            stored: newest,
            stored_at: Instant::now(),
        };
        let session = Self {
            url: url.into(),
            place: place.clone(),
            options: options.clone(),
            log,
            name,
            state: Mutex::new(state),
            comparing: tokio::sync::Mutex::default(),
            storing: tokio::sync::Mutex::default(),
        };
        session.check_kept_fork().await?;
        if !session.take(&greeting).await? {
            session.greet_by(Way::Socket(socket)).await?;
        }
        Ok(Arc::new(session))
    }

    /// Returns the log.
    pub(super) fn log(&self) -> PublicKey {
        self.log
    }

    /// Returns the caller's key.
    pub(super) fn key(&self) -> Option<&SecretKey> {
        self.options.key.as_ref()
    }

    /// Returns the newest head that is verified.
    pub(super) fn newest(&self) -> SignedHead {
        self.lock().newest
    }

    /// Returns how long a call is sent again.
    pub(super) fn retry_timeout(&self) -> Duration {
        self.options.retry_timeout
    }

    /// Returns the number of a call that is signed now, and the head that its caller has seen.
    pub(super) fn next_number(&self) -> Result<(u64, SignedHead), ClientError> {
        let mut state = self.lock();
        if let Some(why) = &state.distrust {
            return Err(why.clone().into());
        }
        let clock =
            |Ahead { own, log }| ClientError::Clock { own_millis: own / 1000, log_millis: log / 1000 };
        let nonce = state.nonces.next(own_clock(), Instant::now()).map_err(clock)?;
        Ok((nonce, state.newest))
    }

    /// Takes the log's time as the host tells it, in microseconds since 1970.
    pub(super) fn tell(&self, now: u64) {
        self.lock().nonces.tell(now, Instant::now());
    }

    /// Takes that the key has used greater numbers elsewhere.
    pub(super) fn overtaken(&self) {
        self.lock().nonces.overtaken(own_clock(), Instant::now());
    }

    /// Takes the receipt of the log's latest entry, for its time; ignores one that does not hold.
    pub(super) fn show_latest(&self, receipt: &str) {
        if let Ok(receipt) = Receipt::open(receipt, &self.log) {
            self.show(&receipt);
        }
    }

    /// Returns how long it takes until the log's time is that of a number.
    pub(super) fn wait_for(&self, nonce: u64) -> Duration {
        self.lock().nonces.wait_for(nonce, Instant::now())
    }

    /// Asks for the log's time, and for an entry that shows it.
    pub(super) async fn ask_time(&self, line: &Line) -> Result<(), ClientError> {
        let known = self.lock().newest;
        let asked = Asked { consistency: Some(known.length()), latest: true };
        let greeting = Way::Line(line).ask(self, asked).await?;
        self.take(&greeting).await?;
        if let Some(latest) = &greeting.latest {
            self.show_latest(latest);
        }
        Ok(())
    }

    /// Checks that the service still writes the log, and goes on from the newest head that is known.
    pub(super) async fn refresh(&self, line: &Line) -> Result<(), ClientError> {
        self.greet_by(Way::Line(line)).await
    }

    /// Returns what opens another connection to the service, and greets it.
    pub(super) fn reopener(self: &Arc<Self>) -> Reopen {
        let session = self.clone();
        Box::new(move || {
            let session = session.clone();
            async move {
                let Self { url, place, options, .. } = &*session;
                // The link has its own patience with a service that is starting.
                let options = ClientOptions { start_timeout: Duration::ZERO, ..options.clone() };
                let mut socket = socket::connect(url, place, &options).await?;
                session.greet_by(Way::Socket(&mut socket)).await?;
                Ok(socket)
            }
            .boxed()
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, receipt: &Receipt) {
        if let Some(at) = receipt.at() {
            self.lock().nonces.show(at);
        }
    }

    /// Greets the service until it shows that its log goes on from the newest head that is known.
    async fn greet_by(&self, mut way: Way<'_>) -> Result<(), ClientError> {
        let mut pause = STALE_PAUSE;
        for left in (0..STALE_TRIES).rev() {
            let known = self.lock().newest;
            let greeting = way.ask(self, Asked { consistency: Some(known.length()), latest: false }).await?;
            if self.take(&greeting).await? {
                return Ok(());
            }
            if left == 0 {
                return Err(TrustError::stale(&self.url, &known, &greeting.head).into());
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }

    /// Takes a greeting, whose nodes are to show how the log goes on from the newest head that is known. Returns whether they
    /// do.
    async fn take(&self, greeting: &Greeting) -> Result<bool, ClientError> {
        self.check_service(greeting)?;
        let compared = {
            let mut state = self.lock();
            state.nonces.tell(greeting.now, Instant::now());
            let compared = compare(&state.newest, &greeting.head, &greeting.nodes);
            if compared == Comparison::GoesOn {
                state.newest = greeting.head;
            }
            compared
        };
        match compared {
            Comparison::GoesOn => Ok(true),
            Comparison::Stale => Ok(false),
            Comparison::Fork(proof) => Err(self.distrust(proof).await.into()),
        }
    }

    fn check_service(&self, greeting: &Greeting) -> Result<(), TrustError> {
        let url = || self.url.clone();
        if greeting.log != self.log {
            let (expected, found) = (self.log, greeting.log);
            return Err(TrustError::OtherLog { url: url(), expected, found, known: None });
        }
        match self.options.key.is_some() && !greeting.is_signed {
            true => Err(TrustError::NotSigned { url: url() }),
            false => Ok(()),
        }
    }
}

/// How a greeting is asked for.
enum Way<'a> {
    /// Over a socket on which nothing else is under way.
    Socket(&'a mut Socket),
    /// Among other requests.
    Line(&'a Line),
}

impl Way<'_> {
    async fn ask(&mut self, session: &Session, asked: Asked) -> Result<Greeting, ClientError> {
        let Session { url, options, .. } = session;
        match self {
            Way::Socket(socket) => Greeting::over(socket, url, asked, options.connect_timeout).await,
            Way::Line(line) => Greeting::read(url, line.request("handshake", &[asked]).await?),
        }
    }
}

/// Returns the log that the caller has named, in the URL or beside it.
fn named_log(
    url: &str,
    place: &ServiceUrl,
    options: &ClientOptions,
) -> Result<Option<PublicKey>, TrustError> {
    match (options.log, place.log()) {
        (Some(expected), Some(found)) if expected != found => {
            Err(TrustError::OtherLog { url: url.into(), expected, found, known: None })
        }
        (named, in_url) => Ok(named.or(in_url)),
    }
}

/// Returns the microseconds since 1970 by the clock of this machine.
fn own_clock() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}
