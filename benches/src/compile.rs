//! The cost of compiling a declaration: `cargo check` of 200 routes with four middlewares, declared with `gateway!`,
//! compared with nested functions around a `match`, with the same routes in sets of several modules, and with the same
//! declaration when the cargo feature `schema` describes it.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{compare::target_dir, load::process, median::median, verdict::verdict};

const ROUTES: usize = 200;
const MODULES: usize = 8;
/// The maximum cost of the declaration, as a multiple of the cost of the handwritten code.
const BAR: f64 = 2.0;
/// The maximum cost of sets in modules, as a multiple of the cost of the declaration in one place.
const BAR_OF_MODULES: f64 = 1.15;
/// The maximum cost of the declaration with the cargo feature `schema`, as a multiple of the cost without.
const BAR_OF_SCHEMA: f64 = 1.15;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The file to append the row of the bar to.
    #[arg(long)]
    bars: Option<PathBuf>,
}

pub(crate) fn main(args: &Args) -> Result<(), String> {
    let target = target_dir()?.join("compile");
    let projects = [
        Project::new(&target, "declared", &[], &declared())?,
        Project::new(&target, "modules", &[], &modules())?,
        Project::new(&target, "described", &["schema"], &declared())?,
        Project::new(&target, "by-hand", &[], &by_hand())?,
        Project::new(&target, "functions", &[], &functions())?,
    ];
    for project in &projects {
        project.check()?;
    }
    let mut seconds = [const { Vec::new() }; 5];
    for round in 1..=args.rounds {
        for (project, seconds) in projects.iter().zip(&mut seconds) {
            eprintln!("round {round} of {}: {}", args.rounds, project.name);
            seconds.push(project.check()?);
        }
    }
    let [declared, modules, described, by_hand, functions] =
        seconds.map(|rounds| median(rounds).unwrap_or_default());
    let (ratio, of_modules, of_schema) =
        (declared / by_hand, modules / declared, described / declared);
    println!(
        "## `cargo check` of {ROUTES} routes with four middlewares\n\n\
         Processor time without dependencies, cargo's own included; median of {} interleaved rounds.\n\n\
         | | seconds | |\n|---|---|---|\n\
         | declared with `gateway!` | {declared:.2} | ({ratio:.2}) |\n\
         | the same in sets of {MODULES} modules | {modules:.2} | ({:.2}) |\n\
         | the same with the feature `schema` | {described:.2} | ({:.2}) |\n\
         | nested functions and a `match` | {by_hand:.2} | (1.00) |\n\
         | the {ROUTES} functions alone | {functions:.2} | ({:.2}) |\n",
        args.rounds,
        modules / by_hand,
        described / by_hand,
        functions / by_hand,
    );
    let Some(path) = &args.bars else {
        return Ok(());
    };
    let row = format!(
        "| `cargo check` of {ROUTES} routes with 4 middlewares | `gateway!` | {BAR:.2} x nested functions and a \
         `match` | {ratio:.2} | {} |\n\
         | `cargo check` of {ROUTES} routes in {MODULES} modules | `routes!` | {BAR_OF_MODULES:.2} x the same in one \
         `gateway!` | {of_modules:.2} | {} |\n\
         | `cargo check` of {ROUTES} routes with the feature `schema` | `gateway!` | {BAR_OF_SCHEMA:.2} x without | \
         {of_schema:.2} | {} |\n",
        verdict(ratio, BAR),
        verdict(of_modules, BAR_OF_MODULES),
        verdict(of_schema, BAR_OF_SCHEMA),
    );
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, row.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

struct Project {
    name: &'static str,
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    fn new(
        target: &Path,
        name: &'static str,
        features: &[&str],
        code: &str,
    ) -> Result<Self, String> {
        let root = target.join(name);
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\nwasabi = {{ path = {:?}, features = {features:?} }}\n\n[workspace]\n",
            workspace.join("wasabi")
        );
        let write = || {
            fs::create_dir_all(root.join("src"))?;
            fs::write(root.join("Cargo.toml"), manifest)?;
            fs::copy(workspace.join("Cargo.lock"), root.join("Cargo.lock"))?;
            fs::write(root.join("src/lib.rs"), code)
        };
        write().map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(Self {
            name,
            root,
            target: target.join("target"),
        })
    }

    /// Checks the project (the first time with its dependencies); returns the processor time in seconds.
    fn check(&self) -> Result<f64, String> {
        let source = self.root.join("src/lib.rs");
        let touched = fs::read(&source).and_then(|code| fs::write(&source, code));
        touched.map_err(|error| format!("{}: {error}", source.display()))?;
        let before = process::children_cpu_us();
        let status = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["check", "--quiet", "--manifest-path"])
            .arg(self.root.join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", &self.target)
            // Measures a full check, not one after a small change.
            .env("CARGO_INCREMENTAL", "0")
            .stdin(Stdio::null())
            .status()
            .map_err(|error| format!("cargo cannot be started: {error}"))?;
        match status.success() {
            true => Ok((process::children_cpu_us() - before) / 1e6),
            false => Err(format!("{} does not compile", self.name)),
        }
    }
}

/// The functions behind the routes, the same in both variants.
fn functions() -> String {
    let mut code = String::from(
        "#![allow(unused_imports)]\n\nuse wasabi::{Error, prelude::*};\n\npub struct Order(pub String);\n\n\
         impl Order {\n    fn answer(&self, route: u32) -> String {\n        format!(\"{route}: {}\", self.0)\n    }\n}\n\n",
    );
    for route in 0..ROUTES {
        let _ = writeln!(
            code,
            "pub async fn route_{route:03}(text: Text) -> Text {{\n    Order(text.to_string()).answer({route}).into()\n}}\n"
        );
    }
    code
}

fn declared() -> String {
    let mut code = functions() + &layers();
    code += &before_routes("");
    for route in 0..ROUTES {
        let _ = writeln!(
            code,
            "            \"route.{route:03}\" => route_{route:03},"
        );
    }
    code + AFTER_ROUTES
}

/// The same in modules, each with a set of the routes.
fn modules() -> String {
    let mut code = functions() + &layers();
    let mut sets = Vec::new();
    for module in 0..MODULES {
        let _ = writeln!(
            code,
            "mod part_{module} {{\n    use super::*;\n\n    pub fn routes() -> impl Routes {{\n        \
             routes!(match key {{"
        );
        for route in (0..ROUTES).filter(|route| route % MODULES == module) {
            let _ = writeln!(
                code,
                "            \"route.{route:03}\" => route_{route:03},"
            );
        }
        code += "        })\n    }\n}\n\n";
        sets.push(format!("part_{module}::routes()"));
    }
    code += &before_routes(&format!("routes = [{}],\n        ", sets.join(", ")));
    code + AFTER_ROUTES
}

fn layers() -> String {
    let mut code = String::new();
    for layer in 0..4 {
        let _ = writeln!(
            code,
            "#[middleware]\nasync fn layer_{layer}(req: Request, next: impl Next) -> Result<Reply> {{\n    \
             if req.key().is_empty() {{\n        return Err(Error::new(\"no_key\", \"a key is needed\"));\n    }}\n    \
             next.run(req).await\n}}\n"
        );
    }
    code
}

fn before_routes(setting: &str) -> String {
    format!(
        "pub fn gateway() -> Gateway {{\n    gateway!(channel(\n        \"/\",\n        \
         parser = JsonKey::at(\"/action\"),\n        middleware = [layer_0, layer_1, layer_2, layer_3],\n        \
         {setting}match key {{\n"
    )
}

const AFTER_ROUTES: &str = "            _ => NoRoute,\n        },\n    ))\n}\n";

fn by_hand() -> String {
    let mut code = functions();
    for layer in 0..4 {
        let next = match layer {
            3 => "route".to_owned(),
            _ => format!("layer_{}", layer + 1),
        };
        let _ = writeln!(
            code,
            "async fn layer_{layer}(req: Request) -> Result<Reply> {{\n    \
             if req.key().is_empty() {{\n        return Err(Error::new(\"no_key\", \"a key is needed\"));\n    }}\n    \
             {next}(req).await\n}}\n"
        );
    }
    code += "fn text(req: &Request) -> Result<Text> {\n    match req.message() {\n        \
             Message::Text(text) => Ok(text.clone()),\n        \
             _ => Err(Error::new(\"bad_request\", \"a text is needed\")),\n    }\n}\n\n\
             async fn route(req: Request) -> Result<Reply> {\n    match req.key() {\n";
    for route in 0..ROUTES {
        let _ = writeln!(
            code,
            "        \"route.{route:03}\" => Ok(Reply::message(route_{route:03}(text(&req)?).await)),"
        );
    }
    code + "        _ => Err(Error::new(\"unknown_route\", \"no such route\")),\n    }\n}\n\n\
            struct Routes;\n\n\
            impl<S: Sync> Backend<S> for Routes {\n    \
            async fn call(&self, req: Request, _state: &S) -> Result<Reply> {\n        layer_0(req).await\n    }\n}\n\n\
            pub fn gateway() -> Gateway {\n    \
            gateway!(channel(\"/\", parser = JsonKey::at(\"/action\"), Routes))\n}\n"
}
