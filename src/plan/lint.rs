pub fn lint(_: &super::Plan, _: &super::Input<'_>) -> Vec<String> {
    Vec::new()
}
