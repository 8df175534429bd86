use super::*;

fn export(uid: &str, generation: i64, bridge: &str, status: Option<&str>) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "node-a", "uid": uid, "generation": generation},
        "spec": {"bridges": [{"name": bridge}]},
    });
    if let Some(protocols) = status {
        object["status"] = json!({"protocols": protocols});
    }
    serde_json::from_value(object).unwrap()
}

type Told = (
    Sinks,
    watch::Receiver<Option<Desired>>,
    watch::Receiver<Option<StatusObject>>,
);

fn sinks() -> Told {
    let (spec, told) = watch::channel(None);
    let (object, on) = watch::channel(None);
    (Sinks { spec, object }, told, on)
}

#[test]
fn a_change_of_the_status_alone_does_not_wake_the_agent() {
    let (sinks, mut told, on) = sinks();
    sinks.show(Some(export("u1", 1, "br-int", None)));
    assert!(told.has_changed().unwrap());
    told.mark_unchanged();
    sinks.show(Some(export("u1", 1, "br-int", Some("IPFIX"))));
    assert!(!told.has_changed().unwrap());
    let seen = on.borrow().clone().and_then(|object| object.status);
    assert_eq!(seen.unwrap().protocols, "IPFIX", "whoever writes it must see it");
    sinks.show(Some(export("u1", 2, "br-ex", None)));
    assert_eq!(told.borrow_and_update().as_ref().unwrap().generation, Some(2));
}

#[test]
fn without_the_object_nothing_is_asked_for_and_nowhere_to_report() {
    let (sinks, told, on) = sinks();
    sinks.show(Some(export("u1", 1, "br-int", None)));
    assert_eq!(on.borrow().as_ref().unwrap().uid, "u1");
    sinks.show(None);
    assert_eq!(*told.borrow(), Some(Desired::default()));
    assert_eq!(*on.borrow(), None);
}

#[test]
fn an_object_made_anew_is_told_even_with_the_same_spec() {
    let (sinks, _told, mut on) = sinks();
    sinks.show(Some(export("u1", 1, "br-int", None)));
    on.mark_unchanged();
    sinks.show(Some(export("u2", 1, "br-int", None)));
    assert!(on.has_changed().unwrap());
}

#[test]
fn a_server_that_has_too_much_to_do_has_not_refused() {
    let answer = |code: u16, details: Value| {
        let status =
            json!({"status": "Failure", "code": code, "reason": "", "message": "", "details": details});
        Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    };
    let asked = |code, details| outcome(Some(&answer(code, details)));
    let later = |seconds| WriteOutcome::PutOff(Some(Duration::from_secs(seconds)));
    assert_eq!(asked(429, json!({"retryAfterSeconds": 1})), later(1));
    assert_eq!(asked(429, Value::Null), WriteOutcome::PutOff(None));
    assert_eq!(asked(503, json!({})), WriteOutcome::PutOff(None));
    assert_eq!(asked(504, json!({"retryAfterSeconds": 7})), later(7));
    for no in [400, 403, 404, 409, 422, 500] {
        assert_eq!(asked(no, json!({})), WriteOutcome::Refused, "{no}");
    }
    assert_eq!(outcome(None), WriteOutcome::Refused);
}
