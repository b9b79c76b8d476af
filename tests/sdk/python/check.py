"""Drives a running Busyhour with the official Python SDK; any surprise is an exception.

Reads connection.json (its path is the one argument), as `busyhour demo --keep` writes it.
"""

import datetime
import http.server
import json
import pathlib
import sys
import threading
import time
import urllib.parse

from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "examples" / "sdk"))
from busyhour_client import busyhour_client  # noqa: E402

connection = json.load(open(sys.argv[1]))
mine, other = connection["tenants"][0], connection["tenants"][1]


def client(account, token):
    return busyhour_client(connection["api"], account, token)


def refused(code, status, call):
    """The call must be refused with this code, in the SDK's own exception class."""
    try:
        call()
    except TwilioRestException as error:
        assert (error.code, error.status) == (code, status), (error.code, error.status, error.msg)
        return error.msg
    raise AssertionError(f"not refused with {code}")


def until(condition, seconds=60):
    """Waits for the condition, at most so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{condition} did not hold in {seconds} s")


tel = client(mine["account_sid"], mine["auth_token"])
number = mine["numbers"][0]
document = "<Response><Say>Hello from Busyhour.</Say><Hangup/></Response>"

# The account.
assert tel.api.v2010.accounts(mine["account_sid"]).fetch().sid == mine["account_sid"]

# Create, fetch, wait for the end.
made = tel.calls.create(to="+15550100001", from_=number, twiml=document)
assert made.sid.startswith("CA") and len(made.sid) == 34, made.sid
assert made.status == "queued" and made.direction == "outbound-api", made.status
assert int(made.queue_time) >= 0 and made.duration is None, made.queue_time
assert tel.calls(made.sid).fetch().sid == made.sid
FINAL = {"completed", "busy", "no-answer", "failed", "canceled"}
ended = until(lambda: (c := tel.calls(made.sid).fetch()).status in FINAL and c)
assert ended.date_created is not None and ended.to == "+15550100001", ended.to

# A scheduled burst waits in the queue: cancel one, list with filters and pages.
calls = [tel.calls.create(to=f"+1555010{n:04}", from_=number, twiml=document) for n in range(10, 22)]
assert int(calls[-1].queue_time) > 0, calls[-1].queue_time
last = tel.calls(calls[-1].sid).update(status="canceled")
assert last.sid == calls[-1].sid
assert until(lambda: tel.calls(calls[-1].sid).fetch().status == "canceled")
refused(21220, 400, lambda: tel.calls(made.sid).update(twiml=document))
seen = [c.sid for c in tel.calls.list(page_size=5, limit=13)]
assert len(seen) == len(set(seen)) == 13 and seen[0] == calls[-1].sid, seen
first = tel.calls.page(page_size=4)
second = first.next_page()
back = [c.sid for c in second.previous_page()]
assert back == seen[:4] and [c.sid for c in second] == seen[4:8], (back, seen)
assert [c.sid for c in tel.calls.list(to="+15550100001", limit=50)].count(made.sid) == 1
assert all(c.status == "canceled" for c in tel.calls.list(status="canceled", limit=5))
for call in calls[:-1]:
    until(lambda: tel.calls(call.sid).fetch().status in FINAL)

# Refusals, in the documented shape.
refused(20003, 401, lambda: client(mine["account_sid"], "wrong").calls(made.sid).fetch())
theirs = client(other["account_sid"], other["auth_token"])
refused(20404, 404, lambda: theirs.calls(made.sid).fetch())
refused(20404, 404, lambda: theirs.calls("CA" + "0" * 32).fetch())
refused(21201, 400, lambda: tel.calls.create(to="", from_=number, twiml=document))
refused(21205, 400, lambda: tel.calls.create(to="+15550100001", from_=number, url="no url"))
assert "%2B" in refused(21217, 400, lambda: tel.calls.create(to=" 15550100001", from_=number, twiml=document))
refused(21205, 400, lambda: tel.calls.create(to="+15550100001", from_=number, url="ftp://x/y"))

class Told(http.server.BaseHTTPRequestHandler):
    """Takes status callbacks, and judges each by the official validator."""

    steps = {}

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        params = dict(urllib.parse.parse_qsl(form))
        url = f"http://{self.headers['Host']}{self.path}"
        signed = RequestValidator(mine["auth_token"]).validate(url, params, self.headers["X-Twilio-Signature"])
        self.steps.setdefault(params["MessageSid"], []).append((params["MessageStatus"], signed))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Told)
threading.Thread(target=web.serve_forever, daemon=True).start()
hooks = f"http://127.0.0.1:{web.server_port}/told?of=messages"

# Messages: create, fetch, wait for the end, take the text out, delete.
MESSAGE_FINAL = {"delivered", "undelivered", "failed", "canceled"}
to = "+15550109999"
texts = ["hello", "hello", "x" * 161, "\u4f60" * 71]
sent = [tel.messages.create(to=to, from_=number, body=text, status_callback=hooks) for text in texts]
for message, segments in zip(sent, ["1", "1", "2", "2"]):
    assert message.sid.startswith("SM") and message.num_segments == segments, message.num_segments
    assert (message.status, message.direction) == ("queued", "outbound-api"), message.status
for message in sent:
    ended = until(lambda: (m := tel.messages(message.sid).fetch()).status in MESSAGE_FINAL and m)
    assert (ended.error_code is None) == (ended.status == "delivered"), (ended.status, ended.error_code)
    assert ended.date_sent is not None and ended.body == message.body
    sent_on = {"delivered": ["sent"], "undelivered": ["sent"], "failed": []}[ended.status]
    expected = [(step, True) for step in ["queued", "sending", *sent_on, ended.status]]
    until(lambda: len(Told.steps.get(message.sid, [])) == len(expected))
    assert Told.steps[message.sid] == expected, Told.steps[message.sid]
assert tel.messages(sent[0].sid).media.list(limit=5) == []
listed = [m.sid for m in tel.messages.list(to=to, from_=number, page_size=2, limit=10)]
assert listed == [m.sid for m in reversed(sent)], listed
today = ended.date_sent.date()
assert len(tel.messages.list(date_sent=today, to=to, limit=10)) == len(sent)
assert tel.messages.list(date_sent_after=today + datetime.timedelta(days=1), limit=1) == []
redacted = tel.messages(sent[0].sid).update(body="")
assert redacted.body == "" and tel.messages(sent[0].sid).fetch().body == ""
assert tel.messages(sent[1].sid).fetch().body == "hello", "another message of the same text keeps it"
assert tel.messages(sent[0].sid).delete()
refused(20404, 404, lambda: tel.messages(sent[0].sid).fetch())
tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
later = tel.messages.create(to=to, from_=number, body="later", schedule_type="fixed", send_at=tomorrow)
assert later.status == "scheduled"
assert tel.messages(later.sid).update(status="canceled").status == "canceled"
refused(30409, 409, lambda: tel.messages(later.sid).update(status="canceled"))
refused(21211, 400, lambda: tel.messages.create(to="nobody", from_=number, body="x"))
refused(21606, 400, lambda: tel.messages.create(to=to, from_="+15559999999", body="x"))
refused(21602, 400, lambda: tel.messages.create(to=to, from_=number))
refused(21617, 400, lambda: tel.messages.create(to=to, from_=number, body="x" * 1601))
refused(20001, 400, lambda: tel.messages.create(to=to, from_=number, body="x", media_url=["https://example.com/a.png"]))

# Consents in bulk: a verdict for each; who opts out gets nothing until they opt in.
def consents(*items):
    made = [{"contact_id": contact, "correlation_id": f"{n:032x}", "sender_id": number, "status": status, "source": "website",
             "date_of_consent": "2026-03-01T12:00:00Z"} for n, (contact, status) in enumerate(items)]
    answers = tel.accounts.v1.bulk_consents.create(items=made).items
    assert [answer["correlation_id"] for answer in answers] == [item["correlation_id"] for item in made], answers
    return [answer["error_code"] for answer in answers]


leaver = "+15550109997"
assert consents((leaver, "opt-out"), ("nobody", "opt-out")) == [0, 21211]
refused(21610, 400, lambda: tel.messages.create(to=leaver, from_=number, body="x"))
assert consents((leaver, "opt-in")) == [0]
assert tel.messages.create(to=leaver, from_=number, body="x").sid.startswith("SM")

# A message that came in, and the application's answer to it.
if "inbound_message" in connection:
    writer = "+15550107777"
    came = until(lambda: (m := tel.messages(connection["inbound_message"]).fetch()).status == "received" and m)
    assert (came.direction, came.body, came.from_, came.to) == ("inbound", "Hello?", writer, number)
    assert came.num_segments == "1" and came.num_media == "0" and came.error_code is None
    assert [m.sid for m in tel.messages.list(from_=writer, to=number)] == [came.sid]
    [answer] = tel.messages.list(from_=number, to=writer)
    assert (answer.direction, answer.body) == ("outbound-reply", "Hello to you.")
    refused(30409, 409, lambda: tel.messages(came.sid).update(status="canceled"))

# The official validator accepts the signatures that the application server was sent.
validator = RequestValidator(mine["auth_token"])
for sample in connection.get("signature_samples", []):
    assert validator.validate(sample["url"], sample["params"], sample["signature"]), sample
    tampered = dict(sample["params"], CallSid="CA" + "0" * 32)
    assert not validator.validate(sample["url"], tampered, sample["signature"]), sample
print(json.dumps({"python": "ok", "calls": len(calls) + 1, "messages": [m.sid for m in sent], "signatures": len(connection.get("signature_samples", []))}))
