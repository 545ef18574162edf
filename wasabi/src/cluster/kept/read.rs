//! Reading what is kept of a group.

use std::sync::Arc;

use super::{Here, History, limits, log::Missed, ready::Tried};
use crate::{KeptMessages, Position, Registry, Result};

/// The bytes of the messages of a page, unless a single one has more.
const MAX_BYTES: usize = 1024 * 1024;

impl History {
    pub(in super::super) async fn read(
        self: Arc<Self>,
        registry: Registry,
        subject: Arc<str>,
        name: Arc<str>,
        since: Option<Position>,
        limit: usize,
    ) -> Result<KeptMessages> {
        let here = Here {
            subject,
            name,
            registry,
        };
        self.when_there(|may_wait| Ok(self.try_read(&here, since, limit, may_wait)))
            .await
    }

    fn try_read(
        &self,
        here: &Here,
        since: Option<Position>,
        limit: usize,
        may_wait: bool,
    ) -> Tried<KeptMessages> {
        let mut log = self.log();
        let group = &here.subject;
        let Some(position) = log.position_of(group).filter(|_| log.is_ready()) else {
            return Tried::TooEarly;
        };
        if let Some(kept) = here.kept() {
            log.trim_group(group, limits(kept));
            log.trim();
        }
        let (recovered, after) = match since.map(|since| log.missed(group, since)) {
            Some(Missed::Since { number, .. }) => (true, number),
            // Whoever reads page after page comes to the end.
            Some(Missed::Lost { number }) => (false, number),
            Some(Missed::Ahead) if may_wait => return Tried::Ahead,
            Some(Missed::Ahead | Missed::Unknown) | None => (false, 0),
        };
        let (messages, has_more) = log.page(group, after, limit, MAX_BYTES);
        Tried::Done(KeptMessages {
            recovered,
            first: log.first_of(group),
            position,
            next: messages
                .last()
                .map(|last| last.position)
                .filter(|_| has_more),
            messages,
        })
    }
}
