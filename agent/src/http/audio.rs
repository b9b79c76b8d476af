//! Audio files of tenants: fetched, decoded, and kept for as long as HTTP's rules allow.

use std::time::{Duration, Instant};

use busyhour_agent_core::{
    leg::{AudioError, FetchError, Request},
    webhook::sign::Key,
};
use busyhour_base::{AccountSid, Method};
use parking_lot::Mutex;
use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap};

use super::{Http, client};
use crate::{
    audio::{Clip, Lru, decode_wav},
    metric_definitions as metric,
};

/// Bounds on audio files.
#[derive(Clone, Debug)]
pub struct AudioConfig {
    /// Largest file.
    pub file_max: usize,
    /// Bytes kept in memory.
    pub memory_max: usize,
    /// How long a file is kept whose server does not say (RFC 9111, 4.2.2 leaves it to us).
    pub keep: Duration,
    /// Longest time that a file is kept, whatever its server says.
    pub keep_max: Duration,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            file_max: 10 << 20,
            memory_max: 256 << 20,
            keep: Duration::from_secs(60),
            keep_max: Duration::from_secs(3_600),
        }
    }
}

/// Fetches audio. Kept per tenant, because a server may give each its own.
pub struct AudioCache {
    http: Http,
    config: AudioConfig,
    kept: Mutex<Lru<(AccountSid, String), (Clip, Instant)>>,
}

impl AudioCache {
    /// An empty cache.
    pub fn new(http: Http, config: AudioConfig) -> Self {
        Self { http, kept: Mutex::new(Lru::new(config.memory_max)), config }
    }

    /// The sound behind `url`.
    ///
    /// # Errors
    /// [`AudioError::Fetch`] if it cannot be had; [`AudioError::Unplayable`] if it is not sound that we read.
    pub async fn get(
        &self,
        account: AccountSid,
        url: &str,
        signing: &Key,
    ) -> Result<Clip, AudioError> {
        let key = (account, url.to_owned());
        if let Some((clip, until)) = self.kept.lock().get(&key)
            && Instant::now() < *until
        {
            metric::audio_cache("hit");
            return Ok(clip.clone());
        }
        metric::audio_cache("miss");
        let request = Request { url: url.to_owned(), method: Method::Get, params: Vec::new() };
        let fetched = self.http.ask(&request, signing, self.config.file_max).await;
        let fetched = fetched.map_err(|error| match error {
            FetchError::TooLarge => AudioError::Unplayable(format!(
                "the file has more than {} bytes",
                self.config.file_max
            )),
            error => error.into(),
        })?;
        let kind = client::content_type(&fetched.headers);
        let body = fetched.body;
        let decoded = tokio::task::spawn_blocking(move || decode_wav(&body)).await;
        let clip = decoded
            .map_err(|_| AudioError::Unplayable("it could not be read".into()))?
            .map_err(|error| AudioError::Unplayable(format!("{kind:?}: {error}")))?;
        if let Some(keep) = self.keep(&fetched.headers) {
            let entry = (clip.clone(), Instant::now() + keep);
            self.kept.lock().insert(key, entry, clip.weight());
        }
        Ok(clip)
    }

    /// How long an answer may be kept (RFC 9111): we are a cache of one tenant, so `private` is no bar.
    fn keep(&self, headers: &HeaderMap) -> Option<Duration> {
        let mut keep = self.config.keep;
        let values = headers.get_all(CACHE_CONTROL).iter();
        for directive in values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return None,
                "max-age" => {
                    let seconds = value.trim().trim_matches('"').parse().unwrap_or(0);
                    keep = Duration::from_secs(seconds);
                }
                _ => {}
            }
        }
        let age = headers.get(AGE).and_then(|v| v.to_str().ok()?.parse().ok());
        let keep = keep.saturating_sub(Duration::from_secs(age.unwrap_or(0)));
        (!keep.is_zero()).then(|| keep.min(self.config.keep_max))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Router, extract::Query, http::header, routing::get};

    use super::*;
    use crate::http::{Guard, HttpConfig};

    fn wav(samples: usize) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        (0..samples).for_each(|n| writer.write_sample((n % 100) as i16).unwrap());
        writer.finalize().unwrap();
        file.into_inner()
    }

    async fn server(asked: Arc<AtomicUsize>) -> String {
        let app = Router::new()
            .route(
                "/a.wav",
                get(move |Query(cache): Query<Vec<(String, String)>>| async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let control = cache.first().map_or(String::new(), |(_, value)| value.clone());
                    (
                        [
                            (header::CONTENT_TYPE, "audio/wav".to_owned()),
                            (header::CACHE_CONTROL, control),
                        ],
                        wav(16_000),
                    )
                }),
            )
            .route("/text", get(|| async { "no sound" }))
            .route("/big", get(|| async { wav(600_000) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn signing() -> Key {
        Key::new("secret".into())
    }

    fn cache() -> AudioCache {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let config = AudioConfig { file_max: 1 << 20, ..AudioConfig::default() };
        AudioCache::new(Http::new(guard, HttpConfig::default()).unwrap(), config)
    }

    #[tokio::test]
    async fn audio_is_kept_as_its_server_allows_and_for_one_tenant_only() {
        let asked = Arc::new(AtomicUsize::new(0));
        let base = server(asked.clone()).await;
        let cache = cache();
        for (query, account, fetches) in [
            ("", 1, 1),
            ("", 1, 0),
            ("", 2, 1),
            ("?c=no-store", 1, 1),
            ("?c=no-store", 1, 1),
            ("?c=max-age%3D0", 1, 1),
            ("?c=max-age%3D0", 1, 1),
            ("?c=max-age%3D60", 1, 1),
            ("?c=max-age%3D60", 1, 0),
        ] {
            let before = asked.load(Ordering::Relaxed);
            let clip = cache
                .get(AccountSid(account), &format!("{base}/a.wav{query}"), &signing())
                .await
                .unwrap();
            assert!((7_990..=8_010).contains(&clip.samples().len()));
            assert_eq!(asked.load(Ordering::Relaxed) - before, fetches, "{query:?} of {account}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_played_says_why() {
        let base = server(Arc::default()).await;
        let cache = cache();
        let ask = async |path: &str| {
            let url = format!("{base}{path}");
            cache.get(AccountSid(1), &url, &signing()).await.unwrap_err().to_string()
        };
        assert!(ask("/text").await.contains("text/plain"));
        assert!(ask("/big").await.contains("more than 1048576 bytes"));
        assert_eq!(ask("/missing").await, "the server answered 404");
    }
}
