//! Plans do what an optimizer would have to find out, and give the same on any number of
//! threads.

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion_common::config::ConfigOptions;
use datafusion_expr::{Expr, col, lit, when};
use datafusion_physical_plan::collect;
use datafusion_physical_plan::display::DisplayableExecutionPlan;
use weir_store::{Reader, TimeRange, Writer, open};

use super::*;
use crate::function::call;
use crate::lower::tests::flows::Flows;
use crate::lower::tests::kept_for_ever;
use crate::segment_reader::SegmentReaders;
use crate::{Embedded, Engine, Limits, Moment, Question, Since, Until};

const ALL: TimeRange = TimeRange {
    from: 0,
    until: i64::MAX,
};

struct Stored {
    reader: Reader,
    _writer: Writer,
    _directory: tempfile::TempDir,
}

/// Three segments and rows in memory.
fn stored() -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = Flows::new(5, 20);
    for _ in 0..3 {
        writer.append(&made.batch(200)).unwrap();
        writer.seal().unwrap();
    }
    writer.append(&made.batch(200)).unwrap();
    writer.flush();
    Stored {
        reader,
        _writer: writer,
        _directory: directory,
    }
}

fn context(filter_first: bool) -> ScanContext {
    let runtime = datafusion_execution::runtime_env::RuntimeEnv::default();
    ScanContext {
        readers: Arc::new(SegmentReaders::new(
            runtime.cache_manager.get_file_metadata_cache(),
            Arc::default(),
        )),
        options: Arc::new(ConfigOptions::new()),
        threads: 2,
        filter_first,
    }
}

/// The steps as they are explained, of sums over all rows of a part.
fn explained(stored: &Stored, test: &Expr, columns: Vec<Expr>, filter_first: bool) -> String {
    let view = stored.reader.view(ALL);
    let scan = SegmentScan::facts(view.raw, view.memory);
    let part = Part::new(scan, test, columns);
    let added = part.schema().unwrap();
    let added = added.fields().iter().map(|field| Aggregation {
        function: sum(),
        args: vec![field.name().clone()],
        name: field.name().clone(),
    });
    let plan = Plan::Groups {
        added: added.collect(),
        parts: vec![part],
        keys: Vec::new(),
    };
    let steps = plan.steps(&context(filter_first)).unwrap();
    DisplayableExecutionPlan::new(steps.as_ref())
        .indent(false)
        .to_string()
}

fn costly() -> Expr {
    call("costly", DataType::Boolean, vec![col("packets")], |args| {
        let odd = args[0].as_primitive::<UInt64Type>().iter();
        let odd = odd.map(|number| number.map(|number| number % 2 == 1));
        Ok(Arc::new(odd.collect::<BooleanArray>()) as ArrayRef)
    })
}

fn bytes() -> Vec<Expr> {
    vec![col("bytes").alias("s0")]
}

#[test]
fn where_no_row_can_be_let_through_nothing_is_read() {
    let stored = stored();
    for test in [lit(false), col("primary").and(lit(false))] {
        let steps = explained(&stored, &test, bytes(), false);
        assert!(!steps.contains("DataSourceExec"), "{steps}");
    }
    let steps = explained(&stored, &lit(true), bytes(), false);
    assert!(
        steps.contains("DataSourceExec") && !steps.contains("FilterExec"),
        "{steps}"
    );
}

#[test]
fn columns_are_read_that_are_needed_and_no_others() {
    let stored = stored();
    let test = col("dst_port").eq(lit(443_u16));
    let steps = explained(&stored, &test, bytes(), false);
    assert!(steps.contains("projection=[bytes, dst_port]"), "{steps}");
    // The reader asks for the port before it reads the bytes.
    let steps = explained(&stored, &test, bytes(), true);
    assert!(steps.contains("projection=[bytes], "), "{steps}");
    let of_memory = steps.matches("FilterExec").count();
    assert_eq!(of_memory, 1, "{steps}");
    assert!(
        steps.contains("required_guarantees=[dst_port in (443)]"),
        "{steps}"
    );
}

#[test]
fn comparisons_are_asked_before_functions_are_called() {
    let stored = stored();
    let test = costly().and(col("dst_port").eq(lit(443_u16)));
    let steps = explained(&stored, &test, bytes(), false);
    let asked = steps
        .lines()
        .filter(|line| line.contains("FilterExec: dst_port@"));
    assert_eq!(asked.count(), 2, "{steps}");
}

#[test]
fn a_condition_on_which_several_columns_depend_is_found_out_once() {
    let stored = stored();
    let condition = costly();
    let of = |yes: Expr, no: Expr, name| when(condition.clone(), yes).otherwise(no).unwrap().alias(name);
    let nothing = || lit(0_u64);
    let columns = vec![
        of(col("bytes"), nothing(), "s0"),
        of(nothing(), col("bytes"), "s1"),
    ];
    let steps = explained(&stored, &lit(true), columns, false);
    // Of segments, and of rows in memory.
    assert_eq!(steps.matches("costly(").count(), 2, "{steps}");
}

#[test]
fn segments_are_not_read_for_what_is_beyond_the_first_rows() {
    let stored = stored();
    let view = stored.reader.view(ALL);
    let columns = vec![col("time"), col("src_id")];
    let part = Part::new(SegmentScan::facts(view.raw, Vec::new()), &lit(true), columns);
    let options = SortOptions {
        descending: true,
        nulls_first: false,
    };
    let plan = Plan::First {
        parts: vec![part],
        order: vec![("time".to_owned(), options), ("src_id".to_owned(), options)],
        fetch: 3,
    };
    let steps = plan.steps(&context(true)).unwrap();
    let steps = DisplayableExecutionPlan::new(steps.as_ref())
        .indent(false)
        .to_string();
    let reads = steps.lines().find(|line| line.contains("DataSourceExec"));
    assert!(reads.unwrap().contains("DynamicFilter"), "{steps}");
    assert!(steps.contains("fetch=3"), "{steps}");
}

#[tokio::test]
async fn large_segments_are_divided_among_threads_and_each_row_is_read_once() {
    let stored = stored();
    let raw = stored.reader.view(ALL).raw;
    let mut sums = Vec::new();
    for least in [1, 10 << 20] {
        let mut options = ConfigOptions::new();
        options.optimizer.repartition_file_min_size = least;
        let context = ScanContext {
            options: Arc::new(options),
            threads: 3,
            ..context(false)
        };
        let plan = Plan::Groups {
            parts: vec![Part::new(
                SegmentScan::facts(raw[..2].to_vec(), Vec::new()),
                &lit(true),
                bytes(),
            )],
            keys: Vec::new(),
            added: vec![Aggregation {
                function: sum(),
                args: vec!["s0".to_owned()],
                name: "s0".to_owned(),
            }],
        };
        let steps = plan.steps(&context).unwrap();
        let shown = DisplayableExecutionPlan::new(steps.as_ref())
            .indent(false)
            .to_string();
        let groups = if least == 1 { "3 groups" } else { "2 groups" };
        assert!(shown.contains(groups), "{shown}");
        let rows = collect(steps, Arc::default()).await.unwrap();
        sums.push(rows[0].column(0).as_primitive::<UInt64Type>().value(0));
    }
    assert!(sums[0] > 0);
    assert_eq!(sums[0], sums[1]);
}

#[tokio::test]
async fn an_answer_is_the_same_on_any_number_of_threads() {
    let stored = stored();
    let engine = Embedded::new(stored.reader.clone());
    let at = |micros| Moment::At(jiff::Timestamp::from_microsecond(micros).unwrap());
    for group_by in [&["ns", "dst_port"][..], &[]] {
        let question = Question {
            since: Since(at(0)),
            until: Until(at(4_000_000_000_000_000)),
            group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
            raw_only: true,
            ..Question::default()
        };
        let mut answers = Vec::new();
        for threads in [1, 2, 3, 8] {
            let limits = Limits {
                threads,
                ..Limits::default()
            };
            let answer = engine.answer(&question, &limits).await.unwrap();
            answers.push((answer.rows.json(), answer.totals.json()));
        }
        assert!(!answers[0].0.is_empty());
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}
