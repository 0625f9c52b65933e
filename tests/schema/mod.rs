//! JSON against a JSON Schema: of its words those that the schema of the report uses, and no others, so that nothing in
//! it is passed over.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A schema, and which of its properties were met in what was held to it.
pub(crate) struct Schema {
    root: Value,
    met: BTreeSet<String>,
}

impl Schema {
    pub(crate) fn new(text: &str) -> Self {
        Self { root: serde_json::from_str(text).unwrap(), met: BTreeSet::new() }
    }

    /// What is wrong with a value, by its path; empty where nothing is.
    pub(crate) fn problems(&mut self, value: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        let root = self.root.clone();
        self.check(&root, "#", value, "$", &mut problems);
        problems
    }

    /// Properties that were in nothing that was held to it.
    pub(crate) fn not_met(&self) -> Vec<String> {
        self.objects()
            .flat_map(|(place, object)| names(&place, object))
            .filter(|name| !self.met.contains(name))
            .collect()
    }

    /// What the schema leaves open: objects with room for other names, names without a description, names that may be
    /// left out.
    pub(crate) fn left_open(&self) -> Vec<String> {
        let mut open = Vec::new();
        for (place, object) in self.objects() {
            if object.get("additionalProperties") != Some(&Value::Bool(false)) {
                open.push(format!("{place}: other names"));
            }
            let required = object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            let properties = object.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                if property["description"].as_str().is_none_or(str::is_empty) {
                    open.push(format!("{place}/{name}: no description"));
                }
                if !required.contains(&name.as_str().into()) {
                    open.push(format!("{place}/{name}: may be left out"));
                }
            }
        }
        open
    }

    /// Every schema of an object, and where it stands.
    fn objects(&self) -> impl Iterator<Item = (String, &Map<String, Value>)> {
        let mut found = Vec::new();
        let mut open = vec![("#".to_owned(), &self.root)];
        while let Some((place, schema)) = open.pop() {
            let Some(schema) = schema.as_object() else { continue };
            if schema.get("type") == Some(&"object".into()) {
                found.push((place.clone(), schema));
            }
            for part in ["properties", "$defs"] {
                for (name, inner) in schema.get(part).and_then(Value::as_object).into_iter().flatten() {
                    let place = if part == "$defs" { format!("#/$defs/{name}") } else { format!("{place}/{name}") };
                    open.push((place, inner));
                }
            }
        }
        found.into_iter()
    }

    fn check(&mut self, schema: &Value, place: &str, value: &Value, path: &str, problems: &mut Vec<String>) {
        let mut wrong = |what: String| problems.push(format!("{path}: {what}"));
        let schema = schema.as_object().unwrap();
        let limit = |word: &str| schema.get(word).map(|limit| limit.as_f64().unwrap());
        if let Some(types) = schema.get("type")
            && !alternatives(types).iter().any(|name| is(value, name))
        {
            return wrong(format!("{value} is not {types}"));
        }
        if schema.get("enum").is_some_and(|values| !alternatives(values).contains(value)) {
            wrong(format!("{value} is none of {}", schema["enum"]));
        }
        if let Some(number) = value.as_f64()
            && (limit("minimum").is_some_and(|least| number < least)
                || limit("maximum").is_some_and(|most| number > most))
        {
            wrong(format!("{number} is out of its limits"));
        }
        for name in schema.get("required").map(alternatives).unwrap_or_default() {
            if value.get(name.as_str().unwrap()).is_none() {
                wrong(format!("{name} is missing"));
            }
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.root.pointer(reference.strip_prefix('#').unwrap()).unwrap().clone();
            self.check(&target, reference, value, path, problems);
        }
        if let Some(any) = schema.get("anyOf") {
            let tries: Vec<Vec<String>> = alternatives(any)
                .iter()
                .map(|schema| {
                    let mut problems = Vec::new();
                    self.check(schema, place, value, path, &mut problems);
                    problems
                })
                .collect();
            if tries.iter().all(|problems| !problems.is_empty()) {
                problems.extend(tries.into_iter().flatten());
            }
        }
        for (i, item) in value.as_array().into_iter().flatten().enumerate() {
            if let Some(schema) = schema.get("items") {
                self.check(schema, place, item, &format!("{path}[{i}]"), problems);
            }
        }
        if schema.get("type") == Some(&"object".into()) {
            self.names(schema, place, value, path, problems);
        }
        for word in schema.keys() {
            assert!(KNOWN.contains(&word.as_str()), "{place}: {word} is not known here");
        }
    }

    fn names(
        &mut self,
        schema: &Map<String, Value>,
        place: &str,
        value: &Value,
        path: &str,
        problems: &mut Vec<String>,
    ) {
        for (name, inner) in value.as_object().unwrap() {
            let path = format!("{path}.{name}");
            if let Some(property) = schema.get("properties").and_then(|all| all.get(name)) {
                self.met.insert(format!("{place}/{name}"));
                self.check(property, &format!("{place}/{name}"), inner, &path, problems);
            } else if let Some(property) = schema.get("patternProperties").and_then(|all| all.get(DIGITS)) {
                if !(1..=4).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_digit()) {
                    problems.push(format!("{path}: no number"));
                }
                self.check(property, place, inner, &path, problems);
            } else {
                problems.push(format!("{path}: not in the schema"));
            }
        }
    }
}

/// The one pattern that is used.
const DIGITS: &str = "^[0-9]{1,4}$";
/// The words of JSON Schema that are understood.
const KNOWN: [&str; 16] = [
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "title",
    "description",
    "type",
    "enum",
    "anyOf",
    "minimum",
    "maximum",
    "items",
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
];

fn names(place: &str, object: &Map<String, Value>) -> Vec<String> {
    let properties = object.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, _)| format!("{place}/{name}")).collect()
}

/// A list, or the one thing in its place.
fn alternatives(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn is(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("no type of JSON Schema: {other}"),
    }
}
