//! NATS as the engine of a cluster, with its core publish and subscribe, and JetStream for kept groups.

mod feed;

use std::{collections::HashMap, fmt, sync::Arc};

use async_nats::{Client, Event, PublishError, Subject, Subscriber, client::PublishErrorKind};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::pending};
use tokio::{sync::Mutex as AsyncMutex, task::unconstrained};
use tokio_util::task::AbortOnDropHandle;

use self::feed::Reading;
use super::{
    Cluster,
    engine::{Engine, EngineSession},
    feed::{Feed, Page, Record},
    inlet::Inlet,
};
use crate::{
    BoxError, Error, Position, Result, Stored,
    backend::{
        broker::session_task::{Ending, SessionTask},
        queue::Nats,
    },
    log::{limited, said},
    sync::{Mutex, Unpoisoned},
};

/// The messages that wait to be written to the connection.
const WRITE_QUEUE: usize = 256;
/// The messages of one group that have been read and not handed in.
const READ_QUEUE: usize = 1024;
/// What a gateway publishes to a subject that it subscribes to; messages of gateways are never empty.
const PROBE: Bytes = Bytes::new();

impl Cluster {
    /// A cluster over NATS, at one or more `nats://` URLs separated by commas; `tls://` is encrypted. For other ways to
    /// log in, and certificates, pass a [`Nats`] to [`Cluster::new`].
    ///
    /// It uses subjects with the prefix `wasabi.`, which the account of the gateways must be allowed to publish and
    /// subscribe to, and an inbox. [`Group::attached`](crate::Group::attached) fails for a group that NATS does not let
    /// the gateway subscribe or publish to. A single message that NATS refuses appears only in the log: NATS tells the
    /// publisher nothing. Where the servers are several, a new subscription is known to all of them after some
    /// milliseconds.
    ///
    /// For [kept groups](crate::Kept) it needs JetStream, whose API the account must be allowed to use. It makes a stream
    /// `wasabi-` and the cluster's name, for the subject `wasabi.`, that name and `.kept`, unless there is one: in files, on
    /// one server, with 100 000 messages. To have replicas or other limits, make a stream of that name before.
    ///
    /// Each group and each [user](crate::Registry::user) with members in this process is a subscription of its own, with
    /// a task and a channel that take about 6 KiB of memory.
    pub fn nats(urls: impl AsRef<str>) -> Self {
        Self::new(Nats::new(urls))
    }
}

impl Engine for Nats {
    type Session = NatsNode;

    async fn connect(&self, inlet: Inlet) -> Result<NatsNode, BoxError> {
        let ending = Ending::new();
        let (at_end, of_lost) = (ending.clone(), inlet.clone());
        let options = self
            .options()?
            .client_capacity(WRITE_QUEUE)
            .subscription_capacity(READ_QUEUE)
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => at_end.end(&event),
                    // It may stand for more than one.
                    Event::SlowConsumer(_) => of_lost.lost(1),
                    Event::ServerError(error) => {
                        limited!(WARN, error = %said(&error), "NATS reports an error of a cluster");
                    }
                    _ => {}
                }
                std::future::ready(())
            });
        let client = options.connect(self.servers()?).await?;
        let inbox = Subject::from(client.new_inbox());
        let echoes = client.subscribe(inbox.clone()).await?;
        let session = NatsNode {
            client,
            inlet,
            subscribed: Mutex::default(),
            echoes: AsyncMutex::new((0, echoes)),
            inbox,
            reading: Reading::default(),
            task: SessionTask::spawn(ending, pending()),
        };
        session.answers().await?;
        Ok(session)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), String> {
        self.check_settings()
    }
}

/// A gateway's connection to [`Nats`].
pub struct NatsNode {
    client: Client,
    inlet: Inlet,
    /// The tasks that read; ending one ends its subscription.
    subscribed: Mutex<HashMap<Arc<str>, AbortOnDropHandle<()>>>,
    /// What the session sends to itself, numbered.
    echoes: AsyncMutex<(u64, Subscriber)>,
    inbox: Subject,
    reading: Reading,
    task: SessionTask,
}

impl EngineSession for NatsNode {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        let subject = Subject::from(subject);
        let published = self.client.publish(subject, message);
        published.await.map_err(not_published)?;
        // Flushed, because a loss between here and the socket would go unnoticed.
        let flushed = self.client.flush().await;
        flushed.map_err(|error| Error::UpstreamLost(error.into()))
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        // NATS confirms no subscription, and reports a refused one to a callback at some time. But it takes commands in
        // their order: when the answer has come, so has what was published to each subject before.
        let mut asked = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let name = Subject::from(&**subject);
            let messages = self.client.subscribe(name.clone()).await?;
            self.client.publish(name, PROBE).await?;
            asked.push((subject, messages));
        }
        self.answers().await?;
        let mut readers = Vec::with_capacity(asked.len());
        for (subject, mut messages) in asked {
            if !self.is_probed(subject, &mut messages) {
                return Err(format!("NATS refuses to pass `{subject}` on to the gateway").into());
            }
            let (inlet, own) = (self.inlet.clone(), Arc::clone(subject));
            let task = tokio::spawn(async move {
                while let Some(message) = messages.next().await {
                    hand_in(&inlet, &own, message);
                }
            });
            readers.push((Arc::clone(subject), AbortOnDropHandle::new(task)));
        }
        self.subscribed.lock().unpoisoned().extend(readers);
        Ok(())
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        let mut subscribed = self.subscribed.lock().unpoisoned();
        for subject in subjects {
            subscribed.remove(subject);
        }
        Ok(())
    }

    async fn store(&self, feed: &Feed, record: Record) -> Result<Stored> {
        feed::store(&self.client, feed, record).await
    }

    async fn newest(&self, feed: &Feed) -> Result<Position, BoxError> {
        feed::newest(&self.client, feed).await
    }

    async fn read(&self, feed: &Feed, after: Option<Position>) -> Result<Page, BoxError> {
        self.reading.read(&self.client, feed, after).await
    }

    async fn answers(&self) -> Result<(), BoxError> {
        let mut echoes = self.echoes.lock().await;
        echoes.0 += 1;
        let number = echoes.0.to_string();
        let inbox = self.inbox.clone();
        self.client.publish(inbox, number.clone().into()).await?;
        while let Some(echo) = echoes.1.next().await {
            if echo.payload == number {
                return Ok(());
            }
        }
        Err("the subscription has ended".into())
    }

    async fn closed(&self) -> BoxError {
        self.task.ended().await
    }
}

impl NatsNode {
    /// Whether a probe has come; hands in what has come before it.
    fn is_probed(&self, subject: &str, messages: &mut Subscriber) -> bool {
        // Unconstrained, because a task that has received much is told that there is nothing.
        while let Some(Some(message)) = unconstrained(messages.next()).now_or_never() {
            if message.payload == PROBE {
                return true;
            }
            hand_in(&self.inlet, subject, message);
        }
        false
    }
}

fn hand_in(inlet: &Inlet, subject: &str, message: async_nats::Message) {
    // Another gateway's probe is for nobody here.
    if message.payload != PROBE {
        inlet.receive(subject, message.payload);
    }
}

fn not_published(error: PublishError) -> Error {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Error::bad_request("the message is too large"),
        _ => Error::UpstreamUnreachable(error.into()),
    }
}

impl fmt::Debug for NatsNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsNode").finish_non_exhaustive()
    }
}
