//! STS: who is calling.

use alleycat_operator::twin::World;
use serde_json::json;

use super::{Book, Rule};

pub const RULES: &[Rule] = &[Rule {
    id: "sts.identity.account",
    says: "GetCallerIdentity gives the account, the ARN and the id of whoever signed the call",
    source: "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html",
}];

pub fn script(book: &mut Book) {
    book.account(World::alleycat().with_races(0));
    let answer = book.ok("sts:GetCallerIdentity", json!({}));
    let text = answer.as_str().unwrap();
    assert!(text.contains("<Account>123456789012</Account>"), "{text}");
    assert!(text.contains("<Arn>arn:aws:iam::123456789012:user/") && text.contains("<UserId>AIDA"), "{text}");
    book.shows("sts.identity.account");
}
