//! Functions, their concurrency, their tags, the account.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Book, account, quick, with};

const INVALID: &str = "InvalidParameterValueException";
const MISSING: &str = "ResourceNotFoundException";
const CONFLICT: &str = "ResourceConflictException";

pub fn script(book: &mut Book) {
    account(book, quick());
    create(book);
    refuse_to_create(book);
    names(book);
    update(book);
    code(book);
    list(book);
    concurrency(book);
    tags(book);
    delete(book);
}

/// A zip with one empty file, whose directory says it has so many bytes.
fn zip(bytes: u32) -> String {
    let mut zip = b"PK\x01\x02".to_vec();
    zip.resize(46, 0);
    zip[24..28].copy_from_slice(&bytes.to_le_bytes());
    zip[28] = 1;
    zip.push(b'a');
    let directory = zip.len() as u32;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(directory.to_le_bytes());
    zip.extend([0; 6]);
    BASE64_STANDARD.encode(zip)
}

fn request(name: &str, more: Value) -> Value {
    let base = json!({
        "FunctionName": name, "Role": "arn:aws:iam::123456789012:role/r", "Runtime": "nodejs22.x",
        "Handler": "index.handler", "Code": {"ZipFile": zip(10)},
    });
    with(base, more)
}

fn named(name: &str) -> Value {
    json!({ "FunctionName": name })
}

fn create(book: &mut Book) {
    let tags = json!({"Tags": {"team": "a"}});
    let created = book.ok("lambda:CreateFunction", request("new", tags));
    assert_eq!((&created["Timeout"], &created["MemorySize"]), (&json!(3), &json!(128)));
    assert_eq!(created["CodeSize"], 69);
    assert_eq!(created["CodeSha256"].as_str().unwrap().len(), 44);
    assert_eq!(created["FunctionArn"], "arn:aws:lambda:us-east-2:123456789012:function:new");
    assert_eq!(created["State"], "Pending");
    let refused = book.refused("lambda:DeleteFunction", named("new"), CONFLICT);
    assert!(refused.message.contains("Pending"), "{}", refused.message);
    book.wait(10.0);
    let function = book.ok("lambda:GetFunction", named("new"));
    assert_eq!(function["Configuration"]["State"], "Active");
    assert_eq!(function["Tags"]["team"], "a");
    assert!(function["Code"]["Location"].is_string());
    let refused = book.refused("lambda:CreateFunction", request("new", json!({})), CONFLICT);
    assert_eq!((refused.status, refused.message.as_str()), (409, "Function already exist: new"));
    book.ok("lambda:CreateFunction", request("stored", json!({"Code": {"S3Bucket": "b", "S3Key": "k"}})));
    let image = json!({"FunctionName": "image", "Role": "arn:aws:iam::123456789012:role/r", "PackageType": "Image",
        "Code": {"ImageUri": "123456789012.dkr.ecr.us-east-2.amazonaws.com/i:1"}});
    assert_eq!(book.ok("lambda:CreateFunction", image)["PackageType"], "Image");
    book.wait(10.0);
}

fn refuse_to_create(book: &mut Book) {
    let mut refused = |more: Value| book.refused("lambda:CreateFunction", request("other", more), INVALID).message;
    assert!(refused(json!({"Code": {"ZipFile": BASE64_STANDARD.encode("no zip")}})).contains("unzip"));
    assert!(refused(json!({"Code": {"ZipFile": zip(300_000_000)}})).contains("262144000"));
    assert!(refused(json!({"Code": {}})).contains("source for function code"));
    assert!(refused(json!({"Code": {"S3Bucket": "b", "S3Key": "k", "ImageUri": "i"}})).contains("only one"));
    book.shows("lambda.function.code");
    let mut refused = |more: Value| book.refused("lambda:CreateFunction", request("other", more), INVALID).message;
    assert!(refused(json!({"Runtime": "cobol1"})).contains("cobol1"));
    assert!(refused(json!({"Runtime": null})).contains("mandatory"));
    assert!(refused(json!({"Environment": {"Variables": {"KEY": "x".repeat(4_094)}}})).contains("4KB"));
    book.shows("lambda.function.environment");
    book.refused("lambda:CreateFunction", request("other", json!({"Tags": {"aws:x": "1"}})), INVALID);
    book.refused("lambda:CreateFunction", request("no spaces", json!({})), "ValidationException");
    book.refused("lambda:CreateFunction", request("other", json!({"Role": "r"})), "ValidationException");
    for (member, low, high, rule) in [("Timeout", 0, 901, "timeout"), ("MemorySize", 127, 10_241, "memory")] {
        for value in [low, high] {
            book.refused("lambda:CreateFunction", request("other", json!({member: value})), "ValidationException");
        }
        let name = format!("with-{rule}");
        book.ok("lambda:CreateFunction", request(&name, json!({member: high - 1})));
        book.shows(&format!("lambda.function.{rule}"));
    }
    for size in [511, 10_241] {
        let storage = json!({"EphemeralStorage": {"Size": size}});
        book.refused("lambda:CreateFunction", request("other", storage), "ValidationException");
    }
    let created = book.ok("lambda:CreateFunction", request("big", json!({"EphemeralStorage": {"Size": 10_240}})));
    assert_eq!(created["EphemeralStorage"]["Size"], 10_240);
    book.shows("lambda.function.storage");
    let signing = json!({"CodeSigningConfigArn": "arn:aws:lambda:us-east-2:123456789012:code-signing-config:csc-1"});
    book.refused("lambda:CreateFunction", request("other", signing), "CodeSigningConfigNotFoundException");
    book.twin.assumptions_mut().code_storage_bytes = 10;
    book.refused("lambda:CreateFunction", request("other", json!({})), "CodeStorageExceededException");
    let code = json!({"FunctionName": "image", "ImageUri": "i"});
    book.refused("lambda:UpdateFunctionCode", code, "CodeStorageExceededException");
    book.shows("lambda.function.storage-limit");
    book.twin.assumptions_mut().code_storage_bytes = 80_530_636_800;
    book.wait(10.0);
}

fn names(book: &mut Book) {
    let full = "arn:aws:lambda:us-east-2:123456789012:function:f";
    for given in ["f", "123456789012:function:f", full] {
        assert_eq!(book.ok("lambda:GetFunctionConfiguration", named(given))["FunctionArn"], full);
        let alias = book.ok("lambda:GetFunctionConfiguration", named(&format!("{given}:live")));
        assert_eq!(alias["FunctionArn"], format!("{full}:live"));
    }
    let both = json!({"FunctionName": "f:live", "Qualifier": "$LATEST"});
    for operation in ["GetFunction", "GetFunctionConfiguration"] {
        let operation = format!("lambda:{operation}");
        book.refused(&operation, both.clone(), INVALID);
        for absent in
            ["none", "f:dead", "f:7", "arn:aws:lambda:eu-west-1:123456789012:function:f", "000000000000:function:f"]
        {
            assert_eq!(book.refused(&operation, named(absent), MISSING).status, 404);
        }
        book.refused(&operation, named("a b"), "ValidationException");
    }
}

fn update(book: &mut Book) {
    let operation = "lambda:UpdateFunctionConfiguration";
    let before = book.ok("lambda:GetFunctionConfiguration", named("f"));
    let change = json!({"FunctionName": "f", "Timeout": 60, "MemorySize": 512, "Description": "d",
        "Environment": {"Variables": {"KEY": "v"}}, "RevisionId": before["RevisionId"]});
    let changed = book.ok(operation, change);
    assert_eq!((&changed["LastUpdateStatus"], &changed["Timeout"]), (&json!("InProgress"), &json!(60)));
    let refused = book.refused(operation, json!({"FunctionName": "f", "Timeout": 61}), CONFLICT);
    assert!(refused.message.contains("An update is in progress for resource"), "{}", refused.message);
    book.refused("lambda:UpdateFunctionCode", json!({"FunctionName": "f", "ZipFile": zip(1)}), CONFLICT);
    let reserve = json!({"FunctionName": "f", "ReservedConcurrentExecutions": 5});
    book.refused("lambda:PutFunctionConcurrency", reserve, CONFLICT);
    book.refused("lambda:DeleteFunctionConcurrency", named("f"), CONFLICT);
    book.shows("lambda.function.conflict");
    book.wait(10.0);
    let after = book.ok("lambda:GetFunctionConfiguration", named("f"));
    assert_eq!((&after["State"], &after["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_eq!((&after["MemorySize"], &after["Environment"]["Variables"]["KEY"]), (&json!(512), &json!("v")));
    book.shows("lambda.function.states");
    let stale = json!({"FunctionName": "f", "Timeout": 1, "RevisionId": before["RevisionId"]});
    assert_eq!(book.refused(operation, stale, "PreconditionFailedException").status, 412);
    book.shows("lambda.function.revision");
    book.refused(operation, json!({"FunctionName": "f", "Timeout": 901}), "ValidationException");
    book.refused(operation, json!({"FunctionName": "f:live", "Timeout": 9}), INVALID);
    book.refused(operation, json!({"FunctionName": "f", "Runtime": "cobol1"}), INVALID);
    book.refused(operation, named("none"), MISSING);
}

fn code(book: &mut Book) {
    let operation = "lambda:UpdateFunctionCode";
    let before = book.ok("lambda:GetFunctionConfiguration", named("f"));
    let preview = book.ok(operation, json!({"FunctionName": "f", "ZipFile": zip(2), "DryRun": true}));
    assert_ne!(preview["CodeSha256"], before["CodeSha256"]);
    assert_eq!(book.ok("lambda:GetFunctionConfiguration", named("f"))["CodeSha256"], before["CodeSha256"]);
    let changed = book.ok(operation, json!({"FunctionName": "f", "ZipFile": zip(2)}));
    assert_eq!((&changed["CodeSha256"], &changed["CodeSize"]), (&preview["CodeSha256"], &json!(69)));
    assert_ne!(changed["RevisionId"], before["RevisionId"]);
    book.wait(10.0);
    let stale = json!({"FunctionName": "f", "ZipFile": zip(3), "RevisionId": before["RevisionId"]});
    book.refused(operation, stale, "PreconditionFailedException");
    book.refused(operation, named("f"), INVALID);
    book.refused(operation, json!({"FunctionName": "none", "ZipFile": zip(1)}), MISSING);
}

fn list(book: &mut Book) {
    for index in 0..51 {
        book.ok("lambda:CreateFunction", request(&format!("many-{index:02}"), json!({})));
    }
    let all = book.ok("lambda:ListFunctions", json!({}));
    assert_eq!(all["Functions"].as_array().unwrap().len(), 50);
    let rest = book.ok("lambda:ListFunctions", json!({"Marker": all["NextMarker"]}));
    assert!(rest["NextMarker"].is_null() && rest["Functions"].as_array().unwrap().len() == 8);
    let two = book.ok("lambda:ListFunctions", json!({"MaxItems": 2}));
    assert_eq!(two["Functions"][1]["FunctionName"], two["NextMarker"]);
    book.refused("lambda:ListFunctions", json!({"Marker": "a b"}), INVALID);
    book.refused("lambda:ListFunctions", json!({"MaxItems": 0}), "ValidationException");
    book.wait(10.0);
}

fn concurrency(book: &mut Book) {
    let limits = book.ok("lambda:GetAccountSettings", json!({}));
    assert_eq!(limits["AccountLimit"]["ConcurrentExecutions"], 1_000);
    book.shows("lambda.concurrency.account");
    let put = |name: &str, value: i64| json!({"FunctionName": name, "ReservedConcurrentExecutions": value});
    assert!(book.ok("lambda:GetFunctionConcurrency", named("f")).get("ReservedConcurrentExecutions").is_none());
    let refused = book.refused("lambda:PutFunctionConcurrency", put("f", 901), INVALID);
    assert!(refused.message.contains("minimum value of [100]"), "{}", refused.message);
    book.ok("lambda:PutFunctionConcurrency", put("f", 900));
    book.refused("lambda:PutFunctionConcurrency", put("new", 1), INVALID);
    book.shows("lambda.concurrency.minimum");
    assert_eq!(book.ok("lambda:GetFunctionConcurrency", named("f"))["ReservedConcurrentExecutions"], 900);
    let shown = book.ok("lambda:GetFunction", named("f"));
    assert_eq!(shown["Concurrency"]["ReservedConcurrentExecutions"], 900);
    let hidden = book.ok("lambda:GetFunctionConfiguration", named("f"));
    assert!(!hidden.to_string().contains("Reserved"));
    book.shows("lambda.concurrency.shown");
    let settings = book.ok("lambda:GetAccountSettings", json!({}));
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 100);
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 58);
    assert!(settings["AccountUsage"]["TotalCodeSize"].as_u64().unwrap() > 0);
    book.shows("lambda.concurrency.settings");
    book.refused("lambda:PutFunctionConcurrency", named("f"), INVALID);
    book.refused("lambda:PutFunctionConcurrency", put("none", 1), MISSING);
    for operation in ["lambda:GetFunctionConcurrency", "lambda:DeleteFunctionConcurrency"] {
        book.refused(operation, named("none"), MISSING);
        book.refused(operation, named("f:live"), INVALID);
    }
    book.ok("lambda:DeleteFunctionConcurrency", named("f"));
    assert!(book.ok("lambda:GetFunction", named("f")).get("Concurrency").is_none());
}

fn tags(book: &mut Book) {
    let arn = "arn:aws:lambda:us-east-2:123456789012:function:f";
    let tag = |arn: &str, tags: Value| json!({"Resource": arn, "Tags": tags});
    let untag = |arn: &str| json!({"Resource": arn, "TagKeys": ["a"]});
    book.ok("lambda:TagResource", tag(arn, json!({"a": "1", "b": "2"})));
    assert_eq!(book.ok("lambda:ListTags", json!({"Resource": arn}))["Tags"], json!({"a": "1", "b": "2"}));
    book.ok("lambda:UntagResource", untag(arn));
    assert_eq!(book.ok("lambda:ListTags", json!({"Resource": arn}))["Tags"], json!({"b": "2"}));
    let many: serde_json::Map<String, Value> = (0..51).map(|index| (format!("k{index}"), json!("v"))).collect();
    for wrong in
        [json!({}), json!({"aws:a": "1"}), json!({"k": "v".repeat(257)}), json!({"k".repeat(129): ""}), json!(many)]
    {
        book.refused("lambda:TagResource", tag(arn, wrong), INVALID);
    }
    book.refused("lambda:UntagResource", json!({"Resource": arn}), INVALID);
    let alias = format!("{arn}:live");
    book.refused("lambda:ListTags", json!({ "Resource": alias }), INVALID);
    let absent = format!("{arn}x");
    book.refused("lambda:TagResource", tag(&absent, json!({"a": "1"})), MISSING);
    book.refused("lambda:UntagResource", untag(&absent), MISSING);
    book.refused("lambda:ListTags", json!({ "Resource": absent }), MISSING);
}

fn delete(book: &mut Book) {
    book.refused("lambda:DeleteFunction", named("f:live"), INVALID);
    book.ok("lambda:DeleteFunction", named("f"));
    book.refused("lambda:DeleteFunction", named("f"), MISSING);
    book.refused("lambda:GetFunction", named("f"), MISSING);
    book.ok("lambda:CreateFunction", request("f", json!({})));
}
