//! Clients that take their time.

use super::*;

#[tokio::test]
async fn a_preface_that_takes_its_time_leaves_none_for_what_follows() {
    let gateway = gateway!(get("/", async || "hello"));
    let server = serve_with(gateway, |server| {
        server
            .http2_streams(100)
            .header_timeout(Duration::from_secs(2))
    })
    .await;
    let stalls = [
        (&PREFACE[..1], &b"OST / HTTP/1.1\r\nhost: te"[..]),
        (&PREFACE[..10], &PREFACE[10..]),
    ];
    let waits = stalls.map(async |(first, second)| {
        let mut stream = server.tcp().await;
        let start = Instant::now();
        stream.write_all(first).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1800)).await;
        stream.write_all(second).await.unwrap();
        let mut told = false;
        while let Ok(1..) = soon(stream.read(&mut [0; 1024])).await {
            told = true;
            // The server says good-bye in HTTP/2, and waits a second for the answer.
            if start.elapsed() > Duration::from_millis(1900) {
                break;
            }
        }
        assert_eq!(told, first.len() > 1);
        let took = start.elapsed();
        assert!(took < Duration::from_millis(3000), "{first:?}: {took:?}");
    });
    futures_util::future::join_all(waits).await;
}

// Long: one case for each place where a client may stop.
#[tokio::test]
async fn a_socket_without_a_stream_is_closed_after_the_header_timeout() {
    let gateway = gateway!(
        get("/", async || "hello"),
        channel("/echo", async |text: Text| text)
    );
    let server = serve_with(gateway, |server| {
        server
            .http2_streams(100)
            .header_timeout(Duration::from_millis(300))
            .keep_alive_timeout(Duration::from_millis(300))
    })
    .await;
    let stalls: [(&str, Vec<u8>); 6] = [
        ("nothing", Vec::new()),
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface", PREFACE.to_vec()),
        ("settings", [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()),
        (
            "half of the headers",
            [
                PREFACE,
                &frame(SETTINGS, 0, 0, &[]),
                &frame(HEADERS, END_STREAM, 1, GET),
            ]
            .concat(),
        ),
        (
            "a request, and then nothing",
            [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1)].concat(),
        ),
    ];
    let waits = stalls.map(async |(what, bytes)| {
        let mut stream = server.tcp().await;
        stream.write_all(&bytes).await.unwrap();
        let start = Instant::now();
        let mut told = false;
        if what.contains("preface") || what == "nothing" {
            let _ = soon(stream.read_to_end(&mut Vec::new())).await;
        } else {
            let mut answered = false;
            while let Some((kind, _, id, _)) = soon(read(&mut stream)).await {
                answered |= kind == DATA && id == 1;
                told |= kind == GOAWAY;
                if answered && told {
                    // No answer is owed any more; the server only waits for the client to close.
                    break;
                }
            }
            assert!(told, "{what}");
            assert_eq!(answered, what.contains("request"), "{what}");
        }
        let took = start.elapsed();
        assert!(took > Duration::from_millis(250), "{what}: {took:?}");
        assert!(
            took < Duration::from_millis(300 + 1000 + 500),
            "{what}: {took:?}"
        );
    });
    let mut calm = server.connect("/echo").await;
    let asking = async { assert_eq!(calm.ask("hello").await, "hello") };
    futures_util::future::join(futures_util::future::join_all(waits), asking).await;
}

#[tokio::test]
async fn a_stream_that_was_on_its_way_when_the_socket_was_to_be_closed_is_served() {
    // Longer than the last answer of a closing socket may take.
    let gateway = gateway!(get("/", async || {
        tokio::time::sleep(Duration::from_millis(1300)).await;
    }));
    let limit = Duration::from_millis(50);
    let server = serve_with(gateway, |server| {
        server.http2_streams(10).header_timeout(limit)
    })
    .await;
    let mut stream = open(&server).await;
    while soon(read(&mut stream)).await.unwrap().0 != GOAWAY {}
    stream.write_all(&get(1)).await.unwrap();
    loop {
        let frame = soon(read(&mut stream)).await;
        let (kind, _, id, _) = frame.expect("the socket is open");
        if kind == HEADERS {
            assert_eq!(id, 1);
            break;
        }
    }
}
