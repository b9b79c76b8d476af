//! Words with which people say that they want no more messages from a number, that they want them again, or that they want help.

/// What somebody says with one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum Keyword {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
    /// Who is this, and how does it stop?
    Help,
}

impl Keyword {
    /// The words, as the field has them.
    const WORDS: [(Self, &[&str]); 3] = [
        (
            Self::Stop,
            &["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"],
        ),
        (Self::Start, &["START", "UNSTOP", "YES"]),
        (Self::Help, &["HELP", "INFO"]),
    ];

    /// What a text says, if it is one of these words and nothing else but white space around it, in capitals or not. A word in
    /// a sentence says nothing: "please stop by at noon".
    pub fn of(text: &str) -> Option<Self> {
        let word = text.trim();
        let says = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        Self::WORDS.into_iter().find(|(_, words)| says(words)).map(|(keyword, _)| keyword)
    }

    /// The word of the field for it (`OptOutType`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::Start => "START",
            Self::Help => "HELP",
        }
    }

    /// What is answered, in the words of the field.
    pub const fn answer(self) -> &'static str {
        match self {
            Self::Stop => {
                "You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe."
            }
            Self::Start => {
                "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply."
            }
            Self::Help => "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_alone_says_it_whatever_its_case() {
        for (text, said) in [
            ("STOP", Some(Keyword::Stop)),
            (" stop\r\n", Some(Keyword::Stop)),
            ("Unsubscribe", Some(Keyword::Stop)),
            ("optout", Some(Keyword::Stop)),
            ("start", Some(Keyword::Start)),
            ("Yes", Some(Keyword::Start)),
            ("help", Some(Keyword::Help)),
            ("info", Some(Keyword::Help)),
            ("please stop", None),
            ("stop.", None),
            ("stopp", None),
            ("", None),
        ] {
            assert_eq!(Keyword::of(text), said, "{text:?}");
        }
    }

    #[test]
    fn an_answer_is_one_segment_and_no_keyword_itself() {
        for (keyword, _) in Keyword::WORDS {
            let answer = keyword.answer();
            assert_eq!(crate::Segments::of(answer).count, 1, "{answer}");
            assert_eq!(Keyword::of(answer), None);
        }
    }
}
