"""What limits refuse, as the official Python SDK tells it. Reads connection.json of the scenario `limits`."""

import json
import pathlib
import sys

from twilio.base.exceptions import TwilioRestException

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "examples" / "sdk"))
from busyhour_client import busyhour_client  # noqa: E402

connection = json.load(open(sys.argv[1]))
tenants = {tenant["name"]: tenant for tenant in connection["tenants"]}


def refused_at_the_third(name, code):
    """Two calls are accepted, and the third is refused with this code."""
    tenant = tenants[name]
    tel = busyhour_client(connection["api"], tenant["account_sid"], tenant["auth_token"])
    for n in range(3):
        try:
            made = tel.calls.create(to=f"+1555300000{n}", from_=tenant["numbers"][0], twiml="<Response/>")
            assert n < 2, f"{name}: call {n} was accepted"
            assert made.status == "queued" and int(made.queue_time) >= 0
        except TwilioRestException as error:
            assert n == 2 and (error.code, error.status) == (code, 400), (n, error.code, error.status, error.msg)
            assert error.uri.endswith("/Calls.json"), error.uri


refused_at_the_third("refused", 10004)
refused_at_the_third("slow", 22005)
print(json.dumps({"python": "ok"}))
