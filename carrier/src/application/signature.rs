//! The field's webhook signature, checked independently of the code that makes it.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Whether `given` is HMAC-SHA1 over the URL and the sorted form parameters, in base 64.
pub(super) fn is_right(token: &str, url: &str, form: &[(String, String)], given: &str) -> bool {
    let mut sorted: Vec<_> = form.iter().collect();
    sorted.sort();
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else {
        return false;
    };
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    // In constant time, as the crate does it.
    STANDARD.decode(given).is_ok_and(|given| mac.verify_slice(&given).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the field's own documentation.
    #[test]
    fn the_published_example_is_right_and_its_neighbours_are_not() {
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let form: Vec<(String, String)> = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+12349013030"),
            ("Digits", "1234"),
            ("From", "+12349013030"),
            ("To", "+18005551212"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let given = "0/KCTR6DLpKmkAf8muzZqo1nDgQ=";
        assert!(is_right("12345", url, &form, given));
        assert!(!is_right("12346", url, &form, given));
        assert!(!is_right("12345", url, &form[1..], given));
        assert!(!is_right("12345", &url.replace("https", "http"), &form, given));
        assert!(!is_right("12345", url, &form, "not base 64"));
    }
}
