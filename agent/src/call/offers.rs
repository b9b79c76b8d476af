//! Calls that carriers offer here and of which the controller has not yet said what becomes of them.

use std::collections::{HashMap, VecDeque};

use busyhour_protocol::{AnswerOrder, Refusal, v1};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// Words on one offer: it rings, then is answered or refused.
const WORDS_MAX: usize = 2;

/// What the controller says of an offer.
#[derive(Debug)]
pub enum Word {
    /// It was taken in as this call and waits: let it ring.
    Ring {
        /// Its number.
        call: u64,
        /// Its attempt.
        attempt: u16,
    },
    /// Answer it.
    Answer(Box<AnswerOrder>),
    /// Refuse it.
    Refuse(Refusal),
}

/// Offers under way; the SIP stack's dialogs bound them.
#[derive(Default)]
pub struct Offers {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Default)]
struct Inner {
    linked: bool,
    last: u64,
    waiting: HashMap<u64, mpsc::Sender<Word>>,
    unsent: VecDeque<v1::Offer>,
}

/// An offer's place among those that wait, given up on drop.
pub struct Waiting<'a> {
    offers: &'a Offers,
    number: u64,
    words: mpsc::Receiver<Word>,
}

impl Waiting<'_> {
    /// The next word; `None` once the link is lost.
    pub async fn word(&mut self) -> Option<Word> {
        self.words.recv().await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.offers.inner.lock().waiting.remove(&self.number);
    }
}

impl Offers {
    /// Offers a call; `offer` lacks its number. `None` without a link.
    pub fn make(&self, mut offer: v1::Offer) -> Option<Waiting<'_>> {
        let (sender, words) = mpsc::channel(WORDS_MAX);
        let mut inner = self.inner.lock();
        if !inner.linked {
            return None;
        }
        inner.last += 1;
        offer.offer = inner.last;
        let number = inner.last;
        inner.waiting.insert(number, sender);
        inner.unsent.push_back(offer);
        drop(inner);
        self.news.notify_one();
        Some(Waiting { offers: self, number, words })
    }

    /// Passes on what the controller says; `false` if the caller is gone.
    pub fn tell(&self, offer: u64, word: Word) -> bool {
        let inner = self.inner.lock();
        inner.waiting.get(&offer).is_some_and(|words| words.try_send(word).is_ok())
    }

    /// There is a link: calls can be offered.
    pub fn open(&self) {
        self.inner.lock().linked = true;
    }

    /// The link is lost, and with it every offer.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.linked = false;
        inner.waiting.clear();
        inner.unsent.clear();
    }

    /// The next offer that is to be sent.
    pub fn next(&self) -> Option<v1::Offer> {
        self.inner.lock().unsent.pop_front()
    }

    /// Returns when something was offered. For one waiter.
    pub async fn changed(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use busyhour_base::Reason;

    use super::*;

    fn offered(offers: &Offers) -> u64 {
        offers.next().expect("it is sent").offer
    }

    #[tokio::test]
    async fn an_offer_lives_as_long_as_its_caller_and_its_link() {
        let offers = Offers::default();
        assert!(offers.make(v1::Offer::default()).is_none(), "no link");
        offers.open();
        let first = offers.make(v1::Offer::default()).unwrap();
        let mut second = offers.make(v1::Offer::default()).unwrap();
        assert_eq!([offered(&offers), offered(&offers)], [1, 2]);
        drop(first);
        assert!(!offers.tell(1, Word::Refuse(Refusal::of(Reason::Workers))), "the caller is gone");
        assert!(offers.tell(2, Word::Ring { call: 7, attempt: 1 }));
        assert!(matches!(second.word().await, Some(Word::Ring { call: 7, .. })));
        offers.close();
        assert!(second.word().await.is_none());
        offers.open();
        let _third = offers.make(v1::Offer::default()).unwrap();
        assert_eq!(offered(&offers), 3, "numbers count up over every link");
    }
}
