//! Requests that are sent, to a peer that answers all of them the same.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use bytes::Bytes;
use ddtrace_reqwest::ClientExt as _;
use http::header::HOST;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::{Calls, runtime};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nada";

/// Answers requests that come one by one, each in one piece.
async fn answer(mut peer: DuplexStream) {
    let mut request = [0; 4096];
    while peer.read(&mut request).await.is_ok_and(|read| read > 0) {
        if peer.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}

/// A connection of hyper's in memory. What the peer does is counted as well, and the same for all.
pub(crate) fn hyper(is_traced: bool) -> Calls {
    let runtime = runtime();
    let mut sender = runtime.block_on(async {
        let (own, peer) = tokio::io::duplex(1 << 16);
        tokio::spawn(answer(peer));
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(own))
            .await
            .expect("a connection");
        tokio::spawn(connection);
        sender
    });
    let request = || {
        http::Request::get("/stock/7?size=2&page=1")
            .header(HOST, "warehouse.example")
            .body(Empty::<Bytes>::new())
            .expect("a request")
    };
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                sender.ready().await.expect("the connection stays");
                let body = if is_traced {
                    let send = |request| sender.send_request(request);
                    let sent = ddtrace_hyper::client::send(request(), send).await;
                    sent.expect("a response").into_body().collect().await
                } else {
                    let sent = sender.send_request(request()).await;
                    sent.expect("a response").into_body().collect().await
                };
                assert_eq!(body.expect("a body").to_bytes(), "ada");
            }
        });
    })
}

/// A client of reqwest's, over loopback. The server has a thread of its own, which is not counted, and ends with the process.
pub(crate) fn reqwest(is_traced: bool) -> Calls {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            let mut peer = peer.expect("a connection");
            let mut request = [0; 4096];
            while peer.read(&mut request).is_ok_and(|read| read > 0) {
                peer.write_all(ANSWER).expect("the client waits");
            }
        }
    });
    let runtime = runtime();
    let client = reqwest::Client::new();
    let url = format!("http://{address}/stock/7?size=2&page=1");
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let request = client.get(&url).build().expect("a request");
                let response = if is_traced {
                    client.execute_traced(request).await
                } else {
                    client.execute(request).await
                };
                let body = response.expect("a response").bytes().await;
                assert_eq!(body.expect("a body"), "ada");
            }
        });
    })
}
