//! In which form answers are written, as the command line says.

use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::completion;
use crate::template::{self, Path, Template};
use crate::terminal;
use crate::zone::TimeStyle;

/// Form of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// For people with a wide terminal.
    Wide,
    /// One object a record and line; sums: one object.
    Json,
    /// With a line of names.
    Csv,
    /// A list of records; sums: one object.
    Yaml,
    /// Who it is of, a line each.
    Name,
    /// A text for each record.
    JsonPath(Template),
    /// A table of one's own.
    CustomColumns(Vec<(String, Path)>),
}

/// The words that need nothing behind them, and the beginnings of those that do.
pub const FORMS: [&str; 8] = [
    "table",
    "wide",
    "json",
    "csv",
    "yaml",
    "name",
    "jsonpath=",
    "custom-columns=",
];

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(template) = text.strip_prefix("jsonpath=") {
            return template
                .parse()
                .map(Self::JsonPath)
                .map_err(|error: template::TemplateError| error.to_string());
        }
        if let Some(columns) = text.strip_prefix("custom-columns=") {
            return custom_columns(columns).map(Self::CustomColumns);
        }
        Ok(match text {
            "table" => Self::Table,
            "wide" => Self::Wide,
            "json" => Self::Json,
            "csv" => Self::Csv,
            "yaml" => Self::Yaml,
            "name" => Self::Name,
            _ => {
                return Err("write table, wide, json, csv, yaml, name, jsonpath=TEMPLATE or \
                     custom-columns=TITLE:.FIELD,…"
                    .to_owned());
            }
        })
    }
}

fn custom_columns(text: &str) -> Result<Vec<(String, Path)>, String> {
    let columns = text.split(',').map(|column| {
        let Some((title, path)) = column.split_once(':').filter(|(title, _)| !title.is_empty()) else {
            return Err(format!("{column:?} is no column such as FROM:.ns"));
        };
        let path = path
            .parse()
            .map_err(|error: template::TemplateError| error.to_string())?;
        Ok((title.to_owned(), path))
    });
    columns.collect()
}

impl Output {
    /// The fields that it shows; none: it is not told here.
    pub fn fields(&self) -> Option<Vec<String>> {
        match self {
            Self::JsonPath(template) => template.fields(),
            Self::CustomColumns(columns) => template::fields(columns.iter().map(|(_, path)| path)),
            _ => None,
        }
    }

    /// It has a line of names above the rows.
    pub const fn has_headers(&self) -> bool {
        matches!(
            self,
            Self::Table | Self::Wide | Self::Csv | Self::CustomColumns(_)
        )
    }

    /// It names its fields itself.
    pub const fn chooses_fields(&self) -> bool {
        matches!(self, Self::Name | Self::JsonPath(_) | Self::CustomColumns(_))
    }
}

/// The options that say how an answer looks.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Form of the output: table, wide, json, csv, yaml, name, jsonpath=TEMPLATE or
    /// custom-columns=TITLE:.FIELD,…
    #[arg(short, long, value_name = "FORM", default_value = "table",
          add = ArgValueCompleter::new(completion::outputs))]
    pub output: Output,
    /// Leave out the line of names
    #[arg(long)]
    pub no_headers: bool,
}

/// How an answer looks.
#[derive(Debug, Clone)]
pub struct Style {
    /// Its form.
    pub output: Output,
    /// The line of names is wanted.
    pub headers: bool,
    /// Columns of the terminal; none: there is none.
    pub width: Option<usize>,
    /// How tables show times.
    pub times: TimeStyle,
}

impl OutputArgs {
    /// The style that is asked for, on this terminal.
    ///
    /// # Errors
    /// There is no line of names to leave out.
    pub fn style(&self, zone: TimeZone) -> Result<Style> {
        anyhow::ensure!(
            !self.no_headers || self.output.has_headers(),
            "--no-headers has no effect on this form of output, which has none"
        );
        let width = terminal::width();
        Ok(Style {
            output: self.output.clone(),
            headers: !self.no_headers,
            width,
            times: TimeStyle::new(zone, Timestamp::now(), width),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_and_wrong_ones_told_what_there_is() {
        for form in FORMS {
            let text = match form.strip_suffix('=') {
                Some("jsonpath") => format!("{form}{{.ns}}"),
                Some(_) => format!("{form}FROM:.ns,BYTES:.bytes"),
                None => form.to_owned(),
            };
            assert!(text.parse::<Output>().is_ok(), "{text}");
        }
        for wrong in [
            "xml",
            "jsonpath",
            "custom-columns=",
            "custom-columns=.ns",
            "custom-columns=:.ns",
        ] {
            assert!(wrong.parse::<Output>().is_err(), "{wrong}");
        }
        let fields = "custom-columns=FROM:.ns,B:.bytes"
            .parse::<Output>()
            .unwrap()
            .fields();
        assert_eq!(fields, Some(["ns", "bytes"].map(str::to_owned).to_vec()));
    }
}
