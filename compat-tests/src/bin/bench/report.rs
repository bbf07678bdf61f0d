//! What was measured, as a table and a chart in `docs/bench`.

use compat_tests::{Outcome, parts};
use std::fmt;

/// One run of one program over one load.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) who: String,
    pub(crate) records: usize,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
}

impl Measurement {
    /// The warm Confluent sink on a 2-core machine, Parquet from JSON with schemas.
    pub(crate) fn recorded_parquet() -> Self {
        Self::recorded(122_000.0, 14.3, 1400.0)
    }

    /// The same sink, JSON to JSON.
    pub(crate) fn recorded_json() -> Self {
        Self::recorded(208_000.0, 6.3, f64::NAN)
    }

    fn recorded(per_second: f64, cpu_per_million: f64, peak_mib: f64) -> Self {
        Self {
            who: "Confluent sink, warm (recorded, 2 cores)".to_owned(),
            records: 1_000_000,
            seconds: 1_000_000.0 / per_second,
            cpu_seconds: cpu_per_million,
            peak_mib,
        }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.records as f64
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} records/s, {:.2} CPU s per million, {:.0} MiB at most",
            self.who,
            thousands(self.per_second()),
            self.cpu_per_million(),
            self.peak_mib
        )
    }
}

/// Start time and idle memory of a worker.
#[derive(Debug)]
pub(crate) struct Footprint {
    pub(crate) who: String,
    pub(crate) ready_ms: u128,
    pub(crate) idle_mib: f64,
}

/// A load and all that was measured with it.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) title: String,
    pub(crate) records: usize,
    pub(crate) rows: Vec<Measurement>,
}

/// All of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) footprints: Vec<Footprint>,
    pub(crate) loads: Vec<Load>,
}

impl Report {
    /// Prints the table of a run in part: written, it would take the other loads' rows away.
    pub(crate) fn print(&self) -> Outcome<()> {
        println!("\n{}", self.table()?);
        println!("docs/bench is left as it is: not everything was measured");
        Ok(())
    }

    /// Writes `docs/bench/README.md` and `docs/bench/chart.svg`, and prints the former.
    pub(crate) fn write(&self) -> Outcome<()> {
        let folder = parts::repository().join("docs/bench");
        std::fs::create_dir_all(&folder)?;
        let table = self.table()?;
        println!("\n{table}");
        std::fs::write(folder.join("README.md"), table)?;
        std::fs::write(folder.join("chart.svg"), self.chart())?;
        println!("written to {}", folder.display());
        Ok(())
    }

    fn table(&self) -> Outcome<String> {
        let mut text = String::from("# Benchmark\n\n`make bench` makes this page anew.\n\n");
        text.push_str("![Records per second and CPU seconds per million records](chart.svg)\n\n");
        for Load {
            title,
            records,
            rows,
        } in &self.loads
        {
            text.push_str(&format!(
                "**{title} ({} records)**\n\n| | records/s | CPU s per million | peak memory |\n|---|---:|---:|---:|\n",
                thousands(*records as f64)
            ));
            for row in rows {
                let peak = if row.peak_mib.is_nan() {
                    "not recorded".to_owned()
                } else {
                    format!("{:.0} MiB", row.peak_mib)
                };
                text.push_str(&format!(
                    "| {} | {} | {:.2} | {peak} |\n",
                    row.who,
                    thousands(row.per_second()),
                    row.cpu_per_million(),
                ));
            }
            text.push('\n');
        }
        if !self.footprints.is_empty() {
            text.push_str(
                "**Worker alone**\n\n| | REST answers after | idle memory |\n|---|---:|---:|\n",
            );
            for f in &self.footprints {
                text.push_str(&format!(
                    "| {} | {} ms | {:.0} MiB |\n",
                    f.who, f.ready_ms, f.idle_mib
                ));
            }
            text.push('\n');
        }
        text.push_str(&format!("Measured on: {}.\n", machine()?));
        text.push_str(
            "All parts (broker, database, store, worker) share that machine, so rates are those of the \
             whole; CPU seconds are the worker's own. The rows marked \"recorded\" come from another run.\n",
        );
        Ok(text)
    }

    /// Two columns of bars for each part: rate, and cost.
    fn chart(&self) -> String {
        const ROW: usize = 24;
        const WIDTH: usize = 980;
        let mut body = String::new();
        let mut y = 30;
        for Load { title, rows, .. } in &self.loads {
            body.push_str(&format!(r#"<text x="10" y="{y}" class="t">{title}</text>"#));
            body.push('\n');
            y += 10;
            let most = |value: fn(&Measurement) -> f64| {
                rows.iter().map(value).fold(f64::MIN_POSITIVE, f64::max)
            };
            let (rate, cost) = (
                most(Measurement::per_second),
                most(Measurement::cpu_per_million),
            );
            for row in rows {
                let colour = if row.who.starts_with("Ferroconnect") {
                    "#c4501b"
                } else {
                    "#8a99a8"
                };
                let text_y = y + 16;
                body.push_str(&format!(r#"<text x="10" y="{text_y}">{}</text>"#, row.who));
                for (x, value, most, label) in [
                    (
                        290,
                        row.per_second(),
                        rate,
                        format!("{}/s", thousands(row.per_second())),
                    ),
                    (
                        650,
                        row.cpu_per_million(),
                        cost,
                        format!("{:.1} CPU s", row.cpu_per_million()),
                    ),
                ] {
                    let width = (value / most * 230.0).max(1.0);
                    let label_x = f64::from(x) + width + 6.0;
                    body.push_str(&format!(
                        r#"<rect x="{x}" y="{}" width="{width:.0}" height="16" fill="{colour}"/><text x="{label_x:.0}" y="{text_y}">{label}</text>"#,
                        y + 4
                    ));
                }
                body.push('\n');
                y += ROW;
            }
            y += 34;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\">\n\
             <style>text{{font:13px sans-serif;fill:#222}}.t{{font-weight:bold}}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"290\" y=\"14\">records per second (more is better)</text>\
             <text x=\"650\" y=\"14\">CPU seconds per million (less is better)</text>\n{body}</svg>\n"
        )
    }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn machine() -> Outcome<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib = memory
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let gib = kib.map_or(0.0, |kib: f64| kib / 1024.0 / 1024.0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{model}, {cores} cores, {gib:.0} GiB, Linux {}",
        kernel.trim()
    ))
}
