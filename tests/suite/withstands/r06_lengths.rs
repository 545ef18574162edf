//! R6: a forbidden length is answered at once, and an announced length is never allocated: see also `memory.rs`.

use tokio::io::AsyncWriteExt;
use wasabi::prelude::*;
use wasabi_tests::{raw, serve};

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

#[tokio::test]
async fn lengths_that_lie_are_answered_without_allocating_them() {
    let server = serve(echo()).await;
    for (length, code) in [(i64::MAX as u64, 1009), (u64::MAX, 1002), (1 << 63, 1002)] {
        let mut stream = raw::open(&server).await;
        let mut bytes = vec![0x82, 0xff];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(raw::close_code(&mut stream).await, code, "{length:x}");
    }
}
