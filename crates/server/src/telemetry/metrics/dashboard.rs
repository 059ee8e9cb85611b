//! The dashboard for Grafana, made from the list: what is not a metric cannot be drawn. `cargo test` fails when
//! `deploy/grafana/lychgate.json` is another one, and when a query asks for what no scrape has.

use serde_json::{Value, json};

use super::panels::{self, Panel, Shape};

/// How the file is renewed.
pub const RENEW: &str = "cargo run -q -p lychgate -- metrics --dashboard > deploy/grafana/lychgate.json";

/// The version of Grafana's model of a dashboard that this is written in: that of Grafana 11.
const SCHEMA_VERSION: u32 = 39;

/// Columns of Grafana's grid.
const COLUMNS: usize = 24;

/// `deploy/grafana/lychgate.json`: to be imported as it is; Grafana asks for the data source.
#[must_use]
pub fn json() -> String {
    let mut grid = Grid { panels: Vec::new(), top: 0 };
    grid.lay(panels::overview().into_iter());
    for (chapter, panels) in panels::chapters() {
        grid.row(chapter);
        grid.lay(panels.into_iter());
    }
    let board = json!({
        "__inputs": [{
            "name": "DS_PROMETHEUS", "label": "Prometheus", "description": "What scrapes the gateways.",
            "type": "datasource", "pluginId": "prometheus", "pluginName": "Prometheus",
        }],
        "__requires": [
            { "type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.0.0" },
            { "type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0" },
            { "type": "panel", "id": "stat", "name": "Stat", "version": "" },
            { "type": "panel", "id": "timeseries", "name": "Time series", "version": "" },
        ],
        "uid": "lychgate",
        "title": "Lychgate",
        "description": format!("Who is near the limit, what was reclaimed, what was prevented. Made by: {RENEW}"),
        "tags": ["lychgate"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "timezone": "browser",
        "annotations": { "list": [] },
        "links": [],
        "templating": { "list": [variable("job", "Job", "lychgate_sessions"), variable("instance", "Node", r#"lychgate_sessions{job=~"$job"}"#)] },
        "panels": grid.panels,
    });
    let mut text = serde_json::to_string_pretty(&board).unwrap_or_default();
    text.push('\n');
    text
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${DS_PROMETHEUS}" })
}

/// A choice on top of the dashboard, all of them at first.
fn variable(name: &str, label: &str, of: &str) -> Value {
    let query = format!("label_values({of}, {name})");
    json!({
        "name": name, "label": label, "type": "query", "datasource": source(),
        "query": { "query": query, "refId": format!("variable-{name}") },
        "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "hide": 0, "regex": "",
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] }, "options": [],
    })
}

/// Where panels lie: line by line from the left, none over another.
struct Grid {
    panels: Vec<Value>,
    /// Where the next line begins.
    top: usize,
}

impl Grid {
    fn row(&mut self, title: &str) {
        let place = json!({ "x": 0, "y": self.top, "w": COLUMNS, "h": 1 });
        let id = self.panels.len() + 1;
        self.panels.push(
            json!({ "id": id, "type": "row", "title": title, "collapsed": false, "gridPos": place, "panels": [] }),
        );
        self.top += 1;
    }

    fn lay(&mut self, panels: impl Iterator<Item = Panel>) {
        let (mut left, mut height) = (0, 0);
        for panel in panels {
            let (wide, high) = panel.shape.size();
            if left + wide > COLUMNS || (height > 0 && high != height) {
                self.top += height;
                left = 0;
            }
            height = high;
            let place = json!({ "x": left, "y": self.top, "w": wide, "h": high });
            self.panels.push(panel.draw(self.panels.len() + 1, place));
            left += wide;
        }
        self.top += height;
    }
}

impl Shape {
    /// Columns and lines of the grid.
    fn size(self) -> (usize, usize) {
        match self {
            Self::Stat => (6, 4),
            Self::Lines | Self::Stack => (12, 8),
        }
    }
}

impl Panel {
    fn draw(self, id: usize, place: Value) -> Value {
        let Self { title, description, shape, unit, queries } = self;
        let targets: Vec<_> = queries
            .into_iter()
            .zip('A'..='Z')
            .map(|((query, legend), letter)| {
                json!({
                    "refId": letter.to_string(), "datasource": source(), "editorMode": "code", "expr": query,
                    "legendFormat": legend, "range": true, "instant": false,
                })
            })
            .collect();
        let (kind, custom, options) = match shape {
            Shape::Stat => (
                "stat",
                json!({}),
                json!({
                    "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto",
                    "textMode": "auto", "wideLayout": true,
                    "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                }),
            ),
            Shape::Lines | Shape::Stack => {
                let mode = if shape == Shape::Stack { "normal" } else { "none" };
                let fill = if shape == Shape::Stack { 30 } else { 0 };
                let custom = json!({
                    "drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never",
                    "spanNulls": false, "stacking": { "group": "A", "mode": mode },
                });
                let legend = json!({ "calcs": ["lastNotNull", "max"], "displayMode": "list", "placement": "bottom", "showLegend": true });
                ("timeseries", custom, json!({ "legend": legend, "tooltip": { "mode": "multi", "sort": "desc" } }))
            }
        };
        json!({
            "id": id, "type": kind, "title": title, "description": description, "datasource": source(),
            "gridPos": place, "targets": targets, "options": options,
            "fieldConfig": { "defaults": { "unit": unit, "min": 0, "custom": custom }, "overrides": [] },
        })
    }
}
