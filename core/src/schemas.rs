//! What definitions look like, as JSON Schemas for editors: completion and hover while one writes.
//! The readers judge; a test holds each schema against its reader, field by field.

/// By the kind of definition, as the command line names it.
pub const SCHEMAS: [(&str, &str); 5] = [
    ("workflow", include_str!("../schemas/workflow.json")),
    ("agent", include_str!("../schemas/agent.json")),
    ("directive-type", include_str!("../schemas/directive-type.json")),
    ("function", include_str!("../schemas/function.json")),
    ("schedule", include_str!("../schemas/schedule.json")),
];

#[cfg(test)]
mod tests;
