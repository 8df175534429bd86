//! The HTTP API, `/api/v1/…`: who may ask, what they ask, how it is answered.
//! What an answer is, is `weir_query`'s.
//!
//! ```text
//! parameters -> gate (who sees what) -> engine (a turn, threads of its own) -> weir_query -> JSON, CSV, Arrow
//! ```
//!
//! The document of the API is made of this code; `docs/openapi.json` is a copy.

pub mod access;
pub mod answer;
pub mod ask;
mod cache;
mod compress;
pub mod evidence;
mod export;
pub mod exporters;
pub mod exports;
pub mod filter_check;
mod flow_metrics;
mod format;
mod matrix;
pub mod matrix_verdicts;
pub mod me;
pub mod nodes;
mod offer;
mod pages;
pub mod params;
pub mod person;
pub mod policy;
mod policy_names;
pub mod problem;
mod reply;
pub mod reviews;
pub mod status;
pub mod suggest;
mod tail;
mod threads;
pub mod token;
mod turns;
mod untaken;

use std::io;
use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::{Router, routing};
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Info, OpenApi, OpenApiBuilder, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weir_query::{Engine, Limits, Measure, Order, Scope, Since, Until};

use crate::exports::ExportObjects;
use crate::flow_metrics::FlowMetrics;
use crate::metrics::Metrics;
use crate::policies::PolicyObjects;
pub use access::{Caller, Gate, Who};
pub use compress::accepts;
pub use format::Format;
use jiff::Timestamp;
use params::FieldName;
pub use problem::Problem;
use reviews::Readable;
use status::{RecordsAnswer, StatusAnswer, StoreAnswer};
use threads::QueryThreads;
use turns::{Asker, Turns};
use untaken::Untaken;
use weir_identity::Snapshot;
use weir_query::GroupName;

/// Tails that run at a time.
const TAILS: usize = 32;
/// Those of one asker, where several are told apart.
const TAILS_OF_ONE: usize = 8;

/// Exports that run at a time.
const EXPORTS: usize = 4;
/// Those of one asker, where several are told apart.
const EXPORTS_OF_ONE: usize = 2;

/// What the pages share.
#[derive(Debug, Clone)]
pub struct Api(Arc<Parts>);

impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of an [`Api`].
#[derive(Debug)]
pub struct Parts {
    gate: Gate,
    questions: Option<Arc<dyn Engine>>,
    /// None where nothing says which policies there are.
    policies: Option<PolicyObjects>,
    snapshots: watch::Receiver<Snapshot>,
    metrics: Arc<Metrics>,
    flow_metrics: FlowMetrics,
    /// None without a cluster.
    export_objects: Option<ExportObjects>,
    /// When it started.
    since: Timestamp,
    threads: QueryThreads,
    untaken: Untaken,
    tails: Turns,
    exports: Turns,
}

/// Somebody who was let in: where they may ask, for how much, and whose turn that is.
struct Admitted {
    engine: Arc<dyn Engine>,
    limits: Limits,
    asker: Asker,
}

impl Api {
    /// An API over what is stored, if something is.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(
        gate: Gate,
        questions: Option<Arc<dyn Engine>>,
        policies: Option<PolicyObjects>,
        snapshots: watch::Receiver<Snapshot>,
        metrics: Arc<Metrics>,
        flow_metrics: FlowMetrics,
        export_objects: Option<ExportObjects>,
    ) -> io::Result<Self> {
        // On this host nobody is told apart.
        let share = |of_one, all| match gate {
            Gate::Kubernetes(_) => of_one,
            Gate::Loopback | Gate::Closed => all,
        };
        Ok(Self(Arc::new(Parts {
            threads: QueryThreads::start(share(threads::OF_ONE, threads::AT_A_TIME))?,
            untaken: Untaken::new(matches!(gate, Gate::Kubernetes(_))),
            tails: Turns::new(TAILS, share(TAILS_OF_ONE, TAILS)),
            exports: Turns::new(EXPORTS, share(EXPORTS_OF_ONE, EXPORTS)),
            gate,
            questions,
            policies,
            snapshots,
            metrics,
            flow_metrics,
            export_objects,
            since: Timestamp::now(),
        })))
    }

    /// An API over files alone, for whoever is on this host: nothing is received, and nobody
    /// exports.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn over_files(engine: Arc<dyn Engine>) -> io::Result<Self> {
        let (_, snapshots) = watch::channel(Snapshot::default());
        let (metrics, flow_metrics) = (Arc::default(), FlowMetrics::new(0));
        Self::start(
            Gate::Loopback,
            Some(engine),
            None,
            snapshots,
            metrics,
            flow_metrics,
            None,
        )
    }

    /// Lets somebody ask about this time, or not.
    async fn admit(&self, caller: &Caller, since: Since, until: Until) -> Result<Admitted, Problem> {
        let who = self.gate.identify(caller).await?;
        self.admit_person(&who, since, until).await
    }

    /// Lets somebody who is known ask about this time, or not.
    async fn admit_person(&self, who: &Who, since: Since, until: Until) -> Result<Admitted, Problem> {
        let scope = self.scope(who, since, until).await?;
        if scope == Scope::Namespaces(Vec::new()) {
            let name = who.person().map_or("whoever asks", |person| &person.name);
            return Err(Problem::forbidden(format!(
                "{name} may get pods in no namespace that has flows in that time"
            )));
        }
        let Some(engine) = self.questions.clone() else {
            return Err(Problem::unavailable(
                "nothing is stored: start the collector with --data-dir DIR",
            ));
        };
        Ok(Admitted {
            engine,
            limits: pages::limits(scope),
            asker: asker(who),
        })
    }

    /// Makes an answer when it is its asker's turn; it counts for them until it is taken.
    async fn answer(
        &self,
        asker: &Asker,
        work: impl Future<Output = Result<Response, Problem>> + Send + 'static,
    ) -> Result<Response, Problem> {
        self.untaken.check(asker)?;
        let answer = self.threads.run(asker, work).await?;
        Ok(self.untaken.hold(asker, answer).await)
    }

    /// What somebody may see of this time; perhaps nothing.
    async fn scope(&self, who: &Who, since: Since, until: Until) -> Result<Scope, Problem> {
        let namespaces = async || match self.questions.clone() {
            Some(engine) => namespaces(engine, since, until).await,
            None => Ok(Vec::new()),
        };
        self.gate.scope(who, namespaces).await
    }

    /// Lets those in alone who may see everything.
    async fn admit_to_everything(&self, caller: &Caller, what: &str) -> Result<Who, Problem> {
        let who = self.gate.identify(caller).await?;
        if self.gate.sees_everything(&who).await? {
            return Ok(who);
        }
        Err(Problem::forbidden(format!(
            "{what}: it is for those who may get pods in all namespaces; /api/v1/me tells what you may see"
        )))
    }

    /// Lets those in who may list the `NodeFlowExport`s, and those who may see everything.
    async fn admit_to_nodes(&self, caller: &Caller) -> Result<(), Problem> {
        let who = self.gate.identify(caller).await?;
        if self.gate.may_read(&who, Readable::NodeExports).await? || self.gate.sees_everything(&who).await? {
            return Ok(());
        }
        Err(Problem::forbidden(
            "nodes tells how the export of each node goes: it is for those who may list nodeflowexports.weir.dev, or \
             get pods in all namespaces",
        ))
    }

    fn status(&self) -> StatusAnswer {
        StatusAnswer {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: self
                .questions
                .as_ref()
                .map(|engine| StoreAnswer::from(engine.status())),
            exporters: status::exporters(&self.snapshots.borrow().exporters),
            records: Some(RecordsAnswer::from(self.metrics.totals())),
        }
    }
}

/// Whose turns are whose: a person's are the same whatever token they show, and by
/// whatever way they come. Not every way tells more than the name.
fn asker(who: &Who) -> Asker {
    who.person().map_or("", |person| person.name.as_str()).into()
}

/// The namespaces of a time. Files may have to be read for it, and nobody else is to wait
/// for them.
async fn namespaces(engine: Arc<dyn Engine>, since: Since, until: Until) -> Result<Vec<String>, Problem> {
    let read = tokio::task::spawn_blocking(move || engine.namespaces(since, until)).await;
    read.map_err(|error| {
        tracing::error!(%error, "the namespaces of a time cannot be read");
        Problem::internal("it cannot be told whose flows there are; the collector's log says why")
    })
}

/// The pages of the API and their document.
pub fn routes(api: Api) -> Router {
    let (router, document) = documented().split_for_parts();
    let text = Arc::<str>::from(render(&document));
    let describe = move |axum::extract::State(api): axum::extract::State<Api>, caller: Caller| async move {
        api.gate.identify(&caller).await?;
        Ok::<_, Problem>(([(CONTENT_TYPE, "application/json")], text.to_string()))
    };
    router
        .route("/api/v1/openapi.json", routing::get(describe))
        .route("/api/{*rest}", routing::any(pages::nothing))
        .method_not_allowed_fallback(async || Problem::method())
        .with_state(api)
}

/// The document of the API (OpenAPI 3.1), as text.
pub fn document() -> String {
    render(&documented().into_openapi())
}

fn render(document: &OpenApi) -> String {
    let text = serde_json::to_string_pretty(document);
    text.expect("a document has only string keys") + "\n"
}

fn documented() -> OpenApiRouter<Api> {
    let mut info = Info::new("Weir", "v1");
    info.description = Some(
        "Who talked to whom: flow records and sums over them. What the fields mean is in docs/fields.md, \
         the filter language in docs/query.md."
            .to_owned(),
    );
    let mut document = OpenApiBuilder::new().info(info).build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let scheme = SecurityScheme::Http(
        bearer
            .description(Some(
                "A token that Kubernetes accepts for weir-collector; none on loopback without Kubernetes, nor through the API server, which says who asks",
            ))
            .build(),
    );
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", scheme);
    // Parameters and what is answered instead name them, and do not register what they
    // name.
    components.schemas.extend([
        named::<FieldName>(),
        named::<GroupName>(),
        named::<Measure>(),
        named::<Order>(),
        named::<Since>(),
        named::<Until>(),
        named::<Problem>(),
    ]);
    let none: [&str; 0] = [];
    document.security = Some(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("bearer", none),
    ]);
    OpenApiRouter::with_openapi(document)
        .routes(routes!(pages::flows))
        .routes(routes!(pages::export))
        .routes(routes!(pages::query))
        .routes(routes!(matrix::matrix))
        .routes(routes!(policy::pages::explain))
        .routes(routes!(policy::check::check))
        .routes(routes!(policy::generate::generate))
        .routes(routes!(policy::pages::coverage))
        .routes(routes!(policy::pages::unused))
        .routes(routes!(policy::pages::wide))
        .routes(routes!(policy::pages::lint))
        .routes(routes!(policy::disagreements::disagreements))
        .routes(routes!(pages::values))
        .routes(routes!(pages::tail))
        .routes(routes!(pages::fields))
        .routes(routes!(pages::filter))
        .routes(routes!(pages::me))
        .routes(routes!(pages::status))
        .routes(routes!(pages::exporters))
        .routes(routes!(pages::nodes))
        .routes(routes!(exports::exports))
        .routes(routes!(exports::export_changes))
        .routes(routes!(exports::export_plan))
        .routes(routes!(flow_metrics::flow_metrics))
        .routes(routes!(flow_metrics::estimate_flow_metric))
}

fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

#[cfg(test)]
mod tests;
