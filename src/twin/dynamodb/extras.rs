//! Encryption, table class, on-demand maxima and warm throughput of a table.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Args, Capacity, Change, Ctx, Refusal, Table, invalid, limit};
use crate::twin::{epoch, millis, wire::Cause};

const DAY_MS: i64 = 86_400_000;
/// Changes of encryption in a rolling 24 h, and the time between later ones (DynamoDB quotas).
const ENCRYPTIONS: usize = 4;
const ENCRYPTION_INTERVAL_MS: i64 = 6 * 3_600_000;
/// Changes of the table class in 30 days (developer guide, "Table classes").
const CLASSES: usize = 2;
/// Warm throughput of a new table, (read, write) units per second (developer guide, "Warm throughput").
const WARM: Capacity = Capacity { read: 12_000, write: 4_000 };

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Extras {
    /// The KMS key; `None`: the key that AWS owns.
    pub encryption: Option<String>,
    encrypted_ms: Vec<i64>,
    pub class: Option<String>,
    classed_ms: Vec<i64>,
    /// OnDemandThroughput: (read, write), where set.
    pub maximum: (Option<u64>, Option<u64>),
    pub warm: Option<Capacity>,
    /// When the greater warm throughput is there, and how great it is.
    pub warming: Option<(i64, Capacity)>,
}

impl Extras {
    /// As CreateTable gives them.
    pub fn parse(ctx: &Ctx, args: Args) -> Result<Self, Refusal> {
        Ok(Self {
            encryption: encryption(ctx, args).flatten(),
            class: class(args)?,
            maximum: maximum(args)?.unwrap_or_default(),
            warm: warm(args)?,
            ..Self::default()
        })
    }

    /// Adds the members of TableDescription.
    pub fn describe(&self, value: &mut Value, throughput: Capacity) {
        if let Some(key) = &self.encryption {
            value["SSEDescription"] = json!({ "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key });
        }
        if let Some(class) = &self.class {
            value["TableClassSummary"] = json!({ "TableClass": class });
            if let Some(at) = self.classed_ms.last() {
                value["TableClassSummary"]["LastUpdateDateTime"] = epoch(*at);
            }
        }
        if let Some(maximum) = maximum_json(self.maximum) {
            value["OnDemandThroughput"] = maximum;
        }
        let warm = self.warm.unwrap_or(WARM);
        value["WarmThroughput"] = json!({
            "ReadUnitsPerSecond": warm.read.max(throughput.read),
            "WriteUnitsPerSecond": warm.write.max(throughput.write),
            "Status": if self.warming.is_some() { "UPDATING" } else { "ACTIVE" },
        });
    }

    /// Books an accepted change.
    pub fn book(&mut self, now: i64, change: &Change) {
        match change {
            Change::Encryption(_) => {
                self.encrypted_ms.retain(|at| now - at < DAY_MS);
                self.encrypted_ms.push(now);
            }
            Change::Class(_) => {
                self.classed_ms.retain(|at| now - at < 30 * DAY_MS);
                self.classed_ms.push(now);
            }
            _ => {}
        }
    }
}

impl Table {
    pub(super) fn encryption_change(&self, ctx: &Ctx, args: Args) -> Result<Change, Refusal> {
        self.need_settled()?;
        let wanted = encryption(ctx, args).flatten();
        if wanted == self.extras.encryption {
            return Err(invalid(match wanted {
                Some(_) => "Table is already encrypted by given KMSMasterKeyId",
                None => "Table is already encrypted by default",
            }));
        }
        let recent = self.extras.encrypted_ms.iter().filter(|at| ctx.now - **at < DAY_MS);
        let late = self.extras.encrypted_ms.last().is_some_and(|at| ctx.now - at < ENCRYPTION_INTERVAL_MS);
        if recent.count() >= ENCRYPTIONS && late {
            let message =
                "Subscriber limit exceeded: encryption can be changed 4 times in 24 hours, then once in 6 hours";
            return Err(limit(message).for_cause(Cause::Quota));
        }
        Ok(Change::Encryption(wanted))
    }

    pub(super) fn class_change(&self, ctx: &Ctx, args: Args) -> Result<Change, Refusal> {
        self.need_settled()?;
        let wanted = class(args)?.unwrap_or_default();
        if self.extras.class.as_deref().unwrap_or("STANDARD") == wanted {
            return Err(invalid(format!("The table class is {wanted} already")));
        }
        if self.extras.classed_ms.iter().filter(|at| ctx.now - **at < 30 * DAY_MS).count() >= CLASSES {
            let message = "Subscriber limit exceeded: the table class can be changed twice in 30 days";
            return Err(limit(message).for_cause(Cause::Quota));
        }
        Ok(Change::Class(wanted))
    }

    /// On-demand maxima apply at once.
    pub(super) fn set_maximum(&mut self, ctx: &mut Ctx, args: Args) -> Result<(), Refusal> {
        self.need_settled()?;
        if !self.on_demand {
            return Err(invalid("OnDemandThroughput can be specified only when BillingMode is PAY_PER_REQUEST"));
        }
        self.extras.maximum = maximum(args)?.unwrap_or_default();
        self.push_limits(ctx);
        Ok(())
    }

    /// Warm throughput only goes up; the table stays ACTIVE meanwhile.
    pub(super) fn warm_up(&mut self, ctx: &Ctx, args: Args) -> Result<(), Refusal> {
        self.need_settled()?;
        let wanted = warm(args)?.ok_or_else(|| invalid("ReadUnitsPerSecond and WriteUnitsPerSecond are required"))?;
        let now = self.extras.warm.unwrap_or(WARM);
        if wanted.read < now.read || wanted.write < now.write || wanted == now {
            return Err(invalid(format!(
                "Requested WarmThroughput must be greater than the current one: ReadUnitsPerSecond {}, WriteUnitsPerSecond {}",
                now.read, now.write
            )));
        }
        if self.extras.warming.is_some() {
            return Err(super::in_use(format!(
                "Attempt to change a resource which is still in use: Warm throughput is being updated. Table: {}",
                self.name
            ))
            .for_cause(Cause::Transition));
        }
        self.extras.warming = Some((ctx.now + millis(ctx.assumptions.warm_throughput_seconds.into()), wanted));
        Ok(())
    }
}

/// SSESpecification: absent, or the key that will be used.
#[expect(clippy::option_option, reason = "absent and AWS's own key are different requests")]
fn encryption(ctx: &Ctx, args: Args) -> Option<Option<String>> {
    let specification = args.at("SSESpecification")?;
    let own = || ctx.arn("kms", &format!("key/{}", super::super::uuid(0x5eed, 0x004b_4d53)));
    let key = || specification.text("KMSMasterKeyId").map_or_else(own, str::to_owned);
    Some((specification.flag("Enabled") == Some(true)).then(key))
}

fn class(args: Args) -> Result<Option<String>, Refusal> {
    match args.text("TableClass") {
        Some(class) if !["STANDARD", "STANDARD_INFREQUENT_ACCESS"].contains(&class) => Err(Refusal::constraint(
            class,
            "tableClass",
            "satisfy enum value set: [STANDARD, STANDARD_INFREQUENT_ACCESS]",
        )),
        class => Ok(class.map(str::to_owned)),
    }
}

/// OnDemandThroughput of a table or index: -1 is no maximum.
#[expect(clippy::type_complexity, reason = "read and write")]
pub(super) fn maximum(args: Args) -> Result<Option<(Option<u64>, Option<u64>)>, Refusal> {
    let Some(member) = args.at("OnDemandThroughput") else { return Ok(None) };
    let units = |name: &str| match member.int(name) {
        None | Some(-1) => Ok(None),
        Some(units) if units >= 1 => Ok(Some(units as u64)),
        Some(units) => Err(invalid(format!("{name}, {units}, must be -1 or at least 1"))),
    };
    Ok(Some((units("MaxReadRequestUnits")?, units("MaxWriteRequestUnits")?)))
}

pub(super) fn maximum_json((read, write): (Option<u64>, Option<u64>)) -> Option<Value> {
    let units = |units: Option<u64>| units.map_or_else(|| json!(-1), |units| json!(units));
    (read.is_some() || write.is_some())
        .then(|| json!({ "MaxReadRequestUnits": units(read), "MaxWriteRequestUnits": units(write) }))
}

fn warm(args: Args) -> Result<Option<Capacity>, Refusal> {
    let Some(member) = args.at("WarmThroughput") else { return Ok(None) };
    let units = |name: &str, least: u64| -> Result<u64, Refusal> {
        Ok(member.ranged(name, 1, 1_000_000_000)?.map_or(least, |units| units as u64))
    };
    let (read, write) = (units("ReadUnitsPerSecond", WARM.read)?, units("WriteUnitsPerSecond", WARM.write)?);
    if read < WARM.read || write < WARM.write {
        return Err(invalid("WarmThroughput is at least 12000 ReadUnitsPerSecond and 4000 WriteUnitsPerSecond"));
    }
    Ok(Some(Capacity { read, write }))
}
