//! Each request by curl, which fails for the statuses of errors.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs curl: run tests/run"]
async fn curl_fails_for_no_request() {
    const KEY: &str = "0123456789abcdef";
    let mut managed = Managed::with(&Cluster::memory(), |management| management.key(KEY)).await;
    managed.key = Some(KEY);
    let _ada = managed.client("ada", "room").await;
    let present = managed.get(PRESENCE, "/v1/groups/room/presence").await.ok();
    let address = present["members"][0]["connection"]
        .as_str()
        .expect("an address");
    let connection = format!("/v1/connections/{address}");
    let requests = [
        ("GET", "/v1/info"),
        ("GET", "/v1/groups?prefix=r&limit=10"),
        ("POST", "/v1/groups/room/publish"),
        ("POST", "/v1/groups/kept:a/publish"),
        ("GET", "/v1/groups/kept:a/history?limit=10"),
        ("GET", "/v1/groups/room/presence"),
        ("PUT", "/v1/groups/news/users/ada"),
        ("DELETE", "/v1/groups/news/users/ada"),
        ("GET", &connection),
        ("POST", &connection),
        ("GET", "/v1/users/ada"),
        ("POST", "/v1/users/ada"),
        ("GET", "/v1/openapi.json"),
        ("DELETE", &format!("{connection}?code=4000&reason=bye")),
        ("DELETE", "/v1/users/ada"),
    ];
    for (method, path) in requests {
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--request", method]);
        curl.args(["--header", &format!("authorization: Bearer {KEY}")]);
        if method == "POST" {
            curl.args(["--data", "hello"]);
        }
        if path.starts_with("/v1/groups/kept:") {
            curl.args(["--header", "idempotency-key: 8e03978e"]);
        }
        let output = curl.arg(format!("http://{}{path}", managed.admin)).output();
        let output = soon(output)
            .await
            .expect("curl is installed: run tests/run");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{method} {path}: {complaint}");
    }
}
