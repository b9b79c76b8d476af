//! A tenant's HTTP client, thin enough to be sure of what is sent.

use std::{collections::HashMap, net::SocketAddr};

use base64::Engine as _;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use super::{ACCOUNT, TOKEN, WAIT};

/// A request of the tenant of [`super::DECLARATION`] as bytes.
pub fn request(method: &str, path: &str, form: &[(&str, &str)]) -> Vec<u8> {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    let body = body.extend_pairs(form).finish();
    let form = "application/x-www-form-urlencoded";
    request_of((ACCOUNT, TOKEN), method, path, form, &body)
}

/// A request with any body of any account.
pub fn request_of(
    (account, token): (&str, &str),
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> Vec<u8> {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{token}"));
    request_as(&format!("Basic {basic}"), method, path, content_type, body)
}

/// The operator's JSON.
pub async fn operate(address: SocketAddr, path: &str, body: &Value) -> Answer {
    let bearer = "Bearer operator-token-for-tests";
    let request = request_as(bearer, "POST", path, "application/json", &body.to_string());
    let asked = async { Connection::open(address).await.send(&request).await };
    tokio::time::timeout(WAIT, asked).await.expect("an answer in time")
}

fn request_as(
    authorization: &str,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: busyhour\r\nAuthorization: {authorization}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An answer: its status and body.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// A keep-alive connection.
pub struct Connection(BufStream<TcpStream>);

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufStream::new(stream))
    }

    pub async fn send(&mut self, request: &[u8]) -> Answer {
        self.0.write_all(request).await.unwrap();
        self.0.flush().await.unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {line:?}"));
        let status = status.parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        Answer { status, body }
    }
}

/// One request over a connection of its own.
pub async fn ask(address: SocketAddr, method: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    let asked = async {
        let mut connection = Connection::open(address).await;
        connection.send(&request(method, path, form)).await
    };
    tokio::time::timeout(WAIT, asked).await.expect("an answer in time")
}

/// Places a call and returns its sid.
pub async fn place(address: SocketAddr, to: &str, more: &[(&str, &str)]) -> String {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json");
    let mut form =
        vec![("To", to), ("From", "+15550100001"), ("Twiml", "<Response><Hangup/></Response>")];
    form.extend_from_slice(more);
    let answer = ask(address, "POST", &path, &form).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["sid"].as_str().unwrap().to_owned()
}

/// What the API says of a call.
pub async fn fetch(address: SocketAddr, sid: &str) -> Value {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{sid}.json");
    let answer = ask(address, "GET", &path, &[]).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// Waits until a call has this status.
pub async fn until_status(address: SocketAddr, sid: &str, status: &str) -> Value {
    super::eventually(&format!("{sid} is {status}"), || async {
        Some(fetch(address, sid).await).filter(|call| call["status"] == status)
    })
    .await
}
