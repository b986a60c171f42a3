//! The twin's control plane through the real SDK clients, on a paused clock.

mod dynamodb;
mod host;
mod kinesis;
mod lambda;
mod metrics;
mod story;

use alleycat_operator::{
    aws::Clock,
    twin::{Host, Twin, World},
};
use aws_sdk_kinesis::config::{Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig};
use jiff::SignedDuration;

pub const TUMBLING: &str = "alleycat-TumblingWindowFunction";
pub const FINAL: &str = "alleycat-FinalResultsFunction";

/// A quiet Alleycat account behind real clients.
pub struct Account {
    pub clock: Clock,
    pub host: Host,
    pub kinesis: aws_sdk_kinesis::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub sts: aws_sdk_sts::Client,
}

macro_rules! client {
    ($sdk:ident, $clock:expr, $host:expr) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .region(Region::new("us-east-2"))
                .credentials_provider(Credentials::for_tests())
                .retry_config(RetryConfig::disabled())
                .timeout_config(TimeoutConfig::disabled())
                .time_source($clock.time_source())
                .sleep_impl($clock.sleep_impl())
                .http_client($host.http_client())
                .build(),
        )
    };
}

impl Account {
    pub fn quiet() -> Self {
        Self::of(World::alleycat().with_races(0))
    }

    pub fn of(world: World) -> Self {
        let clock = Clock::simulated(world.start, 1.0);
        let host = Host::new(Twin::new(world, 7), clock.clone());
        Self::on(host, clock)
    }

    pub fn on(host: Host, clock: Clock) -> Self {
        Self {
            kinesis: client!(aws_sdk_kinesis, clock, host),
            lambda: client!(aws_sdk_lambda, clock, host),
            dynamodb: client!(aws_sdk_dynamodb, clock, host),
            cloudwatch: client!(aws_sdk_cloudwatch, clock, host),
            sts: client!(aws_sdk_sts, clock, host),
            host,
            clock,
        }
    }

    pub async fn wait(&self, seconds: i64) {
        self.clock.sleep(SignedDuration::from_secs(seconds)).await;
    }

    /// Stream `alleycat`, ACTIVE.
    pub async fn stream(&self, shards: i32) {
        self.kinesis.create_stream().stream_name("alleycat").shard_count(shards).send().await.unwrap();
        self.wait(30).await;
    }

    pub fn stream_arn() -> &'static str {
        "arn:aws:kinesis:us-east-2:123456789012:stream/alleycat"
    }
}

/// Code and message of a refused call.
macro_rules! refused {
    ($call:expr) => {{
        let error = $call.send().await.unwrap_err();
        let meta = aws_sdk_kinesis::error::ProvideErrorMetadata::meta(&error);
        (meta.code().unwrap_or_default().to_owned(), meta.message().unwrap_or_default().to_owned())
    }};
}
pub(crate) use refused;
