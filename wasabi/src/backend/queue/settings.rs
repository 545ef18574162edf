//! The settings of a queue, applied to requests.

use std::{borrow::Cow, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{Error, Request, Result, mistakes::Mistakes, time::FOREVER};

/// The settings of a queue.
#[derive(Clone)]
pub(super) struct QueueSettings {
    pub(super) topic: Topic,
    pub(super) headers: Vec<(&'static str, HeaderFn)>,
    pub(super) timeout: Duration,
    pub(super) publish_timeout: Duration,
    pub(super) max_pending: usize,
    pub(super) max_reply_size: usize,
    pub(super) expects_reply: bool,
    pub(super) mistakes: Mistakes,
}

/// Where the messages go.
#[derive(Clone)]
pub(super) enum Topic {
    Fixed(Cow<'static, str>),
    Of(Arc<dyn Fn(&Request) -> String + Send + Sync>),
}

type HeaderFn = Arc<dyn Fn(&Request) -> String + Send + Sync>;

impl QueueSettings {
    pub(super) fn new(topic: Cow<'static, str>) -> Self {
        Self {
            topic: Topic::Fixed(topic),
            headers: Vec::new(),
            timeout: wasabi_rules::UPSTREAM_TIMEOUT,
            publish_timeout: Duration::from_secs(5),
            max_pending: 10_000,
            max_reply_size: 1024 * 1024,
            expects_reply: true,
            mistakes: Mistakes::default(),
        }
    }

    /// The deadline for publishing a request that arrived at this time.
    pub(super) fn publish_by(&self, came: Instant) -> Instant {
        came + self.publish_timeout.min(self.timeout).min(FOREVER)
    }

    pub(super) fn topic(&self, req: &Request) -> Result<Cow<'_, str>> {
        match &self.topic {
            Topic::Fixed(topic) => Ok(Cow::Borrowed(topic)),
            Topic::Of(topic) => {
                let topic = topic(req);
                match check_topic(&topic) {
                    Ok(()) => Ok(Cow::Owned(topic)),
                    Err(_) => Err(Error::bad_request("the topic of this message is invalid")),
                }
            }
        }
    }

    pub(super) fn headers(&self, req: &Request) -> Result<Vec<(Cow<'static, str>, String)>> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let value = value(req);
            if !wasabi_rules::is_queue_header_value(&value) {
                return Err(Error::bad_request(
                    "a value contains characters that a header cannot have",
                ));
            }
            headers.push((Cow::Borrowed(*name), value));
        }
        #[cfg(feature = "otel")]
        crate::trace_context::inject(&mut crate::trace_context::MessageHeaders(&mut headers));
        Ok(headers)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if let Topic::Fixed(topic) = &self.topic {
            check_topic(topic)
                .map_err(|mistake| format!("`Queue`: the topic {topic:?} {mistake}"))?;
        }
        self.mistakes.check()
    }
}

fn check_topic(topic: &str) -> Result<(), &'static str> {
    if topic.is_empty() {
        Err("is empty")
    } else if topic.len() > 255 {
        Err("is longer than 255 bytes")
    } else if topic.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err("contains white space or control characters")
    } else {
        Ok(())
    }
}
