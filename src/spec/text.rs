//! The small languages inside the spec's strings: durations, names, ARNs, keys, regions.
//!
//! Each parser is total: any text gives a value or says what would be right.

use jiff::SignedDuration;

use super::pipeline::KeyAttribute;

/// A whole number with one unit `s`, `m`, `h` or `d`; never negative.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let digits = text.get(..text.len() - unit.len_utf8())?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(seconds).map(SignedDuration::from_secs)
}

/// Seconds as the spec would write them.
pub(super) fn spell(seconds: i64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        s if s % 86_400 == 0 && s > 86_400 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// Letters, digits and `extra`, `shortest` to `longest` of them.
pub(super) fn name(text: &str, extra: &str, shortest: usize, longest: usize) -> Result<(), String> {
    let fits = (shortest..=longest).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.as_bytes().contains(&byte)) {
        return Ok(());
    }
    let listed: Vec<String> = extra.chars().map(|c| format!("`{c}`")).collect();
    Err(format!("{shortest} to {longest} letters, digits, {}", listed.join(", ")))
}

/// A name that is also a tag value and a Kubernetes name: lower case letters, digits and inner hyphens.
pub(super) fn pipeline_name(text: &str) -> Result<(), String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-') {
        return Ok(());
    }
    Err("1 to 63 lower case letters, digits and `-`, not at an end".to_owned())
}

/// A region such as `us-east-2` or `us-gov-west-1`.
pub(super) fn region(text: &str) -> Result<(), String> {
    let mut parts: Vec<&str> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let words = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let digits = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    if words && digits && (2..=4).contains(&parts.len()) && text.len() <= 32 {
        return Ok(());
    }
    Err("a region looks like `us-east-2`".to_owned())
}

/// An AWS account id.
pub(super) fn account(text: &str) -> Result<(), String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err("an account id has 12 digits, in quotes: \"123456789012\"".to_owned())
}

/// A function as written, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FunctionReference {
    pub name: String,
    pub alias: Option<String>,
    pub account: Option<String>,
    pub region: Option<String>,
}

/// `NAME[:ALIAS]`, `ACCOUNT:function:NAME[:ALIAS]` or a function ARN (Lambda API, FunctionName).
pub(super) fn function(text: &str) -> Result<FunctionReference, String> {
    let wrong = || "a function name, `NAME:ALIAS`, or a function ARN".to_owned();
    let parts: Vec<&str> = text.split(':').collect();
    let (region_part, account_part, rest) = match parts.as_slice() {
        ["arn", partition, "lambda", place, owner, "function", rest @ ..] if is_partition(partition) => {
            (Some(*place), Some(*owner), rest)
        }
        [owner, "function", rest @ ..] if account(owner).is_ok() => (None, Some(*owner), rest),
        rest => (None, None, rest),
    };
    let (function, alias) = match rest {
        [function] => (*function, None),
        [function, alias] => (*function, Some(*alias)),
        _ => return Err(wrong()),
    };
    name(function, "-_", 1, 64)?;
    if let Some(alias) = alias {
        name(alias, "-_$", 1, 128)?;
    }
    region_part.map_or(Ok(()), region)?;
    account_part.map_or(Ok(()), account)?;
    Ok(FunctionReference {
        name: function.to_owned(),
        alias: alias.map(str::to_owned),
        account: account_part.map(str::to_owned),
        region: region_part.map(str::to_owned),
    })
}

fn is_partition(text: &str) -> bool {
    text == "aws" || text.strip_prefix("aws-").is_some_and(|rest| name(rest, "-", 1, 20).is_ok())
}

/// The destination of failed batches: a standard SQS queue, a standard SNS topic or an S3 bucket
/// (Lambda developer guide, "Retaining discarded records": FIFO is not supported).
pub(super) fn on_failure(text: &str) -> Result<(), String> {
    let wrong = || {
        "the ARN of an SQS queue, an SNS topic or an S3 bucket, e.g. arn:aws:sqs:us-east-2:123456789012:failed"
            .to_owned()
    };
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", partition, service, place, owner, target] = parts.as_slice() else { return Err(wrong()) };
    if !is_partition(partition) {
        return Err(wrong());
    }
    // AWS: a FIFO queue or topic is one whose name ends so, in lower case.
    if target.strip_suffix(".fifo").is_some() {
        return Err("FIFO queues and topics are not accepted by Lambda here: use a standard one".to_owned());
    }
    let valid = match *service {
        "sqs" | "sns" => region(place).is_ok() && account(owner).is_ok() && name(target, "-_", 1, 256).is_ok(),
        "s3" => place.is_empty() && owner.is_empty() && name(target, "-.", 3, 63).is_ok(),
        _ => false,
    };
    if valid { Ok(()) } else { Err(wrong()) }
}

/// A key attribute, `NAME:TYPE`. The name may hold colons itself; 1–255 bytes (DynamoDB, naming rules).
pub(super) fn key(text: &str) -> Result<KeyAttribute, String> {
    match text.rsplit_once(':') {
        Some((name, kind @ ("S" | "N" | "B"))) if (1..=255).contains(&name.len()) => {
            Ok(KeyAttribute { name: name.to_owned(), kind: kind.to_owned() })
        }
        _ => Err("`NAME:TYPE` with type S (text), N (number) or B (bytes), e.g. `PK:S`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_never_overflow() {
        assert_eq!(duration("90s"), Some(SignedDuration::from_secs(90)));
        assert_eq!(duration("24h"), Some(SignedDuration::from_hours(24)));
        assert_eq!(duration("7d"), Some(SignedDuration::from_hours(168)));
        for wrong in ["", "s", "90", "-1s", "+1s", "1.5h", "1 h", "1w", "9223372036854775807h", "１s", "1h30m", "é"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn functions_by_name_alias_and_arn() {
        let full = function("arn:aws:lambda:us-east-2:123456789012:function:score:live").unwrap();
        assert_eq!((full.name.as_str(), full.alias.as_deref()), ("score", Some("live")));
        assert_eq!((full.account.as_deref(), full.region.as_deref()), (Some("123456789012"), Some("us-east-2")));
        assert_eq!(function("score:live").unwrap().alias.as_deref(), Some("live"));
        assert_eq!(function("123456789012:function:score").unwrap().account.as_deref(), Some("123456789012"));
        for wrong in
            ["", "a b", "a:b:c", "arn:aws:s3:::bucket", "arn:aws:lambda:us-east-2:12:function:x", "arn:aws:lambda"]
        {
            assert!(function(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn regions_and_destinations() {
        for right in ["us-east-2", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1", "ap-southeast-5"] {
            assert!(region(right).is_ok(), "{right}");
        }
        for wrong in ["", "us-east", "US-EAST-2", "us-east-2a", "us--2", "useast2", "https://x"] {
            assert!(region(wrong).is_err(), "{wrong}");
        }
        assert!(on_failure("arn:aws:sqs:us-east-2:123456789012:failed").is_ok());
        assert!(on_failure("arn:aws:s3:::failed-batches").is_ok());
        assert!(on_failure("arn:aws:sqs:us-east-2:123456789012:failed.fifo").unwrap_err().contains("FIFO"));
        assert!(on_failure("arn:aws:lambda:us-east-2:123456789012:function").is_err());
    }
}
