use super::*;
use weir_api::export::EXPORTING;

fn finding(kind: &'static str, status: ConditionStatus, reason: &'static str) -> Finding {
    Finding {
        kind,
        status,
        reason,
        message: String::new(),
    }
}

#[test]
fn the_reason_is_the_first_unhappy_one() {
    use ConditionStatus::{False, True, Unknown};
    let happy = [
        finding(APPLIED, True, "Applied"),
        finding(EXPORTING, True, "Exporting"),
        finding(CONFLICT, False, "NoConflict"),
        finding(ACCEPTED, True, "Accepted"),
    ];
    assert_eq!(main_reason(&happy), "Applied");
    let mut switch = happy.clone();
    switch[1] = finding(EXPORTING, Unknown, "Pending");
    assert_eq!(main_reason(&switch), "Pending");
    let mut file = happy.clone();
    file[3] = finding(ACCEPTED, False, "InvalidFile");
    assert_eq!(main_reason(&file), "InvalidFile");
    let mut nothing = happy.clone();
    nothing[0] = finding(APPLIED, True, "NoCollectors");
    nothing[1] = finding(EXPORTING, False, "NoCollectors");
    assert_eq!(main_reason(&nothing), "NoCollectors");
    let mut foreign = happy;
    foreign[0] = finding(APPLIED, False, "ForeignRow");
    foreign[2] = finding(CONFLICT, True, "ForeignRow");
    assert_eq!(main_reason(&foreign), "ForeignRow");
}
