// The official Node SDK, pointed at a Busyhour: every domain of it, so that no credentials go elsewhere.
import twilio from "twilio";

/** Sends every request to one base URL, whatever host the SDK had in mind. */
class Here extends twilio.RequestClient {
  constructor(base) {
    super();
    this.base = base.replace(/\/$/, "");
  }

  request(options) {
    const { pathname, search } = new URL(options.uri);
    return super.request({ ...options, uri: this.base + pathname + search });
  }
}

/** For example busyhourClient("http://127.0.0.1:8080", "AC...", "..."). */
export function busyhourClient(base, accountSid, authToken) {
  return twilio(accountSid, authToken, { httpClient: new Here(base) });
}
