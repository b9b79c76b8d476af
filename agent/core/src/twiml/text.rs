//! Text of elements.

use roxmltree::Node;

use super::bounds::SAY_MAX;

/// The text of an element and all inside it, with white space folded to single spaces; and whether it was cut
/// to [`SAY_MAX`] characters.
pub(super) fn spoken(node: Node<'_, '_>) -> (String, bool) {
    let pieces = node.descendants().filter(Node::is_text).filter_map(|text| text.text());
    fold(pieces)
}

/// The text directly inside an element, trimmed.
pub(super) fn direct(node: Node<'_, '_>) -> String {
    let pieces = node.children().filter(Node::is_text).filter_map(|text| text.text());
    pieces.collect::<String>().trim().to_owned()
}

/// Folds white space and control characters, so that none reaches a speech engine.
pub(super) fn fold<'a>(pieces: impl Iterator<Item = &'a str>) -> (String, bool) {
    let (mut folded, mut length, mut gap) = (String::new(), 0, false);
    for char in pieces.flat_map(str::chars) {
        if char.is_whitespace() || char.is_control() {
            gap = !folded.is_empty();
            continue;
        }
        let needed = 1 + usize::from(gap);
        if length + needed > SAY_MAX {
            return (folded, true);
        }
        if std::mem::take(&mut gap) {
            folded.push(' ');
        }
        folded.push(char);
        length += needed;
    }
    (folded, false)
}
