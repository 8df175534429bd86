//! Where answers come from: a collector by its URL, the collector of a cluster, or
//! a data directory on which no collector runs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::ArgValueCompleter;
use kube::Config;
use serde::de::DeserializeOwned;
use weir_collector::api::answer::{FlowsAnswer, MatrixAnswer, QueryAnswer, ValuesAnswer};
use weir_collector::api::ask;
use weir_collector::api::exporters::ExportersAnswer;
use weir_collector::api::params::MOST_ROWS;
use weir_collector::api::problem::Problem;
use weir_collector::api::status::{StatusAnswer, StoreAnswer};
use weir_process::kubernetes::{self, ConnectError};
use weir_query::{
    Embedded, Engine, Explanation, FlowsRequest, Limits, MatrixRequest, Order, QueryError, Question,
    ValuesRequest,
};
use weir_store::Reader;

use crate::cluster::ClusterArgs;
use crate::completion;
use crate::server::{Pairs, Server};

/// Where `weir up` and a collector beside it serve.
const HERE: &str = "http://127.0.0.1:8080";

/// Which collector, or which directory. What the environment names gives way to what
/// the command line names.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// A collector's HTTP address [default: the collector of the cluster that the
    /// kubeconfig names; without a kubeconfig http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "WEIR_SERVER")]
    pub server: Option<String>,

    /// Ask the files of a collector's --data-dir, and nobody else; no collector needs
    /// to run
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Ask the collector of the cluster that this file describes; beats --server
    /// [default: $KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::contexts))]
    pub context: Option<String>,

    /// Bearer token that says who you are to the collector that --server names; of a cluster
    /// it must be for that collector alone (kubectl create token ACCOUNT --audience
    /// weir-collector). To a cluster the kubeconfig says it
    #[arg(long, value_name = "TOKEN", env = "WEIR_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Where answers come from.
pub enum Source {
    /// Files.
    Directory(Box<dyn Engine>),
    /// A collector.
    Server(Server),
}

impl SourceArgs {
    /// Opens it.
    ///
    /// # Errors
    /// The directory cannot be read, or the arguments lead nowhere.
    pub async fn open(&self) -> Result<Source> {
        if let Some(directory) = &self.data_dir {
            let reader = Reader::open_dir(directory)?;
            return Ok(Source::Directory(Box::new(Embedded::new(reader))));
        }
        let names_cluster = self.kubeconfig.is_some() || self.context.is_some();
        if let Some(url) = self.server.as_ref().filter(|_| !names_cluster) {
            return Ok(Source::Server(Server::at(url, self.token.clone())?));
        }
        let server = match self.cluster().await? {
            Some(config) => Server::of_cluster(config)?,
            None => Server::at(HERE, self.token.clone())?,
        };
        Ok(Source::Server(server))
    }

    /// A client of the cluster; `instead` says what to do where there is none.
    ///
    /// # Errors
    /// There is none, or it cannot be reached.
    pub async fn kubernetes(&self, instead: &str) -> Result<kube::Client> {
        let cluster = ClusterArgs {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        };
        cluster.connect(instead).await
    }

    /// The cluster, if there is one.
    async fn cluster(&self) -> Result<Option<Config>> {
        match kubernetes::config(self.kubeconfig.as_deref(), self.context.as_deref()).await {
            Err(ConnectError::None(_)) => Ok(None),
            config => Ok(Some(config?)),
        }
    }
}

impl Source {
    /// Sums over groups.
    ///
    /// # Errors
    /// A [`Problem`], or there is nobody to ask.
    pub async fn query(&self, question: &Question) -> Result<QueryAnswer> {
        match self {
            Self::Directory(engine) => local(ask::query(engine.as_ref(), question, &limits()).await),
            Self::Server(server) => read(server, "query", question_pairs(question)).await,
        }
    }

    /// How the sums are made.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn explain(&self, question: &Question) -> Result<Explanation> {
        match self {
            Self::Directory(engine) => local(ask::explain(engine.as_ref(), question, &limits()).await),
            Self::Server(server) => {
                let mut pairs = question_pairs(question);
                pairs.push(("explain", "true".to_owned()));
                read(server, "query", pairs).await
            }
        }
    }

    /// A page of records.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn flows(&self, request: &FlowsRequest) -> Result<FlowsAnswer> {
        match self {
            Self::Directory(engine) => local(ask::flows(engine.as_ref(), request, &limits()).await),
            Self::Server(server) => read(server, "flows", flows_pairs(request)).await,
        }
    }

    /// The newest so many records, the oldest of them first.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn newest(&self, request: &FlowsRequest, wanted: usize) -> Result<FlowsAnswer> {
        let mut request = FlowsRequest {
            order: Order::Newest,
            ..request.clone()
        };
        let mut all = FlowsAnswer::default();
        while all.rows.len() < wanted {
            request.limit = Some((wanted - all.rows.len()).min(MOST_ROWS));
            let page = self.flows(&request).await?;
            all.rows.extend(page.rows);
            (all.columns, all.notes) = (page.columns, page.notes);
            request.cursor = page.cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        all.rows.reverse();
        Ok(all)
    }

    /// Who called whom.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn matrix(&self, request: &MatrixRequest) -> Result<MatrixAnswer> {
        match self {
            Self::Directory(engine) => local(ask::matrix(engine.as_ref(), request, &limits()).await),
            Self::Server(server) => read(server, "matrix", matrix_pairs(request)).await,
        }
    }

    /// Who called whom, and what policies say about it; files do not tell that.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn judged_matrix(
        &self,
        request: &MatrixRequest,
        profile: Option<(&'static str, String)>,
    ) -> Result<MatrixAnswer> {
        match self {
            Self::Directory(_) => anyhow::bail!("files do not tell what policies say"),
            Self::Server(server) => {
                let mut pairs = matrix_pairs(request);
                pairs.push(("policies", "true".to_owned()));
                pairs.extend(profile);
                read(server, "matrix", pairs).await
            }
        }
    }

    /// Values of a field.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn values(&self, request: &ValuesRequest) -> Result<ValuesAnswer> {
        match self {
            Self::Directory(engine) => local(ask::values(engine.as_ref(), request, &limits()).await),
            Self::Server(server) => read(server, "values", values_pairs(request)).await,
        }
    }

    /// What is stored.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn status(&self) -> Result<StatusAnswer> {
        match self {
            Self::Directory(engine) => Ok(StatusAnswer {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                store: Some(StoreAnswer::from(engine.status())),
                exporters: Vec::new(),
                records: None,
            }),
            Self::Server(server) => read(server, "status", Vec::new()).await,
        }
    }
}

impl Source {
    /// Who exports to it.
    ///
    /// # Errors
    /// As [`Self::query`]; and files do not tell.
    pub async fn exporters(&self) -> Result<ExportersAnswer> {
        match self {
            Self::Directory(_) => anyhow::bail!("files do not tell who exports"),
            Self::Server(server) => read(server, "exporters", Vec::new()).await,
        }
    }
}

/// On one's own files there is nobody to be fair to.
pub fn limits() -> Limits {
    Limits::default()
}

/// The same problem whoever finds it.
fn local<T>(outcome: Result<T, QueryError>) -> Result<T> {
    outcome.map_err(|error| Problem::from(error).into())
}

/// The answer of a page.
///
/// # Errors
/// A [`Problem`], or there is nobody to ask.
pub async fn read<T: DeserializeOwned>(server: &Server, page: &str, pairs: Pairs) -> Result<T> {
    let text = server.get(page, &pairs).await?;
    serde_json::from_slice(&text).with_context(|| format!("{server} answers what this version cannot read"))
}

fn question_pairs(question: &Question) -> Pairs {
    let measures: Vec<String> = question.measures.iter().map(ToString::to_string).collect();
    let mut pairs = vec![
        ("filter", question.filter.clone()),
        ("since", question.since.0.to_string()),
        ("until", question.until.0.to_string()),
        ("by", question.by.to_string()),
        ("conversation", question.conversation.to_string()),
        ("all_observations", question.all_observations.to_string()),
        ("raw_only", question.raw_only.to_string()),
    ];
    pairs.extend(list("group_by", &question.group_by));
    pairs.extend(list("measures", &measures));
    pairs.extend(question.top.map(|top| ("top", top.to_string())));
    pairs.extend(question.cover.map(|cover| ("cover", cover.to_string())));
    pairs.extend(question.bucket.map(|bucket| ("bucket", bucket.to_string())));
    pairs.extend(question.zone.as_ref().map(|zone| ("zone", zone.to_string())));
    pairs.extend(question.compare.map(|compare| ("compare", compare.to_string())));
    pairs
}

/// A list that is empty is left out: the API takes no empty word.
pub fn list(name: &'static str, words: &[impl AsRef<str>]) -> Option<(&'static str, String)> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    (!words.is_empty()).then(|| (name, words.join(",")))
}

/// The parameters of a page of records.
pub fn flows_pairs(request: &FlowsRequest) -> Pairs {
    let mut pairs = vec![
        ("filter", request.filter.clone()),
        ("since", request.since.0.to_string()),
        ("until", request.until.0.to_string()),
        ("order", request.order.to_string()),
        ("both_directions", request.both_directions.to_string()),
        ("all_observations", request.all_observations.to_string()),
    ];
    pairs.extend(list("columns", &request.columns));
    pairs.extend(request.limit.map(|limit| ("limit", limit.to_string())));
    pairs.extend(request.cursor.clone().map(|cursor| ("cursor", cursor)));
    pairs
}

fn matrix_pairs(request: &MatrixRequest) -> Pairs {
    let mut pairs = vec![
        ("filter", request.filter.clone()),
        ("since", request.since.0.to_string()),
        ("until", request.until.0.to_string()),
        ("direction", request.direction.as_str().to_owned()),
        ("by", request.by.as_str().to_owned()),
        ("ports", request.ports.to_string()),
    ];
    pairs.extend(request.limit.map(|limit| ("limit", limit.to_string())));
    pairs
}

fn values_pairs(request: &ValuesRequest) -> Pairs {
    let mut pairs = vec![
        ("field", request.field.clone()),
        ("filter", request.filter.clone()),
        ("prefix", request.prefix.clone()),
        ("since", request.since.0.to_string()),
        ("until", request.until.0.to_string()),
    ];
    pairs.extend(request.limit.map(|limit| ("limit", limit.to_string())));
    pairs
}
