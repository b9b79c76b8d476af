use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

/// The same, for as long as one likes.
fn owned(next: Next<'_>) -> Next<'static> {
    let text = |text: Cow<'_, str>| Cow::<'static, str>::Owned(text.into_owned());
    match next {
        Next::Row(row) => Next::Row(Row {
            line: row.line,
            custom_id: row.custom_id.map(text),
            parameters: row.parameters.into_iter().map(|(n, value)| (n, text(value))).collect(),
            variables: row.variables.into_iter().map(|(n, value)| (text(n), text(value))).collect(),
        }),
        Next::Bad(error) => Next::Bad(error),
        Next::Broken(error) => Next::Broken(error),
        Next::End => Next::End,
    }
}

fn read(format: Format, text: &[u8]) -> Vec<Next<'static>> {
    let mut lines = match Lines::open(format, text, Kind::Call, true) {
        Ok(lines) => lines,
        Err(error) => return vec![Next::Broken(error)],
    };
    let mut all = Vec::new();
    loop {
        match owned(lines.next()) {
            Next::End => return all,
            broken @ Next::Broken(_) => {
                all.push(broken);
                return all;
            }
            other => all.push(other),
        }
    }
}

fn message<'a>(next: &'a Next<'_>) -> (u64, &'a str) {
    match next {
        Next::Bad(error) => (error.line, &error.message),
        Next::Broken(error) => (0, &error.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_formats_say_the_same() {
    let csv = b"custom_id,To,var.name,Timeout\na,+4930123456,\"Z, oe\",30\nb,+4930123457,,\n";
    let ndjson = br#"{"custom_id":"a","To":"+4930123456","var.name":"Z, oe","Timeout":30}
{"custom_id":"b","To":"+4930123457","var.name":null,"Timeout":""}
"#;
    let rows = |format, text| -> Vec<Row<'static>> {
        let all = read(format, text).into_iter();
        let rows = all.map(|next| match next {
            Next::Row(row) => Row { line: 0, ..row },
            other => panic!("{other:?}"),
        });
        rows.collect()
    };
    let from_csv = rows(Format::Csv, csv);
    assert_eq!(from_csv, rows(Format::Ndjson, ndjson));
    assert_eq!(from_csv[0].parameters[1], ("Timeout", Cow::Borrowed("30")));
    assert_eq!(from_csv[1].parameters.len(), 1);
}

#[test]
fn line_numbers_are_those_of_the_file() {
    let all = read(Format::Csv, b"To,var.a\n1,\"two\nlines\"\n2,x,y\n3,z\n");
    assert!(matches!(&all[0], Next::Row(row) if row.line == 2));
    assert_eq!(message(&all[1]), (4, "3 fields: the first line names 2"));
    assert!(matches!(&all[2], Next::Row(row) if row.line == 5));
    for end in ["\n", "\r\n"] {
        let text = ["", "To", "", "", "1", "", "2,3"].join(end);
        let all = read(Format::Csv, text.as_bytes());
        assert!(matches!(&all[0], Next::Row(row) if row.line == 5), "{all:?}");
        assert_eq!(message(&all[1]), (7, "2 fields: the first line names 1"));
    }
    let all = read(Format::Ndjson, b"\n{\"To\":\"1\"}\n\n[]\n{\"To\":{}}\n{\"Tos\":1}\n{");
    assert!(matches!(&all[0], Next::Row(row) if row.line == 2));
    let numbers: Vec<u64> = all[1..].iter().map(|next| message(next).0).collect();
    assert_eq!(numbers, [4, 5, 6, 7]);
    assert!(message(&all[3]).1.contains("\"Tos\""));
}

#[test]
fn json_values_are_taken_as_a_form_has_them_or_named() {
    let row = |text: &str| match &read(Format::Ndjson, text.as_bytes())[..] {
        [Next::Row(row)] => row.clone(),
        other => panic!("{other:?}"),
    };
    let line = r#"{"T\u006f":"\u002b1","Timeout":30,"var.a":-1,"var.b":1.0,"var.c":true,"var.d":[null,"x",2.5e3]}"#;
    let taken = row(line);
    assert_eq!(taken.parameters, [("To", Cow::Borrowed("+1")), ("Timeout", Cow::Borrowed("30"))]);
    let values: Vec<_> =
        taken.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(values, ["a=-1", "b=1.0", "c=true", "d=x", "d=2500.0"]);
    let wrong = |text: &str| match &read(Format::Ndjson, text.as_bytes())[..] {
        [Next::Bad(error)] => error.message.clone(),
        other => panic!("{other:?}"),
    };
    assert!(wrong(r#"{"To":{"a":[1]}}"#).contains("To is an object"));
    assert!(wrong(r#"{"To":["1",{}]}"#).contains("To is an object"));
    assert!(wrong(r#"{"To":[["1"]]}"#).contains("To is a list within a list"));
    for twice in [r#""a","custom_id":"b""#, r#"["a","b"]"#, r#""a","custom_id":null"#] {
        assert!(wrong(&format!(r#"{{"custom_id":{twice}}}"#)).contains("given twice"), "{twice}");
    }
    assert!(wrong(r#"{"To":"1"} x"#).contains("trailing"));
}

#[test]
fn a_line_that_is_too_long_costs_itself_alone_in_ndjson_and_the_upload_in_csv() {
    let mut text = b"{\"To\":\"".to_vec();
    text.extend(std::iter::repeat_n(b'1', 10 * LINE_MAX));
    text.extend(b"\"}\n{\"To\":\"2\"}");
    let all = read(Format::Ndjson, &text);
    assert_eq!(message(&all[0]).0, 1);
    assert!(matches!(&all[1], Next::Row(row) if row.line == 2));

    let mut text = b"To\n1\n\"".to_vec();
    text.extend(std::iter::repeat_n(b'1', 10 * LINE_MAX));
    let all = read(Format::Csv, &text);
    assert!(matches!(&all[0], Next::Row(_)));
    assert!(message(&all[1]).1.contains("longer than"), "{all:?}");
}

/// Spreadsheets lose the mark easily, and what follows would be taken for a part of one value.
#[test]
fn a_quotation_mark_that_is_left_open_costs_the_line_and_is_told() {
    let text = b"To,var.a\n1,\"x\"\n2,\"y\n3,z\n";
    let all = read(Format::Csv, text);
    assert!(matches!(&all[0], Next::Row(row) if row.line == 2));
    let (line, message) = message(&all[1]);
    assert_eq!((line, all.len()), (3, 2));
    assert!(message.contains("quotation mark is left open"), "{message}");
    for whole in ["1,\"x\"", "1,x\"", "1,\"x\"\"\"", "1,\"\"", "1,"] {
        let all = read(Format::Csv, format!("To,var.a\n{whole}").as_bytes());
        assert!(matches!(&all[..], [Next::Row(_)]), "{whole}: {all:?}");
    }
}

#[test]
fn a_mark_of_utf8_before_the_first_object_is_passed_over() {
    let all = read(Format::Ndjson, b"\xef\xbb\xbf{\"To\":\"1\"}\r\n{\"To\":\"2\"}");
    assert!(matches!(&all[..], [Next::Row(_), Next::Row(_)]), "{all:?}");
    assert!(read(Format::Ndjson, b"\xef\xbb\xbf\n").is_empty());
    let all = read(Format::Ndjson, b"{\"To\":\"1\"}\n{\"To\"");
    assert_eq!(message(&all[1]), (2, "EOF while parsing an object at column 5"));
}

#[test]
fn names_are_checked_before_any_line_is_taken() {
    for (header, word) in
        [("To,Tos", "\"Tos\""), ("To,To", "twice"), ("var.a b", "var."), ("To,", "\"\"")]
    {
        let all = read(Format::Csv, format!("{header}\n1,2\n").as_bytes());
        assert_eq!(all.len(), 1);
        assert!(message(&all[0]).1.contains(word), "{all:?}");
    }
    assert!(read(Format::Csv, b"").is_empty());
    assert!(matches!(&read(Format::Csv, b"\xef\xbb\xbfTo\n1\n")[0], Next::Row(_)));
}

/// Reads a part of a file as an upload that goes on at `place` does.
fn part(
    format: Format,
    known: Option<&UploadFormat>,
    place: Place,
    text: &[u8],
    whole: bool,
) -> (Vec<Next<'static>>, Option<UploadFormat>, Place) {
    let lines = match known {
        Some(known) => Lines::go_on(known, text, Kind::Call, place, whole),
        None => Lines::open(format, text, Kind::Call, whole),
    };
    let mut lines = lines.unwrap();
    let mut all = Vec::new();
    loop {
        match owned(lines.next()) {
            Next::End => return (all, Some(lines.format()), lines.place()),
            other => all.push(other),
        }
    }
}

proptest! {
    /// A file read in any two parts is the file read at once, whatever the cut goes through.
    #[test]
    fn a_cut_loses_and_doubles_nothing(
        rows in prop::collection::vec(("[0-9]{1,4}", "[a-z\", \n\r]{0,6}"), 0..6),
        csv: bool, crlf: bool, last: bool, at in any::<prop::sample::Index>(),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut text = if csv { format!("To,var.a{end}") } else { String::new() };
        let begins = text.len();
        for (to, other) in &rows {
            let line = if csv {
                format!("{to},{}", quoted(other))
            } else {
                serde_json::json!({"To": to, "var.a": other}).to_string()
            };
            text += &format!("{line}{end}");
        }
        if !last && text.len() > begins {
            text.truncate(text.len() - end.len());
        }
        let text = text.as_bytes();
        let format = if csv { Format::Csv } else { Format::Ndjson };
        let (all, _, whole) = part(format, None, Place::START, text, true);
        prop_assert_eq!(all.len(), rows.len());
        prop_assert_eq!(whole.byte, text.len() as u64);
        let cut = begins + at.index(text.len() - begins + 1);
        let (mut parts, known, place) = part(format, None, Place::START, &text[..cut], false);
        prop_assert!(place.byte <= cut as u64);
        let rest = &text[place.byte as usize..];
        let (more, _, end) = part(format, known.as_ref(), place, rest, true);
        parts.extend(more);
        prop_assert_eq!(format!("{parts:?}"), format!("{all:?}"));
        prop_assert_eq!(end, whole);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..2_000), csv: bool) {
        let (format, head) = if csv { (Format::Csv, &b"To\n"[..]) } else { (Format::Ndjson, &b""[..]) };
        let text = [head, &bytes].concat();
        let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).count();
        prop_assert!(read(format, &text).len() <= lines);
    }
}
