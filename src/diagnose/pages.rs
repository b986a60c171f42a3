//! A page for each code: what is seen, why, what to do, and the thresholds. `explain CODE` prints it, and
//! docs/diagnoses.md is made from it.
//!
//! What always holds: every code has one page.

use std::fmt::Write as _;

use super::{
    Diagnosis, Threshold,
    thresholds::{
        ACCOUNT_NEAR, BLOCKED_SLOPE, BUSY, CATCHING_UP, CHEAPER, CREDIT_LOW, CREEPING, FADING_BELOW, FADING_LEFT,
        FAILING_CALLS, FAILING_CALLS_CRITICAL, FAULTY, FITTING_SHARE, FULL_VCPU_MB, HISTORY, HOT_BELOW, HOT_REJECTED,
        HOT_SKEW, HOT_TAKEN, INDEX_HOLDS, LATELY, MANY_READERS, NEAR_TOP, NEARLY_FULL, NOT_INVOKED, OTHERS, OVER,
        OWN_WORK, PACKING_ROOM, READ_NEAR, READS_FAILING, RETENTION_ACT, RETENTION_WARN, SETTLING, SHARD_READS,
        SILENT_FLOOR, SILENT_SHARE, SLOWER, STRAIGHT, STUCK, SURE_HISTORY, TIMEOUT_SHARE, WILL_DROP,
    },
};

/// What there is to know of one code.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The code.
    pub code: Diagnosis,
    /// Its name in words.
    pub title: &'static str,
    /// What is seen.
    pub seen: &'static str,
    /// Why.
    pub why: &'static str,
    /// What to do, and who.
    pub remedy: &'static str,
    /// The thresholds of its rule.
    pub thresholds: &'static [Threshold],
    /// Parameters of the scaling policy that its rule uses.
    pub policy: &'static [&'static str],
    /// Where the facts come from.
    pub source: &'static str,
}

/// The page of a code.
pub fn page(code: Diagnosis) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.code == code)
}

/// docs/diagnoses.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Diagnoses\n\nWhat `diagnose` and the daemon tell apart, in the order of an answer whose findings are equally urgent.\n\
         `alleycat-operator explain CODE` prints the same. Generated: run `BLESS=1 cargo test --test it docs`.\n",
    );
    for page in &PAGES {
        let _ = write!(
            text,
            "\n## {}\n\n**{}.** {}\n\n{}\n\nWhat to do: {}\n",
            page.code, page.title, page.seen, page.why, page.remedy
        );
        if !page.thresholds.is_empty() {
            text.push_str("\n| threshold | value | source |\n|---|---|---|\n");
        }
        for it in page.thresholds {
            let _ = writeln!(text, "| `{}` | {} {} | {} |", it.name, it.value, it.unit, it.source);
        }
        if !page.policy.is_empty() {
            let names: Vec<String> = page.policy.iter().map(|name| format!("`{name}`")).collect();
            let _ = write!(text, "\nFrom the scaling policy: {}.\n", names.join(", "));
        }
        let _ = write!(text, "\nSource: {}.\n", page.source);
    }
    text
}

/// All pages, in the order of an answer.
pub static PAGES: [Page; 31] = [
    Page {
        code: Diagnosis::ProducersFailing,
        title: "Producers' calls fail",
        seen: "The average of PutRecord.Success or PutRecords.Success is below 1 in two of three minutes, by more than rejected records explain.",
        why: "A throttled put is cured by shards. These fail for something else: a right, a KMS key, a record that is too large, or Kinesis itself. A PutRecords call counts as a success when one of its records was stored, so it understates the trouble.",
        remedy: "Read the producers' own errors. The operator changes nothing: capacity is not it.",
        thresholds: &[FAILING_CALLS, FAILING_CALLS_CRITICAL],
        policy: &[],
        source: "Kinesis developer guide, CloudWatch metrics",
    },
    Page {
        code: Diagnosis::ProducersSilent,
        title: "Producers have gone quiet",
        seen: "IncomingRecords is there and is far below the low end of the band of the minutes before the fall; or it is below it and falls in a straight line that soon ends at nothing.",
        why: "A quiet stream looks healthy everywhere else. It is told apart from a missing metric: the minute's zero is proven by readers that poll in vain.",
        remedy: "Nothing, if the traffic was meant to end. Otherwise look at the producers and at what feeds them.",
        thresholds: &[SILENT_SHARE, SILENT_FLOOR, NEAR_TOP, FADING_BELOW, STRAIGHT, FADING_LEFT],
        policy: &[],
        source: "This project, checked on its healthy shapes",
    },
    Page {
        code: Diagnosis::HotShard,
        title: "One shard or key is hot",
        seen: "WriteProvisionedThroughputExceeded while the stream as a whole has room; with shard-level metrics the shard that is far above the mean.",
        why: "A partition key lives on one shard, and a shard takes 1,000 records/s and 1 MiB/s. UpdateShardCount splits all shards evenly and cannot part a single key.",
        remedy: "Spread the partition keys. Where a hot shard holds several keys, SplitShard parts them. Shard-level metrics name the shard.",
        thresholds: &[HOT_BELOW, HOT_REJECTED, HOT_TAKEN, HOT_SKEW],
        policy: &["rejectingRatio", "shardRaiseUtilization"],
        source: "Kinesis developer guide, How do I size a stream; Resharding strategies",
    },
    Page {
        code: Diagnosis::IngestShort,
        title: "The stream takes in too little",
        seen: "Offered records (accepted and rejected) or bytes are near or above the limit of the open shards.",
        why: "Each shard takes 1,000 records/s and 1 MiB/s, and whichever is reached first binds. A minute's mean hides bursts within a second, which are rejected all the same.",
        remedy: "The operator raises the shard count. Where records bind and bytes do not, packing several messages into a record does it without shards, at the price of the time a message waits for the others.",
        thresholds: &[HOT_BELOW, PACKING_ROOM],
        policy: &["rejectingRatio", "shardRaiseUtilization", "shardTargetUtilization", "offeredClamp"],
        source: "Kinesis developer guide, Quotas and limits",
    },
    Page {
        code: Diagnosis::AccountLimit,
        title: "A quota of the account refuses writes",
        seen: "WriteAccountLimitThrottleEvents of a table.",
        why: "A table, its indexes and all tables of the account together have quotas (40,000 and 80,000 units by default). More capacity on the table is not granted above them.",
        remedy: "Ask AWS for a higher quota, or write less.",
        thresholds: &[],
        policy: &[],
        source: "DynamoDB developer guide, Service quotas",
    },
    Page {
        code: Diagnosis::OnDemandMaximum,
        title: "An on-demand maximum refuses writes",
        seen: "WriteMaxOnDemandThroughputThrottleEvents of a table or index.",
        why: "Somebody set OnDemandThroughput.MaxWriteRequestUnits, to cap the bill. DynamoDB itself would take more.",
        remedy: "Raise or remove the maximum; it applies at once.",
        thresholds: &[],
        policy: &[],
        source: "DynamoDB developer guide, On-demand capacity mode",
    },
    Page {
        code: Diagnosis::SinkLimit,
        title: "Write capacity is at its bound",
        seen: "Writes are throttled, or burst credit is spent or soon will be, and the capacity is the spec's maximum.",
        why: "The bound is yours. More consumers would only be throttled more, so they are not scaled up.",
        remedy: "Raise the bound, write smaller items, or write less often.",
        thresholds: &[CREDIT_LOW, STRAIGHT],
        policy: &[],
        source: "DynamoDB developer guide, Throttling",
    },
    Page {
        code: Diagnosis::SinkShort,
        title: "A table or index is short of write capacity",
        seen: "WriteProvisionedThroughputThrottleEvents, or consumption that lives on burst credit of which little is left, at the present rate or at its steady rise. Of a mapping: a table it writes to throttles, or did since it kept up last.",
        why: "Up to 300 seconds of unused capacity are kept and spent first, so throttles come minutes after the overload. A global secondary index that is short throttles the writes of its table. Inside the function the SDK waits and tries again: durations climb to the timeout, and batches are retried whole.",
        remedy: "The operator raises write capacity, before anything that writes to it.",
        thresholds: &[CREDIT_LOW, STRAIGHT, INDEX_HOLDS],
        policy: &["writeTargetUtilization"],
        source: "DynamoDB developer guide, Burst and adaptive capacity; GSI back-pressure",
    },
    Page {
        code: Diagnosis::HotItem,
        title: "One item or key takes all writes",
        seen: "WriteKeyRangeThroughputThrottleEvents.",
        why: "A partition takes 1,000 write units/s whatever the table has. A single key cannot be spread.",
        remedy: "Spread the writes over keys, write smaller items, or write less often.",
        thresholds: &[],
        policy: &[],
        source: "DynamoDB developer guide, Diagnosing throttling",
    },
    Page {
        code: Diagnosis::SinkReadShort,
        title: "A table or index is short of read capacity",
        seen: "ReadProvisionedThroughputThrottleEvents, or reads that live on burst credit of which little is left.",
        why: "Reads above the provisioned units and the burst credit are refused.",
        remedy: "The operator raises read capacity.",
        thresholds: &[CREDIT_LOW],
        policy: &["readTargetUtilization"],
        source: "DynamoDB developer guide, Throttling",
    },
    Page {
        code: Diagnosis::PermissionDenied,
        title: "A right is missing",
        seen: "The mapping's LastProcessingResult is a PROBLEM that speaks of rights.",
        why: "Lambda reads the stream with the function's execution role. A lost right stops the reading at once and shows in no metric of the function.",
        remedy: "Give the role its rights back (kinesis:GetRecords and its siblings, kms:Decrypt).",
        thresholds: &[],
        policy: &[],
        source: "Lambda developer guide, Using Lambda with Kinesis, execution role",
    },
    Page {
        code: Diagnosis::MappingDisabled,
        title: "The mapping is switched off",
        seen: "The mapping's state is Disabled or Disabling.",
        why: "Nothing is read and nothing is invoked, so no metric of the function shows the lag. The position is kept until retention has passed.",
        remedy: "Enable it. It goes on where it stopped.",
        thresholds: &[],
        policy: &[],
        source: "Lambda developer guide, Event source mappings",
    },
    Page {
        code: Diagnosis::MappingFailing,
        title: "The mapping does not work",
        seen: "LastProcessingResult is a PROBLEM of another kind, the mapping is stuck in a transition, or the function is not invoked although records wait.",
        why: "The poller between stream and function has trouble of its own.",
        remedy: "Do what the message says: the function, the destination or the key may be gone.",
        thresholds: &[STUCK, NOT_INVOKED],
        policy: &[],
        source: "Lambda developer guide, Event source mappings",
    },
    Page {
        code: Diagnosis::TooManyReaders,
        title: "Too many readers share the stream",
        seen: "Five or more readers poll the stream: known mappings, the spec's external consumers, or what the volume of GetRecords shows.",
        why: "All shared readers of a shard share 5 calls and 2 MiB a second. Each further one adds about 200 ms for all of them.",
        remedy: "Remove or merge readers first, beginning with those that are not in the spec. Only then give the fast one enhanced fan-out.",
        thresholds: &[MANY_READERS, SHARD_READS],
        policy: &[],
        source: "Kinesis developer guide, Enhanced fan-out; Quotas and limits",
    },
    Page {
        code: Diagnosis::ReadShort,
        title: "Reads are at the stream's limit",
        seen: "ReadProvisionedThroughputExceeded in two of three minutes, or readers that need most of 2 MiB/s a shard.",
        why: "Reads above the limit are refused and tried again later, so every shared reader gets slower.",
        remedy: "More shards bring more read capacity. Fewer readers or fan-out cost less.",
        thresholds: &[READ_NEAR],
        policy: &[],
        source: "Kinesis developer guide, Quotas and limits",
    },
    Page {
        code: Diagnosis::ReadsFailing,
        title: "Reads fail",
        seen: "The average of GetRecords.Success is low in minutes without a throttle.",
        why: "Something other than the limit refuses the calls: rights, the KMS key, an expired iterator.",
        remedy: "Look at the readers' rights and errors.",
        thresholds: &[READS_FAILING],
        policy: &[],
        source: "Kinesis developer guide, CloudWatch metrics",
    },
    Page {
        code: Diagnosis::ConcurrencyLimit,
        title: "Concurrency limits the consumer",
        seen: "Throttles of the function, now or while the backlog that they left is worked off.",
        why: "Lambda refuses invocations above the function's reserved concurrency or the account's. Refused batches wait; there is no error. More shards and a higher factor make it worse.",
        remedy: "Raise the reserved concurrency or the account's.",
        thresholds: &[ACCOUNT_NEAR, LATELY],
        policy: &[],
        source: "Lambda developer guide, Concurrency",
    },
    Page {
        code: Diagnosis::PoisonRecord,
        title: "One batch is retried again and again",
        seen: "Invocations fail each minute, the greatest age grows by about a second a second, and other invocations succeed, or did until the readers stopped behind the batch.",
        why: "Lambda retries a failed batch whole until it succeeds or expires, and its shard waits. With one slot a bad record cannot be told from a broken function: the confidence says so.",
        remedy: "Set bisectBatchOnFunctionError, maximumRetryAttempts and an on-failure destination; find the record in the function's log.",
        thresholds: &[BLOCKED_SLOPE, OTHERS, FAULTY],
        policy: &[],
        source: "Lambda developer guide, Kinesis on-failure destinations",
    },
    Page {
        code: Diagnosis::FunctionFault,
        title: "The function fails",
        seen: "More than a share of the invocations of three minutes fail (of ten, when there are few), and neither a throttled table nor the timeout explains it.",
        why: "An error in the code, in what it depends on, or in what it is sent. Failed batches are retried whole.",
        remedy: "Look at the function's log and its last change. Nothing that feeds it is raised.",
        thresholds: &[FAULTY, LATELY],
        policy: &[],
        source: "Lambda developer guide, Kinesis error handling",
    },
    Page {
        code: Diagnosis::FunctionTimeout,
        title: "Invocations run into the timeout",
        seen: "The longest duration is the function's timeout.",
        why: "Either the batch is too large for the time, or the writes inside are throttled and the SDK waits; then the table is the cause and comes first.",
        remedy: "The operator makes the batch smaller. The batch that fits is computed from the time a batch and a record take.",
        thresholds: &[TIMEOUT_SHARE, FITTING_SHARE],
        policy: &[],
        source: "Lambda developer guide, Kinesis parameters",
    },
    Page {
        code: Diagnosis::ComputeBound,
        title: "The function waits for CPU",
        seen: "The slots are busy with work that grows with the records, on less memory than a whole vCPU takes.",
        why: "Lambda gives CPU in proportion to memory. Work that computes gets faster by as much as the memory grows, up to one vCPU, and costs about the same. CloudWatch does not show the CPU, so the confidence is low; Lambda Insights shows it.",
        remedy: "Try more memory. The duration that it would give is in the finding.",
        thresholds: &[BUSY, FULL_VCPU_MB, OWN_WORK],
        policy: &["laggingRatio"],
        source: "Lambda developer guide, Memory",
    },
    Page {
        code: Diagnosis::ConsumerShort,
        title: "The consumer has too few slots",
        seen: "It lags, or its age creeps up, or nearly all that full batches could do is asked of it, and its slots (shards times parallelization factor) are busy. With a hot shard: its batches take longer than full ones did.",
        why: "Each slot works on one batch at a time. What is busy all the time cannot catch up.",
        remedy: "The operator raises the factor, and at its bound the shard count.",
        thresholds: &[BUSY, NEARLY_FULL, CREEPING, SLOWER],
        policy: &["laggingRatio", "consumerTargetUtilization", "catchUpSeconds"],
        source: "Lambda developer guide, Kinesis parameters",
    },
    Page {
        code: Diagnosis::RecordsDropped,
        title: "Records are given up",
        seen: "DroppedEventCount of the mapping or DestinationDeliveryFailures of the function; or an age that grows and soon reaches the mapping's maximum.",
        why: "After maximumRetryAttempts or maximumRecordAge Lambda goes on without the records. Without a working destination they are lost.",
        remedy: "Cure what fails; set or repair the on-failure destination.",
        thresholds: &[WILL_DROP],
        policy: &[],
        source: "Lambda developer guide, Event source mapping metrics",
    },
    Page {
        code: Diagnosis::RetentionAtRisk,
        title: "Records are about to be lost",
        seen: "The iterator age is above half of the retention.",
        why: "At the whole of it the stream forgets records that nobody has read.",
        remedy: "Remove the cause of the lag. A longer retention buys time and costs a little.",
        thresholds: &[RETENTION_WARN, RETENTION_ACT],
        policy: &[],
        source: "Kinesis developer guide, CloudWatch metrics",
    },
    Page {
        code: Diagnosis::Blind,
        title: "A needed metric is missing",
        seen: "A metric that a rule needs has no point, or none for the newest minute that should be there. Of a function and of an on-demand table, which publish nothing while they are idle: none in three minutes of work, although it came with the work before.",
        why: "Missing is not zero. CloudWatch may be late, the resource may be new or not in use.",
        remedy: "Wait some minutes; then check that the resource exists and that CloudWatch publishes. Nothing is scaled in meanwhile.",
        thresholds: &[],
        policy: &["metricDelaySeconds"],
        source: "CloudWatch user guide, Concepts",
    },
    Page {
        code: Diagnosis::Unknown,
        title: "A lag without a known cause",
        seen: "The consumer lags, and nothing that is known here explains it.",
        why: "It may come from a single slow shard, from outside AWS's metrics, or from a cause that this version does not know.",
        remedy: "Look at the function's log. Shard-level metrics would show a single shard.",
        thresholds: &[CATCHING_UP, SETTLING],
        policy: &["laggingRatio"],
        source: "This project",
    },
    Page {
        code: Diagnosis::Actuating,
        title: "Something is being changed",
        seen: "A stream, table or mapping is in transition, or a mapping has just been changed.",
        why: "AWS takes one change at a time, and a mapping pauses while it is updated.",
        remedy: "Wait.",
        thresholds: &[SETTLING],
        policy: &[],
        source: "Lambda developer guide, Kinesis, creating and updating a mapping",
    },
    Page {
        code: Diagnosis::OverProvisioned,
        title: "More is provisioned than was used",
        seen: "The busiest minute of the window used a small part of what is provisioned.",
        why: "What stands unused is paid for.",
        remedy: "The operator lowers it when its windows and budgets allow.",
        thresholds: &[OVER, HISTORY, SURE_HISTORY],
        policy: &["shardTargetUtilization", "writeTargetUtilization"],
        source: "This project",
    },
    Page {
        code: Diagnosis::OnDemandCheaper,
        title: "On demand would be cheaper",
        seen: "At the measured load on-demand billing costs clearly less.",
        why: "Provisioned capacity is paid by the hour, on-demand capacity by use. Below about 29 % of use on demand wins for writes.",
        remedy: "Switch if the measured hours are typical.",
        thresholds: &[CHEAPER, HISTORY, SURE_HISTORY],
        policy: &[],
        source: "AWS price lists; see the price sheet's date",
    },
    Page {
        code: Diagnosis::ProvisionedCheaper,
        title: "Provisioned would be cheaper",
        seen: "At the measured load provisioned billing costs clearly less, even sized for the busiest minute.",
        why: "See ON_DEMAND_CHEAPER.",
        remedy: "Switch if the measured hours are typical.",
        thresholds: &[CHEAPER, HISTORY, SURE_HISTORY],
        policy: &["writeTargetUtilization"],
        source: "AWS price lists; see the price sheet's date",
    },
    Page {
        code: Diagnosis::FanOutWorth,
        title: "Enhanced fan-out: worth it or not",
        seen: "Three or more readers share the stream.",
        why: "Fan-out gives one reader 2 MiB/s a shard of its own and about 70 ms, for a price by the shard and by the volume.",
        remedy: "The finding says what it costs here and whether reads are in trouble. The operator moves a consumer with `delivery: auto` or `enhancedFanOut` when it is `idempotent: true`, because the move re-reads some records.",
        thresholds: &[MANY_READERS, HISTORY, SURE_HISTORY],
        policy: &[],
        source: "Kinesis developer guide, Enhanced fan-out",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::thresholds, spec};

    #[test]
    fn every_code_has_one_page_and_every_threshold_is_on_one() {
        let codes: Vec<Diagnosis> = PAGES.iter().map(|page| page.code).collect();
        assert_eq!(codes, Diagnosis::ALL);
        for it in thresholds::ALL {
            assert!(PAGES.iter().any(|page| page.thresholds.contains(&it)), "{} is on no page", it.name);
        }
        let policy = serde_json::to_value(spec::policy::builtin("balanced").unwrap()).unwrap();
        for name in PAGES.iter().flat_map(|page| page.policy) {
            assert!(policy.get(*name).is_some(), "{name} is no parameter of a policy");
        }
    }
}
