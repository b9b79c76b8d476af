//! A whole installation on this machine, in one folder, out of processes of their own. The demo plays on
//! it, and so do the whole-system tests.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::part::Part;

/// The addresses that the examples' documents name; the stage puts the real ones in their place.
const DECLARED_CARRIER: &str = "127.0.0.1:5070";
const DECLARED_APPLICATION: &str = "127.0.0.1:8081";

/// When the carrier lets go of a call whose agent has died: well above a pause between two RTP packets, and above
/// the examples' ringing times. What the examples declare as quarantine must be longer than both.
const CARRIER_RTP_TIMEOUT_S: u32 = 4;
const CARRIER_RING_LIMIT_S: u32 = 12;

/// Where everything runs. Dropping it kills every part.
pub struct Stage {
    binary: PathBuf,
    folder: PathBuf,
    example: PathBuf,
    ip: IpAddr,
    parts: BTreeMap<String, Part>,
    /// Addresses given at the first start, kept for every restart.
    kept: BTreeMap<String, String>,
}

impl Stage {
    /// An empty stage: the folder is emptied, and gets fresh secrets and a copy of the declarations. Every part will be at `ip`,
    /// on a port that the system gives it.
    ///
    /// # Errors
    /// Files cannot be read or written.
    pub fn set(binary: &Path, example: &Path, folder: &Path, ip: IpAddr) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        let stage = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            example: example.to_owned(),
            ip,
            parts: BTreeMap::new(),
            kept: BTreeMap::new(),
        };
        fs::create_dir_all(stage.declarations())
            .with_context(|| format!("creating {}", folder.display()))?;
        for secret in ["cluster-token", "operator-token"] {
            fs::write(folder.join(secret), format!("{:032x}", rand::random::<u128>()))?;
        }
        Ok(stage)
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of declarations that the controller watches.
    pub fn declarations(&self) -> PathBuf {
        self.folder.join("declarations")
    }

    /// The operator's token.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn operator_token(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("operator-token"))?)
    }

    /// A running part by name.
    pub fn part(&mut self, name: &str) -> Option<&mut Part> {
        self.parts.get_mut(name)
    }

    /// Takes a part off the stage, to kill or end it.
    ///
    /// # Errors
    /// There is no such part.
    pub fn take(&mut self, name: &str) -> Result<Part> {
        self.parts.remove(name).with_context(|| format!("no part {name} is running"))
    }

    /// Fails if any part has ended by itself.
    ///
    /// # Errors
    /// One has; the error shows the end of its log.
    pub fn check(&mut self) -> Result<()> {
        self.parts.values_mut().try_for_each(Part::check)
    }

    /// An address that a part was given at its first start: `carrier.sip`, `controller.api`, ...
    ///
    /// # Errors
    /// There is no such part or address.
    pub fn address(&self, of: &str) -> Result<&str> {
        self.kept.get(of).map(String::as_str).with_context(|| format!("no address {of}"))
    }

    /// The test carrier, with the contract given.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_carrier(&mut self, channels: u32, calls_per_second: u32) -> Result<()> {
        let mut args = vec!["carrier".to_owned()];
        args.extend(["--sip".to_owned(), self.kept_or_free("carrier.sip")]);
        args.extend(["--account".to_owned(), self.kept_or_free("carrier.account")]);
        args.extend(["--channels".to_owned(), channels.to_string()]);
        args.extend(["--calls-per-second".to_owned(), calls_per_second.to_string()]);
        args.extend(["--scenario".to_owned(), text(&self.example)]);
        args.extend(["--rtp-timeout-s".to_owned(), CARRIER_RTP_TIMEOUT_S.to_string()]);
        args.extend(["--ring-limit-s".to_owned(), CARRIER_RING_LIMIT_S.to_string()]);
        self.start("carrier", &args, &["sip", "account"]).await
    }

    /// Takes what listens at `address` for the carrier, in place of one on the stage.
    pub fn use_carrier_at(&mut self, address: SocketAddr) {
        self.kept.insert("carrier.sip".to_owned(), address.to_string());
    }

    /// The tenants' application server.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_application(&mut self) -> Result<()> {
        let mut args = vec!["application".to_owned()];
        args.extend(["--listen".to_owned(), self.kept_or_free("application.http")]);
        args.extend(["--documents".to_owned(), text(&self.example.join("documents"))]);
        args.extend(["--declarations".to_owned(), text(&self.example)]);
        self.start("application", &args, &["http"]).await
    }

    /// Copies the example's declarations, with the addresses of the running carrier and application server.
    ///
    /// # Errors
    /// Files cannot be read or written.
    pub fn declare(&self) -> Result<()> {
        for entry in fs::read_dir(&self.example)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "yaml") {
                let name = path.file_name().context("a file has a name")?;
                fs::write(
                    self.declarations().join(name),
                    self.with_addresses(&fs::read_to_string(&path)?),
                )?;
            }
        }
        Ok(())
    }

    /// The text with the examples' addresses replaced by those of this stage.
    pub fn with_addresses(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (declared, of) in
            [(DECLARED_CARRIER, "carrier.sip"), (DECLARED_APPLICATION, "application.http")]
        {
            if let Some(real) = self.kept.get(of) {
                text = text.replace(declared, real);
            }
        }
        text
    }

    /// The controller; after a kill it comes back on its old addresses and its old log.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_controller(&mut self, more: &[&str]) -> Result<()> {
        let mut args = vec!["controller".to_owned()];
        args.extend(["--data".to_owned(), text(&self.folder.join("controller"))]);
        args.extend(["--declarations".to_owned(), text(&self.declarations())]);
        args.extend(["--api".to_owned(), self.kept_or_free("controller.api")]);
        args.extend(["--grpc".to_owned(), self.kept_or_free("controller.grpc")]);
        args.extend(["--cluster-token-file".to_owned(), text(&self.folder.join("cluster-token"))]);
        args.extend([
            "--operator-token-file".to_owned(),
            text(&self.folder.join("operator-token")),
        ]);
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        self.start("controller", &args, &["api", "grpc"]).await
    }

    /// A node agent; after a kill it comes back with its old journal.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_agent(&mut self, name: &str, slots: u32, rtp_ports: &str) -> Result<()> {
        let mut args = vec!["agent".to_owned(), "--name".to_owned(), name.to_owned()];
        args.extend(["--data".to_owned(), text(&self.folder.join(name))]);
        args.extend([
            "--controller".to_owned(),
            format!("http://{}", self.address("controller.grpc")?),
        ]);
        args.extend(["--cluster-token-file".to_owned(), text(&self.folder.join("cluster-token"))]);
        args.extend(["--sip".to_owned(), self.kept_or_free(&format!("{name}.sip"))]);
        args.extend(["--rtp-ports".to_owned(), rtp_ports.to_owned()]);
        args.extend(["--slots".to_owned(), slots.to_string()]);
        args.extend(["--metrics".to_owned(), self.kept_or_free(&format!("{name}.metrics"))]);
        self.start(name, &args, &["sip", "metrics"]).await
    }

    /// Ends every part: callers first, then what they call.
    pub async fn end(mut self) {
        let mut order: Vec<_> = std::mem::take(&mut self.parts).into_iter().collect();
        order.sort_by_key(|(name, _)| match name.as_str() {
            "controller" => 1,
            "carrier" | "application" => 2,
            _ => 0,
        });
        for (_, part) in order {
            part.end().await;
        }
    }

    async fn start(&mut self, name: &str, args: &[String], addresses: &[&str]) -> Result<()> {
        let part = Part::start(&self.binary, &self.folder, name, args).await?;
        for field in addresses {
            self.kept.insert(format!("{name}.{field}"), part.address(field)?);
        }
        self.parts.insert(name.to_owned(), part);
        Ok(())
    }

    fn kept_or_free(&self, of: &str) -> String {
        self.kept.get(of).cloned().unwrap_or_else(|| SocketAddr::new(self.ip, 0).to_string())
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
