use super::*;

async fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let request = axum::http::Request::get(format!("/?{query}")).body(()).unwrap();
    let (mut parts, ()) = request.into_parts();
    Params::from_request_parts(&mut parts, &())
        .await
        .map(|Params(params)| params)
}

#[tokio::test]
async fn a_question_may_leave_everything_out_and_gets_the_top_twenty() {
    let params: QueryParams = read("").await.unwrap();
    let (question, format) = params.into_question().unwrap();
    let expected = Question {
        top: Some(20),
        ..Question::default()
    };
    assert_eq!((question, format), (expected, None));
}

#[tokio::test]
async fn lists_are_written_with_commas() {
    let params: QueryParams = read("group_by=ns,%20dst_ns&measures=flows&by=packets&format=csv&top=3")
        .await
        .unwrap();
    let (question, format) = params.into_question().unwrap();
    assert_eq!(question.group_by, ["ns", "dst_ns"]);
    assert_eq!(
        (question.measures, question.by),
        (vec![Measure::Flows], Measure::Packets)
    );
    assert_eq!((question.top, format), (Some(3), Some(Format::Csv)));
}

#[tokio::test]
async fn what_carries_a_part_of_all_is_not_cut_at_twenty() {
    let params: QueryParams =
        read("cover=99%25&compare=1d&bucket=1w&zone=UTC&measures=p95_bytes,distinct_src_addr")
            .await
            .unwrap();
    let (question, _) = params.into_question().unwrap();
    assert_eq!(question.top, Some(MOST_GROUPS));
    assert_eq!(question.cover, Some("0.99".parse().unwrap()));
    assert_eq!(question.compare, Some("1d".parse().unwrap()));
    assert_eq!(
        (question.bucket, question.zone),
        (Some(Bucket::Weeks(1)), Some("UTC".parse().unwrap()))
    );
    let measures: Vec<String> = question.measures.iter().map(ToString::to_string).collect();
    assert_eq!(measures, ["p95_bytes", "distinct_addr"]);
    let params: FlowsParams = read("order=duration&both_directions=true").await.unwrap();
    let (request, _) = params.into_request();
    assert_eq!(request.order, Order::Largest(weir_query::Quantity::Duration));
    assert!(request.both_directions);
}

#[tokio::test]
async fn lists_may_come_one_word_at_a_time_and_nothing_else_may_come_twice() {
    let params: FlowsParams = read("columns=ns&limit=5&columns=zone,%20port").await.unwrap();
    assert_eq!(
        (params.columns.0, params.limit),
        (["ns", "zone", "port"].map(str::to_owned).to_vec(), Some(5))
    );
    assert!(read::<FlowsParams>("columns=ns&columns=").await.is_err());
    assert!(
        read::<FlowsParams>("columns=ns&columns=zone&limit=1&limit=2")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    for (query, word) in [
        ("filer=x", "filer"),
        ("limit=0", "10000"),
        ("columns=", "empty word"),
        ("columns=ns,,zone", "empty word"),
        ("limit=x", "invalid digit"),
        ("limit=10001", "10000"),
        ("since=yesterday", "yesterday"),
        ("order=up", "newest, oldest"),
        ("both_directions=yes", "provided string was not"),
        ("format=xml", "xml"),
        ("limit=1&limit=2", "limit"),
        ("all_observations=1", "provided string was not"),
    ] {
        let problem = read::<FlowsParams>(query).await.unwrap_err();
        assert_eq!(problem.status, 400);
        assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
    }
    assert!(
        read::<ValuesParams>("")
            .await
            .unwrap_err()
            .detail
            .contains("field")
    );
    assert!(read::<TailParams>("seconds=601").await.is_err());
    for (query, word) in [
        ("top=50001", "50000"),
        ("cover=1.5", "0.99"),
        ("bucket=1", "1d or 1w"),
        ("zone=Mars", "Europe/Berlin"),
        ("compare=yesterday", "previous"),
        ("by=octets", "distinct_"),
    ] {
        let problem = read::<QueryParams>(query).await.unwrap_err();
        assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
    }
}
