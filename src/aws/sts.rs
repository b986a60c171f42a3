//! STS: who we are.

use super::Aws;
use crate::model::Failure;

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Account id.
    pub(crate) account: String,
    /// ARN.
    pub(crate) arn: String,
}

impl Aws {
    /// GetCallerIdentity.
    pub(crate) async fn identity(&self) -> Result<Identity, Failure> {
        let answer = self
            .sts
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| self.failure("sts:GetCallerIdentity", "the caller", &error))?;
        Ok(Identity {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }
}
