//! Peers for the tests of producers and of consumers.

use std::net::SocketAddr;

/// A peer that takes connections and whatever comes on them, and says nothing. Ends with the test's runtime.
pub(crate) async fn hanging_peer() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok(connection) = listener.accept().await {
            taken.push(connection);
        }
    });
    addr
}
