//! `scaling`: the policy, loads known beforehand, frozen times, and what may be done when the quota is used up.

use jiff::Timestamp;

use crate::spec::{
    BreakGlass, Freeze, ScalingSpec, ScheduledLoad,
    calendar::{self, Begins, Window},
    policy,
    problem::{self, nearest},
    reader::{Field, Object, Reader},
};

/// A year: nothing that lasts longer is a window.
const LONGEST: i64 = 365 * 86_400;

pub(super) fn read(reader: &mut Reader, spec: &Object<'_>) -> Option<ScalingSpec> {
    let standard = ScalingSpec::default();
    let Some(field) = spec.get("scaling") else { return Some(standard) };
    let object = reader.object(&field, &["policy", "schedule", "freeze", "breakGlass"])?;
    let policy = reader.or(&object, "policy", standard.policy, policy_name);
    let schedule = reader.or(&object, "schedule", standard.schedule, |reader, field| {
        let loads = reader.each(field, load)?;
        for (index, one) in loads.iter().enumerate() {
            if loads.iter().take(index).any(|other| other.name == one.name) {
                let what = format!("two entries are called `{}`", one.name);
                reader.report(field, problem::DUPLICATE_NAME, what, "give each its own name");
            }
        }
        Some(loads)
    });
    let freeze = reader.or(&object, "freeze", standard.freeze, |reader, field| reader.each(field, freeze));
    let words = [("splitShard", BreakGlass::SplitShard), ("onDemand", BreakGlass::OnDemand)];
    let break_glass = reader.or(&object, "breakGlass", standard.break_glass, |reader, field| {
        reader.each(field, |reader, item| reader.word(item, &words))
    });
    Some(ScalingSpec { policy: policy?, schedule: schedule?, freeze: freeze?, break_glass: break_glass? })
}

fn policy_name(reader: &mut Reader, field: &Field<'_>) -> Option<String> {
    reader.checked(field, |text| {
        let extension = text.rsplit_once('.').map(|(_, extension)| extension);
        let file = matches!(extension, Some("yaml" | "yml")) && !text.contains('\0');
        if file || policy::builtin(text).is_some() {
            return Ok(());
        }
        let names = policy::BUILTIN.map(|(name, _)| name);
        let meant = nearest(text, names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        Err(format!("{meant}a policy file (`….yaml`) or one of: {}", names.join(", ")))
    })
}

fn load(reader: &mut Reader, field: &Field<'_>) -> Option<ScheduledLoad> {
    let object = reader.object(field, &["name", "at", "cron", "timezone", "duration", "expect"])?;
    let name = reader.require(&object, "name", "a name for messages: `name: race`");
    let name = name.and_then(|field| reader.text(&field).map(str::to_owned));
    let window = window(reader, field, &object);
    let expect = reader.require(&object, "expect", "the load that comes: `expect: {recordsPerSecond: 15000}`");
    let rate = expect.and_then(|field| {
        let expect = reader.object(&field, &["recordsPerSecond"])?;
        let rate = reader.require(&expect, "recordsPerSecond", "records a second over the whole stream")?;
        reader.number(&rate, 1.0..=1e9)
    });
    Some(ScheduledLoad { name: name?, window: window?, records_per_second: rate? })
}

fn freeze(reader: &mut Reader, field: &Field<'_>) -> Option<Freeze> {
    let object = reader.object(field, &["at", "cron", "timezone", "duration", "directions"])?;
    let window = window(reader, field, &object);
    let words = [("up", true), ("down", false)];
    let directions = reader.or(&object, "directions", vec![true, false], |reader, field| {
        reader.each(field, |reader, item| reader.word(item, &words))
    });
    let directions = directions?;
    Some(Freeze { window: window?, up: directions.contains(&true), down: directions.contains(&false) })
}

/// `at`, or `cron` with `timezone`; and `duration`.
fn window(reader: &mut Reader, field: &Field<'_>, object: &Object<'_>) -> Option<Window> {
    const DURATION: &str = "how long it lasts: `duration: 2h`";
    let duration = reader.require(object, "duration", DURATION);
    let duration = duration.and_then(|field| reader.duration(&field, 60..=LONGEST));
    let begins = match (object.get("at"), object.get("cron")) {
        (Some(at), None) => at_time(reader, &at),
        (None, Some(cron)) => crontab(reader, object, &cron),
        (Some(both), Some(_)) => {
            reader.report(&both, problem::CONTRADICTION, "`at` and `cron` exclude each other", "keep one of them");
            None
        }
        (None, None) => {
            let help = "write `at: 2026-03-02T08:00:00Z`, or `cron: \"50 7 * * SAT\"` with `timezone`";
            reader.report(field, problem::MISSING_FIELD, "neither `at` nor `cron` says when it begins", help);
            None
        }
    };
    Some(Window { begins: begins?, duration: duration? })
}

fn at_time(reader: &mut Reader, field: &Field<'_>) -> Option<Begins> {
    let parse = |text: &str| text.parse::<Timestamp>().map_err(|_| "a moment: `2026-03-02T08:00:00Z`".to_owned());
    let text = reader.checked(field, |text| parse(text).map(drop))?;
    parse(&text).ok().map(Begins::At)
}

fn crontab(reader: &mut Reader, object: &Object<'_>, field: &Field<'_>) -> Option<Begins> {
    let zone = reader.or(object, "timezone", "UTC".to_owned(), |reader, field| {
        reader.checked(field, |text| {
            let known = jiff::tz::TimeZone::get(text).is_ok() && !text.contains(char::is_whitespace);
            if known { Ok(()) } else { Err("a time zone of the IANA database, such as `Europe/Berlin`".to_owned()) }
        })
    });
    let zone = zone?;
    let cron = reader.checked(field, |text| {
        let fields = text.split_ascii_whitespace().count();
        if fields != 5 {
            return Err(format!("five fields (minute, hour, day, month, weekday), not {fields}"));
        }
        calendar::parse(&format!("{text} {zone}")).map(drop)
    })?;
    Some(Begins::Cron(format!("{cron} {zone}")))
}
