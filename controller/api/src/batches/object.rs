//! A line of NDJSON as a row: one pass over the text, without a value or a string for what needs no unescaping.

use std::{borrow::Cow, fmt};

use busyhour_controller_core::spec::Kind;
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

use super::line::{Column, Row};

/// Reads a JSON object of parameters. Every name is checked.
pub(super) fn row(text: &[u8], kind: Kind) -> Result<Row<'_>, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let row = from.deserialize_map(Object(kind))?;
    from.end()?;
    Ok(row)
}

struct Object(Kind);

impl<'de> Visitor<'de> for Object {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        // Most lines have a number and a name.
        let mut row = Row { parameters: Vec::with_capacity(2), ..Row::default() };
        while let Some((name, column)) = map.next_key_seed(Name(self.0))? {
            let before = row.custom_id.is_some();
            let texts = Texts { row: &mut row, column: &column, taken: 0, in_list: false };
            let taken = map.next_value_seed(texts)?;
            let taken = taken.map_err(|what| A::Error::custom(format!("{name} is {what}")))?;
            if column == Column::CustomId && (before || taken > 1) {
                return Err(A::Error::custom("custom_id is given twice"));
            }
        }
        Ok(row)
    }
}

/// A name, and the column of that name in lines of a kind.
struct Name(Kind);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = (Cow<'de, str>, Column<'de>);

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = (Cow<'de, str>, Column<'de>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        let column = Column::named(name, self.0).map_err(|error| E::custom(error.message))?;
        Ok((name.into(), column))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let column = Column::named(name, self.0).map_err(|error| E::custom(error.message))?;
        Ok((name.to_owned().into(), column.into_owned()))
    }
}

/// The values under a name go into the row as form values. Tells how many there are, or what one is that cannot be taken.
struct Texts<'r, 'de> {
    row: &'r mut Row<'de>,
    column: &'r Column<'de>,
    /// How many were taken under this name.
    taken: usize,
    in_list: bool,
}

type Taken = Result<usize, &'static str>;

impl<'de> Texts<'_, 'de> {
    fn text<E>(self, text: Cow<'de, str>) -> Result<Taken, E> {
        self.row.put(self.column, text);
        Ok(Ok(self.taken + 1))
    }
}

impl<'de> DeserializeSeed<'de> for Texts<'_, 'de> {
    type Value = Taken;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Taken, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_, 'de> {
    type Value = Taken;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Taken, E> {
        self.text(text.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Taken, E> {
        self.text(text.to_owned().into())
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Taken, E> {
        self.text(if flag { "true" } else { "false" }.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Taken, E> {
        self.text(number.to_string().into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Taken, E> {
        self.text(number.to_string().into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Taken, E> {
        // JSON has no other numbers.
        let number = Number::from_f64(number).ok_or_else(|| E::custom("no finite number"))?;
        self.text(number.to_string().into())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Taken, E> {
        Ok(Ok(self.taken))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Taken, A::Error> {
        let Self { row, column, mut taken, in_list } = self;
        if in_list {
            while items.next_element::<de::IgnoredAny>()?.is_some() {}
            return Ok(Err("a list within a list"));
        }
        let mut wrong = None;
        loop {
            let item = Texts { row: &mut *row, column, taken, in_list: true };
            match items.next_element_seed(item)? {
                Some(Ok(more)) => taken = more,
                Some(Err(what)) => wrong = wrong.or(Some(what)),
                None => return Ok(wrong.map_or(Ok(taken), Err)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Taken, A::Error> {
        while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
        Ok(Err("an object"))
    }
}
