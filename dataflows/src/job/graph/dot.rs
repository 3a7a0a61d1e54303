//! A job in Graphviz' DOT.

use crate::job::graph::Picture;
use crate::job::part::Room;
use crate::job::plan::Plan;
use crate::job::words::add_line;
use crate::kind::Kind;

/// Draws a plan.
pub fn draw(plan: &Plan) -> String {
    let picture = Picture::new(plan);
    let mut text = format!("digraph \"{}\" {{\n", escape(&picture.title));
    add_line!(text, "  label=\"{}\"; labelloc=t; rankdir=LR;", escape(&picture.title));
    text.push_str(
        "  fontname=\"sans-serif\"; bgcolor=transparent;\n  \
         node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11];\n  \
         edge [fontname=\"sans-serif\", fontsize=9];\n",
    );
    for component in &picture.boxes {
        let (fill, line) = match component.room {
            Room::Sources => ("#dbeafe", "#2563eb"),
            Room::Operators => ("#ede9fe", "#7c3aed"),
            Room::Sinks => ("#dcfce7", "#16a34a"),
        };
        let mut lines = vec![escape(&component.id), format!("({})", escape(component.name))];
        lines.extend(component.settings.iter().map(|setting| escape(setting)));
        let (id, label) = (escape(&component.id), lines.join("\\n"));
        add_line!(text, "  \"{id}\" [label=\"{label}\", fillcolor=\"{fill}\", color=\"{line}\"];");
    }
    for arrow in &picture.arrows {
        let id = |at: usize| picture.boxes.get(at).map(|component| escape(&component.id));
        let (Some(from), Some(to)) = (id(arrow.from), id(arrow.to)) else { continue };
        let color = match arrow.kind {
            Kind::Ticks => "#2563eb",
            Kind::Candles => "#d97706",
            Kind::Rejects => "#dc2626",
            Kind::Payloads => "#059669",
            Kind::Statuses => "#b45309",
        };
        let label = escape(&arrow.label());
        add_line!(
            text,
            "  \"{from}\" -> \"{to}\" [label=\"{label}\", color=\"{color}\", fontcolor=\"{color}\"];"
        );
    }
    text.push_str("}\n");
    text
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
