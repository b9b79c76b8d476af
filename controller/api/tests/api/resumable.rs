//! Uploads in parts: what was taken is known, what is sent again is taken once, what was wrong stays readable.

use axum::body::Body;
use busyhour_controller_core::command::Command;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::{
    batches::draft,
    support::{A, Answer, Rig, declaration, request},
};

/// Sends a part, and gives what is answered.
async fn part(rig: &Rig, url: &str, offset: u64, last: bool, text: impl Into<Body>) -> Answer {
    let request = request("PATCH", &format!("{url}/lines"))
        .header("content-type", "text/csv")
        .header("upload-offset", offset)
        .header("upload-complete", if last { "?1" } else { "?0" });
    rig.send(request.body(text.into()).unwrap()).await
}

/// Offset, next line and whether the upload is complete.
async fn head(rig: &Rig, url: &str) -> (u64, u64, bool) {
    let answer =
        rig.send(request("HEAD", &format!("{url}/lines")).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    told(&answer)
}

fn told(answer: &Answer) -> (u64, u64, bool) {
    let text = |name: &str| answer.headers[name].to_str().unwrap();
    let number = |name: &str| text(name).parse().unwrap();
    (number("upload-offset"), number("upload-line"), text("upload-complete") == "?1")
}

const FILE: &str = "custom_id,To,var.note\n\
    a,+4930123451,\"two\nlines\"\n\
    b,+4930123452,\n\
    c,nobody,\n\
    d,+4930123453,\n\
    e,+4930123454,\n";

async fn accepted(rig: &Rig, url: &str) -> Value {
    rig.get(url).await.json()["counts"]["accepted"].clone()
}

#[tokio::test]
async fn a_file_cut_anywhere_is_taken_once_and_whole() {
    for cut in 0..=FILE.len() {
        let rig = Rig::new().await;
        let url = draft(&rig, json!({}), 0).await;
        assert_eq!(head(&rig, &url).await, (0, 1, false));
        let first = part(&rig, &url, 0, false, &FILE[..cut]).await;
        assert_eq!(first.status, 200, "{cut}: {}", first.text);
        let (offset, ..) = head(&rig, &url).await;
        assert!(offset <= cut as u64);
        assert_eq!(told(&first).0, offset);
        // From where it stands, from further back, and all of it: nothing is taken twice.
        let rest = part(&rig, &url, offset, true, &FILE[offset as usize..]).await;
        assert_eq!(told(&rest), (FILE.len() as u64, 8, true), "{cut}: {}", rest.text);
        assert_eq!(part(&rig, &url, 0, true, FILE).await.status, 200);
        assert_eq!(accepted(&rig, &url).await, 4, "{cut}");
        let errors = rig.get(&format!("{url}/errors")).await.lines();
        assert_eq!(errors.len(), 1, "{cut}");
        assert_eq!(
            (&errors[0]["line"], &errors[0]["custom_id"], &errors[0]["code"]),
            (&json!(5), &json!("c"), &json!(21211))
        );
    }
}

#[tokio::test]
async fn a_part_sent_twice_is_taken_once_and_a_hole_is_refused() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let text =
        |from: u32, to: u32| -> String { (from..to).map(|n| format!("+4930{n:07}\n")).collect() };
    let head_line = "To\n".to_owned();
    let one = head_line.clone() + &text(0, 700);
    for _ in 0..3 {
        let report = part(&rig, &url, 0, false, one.clone()).await.json();
        assert_eq!(report["duplicates"], 0, "what was taken is not even read: {report}");
    }
    let at = one.len() as u64;
    let hole = part(&rig, &url, at + 1, false, text(700, 800)).await;
    assert_eq!(told(&hole).0, at, "the answer says where to go on");
    hole.is_error(409, 20409, &["behind", &at.to_string()]);
    part(&rig, &url, at, true, text(700, 800)).await;
    assert_eq!(accepted(&rig, &url).await, 800);
    let more = part(&rig, &url, at + 1_300, false, text(800, 801)).await;
    more.is_error(409, 20409, &["complete"]);
}

#[tokio::test]
async fn an_upload_that_broke_off_keeps_its_whole_lines() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let rows = (0..700).map(|n| Ok::<_, std::io::Error>(format!("+4930{n:07}\n")));
    let head_line = futures::stream::iter([Ok("To\n".to_owned())]);
    let cut = futures::stream::iter([Ok("+49309".to_owned()), Err(std::io::Error::other("reset"))]);
    let body = head_line.chain(futures::stream::iter(rows)).chain(cut);
    let answer = part(&rig, &url, 0, true, Body::from_stream(body)).await;
    let whole = 3 + 700 * 13;
    assert_eq!(told(&answer), (whole, 702, false));
    answer.is_error(400, 20001, &["broke off"]);
    assert_eq!(accepted(&rig, &url).await, 700);
    let rest = part(&rig, &url, whole, true, "+4930999999\n").await.json();
    assert_eq!((&rest["accepted"], &rest["last_line"]), (&json!(1), &json!(702)));
}

#[tokio::test]
async fn two_uploads_of_one_file_at_once_take_no_line_twice() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let text: String = (0..2_000).map(|n| format!("+4930{n:07}\n")).collect();
    let text = format!("To\n{text}");
    let (one, other) =
        tokio::join!(part(&rig, &url, 0, true, text.clone()), part(&rig, &url, 0, true, text));
    let statuses = [one.status.as_u16(), other.status.as_u16()];
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    assert_eq!(accepted(&rig, &url).await, 2_000);
}

#[tokio::test]
async fn what_was_wrong_is_read_again_in_pages() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let rows: String = (0..1_500).map(|n| format!("x{n}\n")).collect();
    part(&rig, &url, 0, true, format!("To\n{rows}")).await;
    assert_eq!(rig.get(&url).await.json()["upload"]["refused"], 1_500);
    let all = rig.get(&format!("{url}/errors")).await.lines();
    assert!((200..=1_000).contains(&all.len()), "{}", all.len());
    assert!(all[0]["message"].as_str().unwrap().contains("x0"), "{}", all[0]);
    let page = rig.get(&format!("{url}/errors?after=11&limit=2")).await.lines();
    assert_eq!(page, all[10..12]);
    rig.get(&format!("{url}/errors?limit=0")).await.is_error(400, 20001, &["limit"]);
}

#[tokio::test]
async fn wrong_parts_are_refused_before_anything_is_taken() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let send = async |headers: &[(&str, &str)]| {
        let mut request = request("PATCH", &format!("{url}/lines"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        rig.send(request.body(Body::from("To\n")).unwrap()).await
    };
    let csv = ("content-type", "text/csv");
    send(&[csv]).await.is_error(400, 20001, &["Upload-Offset is missing"]);
    send(&[csv, ("upload-offset", "-1")]).await.is_error(400, 20001, &["Upload-Offset"]);
    let odd = [csv, ("upload-offset", "0"), ("upload-complete", "yes")];
    send(&odd).await.is_error(400, 20001, &["Upload-Complete", "?1"]);
    let partial = ("content-type", "application/partial-upload");
    send(&[partial, ("upload-offset", "0")]).await.is_error(415, 20415, &["text/csv"]);
    assert_eq!(rig.machine.submits(), Vec::<usize>::new());
    assert_eq!(send(&[csv, ("upload-offset", "0")]).await.status, 200);
    assert_eq!(send(&[partial, ("upload-offset", "3")]).await.status, 200, "CSV is known by now");
}

/// Declares how many bytes the parameters of the account's calls may take.
fn allow(rig: &Rig, bytes: u64) {
    let mut declared = declaration();
    let tenant = declared.tenants.iter_mut().find(|tenant| tenant.account == A).unwrap();
    tenant.limits.queue_bytes_max = bytes;
    rig.machine.apply(Command::Declare(Box::new(declared)));
}

#[tokio::test]
async fn an_upload_without_room_for_its_parameters_says_so_and_goes_on_when_there_is() {
    let rig = Rig::new().await;
    allow(&rig, 1 << 20);
    let url = draft(&rig, json!({}), 0).await;
    let line = |n: u32| format!("+4930{n:07},<Say>{n}{}</Say>\n", ".".repeat(3_900));
    let file: String = "To,Twiml\n".to_owned() + &(0..1_000).map(line).collect::<String>();
    let full = part(&rig, &url, 0, true, file.clone()).await;
    let (at, next, complete) = told(&full);
    assert!(next > 260 && next < 600 && !complete, "{next}");
    full.is_error(400, 22005, &[&format!("Line {next} "), "1048576 bytes", "Url", "split"]);
    assert_eq!(accepted(&rig, &url).await, next - 2, "nothing of what was refused");
    assert_eq!(rig.get(&format!("{url}/errors")).await.lines(), [] as [Value; 0]);
    // Sent as it is, it is refused from the same line on; what is there already is not.
    let again = part(&rig, &url, at, true, file[at as usize..].to_owned()).await;
    again.is_error(400, 22005, &[&format!("Line {next} ")]);
    assert_eq!(part(&rig, &url, 0, false, file[..at as usize].to_owned()).await.status, 200);
    allow(&rig, 8 << 20);
    let rest = part(&rig, &url, at, true, file[at as usize..].to_owned()).await;
    assert_eq!(told(&rest), (file.len() as u64, 1_002, true), "{}", rest.text);
    assert_eq!(accepted(&rig, &url).await, 1_000);
}
