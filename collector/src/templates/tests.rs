use std::net::SocketAddr;

use wire::encode::Ipfix;
use wire::{Field, Summary};

use super::*;

const PORT: Field = Field::iana(7, 2);

/// A directory of the test's own.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-templates-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> TemplateFile {
        TemplateFile::open(&self.0).unwrap()
    }

    /// The files in it, but the lock.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != LOCK)
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn feed(decoder: &mut Decoder, message: Ipfix) -> Summary {
    let session = SocketAddr::from(([192, 0, 2, 1], 4739));
    decoder
        .decode(session, now_ms(), &message.encode(), &mut Vec::new())
        .unwrap()
}

fn template() -> Ipfix {
    Ipfix::new(0, 0, 1).template(256, &[PORT])
}

fn data() -> Ipfix {
    Ipfix::new(0, 0, 1).set(256, &[0, 80])
}

fn archive() -> Archive {
    let (mut decoder, mut archive) = (Decoder::default(), Archive::default());
    feed(&mut decoder, template());
    let learned = decoder.take_learned(now_ms());
    learned.into_iter().for_each(|learned| archive.merge(learned));
    archive
}

fn open(directory: &Directory) -> (Templates, Writer) {
    Templates::open(directory.file(), Limits::default(), Gauge::default())
}

#[test]
fn what_is_written_is_read_again_and_nothing_else_is_left() {
    let directory = Directory::new("again");
    assert_eq!(directory.file().load(&Limits::default()).templates(), 0);
    directory.file().write(&archive()).unwrap();
    directory.file().write(&archive()).unwrap();
    assert_eq!(directory.file().load(&Limits::default()).templates(), 1);
    assert_eq!(directory.names(), ["templates"]);
}

#[test]
fn a_state_directory_has_one_holder_at_a_time() {
    let directory = Directory::new("holder");
    let (_templates, writer) = open(&directory);
    let error = TemplateFile::open(&directory.0).unwrap_err();
    let holder = format!("in use by process {};", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    drop(writer);
    directory.file();
}

#[test]
fn a_file_damaged_anywhere_is_moved_aside() {
    let directory = Directory::new("damaged");
    directory.file().write(&archive()).unwrap();
    let path = directory.0.join("templates");
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut octets = whole.clone();
        octets[place] ^= 0x10;
        fs::write(&path, &octets).unwrap();
        assert_eq!(
            directory.file().load(&Limits::default()).templates(),
            0,
            "{place}"
        );
        assert_eq!(directory.names(), ["templates.broken"], "{place}");
        assert_eq!(fs::read(directory.0.join("templates.broken")).unwrap(), octets);
    }
}

#[test]
fn a_file_cut_short_a_foreign_one_and_one_of_another_version_are_told_apart() {
    let directory = Directory::new("foreign");
    directory.file().write(&archive()).unwrap();
    let path = directory.0.join("templates");
    let whole = fs::read(&path).unwrap();
    let read = |octets: &[u8]| {
        fs::write(&path, octets).unwrap();
        directory.file().read(&Limits::default()).unwrap_err()
    };
    for length in 0..HEADER {
        assert!(
            matches!(read(&whole[..length]), TemplatesError::Foreign),
            "{length}"
        );
    }
    for length in HEADER..whole.len() {
        assert!(
            matches!(read(&whole[..length]), TemplatesError::Damaged),
            "{length}"
        );
    }
    assert!(matches!(read(&[b'x'; 100]), TemplatesError::Foreign));
    let mut later = whole.clone();
    later[11] = 2;
    assert!(matches!(read(&later), TemplatesError::Version(2)));
    // A right checksum makes no archive of what is none.
    let content = [0xff; 9];
    let forged = [&whole[..12], &crc32(&content).to_be_bytes(), &content].concat();
    assert!(matches!(read(&forged), TemplatesError::Archive(_)));
}

#[test]
fn the_checksum_is_that_of_ieee_802_3() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn what_a_decoder_learns_is_known_to_the_next_one() {
    let directory = Directory::new("next");
    let (templates, writer) = open(&directory);
    let mut decoder = Decoder::default();
    let mut telling = templates.teach(&mut decoder);
    drop(templates);
    feed(&mut decoder, template());
    telling.busy(&mut decoder);
    feed(&mut decoder, Ipfix::new(0, 0, 2).template(256, &[PORT]));
    telling.end(&mut decoder);
    drop(telling);
    writer.run();

    let (templates, _writer) = open(&directory);
    assert_eq!(templates.known.scopes(), 2);
    let mut next = Decoder::default();
    templates.teach(&mut next);
    let summary = feed(&mut next, data());
    assert_eq!((summary.templates_recalled, summary.records), (1, 1));
}

#[test]
fn templates_of_sessions_that_were_silent_meanwhile_stay_in_the_file() {
    let directory = Directory::new("silent");
    directory.file().write(&archive()).unwrap();
    let (templates, writer) = open(&directory);
    let mut decoder = Decoder::default();
    let mut telling = templates.teach(&mut decoder);
    drop(templates);
    feed(&mut decoder, Ipfix::new(0, 0, 2).template(300, &[PORT]));
    telling.end(&mut decoder);
    drop(telling);
    writer.run();
    assert_eq!(directory.file().load(&Limits::default()).scopes(), 2);
}

#[test]
fn a_busy_writer_is_not_waited_for_and_nothing_is_lost_by_it() {
    let directory = Directory::new("busy");
    let (templates, writer) = open(&directory);
    let mut decoder = Decoder::default();
    let mut telling = templates.teach(&mut decoder);
    drop(templates);
    let domains = 2 * LOTS as u32;
    for domain in 0..domains {
        feed(&mut decoder, Ipfix::new(0, 0, domain).template(256, &[PORT]));
        telling.idle(&mut decoder);
    }
    assert!(!telling.lot.is_empty());
    let writer = std::thread::spawn(|| writer.run());
    telling.end(&mut decoder);
    drop(telling);
    writer.join().unwrap();
    assert_eq!(
        directory.file().load(&Limits::default()).scopes(),
        domains as usize
    );
}
