//! Every route, in one table: the router is made of it, and the OpenAPI document is tested against it.

use axum::routing::{MethodRouter, delete, get, head, patch, post, put};

use crate::{
    App, accounts, availability, batches, calls, catalogue, explain, health, messages, openapi,
    overview,
};

/// One operation: its method, its path as the documentation has it, and what serves it.
pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the test against the document reads it"))]
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) serve: MethodRouter<App>,
}

macro_rules! table {
    ($($verb:ident $path:literal $handler:path;)*) => {
        vec![$(Route { method: stringify!($verb), path: $path, serve: $verb($handler) },)*]
    };
}

pub(crate) fn table() -> Vec<Route> {
    table! {
        get "/2010-04-01/Accounts.json" accounts::list;
        get "/2010-04-01/Accounts/{Sid}.json" accounts::fetch;
        post "/2010-04-01/Accounts/{AccountSid}/Calls.json" calls::create;
        get "/2010-04-01/Accounts/{AccountSid}/Calls.json" calls::list;
        get "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json" calls::fetch;
        post "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json" calls::update;
        post "/2010-04-01/Accounts/{AccountSid}/Messages.json" messages::create;
        get "/2010-04-01/Accounts/{AccountSid}/Messages.json" messages::list;
        get "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json" messages::fetch;
        post "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json" messages::update;
        delete "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json" messages::delete;
        get "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}/Media.json" messages::media;
        post "/v1/Calls/cancel" calls::cancel;
        post "/v1/Messages/cancel" messages::cancel;
        post "/v1/Carriers/{Name}/Messages" messages::bring;
        get "/v1/OptOuts" messages::opt_outs;
        post "/v1/OptOuts" messages::import;
        post "/v1/OptOuts/remove" messages::remove;
        get "/v1/OptOuts/removed" messages::removed;
        post "/v1/Consents/Bulk" messages::consents;
        get "/v1/Messages/{Sid}/explain" messages::explain;
        get "/v1/Calls/{Sid}/explain" explain::call;
        get "/v1/Batches/{Sid}/explain" explain::batch;
        get "/v1/Tenants/{Name}/explain" explain::tenant;
        get "/v1/Carriers/{Name}/explain" explain::carrier;
        post "/v1/Batches" batches::create;
        get "/v1/Batches" batches::list;
        get "/v1/Batches/{Sid}" batches::fetch;
        post "/v1/Batches/{Sid}/lines" batches::post_lines;
        put "/v1/Batches/{Sid}/lines" batches::put_lines;
        patch "/v1/Batches/{Sid}/lines" batches::patch_lines;
        head "/v1/Batches/{Sid}/lines" batches::head_lines;
        get "/v1/Batches/{Sid}/errors" batches::errors;
        get "/v1/Batches/{Sid}/results" batches::results;
        post "/v1/Batches/{Sid}/start" batches::start;
        post "/v1/Batches/{Sid}/pause" batches::pause;
        post "/v1/Batches/{Sid}/resume" batches::resume;
        post "/v1/Batches/{Sid}/cancel" batches::cancel;
        post "/v1/Batches/{Sid}/pace" batches::pace;
        post "/v1/Batches/{Sid}/retry" batches::retry;
        get "/v1/overview.json" overview::overview;
        get "/v1/Availability" availability::availability;
        get "/v1/errors/{Code}" catalogue::error;
        get "/openapi.json" openapi::document;
        get "/metrics" health::metrics;
        get "/healthz" health::live;
        get "/readyz" health::ready;
    }
}

/// A path as the router takes it: a variable part has to be a whole segment, so that `{Sid}.json` becomes
/// `{Sid}` and the handler looks at the extension.
pub(crate) fn served(path: &str) -> String {
    path.replace("}.json", "}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::OpenApi as _;

    use super::*;

    #[test]
    fn what_is_served_is_in_the_document_and_the_other_way_round() {
        let served: BTreeSet<(String, String)> =
            table().iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(served.len(), table().len());
        let document = serde_json::to_value(openapi::Document::openapi()).unwrap();
        let mut documented = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                documented.insert((method.clone(), path.clone()));
            }
        }
        assert_eq!(documented, served);
    }
}
