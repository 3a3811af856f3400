//! The targets of `watch` and `replicate`: keys, and services that are asked for the key of their log again and again.
//!
//! A service may be down when a command starts, and return at another address. So it is asked before each attempt to
//! connect. Its last answer is stored in the data directory, so that its copies are kept and served meanwhile:
//!
//! ```text
//! DIR/services.json   { URL: key of the log that the service named last }
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use libvms::net::{Network, Whereabouts};
use libvms_hypercore::identity::PublicKey;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::output::message;
use super::target::Target;

const FILE: &str = "services.json";
/// Interval at which the message that a service is away is repeated.
const TELL_AGAIN: Duration = Duration::from_secs(600);
/// How long a service may take to name its log.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Interval and number of further questions to a service while a peer at its address may already be connected.
const ASK_PAUSE: Duration = Duration::from_secs(1);
const ASKED_ON_MAX: u32 = 60;
/// Logs that one service may name in one run, at most. A new deployment has a new log; a service that names ever more
/// must not fill the disk.
const LOGS_MAX: usize = 16;

/// A change of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// This log belongs to a target.
    Log {
        /// The target, as the arguments name it.
        target: String,
        /// The log.
        log: PublicKey,
    },
    /// A service does not name its log. It is asked again.
    Away {
        /// Its URL.
        target: String,
        /// The log that it named last, if any; its copy is kept.
        log: Option<PublicKey>,
        /// Why.
        why: String,
    },
    /// A service that was away answers.
    Back {
        /// Its URL.
        target: String,
    },
    /// A service names another log than before.
    Replaced {
        /// Its URL.
        target: String,
        /// The log that it named last.
        before: PublicKey,
        /// The log that it names now, which is followed, too, unless `is_ignored`.
        log: PublicKey,
        /// The service has named too many logs.
        is_ignored: bool,
    },
}

/// The targets of a command.
#[derive(Debug)]
pub(super) struct Seeking {
    directory: PathBuf,
    services: Vec<Service>,
    news: VecDeque<News>,
    answers: mpsc::UnboundedReceiver<(usize, anyhow::Result<Target>)>,
}

/// A service and its last answer.
#[derive(Debug)]
struct Service {
    url: String,
    log: Option<PublicKey>,
    named: BTreeSet<PublicKey>,
    /// Time of the last message that it is away; `None` while it answers.
    away: Option<Instant>,
    /// Whether it has answered in this run.
    has_answered: bool,
}

impl Seeking {
    /// Starts to ask the services; their last answers are read from `directory`.
    ///
    /// # Errors
    /// When a target is neither a key nor the URL of a service.
    pub(super) fn start(targets: &[String], directory: &Path, network: &Network) -> anyhow::Result<Self> {
        let remembered = recall(directory);
        let (sender, answers) = mpsc::unbounded_channel();
        let (mut services, mut news) = (vec![], VecDeque::new());
        for target in targets {
            let log = match Target::service(target)?.is_some() {
                true => {
                    let (url, answers) = (target.clone(), sender.clone());
                    let ask = Ask {
                        number: services.len(),
                        url,
                        answers,
                        known: Mutex::default(),
                        asking_on: Mutex::default(),
                    };
                    network.connect_to(ask);
                    let log = remembered.get(target).copied();
                    let named = log.into_iter().collect();
                    services.push(Service {
                        url: target.clone(),
                        log,
                        named,
                        away: None,
                        has_answered: false,
                    });
                    log
                }
                false => Some(Target::from_key(target)?.log),
            };
            news.extend(log.map(|log| News::Log { target: target.clone(), log }));
        }
        Ok(Self { directory: directory.into(), services, news, answers })
    }

    /// Returns whether a service has not yet named its log.
    pub(super) fn is_waiting(&self) -> bool {
        self.services.iter().any(|service| service.log.is_none())
    }

    /// Waits for the next change.
    pub(super) async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.news.pop_front() {
                return news;
            }
            match self.answers.recv().await {
                Some((service, answer)) => self.take(service, answer),
                // There are no services, or the network has stopped.
                None => std::future::pending().await,
            }
        }
    }

    fn take(&mut self, number: usize, answer: anyhow::Result<Target>) {
        let now = Instant::now();
        let Some(service) = self.services.get_mut(number) else { return };
        let news = match answer {
            Ok(Target { log, .. }) => service.named(log),
            Err(error) => service.failed(&error, now).into_iter().collect(),
        };
        let has_changed = news.iter().any(|news| matches!(news, News::Log { .. }));
        self.news.extend(news);
        if has_changed {
            self.remember();
        }
    }

    fn remember(&self) {
        let mut known = recall(&self.directory);
        known.extend(self.services.iter().filter_map(|service| Some((service.url.clone(), service.log?))));
        let known: BTreeMap<_, _> = known.into_iter().map(|(url, log)| (url, log.to_string())).collect();
        let (path, new) = (self.directory.join(FILE), self.directory.join("services.new"));
        let written = fs::write(&new, format!("{:#}\n", json!(known))).and_then(|()| fs::rename(&new, path));
        if let Err(error) = written {
            warn!(%error, "cannot store which log a service writes: after a restart, the service must answer first");
        }
    }
}

impl Service {
    /// Handles an answer: the service names its log.
    fn named(&mut self, log: PublicKey) -> Vec<News> {
        let target = || self.url.clone();
        let mut news = vec![];
        if self.away.take().is_some() {
            news.push(News::Back { target: target() });
        }
        let before = self.log;
        let is_new = !self.named.contains(&log);
        let is_ignored = is_new && self.named.len() >= LOGS_MAX;
        if let Some(before) = before.filter(|before| *before != log && (is_new || !self.has_answered)) {
            news.push(News::Replaced { target: target(), before, log, is_ignored });
        }
        self.has_answered = true;
        if is_ignored {
            // Reported once for each log.
            return if self.log.replace(log) == Some(log) { vec![] } else { news };
        }
        self.log = Some(log);
        if self.named.insert(log) {
            news.push(News::Log { target: target(), log });
        }
        news
    }

    /// Handles a failed question: the service does not name its log.
    fn failed(&mut self, error: &anyhow::Error, now: Instant) -> Option<News> {
        if self.away.is_some_and(|told| now.duration_since(told) < TELL_AGAIN) {
            return None;
        }
        self.away = Some(now);
        Some(News::Away { target: self.url.clone(), log: self.log, why: message(error) })
    }
}

impl News {
    /// Returns the text for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Log { target, log } => format!("{target} writes the log {log}"),
            Self::Away { target, log: Some(log), why } => {
                format!("waiting for {target}: {why}; continuing with the copy of its log {log}")
            }
            Self::Away { target, log: None, why } => format!("waiting for {target}: {why}"),
            Self::Back { target } => format!("{target} answers again"),
            Self::Replaced { target, before, log, is_ignored: false } => {
                format!("{target} now writes the log {log}; the copy of its former log {before} is kept")
            }
            Self::Replaced { target, log, .. } => {
                format!(
                    "{target} has named {LOGS_MAX} other logs: {log} is not followed; restart vms to follow it"
                )
            }
        }
    }

    /// Returns the event for programs.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Log { target, log } => json!({ "event": "log", "target": target, "log": log.to_string() }),
            Self::Away { target, log, why } => json!({
                "event": "waiting", "target": target, "log": log.map(|log| log.to_string()), "why": why,
            }),
            Self::Back { target } => json!({ "event": "back", "target": target }),
            Self::Replaced { target, before, log, is_ignored } => json!({
                "event": "replaced", "target": target, "before": before.to_string(), "log": log.to_string(),
                "followed": !is_ignored,
            }),
        }
    }
}

/// Asks a service before each attempt to connect to it.
#[derive(Debug)]
struct Ask {
    number: usize,
    url: String,
    answers: mpsc::UnboundedSender<(usize, anyhow::Result<Target>)>,
    /// Its last known addresses.
    known: Mutex<Vec<SocketAddr>>,
    asking_on: Mutex<Option<AbortHandle>>,
}

impl Ask {
    /// Keeps asking for a while. Once a peer is connected at a known address, the network asks no more, and the return of
    /// the service would never be reported.
    fn ask_on(&self) {
        let (number, url, answers) = (self.number, self.url.clone(), self.answers.clone());
        let asking = tokio::spawn(async move {
            for _ in 0..ASKED_ON_MAX {
                tokio::time::sleep(ASK_PAUSE).await;
                if let Ok(Ok(target)) = timeout(ANSWER_TIME, Target::find_at_once(&url)).await {
                    // A closed channel means that the command is ending.
                    let _ending = answers.send((number, Ok(target)));
                    return;
                }
            }
        });
        let before =
            self.asking_on.lock().unwrap_or_else(PoisonError::into_inner).replace(asking.abort_handle());
        before.into_iter().for_each(|before| before.abort());
    }
}

impl Whereabouts for Ask {
    fn ask(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
        Box::pin(async {
            let silent = |_| Err(anyhow::anyhow!("{} does not answer", self.url));
            // Does not wait for a service that is starting: it needs us as a peer first, because it asks peers before it signs.
            let answer = timeout(ANSWER_TIME, Target::find_at_once(&self.url)).await.unwrap_or_else(silent);
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            // A service that does not answer callers yet may accept peers: while it starts, it asks them what they have.
            if let Ok(target) = &answer {
                known.clone_from(&target.addresses);
            }
            let addresses = known.clone();
            drop(known);
            if answer.is_err() && !addresses.is_empty() {
                self.ask_on();
            }
            // A closed channel means that the command is ending.
            let _ending = self.answers.send((self.number, answer));
            addresses
        })
    }
}

/// Returns the logs that services named last. An unreadable file counts as empty: the services are asked anyway.
fn recall(directory: &Path) -> BTreeMap<String, PublicKey> {
    let text = fs::read(directory.join(FILE)).unwrap_or_default();
    let known: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
    known.into_iter().filter_map(|(url, log)| Some((url, log.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "ws://127.0.0.1:5555/";

    fn service(log: Option<PublicKey>) -> Service {
        Service { url: URL.into(), log, named: log.into_iter().collect(), away: None, has_answered: false }
    }

    fn key(number: u8) -> PublicKey {
        PublicKey([number; 32])
    }

    #[test]
    fn that_a_service_is_away_is_told_when_it_goes_and_now_and_then() {
        let (mut service, now) = (service(None), Instant::now());
        let error = anyhow::anyhow!("nobody listens");
        assert!(matches!(service.failed(&error, now), Some(News::Away { log: None, .. })));
        assert_eq!(service.failed(&error, now + TELL_AGAIN / 2), None);
        assert!(service.failed(&error, now + TELL_AGAIN).is_some());
        let target = || URL.to_owned();
        let expected = [News::Back { target: target() }, News::Log { target: target(), log: key(1) }];
        assert_eq!(service.named(key(1)), expected);
        assert_eq!(service.named(key(1)), [], "it is asked at each attempt");
        assert!(service.failed(&error, now + TELL_AGAIN).is_some(), "away anew");
    }

    #[test]
    fn a_service_that_is_deployed_anew_is_followed_and_one_that_names_ever_more_logs_is_not() {
        let mut service = service(Some(key(0)));
        assert_eq!(service.named(key(0)), [], "the log that it told in the last run");
        let news = service.named(key(1));
        assert!(matches!(news[..], [News::Replaced { is_ignored: false, .. }, News::Log { .. }]), "{news:?}");
        assert_eq!(service.named(key(0)), [], "both are followed");
        let followed = (2..100)
            .filter(|number| service.named(key(*number)).iter().any(|news| matches!(news, News::Log { .. })));
        assert_eq!(followed.count(), LOGS_MAX - 2);
        assert_eq!(service.named(key(99)), [], "it is said once");
    }

    #[test]
    fn what_services_told_is_remembered_and_damage_forgets_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_, answers) = mpsc::unbounded_channel();
        let services = vec![service(Some(key(3)))];
        let path = directory.path().to_owned();
        Seeking { directory: path, services, news: VecDeque::new(), answers }.remember();
        assert_eq!(recall(directory.path()), BTreeMap::from([(URL.to_owned(), key(3))]));
        for damage in ["", "{", "[]", r#"{"ws://x/":"y"}"#, r#"{"ws://x/":1}"#] {
            fs::write(directory.path().join(FILE), damage).expect("written");
            assert_eq!(recall(directory.path()), BTreeMap::new(), "{damage}");
        }
    }
}
