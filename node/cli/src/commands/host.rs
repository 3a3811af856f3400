//! `vms host`: serve scripts.

mod clock;
mod oracles;
mod quota;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use futures::future::select_all;
use libvms::diagnostics::Diagnostics;
use libvms::host::{Deployment, Failure, Form, Guard, HostOptions, Vm};
use libvms::net::{Network, NetworkEvent, Standing};
use libvms::printable::Printable;
use libvms::rpc::{AllowedOrigin, RpcOptions, RpcServer, Starting, escaped};
use libvms::storage::Durability;
use libvms_protocol::entry::{Auth, Limits};
use libvms_protocol::limits::CODE_BYTES_MAX;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::error::advised;
use crate::exit::Exit;
use crate::network::{NetworkArguments, listen, network_events, tell, tell_at_end};
use crate::output::{Output, method_list};
use crate::peer::{PeerName, connect_peers};
use crate::progress;
use crate::sandbox::SandboxArguments;
use crate::stop::shutdown_signal;
use oracles::OracleArguments;
use quota::QuotaArguments;

/// Run a script and serve its exported functions
///
/// Records every call and its result in a signed log in the data directory, and every file that the script writes in a
/// files archive. A later start with the same directory continues the service.
///
/// Kills a call that runs longer than --call-time, and rebuilds the heap without it. All callers wait for the rebuild, so
/// the method is quarantined for ten times as long as the call and the rebuild took. Other methods stay available.
///
/// Ctrl-C or SIGTERM stops the host once the running calls have ended. A second one stops it at once; calls that were
/// answered are kept.
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  vms host counter.js\n  vms host counter.js --dir /srv/counter --port 8080 --title \"Our counter\"\n  vms host --dir /srv/counter            continue the service in this directory\n  vms host a.js b.js                     serve /a and /b",
        network_events!()
    )
)]
pub(super) struct Arguments {
    /// Scripts to serve: a single one at the path /, several each at /NAME
    #[arg(value_name = "SCRIPT", required_unless_present = "dir")]
    scripts: Vec<PathBuf>,
    /// Data directory; for several scripts, the parent of their data directories; default: SCRIPT's path with the extension .vms
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Title of the service, fixed when it is deployed; only for a single script; default: the script's name
    #[arg(long)]
    title: Option<String>,
    /// Port for callers on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 5555)]
    port: u16,
    /// Address and port for callers, instead of --port
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "port")]
    listen: Option<SocketAddr>,
    /// How callers are authenticated, fixed when the service is deployed: signed, with keys that sign each call, or debug,
    /// which accepts any ?user=NAME, so that the host can invent callers; default: debug
    #[arg(long, value_enum)]
    auth: Option<AuthArgument>,
    /// Deploy a script that exports no method, for what its init does
    #[arg(long)]
    allow_no_methods: bool,
    /// When a call is answered: sync, once its entry is on the disk; relaxed, once the operating system has the entry
    #[arg(long, value_enum, default_value_t = DurabilityArgument::Sync)]
    durability: DurabilityArgument,
    /// Send callers the stack trace of an error that the script throws; without it, only stderr shows the trace
    #[arg(long)]
    show_stacks: bool,
    /// Web origin (scheme://host:port) whose pages may call the services, * for all; repeat for more
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<AllowedOrigin>,
    /// Address of a reverse proxy whose X-Forwarded-For or Forwarded header names the caller; repeat for more
    #[arg(long, value_name = "ADDRESS")]
    trust_proxy: Vec<IpAddr>,
    #[command(flatten)]
    sandbox: SandboxArguments,
    #[command(flatten)]
    peers: PeerArguments,
    #[command(flatten)]
    oracles: OracleArguments,
    #[command(flatten)]
    quotas: QuotaArguments,
    #[command(flatten)]
    limits: LimitArguments,
}

/// Options for the peers that copy the log and the archive.
#[derive(Debug, Args)]
#[command(next_help_heading = "Replication")]
struct PeerArguments {
    /// Address for peers that copy the log and the archive (TCP); port 0 takes a free one; default: the address of --listen
    /// with the port of the last run
    #[arg(long, value_name = "ADDRESS:PORT")]
    peer_listen: Option<SocketAddr>,
    /// Peer to connect to, which may copy the log and the archive; repeat for more
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<PeerName>,
    #[command(flatten)]
    network: NetworkArguments,
}

/// Limits of each call. They are fixed when the service is deployed; other values are refused later.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of a new service")]
struct LimitArguments {
    /// Steps that a call may take, in units of 10,000; loading the script may take ten times as many; default: 400
    #[arg(long, value_name = "UNITS")]
    fuel: Option<u64>,
    /// Bytes that the script's heap may have; default: 134217728
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Bytes that the engine's stack may have, counted alike on every machine; default: 1048576
    #[arg(long, value_name = "BYTES")]
    stack: Option<u64>,
    /// Bytes that a call may return and write to files, at most 1 MiB of them in its result; default: 16777216
    #[arg(long, value_name = "BYTES")]
    output: Option<u64>,
}

impl LimitArguments {
    fn limits(&self) -> Limits {
        let otherwise = Limits::default();
        Limits {
            fuel: self.fuel.unwrap_or(otherwise.fuel),
            memory: self.memory.unwrap_or(otherwise.memory),
            stack: self.stack.unwrap_or(otherwise.stack),
            output: self.output.unwrap_or(otherwise.output),
            load: None,
            call_age: None,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AuthArgument {
    Debug,
    Signed,
}

impl From<AuthArgument> for Auth {
    fn from(argument: AuthArgument) -> Self {
        match argument {
            AuthArgument::Debug => Self::Debug,
            AuthArgument::Signed => Self::Signed,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DurabilityArgument {
    Sync,
    Relaxed,
}

/// A service to start: its script, if one is named, its directory and its path.
struct Service {
    script: Option<PathBuf>,
    directory: PathBuf,
    mount: String,
    /// The service is deployed in this run, so that no peer can have more of its log.
    is_new: bool,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    arguments.sandbox.settings()?;
    if arguments.scripts.len() > 1 && arguments.title.is_some() {
        return Err(advised(
            anyhow!("--title cannot be given for several scripts: each has a title of its own"),
            "leave out --title to use the scripts' names, or start one host for each script",
        ));
    }
    let services = services(&arguments)?;
    crate::runtime()?.block_on(async {
        // Listens before the logs are replayed, so that callers are asked to retry instead of finding no service.
        let server = listen_for_callers(&arguments).await?;
        let hosted = start_all(services, &server, &arguments)?;
        warn_of_debug(&server, &hosted, output);
        serve(&server, &arguments, &hosted, output).await
    })
}

fn start_all(
    services: Vec<Service>,
    server: &RpcServer,
    arguments: &Arguments,
) -> anyhow::Result<Vec<(Service, Arc<Vm>)>> {
    let starting = services.iter().map(|service| server.prepare(&service.mount)).collect::<Vec<_>>();
    let mut hosted = Vec::new();
    for (mut service, starting) in services.into_iter().zip(starting) {
        service.is_new = !Vm::is_deployed(&service.directory)?;
        let vm = tokio::task::block_in_place(|| start(&service, arguments, &starting))?;
        hosted.push((service, Arc::new(vm)));
    }
    Ok(hosted)
}

/// Returns the address for callers.
fn listen_address(arguments: &Arguments) -> SocketAddr {
    arguments.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], arguments.port)))
}

/// Checks that the address for peers can be bound; the one for callers is bound already.
fn check_ports(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(address) = arguments.peers.peer_listen {
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    }
    Ok(())
}

/// Returns the services that the arguments name: one at `/`, or several at the names of their scripts.
fn services(arguments: &Arguments) -> anyhow::Result<Vec<Service>> {
    let Arguments { scripts, dir, .. } = arguments;
    match (scripts.as_slice(), dir) {
        ([], Some(dir)) => {
            Ok(vec![Service { script: None, directory: dir.clone(), mount: "/".into(), is_new: false }])
        }
        ([script], dir) => {
            let directory = dir.clone().unwrap_or_else(|| script.with_extension("vms"));
            Ok(vec![Service { script: Some(script.clone()), directory, mount: "/".into(), is_new: false }])
        }
        (scripts, dir) => scripts.iter().map(|script| one_of_many(script, dir.as_deref())).collect(),
    }
}

fn one_of_many(script: &Path, dir: Option<&Path>) -> anyhow::Result<Service> {
    let name = stem(script)?;
    let directory = dir.map_or_else(|| script.with_extension("vms"), |dir| dir.join(format!("{name}.vms")));
    Ok(Service {
        script: Some(script.into()),
        directory,
        mount: format!("/{}", escaped(&name)),
        is_new: false,
    })
}

fn stem(script: &Path) -> anyhow::Result<String> {
    let stem = script.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).with_context(|| {
        format!("cannot name a service after {}: it has no file name in UTF-8", script.display())
    })
}

fn start(service: &Service, arguments: &Arguments, starting: &Starting) -> anyhow::Result<Vm> {
    let code = service.script.as_deref().map(read_script).transpose()?;
    let directory = &service.directory;
    let durability = match arguments.durability {
        DurabilityArgument::Sync => Durability::Sync,
        DurabilityArgument::Relaxed => Durability::Relaxed,
    };
    let oracles = arguments.oracles.oracles()?;
    let options = HostOptions {
        durability,
        diagnostics: diagnostics(service, arguments),
        engine: arguments.sandbox.settings()?,
        quotas: arguments.quotas.quotas(),
        oracles: oracles.clone(),
    };
    if Vm::is_deployed(directory)? {
        let bar = progress::bar("replaying");
        let mut show = progress::report(&bar);
        let vm = Vm::open(directory, options, &mut |done, all| {
            starting.replayed(done.0, all.0);
            show(done, all);
        });
        drop(show);
        bar.finish_and_clear();
        let vm = vm?;
        oracles::check(&vm.init().oracles, &oracles, &directory.display().to_string())?;
        return same_service(same_script(vm, code, service)?, arguments, service);
    }
    let (Some(code), Some(script)) = (code, &service.script) else {
        bail!("{} holds no service; name a script to deploy one", directory.display());
    };
    let title = arguments.title.clone().map_or_else(|| stem(script), Ok)?;
    // Checked before the deployment: a service that cannot be served is not deployed.
    check_ports(arguments)?;
    let auth = arguments.auth.unwrap_or(AuthArgument::Debug).into();
    arguments.quotas.check(auth)?;
    let module = match script.extension().and_then(|extension| extension.to_str()) {
        Some("mjs") => Some(true),
        Some("cjs") => Some(false),
        _ => None,
    };
    let form = Form { module, may_lack_methods: arguments.allow_no_methods };
    let (limits, oracles) = (arguments.limits.limits(), oracles.names().map(str::to_owned).collect());
    let effects = vec![];
    let deployment = Deployment { code, title, auth, limits, form, oracles, effects };
    Vm::deploy(directory, deployment, options).with_context(|| format!("cannot deploy {}", script.display()))
}

/// Refuses options that differ from the title and limits in the log, which are fixed: they would have no effect.
fn same_service(vm: Vm, arguments: &Arguments, service: &Service) -> anyhow::Result<Vm> {
    let (Arguments { title, auth, limits, .. }, init) = (arguments, vm.init());
    let name = |auth| match auth {
        Auth::Debug => "debug",
        Auth::Signed => "signed",
    };
    let number = |asked: &Option<u64>| asked.map(|asked| asked.to_string());
    let options = [
        ("--title", title.clone(), init.title.clone()),
        ("--auth", auth.map(|auth| name(auth.into()).into()), name(init.auth).into()),
        ("--fuel", number(&limits.fuel), init.limits.fuel.to_string()),
        ("--memory", number(&limits.memory), init.limits.memory.to_string()),
        ("--stack", number(&limits.stack), init.limits.stack.to_string()),
        ("--output", number(&limits.output), init.limits.output.to_string()),
    ];
    arguments.quotas.check(init.auth)?;
    for (option, asked, deployed) in options {
        if let Some(asked) = asked.filter(|asked| *asked != deployed) {
            let directory = service.directory.display();
            let what = format!(
                "{option} {asked} does not apply: the service in {directory} was deployed with {deployed}"
            );
            return Err(advised(
                anyhow::Error::msg(what),
                &format!(
                    "leave out {option} to continue this service, or choose another --dir for a new one"
                ),
            ));
        }
    }
    Ok(vm)
}

/// Returns how errors of the script are reported: under the path that the operator gave.
fn diagnostics(service: &Service, arguments: &Arguments) -> Diagnostics {
    let named =
        |script: &PathBuf| Diagnostics { file: script.display().to_string(), ..Diagnostics::default() };
    let diagnostics = service.script.as_ref().map_or_else(Diagnostics::default, named);
    Diagnostics { show_stacks: arguments.show_stacks, ..diagnostics }
}

/// Refuses another script than the deployed one: the log's users have checked that one.
fn same_script(vm: Vm, code: Option<String>, service: &Service) -> anyhow::Result<Vm> {
    match (code, &service.script) {
        (Some(code), Some(script)) if code != vm.init().code => Err(advised(
            anyhow!(
                "{} is not the script that was deployed in {}",
                script.display(),
                service.directory.display()
            ),
            "a changed script is a new service: choose another --dir for it",
        )),
        _ => Ok(vm),
    }
}

fn read_script(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > CODE_BYTES_MAX {
        bail!(
            "{} is longer than the limit `code`: {} of {CODE_BYTES_MAX} bytes, which no option moves",
            path.display(),
            bytes.len()
        );
    }
    String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8 text", path.display()))
}

/// How long peers may take to show what they have of our cores, before anything is signed.
const ASK_TIME: Duration = Duration::from_secs(2);

/// Returns whether a peer may have more of a service than this host: the service is not new, and peers can know it.
fn is_to_ask(hosted: &[(Service, Arc<Vm>)], arguments: &PeerArguments, standing: &Standing) -> bool {
    let is_known = arguments.network.is_joined() || !arguments.peers.is_empty() || standing.has_had_peers();
    is_known && hosted.iter().any(|(service, _)| !service.is_new)
}

/// Returns the identity of the node in the network. Several services are one node, with the identity of the first.
fn standing(hosted: &[(Service, Arc<Vm>)]) -> anyhow::Result<Standing> {
    let (first, _) = hosted.first().context("there is no service")?;
    Ok(Standing::of(&first.directory))
}

/// Stores that a peer has connected, at the first one.
async fn note_peers(mut events: broadcast::Receiver<NetworkEvent>, standing: &Standing) -> Infallible {
    loop {
        if let Ok(NetworkEvent::Connected(_)) | Err(RecvError::Lagged(_)) = events.recv().await {
            standing.note_peer();
            break;
        }
    }
    std::future::pending().await
}

/// Binds the address of the callers.
async fn listen_for_callers(arguments: &Arguments) -> anyhow::Result<RpcServer> {
    let address = listen_address(arguments);
    let options = RpcOptions {
        allow_origin: arguments.allow_origin.iter().map(ToString::to_string).collect(),
        trust_proxy: arguments.trust_proxy.iter().map(IpAddr::to_canonical).collect(),
        ..RpcOptions::default()
    };
    let server =
        RpcServer::bind(address, options).await.with_context(|| format!("cannot listen on {address}"))?;
    Ok(server)
}

/// Warns of services that strangers can reach, and whose callers nobody can tell apart.
fn warn_of_debug(server: &RpcServer, hosted: &[(Service, Arc<Vm>)], output: &Output) {
    let is_debug = hosted.iter().any(|(_, vm)| vm.init().auth == Auth::Debug);
    if is_debug && !server.local_addr().ip().is_loopback() {
        output
            .message("warning: with --auth debug, anyone who can reach this address can call under any name");
    }
}

async fn serve(
    server: &RpcServer,
    arguments: &Arguments,
    hosted: &[(Service, Arc<Vm>)],
    output: &Output,
) -> anyhow::Result<Exit> {
    let mut guard = Guard::default();
    let (network, network_events, peers) =
        replicate(hosted, server.local_addr().ip(), &arguments.peers, &guard, output).await?;
    let (standing, arrivals) = (standing(hosted)?, network_events.resubscribe());
    if is_to_ask(hosted, &arguments.peers, &standing)
        && let Ok(contradiction) = timeout(ASK_TIME, guard.contradicted()).await
    {
        network.shutdown().await;
        output.failure(&anyhow!(contradiction));
        return Ok(Exit::Usage);
    }
    // Handles signals before the service is announced, so that each later signal is an orderly end.
    let shutdown_signal = shutdown_signal()?;
    for (service, vm) in hosted {
        server.mount(&service.mount, vm.clone());
        announce(server, peers, service, vm, output)?;
    }
    let ended = tokio::select! {
        signal = shutdown_signal => signal.map(|()| Exit::Done),
        failure = any_failure(hosted) => {
            let exit = if failure.is_bug { Exit::Failed } else { Exit::Usage };
            output.failure(&anyhow::anyhow!(failure.why));
            Ok(exit)
        }
        contradiction = guard.contradicted() => {
            let of = |vm: &&Arc<Vm>| vm.log_key() == contradiction.log;
            hosted.iter().map(|(_, vm)| vm).filter(of).for_each(|vm| vm.stop_signing(contradiction.to_string()));
            output.failure(&anyhow!(contradiction));
            Ok(Exit::Usage)
        }
        never = note_peers(arrivals, &standing) => match never {},
        never = tell(&network, network_events, output) => match never {},
        never = clock::watch(hosted.iter().map(|(_, vm)| &**vm).collect(), output) => match never {},
    };
    server.shutdown().await;
    for (_, vm) in hosted {
        vm.close().await;
    }
    // Last, so that quick peers still get the entries that were committed during the shutdown.
    network.shutdown().await;
    tell_at_end(&network, output);
    ended
}

/// Serves the logs and archives of the services to peers.
async fn replicate(
    hosted: &[(Service, Arc<Vm>)],
    ip: IpAddr,
    arguments: &PeerArguments,
    guard: &Guard,
    output: &Output,
) -> anyhow::Result<(Network, broadcast::Receiver<NetworkEvent>, SocketAddr)> {
    let network = Network::new(arguments.network.options());
    let network_events = network.events();
    for (_, vm) in hosted {
        guard.hold(&network, vm);
    }
    let standing = standing(hosted)?;
    let address = listen(&network, &standing, arguments.peer_listen, ip, output).await?;
    arguments.network.join_swarm(&network, &standing).await?;
    for (_, vm) in hosted {
        vm.set_addresses(vec![format!("tcp://{address}")]);
    }
    connect_peers(&network, &arguments.peers);
    Ok((network, network_events, address))
}

fn announce(
    server: &RpcServer,
    peers: SocketAddr,
    service: &Service,
    vm: &Vm,
    output: &Output,
) -> anyhow::Result<()> {
    let url = format!("ws://{}{}", server.local_addr(), service.mount);
    let (log, files) = (vm.log_key().url(), vm.init().files.url());
    let methods: Vec<&str> = vm.methods().collect();
    output.line(
        || {
            format!(
                "{} is served at {url}\n  methods        {}\n  call log       {log}\n  files archive  {files}\n  peers          tcp://{peers}\n  data           {}",
                Printable(&vm.init().title),
                method_list(methods.iter().copied()),
                Printable(&service.directory.to_string_lossy())
            )
        },
        || {
            json!({
                "event": "serving", "url": url, "title": vm.init().title, "methods": methods,
                "callLogUrl": log, "filesArchiveUrl": files, "directory": service.directory,
                "callLogLength": vm.log_length(), "addresses": [format!("tcp://{peers}")],
            })
        },
    )
}

async fn any_failure(hosted: &[(Service, Arc<Vm>)]) -> Failure {
    let failures = hosted.iter().map(|(service, vm)| {
        Box::pin(async move {
            let Failure { why, is_bug } = vm.failed().await;
            Failure { why: format!("{}: {why}", service.directory.display()), is_bug }
        })
    });
    select_all(failures).await.0
}
