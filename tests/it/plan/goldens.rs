//! What a person reads.

use alleycat_operator::{
    cli::render::plan::{Summary, document, header, summary, text},
    model::{Hours, ShardCount},
    plan::Plan,
    spec::{AdoptionPolicy, DeletionPolicy},
};

use super::world::{Setup, shards};

/// The text, once it is known to be narrow enough, and to say the same in colour and in JSON.
fn read(plan: &Plan) -> String {
    let plain = text(plan, false);
    for line in plain.lines() {
        assert!(line.chars().count() <= 80 || line.split_whitespace().count() == 1, "too wide: {line}");
    }
    assert_eq!(anstream::adapter::strip_str(&text(plan, true)).to_string(), plain);
    assert_eq!(counted(&plain), summary(plan));
    let json = serde_json::to_value(document(plan)).unwrap();
    assert_eq!(json["summary"], serde_json::to_value(summary(plan)).unwrap());
    assert_eq!(json["changes"].as_array().unwrap().len(), plan.changes.len());
    let again: Plan = serde_json::from_value(json).unwrap();
    assert_eq!(again, *plan);
    plain
}

/// The counts as a reader of the text finds them: of entries, and of the first line.
fn counted(text: &str) -> Summary {
    let entries = |word: &str| {
        let starts = |line: &&str| {
            let mut words = line.split_whitespace().filter(|word| *word != "!");
            line.starts_with([' ', '!']) && !line.starts_with("   ") && words.nth(1) == Some(word)
        };
        text.lines().filter(starts).count()
    };
    let unchanged = text
        .lines()
        .next()
        .and_then(|line| line.split(", ").find_map(|part| part.trim_end_matches('.').strip_suffix(" unchanged")))
        .and_then(|count| count.rsplit(' ').next()?.parse().ok());
    let counts = Summary {
        create: entries("create"),
        update: entries("update"),
        scale: entries("scale"),
        adopt: entries("adopt"),
        replace: entries("replace"),
        delete: entries("delete"),
        refused: entries("refused"),
        waiting: entries("waits"),
        retained: entries("keep"),
        unchanged: unchanged.unwrap_or(if text.starts_with("No changes.") { 4 } else { 0 }),
    };
    for (count, word) in [(counts.create, "to create"), (counts.refused, "refused"), (counts.delete, "to delete")] {
        assert_eq!(count > 0, text.lines().next().unwrap().contains(&format!("{count} {word}")), "{word}");
    }
    counts
}

#[test]
fn an_empty_account() {
    let plan = Setup::default().plan();
    insta::assert_snapshot!(read(&plan));
    let line = header(&plan, "user/deployer", Some("http://127.0.0.1:4566"));
    insta::assert_snapshot!(line, @"account 123456789012  region us-east-2  identity user/deployer  endpoint http://127.0.0.1:4566  observed 2025-06-01 10:30:00Z");
}

#[test]
fn nothing_to_do_is_one_line() {
    insta::assert_snapshot!(read(&Setup::applied().plan()), @"No changes. alleycat is as the spec says.");
}

#[test]
fn a_stream_of_somebody_else() {
    let mut setup = Setup::applied();
    setup.stream().tags.clear();
    insta::assert_snapshot!(read(&setup.plan()));
    setup.stream().tags.insert("alleycat.dev/pipeline".to_owned(), "clickstream".to_owned());
    setup.pipeline.stream.adoption_policy = AdoptionPolicy::Adopt;
    insta::assert_snapshot!(read(&setup.plan()));
}

#[test]
fn bounds_raised_above_the_live_count() {
    let mut setup = Setup::applied();
    setup.stream().open_shards = ShardCount(2);
    setup.pipeline.stream.shards = shards(16, 32);
    setup.ledger_used = 1;
    insta::assert_snapshot!(read(&setup.plan()));
}

#[test]
fn retention_lowered_is_called_what_it_is() {
    let mut setup = Setup::applied();
    setup.stream().retention = Hours(400);
    insta::assert_snapshot!(read(&setup.plan()));
}

#[test]
fn adopting_what_exists() {
    let mut setup = Setup::applied();
    setup.stream().tags.clear();
    setup.table().tags.clear();
    setup.table().point_in_time_recovery = false;
    for mapping in &mut setup.facts.mappings {
        mapping.tags.clear();
    }
    setup.pipeline.stream.adoption_policy = AdoptionPolicy::Adopt;
    setup.pipeline.tables[0].adoption_policy = AdoptionPolicy::Adopt;
    insta::assert_snapshot!(read(&setup.plan()));
}

#[test]
fn destroy_retains_what_holds_data() {
    insta::assert_snapshot!(read(&Setup::applied().destroy(Some("alleycat"))));
}

#[test]
fn destroy_deletes_what_is_confirmed() {
    let mut setup = Setup::applied();
    setup.pipeline.stream.deletion_policy = DeletionPolicy::Delete;
    setup.pipeline.tables[0].deletion_policy = DeletionPolicy::Delete;
    insta::assert_snapshot!("unconfirmed", read(&setup.destroy(None)));
    insta::assert_snapshot!("confirmed", read(&setup.destroy(Some("alleycat"))));
}
