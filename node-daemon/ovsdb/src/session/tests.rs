//! Sessions by script: what the server sends, what the client must send, how
//! time passes, what must be seen.

use super::*;
use crate::{
    error::{ErrorCode, FailedAt},
    schema::tests::sample,
    value::{Datum, tests::json_values},
};
use proptest::prelude::*;
use std::collections::VecDeque;

const SECOND: Duration = Duration::from_secs(1);

/// The server's and the clock's side of a session.
struct Script {
    session: Session,
    now: Instant,
    heard: Splitter,
    inbox: VecDeque<Value>,
}

fn uuid(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

/// One row of table Thing with this name.
fn named(kind: &str, number: u128, name: &str) -> Value {
    json!({"Thing": {uuid(number): {kind: {"name": name}}}})
}

fn monitor() -> Monitor {
    Monitor::new()
        .table("Thing", ["name", "absent"])
        .whole_table("Part")
        .table("Absent", ["name"])
}

impl Script {
    fn new() -> Script {
        let now = Instant::now();
        let session = Session::new("Sample", monitor(), Limits::default(), now);
        Script {
            session,
            now,
            heard: Splitter::new(Splitter::DEFAULT_LIMIT),
            inbox: VecDeque::new(),
        }
    }

    /// A session in sync with one row, "one".
    fn synced() -> Script {
        let mut script = Script::new();
        script.sync(false, 7, named("initial", 1, "one"));
        script
    }

    fn connect(&mut self) {
        assert!(
            self.session.poll_dial(self.now),
            "the session wants no connection now"
        );
        self.heard = Splitter::new(Splitter::DEFAULT_LIMIT);
        self.inbox.clear();
        self.session.connected(self.now);
    }

    /// Connects and answers as a server that has `monitor_cond_since`.
    fn sync(&mut self, found: bool, transaction: u128, updates: Value) -> Value {
        self.connect();
        self.reply("get_schema", sample());
        let request = self.reply("monitor_cond_since", json!([found, uuid(transaction), updates]));
        assert_eq!(self.link(), &Link::Synced);
        request
    }

    fn send(&mut self, message: &Value) {
        self.session.received(message.to_string().as_bytes(), self.now);
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"method": method, "params": params, "id": null}));
    }

    fn update3(&mut self, transaction: u128, updates: Value) {
        self.notify("update3", json!(["monitor", uuid(transaction), updates]));
    }

    fn next(&mut self) -> Option<Value> {
        self.heard.push(&self.session.take_output());
        while let Some(message) = self.heard.next_message().unwrap() {
            self.inbox.push_back(serde_json::from_slice(&message).unwrap());
        }
        self.inbox.pop_front()
    }

    /// The client's next message must be this request.
    fn expect(&mut self, method: &str) -> Value {
        let request = self
            .next()
            .unwrap_or_else(|| panic!("nothing was sent, expected {method}"));
        assert_eq!(request["method"], method);
        request
    }

    fn expect_nothing(&mut self) {
        assert_eq!(self.next(), None);
    }

    fn reply(&mut self, method: &str, result: Value) -> Value {
        let request = self.expect(method);
        self.send(&json!({"result": result, "error": null, "id": request["id"]}));
        request
    }

    fn refuse(&mut self, method: &str, error: Value) {
        let request = self.expect(method);
        self.send(&json!({"error": error, "id": request["id"]}));
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.session.tick(self.now);
    }

    fn hang_up(&mut self) {
        self.session.failed(SessionError::Closed, self.now);
    }

    fn transact(&mut self) -> Ticket {
        self.session
            .transact(&[Operation::comment("x")], self.now + 10 * SECOND)
    }

    fn outcome(&mut self, ticket: Ticket) -> Result<Vec<OperationResult>, TransactError> {
        let (finished, outcome) = self.session.take_finished().expect("a transaction has finished");
        assert_eq!(finished, ticket);
        outcome
    }

    fn link(&self) -> &Link {
        &self.session.view().link
    }

    fn down(&self) -> (&str, u32) {
        match self.link() {
            Link::Down { error, attempts } => (error, *attempts),
            link => panic!("the link is {link:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        let rows = self.session.view().replica.rows("Thing");
        rows.map(|(_, row)| row.str("name").unwrap().to_owned()).collect()
    }

    /// How long the session wants to wait before it connects.
    fn delay(&self) -> Duration {
        self.session.deadline().unwrap() - self.now
    }
}

#[test]
fn a_session_reads_the_schema_then_monitors_what_it_has_then_is_synced() {
    let mut script = Script::new();
    assert_eq!(script.link(), &Link::Connecting);
    script.connect();
    assert_eq!(script.reply("get_schema", sample())["params"], json!(["Sample"]));
    let request = script.reply(
        "monitor_cond_since",
        json!([false, uuid(0), named("initial", 1, "one")]),
    );
    let tables = json!({"Part": [{"columns": ["mode", "owner"]}], "Thing": [{"columns": ["name"]}]});
    assert_eq!(request["params"], json!(["Sample", "monitor", tables, uuid(0)]));
    assert_eq!(
        (script.link(), script.names()),
        (&Link::Synced, vec!["one".to_owned()])
    );
    assert_eq!(script.session.view().syncs, 1);
    assert!(
        script
            .session
            .view()
            .schema
            .as_ref()
            .unwrap()
            .has_column("Thing", "flags")
    );
    script.expect_nothing();
}

#[test]
fn updates_change_the_view_and_its_version() {
    let mut script = Script::synced();
    let before = script.session.view().clone();
    script.update3(8, named("insert", 2, "two"));
    assert_eq!(script.names(), ["one", "two"]);
    script.update3(
        9,
        json!({"Thing": {uuid(1): {"delete": null}, uuid(2): {"modify": {"name": "three"}}}}),
    );
    assert_eq!(script.names(), ["three"]);
    assert_eq!(script.session.view().version, before.version + 2);
    assert_eq!(before.replica.row_count("Thing"), 1);
}

#[test]
fn a_server_without_monitor_cond_since_is_asked_with_monitor_cond() {
    let mut script = Script::new();
    script.connect();
    script.reply("get_schema", sample());
    script.refuse("monitor_cond_since", json!("unknown method"));
    let request = script.reply("monitor_cond", named("initial", 1, "one"));
    assert_eq!(request["params"].as_array().unwrap().len(), 3);
    script.notify("update2", json!(["monitor", named("modify", 1, "two")]));
    assert_eq!(
        (script.link(), script.names()),
        (&Link::Synced, vec!["two".to_owned()])
    );
}

#[test]
fn a_server_of_rfc_7047_only_is_asked_with_monitor() {
    let mut script = Script::new();
    script.connect();
    script.reply("get_schema", sample());
    script.refuse("monitor_cond_since", json!("unknown method"));
    script.refuse("monitor_cond", json!({"error": "unknown method"}));
    script.reply("monitor", named("new", 1, "one"));
    let change = json!({"old": {"name": "one"}, "new": {"name": "two"}});
    script.notify("update", json!(["monitor", {"Thing": {uuid(1): change}}]));
    assert_eq!(
        (script.link(), script.names()),
        (&Link::Synced, vec!["two".to_owned()])
    );
}

#[test]
fn a_refused_monitor_is_an_error_not_a_fallback() {
    let mut script = Script::new();
    script.connect();
    script.reply("get_schema", sample());
    script.refuse(
        "monitor_cond_since",
        json!({"error": "syntax error", "details": "no"}),
    );
    assert_eq!(script.down(), ("monitor_cond_since refused: syntax error: no", 1));
    script.expect_nothing();
}

#[test]
fn after_a_method_fell_back_a_reconnect_tries_the_newest_again() {
    let mut script = Script::new();
    script.connect();
    script.reply("get_schema", sample());
    script.refuse("monitor_cond_since", json!("unknown method"));
    script.reply("monitor_cond", json!({}));
    script.hang_up();
    script.advance(SECOND);
    assert_eq!(script.sync(false, 0, json!({}))["params"][3], uuid(0));
}

#[test]
fn updates_before_the_monitors_reply_are_applied_after_it_in_order() {
    let mut script = Script::new();
    script.connect();
    script.reply("get_schema", sample());
    script.update3(8, named("modify", 1, "two"));
    script.update3(9, named("modify", 1, "three"));
    assert_eq!(script.link(), &Link::Connecting);
    script.reply(
        "monitor_cond_since",
        json!([false, uuid(7), named("initial", 1, "one")]),
    );
    assert_eq!(script.names(), ["three"]);
    script.hang_up();
    script.advance(SECOND);
    assert_eq!(script.sync(true, 9, json!({}))["params"][3], uuid(9));
}

#[test]
fn endless_updates_before_the_monitors_reply_end_the_session() {
    let mut script = Script::new();
    script.connect();
    script.reply("get_schema", sample());
    for _ in 0..=1024 {
        script.update3(8, json!({}));
    }
    assert_eq!(script.down().0, SessionError::Flooded.to_string());
}

#[test]
fn a_found_transaction_keeps_the_rows_and_brings_only_what_changed() {
    let mut script = Script::synced();
    script.update3(8, named("insert", 2, "two"));
    script.hang_up();
    assert_eq!(script.names(), ["one", "two"]);
    script.advance(SECOND);
    let request = script.sync(true, 9, named("modify", 1, "three"));
    assert_eq!(request["params"][3], uuid(8));
    assert_eq!(
        (script.names(), script.session.view().syncs),
        (vec!["three".into(), "two".to_owned()], 1)
    );
}

#[test]
fn a_server_out_of_reach_behind_another_is_gone_on_with_where_it_was() {
    let mut script = Script::synced();
    script.update3(8, named("insert", 2, "two"));
    script.hang_up();
    script.advance(SECOND);
    script.connect();
    script.refuse(
        "get_schema",
        json!({"error": "I/O error", "details": "OVSDB cannot be reached"}),
    );
    assert_eq!(script.down().0, "connection broken: OVSDB cannot be reached");
    script.advance(2 * SECOND);
    let request = script.sync(true, 9, json!({}));
    assert_eq!(request["params"][3], uuid(8));
    assert_eq!(script.session.view().syncs, 1);
}

#[test]
fn a_transaction_that_is_not_found_purges_the_rows() {
    let mut script = Script::synced();
    script.hang_up();
    script.advance(SECOND);
    assert_eq!(
        script.sync(false, 3, named("initial", 5, "five"))["params"][3],
        uuid(7)
    );
    assert_eq!(
        (script.names(), script.session.view().syncs),
        (vec!["five".to_owned()], 2)
    );
}

#[test]
fn a_found_that_was_not_asked_for_does_not_keep_old_rows() {
    let mut script = Script::synced();
    script.update3(8, json!({"Thing": {uuid(9): {"delete": null}}}));
    script.advance(SECOND);
    assert_eq!(
        script.sync(true, 9, named("initial", 1, "new"))["params"][3],
        uuid(0)
    );
    assert_eq!(
        (script.names(), script.session.view().syncs),
        (vec!["new".to_owned()], 2)
    );
}

#[test]
fn another_schema_after_a_reconnect_reads_all_rows_anew() {
    let mut script = Script::synced();
    script.hang_up();
    script.advance(SECOND);
    script.connect();
    let mut upgraded = sample();
    upgraded["tables"]["Thing"]["columns"]["absent"] = json!({"type": "string"});
    script.reply("get_schema", upgraded);
    let request = script.expect("monitor_cond_since");
    assert_eq!(
        request["params"][2]["Thing"],
        json!([{"columns": ["absent", "name"]}])
    );
    assert_eq!(request["params"][3], uuid(0));
    assert!(
        script
            .session
            .view()
            .schema
            .as_ref()
            .unwrap()
            .has_column("Thing", "absent")
    );
}

#[test]
fn an_update_that_contradicts_the_rows_reads_all_rows_anew() {
    let mut script = Script::synced();
    script.update3(
        8,
        json!({"Thing": {uuid(1): {"modify": {"name": "half"}}, uuid(9): {"delete": null}}}),
    );
    assert!(script.down().0.contains("contradicts"), "{}", script.down().0);
    assert_eq!(script.names(), ["one"], "nothing of the bad update is seen");
    script.advance(SECOND);
    assert_eq!(script.sync(false, 8, json!({}))["params"][3], uuid(0));
    assert!(script.names().is_empty());
}

#[test]
fn the_servers_echo_request_is_answered_with_its_parameters_and_id() {
    let mut script = Script::synced();
    script.send(&json!({"method": "echo", "params": ["a", 1], "id": "echo"}));
    assert_eq!(
        script.next(),
        Some(json!({"result": ["a", 1], "error": null, "id": "echo"}))
    );
    script.send(&json!({"method": "steal", "params": [], "id": 4}));
    assert_eq!(
        script.next(),
        Some(json!({"result": null, "error": "unknown method", "id": 4}))
    );
}

#[test]
fn a_silent_server_is_probed_and_lives_on_when_it_answers() {
    let mut script = Script::synced();
    script.advance(5 * SECOND - Duration::from_millis(1));
    script.expect_nothing();
    script.advance(Duration::from_millis(1));
    script.reply("echo", json!([]));
    assert_eq!(script.delay(), 5 * SECOND);
    script.advance(5 * SECOND);
    script.reply("echo", json!([]));
    assert_eq!((script.link(), script.session.ignored()), (&Link::Synced, 0));
}

#[test]
fn a_server_that_does_not_answer_the_probe_is_given_up() {
    let mut script = Script::synced();
    script.advance(5 * SECOND);
    script.expect("echo");
    script.advance(5 * SECOND - Duration::from_millis(1));
    assert_eq!(script.link(), &Link::Synced);
    script.advance(Duration::from_millis(1));
    assert_eq!(script.down(), ("the server does not answer", 1));
    assert!(!script.session.is_online());
}

#[test]
fn a_long_request_that_is_still_being_sent_is_not_taken_for_silence() {
    let mut script = Script::synced();
    for _ in 0..10 {
        script.advance(4 * SECOND);
        script.session.sent(script.now);
    }
    script.expect_nothing();
    script.advance(5 * SECOND);
    script.expect("echo");
    script.session.sent(script.now);
    script.advance(5 * SECOND);
    assert_eq!(script.down().0, "the server does not answer");
}

#[test]
fn a_server_that_never_answers_the_first_request_is_given_up_too() {
    let mut script = Script::new();
    script.connect();
    script.advance(5 * SECOND);
    script.advance(5 * SECOND);
    assert_eq!(script.down(), ("the server does not answer", 1));
}

#[test]
fn waits_between_attempts_double_up_to_a_second_and_the_reason_is_kept() {
    let mut script = Script::new();
    let mut delays = Vec::new();
    for attempt in 1..=7 {
        assert!(script.session.poll_dial(script.now));
        let reason = SessionError::Connect {
            endpoint: "unix:/x".into(),
            reason: "no such file".into(),
        };
        script.session.failed(reason, script.now);
        assert_eq!(
            script.down(),
            ("cannot connect to unix:/x: no such file", attempt)
        );
        delays.push(script.delay().as_millis());
        assert!(!script.session.poll_dial(script.now));
        script.now = script.session.deadline().unwrap();
    }
    assert_eq!(delays, [50, 100, 200, 400, 800, 1000, 1000]);
}

#[test]
fn a_session_that_lasted_starts_again_with_the_shortest_wait() {
    let mut script = Script::synced();
    script.advance(SECOND);
    script.hang_up();
    assert_eq!((script.delay().as_millis(), script.down().1), (50, 1));
}

#[test]
fn a_server_that_breaks_every_session_at_once_is_not_asked_at_full_speed() {
    let mut script = Script::new();
    for delay in [50, 100, 200] {
        script.sync(false, 0, json!({}));
        script.hang_up();
        assert_eq!(script.delay().as_millis(), delay);
        script.now += script.delay();
    }
}

#[test]
fn an_unknown_database_is_named_and_asked_for_again() {
    let mut script = Script::new();
    script.connect();
    script.refuse("get_schema", json!({"error": "unknown database", "details": "x"}));
    assert_eq!(script.down(), ("the server has no database \"Sample\"", 1));
    script.advance(SECOND);
    script.sync(false, 0, json!({}));
}

#[test]
fn nonsense_from_the_server_ends_the_session_with_a_reason() {
    for nonsense in [
        "HTTP/1.1 400 Bad Request",
        "{\"method\":7}",
        "{\"method\":\"update3\",\"params\":[\"monitor\"],\"id\":null}",
        "{\"method\":\"update3\",\"params\":[\"monitor\",\"no uuid\",{}],\"id\":null}",
        "{\"method\":\"update3\",\"params\":[\"monitor\",\"00000000-0000-0000-0000-000000000001\",7],\"id\":null}",
        "{\"method\":\"monitor_canceled\",\"params\":[\"monitor\"],\"id\":null}",
    ] {
        let mut script = Script::synced();
        script.session.received(nonsense.as_bytes(), script.now);
        assert!(
            !script.down().0.is_empty() && !script.session.is_online(),
            "{nonsense}"
        );
    }
}

#[test]
fn a_malformed_reply_of_the_handshake_ends_the_session() {
    let mut script = Script::new();
    script.connect();
    script.reply("get_schema", json!({"tables": 7}));
    assert!(script.down().0.starts_with("schema"), "{:?}", script.down());
    for reply in [
        json!(7),
        json!([true]),
        json!(["x", uuid(0), {}]),
        json!([true, 7, {}]),
        json!([true, uuid(0), 7]),
    ] {
        script.advance(SECOND);
        script.connect();
        script.reply("get_schema", sample());
        script.reply("monitor_cond_since", reply.clone());
        assert!(!script.session.is_online(), "{reply}");
    }
}

#[test]
fn messages_that_mean_nothing_here_are_ignored_and_counted() {
    let mut script = Script::synced();
    script.notify("locked", json!(["lock"]));
    script.notify("stolen", json!(["lock"]));
    script.notify(
        "update3",
        json!(["another monitor", uuid(1), named("insert", 1, "x")]),
    );
    script.send(&json!({"result": {}, "error": null, "id": 99}));
    script.send(&json!({"result": sample(), "error": null, "id": "get_schema"}));
    assert_eq!((script.session.ignored(), script.link()), (5, &Link::Synced));
    assert_eq!(script.names(), ["one"]);
}

#[test]
fn a_transaction_is_one_request_and_ends_with_its_reply() {
    let mut script = Script::synced();
    let operations = [Operation::comment("a"), Operation::delete("Thing", vec![])];
    let ticket = script.session.transact(&operations, script.now + SECOND);
    let request = script.reply("transact", json!([{}, {"count": 2}]));
    let delete = json!({"op": "delete", "table": "Thing", "where": []});
    assert_eq!(
        request["params"],
        json!(["Sample", {"op": "comment", "comment": "a"}, delete])
    );
    assert_eq!(
        script.outcome(ticket),
        Ok(vec![OperationResult::Done, OperationResult::Count(2)])
    );
    assert_eq!(script.session.pending(), 0);
}

#[test]
fn replies_find_their_transactions_in_any_order() {
    let mut script = Script::synced();
    let (first, second) = (script.transact(), script.transact());
    let (one, two) = (script.expect("transact"), script.expect("transact"));
    script.send(&json!({"result": [{}], "error": null, "id": two["id"]}));
    script.send(&json!({"result": [{"error": "aborted"}], "error": null, "id": one["id"]}));
    assert_eq!(script.outcome(second), Ok(vec![OperationResult::Done]));
    assert_eq!(script.outcome(first).unwrap_err().kind(), "aborted");
}

#[test]
fn updates_before_a_reply_are_in_the_view_when_the_reply_is() {
    let mut script = Script::synced();
    let ticket = script.transact();
    let id = script.expect("transact")["id"].clone();
    let update =
        json!({"method": "update3", "params": ["monitor", uuid(8), named("modify", 1, "new")], "id": null});
    let reply = json!({"result": [{}], "error": null, "id": id});
    script
        .session
        .received(format!("{update}{reply}").as_bytes(), script.now);
    assert!(script.outcome(ticket).is_ok());
    assert_eq!(script.names(), ["new"]);
}

#[test]
fn a_refusal_tells_which_operation_or_the_commit() {
    let two = [Operation::comment("a"), Operation::comment("b")];
    let error = json!({"error": "constraint violation", "details": "why"});
    for (result, at) in [
        (json!([{}, error, null]), FailedAt::Operation(1)),
        (json!([error, null]), FailedAt::Operation(0)),
        (json!([{}, {}, error]), FailedAt::Commit),
    ] {
        let mut script = Script::synced();
        let ticket = script.session.transact(&two, script.now + SECOND);
        script.reply("transact", result);
        match script.outcome(ticket) {
            Err(TransactError::Rejected { error, at: failed }) => {
                assert_eq!(
                    (error.code, error.details.as_str()),
                    (ErrorCode::ConstraintViolation, "why")
                );
                assert_eq!(failed, at);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_refused_request_is_a_rejection_of_the_whole() {
    let mut script = Script::synced();
    let ticket = script.transact();
    script.refuse("transact", json!({"error": "unknown database", "details": ""}));
    let error = script.outcome(ticket).unwrap_err();
    assert!(
        matches!(
            &error,
            TransactError::Rejected {
                at: FailedAt::Request,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        (error.kind(), error.outcome_unknown()),
        ("unknown database", false)
    );
}

#[test]
fn a_reply_that_makes_no_sense_leaves_the_outcome_unknown() {
    for result in [
        json!([]),
        json!([{}, {}]),
        json!([null]),
        json!({}),
        json!([{"uuid": 7}]),
    ] {
        let mut script = Script::synced();
        let ticket = script.transact();
        script.reply("transact", result.clone());
        let error = script.outcome(ticket).unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome_unknown()),
            ("malformed reply", true),
            "{result}"
        );
    }
}

#[test]
fn without_sync_nothing_is_sent() {
    let mut script = Script::new();
    let ticket = script.transact();
    assert_eq!(script.outcome(ticket), Err(TransactError::NotConnected));
    script.connect();
    script.expect("get_schema");
    let ticket = script.transact();
    assert_eq!(script.outcome(ticket), Err(TransactError::NotConnected));
    script.expect_nothing();
}

#[test]
fn a_connection_that_dies_ends_its_transactions_with_an_unknown_outcome() {
    let mut script = Script::synced();
    let (first, second) = (script.transact(), script.transact());
    script.hang_up();
    for ticket in [first, second] {
        let error = script.outcome(ticket).unwrap_err();
        assert!(matches!(error, TransactError::Disconnected { .. }) && error.outcome_unknown());
    }
    script.advance(SECOND);
    script.sync(true, 7, json!({}));
    script.expect_nothing();
}

#[test]
fn a_transaction_without_reply_times_out_and_is_cancelled_at_the_server() {
    let mut script = Script::synced();
    let ticket = script
        .session
        .transact(&[Operation::comment("x")], script.now + SECOND);
    let id = script.expect("transact")["id"].clone();
    assert_eq!(script.delay(), SECOND);
    script.advance(SECOND);
    assert_eq!(script.outcome(ticket), Err(TransactError::TimedOut));
    assert_eq!(script.expect("cancel")["params"], json!([id]));
    script.send(&json!({"result": null, "error": "canceled", "id": id}));
    assert_eq!((script.session.ignored(), script.link()), (1, &Link::Synced));
}

proptest! {
    #[test]
    fn no_message_makes_a_session_panic_or_forget_a_transaction(
        messages in prop::collection::vec(
            (prop::sample::select(vec!["update", "update2", "update3", "echo", "monitor_canceled"]),
             json_values(), json_values()),
            0..4,
        ),
    ) {
        let mut script = Script::synced();
        let ticket = script.transact();
        for (method, params, id) in messages {
            script.send(&json!({"method": method, "params": ["monitor", params], "id": null}));
            script.send(&json!({"method": method, "params": params, "id": id}));
            script.send(&json!({"result": params, "error": null, "id": id}));
        }
        script.hang_up();
        prop_assert!(script.outcome(ticket).is_err());
        script.advance(SECOND);
        script.sync(false, 0, json!({}));
    }

    #[test]
    fn any_change_of_rows_is_seen_however_the_bytes_are_cut(cut in 1_usize..60, name in any::<String>()) {
        let mut script = Script::synced();
        let update = json!(["monitor", uuid(8), named("modify", 1, &name)]);
        let message = json!({"method": "update3", "params": update, "id": null}).to_string();
        for bytes in message.as_bytes().chunks(cut) {
            script.session.received(bytes, script.now);
        }
        let row = script.session.view().replica.find("Thing", "name", &name);
        prop_assert_eq!(row.and_then(|(_, row)| row.column("name")), Some(&Datum::from(name.as_str())));
    }
}
