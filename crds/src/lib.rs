//! The declared kinds: Carrier, Tenant, Application, Number, Pool
