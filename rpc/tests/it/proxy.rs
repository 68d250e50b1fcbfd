//! A wire between two nodes that can be cut or go dead.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::sync::CancellationToken;

/// A wire to an address.
pub(crate) struct Proxy {
    pub(crate) address: String,
    dead: Arc<AtomicBool>,
    cut: Arc<parking_lot::Mutex<CancellationToken>>,
    end: CancellationToken,
}

impl Proxy {
    pub(crate) async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("an address").to_string();
        let (dead, end) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let cut = Arc::new(parking_lot::Mutex::new(CancellationToken::new()));
        let proxy = Self { address, dead: Arc::clone(&dead), cut: Arc::clone(&cut), end: end.clone() };
        let accepting = async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&to).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                let cut = cut.lock().clone();
                for (from, to) in [(near_in, far_out), (far_in, near_out)] {
                    tokio::spawn(cut.clone().run_until_cancelled_owned(copy(from, to, Arc::clone(&dead))));
                }
            }
        };
        tokio::spawn(end.run_until_cancelled_owned(accepting));
        proxy
    }

    /// Whatever is sent vanishes, and connections stay as they are.
    pub(crate) fn set_dead(&self, dead: bool) {
        self.dead.store(dead, Ordering::SeqCst);
    }

    /// Ends the connections there are.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.cut.lock()).cancel();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
        self.cut();
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, dead: Arc<AtomicBool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !dead.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
