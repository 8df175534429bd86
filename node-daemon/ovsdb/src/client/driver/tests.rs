use super::*;
use tokio::io::BufWriter;

#[tokio::test]
async fn bytes_that_the_stream_holds_back_are_flushed_out() {
    let (near, mut far) = tokio::io::duplex(64);
    let stream: Stream = Box::new(BufWriter::with_capacity(64, near));
    let (reader, mut writer) = tokio::io::split(stream);
    let mut outgoing = Outgoing::default();
    outgoing.bytes.extend(0..40_u8);
    while outgoing.is_pending() {
        let count = outgoing.advance(&mut writer).await.unwrap();
        outgoing.advanced(count);
    }
    // What is not flushed by now is lost.
    drop((reader, writer));
    let mut received = [0; 40];
    far.read_exact(&mut received).await.unwrap();
    assert_eq!(received.to_vec(), (0..40).collect::<Vec<u8>>());
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_an_error_not_an_endless_loop() {
    let (near, far) = tokio::io::duplex(64);
    drop(far);
    let (_, mut writer) = tokio::io::split(Box::new(near) as Stream);
    let mut outgoing = Outgoing::default();
    outgoing.bytes.push_back(1);
    assert!(outgoing.advance(&mut writer).await.is_err());
}
