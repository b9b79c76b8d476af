//! The call router's pure core: documents, call legs, webhooks, codecs, journal rules
