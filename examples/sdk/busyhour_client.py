"""The official Python SDK, pointed at a Busyhour: every domain of it, so that no credentials go elsewhere."""

from urllib.parse import urlsplit

from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client


class Here(TwilioHttpClient):
    """Sends every request to one base URL, whatever host the SDK had in mind."""

    def __init__(self, base):
        super().__init__()
        self.base = base.rstrip("/")

    def request(self, method, url, *args, **kwargs):
        path = urlsplit(url)._replace(scheme="", netloc="").geturl()
        return super().request(method, self.base + path, *args, **kwargs)


def busyhour_client(base, account_sid, auth_token):
    """For example busyhour_client("http://127.0.0.1:8080", "AC...", "...")."""
    return Client(account_sid, auth_token, http_client=Here(base))
