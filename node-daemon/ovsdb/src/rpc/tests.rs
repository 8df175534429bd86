use super::*;
use crate::error::ErrorCode;

fn parse(text: &str) -> Message {
    Message::parse(text.as_bytes()).unwrap()
}

fn refusal(text: &str) -> Refusal {
    match parse(text) {
        Message::Reply {
            outcome: Err(refusal),
            ..
        } => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_with_a_null_error_is_a_success() {
    let reply = parse(r#"{"id":1,"result":{"a":1},"error":null}"#);
    assert_eq!(
        reply,
        Message::Reply {
            id: Id::Num(1),
            outcome: Ok(json!({"a": 1}))
        }
    );
}

#[test]
fn ovsdb_servers_unknown_method_is_recognised() {
    // ovsdb-server 3.1 writes this for a method that it does not have.
    assert!(refusal(r#"{"id":1,"error":"unknown method"}"#).is_unknown_method());
    assert!(refusal(r#"{"id":1,"result":null,"error":{"error":"unknown method"}}"#).is_unknown_method());
    assert!(refusal(r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#).is_unknown_method());
    assert!(!refusal(r#"{"id":1,"error":"canceled"}"#).is_unknown_method());
}

#[test]
fn an_error_of_any_form_is_kept() {
    let unknown = refusal(r#"{"id":2,"error":{"details":"no X","error":"unknown database"}}"#).into_ovsdb();
    assert_eq!(
        (unknown.code, unknown.details.as_str()),
        (ErrorCode::UnknownDatabase, "no X")
    );
    assert_eq!(refusal(r#"{"id":2,"error":[1]}"#), Refusal::Other(json!([1])));
    assert_eq!(
        refusal(r#"{"id":2,"error":[1]}"#).into_ovsdb().code,
        ErrorCode::Unknown("[1]".into())
    );
}

#[test]
fn a_request_has_an_id_and_a_notification_has_none() {
    let echo = Message::Request {
        method: "echo".into(),
        params: Params::Array(vec![]),
        id: Id::Str("echo".into()),
    };
    assert_eq!(parse(r#"{"method":"echo","params":[],"id":"echo"}"#), echo);
    let update = Message::Notification {
        method: "update".into(),
        params: Params::Array(vec![json!(1)]),
    };
    assert_eq!(parse(r#"{"method":"update","params":[1],"id":null}"#), update);
    assert_eq!(parse(r#"{"method":"update","params":[1]}"#), update);
}

#[test]
fn what_is_written_is_json_rpc_1_0() {
    let request = request("transact", Params::Array(vec![json!("db")]), &Id::Num(3));
    assert_eq!(
        String::from_utf8(request).unwrap(),
        r#"{"method":"transact","params":["db"],"id":3}"#
    );
    let cancel = notification("cancel", Params::Array(vec![json!(3)]));
    assert_eq!(
        String::from_utf8(cancel).unwrap(),
        r#"{"method":"cancel","params":[3],"id":null}"#
    );
    let good = reply(&Id::Str("echo".into()), Ok(json!([])));
    assert_eq!(
        String::from_utf8(good).unwrap(),
        r#"{"result":[],"error":null,"id":"echo"}"#
    );
    let bad = reply(&Id::Num(1), Err(json!("unknown method")));
    assert_eq!(
        String::from_utf8(bad).unwrap(),
        r#"{"result":null,"error":"unknown method","id":1}"#
    );
}

#[test]
fn what_is_no_message_is_an_error() {
    for text in [
        "{",
        "{}x",
        r#"{"method":1}"#,
        r#"{"method":"x","params":7}"#,
        r#"{"id":[1]}"#,
        "{\"a\":\"\u{0}\"}",
    ] {
        assert!(Message::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(Message::parse(b"{\"method\":\"\xff\"}").is_err());
    let deep = format!("{{\"params\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Message::parse(deep.as_bytes()).is_err());
}
