//! A TCP proxy between a client and a server, which does to their connections what networks do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What becomes of the bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Clear,
    /// They wait, in both directions; no connection is lost.
    Stalled,
    /// They come one to seven at a time.
    Sliced,
}

#[derive(Debug, Clone, Copy)]
struct Order {
    weather: Weather,
    /// How often every connection was broken.
    breaks: u64,
    is_reset: bool,
}

/// The proxy: ends with the test.
pub(crate) struct Link {
    pub(crate) port: u16,
    orders: watch::Sender<Order>,
    open: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Link {
    /// A way to a server (`host:port`).
    pub(crate) fn to(server: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let order = Order { weather: Weather::Clear, breaks: 0, is_reset: false };
        let (orders, watched) = watch::channel(order);
        let (open, server) = (Arc::new(AtomicUsize::new(0)), server.to_owned());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(serve(listener, server, watched, open.clone()));
        Self { port, orders, open, _runtime: runtime }
    }

    /// From now on it is so, for new connections, too.
    pub(crate) fn weather(&self, weather: Weather) {
        self.orders.send_modify(|order| order.weather = weather);
    }

    /// Ends every connection; gives how many there were.
    pub(crate) fn cut(&self) -> usize {
        self.break_all(false)
    }

    /// The same, with a reset (RST) instead of a farewell.
    pub(crate) fn reset(&self) -> usize {
        self.break_all(true)
    }

    fn break_all(&self, is_reset: bool) -> usize {
        let open = self.open.load(Ordering::Relaxed);
        self.orders.send_modify(|order| {
            order.breaks += 1;
            order.is_reset = is_reset;
        });
        open
    }
}

async fn serve(
    listener: TcpListener,
    server: String,
    orders: watch::Receiver<Order>,
    open: Arc<AtomicUsize>,
) {
    let mut seed = 0;
    while let Ok((client, _)) = listener.accept().await {
        seed += 1;
        tokio::spawn(carry(client, server.clone(), orders.clone(), open.clone(), seed));
    }
}

/// Carries bytes until either side ends, or the connection is broken.
async fn carry(
    client: TcpStream,
    server: String,
    mut orders: watch::Receiver<Order>,
    open: Arc<AtomicUsize>,
    seed: u64,
) {
    let breaks = orders.borrow_and_update().breaks;
    let Ok(server) = TcpStream::connect(&server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    open.fetch_add(1, Ordering::Relaxed);
    let (there, back) = (orders.clone(), orders.clone());
    let is_reset = tokio::select! {
        () = pump(&client, &server, there, seed) => false,
        () = pump(&server, &client, back, seed + 1_000) => false,
        order = orders.wait_for(|order| order.breaks > breaks) => {
            order.is_ok_and(|order| order.is_reset)
        }
    };
    open.fetch_sub(1, Ordering::Relaxed);
    if is_reset {
        for stream in [&client, &server] {
            stream.set_zero_linger().unwrap();
        }
    }
}

async fn pump(from: &TcpStream, to: &TcpStream, mut orders: watch::Receiver<Order>, seed: u64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut buffer = vec![0; 16 << 10];
    loop {
        // What waits is left where it is, so that the sender feels it.
        if from.readable().await.is_err() || weather(&mut orders).await.is_none() {
            return;
        }
        let mut rest = match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        while !rest.is_empty() {
            let Some(weather) = weather(&mut orders).await else { return };
            let is_sliced = weather == Weather::Sliced;
            let most = if is_sliced { chance.usize(1..=7) } else { rest.len() };
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(&rest[..most.min(rest.len())]) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// What the weather is as soon as it is not stalled; none: the proxy has ended.
async fn weather(orders: &mut watch::Receiver<Order>) -> Option<Weather> {
    let order = orders.wait_for(|order| order.weather != Weather::Stalled).await;
    order.ok().map(|order| order.weather)
}
