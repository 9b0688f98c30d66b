//! A machine whose power can be taken away: a file system in memory that knows what its disk has.
//!
//! The rules are POSIX's, with nothing more: bytes and length of a file are on disk after a sync of that file, a name
//! after a sync of its directory. Of what was not synced, any part may be lost, kept or torn, in any order.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::super::StoreError;
use super::super::super::fs::{Entry, Fs, FsFile, FsLock};
use super::super::concat;
use super::chance::Chance;

/// A write is torn at multiples of this, in bytes; small, so that small files can be torn.
const SECTOR_BYTES: usize = 128;
const ROOT: u64 = 0;

/// Clones are the same machine.
#[derive(Clone, Debug)]
pub(super) struct Machine(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    nodes: BTreeMap<u64, Node>,
    next_id: u64,
    /// Handles of an earlier process do nothing.
    process: u64,
    /// The power goes after this many changes.
    changes_left: Option<u64>,
    is_off: bool,
    changes: u64,
}

#[derive(Clone, Debug)]
enum Node {
    Dir(Dir),
    File(Content),
}

#[derive(Clone, Debug, Default)]
struct Dir {
    now: BTreeMap<OsString, u64>,
    on_disk: BTreeMap<OsString, u64>,
    unsynced: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(OsString, u64),
    Remove(OsString),
    Rename(OsString, OsString, u64),
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    on_disk: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// How much of what was not synced goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Everything,
    Nothing,
    Some,
}

impl Machine {
    pub(super) fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]);
        let state = State { nodes, next_id: 1, process: 0, changes_left: None, is_off: false, changes: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The file system as a new process sees it.
    pub(super) fn boot(&self) -> Arc<dyn Fs> {
        let mut state = self.lock();
        state.process += 1;
        state.is_off = false;
        state.changes_left = None;
        Arc::new(MemoryFs { machine: self.clone(), process: state.process })
    }

    /// The process ends; the files stay as they are.
    pub(super) fn kill(&self) {
        self.lock().process += 1;
    }

    /// The power goes after this many further changes, in the middle of the last one.
    pub(super) fn power_fails_after(&self, changes: u64) {
        self.lock().changes_left = Some(changes);
    }

    pub(super) fn is_off(&self) -> bool {
        self.lock().is_off
    }

    /// How many changes there were.
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// The power goes, and comes back.
    pub(super) fn lose_power(&self, chance: &mut Chance) {
        let mut state = self.lock();
        state.process += 1;
        state.is_off = true;
        let loss = match chance.below(4) {
            0 => Loss::Everything,
            1 => Loss::Nothing,
            _ => Loss::Some,
        };
        for node in state.nodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.lose(loss, chance),
                Node::File(content) => content.lose(loss, chance),
            }
        }
        state.forget_unnamed();
    }

    /// Another machine with the same files.
    pub(super) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// All files there are, in order.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let state = self.lock();
        let (mut files, mut dirs) = (Vec::new(), vec![(PathBuf::from("/"), ROOT)]);
        while let Some((path, id)) = dirs.pop() {
            match &state.nodes[&id] {
                Node::Dir(dir) => dirs.extend(dir.now.iter().map(|(name, id)| (path.join(name), *id))),
                Node::File(_) => files.push(path),
            }
        }
        files.sort();
        files
    }

    /// Does something to a file's bytes, behind everyone's back.
    pub(super) fn tamper<R>(&self, path: &Path, with: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut state = self.lock();
        let id = state.find(path).unwrap();
        let content = state.file(id).unwrap();
        let done = with(&mut content.now);
        content.on_disk.clone_from(&content.now);
        content.unsynced.clear();
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Dir {
    fn lose(&mut self, loss: Loss, chance: &mut Chance) {
        let mut names = std::mem::take(&mut self.on_disk);
        for change in self.unsynced.drain(..) {
            if loss == Loss::Everything || (loss == Loss::Some && chance.one_in(2)) {
                continue;
            }
            match change {
                NameChange::Add(name, id) => drop(names.insert(name, id)),
                NameChange::Remove(name) => drop(names.remove(&name)),
                NameChange::Rename(from, to, id) => {
                    names.remove(&from);
                    names.insert(to, id);
                }
            }
        }
        self.now = names.clone();
        self.on_disk = names;
    }
}

impl Content {
    fn lose(&mut self, loss: Loss, chance: &mut Chance) {
        let mut bytes = std::mem::take(&mut self.on_disk);
        for change in self.unsynced.drain(..) {
            match change {
                _ if loss == Loss::Everything => {}
                Change::Length(_) if loss == Loss::Some && chance.one_in(2) => {}
                Change::Length(length) => bytes.resize(length, 0),
                Change::Write(at, written) => {
                    let torn = loss == Loss::Some && chance.one_in(2);
                    write(&mut bytes, at, &written, |_| !torn || chance.one_in(2));
                }
            }
        }
        self.now.clone_from(&bytes);
        self.on_disk = bytes;
    }
}

/// Writes the sectors that are kept.
fn write(bytes: &mut Vec<u8>, at: usize, written: &[u8], mut keep: impl FnMut(usize) -> bool) {
    let end = at + written.len();
    let mut from = at;
    while from < end {
        let to = ((from / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
        if keep(from) {
            if bytes.len() < to {
                bytes.resize(to, 0);
            }
            bytes[from..to].copy_from_slice(&written[from - at..to - at]);
        }
        from = to;
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

fn not_found() -> io::Error {
    ErrorKind::NotFound.into()
}

impl State {
    /// Counts a change. In the middle of the last one the power goes: then it is done, but nobody is told.
    fn change(&mut self) {
        self.changes += 1;
        if let Some(left) = &mut self.changes_left {
            *left = left.saturating_sub(1);
            self.is_off |= *left == 0;
        }
    }

    fn answer(&self) -> io::Result<()> {
        if self.is_off { Err(no_power()) } else { Ok(()) }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        let mut id = ROOT;
        for part in path.components() {
            if let Component::Normal(name) = part {
                let Some(Node::Dir(dir)) = self.nodes.get(&id) else { return Err(not_found()) };
                id = *dir.now.get(name).ok_or_else(not_found)?;
            }
        }
        Ok(id)
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        let id = self.find(path)?;
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(not_found()),
        }
    }

    fn file(&mut self, id: u64) -> io::Result<&mut Content> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(not_found()),
        }
    }

    fn add(&mut self, path: &Path, id: u64) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let dir = self.dir(parent)?;
        dir.now.insert(name.to_owned(), id);
        dir.unsynced.push(NameChange::Add(name.to_owned(), id));
        Ok(())
    }

    fn make(&mut self, path: &Path, node: Node) -> io::Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        self.add(path, id)?;
        self.nodes.insert(id, node);
        Ok(id)
    }

    fn forget_unnamed(&mut self) {
        let mut named = vec![ROOT];
        let mut at = 0;
        while let Some(id) = named.get(at) {
            if let Some(Node::Dir(dir)) = self.nodes.get(id) {
                named.extend(dir.now.values().copied());
            }
            at += 1;
        }
        named.sort_unstable();
        self.nodes.retain(|id, _| named.binary_search(id).is_ok());
    }
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    Ok((path.parent().ok_or_else(not_found)?, path.file_name().ok_or_else(not_found)?))
}

#[derive(Debug)]
struct MemoryFs {
    machine: Machine,
    process: u64,
}

#[derive(Debug)]
struct NoLock;

impl FsLock for NoLock {}

struct MemoryFile {
    machine: Machine,
    process: u64,
    id: u64,
}

fn running(machine: &Machine, process: u64) -> io::Result<MutexGuard<'_, State>> {
    let state = machine.lock();
    if state.is_off || state.process != process { Err(no_power()) } else { Ok(state) }
}

impl MemoryFs {
    fn running(&self) -> io::Result<MutexGuard<'_, State>> {
        running(&self.machine, self.process)
    }
}

impl Fs for MemoryFs {
    fn lock(&self, root_dir: &Path) -> Result<Box<dyn FsLock>, StoreError> {
        super::super::super::fs::make_dirs(self, root_dir).map_err(StoreError::io("make", root_dir))?;
        Ok(Box::new(NoLock))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut state = self.running()?;
        let id = match state.find(path) {
            Ok(id) => id,
            Err(_) => {
                let id = state.make(path, Node::File(Content::default()))?;
                state.change();
                state.answer()?;
                id
            }
        };
        drop(state);
        Ok(Box::new(MemoryFile { machine: self.machine.clone(), process: self.process, id }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.running()?;
        let id = state.find(path)?;
        Ok(state.file(id)?.now.clone())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.running()?;
        let names = state.dir(dir)?.now.clone();
        let entry = |(name, id)| match &state.nodes[&id] {
            Node::Dir(_) => Entry { name, is_dir: true, len: 0 },
            Node::File(content) => Entry { name, is_dir: false, len: content.now.len() as u64 },
        };
        Ok(names.into_iter().map(entry).collect())
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        if state.find(dir).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.make(dir, Node::Dir(Dir::default()))?;
        state.change();
        state.answer()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        let id = state.find(from)?;
        let ((from_dir, from_name), (to_dir, to_name)) = (split(from)?, split(to)?);
        let (from_name, to_name) = (from_name.to_owned(), to_name.to_owned());
        if from_dir == to_dir {
            let dir = state.dir(from_dir)?;
            dir.now.remove(&from_name);
            dir.now.insert(to_name.clone(), id);
            dir.unsynced.push(NameChange::Rename(from_name, to_name, id));
        } else {
            state.add(to, id)?;
            let dir = state.dir(from_dir)?;
            dir.now.remove(&from_name);
            dir.unsynced.push(NameChange::Remove(from_name));
        }
        state.change();
        state.answer()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        let id = state.find(from)?;
        state.add(to, id)?;
        state.change();
        state.answer()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        let (parent, name) = split(path)?;
        let dir = state.dir(parent)?;
        dir.now.remove(name).ok_or_else(not_found)?;
        dir.unsynced.push(NameChange::Remove(name.to_owned()));
        state.change();
        state.answer()
    }

    fn used_percent(&self, _: &Path) -> io::Result<u32> {
        Ok(0)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        state.change();
        state.answer()?;
        let dir = state.dir(path)?;
        dir.on_disk = dir.now.clone();
        dir.unsynced.clear();
        Ok(())
    }
}

impl MemoryFile {
    fn running(&self) -> io::Result<MutexGuard<'_, State>> {
        running(&self.machine, self.process)
    }
}

impl FsFile for MemoryFile {
    fn read_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        let mut state = self.running()?;
        let bytes = &state.file(self.id)?.now;
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        out.extend_from_slice(&bytes[from..bytes.len().min(from + len)]);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.running()?;
        let at = usize::try_from(offset).unwrap();
        let content = state.file(self.id)?;
        write(&mut content.now, at, bytes, |_| true);
        content.unsynced.push(Change::Write(at, bytes.to_vec()));
        state.change();
        state.answer()
    }

    fn write_parts_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.write_at(&concat(parts), offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.running()?;
        state.change();
        state.answer()?;
        let content = state.file(self.id)?;
        content.on_disk.clone_from(&content.now);
        content.unsynced.clear();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.running()?;
        let len = usize::try_from(len).unwrap();
        let content = state.file(self.id)?;
        content.now.resize(len, 0);
        content.unsynced.push(Change::Length(len));
        state.change();
        state.answer()
    }
}
