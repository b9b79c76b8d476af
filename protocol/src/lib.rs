//! Messages between the controller and its agents
