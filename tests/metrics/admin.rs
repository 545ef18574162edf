//! A server whose admin listener is scraped.

use std::{net::SocketAddr, time::Duration};

use metrics_exporter_prometheus::PrometheusRecorder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wasabi::{Admin, prelude::*};
use wasabi_tests::{TestServer, serve_with, soon};

/// A server whose metrics are those of this test, on whose thread everything runs.
pub(crate) struct Measured {
    pub(crate) server: TestServer,
    admin: SocketAddr,
}

impl Measured {
    pub(crate) async fn serve(
        recorder: &PrometheusRecorder,
        gateway: Gateway,
        change: impl FnOnce(Server) -> Server,
    ) -> Self {
        let handle = recorder.handle();
        let admin = Admin::bind("127.0.0.1:0").metrics(move || handle.render());
        let server = serve_with(gateway, |server| change(server.admin(admin))).await;
        let admin = server.handle.admin_addr().await.expect("an address");
        Self { server, admin }
    }

    pub(crate) async fn scrape(&self) -> String {
        let mut stream = soon(TcpStream::connect(self.admin))
            .await
            .expect("TCP connection");
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer))
            .await
            .expect("an answer");
        answer
    }

    /// The value of a metric, written with its labels.
    pub(crate) async fn value(&self, metric: &str) -> Option<f64> {
        let scraped = self.scrape().await;
        let mut lines = scraped.lines();
        let value = lines.find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '))?;
        Some(value.parse().expect("a number"))
    }

    /// Waits until a metric has this value.
    pub(crate) async fn shows(&self, metric: &str, value: f64) {
        let mut seen = None;
        for _ in 0..400 {
            seen = self.value(metric).await;
            if seen == Some(value) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let scraped = self.scrape().await;
        panic!("{metric} is {seen:?} and not {value} in\n{scraped}");
    }
}

pub(crate) fn no_change(server: Server) -> Server {
    server
}
