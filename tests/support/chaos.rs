//! A TCP proxy that treats traffic as badly as networks do.

use std::{io, net::SocketAddr, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// A proxy in front of one address. Dropping it ends all its connections.
pub struct Chaos {
    /// The address that it listens on.
    pub addr: SocketAddr,
    weather: watch::Sender<Weather>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// How long each piece of data is delayed.
    delay: Duration,
    /// How many bytes pass in 10 ms, in each direction.
    throttle: Option<usize>,
    /// Nothing passes, and neither side is told.
    is_half_open: bool,
    /// New connections are reset at once.
    refuses: bool,
    /// What was last done to the open connections, and how often something was done.
    broken: (Break, u32),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Break {
    #[default]
    Cut,
    Reset,
}

impl Chaos {
    /// Starts a proxy to this address that passes everything.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let weather = watch::Sender::new(Weather::default());
        let receiver = weather.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if receiver.borrow().refuses {
                    reset(&stream);
                    continue;
                }
                tokio::spawn(pass(stream, target, receiver.clone()));
            }
        });
        Self {
            addr,
            weather,
            task,
        }
    }

    /// Lets everything pass again.
    pub fn calm(&self) {
        self.weather.send_modify(|weather| {
            let broken = weather.broken;
            *weather = Weather {
                broken,
                ..Weather::default()
            };
        });
    }

    /// Delays each piece of data by this time.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Lets this many bytes pass in 10 ms, in each direction.
    pub fn throttle(&self, bytes: usize) {
        self.weather
            .send_modify(|weather| weather.throttle = Some(bytes.max(1)));
    }

    /// Lets nothing pass any more, without telling either side; new connections are accepted and receive nothing.
    pub fn half_open(&self) {
        self.weather
            .send_modify(|weather| weather.is_half_open = true);
    }

    /// Resets new connections at once.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| weather.refuses = true);
    }

    /// Ends all connections in both directions.
    pub fn cut(&self) {
        self.end(Break::Cut);
    }

    /// Resets all connections in both directions.
    pub fn reset(&self) {
        self.end(Break::Reset);
    }

    fn end(&self, how: Break) {
        self.weather
            .send_modify(|weather| weather.broken = (how, weather.broken.1 + 1));
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.task.abort();
        self.end(Break::Reset);
    }
}

fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Handles one connection through the proxy.
async fn pass(mut near: TcpStream, target: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let age = weather.borrow().broken.1;
    let Ok(mut far) = TcpStream::connect(target).await else {
        reset(&near);
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let how = {
        let (up, down) = (weather.clone(), weather.clone());
        let (near_reader, near_writer) = near.split();
        let (far_reader, far_writer) = far.split();
        let both = async {
            tokio::try_join!(
                pump(near_reader, far_writer, up),
                pump(far_reader, near_writer, down)
            )
        };
        tokio::select! {
            ended = both => if ended.is_ok() { Break::Cut } else { Break::Reset },
            broken = weather.wait_for(|weather| weather.broken.1 != age) => {
                broken.map_or(Break::Reset, |weather| weather.broken.0)
            }
        }
    };
    if how == Break::Reset {
        reset(&near);
        reset(&far);
    }
}

/// Forwards one direction until it ends.
async fn pump(
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = [0; 8 * 1024];
    loop {
        let now = *weather.borrow_and_update();
        let room = now.throttle.unwrap_or(buffer.len()).min(buffer.len());
        let count = reader.read(&mut buffer[..room]).await?;
        // Data read before the weather changed is held back as well.
        let _ = weather.wait_for(|weather| !weather.is_half_open).await;
        if now.throttle.is_some() {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(now.delay).await;
        if count == 0 {
            return writer.shutdown().await;
        }
        writer.write_all(&buffer[..count]).await?;
    }
}
