//! What the benchmarks of the whole controller declare: tenants with a number each, and one carrier.

use std::fmt::Write as _;

/// The account of the `n`th tenant; its token is `token-n`.
pub fn account(n: usize) -> String {
    format!("AC{:032x}", n + 1)
}

/// So many tenants, with these further fields of their specs, and a carrier of so many channels and calls per second.
pub fn declaration(tenants: usize, fields: &str, channels: u32) -> String {
    let mut yaml = String::new();
    for n in 0..tenants {
        let account = account(n);
        writeln!(
            yaml,
            "apiVersion: busyhour.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: t{n}}}\n\
             spec:\n  account: {account}\n  authToken: token-{n}\n  allowedDestinations: [\"+\"]\n  {fields}\n---\n\
             apiVersion: busyhour.dev/v1alpha1\nkind: Number\nmetadata: {{name: n{n}}}\n\
             spec: {{number: \"+1555010{n:04}\", tenant: t{n}}}\n---"
        )
        .expect("writing to a string");
    }
    writeln!(
        yaml,
        "apiVersion: busyhour.dev/v1alpha1\nkind: Carrier\nmetadata: {{name: north}}\n\
         spec: {{address: \"127.0.0.1:5999\", channels: {channels}, callsPerSecond: {channels}}}"
    )
    .expect("writing to a string");
    yaml
}
