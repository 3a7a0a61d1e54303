//! TLS, in front of a broker that has none: a proxy that ends it.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::parts::open;
use crate::rabbit::{rabbit, ticks};

const PROXY: &str = r#"
import socket, ssl, sys, threading
folder, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/server.pem", folder + "/server.key")
context.load_verify_locations(folder + "/ca.pem")
context.verify_mode = ssl.CERT_OPTIONAL
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
def pass_on(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for one in (a, b):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
while True:
    plain, _ = listener.accept()
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError:
        continue
    print("certificate" if client.getpeercert() else "nobody", flush=True)
    server = socket.create_connection((host, port))
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pass_on, args=pair, daemon=True).start()
"#;

const CERTIFICATES: &str = r#"
set -e
cd "$1"
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
for name in server client; do
  openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
  printf 'subjectAltName=DNS:localhost' > $name.ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile $name.ext -out $name.pem
done
"#;

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_connection_is_encrypted_to_whom_is_trusted_and_refused_to_others() {
    let Some(rabbit) = rabbit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new("sh")
        .args(["-c", CERTIFICATES, "sh", folder.path().to_str().unwrap()])
        .stderr(Stdio::null())
        .status();
    let python = std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let place = rabbit.url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    let (host, port) = place.split_once(':').unwrap();
    let proxy = Command::new(python)
        .args(["-c", PROXY, folder.path().to_str().unwrap(), host, port])
        .stdout(Stdio::piped())
        .spawn();
    let (Ok(true), Ok(mut proxy)) = (made.map(|made| made.success()), proxy) else {
        assert!(std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(), "no openssl or no Python");
        eprintln!("SKIPPED: no openssl or no Python");
        return;
    };
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(proxy.stdout.take().unwrap()));
    let _proxy = Proxy(proxy);
    let port = said.next().unwrap().unwrap();
    let (exchange, queue) = (rabbit.own("in"), rabbit.own("queue"));
    let url = format!("amqps://guest:guest@localhost:{port}");
    let mut config = json!({ "url": url, "exchange": exchange, "queue": queue });
    let refused = open("tls", &config, None).err().expect("it was opened").to_string();
    assert!(refused.contains("TLS") && refused.contains("tls.ca"), "{refused}");

    config["tls"] = json!({ "ca": path("ca.pem") });
    let mut reading = open("tls", &config, None).unwrap();
    rabbit.publish(&exchange, &ticks(0..10));
    reading.until(10, 0, 0);
    reading.settle();
    drop(reading);
    assert_eq!(said.next().unwrap().unwrap(), "nobody");

    let files = json!({
        "ca": path("ca.pem"), "certificate": path("client.pem"), "key": path("client.key")
    });
    config["tls"] = files;
    let mut reading = open("tls", &config, None).unwrap();
    rabbit.publish(&exchange, &ticks(10..20));
    reading.until(10, 0, 0);
    assert_eq!(said.next().unwrap().unwrap(), "certificate");
}
