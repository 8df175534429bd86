//! `weir watch`: a live table in the terminal. What is known and wanted is a [`Model`]
//! (`model`), which keys (`keys`) and the source (`source`) change and `view` draws; here
//! they are put together.

mod grouping;
mod keys;
mod line;
mod model;
mod records;
mod report;
mod screen;
mod source;
mod view;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;
use ratatui::crossterm::event::{Event as TerminalEvent, KeyEventKind};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use weir_collector::api::params::MOST_ROWS;
use weir_process::signals::Signals;
use weir_query::{Measure, Span};

use self::model::{Model, Place, Settings, Sort};
use self::report::{Event, Report};
use self::screen::Screen;
use self::source::Feed;
use self::view::Look;
use crate::completion;
use crate::fields::parse_field;
use crate::follow::ended_by;
use crate::shortcut::Shortcuts;
use crate::source::{Source, SourceArgs};
use crate::terminal;
use crate::time;
use crate::zone::TimeStyle;

/// Reports that may wait to be drawn.
const WAITING: usize = 16;
/// The screen is drawn no more often.
const FRAME: Duration = Duration::from_millis(50);
/// Ages are shown in seconds.
const TICK: Duration = Duration::from_millis(500);
/// One of those who ask panicked.
const DIED: &str = "the part that asks has died";
/// How long the terminal may take to be given back when the program is told to end.
const GIVING_BACK: Duration = Duration::from_secs(1);

/// Arguments of `weir watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Which flows, in CEL, such as 'ns == "shop" && dst_workload_kind == "internet"'; can be
    /// changed by /
    #[arg(value_name = "CEL", default_value = "", hide_default_value = true,
          add = ArgValueCompleter::new(completion::filter))]
    filter: String,
    #[command(flatten)]
    shortcuts: Shortcuts,
    /// Fields to group by at first, with commas in between [default: ns,dst_ns]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = parse_field,
          add = ArgValueCompleter::new(completion::fields), conflicts_with = "records")]
    group_by: Vec<String>,
    /// Begin with records as they arrive
    #[arg(long)]
    records: bool,
    /// What to order by, the largest first: bytes, packets, flows or
    /// dropped_packets; or name
    #[arg(long, value_name = "MEASURE", default_value = "bytes", value_parser = parse_sort,
          aliases = ["sort", "sort-by", "order-by"])]
    by: Sort,
    /// How far back sums go: rates are over this time
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = parse_window)]
    window: Duration,
    /// How long to rest between two questions
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_every)]
    every: Duration,
    /// Groups to ask for; what the others have is one sum
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = parse_top)]
    top: usize,
    /// Every observation of a flow, not its primary one alone
    #[arg(long)]
    all_observations: bool,
    /// Both directions of a conversation in one row
    #[arg(long, conflicts_with = "records")]
    conversation: bool,
    /// Show times in UTC, not in the zone of this host or of $TZ
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    source: SourceArgs,
}

fn parse_sort(text: &str) -> Result<Sort, String> {
    use Measure::{Bytes, DroppedPackets, Flows, Packets};
    if text == "name" {
        return Ok(Sort::Name);
    }
    let known = [Bytes, Packets, Flows, DroppedPackets].into_iter();
    let found = known
        .map(Sort::By)
        .zip(["bytes", "packets", "flows", "dropped_packets"]);
    let found = found.into_iter().find(|(_, name)| *name == text);
    found
        .map(|(sort, _)| sort)
        .ok_or_else(|| "write bytes, packets, flows, dropped_packets or name".to_owned())
}

fn parse_window(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_secs(366 * 86_400))
}

fn parse_every(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_millis(200), Duration::from_secs(3_600))
}

fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let Span(length) = text
        .parse()
        .map_err(|_| format!("{text:?} is no length of time such as 2s, 1m or 1h30m"))?;
    match (least..=most).contains(&length) {
        true => Ok(length),
        false => Err(format!("write a time from {} to {}", Span(least), Span(most))),
    }
}

fn parse_top(text: &str) -> Result<usize, String> {
    let top = text.parse().ok().filter(|top| (1..=MOST_ROWS).contains(top));
    top.ok_or_else(|| format!("write a number from 1 to {MOST_ROWS}"))
}

impl WatchArgs {
    /// What is watched at first.
    fn model(&self, source: String) -> Model {
        let groupings = grouping::all(&self.group_by);
        let asked = groupings
            .iter()
            .position(|grouping| grouping.fields == self.group_by);
        let settings = Settings {
            source,
            top: self.top,
        };
        let mut model = Model::new(settings, self.shortcuts.joined(&self.filter), groupings);
        model.place = match self.records {
            true => Place::Records,
            false => Place::Sums(asked.unwrap_or(0)),
        };
        model.sort = self.by;
        model.conversation = self.conversation;
        model.all_observations = self.all_observations;
        model.window = self.window;
        model
    }
}

/// Runs `weir watch`.
///
/// # Errors
/// There is no terminal, the filter is wrong, or the source cannot be opened.
pub async fn run(args: WatchArgs) -> Result<ExitCode> {
    screen::check()?;
    weir_query::compile(&args.shortcuts.joined(&args.filter)).context("filter")?;
    // What is wrong with the arguments is told where it can be read.
    let name = match args.source.open().await? {
        Source::Server(server) => server.to_string(),
        Source::Directory(_) => name_of_directory(&args.source),
    };
    let model = args.model(name);
    let (reports, heard) = mpsc::channel(WAITING);
    let (wanted, to_ask) = watch::channel(model.wanted());
    let (values, to_complete) = watch::channel(None);
    let feed = Feed::new(args.source.clone(), args.every, reports.clone());
    let asks = Asks { wanted, values };
    let mut tasks = JoinSet::new();
    tasks.spawn(feed.run(to_ask));
    let values = source::answer_values(args.source.clone(), source::TYPING, to_complete, reports);
    tasks.spawn(values);
    let mut signals = Signals::install().context("cannot take signals")?;
    let (sender, ended) = oneshot::channel();
    let runtime = Handle::current();
    // A terminal may take nothing for as long as it likes: nobody else waits for it.
    let draws = move || {
        let session = async {
            let session = Session {
                screen: Screen::take()?,
                model,
                asks,
                utc: args.utc,
                signals: Signals::install().context("cannot take signals")?,
                tasks,
            };
            session.run(heard).await
        };
        let _ = sender.send(runtime.block_on(session));
    };
    thread::Builder::new()
        .name("screen".to_owned())
        .spawn(draws)
        .context("there is no thread to draw on")?;
    let terminated = async {
        let signal = signals.next().await;
        sleep(GIVING_BACK).await;
        ended_by(signal)
    };
    tokio::select! {
        code = ended => code.context("the part that draws has died")?,
        code = terminated => {
            screen::leave_raw_mode();
            Ok(code)
        }
    }
}

fn name_of_directory(args: &SourceArgs) -> String {
    let path = args.data_dir.as_deref();
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// When the screen is drawn: once for all that has changed in a [`FRAME`].
#[derive(Debug, Default)]
struct Frame {
    drawn: Option<Instant>,
    is_drawn: bool,
}

impl Frame {
    /// Something has changed since it was drawn.
    const fn is_wanted(&self) -> bool {
        !self.is_drawn
    }

    fn due(&self) -> Instant {
        self.drawn.map_or_else(Instant::now, |drawn| drawn + FRAME)
    }

    fn begin(&mut self) {
        (self.drawn, self.is_drawn) = (Some(Instant::now()), true);
    }

    const fn want(&mut self) {
        self.is_drawn = false;
    }
}

/// What is passed on to those who ask.
struct Asks {
    wanted: watch::Sender<report::Wanted>,
    values: watch::Sender<Option<weir_query::ValuesRequest>>,
}

impl Asks {
    fn tell(&self, model: &Model) {
        let change = |now: &mut report::Wanted| {
            let wanted = model.wanted();
            let changed = *now != wanted;
            *now = wanted;
            changed
        };
        self.wanted.send_if_modified(change);
        let wanted = model.wanted_values();
        self.values.send_if_modified(|now| {
            let changed = *now != wanted;
            *now = wanted;
            changed
        });
    }
}

/// One who watches.
struct Session {
    screen: Screen,
    model: Model,
    asks: Asks,
    utc: bool,
    signals: Signals,
    /// Those who ask. They end with this.
    tasks: JoinSet<()>,
}

impl Session {
    /// Draws and listens until the person has seen enough. The terminal is given back when
    /// this is dropped.
    async fn run(mut self, mut heard: mpsc::Receiver<Report>) -> Result<ExitCode> {
        let mut typed = screen::events().context("cannot read the terminal")?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut frame = Frame::default();
        while !self.model.over {
            if std::mem::take(&mut self.model.suspended) {
                self.screen.suspend()?;
            }
            tokio::select! {
                () = sleep_until(frame.due()), if frame.is_wanted() => {
                    frame.begin();
                    self.draw()?;
                    continue;
                }
                event = typed.recv() => match event {
                    Some(event) => self.take(event),
                    // The terminal is gone.
                    None => return Ok(ExitCode::SUCCESS),
                },
                report = heard.recv() => {
                    let report = report.context(DIED)?;
                    self.update(Event::Report(report));
                }
                _ = tick.tick() => {}
                _ = self.tasks.join_next() => bail!(DIED),
                signal = self.signals.next() => return Ok(ended_by(signal)),
            }
            frame.want();
        }
        Ok(ExitCode::SUCCESS)
    }

    fn draw(&mut self) -> Result<()> {
        let area = self.screen.terminal.size().context("the terminal is gone")?;
        let width = Some(usize::from(area.width));
        let look = Look {
            colours: terminal::has_colours(),
            times: TimeStyle::new(time::zone(self.utc), Timestamp::now(), width),
        };
        let model = &self.model;
        let drawn = self
            .screen
            .terminal
            .draw(|frame| view::draw(frame, model, &look, Instant::now().into_std()));
        let height = view::height(drawn.context("the terminal is gone")?.area);
        self.update(Event::Height(height));
        Ok(())
    }

    fn take(&mut self, event: TerminalEvent) {
        match event {
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => {
                self.update(Event::Key(key.into()))
            }
            TerminalEvent::Paste(text) => self.update(Event::Paste(text)),
            _ => {}
        }
    }

    fn update(&mut self, event: Event) {
        self.model.update(event);
        self.asks.tell(&self.model);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_within_a_frame_is_drawn_once_when_it_is_over() {
        let mut frame = Frame::default();
        assert!(
            frame.is_wanted() && frame.due() <= Instant::now(),
            "at first at once"
        );
        frame.begin();
        let drawn = frame.drawn.unwrap();
        assert!(!frame.is_wanted(), "nothing has changed");
        frame.want();
        frame.want();
        assert!(frame.is_wanted());
        assert_eq!(frame.due(), drawn + FRAME);
    }
}
