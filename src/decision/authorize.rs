//! What a proven caller may do: scopes, and the condition over claims and request.

use super::policy::Scopes;
use super::visible::Request;
use crate::jose::{Claims, Json, Members};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::{Context, Program, Value};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The longest condition, in bytes.
const MAX_SOURCE: usize = 1024;
/// The longest array or object that a condition sees: what a macro loops over is chosen by the token's maker.
const MAX_ITEMS: usize = 256;
/// How deeply brackets and choices may nest. The parser recurses some fourteen calls a bracket: 185 KiB of stack without
/// optimisation, 8 KiB with it. A thread has 2 MiB.
const MAX_NESTING: usize = 8;
/// How many operations may stand in one another, brackets or not: `a + b + c` is two. Evaluation recurses too, 39 KiB of
/// stack an operation without optimisation, 2 KiB with it.
const MAX_DEPTH: usize = 32;
/// The variables a condition may name.
const VARIABLES: [&str; 3] = ["claims", "request", "path"];

/// True when the value of the scope claim holds every one of `wanted`.
///
/// A string is a space-separated list (RFC 9068 §2.2.3), an array holds one scope an item.
#[must_use]
pub fn has_scopes(granted: Option<Json<'_>>, wanted: &Scopes) -> bool {
    let has = |name: &String| match granted {
        Some(Json::Text(list)) => list.split(' ').any(|scope| scope == name),
        Some(Json::Array(mut items)) => items.any(|scope| scope.as_str() == Some(name)),
        _ => false,
    };
    wanted.names().iter().all(has)
}

/// A compiled condition in CEL (Common Expression Language).
pub struct Condition {
    source: Arc<str>,
    program: Program,
    needs: [bool; VARIABLES.len()],
    needs_headers: bool,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({})", self.source)
    }
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Longer than 1 KiB, or nested too deeply.
    #[error("is too large: at most 1 KiB, with brackets and choices (`?`) nested at most {MAX_NESTING} deep")]
    TooLarge,
    /// Too many operations in one another.
    #[error("has more than {MAX_DEPTH} operations in one another")]
    TooDeep,
    /// Not CEL.
    #[error("is not a CEL expression: {0}")]
    Syntax(String),
    /// A variable that does not exist.
    #[error("names {0}, which is none of claims, request, path")]
    UnknownVariable(String),
    /// A function that does not exist.
    #[error("calls {0}, which does not exist")]
    UnknownFunction(String),
    /// A macro inside a macro: its cost would be the square of what a token brings along.
    #[error("has a macro inside a macro")]
    NestedMacro,
    /// A regular expression that is not a literal.
    #[error("calls matches() with a pattern that is not a literal")]
    DynamicPattern,
}

impl Condition {
    /// Compiles `source`, and refuses what could cost more than a request may cost.
    pub fn compile(source: &str) -> Result<Self, ConditionError> {
        if source.len() > MAX_SOURCE || nesting(source) > MAX_NESTING {
            return Err(ConditionError::TooLarge);
        }
        let program =
            Program::compile(source).map_err(|errors| ConditionError::Syntax(first_line(&errors.to_string())))?;
        check_cost(program.expression(), MAX_DEPTH, false)?;
        let references = program.references();
        if let Some(unknown) =
            references.variables().into_iter().find(|name| !VARIABLES.contains(name) && !name.starts_with('@'))
        {
            let loop_variable = declares(program.expression(), unknown);
            if !loop_variable {
                return Err(ConditionError::UnknownVariable(unknown.to_owned()));
            }
        }
        let needs = VARIABLES.map(|name| references.has_variable(name));
        // Whoever spells the word with an escape gets no headers, and a condition that never holds.
        Ok(Self { source: source.into(), needs, needs_headers: source.contains("headers"), program })
    }

    /// The condition as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// True when the condition evaluates to `true`. An error (an absent claim, a wrong type, too long an array, a
    /// header that two programs could read differently) is never true: `!claims.banned` does not let through a token without the claim.
    #[must_use]
    pub fn holds(&self, claims: &Claims, request: &Request<'_>) -> bool {
        let mut context = Context::default();
        let [needs_claims, needs_request, needs_path] = self.needs;
        if needs_claims {
            let Some(value) = object(claims.members()) else { return false };
            context.add_variable_from_value("claims", value);
        }
        if needs_request {
            let Some(value) = request.value(self.needs_headers) else { return false };
            context.add_variable_from_value("request", value);
        }
        if needs_path {
            let parameters = request.parameters.iter().map(|(name, value)| (name.clone(), value.clone()));
            context.add_variable_from_value("path", Value::from(parameters.collect::<HashMap<String, String>>()));
        }
        matches!(self.program.execute(&context), Ok(Value::Bool(true)))
    }
}

/// The CEL value of a JSON value; `None` where a part is larger than a condition may see.
fn value(json: Json<'_>) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Text(text) => Value::from(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Int(integer),
            (None, Some(float)) => Value::Float(float),
            (None, None) => return None,
        },
        Json::Array(items) if items.len() <= MAX_ITEMS => {
            Value::List(Arc::new(items.map(value).collect::<Option<Vec<_>>>()?))
        }
        Json::Object(fields) => object(fields)?,
        Json::Array(_) => return None,
    })
}

fn object(fields: Members<'_>) -> Option<Value> {
    if fields.len() > MAX_ITEMS {
        return None;
    }
    let fields: Option<HashMap<String, Value>> =
        fields.map(|(name, json)| Some((name.to_owned(), value(json)?))).collect();
    Some(Value::from(fields?))
}

/// Refuses macros inside macros, patterns that a token could choose, and what is more than `depth` operations deep.
fn check_cost(expression: &IdedExpr, depth: usize, in_macro: bool) -> Result<(), ConditionError> {
    let depth = depth.checked_sub(1).ok_or(ConditionError::TooDeep)?;
    if let Expr::Call(call) = &expression.expr {
        let pattern = call.args.last().map(|argument| &argument.expr);
        if call.func_name == "matches" && !matches!(pattern, Some(Expr::Literal(LiteralValue::String(_)))) {
            return Err(ConditionError::DynamicPattern);
        }
    }
    let loops = matches!(&expression.expr, Expr::Comprehension(_));
    if loops && in_macro {
        return Err(ConditionError::NestedMacro);
    }
    children(expression).into_iter().try_for_each(|child| check_cost(child, depth, in_macro || loops))
}

/// True when some macro of the expression declares `name` as its loop variable.
fn declares(expression: &IdedExpr, name: &str) -> bool {
    let here = match &expression.expr {
        Expr::Comprehension(all) => {
            all.iter_var == name || all.iter_var2.as_deref() == Some(name) || all.accu_var == name
        }
        _ => false,
    };
    here || children(expression).into_iter().any(|child| declares(child, name))
}

fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(all) => {
            vec![&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
        Expr::Struct(all) => all.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

/// The deepest nesting of brackets, choices and unary operators. Brackets are counted without regard to string literals:
/// too much is refused either way.
fn nesting(source: &str) -> usize {
    let (mut depth, mut deepest, mut unary, mut quote) = (0_usize, 0, 0, None);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\'' | b'"' if quote.is_none_or(|open| open == byte) => quote = quote.xor(Some(byte)),
            // What stands behind a choice is read inside it, and nothing closes it. In patterns it is no choice.
            b'?' if quote.is_none() => depth += 1,
            _ => {}
        }
        unary = if matches!(byte, b'!' | b'-') { unary + 1 } else { 0 };
        deepest = deepest.max(depth + unary);
    }
    deepest
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::identity::Firewall;
    use crate::request::{CanonicalPath, Facts, Host, TransportFacts};
    use http::{HeaderMap, HeaderValue, Method};
    use std::net::{IpAddr, Ipv4Addr};

    fn holds(condition: &str, claims: &str) -> bool {
        let claims = Claims::parse(claims.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        headers.append("authorization", HeaderValue::from_static("Bearer secret"));
        let facts = Facts {
            now: UnixTime::from_seconds(0),
            method: &Method::POST,
            authority: None,
            path: b"/orders/17",
            query: None,
            headers: &headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: &TransportFacts::default(),
        };
        let path = CanonicalPath::parse(facts.path).unwrap();
        let host = Host::parse("api.test").unwrap();
        let parameters = [("id".to_owned(), "17".to_owned())];
        let firewall = Firewall::default();
        let request = Request { facts: &facts, host: &host, path: &path, parameters: &parameters, firewall: &firewall };
        Condition::compile(condition).unwrap().holds(&claims, &request)
    }

    #[test]
    fn a_condition_sees_claims_request_and_path() {
        let claims = r#"{"tenant":"acme","level":3,"roles":["a","b"],"nested":{"x":true}}"#;
        for condition in [
            r#"claims.tenant == "acme" && path.id != "0""#,
            "claims.level >= 2 && claims.nested.x",
            r#"claims.roles.exists(role, role == "b")"#,
            r#""a" in claims.roles"#,
            r#"request.method == "POST" && request.host == "api.test" && request.path == "/orders/17""#,
            r#"request.headers["x-a"] == "1, 2""#,
            "!has(claims.banned)",
            r#"claims.tenant.matches("^ac.e$")"#,
        ] {
            assert!(holds(condition, claims), "{condition}");
        }
    }

    #[test]
    fn an_error_never_lets_through() {
        let many: Vec<usize> = (0..300).collect();
        let claims = format!(r#"{{"tenant":"acme","many":{many:?}}}"#);
        for condition in [
            "!claims.banned",
            "claims.tenant",
            "claims.tenant > 3",
            "claims.many.exists(i, i == 1)",
            r#"request.headers["authorization"] != """#,
            "1 / 0 == 1",
        ] {
            assert!(!holds(condition, &claims), "{condition}");
        }
    }

    #[test]
    fn what_could_cost_too_much_or_means_nothing_does_not_compile() {
        let refused = |source: &str| Condition::compile(source).unwrap_err();
        assert_eq!(refused(&"a".repeat(1025)), ConditionError::TooLarge);
        assert_eq!(refused(&"(".repeat(500)), ConditionError::TooLarge);
        assert_eq!(refused(&format!("{}true", "!".repeat(500))), ConditionError::TooLarge);
        assert_eq!(refused(&format!("1{} > 0", " + 1".repeat(32))), ConditionError::TooDeep);
        assert_eq!(refused("claim.x == 1"), ConditionError::UnknownVariable("claim".into()));
        assert_eq!(refused("claims.a.exists(x, claims.b.exists(y, x == y))"), ConditionError::NestedMacro);
        assert_eq!(refused("claims.a.matches(claims.b)"), ConditionError::DynamicPattern);
        assert!(matches!(refused("claims.a =="), ConditionError::Syntax(_)));
    }

    #[test]
    fn the_deepest_condition_is_compiled_and_evaluated_on_the_stack_of_a_worker() {
        let within = |open: &str, middle: &str, close: &str| {
            format!("{}{middle}{}", open.repeat(MAX_NESTING), close.repeat(MAX_NESTING))
        };
        for (condition, expected) in [
            (format!("1{} > 0", " + 1".repeat(MAX_DEPTH - 2)), true),
            (format!("claims.a{} == 1", "[0]".repeat(MAX_DEPTH - 3)), false),
            (vec!["claims.a == [1]"; 50].join(" || "), true),
            (within("(", "true", ")"), true),
            (format!("{} != []", within("[", "1", "]")), true),
            (format!("{} != {{}}", within("{1:", "2", "}")), true),
        ] {
            let worker = std::thread::Builder::new().stack_size(2 << 20);
            let held = worker.spawn(move || holds(&condition, r#"{"a":[1]}"#)).unwrap().join().unwrap();
            assert_eq!(held, expected);
        }
    }

    #[test]
    fn a_long_chain_is_refused_on_the_stack_of_a_worker() {
        for (condition, fault) in [
            (format!("1{} > 0", "+1".repeat(500)), ConditionError::TooDeep),
            (format!("claims{}", ".a".repeat(500)), ConditionError::TooDeep),
            (format!("claims{}", "[0]".repeat(330)), ConditionError::TooDeep),
            (format!("claims{}", ".a()".repeat(250)), ConditionError::TooDeep),
            (format!("{}(((((((true)))))))", "1?1:".repeat(85)), ConditionError::TooLarge),
        ] {
            let worker = std::thread::Builder::new().stack_size(2 << 20);
            let refused = worker.spawn(move || Condition::compile(&condition).err()).unwrap().join().unwrap();
            assert_eq!(refused, Some(fault));
        }
        let pattern = r#"claims.a.matches("^(?i)(a?b?)?c?d?e?f?g?h?$")"#;
        assert!(Condition::compile(pattern).is_ok() && Condition::compile("true ? 1 == 1 : false").is_ok());
    }

    #[test]
    fn scopes_come_as_text_or_array_and_must_all_be_there() {
        let wanted = Scopes::all_of(vec!["a".into(), "b".into()]);
        let has = |scope: &str| {
            let claims = Claims::parse(format!(r#"{{"scope":{scope}}}"#).as_bytes()).unwrap();
            has_scopes(claims.get("scope"), &wanted)
        };
        assert!(has(r#""b c a""#) && has(r#"["a","b"]"#));
        assert!(!has(r#""a bb""#) && !has(r#"{"a":true}"#));
        assert!(!has_scopes(None, &wanted));
        assert!(has_scopes(None, &Scopes::default()));
    }
}
