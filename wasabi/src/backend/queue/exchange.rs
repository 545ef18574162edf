//! One request over a queue, from its place to its reply.

use std::sync::Arc;

use futures_util::stream;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{
    Outgoing, Queue, Session, Transport,
    inbox::{Answer, Waiting},
    parts::Part,
};
use crate::{
    Backend, Error, Lifecycle, Reply, Request, Result, backend::broker::link::Up, time::FOREVER,
    turns::Entered,
};

impl<S: Sync, T: Transport> Backend<S> for Queue<T> {
    async fn call(&self, req: Request, _state: &S) -> Result<Reply> {
        let settings = &self.settings;
        let inbox = &self.shared.inbox;
        let came = Instant::now();
        let place = match inbox.enter(req.connection().id(), settings.max_pending) {
            Entered::Place(place) => place,
            // Boxed: a timer is large, and requests rarely wait.
            Entered::Turn(turn) => {
                match Box::pin(timeout_at(settings.publish_by(came), turn)).await {
                    Ok(place) => place,
                    Err(_) => return Err(Error::Overloaded),
                }
            }
            Entered::Full => return Err(Error::Overloaded),
        };
        let waiting = inbox.register(place, settings.max_reply_size)?;
        self.exchange(&req, waiting, came).await
    }

    fn owes_reply(&self, _req: &Request) -> bool {
        self.settings.expects_reply
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(self);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        // A transport or a worker may fail with anything.
        let codes = crate::schema::Codes::of(&crate::backend::CODES).or_others();
        let mut answers = crate::schema::Answers::unknown::<Self>(codes);
        if !self.settings.expects_reply {
            answers.output = crate::schema::Output::none();
        }
        to.answers(answers);
    }
}

impl<T: Transport> Queue<T> {
    /// Publishes the message of a request that has a place, and waits for the reply.
    async fn exchange(&self, req: &Request, mut waiting: Waiting, came: Instant) -> Result<Reply> {
        let settings = &self.settings;
        let topic = settings.topic(req)?;
        let headers = settings.headers(req)?;
        let link = self.shared.link();

        let deadline = came + settings.timeout.min(FOREVER);
        let publish_by = settings.publish_by(came);
        let up = timeout_at(publish_by, link.up()).await;
        let up = up.unwrap_or_else(|_| Err(Error::UpstreamUnreachable(link.down())))?;

        let message = Outgoing {
            request: req,
            topic: &topic,
            id: waiting.id,
            expects_reply: settings.expects_reply,
            headers: &headers,
            expires_in: deadline.saturating_duration_since(Instant::now()),
        };
        // The reply may arrive before the broker has confirmed the message, or even while it is being published.
        tokio::select! {
            biased;
            answer = waiting.reply(), if settings.expects_reply => {
                return answer.map(|answer| self.reply(answer, waiting, up));
            }
            published = timeout_at(publish_by, up.session.publish(message)) => match published {
                Ok(published) => published?,
                Err(_) => return Err(Error::UpstreamLost("the broker did not take the message in time".into())),
            },
            () = up.lost() => return Err(Error::UpstreamLost(link.down())),
        }
        if !settings.expects_reply {
            return Ok(Reply::none());
        }
        let answer = tokio::select! {
            biased;
            answer = waiting.reply() => answer?,
            () = up.lost(), if !self.shared.transport.keeps_replies() => {
                return Err(Error::UpstreamLost(link.down()));
            }
            () = sleep_until(deadline) => return Err(Error::TimedOut(settings.timeout)),
        };
        Ok(self.reply(answer, waiting, up))
    }

    /// The first part of a reply, followed by the rest. The request keeps its place until the last part has arrived.
    fn reply(&self, answer: Answer, waiting: Waiting, up: Arc<Up<T::Session>>) -> Reply {
        let parts = match answer {
            Answer::Whole(message) => return Reply::message(message),
            Answer::Parts(parts) => parts,
        };
        let (shared, timeout) = (Arc::clone(&self.shared), self.settings.timeout.min(FOREVER));
        let rest = Some((parts, waiting, up, shared));
        Reply::stream(stream::unfold(rest, move |rest| async move {
            let (parts, waiting, up, shared) = rest?;
            let part = tokio::select! {
                biased;
                part = parts.next() => part,
                () = up.lost(), if !shared.transport.keeps_replies() => {
                    Part::last(Err(Error::UpstreamLost(shared.link().down())))
                }
                () = sleep(timeout) => Part::last(Err(Error::TimedOut(timeout))),
            };
            let rest = (!part.is_last).then_some((parts, waiting, up, shared));
            Some((part.message, rest))
        }))
    }
}
