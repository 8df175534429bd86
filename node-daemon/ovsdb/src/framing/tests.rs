use super::*;
use crate::value::tests::json_values;
use proptest::prelude::*;
use serde_json::{Value, json};

fn objects() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(
        (any::<String>(), json_values()).prop_map(|(k, v)| json!({k: v})),
        0..5,
    )
}

fn split(stream: &[u8], sizes: &[usize]) -> Vec<Value> {
    let mut splitter = Splitter::new(Splitter::DEFAULT_LIMIT);
    let (mut rest, mut sizes, mut found) = (stream, sizes.iter().cycle(), Vec::new());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        splitter.push(now);
        while let Some(message) = splitter.next_message().unwrap() {
            found.push(serde_json::from_slice(&message).unwrap());
        }
        rest = later;
    }
    found
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
        objects in objects(),
        sizes in prop::collection::vec(1_usize..40, 1..8),
        gap in "[ \n\t\r]{0,3}",
    ) {
        let stream: String = objects.iter().map(|object| format!("{object}{gap}")).collect();
        prop_assert_eq!(split(stream.as_bytes(), &sizes), objects);
    }

    #[test]
    fn no_bytes_make_it_panic(chunks in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let mut splitter = Splitter::new(64);
        for chunk in chunks {
            splitter.push(&chunk);
            while let Ok(Some(message)) = splitter.next_message() {
                let _ = crate::rpc::Message::parse(&message);
            }
        }
    }
}

#[test]
fn brackets_and_quotes_in_strings_do_not_count() {
    let stream = br#"{"a":"}]\"{\\"}{"b":[{}]}"#;
    assert_eq!(split(stream, &[3]), [json!({"a": "}]\"{\\"}), json!({"b": [{}]})]);
}

#[test]
fn a_message_of_the_largest_size_passes_and_one_byte_more_does_not() {
    let message = br#"{"a":1}"#;
    let mut exact = Splitter::new(message.len());
    exact.push(message);
    assert_eq!(exact.next_message().unwrap().unwrap(), message);

    let mut short = Splitter::new(message.len() - 1);
    short.push(message);
    assert_eq!(
        short.next_message(),
        Err(FramingError::TooLarge {
            limit: message.len() - 1
        })
    );
}

#[test]
fn an_endless_message_is_refused_before_it_ends() {
    let mut splitter = Splitter::new(8);
    splitter.push(b"{\"aaaaaaaaaaaa");
    assert_eq!(splitter.next_message(), Err(FramingError::TooLarge { limit: 8 }));
}

#[test]
fn a_stream_that_does_not_begin_with_an_object_is_refused() {
    for stream in ["HTTP/1.1 400", "[1]", "\"x\"", "}"] {
        let mut splitter = Splitter::new(100);
        splitter.push(stream.as_bytes());
        assert_eq!(
            splitter.next_message(),
            Err(FramingError::NotAnObject(stream.as_bytes()[0])),
            "{stream}"
        );
    }
}
