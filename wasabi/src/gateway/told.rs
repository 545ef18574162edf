//! What is known of the channels of a gateway, once somebody asks.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{asyncapi::ChannelFacts, lints};
use crate::schema::{Describer, Operation};

/// The path of a channel's router for a key. Guards are the application's code, so it runs only if somebody asks.
pub(crate) type AskedRoute = Arc<dyn Fn(&str) -> Option<u64> + Send + Sync>;

/// A channel whose router has not been asked.
struct Unasked {
    /// Without its operations.
    facts: ChannelFacts,
    routes: Describer,
    route: AskedRoute,
}

/// The channels, in the order of the declaration.
#[derive(Default)]
pub(crate) struct Told {
    channels: Vec<Unasked>,
    asked: OnceLock<Asked>,
}

#[derive(Debug)]
struct Asked {
    operations: Vec<Operation>,
    channels: Vec<ChannelFacts>,
}

impl Told {
    pub(crate) fn push(&mut self, facts: ChannelFacts, routes: Describer, route: AskedRoute) {
        self.asked.take();
        self.channels.push(Unasked {
            facts,
            routes,
            route,
        });
    }

    /// Adds those of a gateway that is mounted; their paths change.
    pub(crate) fn mount(&mut self, inner: Self, path: impl Fn(&str) -> String) {
        self.asked.take();
        let inner = inner.channels.into_iter().map(|channel| Unasked {
            facts: channel.facts.at(&path),
            ..channel
        });
        self.channels.extend(inner);
    }

    fn asked(&self) -> &Asked {
        self.asked.get_or_init(|| {
            let channels = self.channels.iter().map(|channel| ChannelFacts {
                operations: channel.routes.operations(
                    &channel.facts.path,
                    &channel.facts.places,
                    &*channel.route,
                ),
                ..channel.facts.clone()
            });
            let channels: Vec<_> = channels.collect();
            let operations = channels.iter().flat_map(|facts| &facts.operations);
            Asked {
                operations: operations.cloned().collect(),
                channels,
            }
        })
    }

    /// The mistakes that types show. No router is asked, so that no code of the application runs but that of its schemas.
    pub(crate) fn lints(&self) -> Vec<String> {
        let channels = self.channels.iter().flat_map(|channel| {
            let facts = &channel.facts;
            lints::mistakes(&ChannelFacts {
                operations: channel
                    .routes
                    .operations(&facts.path, &facts.places, &|_| None),
                ..facts.clone()
            })
        });
        channels.collect()
    }

    pub(crate) fn operations(&self) -> &[Operation] {
        &self.asked().operations
    }

    pub(crate) fn channels(&self) -> &[ChannelFacts] {
        &self.asked().channels
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told")
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}
