//! What keys mean.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use weir_query::Measure;

use super::model::Sort;

/// A key, as far as any means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete, Ctrl-D.
    Delete,
    /// Ctrl-W.
    EraseWord,
    /// Ctrl-U.
    EraseLine,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// Home, Ctrl-A.
    Home,
    /// End, Ctrl-E.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Any other.
    Other,
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            return match event.code {
                KeyCode::Char('c') => Self::Interrupt,
                KeyCode::Char('z') => Self::Suspend,
                KeyCode::Char('d') => Self::Delete,
                KeyCode::Char('w') => Self::EraseWord,
                KeyCode::Char('u') => Self::EraseLine,
                KeyCode::Char('a') => Self::Home,
                KeyCode::Char('e') => Self::End,
                KeyCode::Char('h') => Self::Backspace,
                KeyCode::Char('i') => Self::Tab,
                KeyCode::Char('j' | 'm') => Self::Enter,
                KeyCode::Char('n') => Self::Down,
                KeyCode::Char('p') => Self::Up,
                KeyCode::Char('f') => Self::PageDown,
                KeyCode::Char('b') => Self::PageUp,
                _ => Self::Other,
            };
        }
        match event.code {
            KeyCode::Char(c) => Self::Char(c),
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Escape,
            KeyCode::Tab => Self::Tab,
            KeyCode::BackTab => Self::BackTab,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Delete => Self::Delete,
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::Left => Self::Left,
            KeyCode::Right => Self::Right,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            _ => Self::Other,
        }
    }
}

/// What the table is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// End.
    Quit,
    /// Say what the keys do.
    Help,
    /// Write a filter.
    Filter,
    /// Ask for all flows.
    Clear,
    /// Stop, or go on.
    Pause,
    /// Look at the row above.
    Up,
    /// Look at the row below.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// Go down into the row.
    Enter,
    /// Leave the row out.
    Exclude,
    /// Go back.
    Back,
    /// Group so.
    Group(usize),
    /// Group by the next.
    NextGroup,
    /// Group by the one before.
    PreviousGroup,
    /// Show records.
    Records,
    /// Order so.
    Sort(Sort),
    /// Order by the next.
    NextSort,
    /// Join both directions, or not.
    Conversation,
    /// Count every observation, or primary ones alone.
    Observations,
    /// Look less far back.
    Shorter,
    /// Look further back.
    Longer,
}

impl Action {
    /// What a key means in the table.
    pub fn of(key: Key) -> Option<Self> {
        Some(match key {
            Key::Up | Key::Char('k') => Self::Up,
            Key::Down | Key::Char('j') => Self::Down,
            Key::PageUp => Self::PageUp,
            Key::PageDown => Self::PageDown,
            Key::Home => Self::First,
            Key::End => Self::Last,
            Key::Enter | Key::Right => Self::Enter,
            Key::Escape | Key::Backspace | Key::Left => Self::Back,
            Key::Tab => Self::NextGroup,
            Key::BackTab => Self::PreviousGroup,
            Key::Interrupt => Self::Quit,
            Key::Char(c) => return Self::of_character(c),
            _ => return None,
        })
    }

    fn of_character(c: char) -> Option<Self> {
        Some(match c {
            'q' | 'Q' => Self::Quit,
            '?' | 'h' => Self::Help,
            '/' => Self::Filter,
            'c' => Self::Clear,
            ' ' => Self::Pause,
            'x' => Self::Exclude,
            '1'..='9' => Self::Group(usize::try_from(u32::from(c) - u32::from('1')).ok()?),
            '0' | 'r' => Self::Records,
            'g' => Self::NextGroup,
            'G' => Self::PreviousGroup,
            'b' => Self::Sort(Sort::By(Measure::Bytes)),
            'p' => Self::Sort(Sort::By(Measure::Packets)),
            'f' => Self::Sort(Sort::By(Measure::Flows)),
            'd' => Self::Sort(Sort::By(Measure::DroppedPackets)),
            'n' => Self::Sort(Sort::Name),
            's' => Self::NextSort,
            'v' => Self::Conversation,
            'a' => Self::Observations,
            '-' | '[' => Self::Shorter,
            '+' | '=' | ']' => Self::Longer,
            _ => return None,
        })
    }
}

/// What the keys do, for people: the keys, and what they are for.
pub const HELP: [(&str, &str); 16] = [
    (
        "1 to 9, g, Tab",
        "group by namespaces, workloads, pods, …; the next grouping",
    ),
    ("0, r", "records as they arrive"),
    (
        "Enter",
        "down: the row becomes part of the filter; a record is shown whole",
    ),
    ("Esc, Backspace", "back to where one was"),
    ("x", "leave the row out"),
    ("/", "write a filter; Tab completes, Enter asks, Esc leaves it"),
    ("c", "ask for all flows again"),
    (
        "b p f d n, s",
        "order by bytes, packets, flows, drops, name; by the next",
    ),
    ("- +", "look back less far, further"),
    (
        "v",
        "both directions of a conversation in one row, or each on its own",
    ),
    ("a", "every observation of a flow, or its primary one alone"),
    ("Space", "stop, and go on"),
    ("arrows, j k", "another row; PgUp, PgDown, Home and End too"),
    ("?, h", "these keys"),
    ("q, Ctrl-C", "end"),
    ("Ctrl-Z", "back to the shell for a while; fg goes on"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_that_the_help_names_does_something() {
        for (keys, what) in HELP {
            for name in keys.split([' ', ',']).filter(|name| !name.is_empty()) {
                let key = match name {
                    "to" | "arrows" => continue,
                    "Tab" => Key::Tab,
                    "Enter" => Key::Enter,
                    "Esc" => Key::Escape,
                    "Backspace" => Key::Backspace,
                    "Space" => Key::Char(' '),
                    "Ctrl-C" => Key::Interrupt,
                    // It is taken before it is an action.
                    "Ctrl-Z" => continue,
                    other => Key::Char(other.chars().next().unwrap()),
                };
                assert!(Action::of(key).is_some(), "{name}: {what}");
            }
        }
    }

    #[test]
    fn a_character_with_control_is_no_character() {
        let key = |code, modifiers| Key::from(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Key::Interrupt);
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), Key::Other);
        assert_eq!(key(KeyCode::Char('Q'), KeyModifiers::SHIFT), Key::Char('Q'));
        assert_eq!(key(KeyCode::F(5), KeyModifiers::NONE), Key::Other);
    }
}
