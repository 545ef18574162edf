//! Stubs that count nothing, without the feature `metrics`.

use std::{sync::Arc, time::Duration};

use axum::routing::MethodRouter;

use crate::CloseCode;
#[derive(Clone, Default)]
pub(crate) struct Counted {}

impl Counted {
    pub(crate) fn opened(&self) {}
}

#[derive(Default)]
pub(crate) struct Traffic {}

impl Traffic {
    pub(crate) fn new(_of: Counted) -> Self {
        Self {}
    }

    #[inline]
    pub(crate) fn publish(&self, _tally: &mut Tally, _received: u64, _sent: u64) {}

    pub(crate) fn received_late(&self) {}

    pub(crate) fn finish(&self, _received: u64, _sent: u64) {}

    pub(crate) fn skipped(&self) {}

    pub(crate) fn closed(&self, _code: CloseCode, _age: Duration) {}
}

#[derive(Default)]
pub(crate) struct Tally {}

impl Tally {
    pub(crate) fn received(&mut self) {}

    pub(crate) fn sent(&mut self) {}
}

#[derive(Clone, Copy)]
pub(crate) struct Observer;

impl Observer {
    pub(crate) fn of<T>(_channel: &Arc<T>) -> Self {
        Self
    }

    pub(crate) fn around(self, _path: &str, endpoint: MethodRouter) -> MethodRouter {
        endpoint
    }
}

pub(crate) fn cut(_connections: usize) {}

pub(crate) fn breaker_opened(_route: &'static str) {}

pub(crate) fn dialled(_host: &str, _port: u16, _outcome: &str) {}

pub(crate) fn redialled(_host: &str, _port: u16) {}

#[must_use]
pub(crate) struct OpenUpstream;

impl OpenUpstream {
    pub(crate) fn at(_host: &str, _port: u16) -> Self {
        Self
    }
}
