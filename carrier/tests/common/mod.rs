//! A carrier in the test's own process.

use busyhour_carrier::{Options, Ready, account::Account, run};
use tokio::{sync::oneshot, task::JoinHandle};

/// A carrier in this process.
pub struct Carrier {
    pub ready: Ready,
    stop: oneshot::Sender<()>,
    account: JoinHandle<Account>,
}

impl Carrier {
    pub async fn start(options: Options) -> Self {
        let (told, ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let account = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            run(options, told, shutdown).await.expect("the carrier runs")
        });
        let ready = ready.await.expect("the carrier starts");
        Self { ready, stop, account }
    }

    pub async fn stop(self) -> Account {
        self.stop.send(()).expect("the carrier still runs");
        self.account.await.expect("the carrier ends in order")
    }
}
