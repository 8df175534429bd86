use weir_store::{Settings, open};

use super::watchers::RECENT;
use super::*;
use crate::lower::tests::flows::Flows;

#[tokio::test]
async fn who_comes_back_goes_on_where_they_left_without_a_gap_and_without_a_record_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
    let live = Live::new(reader);
    let follow = async |resume: Option<String>| {
        let request = TailRequest {
            resume,
            all_observations: true,
            ..TailRequest::default()
        };
        live.follow(&request, &Limits::default()).await.unwrap()
    };
    let mut records = Flows::new(3, 60);
    let mut append = |count| {
        writer.append(&records.batch(count)).unwrap();
        writer.flush();
    };
    let take = |tail: &mut LiveTail, wanted: usize| {
        let mut taken = 0;
        while taken < wanted {
            taken += tail
                .next(Duration::from_secs(60))
                .unwrap()
                .map_or(0, |rows| rows.len());
        }
        taken
    };
    let mut first = follow(None).await;
    append(10);
    assert_eq!(take(&mut first, 10), 10);
    let mark = first.mark();
    drop(first);
    append(20);
    // Until another tail has seen them, they may be on their way.
    let mut other = follow(Some(mark.clone())).await;
    assert!(!other.has_gap());
    assert_eq!(take(&mut other, 20), 20);
    let mut again = follow(Some(mark.clone())).await;
    append(5);
    assert_eq!((again.has_gap(), take(&mut again, 25)), (false, 25));
    assert_ne!(again.mark(), mark);
    let mut at_the_end = follow(Some(again.mark())).await;
    append(7);
    assert_eq!((at_the_end.has_gap(), take(&mut at_the_end, 7)), (false, 7));
    for lost in ["", "1", "x", "0000000000000000"] {
        assert!(follow(Some(lost.to_owned())).await.has_gap(), "{lost}");
    }
    for _ in 0..=RECENT {
        append(1);
        take(&mut at_the_end, 1);
    }
    assert!(follow(Some(mark)).await.has_gap(), "it is too long ago");
}

#[tokio::test]
async fn rows_that_a_filter_does_not_let_through_are_never_widened() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
    let live = Live::new(reader);
    let follow = async |filter: &str| {
        let request = TailRequest {
            filter: filter.to_owned(),
            all_observations: true,
            ..TailRequest::default()
        };
        live.follow(&request, &Limits::default()).await.unwrap()
    };
    let mut none = Vec::new();
    for filter in [
        "bytes < 0",
        "dst_port == 443 && port == 443 && ttl > 300",
        r#"ns == "nobody's""#,
    ] {
        none.push(follow(filter).await);
    }
    let mut some = follow(r#"dst_port == 443 && ns == "team-0""#).await;
    let records = Flows::new(3, 60).batch(2_000);
    for part in records.chunks(500) {
        writer.append(part).unwrap();
        writer.flush();
    }
    writer.close();
    let take_all = |tail: &mut LiveTail| {
        let mut taken = 0;
        loop {
            match tail.next(Duration::from_secs(60)) {
                Ok(rows) => taken += rows.map_or(0, |rows| rows.len()),
                Err(end) => break assert_eq!(end.to_string(), "the store was closed"),
            }
        }
        (taken, tail.widened)
    };
    for tail in &mut none {
        assert_eq!((take_all(tail), tail.missed()), ((0, 0), 0), "{tail:?}");
    }
    let wanted = records
        .iter()
        .filter(|record| record.dst.port == Some(443) && &*record.src.identity.ns == "team-0");
    let wanted = wanted.count();
    assert!(wanted > 0 && wanted < 500, "{wanted}");
    assert_eq!(take_all(&mut some), (wanted, wanted));
}

#[tokio::test]
async fn what_is_asked_of_identities_is_found_out_as_they_come_whatever_segment_they_go_into() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
    let live = Live::new(reader);
    type Wanted = fn(&weir_flow::FlowRecord) -> bool;
    let asked: [(&str, Wanted); 6] = [
        (r#"ns == "team-1""#, |r| &*r.src.identity.ns == "team-1"),
        (r#"dst_ns != "team-0" && dst_port == 443"#, |r| {
            &*r.dst.identity.ns != "team-0" && r.dst.port == Some(443)
        }),
        ("zone != dst_zone", |r| r.src.identity.zone != r.dst.identity.zone),
        (
            r#"ns == "team-1" ? dst_ns == "team-1" : zone == dst_zone"#,
            |r| match &*r.src.identity.ns == "team-1" {
                true => &*r.dst.identity.ns == "team-1",
                false => r.src.identity.zone == r.dst.identity.zone,
            },
        ),
        (r#"pod_name + dst_pod_name > "workload-3""#, |r| {
            format!("{}{}", r.src.identity.name, r.dst.identity.name).as_str() > "workload-3"
        }),
        (r#"ns == """#, |r| r.src.identity.ns.is_empty()),
    ];
    let mut tails = Vec::new();
    for (filter, _) in asked {
        let request = TailRequest {
            filter: filter.to_owned(),
            all_observations: true,
            ..TailRequest::default()
        };
        tails.push(live.follow(&request, &Limits::default()).await.unwrap());
    }
    let mut records = Vec::new();
    for (part, endpoints) in [(0, 20), (1, 120), (2, 300), (3, 300)] {
        let mut batch = Flows::new(part, endpoints).batch(400);
        batch[0].src.identity = weir_flow::Identity::nobody().into();
        writer.append(&batch).unwrap();
        if part == 1 {
            writer.seal().unwrap();
        }
        writer.flush();
        records.extend(batch);
    }
    writer.close();
    for (tail, (filter, wanted)) in tails.iter_mut().zip(asked) {
        let mut taken = 0;
        while let Ok(rows) = tail.next(Duration::from_secs(60)) {
            taken += rows.map_or(0, |rows| rows.len());
        }
        let wanted = records.iter().filter(|record| wanted(record)).count();
        assert!(wanted > 0 || filter.ends_with(r#""workload-3""#), "{filter}");
        assert_eq!(taken, wanted, "{filter}");
    }
}

#[tokio::test]
async fn those_who_ask_the_same_share_one_look_at_each_batch_and_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
    let live = Live::new(reader);
    let follow = async |filter: &str, scope: crate::Scope| {
        let request = TailRequest {
            filter: filter.to_owned(),
            ..TailRequest::default()
        };
        let limits = Limits {
            scope,
            ..Limits::default()
        };
        live.follow(&request, &limits).await.unwrap()
    };
    let of_team = || crate::Scope::Namespaces(vec!["team-0".to_owned()]);
    let mut tails = Vec::new();
    for filter in ["bytes > 0", "bytes > 0", "bytes > 1"] {
        tails.push(follow(filter, crate::Scope::All).await);
    }
    tails.push(follow("bytes > 0", of_team()).await);
    let mut records = Flows::new(3, 200);
    for _ in 0..5 {
        writer.append(&records.batch(100)).unwrap();
        writer.flush();
    }
    writer.close();
    let mut taken = Vec::new();
    for tail in &mut tails {
        let mut own = 0;
        while let Ok(rows) = tail.next(Duration::from_secs(60)) {
            own += rows.map_or(0, |rows| rows.len());
        }
        taken.push(own);
    }
    assert!(taken[0] == taken[1] && taken[3] < taken[0], "{taken:?}");
    let shared = |a: usize, b: usize| Arc::ptr_eq(&tails[a].chooser, &tails[b].chooser);
    assert!(shared(0, 1) && !shared(0, 2) && !shared(0, 3));
    assert_eq!(tails[0].chooser.looked(), 5, "each batch once for both");
}
