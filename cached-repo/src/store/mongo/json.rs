//! JSON columns as nested documents: BSON's own types are spelled as MongoDB's Extended JSON.

use mongodb::bson::{Bson, Document};

/// 80 levels were seen to abort a process in a debug build; the server takes 100.
const DEPTH_MAX: usize = 50;

/// The value that a JSON text says. What would come back as another value, or not at all, is refused.
///
/// # Errors
///
/// Why MongoDB cannot hold it.
pub(super) fn to_bson(text: &str) -> Result<Bson, String> {
    // The driver goes down into documents by recursion, which ends a process whose stack is too short.
    if depth(text) > DEPTH_MAX {
        return Err(format!("JSON that is nested more than {DEPTH_MAX} levels deep"));
    }
    let value: Bson =
        serde_json::from_str(text).map_err(|e| format!("this JSON: {}", without_values(&e)))?;
    check(&value)?;
    // An object with such a field may be a value of BSON's own, which has one spelling of several.
    if text.contains("\"$") && !is_spelled_so(text, &value) {
        return Err(
            "JSON that MongoDB takes for a value of its own (Extended JSON), and would give back \
            in other words"
                .to_owned(),
        );
    }
    Ok(value)
}

/// The JSON text of a value.
///
/// # Errors
///
/// Why JSON has no words for it.
pub(super) fn from_bson(value: Bson) -> Result<String, String> {
    if has_strange_number(&value) {
        return Err("JSON has no NaN and no infinities".to_owned());
    }
    serde_json::to_string(&value).map_err(|e| format!("no JSON: {e}"))
}

/// How deep JSON text is nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether this JSON comes back from the value.
fn is_spelled_so(text: &str, value: &Bson) -> bool {
    let back = from_bson(value.clone()).and_then(|back| read(&back));
    back.is_ok_and(|back| read(text) == Ok(back))
}

fn read(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|e| without_values(&e))
}

/// Refuses field names that updates and queries would take for something else.
fn check(value: &Bson) -> Result<(), String> {
    match value {
        Bson::Document(fields) => fields.iter().try_for_each(|(name, value)| {
            if name.starts_with('$') || name.contains(['.', '\0']) {
                let why = "field names in JSON that begin with `$`, or contain `.` or NUL";
                return Err(why.to_owned());
            }
            check(value)
        }),
        Bson::Array(items) => items.iter().try_for_each(check),
        _ => Ok(()),
    }
}

fn has_strange_number(value: &Bson) -> bool {
    match value {
        Bson::Double(v) => !v.is_finite(),
        Bson::Document(fields) => has_strange_field(fields),
        Bson::Array(items) => items.iter().any(has_strange_number),
        _ => false,
    }
}

fn has_strange_field(fields: &Document) -> bool {
    fields.values().any(has_strange_number)
}

/// Where a text is wrong, without what stands there.
fn without_values(error: &serde_json::Error) -> String {
    let category = match error.classify() {
        serde_json::error::Category::Data => "a value that BSON has no type for",
        _ => "a mistake in the syntax",
    };
    format!("{category} at line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_says_comes_back() {
        for text in [
            "null",
            "1",
            "1.0",
            "-9223372036854775808",
            r#"{"a":[1,2.5,null,"ü\n"],"b":{"c":true}}"#,
            r#"{"_id":{"$oid":"0123456789abcdef01234567"}}"#,
            r#"{"price":{"$numberDecimal":"1.10"}}"#,
        ] {
            assert_eq!(to_bson(text).and_then(from_bson).as_deref(), Ok(text));
        }
        let date = mongodb::bson::DateTime::from_millis(1_767_323_045_678);
        let spelled = from_bson(Bson::DateTime(date)).and_then(|text| to_bson(&text));
        assert_eq!(spelled, Ok(Bson::DateTime(date)));
    }

    #[test]
    fn what_bson_cannot_hold_is_refused_without_its_content() {
        for text in [
            r#"{"secret.name":1}"#,
            r#"{"a":[{"$secret":1}]}"#,
            r#"{"secret\u0000":1}"#,
            "18446744073709551615",
            // Another value, or the same one in other words.
            r#"{"secret":{"$numberLong":"5"}}"#,
            r#"{"$date":"2026-01-02T03:04:05+02:00"}"#,
            r#"{"$numberDouble":"NaN"}"#,
            r#"{"$numberInt":"7"}"#,
            r#"{"$numberDouble":"1.0"}"#,
            "{secret",
        ] {
            let refused = to_bson(text);
            assert!(refused.as_ref().is_err_and(|why| !why.contains("secret")), "{refused:?}");
        }
        assert!(from_bson(Bson::Double(f64::NAN)).is_err());
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(to_bson(&nested(DEPTH_MAX)).is_ok() && to_bson(&nested(DEPTH_MAX + 1)).is_err());
    }
}
