//! `weir ui`: the web UI on this host, over the collector that `weir` asks, or over files.
//! The UI is the one in this program; what it asks goes on to the collector as whatever the
//! kubeconfig or `--token` shows, and a browser never sees that. Whom the listener answers is
//! [`guard`]'s, what goes on and what comes back [`forward`]'s.

mod browser;
mod forward;
mod guard;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use clap::Args;
use tokio::net::TcpListener;
use tower::ServiceExt;
use weir_collector::api::me::MeAnswer;
use weir_collector::api::{self, Api};
use weir_collector::http;
use weir_process::signals::Signals;
use weir_query::Embedded;
use weir_store::Reader;

use crate::follow::ended_by;
use crate::server::Server;
use crate::source::{Source, SourceArgs, read};
use crate::terminal::{report, say};
use browser::RedirectFile;
use guard::{Guard, Key};

/// Arguments of `weir ui`.
#[derive(Debug, Args)]
pub struct UiArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Port on 127.0.0.1 [default: one that is free]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Open no browser; the address is printed in any case
    #[arg(long)]
    no_open: bool,
}

/// Serves until a signal.
///
/// # Errors
/// The collector does not answer, or the port is taken.
pub async fn run(args: UiArgs) -> Result<ExitCode> {
    let mut signals = Signals::install().context("cannot take signals")?;
    let (pages, of) = tokio::select! {
        pages = pages(&args.source) => pages?,
        signal = signals.next() => return Ok(ended_by(signal)),
    };
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(wanted).await;
    let listener = listener.with_context(|| format!("--port {}: cannot listen on {wanted}", args.port))?;
    let key = Key::random().context("the system gives no random numbers")?;
    let address = format!("http://{}/{key}/", listener.local_addr()?);
    report(&address);
    say(&format!(
        "shows {of}, as you see it, to whoever has this address, until Ctrl-C"
    ));
    if !http::ui::is_built_in() {
        say(
            "there is no web UI in this program, and the page only says so: run `make ui` before it is built",
        );
    }
    let _redirect = match args.no_open {
        true => None,
        false => open(&address),
    };
    let guarded = guarded(Guard::new(key), pages);
    tokio::select! {
        () = http::serve_in_the_clear(listener, guarded) => anyhow::bail!("the listener ended"),
        signal = signals.next() => Ok(ended_by(signal)),
    }
}

/// Has a browser opened; that there is none is no failure.
fn open(address: &str) -> Option<RedirectFile> {
    match browser::open(address) {
        Ok(redirect) => redirect,
        Err(error) => {
            say(&format!(
                "no browser could be opened ({error}): open the address yourself"
            ));
            None
        }
    }
}

/// What is served below the key, and what it is of.
async fn pages(args: &SourceArgs) -> Result<(Router, String)> {
    if let Some(directory) = &args.data_dir {
        let engine = Embedded::new(Reader::open_dir(directory)?);
        let api = Api::over_files(Arc::new(engine)).context("cannot start threads")?;
        let of = format!("the files in {}", directory.display());
        return Ok((api::routes(api).merge(http::ui::routes()), of));
    }
    let Source::Server(server) = args.open().await? else {
        anyhow::bail!("a collector or --data-dir is needed");
    };
    // What is wrong is said here, rather than by each panel of a page.
    let me: MeAnswer = read(&server, "me", Vec::new()).await?;
    tell_of_another_version(&me, &server);
    let of = server.to_string();
    Ok((forward::routes(Arc::new(server)).merge(http::ui::routes()), of))
}

fn tell_of_another_version(me: &MeAnswer, server: &Server) {
    let own = env!("CARGO_PKG_VERSION");
    if me.version != own {
        say(&format!(
            "note: {server} is of version {}, this UI of {own}: some of it may not work",
            me.version
        ));
    }
}

/// Lets through what the guard lets through.
fn guarded(guard: Guard, pages: Router) -> Router {
    let guard = Arc::new(guard);
    Router::new().fallback(async move |request: Request| match guard.admit(request) {
        Ok(request) => pages.clone().oneshot(request).await.into_response(),
        Err(refusal) => refusal.into_response(),
    })
}
