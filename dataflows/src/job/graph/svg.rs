//! A job as an SVG that one can look at, in light and dark, without any font of its own.

use crate::job::graph::layout::{Input, Layout, layout};
use crate::job::graph::{Arrow, Component, Picture};
use crate::job::part::Room;
use crate::job::plan::Plan;
use crate::job::words::{add, add_line};
use crate::kind::Kind;

/// Around everything.
const MARGIN: f64 = 28.0;
/// For the title.
const HEAD: f64 = 62.0;
/// For the legend.
const FOOT: f64 = 44.0;
/// Between two boxes of a layer.
const BOX_GAP: f64 = 30.0;
const BOX_WIDTH_MIN: f64 = 132.0;
/// Of the first two lines of a box.
const BOX_HEAD: f64 = 50.0;
const LINE: f64 = 16.0;
/// Between two ports of a box.
const PORT_GAP: f64 = 24.0;
/// From the words on an arrow to the next layer.
const BEND: f64 = 76.0;

/// Draws a plan.
pub fn draw(plan: &Plan) -> String {
    Drawing::new(&Picture::new(plan)).draw()
}

/// An output that arrows leave from; they share its words.
struct Port {
    at: usize,
    label: String,
    kind: Kind,
    arrows: Vec<usize>,
}

struct Drawing<'a> {
    picture: &'a Picture,
    layout: Layout,
    ports: Vec<Port>,
    /// The width of the boxes of each layer.
    widths: Vec<f64>,
    /// The left edge of each layer.
    lefts: Vec<f64>,
    /// The room for words behind each layer.
    words: Vec<f64>,
    width: f64,
    height: f64,
}

impl<'a> Drawing<'a> {
    fn new(picture: &'a Picture) -> Self {
        let ports = ports(picture);
        let heights: Vec<f64> = (0..picture.boxes.len())
            .map(|at| {
                let settings = picture.boxes.get(at).map_or(0, |c| c.settings.len());
                let outgoing = ports.iter().filter(|port| port.at == at).count();
                let incoming = picture.arrows.iter().filter(|arrow| arrow.to == at).count();
                let text = BOX_HEAD + LINE * count(settings) + if settings > 0 { 8.0 } else { 0.0 };
                text.max(PORT_GAP * count(outgoing.max(incoming)) + 8.0)
            })
            .collect();
        let arrows: Vec<_> = picture.arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
        let is_last: Vec<_> = picture.boxes.iter().map(|c| c.room == Room::Sinks).collect();
        let input = Input { heights: &heights, arrows: &arrows, is_last: &is_last, gap: BOX_GAP };
        let layout = layout(&input);
        let mut drawing = Self {
            picture,
            layout,
            ports,
            widths: Vec::new(),
            lefts: Vec::new(),
            words: Vec::new(),
            width: 0.0,
            height: 0.0,
        };
        drawing.measure();
        drawing
    }

    /// Finds the widths of layers, and by that where they stand.
    fn measure(&mut self) {
        let mut left = MARGIN;
        for layer in 0..self.layout.layers {
            let is_here = |at: usize| self.layer(at) == layer;
            let boxes = self.picture.boxes.iter().enumerate().filter(|(at, _)| is_here(*at));
            let width = boxes.map(|(_, c)| box_width(c)).fold(BOX_WIDTH_MIN, f64::max);
            let ports = self.ports.iter().filter(|port| is_here(port.at));
            let words = ports.map(|port| text_width(&port.label, 11.0)).fold(0.0, f64::max) + 26.0;
            self.widths.push(width);
            self.lefts.push(left);
            self.words.push(words);
            let is_last = layer + 1 == self.layout.layers;
            left += width + if is_last { 0.0 } else { words + BEND };
        }
        let head = text_width(&self.picture.title, 20.0).max(text_width(&self.counts(), 12.0));
        let bottom = self.layout.places.iter().map(|p| p.y + p.height / 2.0).fold(0.0, f64::max);
        self.width = (left + MARGIN).max(head + 2.0 * MARGIN).max(legend_width() + 2.0 * MARGIN);
        self.height = HEAD + bottom + FOOT + MARGIN;
    }

    fn counts(&self) -> String {
        let count = |room: Room| {
            let count = self.picture.boxes.iter().filter(|c| c.room == room).count();
            format!("{count} {}{}", room.noun(), if count == 1 { "" } else { "s" })
        };
        let shown: Vec<_> = Room::ALL.into_iter().map(count).collect();
        shown.join(" · ")
    }

    fn layer(&self, at: usize) -> usize {
        self.layout.places.get(at).map_or(0, |place| place.layer)
    }

    fn left(&self, at: usize) -> f64 {
        self.lefts.get(self.layer(at)).copied().unwrap_or_default()
    }

    fn right(&self, at: usize) -> f64 {
        self.left(at) + self.widths.get(self.layer(at)).copied().unwrap_or_default()
    }

    fn y(&self, at: usize) -> f64 {
        HEAD + self.layout.places.get(at).map_or(0.0, |place| place.y)
    }

    /// The next place on the way of an arrow, for ordering.
    fn next_y(&self, arrow: usize) -> f64 {
        let way = self.layout.ways.get(arrow);
        way.and_then(|way| way.get(1)).map_or(0.0, |at| self.y(*at))
    }

    /// The place before the last.
    fn previous_y(&self, arrow: usize) -> f64 {
        let way = self.layout.ways.get(arrow);
        let before = way.and_then(|way| way.len().checked_sub(2).and_then(|at| way.get(at)));
        before.map_or(0.0, |at| self.y(*at))
    }

    /// The height at which a port leaves its box: in the order of where its arrows go.
    fn port_y(&self, number: usize) -> f64 {
        let Some(port) = self.ports.get(number) else { return 0.0 };
        let goal = |port: &Port| {
            let ys = port.arrows.iter().map(|arrow| self.next_y(*arrow));
            ys.sum::<f64>() / count(port.arrows.len().max(1))
        };
        let mut order: Vec<_> =
            self.ports.iter().enumerate().filter(|(_, other)| other.at == port.at).collect();
        order.sort_by(|a, b| goal(a.1).total_cmp(&goal(b.1)));
        let rank = order.iter().position(|(at, _)| *at == number).unwrap_or_default();
        self.y(port.at) + PORT_GAP * (count(rank) - (count(order.len()) - 1.0) / 2.0)
    }

    /// The height at which an arrow reaches its box.
    fn end_y(&self, number: usize) -> f64 {
        let arrows = &self.picture.arrows;
        let Some(arrow) = arrows.get(number) else { return 0.0 };
        let mut order: Vec<usize> = (0..arrows.len())
            .filter(|at| arrows.get(*at).is_some_and(|a| a.to == arrow.to))
            .collect();
        order.sort_by(|a, b| self.previous_y(*a).total_cmp(&self.previous_y(*b)));
        let rank = order.iter().position(|at| *at == number).unwrap_or_default();
        let gap = PORT_GAP.min(18.0);
        self.y(arrow.to) + gap * (count(rank) - (count(order.len()) - 1.0) / 2.0)
    }

    fn draw(&self) -> String {
        let (width, height) = (self.width.ceil(), self.height.ceil());
        let title = escape(&self.picture.title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n{STYLE}\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"14\"/>\n"
        );
        let counts = self.counts();
        add_line!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"34\">{title}</text>");
        add_line!(svg, "<text class=\"faint\" x=\"{MARGIN}\" y=\"52\">{counts}</text>");
        for number in 0..self.ports.len() {
            self.arrows(number, &mut svg);
        }
        for (at, component) in self.picture.boxes.iter().enumerate() {
            self.component(at, component, &mut svg);
        }
        // Above the arrows, so that none strikes a word through.
        for (number, port) in self.ports.iter().enumerate() {
            self.words(number, port, &mut svg);
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    /// Draws what leaves a port: one stroke below the words, then one bend per arrow.
    fn arrows(&self, number: usize, svg: &mut String) {
        let Some(port) = self.ports.get(number) else { return };
        let class = port.kind.name();
        let (x, y) = (self.right(port.at), self.port_y(number));
        let words = self.words.get(self.layer(port.at)).copied().unwrap_or_default();
        for arrow in &port.arrows {
            let mut path = format!("M{x:.1} {y:.1}H{:.1}", x + words);
            let (mut from_x, mut from_y) = (x + words, y);
            let way = self.layout.ways.get(*arrow).map(Vec::as_slice).unwrap_or_default();
            for (step, at) in way.iter().enumerate().skip(1) {
                let is_end = step + 1 == way.len();
                let to_y = if is_end { self.end_y(*arrow) } else { self.y(*at) };
                let to_x = self.left(*at) - if is_end { 7.0 } else { 0.0 };
                let half = (to_x - from_x) / 2.0;
                let (a, b) = (from_x + half, to_x - half);
                add!(path, "C{a:.1} {from_y:.1} {b:.1} {to_y:.1} {to_x:.1} {to_y:.1}");
                if is_end {
                    add_line!(
                        svg,
                        "<path class=\"head {class}\" d=\"M{to_x:.1} {:.1}l7 4.5l-7 4.5z\"/>",
                        to_y - 4.5
                    );
                } else {
                    let words = self.words.get(self.layer(*at)).copied().unwrap_or_default();
                    from_x = self.right(*at) + words / 2.0;
                    from_y = to_y;
                    add!(path, "H{from_x:.1}");
                }
            }
            add_line!(svg, "<path class=\"edge {class}\" d=\"{path}\"/>");
        }
    }

    fn words(&self, number: usize, port: &Port, svg: &mut String) {
        let (x, y) = (self.right(port.at) + 10.0, self.port_y(number));
        let width = text_width(&port.label, 11.0) + 10.0;
        let class = port.kind.name();
        add_line!(
            svg,
            "<rect class=\"paper\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\"/>\
             <text class=\"word {class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y - 8.0,
            x + width / 2.0,
            y + 3.8,
            escape(&port.label)
        );
    }

    fn component(&self, at: usize, component: &Component, svg: &mut String) {
        let height = self.layout.places.get(at).map_or(0.0, |place| place.height);
        let (x, y) = (self.left(at), self.y(at) - height / 2.0);
        let (width, class) = (self.right(at) - x, component.room.noun());
        add_line!(
            svg,
            "<rect class=\"box {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"10\"/>\
             <rect class=\"bar {class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"4\" height=\"{:.1}\" \
             rx=\"2\"/>",
            x + 8.0,
            y + 10.0,
            height - 20.0
        );
        let text_x = x + 22.0;
        let mut line = |class: &str, y: f64, text: &str| {
            let text = escape(text);
            add_line!(svg, "<text class=\"{class}\" x=\"{text_x:.1}\" y=\"{y:.1}\">{text}</text>");
        };
        line("id", y + 24.0, &component.id);
        line(&format!("type {class}"), y + 40.0, component.name);
        for (number, setting) in component.settings.iter().enumerate() {
            line("setting", y + BOX_HEAD + 10.0 + LINE * count(number), setting);
        }
    }

    fn legend(&self, svg: &mut String) {
        let y = self.height - 24.0;
        let mut x = MARGIN;
        for room in Room::ALL {
            let (class, word) = (room.noun(), room.key());
            add_line!(
                svg,
                "<rect class=\"bar {class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" \
                 rx=\"3\"/><text class=\"faint\" x=\"{:.1}\" y=\"{y:.1}\">{word}</text>",
                y - 9.0,
                x + 16.0
            );
            x += text_width(word, 12.0) + 34.0;
        }
        for kind in Kind::ALL {
            let word = kind.name();
            add_line!(
                svg,
                "<path class=\"edge {word}\" d=\"M{x:.1} {:.1}h20\"/>\
                 <text class=\"faint\" x=\"{:.1}\" y=\"{y:.1}\">{word}</text>",
                y - 4.0,
                x + 26.0
            );
            x += text_width(word, 12.0) + 44.0;
        }
    }
}

fn legend_width() -> f64 {
    let rooms = Room::ALL.into_iter().map(|room| text_width(room.key(), 12.0) + 34.0);
    let kinds = Kind::ALL.iter().map(|kind| text_width(kind.name(), 12.0) + 44.0);
    rooms.chain(kinds).sum()
}

/// Groups arrows by the output that they leave from.
fn ports(picture: &Picture) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for (number, arrow) in picture.arrows.iter().enumerate() {
        let Arrow { from, kind, .. } = *arrow;
        let label = arrow.label();
        match ports.iter_mut().find(|port| port.at == from && port.label == label) {
            Some(port) => port.arrows.push(number),
            None => ports.push(Port { at: from, label, kind, arrows: vec![number] }),
        }
    }
    ports
}

fn box_width(component: &Component) -> f64 {
    let settings = component.settings.iter().map(|setting| setting_width(setting));
    let id = text_width(&component.id, 14.0) * 1.08;
    settings.chain([id, text_width(component.name, 11.5)]).fold(0.0, f64::max) + 40.0
}

/// Settings stand in a font of even width.
fn setting_width(text: &str) -> f64 {
    count(text.chars().count()) * 6.35
}

/// Guesses the width of a text, rather too wide, whatever the font.
fn text_width(text: &str, size: f64) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | ' ' | '·' | '-' => 0.36,
            'm' | 'w' | 'M' | 'W' | '@' | '…' => 0.92,
            c if c.is_uppercase() => 0.7,
            c if c.is_ascii() => 0.58,
            _ => 1.0,
        })
        .sum();
    ems * size
}

#[expect(clippy::cast_precision_loss, reason = "a number of things in a picture")]
const fn count(number: usize) -> f64 {
    number as f64
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "<style>
text { font-family: ui-sans-serif, system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; }
.paper { fill: #ffffff; }
.title { font-size: 20px; font-weight: 650; fill: #0f172a; }
.faint { font-size: 12px; fill: #64748b; }
.box { fill: #f8fafc; stroke-width: 1.2; stroke: #cbd5e1; }
.box.source { fill: #f0fdfa; stroke: #5eead4; }
.box.operator { fill: #f5f3ff; stroke: #c4b5fd; }
.box.sink { fill: #f1f5f9; stroke: #94a3b8; }
.bar.source { fill: #0d9488; }
.bar.operator { fill: #7c3aed; }
.bar.sink { fill: #475569; }
.id { font-size: 14px; font-weight: 650; fill: #0f172a; }
.type { font-size: 11.5px; font-weight: 500; }
.type.source { fill: #0f766e; }
.type.operator { fill: #6d28d9; }
.type.sink { fill: #475569; }
.setting { font-size: 10.5px; fill: #475569;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
.word { font-size: 11px; font-weight: 500; }
.edge { fill: none; stroke-width: 1.7; }
.edge.ticks { stroke: #2563eb; }
.edge.candles { stroke: #d97706; }
.edge.rejects { stroke: #dc2626; stroke-dasharray: 5 3; }
.word.ticks, .head.ticks { fill: #1d4ed8; }
.word.candles, .head.candles { fill: #b45309; }
.word.rejects, .head.rejects { fill: #b91c1c; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; }
.title, .id { fill: #f1f5f9; }
.faint, .type.sink { fill: #94a3b8; }
.setting { fill: #a8b3c4; }
.box.source { fill: #0b2422; stroke: #115e59; }
.box.operator { fill: #1d1633; stroke: #4c1d95; }
.box.sink { fill: #172033; stroke: #475569; }
.bar.source { fill: #2dd4bf; }
.bar.operator { fill: #a78bfa; }
.bar.sink { fill: #94a3b8; }
.type.source { fill: #5eead4; }
.type.operator { fill: #c4b5fd; }
.edge.ticks { stroke: #60a5fa; }
.edge.candles { stroke: #fbbf24; }
.edge.rejects { stroke: #f87171; }
.word.ticks, .head.ticks { fill: #93c5fd; }
.word.candles, .head.candles { fill: #fcd34d; }
.word.rejects, .head.rejects { fill: #fca5a5; }
}
</style>
";
