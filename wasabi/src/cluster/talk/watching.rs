//! A node notices that others are gone, and that they are back.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    cluster::nodes::{Nodes, known::Noticed},
    connection::registry::elsewhere::WeakRegistry,
    sync::Unpoisoned,
};

/// How often it looks, besides.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the registries what it notices, for ever.
pub(super) async fn watch(nodes: Arc<Nodes>) {
    loop {
        tokio::select! {
            () = nodes.goes.notified() => {}
            () = sleep(LOOK) => {}
        }
        let noticed = nodes.known().take_noticed();
        if noticed.is_empty() {
            continue;
        }
        let registries: Vec<_> = {
            let registries = nodes.registries.lock().unpoisoned();
            registries
                .values()
                .filter_map(WeakRegistry::upgrade)
                .collect()
        };
        let (mut gone, mut back) = (Vec::new(), Vec::new());
        for noticed in noticed {
            match noticed {
                Noticed::Gone(node) => gone.push(node),
                Noticed::Back(node) => back.push(node),
            }
        }
        for registry in registries {
            registry.noticed(&gone, &back);
        }
    }
}
