//! What a peer received.

use std::collections::BTreeSet;

/// What sipp received, as it wrote it down.
#[derive(Debug)]
pub struct Messages {
    /// Everything, both ways, word by word.
    pub text: String,
    requests: Vec<Request>,
}

#[derive(Debug)]
struct Request {
    method: String,
    call_id: String,
    branch: String,
}

impl Messages {
    pub(crate) fn read(text: String) -> Self {
        // Each message follows a line of dashes with the time, a line with its direction, and an empty line.
        let received = text.split("\n-----").filter_map(|part| {
            let (head, message) = part.split_once("\n\n")?;
            head.contains("message received").then_some(message)
        });
        let requests = received.filter_map(Request::read).collect();
        Self { requests, text }
    }

    /// How often a request of this method came, repeats included.
    pub fn count(&self, method: &str) -> usize {
        self.requests.iter().filter(|request| request.method == method).count()
    }

    /// Transactions begun by this method: requests without their repeats.
    pub fn transactions(&self, method: &str) -> usize {
        let of = self.requests.iter().filter(|request| request.method == method);
        of.map(|request| (&request.call_id, &request.branch)).collect::<BTreeSet<_>>().len()
    }

    /// Calls that anything was heard of.
    pub fn calls(&self) -> usize {
        self.requests.iter().map(|request| &request.call_id).collect::<BTreeSet<_>>().len()
    }

    /// The methods in the order in which each was first seen.
    pub fn methods(&self) -> Vec<&str> {
        let mut methods = Vec::new();
        for request in &self.requests {
            if !methods.contains(&request.method.as_str()) {
                methods.push(request.method.as_str());
            }
        }
        methods
    }
}

impl Request {
    fn read(message: &str) -> Option<Self> {
        let (line, headers) = message.split_once('\n')?;
        let method = line.split_once(" sip:")?.0.to_owned();
        let header = |name: &str| {
            let of = headers.lines().filter_map(|line| line.split_once(':'));
            let mut of = of.filter(|(field, _)| field.eq_ignore_ascii_case(name));
            of.next().map(|(_, value)| value.trim())
        };
        let branch = header("Via")?.split("branch=").nth(1)?;
        let branch = branch.split(';').next()?.to_owned();
        Some(Self { method, call_id: header("Call-ID")?.to_owned(), branch })
    }
}
