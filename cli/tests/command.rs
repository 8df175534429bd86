//! `weir` as people have it: in terminals of several widths, in pipes that close, with
//! options that have no effect, in their own time zone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "command/fixture.rs"]
mod fixture;
#[path = "command/policy.rs"]
mod policy;
#[path = "command/selection.rs"]
mod selection;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use fixture::{on_terminal, run, store, told, weir};
use weir_collector::{Collector, Config};
use weir_store::Settings;

fn filled() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let data = directory.path().display().to_string();
    (directory, data)
}

/// The lines of the table, without notes.
fn table(lines: &[String]) -> Vec<&String> {
    let notes = ["note: ", "there are ", "nothing was found"];
    let is_note = |line: &&String| notes.iter().any(|note| line.starts_with(note));
    // A note may go on in the lines below it.
    lines.iter().take_while(|line| !is_note(line)).collect()
}

#[test]
fn no_table_is_wider_than_the_terminal() {
    let (_directory, data) = filled();
    for columns in [20, 60, 80, 100, 200] {
        for words in [
            format!("flows --data-dir {data}"),
            format!("flows -o wide --data-dir {data}"),
            format!("flows --columns time,ns,pod_name,dst_pod_name,bytes,verdict --data-dir {data}"),
            format!("top --data-dir {data} --group-by workload_name,dst_workload_name,ns"),
            format!("matrix --data-dir {data} --ports"),
            format!("matrix --data-dir {data} -o wide"),
            format!("flows -o custom-columns=FROM:.pod_name,TO:.dst_pod_name --data-dir {data}"),
            "fields".to_owned(),
        ] {
            let shown = on_terminal(columns, &words);
            assert!(shown.len() >= 2, "{words}: {shown:?}");
            for line in table(&shown) {
                assert!(line.chars().count() <= columns, "{columns}: {words}: {line}");
            }
        }
    }
}

#[test]
fn a_narrow_terminal_shows_who_and_how_much_and_says_what_it_leaves_out() {
    let (_directory, data) = filled();
    let shown = on_terminal(60, &format!("flows --data-dir {data}"));
    let head: Vec<&str> = shown[0].split_whitespace().collect();
    assert_eq!(head, ["TIME", "(CET)", "SOURCE", "DESTINATION", "BYTES"]);
    assert!(
        shown[1].contains("shop/third-7f8d5…") && shown[1].ends_with("123.5M"),
        "{shown:?}"
    );
    let at = shown.iter().position(|line| line.starts_with("note: ")).unwrap();
    let note = shown[at..].join(" ");
    assert!(note.contains("PROTOCOL, PACKETS, VERDICT"), "{note}");
    for columns in [100, 200] {
        let shown = on_terminal(columns, &format!("flows --data-dir {data}"));
        assert!(shown[0].ends_with("VERDICT"), "{shown:?}");
        assert!(!shown.iter().any(|line| line.contains("too narrow")), "{shown:?}");
    }
    assert!(
        on_terminal(200, &format!("flows --data-dir {data}"))[1]
            .contains("checkout-service-6d4b75cb6d-hx2zv")
    );
}

#[test]
fn times_have_a_date_and_are_of_the_readers_zone_unless_utc_is_asked_for() {
    let (_directory, data) = filled();
    let time = |words: &[&str]| {
        let all = [&["flows", "--data-dir", &data, "--limit", "1"], words].concat();
        let (code, out, err) = run(&all);
        assert_eq!(code, 0, "{err}");
        let lines: Vec<String> = out.lines().map(str::to_owned).collect();
        (
            lines[0].clone(),
            lines[1][..19].parse::<jiff::civil::DateTime>().unwrap(),
        )
    };
    let ((local_head, local), (utc_head, utc)) = (time(&[]), time(&["--utc"]));
    assert!(local_head.starts_with("TIME (CET) "), "{local_head}");
    assert!(utc_head.starts_with("TIME (UTC) "), "{utc_head}");
    assert_eq!(local.duration_since(utc).as_secs(), 3_600);
}

#[test]
fn a_time_that_was_copied_out_of_a_table_finds_the_record_again() {
    let (_directory, data) = filled();
    let count = |words: &[&str]| {
        let all = [&["flows", "--data-dir", &data, "-o", "name"], words].concat();
        let (code, out, err) = run(&all);
        assert_eq!(code, 0, "{err}");
        out.lines().count()
    };
    let shown = on_terminal(60, &format!("flows --data-dir {data}"));
    let third = &shown[1][..14];
    assert_eq!(count(&["--since", third]), 1, "{third}");
    assert_eq!(count(&["--until", third]), 2, "{third}");
    for since in ["-5m", "1h30m", "yesterday", "5m ago"] {
        assert_eq!(count(&["--since", since]), 3, "{since}");
    }
    let (code, _, err) = run(&["flows", "--data-dir", &data, "--since", "soon"]);
    assert_eq!(code, 2);
    assert!(err.contains("10:00") && err.contains("yesterday"), "{err}");
}

#[test]
fn an_option_that_has_no_effect_is_refused_by_name() {
    let (_directory, data) = filled();
    for (words, option) in [
        ("flows --top 5", "--top"),
        ("flows --by packets", "--by"),
        ("flows --measures bytes", "--measures"),
        ("flows --conversation", "--conversation"),
        ("flows --cover 0.9", "--cover"),
        ("flows --compare 1d", "--compare"),
        ("flows --zone UTC", "--zone"),
        ("flows --group-by ns --order bytes", "--order"),
        ("flows --group-by ns --both-directions", "--both-directions"),
        ("flows --group-by ns --limit 5", "--limit"),
        ("flows --group-by ns --last 5", "--last"),
        ("flows --bucket 1m --columns ns", "--columns"),
        ("flows --group-by ns --oldest-first", "--oldest-first"),
        ("flows -o json --no-headers", "--no-headers"),
        ("flows -o name --columns ns", "--columns"),
        ("flows -o jsonpath={.ns} --columns ns", "--columns"),
        ("query --explain -o csv", "--explain"),
        ("query --explain --no-headers", "--no-headers"),
        ("values ns -o name --no-headers", "--no-headers"),
        ("flows --server http://127.0.0.1:1", "--server"),
        ("flows --token t", "--token"),
        ("flows --context c", "--context"),
        ("top --kubeconfig f", "--kubeconfig"),
        ("status --utc", "--utc"),
        ("status --token t", "--token"),
        ("status --bridge br-int", "--network"),
        ("status --ovsdb unix:/x", "--network"),
    ] {
        let words: Vec<&str> = words.split(' ').chain(["--data-dir", &data]).collect();
        let (code, out, err) = run(&words);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(err.contains(option), "{words:?}: {err}");
    }
    for words in [
        "flows --follow --limit 5",
        "flows --follow --until 1m",
        "flows --context c",
    ] {
        let words: Vec<&str> = words
            .split(' ')
            .chain(["--server", "http://127.0.0.1:1"])
            .collect();
        let (code, _, err) = run(&words);
        assert_eq!(code, 2, "{words:?}");
        assert!(err.contains("no effect"), "{words:?}: {err}");
    }
    // What the environment says gives way.
    let output = weir(&["flows", "--data-dir", &data])
        .env("WEIR_SERVER", "http://127.0.0.1:1")
        .env("WEIR_TOKEN", "t")
        .output();
    assert_eq!(told(&output.unwrap()).0, 0);
}

#[test]
fn words_that_other_programs_have_are_understood_or_answered_with_what_is_meant() {
    let (_directory, data) = filled();
    for words in [
        "flows --namespace shop",
        "flows --src-pod shop/third-7f8d5c9b4-qwert",
        "flows --dst-namespace shop",
        "top --sort packets",
    ] {
        let words: Vec<&str> = words.split(' ').chain(["--data-dir", &data]).collect();
        let (code, out, err) = run(&words);
        assert_eq!(code, 0, "{words:?}: {err}");
        assert!(out.contains("shop"), "{words:?}: {out}");
    }
    for (words, hint) in [
        ("list", "weir flows"),
        ("tail", "--follow"),
        ("monitor", "weir watch"),
        ("flows --filter x", "without an option"),
        ("flows --src=10.0.0.1", "--from-ip"),
        ("flows --json", "-o json"),
        ("flows ns shop", "quotes"),
        ("flows ns==shop", "\"shop\""),
        ("flows namespace==1", "\"ns\""),
    ] {
        let known = if words.starts_with("flows ns") || words.contains("==") {
            &["--data-dir", &data][..]
        } else {
            &[]
        };
        let (code, out, err) = run(&[&words.split(' ').collect::<Vec<_>>(), known].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{words}: {err}");
        assert!(err.contains(hint), "{words}: {err}");
    }
}

#[test]
fn that_nothing_was_found_is_said_beside_an_empty_list() {
    let (_directory, data) = filled();
    for words in [
        &["fields", "nosuch"][..],
        &["values", "ns", "bank", "--data-dir", &data],
        &["flows", "--to-ns", "bank", "--data-dir", &data],
    ] {
        let (code, out, err) = run(words);
        assert_eq!(code, 0, "{words:?}: {err}");
        assert!(
            out.lines().count() <= 1 && err.starts_with("no"),
            "{words:?}: {out} {err}"
        );
    }
}

#[test]
fn no_word_of_what_is_said_is_torn_by_the_end_of_a_line() {
    let (_directory, data) = filled();
    for columns in [60, 100, 200] {
        for words in [
            format!("flows --limit 1 --data-dir {data}"),
            format!("flows -o wide --limit 1 --data-dir {data}"),
            format!("flows --to-ns bank --data-dir {data}"),
            "watch --help".to_owned(),
            "flows -h".to_owned(),
        ] {
            for line in on_terminal(columns, &words) {
                assert!(line.chars().count() <= columns, "{columns}: {words}: {line}");
            }
        }
    }
}

#[test]
fn groups_are_measured_compared_and_cut_and_records_come_by_size() {
    let (_directory, data) = filled();
    let ask = |words: &str| {
        let words: Vec<&str> = words.split(' ').chain(["--data-dir", &data]).collect();
        let (code, out, err) = run(&words);
        assert_eq!(code, 0, "{words:?}: {err}");
        (out.lines().map(str::to_owned).collect::<Vec<_>>(), err)
    };
    let (lines, _) = ask("top --group-by pod_name --measures share,last_seen,distinct_dst_pod_name");
    for head in ["SHARE", "LAST_SEEN (CET)", "DISTINCT_DST_POD_NAME", "BYTES"] {
        assert!(lines[0].contains(head), "{lines:?}");
    }
    assert!(
        lines[1].contains("33.3%") && lines[4].contains("100.0%"),
        "{lines:?}"
    );
    let (lines, _) = ask("top --group-by pod_name --compare previous --measures bytes");
    assert!(
        lines[0].contains("BYTES_THEN") && lines[0].contains("COMPARED"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("new") && lines[1].ends_with("+123.5M"),
        "{lines:?}"
    );
    // Three of the same size: two of them carry half of all.
    let (lines, err) = ask("top --group-by pod_name --cover 50% --bucket 1d");
    assert_eq!(
        lines.iter().filter(|line| line.contains("-7f8d5c9b4-")).count(),
        2,
        "{lines:?}"
    );
    assert!(
        err.contains("2 of 3 groups") && err.contains("0.5 of all bytes"),
        "{err}"
    );
    let (lines, err) = ask("flows --order duration --limit 2 -o name");
    assert_eq!(lines.len(), 2);
    assert!(err.contains("more records than the 2 largest"), "{err}");
    let back = "flows -o name --both-directions --to-pod shop/third-7f8d5c9b4-qwert";
    assert_eq!(ask(back).0.len(), 1);
    assert_eq!(ask(&back.replace("--both-directions ", "")).0.len(), 0);
    for (words, remedy) in [
        ("top --bucket 1d --zone Mars", "Europe/Berlin"),
        ("top --measures p95_ttl", "distinct_"),
        ("top --compare yesterday", "previous"),
        ("top --cover 2", "0.99"),
        ("top --group-by addr/0", "addr/24"),
        ("flows --order size", "duration"),
        ("flows --order bytes --limit 10001", "10000"),
    ] {
        let words: Vec<&str> = words.split(' ').chain(["--data-dir", &data]).collect();
        let (code, _, err) = run(&words);
        assert_eq!(code, 2, "{words:?}");
        assert!(err.contains(remedy), "{words:?}: {err}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let (_directory, data) = filled();
    let empty = tempfile::tempdir().unwrap();
    weir_store::open(Settings::new(empty.path())).unwrap().0.close();
    let empty = empty.path().display().to_string();
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for (words, code) in [
        (&["fields"][..], 0),
        (&["flows", "--data-dir", &data], 0),
        (&["flows", "--data-dir", &empty], 0),
        (&["top", "--data-dir", &data, "-o", "json"], 0),
        (&["query", "--data-dir", &data, "--explain"], 0),
        (&["matrix", "--data-dir", &data, "-o", "csv"], 0),
        (&["completion", "bash"], 0),
        (&["flows", "--data-dir", &data, "nonsense("], 2),
        (&["flows", "--data-dir", "/nowhere"], 2),
        (&["status", "--data-dir", &empty], 2),
    ] {
        for (out, err) in [(gone(), Stdio::null()), (Stdio::null(), gone()), (gone(), gone())] {
            let status = weir(words).stdout(out).stderr(err).status().unwrap();
            assert_eq!(status.code(), Some(code), "{words:?}");
        }
    }
}

#[test]
fn shortcuts_choose_flows_and_explain_shows_what_they_stand_for() {
    let (_directory, data) = filled();
    let names = |words: &str| {
        let all = ["flows", "--data-dir", &data, "-o", "jsonpath={.pod_name}"];
        let (code, out, err) = run(&[&all, words.split(' ').collect::<Vec<_>>().as_slice()].concat());
        assert_eq!(code, 0, "{err}");
        let mut names: Vec<String> = out.lines().map(|name| name[..3].to_owned()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("--from-pod shop/third-7f8d5c9b4-qwert"), ["thi"]);
    assert_eq!(
        names("--not --from-pod shop/third-7f8d5c9b4-qwert"),
        ["fir", "sec"]
    );
    assert_eq!(
        names("-n shop --to-pod checkout-service-6d4b75cb6d-hx2zv").len(),
        3
    );
    assert_eq!(names("-A").len(), 3);
    assert_eq!(
        names("pod_name.startsWith(\"s\")||pod_name.startsWith(\"t\") --not --pod third-7f8d5c9b4-qwert"),
        ["sec"]
    );
    let (_, out, _) = run(&["query", "--data-dir", &data, "--explain", "--to-ns", "shop"]);
    assert!(out.starts_with("filter: dst_ns == \"shop\"\n"), "{out}");
    let (code, _, err) = run(&["flows", "--data-dir", &data, "--to-ns", "bank"]);
    assert_eq!(code, 0);
    assert!(err.contains("none fits the filter: dst_ns == \"bank\""), "{err}");
}

#[test]
fn forms_of_output_are_those_that_kubectl_has() {
    let (_directory, data) = filled();
    let out = |words: &[&str]| {
        let (code, out, err) = run(&[words, &["--data-dir", &data]].concat());
        assert_eq!(code, 0, "{words:?}: {err}");
        out
    };
    let to = "shop/checkout-service-6d4b75cb6d-hx2zv";
    assert_eq!(
        out(&["flows", "-o", "name", "--limit", "1"]),
        format!("shop/third-7f8d5c9b4-qwert {to}\n")
    );
    assert_eq!(
        out(&[
            "flows",
            "--last",
            "2",
            "-o",
            r#"jsonpath={.pod_name}{"\t"}{.bytes}"#
        ]),
        "second-7f8d5c9b4-qwert\t123456789\nthird-7f8d5c9b4-qwert\t123456789\n"
    );
    assert_eq!(
        out(&[
            "flows",
            "--limit",
            "1",
            "-o",
            "custom-columns=FROM:.ns,ZONE:.zone,V:.vlan_id"
        ]),
        "FROM  ZONE  V\nshop        <none>\n"
    );
    assert_eq!(
        out(&[
            "flows",
            "--limit",
            "1",
            "--no-headers",
            "-o",
            "csv",
            "--columns",
            "ns,bytes"
        ]),
        "shop,123456789\n"
    );
    assert_eq!(
        out(&["top", "-o", "name", "--group-by", "dst_ns,dst_name"]),
        format!("{to}\n")
    );
    assert_eq!(out(&["values", "ns", "-o", "name"]), "shop\n");
    // The source side may be named as such.
    assert_eq!(
        out(&[
            "flows",
            "--limit",
            "1",
            "--no-headers",
            "--columns",
            "src_ns,bytes"
        ]),
        "shop  123456789\n"
    );
    assert_eq!(
        out(&["top", "-o", "name", "--group-by", "src_ns,dst_name"]),
        "shop/checkout-service-6d4b75cb6d-hx2zv\n"
    );
    assert!(!out(&["flows", "--no-headers"]).contains("SOURCE"));
    let (_, names, _) = run(&["fields", "pod_name", "-o", "name"]);
    assert!(names.lines().any(|name| name == "pod_name"), "{names}");
}

/// Ends the program with the test.
struct Following(std::process::Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_stands_below_what_was_there_before_and_comes_once() {
    let (directory, _) = filled();
    let running = Collector::start(Config {
        store: Some(Settings::new(directory.path())),
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Config::default()
    });
    let running = running.await.unwrap();
    let server = format!("http://{}", running.addresses().http);
    let udp = running.addresses().udp[0].to_string();
    let lines = tokio::task::spawn_blocking(move || {
        let words = [
            "flows",
            "--server",
            &server,
            "-w",
            "--last",
            "2",
            "--all-observations",
        ];
        let child = weir(&words).stdout(Stdio::piped()).spawn().unwrap();
        let mut following = Following(child);
        let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
        let mut shown: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
        // Those before are there: what is sent now arrives in the tail.
        let sent = weir(&["bench", "--to", &udp, "--count", "50", "--protocol", "ipfix"])
            .output()
            .unwrap();
        assert!(sent.status.success(), "{sent:?}");
        shown.extend(lines.take(10).map(Result::unwrap));
        shown
    });
    let lines = lines.await.unwrap();
    running.stop().await.unwrap();
    assert!(
        lines[1].contains("shop/second-") && lines[2].contains("shop/third-"),
        "{lines:#?}"
    );
    assert!(
        !lines[3..].iter().any(|line| line.contains("third-")),
        "{lines:#?}"
    );
    let place = lines[0].find("DESTINATION").unwrap();
    for line in &lines[1..] {
        let (before, at) = line.split_at(place);
        assert!(before.ends_with("  ") && !at.starts_with(' '), "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_a_collector_tells_what_it_keeps_and_who_exports() {
    let (directory, _) = filled();
    let running = Collector::start(Config {
        store: Some(Settings::new(directory.path())),
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Config::default()
    });
    let running = running.await.unwrap();
    let server = format!("http://{}", running.addresses().http);
    let udp = running.addresses().udp[0].to_string();
    let (out, shown, json) = tokio::task::spawn_blocking(move || {
        let sent = weir(&["bench", "--to", &udp, "--count", "50", "--protocol", "ipfix"]).output();
        assert!(sent.unwrap().status.success());
        let status = ["status", "--server", &server];
        let told = || run(&[&status[..], &["-o", "json"]].concat());
        let json: serde_json::Value = loop {
            let (code, json, err) = told();
            assert_eq!(code, 0, "{err}");
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            if json["exporters"]["exporters"][0]["records"].as_u64() > Some(0) {
                break json;
            }
        };
        let (code, out, err) = run(&status);
        assert_eq!(code, 0, "{err}");
        (out, on_terminal(60, &format!("status --server {server}")), json)
    })
    .await
    .unwrap();
    running.stop().await.unwrap();
    assert_eq!(json["status"]["store"]["tiers"][0]["rows"], 3, "{json}");
    for part in [
        "raw ",
        "127.1.0.1",
        "stranger",
        "the newest file ends",
        "on their way",
        "NEWEST (CET)",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let tables = shown
        .iter()
        .filter(|line| line.starts_with("raw ") || line.starts_with("127.1.0.1 "));
    let tables: Vec<&String> = tables.collect();
    assert!(
        tables.len() == 2 && tables.iter().all(|line| line.len() <= 60),
        "{shown:#?}"
    );
}

#[test]
fn kubectl_runs_it_as_a_plugin_and_completes_it() {
    use std::os::unix::fs::symlink;
    let (directory, data) = filled();
    let plugin = |name: &str, words: &[&str]| {
        let path = directory.path().join(name);
        if !path.exists() {
            symlink(env!("CARGO_BIN_EXE_weir"), &path).unwrap();
        }
        let output = std::process::Command::new(path).args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(plugin("kubectl-weir", &["flows", "--help"]).contains("Usage: kubectl weir flows"));
    let complete = |words: &[&str]| {
        let text = plugin("kubectl_complete-weir", words);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.pop().unwrap(), lines)
    };
    let (rest, options) = complete(&["flows", "--group-b"]);
    assert!(
        rest == ":4" && options[0].starts_with("--group-by\tFields to group by"),
        "{options:?}"
    );
    let (rest, values) = complete(&["values", "--data-dir", &data, "ns", "s"]);
    assert_eq!((rest.as_str(), values), (":4", vec!["shop\t".to_owned()]));
    let (rest, forms) = complete(&["top", "-o", "custom"]);
    assert_eq!(
        (rest.as_str(), forms),
        (":6", vec!["custom-columns=\t".to_owned()])
    );
}

#[test]
fn each_command_has_a_page_for_man() {
    let directory = tempfile::tempdir().unwrap();
    let (code, _, err) = run(&["man", &directory.path().display().to_string()]);
    assert_eq!(code, 0, "{err}");
    for (page, word) in [
        ("weir.1", "weir\\-flows"),
        ("weir-flows.1", "from\\-pod"),
        ("weir-status.1", "server"),
        ("weir-watch.1", "window"),
    ] {
        let text = std::fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(text.contains(word), "{page}: {word}");
    }
    assert!(!directory.path().join("weir-man.1").exists());
}
