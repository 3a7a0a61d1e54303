//! The HTTP server: three pages, a thread of its own, and nothing that a client can do to the job.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use dataflows::driver::status::Status;
use dataflows::job::variables::Secrets;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, watch};

use crate::watch::health::{Answer, live, ready};
use crate::watch::metrics;

/// So many connections at once; more wait.
const CONNECTIONS_MAX: usize = 16;
/// A client that has not asked by then is let go.
const ASKS_WITHIN: Duration = Duration::from_secs(5);
/// A connection ends by then whatever it does.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// What is shown.
struct View {
    registry: Registry,
    status: Arc<Status>,
    secrets: Secrets,
}

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The server stops when this is gone.
    running: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts listening.
    pub(crate) fn start(
        address: SocketAddr,
        job: &str,
        status: Arc<Status>,
        secrets: &Secrets,
    ) -> io::Result<Self> {
        status.watch();
        let registry = metrics::registry(job, status.clone());
        let view = Arc::new(View { registry, status, secrets: secrets.clone() });
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let (running, stopped) = watch::channel(());
        let body = move || runtime.block_on(serve(&listener, &view, stopped));
        let thread = thread::Builder::new().name("http".to_owned()).spawn(body)?;
        Ok(Self { address, running: Some(running), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(listener: &TcpListener, view: &Arc<View>, mut stopped: watch::Receiver<()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let (stream, place) = tokio::select! {
            _ = stopped.changed() => return,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file handles, say: that passes, and must not keep a core busy.
                    tracing::debug!(%error, "the HTTP server could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let view = view.clone();
        tokio::spawn(async move {
            let answers = service_fn(|request: Request<Incoming>| {
                let response = answer(&view, request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(ASKS_WITHIN);
            let connection = http.serve_connection(TokioIo::new(stream), answers);
            match tokio::time::timeout(CONNECTION_MAX, connection).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection broke"),
            }
            drop(place);
        });
    }
}

fn answer(view: &View, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
    }
    match path {
        "/metrics" => match metrics::text(&view.registry) {
            Ok(text) => respond(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(_) => {
                let text = "the metrics could not be written\n".to_owned();
                respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
            }
        },
        "/livez" => health(&live(&view.status.reading())),
        "/readyz" => health(&ready(&view.status.reading(), &view.secrets)),
        _ => {
            let text = "there are /metrics, /livez and /readyz\n".to_owned();
            respond(StatusCode::NOT_FOUND, TEXT, text)
        }
    }
}

fn health(answer: &Answer) -> Response<Full<Bytes>> {
    let code = if answer.is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    respond(code, "application/json", format!("{}\n", answer.body))
}

const TEXT: &str = "text/plain; charset=utf-8";

fn respond(code: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    use hyper::header::HeaderValue;
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
