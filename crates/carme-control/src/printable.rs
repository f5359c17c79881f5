//! Text from elsewhere, for a terminal.

/// The text without what a terminal would obey: control characters other than the ends of lines and tabs are shown by
/// their numbers. What a worker prints, or another user's server says, reaches an administrator's terminal.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            // Some turn the direction of what follows.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.extend(character.escape_unicode()),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

#[test]
fn a_terminal_has_nothing_to_obey() {
    assert_eq!(printable("a\tb\nc ä 日"), "a\tb\nc ä 日");
    assert_eq!(
        printable("\u{1b}[2J\r\u{9b}\u{202e}"),
        "\\u{1b}[2J\\r\\u{9b}\\u{202e}"
    );
}
