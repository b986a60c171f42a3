//! Every error that an operation's model declares can be made to reach the client by a fault in the world file.

use alleycat_operator::twin::{
    Twin, World,
    world::{FaultEffect, FaultRule},
};
use serde_json::json;

use super::{
    Book, Outcome, Rule,
    book::{answer, request},
    model, report,
};

/// Faults are ours, not AWS's: no rules of AWS are shown here.
pub const RULES: &[Rule] = &[];

pub fn script(book: &mut Book) {
    book.account(World::alleycat().with_races(0));
    // A state without a history: each cell is asked of its own copy.
    let bytes = book.twin.to_bytes().unwrap();
    let input = json!({"FunctionName": "f", "UUID": "u", "Resource": "arn:aws:lambda:us-east-2:1:function:f"});
    for (operation, errors) in model::operations() {
        for error in errors {
            let code = report::code(&error);
            book.twin = Twin::from_bytes(&bytes).unwrap();
            book.twin.add_fault(FaultRule { calls: vec![2], ..FaultRule::of(&operation, FaultEffect::error(&code)) });
            let request = request(&operation, &input);
            let mut send = || answer(&book.twin.serve(book.now, &request).unwrap());
            let usual = send();
            let refused = send().unwrap_err();
            assert_eq!(refused.code, code, "{operation}: {refused:?}");
            assert!(!refused.message.is_empty(), "{operation} {code}: {refused:?}");
            let side = if code.contains("Internal") || code == "ServiceException" { 5 } else { 4 };
            assert_eq!(refused.status / 100, side, "{operation} {code}: {refused:?}");
            assert_eq!(send(), usual, "{operation}: the fault is over");
            book.seen.insert((operation.clone(), Outcome::ByFault(code)));
        }
    }
}
