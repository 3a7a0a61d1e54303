//! A job as a Mermaid flowchart, for READMEs and wikis.

use crate::job::graph::Picture;
use crate::job::part::Room;
use crate::job::plan::Plan;
use crate::job::words::{add, add_line};

/// Draws a plan.
pub fn draw(plan: &Plan) -> String {
    let picture = Picture::new(plan);
    let mut text = format!("---\ntitle: {}\n---\nflowchart LR\n", picture.title);
    for (at, component) in picture.boxes.iter().enumerate() {
        let (open, close) = match component.room {
            Room::Sources => ("([", "])"),
            Room::Operators => ("[", "]"),
            Room::Sinks => ("[(", ")]"),
        };
        let mut lines = vec![
            format!("<b>{}</b>", escape(&component.id)),
            format!("<i>{}</i>", escape(component.name)),
        ];
        lines.extend(component.settings.iter().map(|setting| escape(setting)));
        let (label, class) = (lines.join("<br>"), component.room.noun());
        // Numbered, since an id such as `end` is a keyword of Mermaid's.
        add_line!(text, "  n{at}{open}\"{label}\"{close}:::{class}");
    }
    for arrow in &picture.arrows {
        let (from, to, label) = (arrow.from, arrow.to, escape(&arrow.label()));
        add_line!(text, "  n{from} -- \"{label}\" --> n{to}");
    }
    text.push_str(
        "  classDef source fill:#dbeafe,stroke:#2563eb,color:#172554\n  \
         classDef operator fill:#ede9fe,stroke:#7c3aed,color:#2e1065\n  \
         classDef sink fill:#dcfce7,stroke:#16a34a,color:#052e16\n",
    );
    text
}

/// Mermaid reads `#..;` as a character.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | ';' | '`' | '\\' => {
                add!(escaped, "#{};", u32::from(c));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}
