//! Several NATS servers as one, with JetStream.

use crate::broker::{Broker, free_port};

/// Three NATS servers that know each other.
pub struct NatsServers {
    /// In the order of their names.
    pub servers: Vec<Broker>,
}

impl NatsServers {
    /// Starts `nats-0`, `nats-1` and `nats-2`.
    pub fn of_three() -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let routes = ports.map(|port| format!("\"nats-route://127.0.0.1:{port}\""));
        let routes = routes.join(", ");
        let server = |(number, port)| {
            Broker::nats_with(&format!(
                "server_name: nats-{number}\n\
                 jetstream {{ store_dir: jetstream }}\n\
                 cluster {{ name: three, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}\n"
            ))
        };
        Self {
            servers: ports.into_iter().enumerate().map(server).collect(),
        }
    }

    /// Their URLs.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(Broker::url).collect();
        urls.join(",")
    }

    /// The server with this name.
    pub fn named(&mut self, name: &str) -> &mut Broker {
        let number = name
            .strip_prefix("nats-")
            .and_then(|number| number.parse().ok());
        let number: usize = number.expect("a name of a server");
        &mut self.servers[number]
    }
}
