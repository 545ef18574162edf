//! The routes of management: a table, and what each of them does.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{MethodFilter, any, on},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::BoxFuture;
use http::{StatusCode, header};
use serde::Serialize;

use super::{
    Management,
    answers::{Refused, done, json, of_all, published, stored},
    asks::Asks,
};
use crate::{
    KeptMessage, Member, NodeId, NodeInfo, Page, Position, Presence,
    connection::registry::info::GroupSize,
};

/// The description of all this for programs; a test compares it with the table.
const DOCUMENT: &str = include_str!("openapi.json");

type Answer = fn(Asks) -> BoxFuture<'static, Result<Response, Refused>>;

macro_rules! routes {
    ($($method:ident $path:literal => $answer:ident,)*) => {
        /// What is asked, where, and who answers.
        const ROUTES: &[(MethodFilter, &str, &str, Answer)] = &[
            $((MethodFilter::$method, stringify!($method), $path, |asks| Box::pin($answer(asks))),)*
        ];
    };
}

routes! {
    GET "/v1/info" => info,
    GET "/v1/groups" => groups,
    POST "/v1/groups/{group}/publish" => publish,
    GET "/v1/groups/{group}/history" => history,
    GET "/v1/groups/{group}/presence" => group_presence,
    PUT "/v1/groups/{group}/users/{user}" => put_in,
    DELETE "/v1/groups/{group}/users/{user}" => take_out,
    GET "/v1/connections/{connection}" => connection,
    POST "/v1/connections/{connection}" => send,
    DELETE "/v1/connections/{connection}" => close,
    GET "/v1/users/{user}" => user_presence,
    POST "/v1/users/{user}" => send_to_user,
    DELETE "/v1/users/{user}" => close_user,
    GET "/v1/openapi.json" => document,
}

pub(super) fn router(management: Arc<Management>) -> Router {
    let mut router = Router::new();
    for (filter, _, path, answer) in ROUTES {
        let (management, answer) = (Arc::clone(&management), *answer);
        let handler = async move |req: Request| answered(&management, answer, req).await;
        router = router.route(path, on(*filter, handler));
    }
    let nothing = |status, code: &'static str, message: &'static str| {
        let management = Arc::clone(&management);
        async move |req: Request| match management.keys.admit(req.headers()) {
            Ok(()) => Refused::new(status, code, message),
            Err(refused) => refused.into(),
        }
    };
    let no_path = nothing(StatusCode::NOT_FOUND, "not_found", "there is nothing here");
    let no_method = nothing(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this is not done here",
    );
    router
        .method_not_allowed_fallback(no_method)
        .route("/v1", any(no_path.clone()))
        .route("/v1/{*rest}", any(no_path))
}

async fn answered(management: &Management, answer: Answer, req: Request) -> Response {
    let answered = async {
        management.keys.admit(req.headers())?;
        answer(Asks::of(management, req).await?).await
    };
    answered.await.unwrap_or_else(Refused::into_response)
}

#[derive(Serialize)]
struct Nodes {
    nodes: Vec<NodeInfo>,
    silent: Vec<NodeId>,
}

async fn info(asks: Asks) -> Result<Response, Refused> {
    let all = asks.registry.nodes().await;
    let body = Nodes {
        nodes: all.nodes,
        silent: all.silent,
    };
    of_all(all.elsewhere, &body.silent, StatusCode::OK, &body)
}

#[derive(Serialize)]
struct Groups {
    groups: Vec<GroupSize>,
    next: Option<String>,
    silent: Vec<NodeId>,
}

async fn groups(asks: Asks) -> Result<Response, Refused> {
    let (prefix, after) = (asks.prefix().to_owned(), asks.after().map(str::to_owned));
    let all = asks
        .registry
        .groups_everywhere(prefix, after, asks.limit()?)
        .await;
    let body = Groups {
        groups: all.groups,
        next: all.next,
        silent: all.silent,
    };
    of_all(all.elsewhere, &body.silent, StatusCode::OK, &body)
}

async fn publish(asks: Asks) -> Result<Response, Refused> {
    let (message, key) = asks.keyed_message()?;
    let group = asks.registry.group(asks.name(0));
    if let Some(key) = key {
        return stored(group.publish_once(key, message).await);
    }
    let is_kept = asks.registry.kept(group.name()).is_some();
    let outcome = group.publish(message).await;
    match is_kept {
        true => stored(outcome),
        false => Ok(published(outcome.here.sent, outcome.elsewhere)),
    }
}

#[derive(Serialize)]
struct History {
    messages: Vec<HistoryMessage>,
    recovered: bool,
    first: Option<Position>,
    position: Position,
    next: Option<Position>,
}

#[derive(Serialize)]
struct HistoryMessage {
    position: Position,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Text(String),
    Base64(String),
}

impl From<KeptMessage> for HistoryMessage {
    fn from(kept: KeptMessage) -> Self {
        Self {
            position: kept.position,
            content: match kept.message.as_text() {
                Some(text) => Content::Text(text.to_owned()),
                None => Content::Base64(STANDARD.encode(kept.message.as_bytes())),
            },
        }
    }
}

async fn history(asks: Asks) -> Result<Response, Refused> {
    let group = asks.registry.group(asks.name(0));
    let page = group.history(asks.since()?, asks.limit()?).await;
    let page = page.map_err(Refused::unread)?;
    let body = History {
        messages: page.messages.into_iter().map(Into::into).collect(),
        recovered: page.recovered,
        first: page.first,
        position: page.position,
        next: page.next,
    };
    Ok(json(StatusCode::OK, &body))
}

#[derive(Serialize)]
struct Members {
    members: Vec<Member>,
    total: usize,
    next: Option<String>,
    silent: Vec<NodeId>,
}

fn page(asks: &Asks) -> Result<Page, Refused> {
    let page = Page::of(asks.limit()?);
    match asks.after().map(str::parse) {
        None => Ok(page),
        Some(Ok(after)) => Ok(page.after(after)),
        Some(Err(_)) => Err(Refused::bad_request("`after` is a `next` of an answer")),
    }
}

fn present(present: Presence) -> Result<Response, Refused> {
    let next = present.next.and_then(|page| page.begins_after());
    let body = Members {
        members: present.members,
        total: present.total,
        next: next.map(|after| after.to_string()),
        silent: present.silent,
    };
    of_all(present.elsewhere, &body.silent, StatusCode::OK, &body)
}

async fn group_presence(asks: Asks) -> Result<Response, Refused> {
    let page = page(&asks)?;
    present(asks.registry.group(asks.name(0)).presence(page).await)
}

async fn user_presence(asks: Asks) -> Result<Response, Refused> {
    let page = page(&asks)?;
    present(asks.registry.user(asks.name(0)).presence(page).await)
}

#[derive(Serialize)]
struct Done {
    connections: usize,
    silent: Vec<NodeId>,
}

fn everywhere(all: crate::Everywhere) -> Result<Response, Refused> {
    let body = Done {
        connections: all.connections,
        silent: all.silent,
    };
    of_all(all.elsewhere, &body.silent, StatusCode::ACCEPTED, &body)
}

async fn put_in(asks: Asks) -> Result<Response, Refused> {
    everywhere(asks.registry.user(asks.name(1)).join(asks.name(0)).await)
}

async fn take_out(asks: Asks) -> Result<Response, Refused> {
    everywhere(asks.registry.user(asks.name(1)).leave(asks.name(0)).await)
}

async fn connection(asks: Asks) -> Result<Response, Refused> {
    let info = asks.registry.connection(asks.address()?).info().await?;
    Ok(json(StatusCode::OK, &info))
}

async fn send(asks: Asks) -> Result<Response, Refused> {
    let message = asks.message()?;
    done(
        asks.registry
            .connection(asks.address()?)
            .send(message)
            .await,
    )
}

async fn close(asks: Asks) -> Result<Response, Refused> {
    let close = asks.close()?;
    done(asks.registry.connection(asks.address()?).close(close).await)
}

async fn send_to_user(asks: Asks) -> Result<Response, Refused> {
    let message = asks.message()?;
    let outcome = asks.registry.user(asks.name(0)).publish(message).await;
    Ok(published(outcome.here.sent, outcome.elsewhere))
}

async fn close_user(asks: Asks) -> Result<Response, Refused> {
    let close = asks.close()?;
    everywhere(
        asks.registry
            .user(asks.name(0))
            .close_and_count(close)
            .await,
    )
}

async fn document(_asks: Asks) -> Result<Response, Refused> {
    Ok(([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_has_what_is_answered_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let documented: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, operations)| {
                let methods = operations.as_object().expect("operations").keys();
                let methods = methods.filter(|name| *name != "parameters");
                methods.map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let answered = ROUTES
            .iter()
            .map(|(_, method, path, _)| ((*method).to_owned(), (*path).to_owned()));
        assert_eq!(documented, answered.collect());
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
