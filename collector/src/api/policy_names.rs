//! Who may read which policies there are: whoever may get NetworkPolicies in all namespaces.
//! Flows tell of policies at both their ends, and a policy's name and rules say what its owners
//! allow; so that others get records without these fields, and neither filter nor group by them.
//! What became of a flow (`policy_verdict`, `policy_reason`) everybody sees who sees the flow.

use weir_api::fields::Column;

use super::Api;
use super::access::Caller;
use super::problem::Problem;

/// What the names of these fields have in common; an alias of one has it, too.
const WORDS: [&str; 2] = ["ingress_policy", "egress_policy"];

fn tells_of_policies(text: &str) -> bool {
    WORDS.iter().any(|word| text.contains(word))
}

impl Api {
    /// Refuses a question that names policies, of somebody who may not read them.
    ///
    /// # Errors
    /// They may not, or nobody knows who they are.
    pub(super) async fn check_policy_names<'q>(
        &self,
        caller: &Caller,
        texts: impl IntoIterator<Item = &'q str>,
    ) -> Result<(), Problem> {
        if !texts.into_iter().any(tells_of_policies) || self.reads_policies(caller).await? {
            return Ok(());
        }
        Err(Problem::forbidden(
            "which policies there are is for those who may get networkpolicies in all namespaces; what policies \
             say of a flow is in policy_verdict and policy_reason",
        ))
    }

    /// The columns of records that somebody asks for; of all, those that they may read.
    ///
    /// # Errors
    /// They name one that they may not read, or nobody knows who they are.
    pub(super) async fn readable_columns(
        &self,
        caller: &Caller,
        filter: &str,
        columns: Vec<String>,
    ) -> Result<Vec<String>, Problem> {
        let texts = columns.iter().map(String::as_str).chain([filter]);
        self.check_policy_names(caller, texts).await?;
        if !columns.is_empty() || self.reads_policies(caller).await? {
            return Ok(columns);
        }
        let names = Column::all().map(Column::name);
        Ok(names
            .filter(|name| !tells_of_policies(name))
            .map(str::to_owned)
            .collect())
    }

    async fn reads_policies(&self, caller: &Caller) -> Result<bool, Problem> {
        let who = self.gate.identify(caller).await?;
        self.gate.reads_policies(&who).await
    }
}
