//! What a pooler that changes connections between two statements does to notifications: nobody gets them.
//! All else goes through.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// `NotificationResponse` (PostgreSQL's documentation, "Message Formats").
const NOTIFICATION: u8 = b'A';

/// Starts one in front of a PostgreSQL that is spoken to without TLS.
pub(crate) async fn start(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.unwrap();
            let (mut from_client, to_client) = client.into_split();
            let (from_server, mut to_server) = server.into_split();
            tokio::spawn(async move {
                drop(tokio::io::copy(&mut from_client, &mut to_server).await);
            });
            tokio::spawn(pass(from_server, to_client));
        }
    });
    address
}

/// A message is a letter, its length with the length's own four bytes, and the rest.
async fn pass(mut server: OwnedReadHalf, mut client: OwnedWriteHalf) {
    loop {
        let mut head = [0; 5];
        if server.read_exact(&mut head).await.is_err() {
            return;
        }
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        let mut rest = vec![0; length - 4];
        if server.read_exact(&mut rest).await.is_err() {
            return;
        }
        let message = [&head[..], &rest].concat();
        if kind != NOTIFICATION && client.write_all(&message).await.is_err() {
            return;
        }
    }
}
