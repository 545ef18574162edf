//! The file compiled, and run against its gateway.

use std::{path::PathBuf, process::Command, sync::Arc};

use wasabi::prelude::*;
use wasabi_tests::{TestServer, serve};

use super::shop::{Shop, gateway};

fn tools() -> PathBuf {
    let tools = std::env::var_os("WASABI_TEST_TOOLS");
    PathBuf::from(tools.expect("WASABI_TEST_TOOLS is set by tests/run"))
}

/// The folder of the scripts.
fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("typescript")
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("wasabi-typescript-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a tool of npm prints.
fn npm(tool: &str, change: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(tools().join("node/node_modules/.bin").join(tool));
    change(&mut command);
    let output = command.output().expect("the tool runs");
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{errors}");
    out.into_owned()
}

fn esbuild(file: &std::path::Path) -> String {
    npm("esbuild", |command| {
        command.arg(file).arg("--minify").arg("--target=es2022");
    })
}

/// The options of the compiler that find most.
const STRICT: &str = r#"{
  "compilerOptions": {
    "strict": true, "noEmit": true, "target": "es2022", "module": "esnext", "moduleResolution": "bundler",
    "lib": ["es2022", "dom", "dom.iterable"], "types": [], "allowImportingTsExtensions": true,
    "exactOptionalPropertyTypes": true, "noUncheckedIndexedAccess": true, "noUnusedLocals": true,
    "noUnusedParameters": true, "noImplicitOverride": true, "noFallthroughCasesInSwitch": true,
    "erasableSyntaxOnly": true, "verbatimModuleSyntax": true, "isolatedModules": true
  }
}"#;

#[test]
#[ignore = "needs npm's typescript: run tests/run"]
fn the_strict_compiler_accepts_the_clients_and_refuses_what_they_do_not_promise() {
    let folder = Folder::new("types");
    folder.write("tsconfig.json", STRICT);
    folder.write("shop.ts", &gateway(Arc::default()).typescript());
    for (name, from) in [
        ("trading.ts", "../../examples/asyncapi.ts"),
        ("trading_use.ts", "trading_use.ts"),
        ("shop_use.ts", "shop_use.ts"),
    ] {
        let text = std::fs::read_to_string(scripts().join(from)).expect("a file");
        folder.write(name, &text);
    }
    npm("tsc", |command| {
        command.arg("-p").arg(&folder.0);
    });
}

#[test]
#[ignore = "needs npm's esbuild: run tests/run"]
fn the_code_of_the_clients_is_at_most_4_kib_and_half_as_much_more_where_groups_are_followed() {
    let folder = Folder::new("size");
    let plain = gateway!(channel("/", async |text: Text| text));
    for (gateway, most) in [(plain, 4096), (gateway(Arc::default()), 6144)] {
        let file = gateway.typescript();
        let runtime = file.find("// The runtime:").expect("the runtime");
        let source = folder.write("runtime.ts", &file[runtime..]);
        let bytes = esbuild(&source).len();
        assert!(bytes <= most, "{bytes} bytes");
    }
}

/// Two servers that share a shop; the first one drains when it is asked to.
struct Shops {
    servers: [TestServer; 2],
    source: PathBuf,
    client: PathBuf,
    folder: Folder,
}

impl Shops {
    async fn open(name: &str) -> Self {
        let folder = Folder::new(name);
        let source = folder.write("client.ts", &gateway(Arc::default()).typescript());
        let script = esbuild(&source);
        let client = folder.write("client.mjs", &script);
        let shop = Arc::new(Shop {
            script,
            ..Shop::default()
        });
        let servers = [
            serve(gateway(shop.clone())).await,
            serve(gateway(shop.clone())).await,
        ];
        let _ = shop.handle.set(servers[0].handle.clone());
        Self {
            servers,
            source,
            client,
            folder,
        }
    }

    /// Runs a case of a script in Node.
    async fn run(self, script: &str, case: &str) {
        let client = self.client.clone();
        self.run_by(Command::new("node"), script, client, case)
            .await;
    }

    /// Runs a case in Deno, which takes the file as it is.
    async fn run_in_deno(self, case: &str) {
        let mut deno = Command::new(tools().join("node/node_modules/.bin/deno"));
        deno.args(["run", "--allow-all", "--no-config", "--no-lock", "--check"])
            .env("DENO_DIR", self.folder.0.join("deno"))
            .env("DENO_NO_UPDATE_CHECK", "1");
        let client = self.source.clone();
        self.run_by(deno, "node.mjs", client, case).await;
    }

    async fn run_by(self, mut runtime: Command, script: &str, client: PathBuf, case: &str) {
        runtime
            .arg(scripts().join(script))
            .arg(client)
            .args(
                self.servers
                    .each_ref()
                    .map(|server| server.addr.to_string()),
            )
            .arg(case);
        let run = tokio::task::spawn_blocking(move || runtime.output().expect("it runs"));
        let output = run.await.expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
    }
}

macro_rules! in_node_and_deno {
    ($($test:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs npm's esbuild and ws: run tests/run"]
            async fn $test() {
                Shops::open(stringify!($test)).await.run("node.mjs", stringify!($test)).await;
            }
        )*

        mod in_deno {
            use super::Shops;

            $(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs npm's esbuild and deno: run tests/run"]
                async fn $test() {
                    Shops::open(concat!("deno-", stringify!($test))).await.run_in_deno(stringify!($test)).await;
                }
            )*
        }
    };
}

in_node_and_deno! {
    requests_are_matched_by_id_and_errors_are_values
    unit_waits_for_no_reply_and_unasked_messages_are_events
    a_connection_that_is_cut_mid_request_says_that_it_may_have_been_carried_out
    only_a_connection_that_stays_makes_the_next_pauses_short_again
    what_may_be_carried_out_twice_is_sent_again
    closing_never_sends_an_order_again_and_1012_leads_to_the_next_server
    each_attempt_has_a_fresh_token_and_a_refused_one_is_not_silent
    leaving_a_stream_cancels_it
    deadlines_and_signals_end_what_waits
    calls_of_json_rpc_and_their_subscriptions_work
    a_group_is_followed_over_cut_connections_with_nothing_missing_and_nothing_double
    who_is_there_is_unsure_after_a_lost_connection
    what_is_kept_no_more_is_told_as_a_gap_and_a_server_without_the_history_as_well
    leaving_a_group_ends_it_at_the_gateway_and_it_can_be_followed_again
    a_group_goes_on_from_its_last_message_wherever_the_connection_ends
    what_only_looks_like_a_message_of_a_group_that_is_followed_is_an_event
    a_group_whose_gateway_does_not_answer_can_be_followed_again
    a_channel_without_keys_sends_and_gets_text
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and npm's esbuild and playwright-core: run tests/run"]
async fn chromium_asks_streams_and_connects_again_after_a_restart_and_a_401_does_not_stop_it_silently()
 {
    Shops::open("chromium")
        .await
        .run("browser.mjs", "page")
        .await;
}
