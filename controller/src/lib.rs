//! The controller process: wires the state machine to its log, agents, API, records and declarations
