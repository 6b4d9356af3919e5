//! What the derive says of a mistake, and what it takes.

#[test]
fn every_mistake_is_told_at_its_place() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
}
