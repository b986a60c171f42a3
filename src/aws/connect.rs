//! Builds the clients: region, profile, credentials and endpoint from the SDK's own resolution, or the twin's
//! HTTP client with dummies and without any look at the environment.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, default_provider::credentials::DefaultCredentialsChain,
    environment::region::EnvironmentVariableRegionProvider, imds, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider, provider_config::ProviderConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::{http::SharedHttpClient, orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::{
    Allow, Clock, errors,
    gate::{self, Calls},
};
use crate::model::{ErrorClass, Failure};

/// How to reach AWS.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Overrides the region of the environment and the profile.
    pub region: Option<String>,
    /// Overrides the profile of the environment.
    pub profile: Option<String>,
    /// Overrides the endpoint of all services.
    pub endpoint_url: Option<String>,
    /// The twin (or a test's stub). With it, nothing of the environment is read and no network is used.
    pub http_client: Option<SharedHttpClient>,
    /// The clock that signs requests and that the callers of this connection live by.
    pub clock: Clock,
    /// Which mutating operations may be sent.
    pub allow: Allow,
}

/// Connected clients of the five services, behind one gate.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(super) kinesis: aws_sdk_kinesis::Client,
    pub(super) lambda: aws_sdk_lambda::Client,
    pub(super) dynamodb: aws_sdk_dynamodb::Client,
    pub(super) cloudwatch: aws_sdk_cloudwatch::Client,
    pub(super) sts: aws_sdk_sts::Client,
    clock: Clock,
    region: String,
    endpoint: Option<String>,
    calls: Calls,
    /// The account's shard limit, with the moment it was asked for.
    pub(super) shard_limit: Arc<Mutex<Option<(jiff::Timestamp, u32)>>>,
}

impl Aws {
    /// Resolves region and credentials and builds the clients. No request is sent to the five services; the
    /// credential chain may ask its own sources (SSO, STS, the metadata service of EC2 and ECS).
    ///
    /// # Errors
    /// `Invalid` without a region; `Denied` without credentials.
    pub async fn connect(connect: Connect) -> Result<Self, Failure> {
        let (config, http_client) = match connect.http_client {
            Some(http_client) => {
                (twin_config(&connect.clock, connect.region.as_deref(), connect.endpoint_url.as_deref()), http_client)
            }
            None => aws_config_of(&connect).await?,
        };
        let calls = Calls::default();
        let config = config
            .into_builder()
            .http_client(gate::gated(http_client, connect.allow, calls.clone()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .build();
        Ok(Self {
            kinesis: aws_sdk_kinesis::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: config.endpoint_url().map(str::to_owned),
            clock: connect.clock,
            calls,
            shard_limit: Arc::default(),
        })
    }

    /// The clock this connection lives by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The region the clients are bound to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The endpoint that replaces AWS's own, if one is set for all services.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Requests sent so far, by `service:Operation`, as the gate saw them.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.snapshot()
    }

    /// A failed call of one of the clients.
    pub(super) fn failure<E>(
        &self,
        operation: &str,
        resource: impl Display,
        error: &SdkError<E, HttpResponse>,
    ) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        errors::failure(operation, &resource.to_string(), self.endpoint(), error)
    }
}

/// One attempt has 10 s, with 3 s of it for the connection: AWS answers control-plane calls in well under 1 s.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(30))
        .build()
}

/// The region of the twin when nobody names one.
const TWIN_REGION: &str = "us-east-1";

fn twin_config(clock: &Clock, region: Option<&str>, endpoint_url: Option<&str>) -> SdkConfig {
    let credentials = Credentials::new("TWIN", "TWIN", None, None, "twin");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.unwrap_or(TWIN_REGION).to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // The lazy cache draws random numbers; static credentials need none.
        .identity_cache(aws_config::identity::IdentityCache::no_cache())
        .time_source(clock.time_source())
        .sleep_impl(clock.sleep_impl())
        .disable_clock_skew_correction(true)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    config.set_endpoint_url(endpoint_url.map(str::to_owned));
    config.build()
}

async fn aws_config_of(connect: &Connect) -> Result<(SdkConfig, SharedHttpClient), Failure> {
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https();
    let provider_config = ProviderConfig::without_region()
        .with_http_client(http_client.clone())
        .with_time_source(connect.clock.time_source())
        .with_sleep_impl(connect.clock.sleep_impl());
    let region = region_of(connect, &provider_config).await?;
    let provider_config = provider_config.with_region(Some(region.clone()));

    let mut chain = DefaultCredentialsChain::builder()
        .region(region.clone())
        .imds_client(metadata_client(&provider_config))
        .configure(provider_config);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http_client.clone())
        .time_source(connect.clock.time_source())
        .sleep_impl(connect.clock.sleep_impl())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts());
    if let Some(profile) = &connect.profile {
        chain = chain.profile_name(profile);
        loader = loader.profile_name(profile);
    }
    if let Some(url) = &connect.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let chain = chain.build().await;
    chain.provide_credentials().await.map_err(|error| no_credentials(connect, &error))?;
    let config = loader.credentials_provider(chain).load().await;
    Ok((config, http_client))
}

/// Environment, then profile, then the metadata service.
async fn region_of(connect: &Connect, config: &ProviderConfig) -> Result<Region, Failure> {
    let mut profile = ProfileFileRegionProvider::builder().configure(config);
    if let Some(name) = &connect.profile {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(connect.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(
            imds::region::ImdsRegionProvider::builder().configure(config).imds_client(metadata_client(config)).build(),
        );
    chain.region().await.ok_or_else(|| {
        errors::own(
            ErrorClass::Invalid,
            "connect",
            "the AWS configuration",
            "NoRegion",
            "no region: set spec.region, AWS_REGION, or `region` in the profile".to_owned(),
        )
    })
}

/// The metadata service of EC2, asked once: on a machine that is no EC2 instance the SDK's own four tries take
/// many seconds.
fn metadata_client(config: &ProviderConfig) -> imds::Client {
    imds::Client::builder()
        .configure(config)
        .connect_timeout(Duration::from_millis(500))
        .read_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(2))
        .max_attempts(1)
        .build()
}

fn no_credentials(connect: &Connect, error: &CredentialsError) -> Failure {
    let profile = connect
        .profile
        .as_deref()
        .map_or_else(|| "the profile in AWS_PROFILE or `default`".to_owned(), |name| format!("the profile `{name}`"));
    errors::own(
        ErrorClass::Denied,
        "connect",
        "the AWS credentials",
        "NoCredentials",
        format!(
            "no AWS credentials. Tried AWS_ACCESS_KEY_ID in the environment, {profile}, a web identity token, the \
             container role and the EC2 instance role; the last answer: {}. Sign in (`aws sso login`, `aws \
             configure`), or rehearse with --local",
            errors::causes(error)
        ),
    )
}
