//! What an image says about how it wants to be run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use serde::{Deserialize, Serialize};

use super::fault::{Fault, Outcome};
use super::limits::Limits;
use crate::{Error, Result, Step};

/// The configuration of an image, as the OCI image specification has it ("config.md", property `config`); empty for a
/// plain tarball. What the user asks for at run time comes first, this second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ImageConfig {
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// What is always run; the user's arguments follow it.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program itself, where the user gives none.
    pub cmd: Vec<String>,
    /// Where programs start, absolute; empty where the image says nothing.
    pub working_dir: String,
    /// As in [`crate::ExecConfig::user`]; empty where the image says nothing.
    pub user: String,
    /// `SIGTERM`, `15`; empty where the image says nothing.
    pub stop_signal: String,
    /// Absolute paths that hold data of the container's own.
    pub volumes: Vec<String>,
    /// Free-form.
    pub labels: BTreeMap<String, String>,
    /// GOARCH's name for the machine (`amd64`); empty where the image says nothing.
    pub architecture: String,
}

crate::config::with!(ImageConfig);

impl ImageConfig {
    /// What `docker run IMAGE ARGS…` starts: the entrypoint, then `args`; where there are no `args`, the image's own.
    ///
    /// # Errors
    /// Where that is nothing at all.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Vec<OsString>> {
        let mut command: Vec<OsString> = self.entrypoint.iter().map(OsString::from).collect();
        let given = command.len();
        command.extend(args.into_iter().map(|argument| argument.as_ref().to_os_string()));
        if command.len() == given {
            command.extend(self.cmd.iter().map(OsString::from));
        }
        if command.is_empty() {
            let why = "argv is empty, and the image names no program to run (it has neither Entrypoint nor Cmd)";
            return Err(Error::invalid(Step::StartProgram, "a program", why).with_hint("say what to run"));
        }
        Ok(command)
    }

    /// Sets an environment variable; the same name again replaces the value.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let is_same = |old: &String| old.split_once('=').map_or(old.as_str(), |(old, _)| old) == name;
        match self.env.iter_mut().find(|old| is_same(old)) {
            Some(old) => *old = entry,
            None => self.env.push(entry),
        }
    }

    /// Refuses what no container could be run with, or what would only take our memory. It is counted as it is written down.
    pub(super) fn bounded(&self, limits: &Limits) -> Outcome<()> {
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |text| text.len());
        if bytes > limits.config {
            return Err(Fault::over(b"", "config", format!("a configuration of {bytes} bytes")));
        }
        if self.volumes.len() > limits.volumes {
            return Err(Fault::over(b"", "volumes", format!("an image of {} volumes", self.volumes.len())));
        }
        let places = self.volumes.iter().map(|volume| ("volume", volume)).chain([("WorkingDir", &self.working_dir)]);
        for (what, place) in places {
            // The NUL included.
            if place.len() >= libc::PATH_MAX as usize {
                let why = format!("a {what} of {} bytes, PATH_MAX is {}", place.len(), libc::PATH_MAX);
                return Err(Fault::bad(place.as_bytes(), why));
            }
            if place.split('/').any(|name| name.len() > 255) {
                return Err(Fault::bad(
                    place.as_bytes(),
                    format!("a {what} with a name longer than 255 bytes (NAME_MAX)"),
                ));
            }
        }
        Ok(())
    }

    /// The number of the signal that asks its program to end: `stop_signal` as a number of signal(7). Where the image says
    /// nothing, or names no signal that there is, it is SIGTERM, as with docker: whatever an image says, it can be stopped.
    pub fn stop_signal_number(&self) -> i32 {
        signal(&self.stop_signal).unwrap_or(libc::SIGTERM)
    }

    /// What it says for a stop signal, if that is none; fit to be shown.
    pub(crate) fn unknown_stop_signal(&self) -> Option<String> {
        let text = &self.stop_signal;
        (!text.is_empty() && signal(text).is_none()).then(|| super::fault::show(text.as_bytes()))
    }
}

/// "15", "TERM", "SIGTERM", "RTMIN+3": what docker takes.
fn signal(text: &str) -> Option<i32> {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    if let Ok(number) = text.parse::<i32>() {
        return (1..=last).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = match name {
        "RTMIN" => first,
        "RTMAX" => last,
        _ if name.starts_with("RTMIN+") => first.checked_add(name[6..].parse().ok()?)?,
        _ if name.starts_with("RTMAX-") => last.checked_sub(name[6..].parse().ok()?)?,
        _ => return format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32),
    };
    (first..=last).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(entrypoint: &[&str], cmd: &[&str]) -> ImageConfig {
        let own = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        ImageConfig { entrypoint: own(entrypoint), cmd: own(cmd), ..ImageConfig::default() }
    }

    #[test]
    fn arguments_replace_cmd_and_follow_the_entrypoint_as_in_docker_run() {
        let none: [&str; 0] = [];
        assert_eq!(image(&["/e", "-x"], &["c"]).command(none).unwrap(), ["/e", "-x", "c"]);
        assert_eq!(image(&["/e", "-x"], &["c"]).command(["a", "b"]).unwrap(), ["/e", "-x", "a", "b"]);
        assert_eq!(image(&[], &["c", "d"]).command(none).unwrap(), ["c", "d"]);
        assert_eq!(image(&[], &["c", "d"]).command(["a"]).unwrap(), ["a"]);
        assert_eq!(image(&["/e"], &[]).command(none).unwrap(), ["/e"]);
        let error = image(&[], &[]).command(none).unwrap_err().to_string();
        assert!(error.contains("neither Entrypoint nor Cmd"), "{error}");
    }

    #[test]
    fn a_stop_signal_is_a_number_or_a_name() {
        let says = |text: &str| ImageConfig { stop_signal: text.into(), ..ImageConfig::default() };
        let number = |text: &str| says(text).stop_signal_number();
        assert_eq!(number(""), libc::SIGTERM);
        for quit in ["SIGQUIT", "QUIT", "sigquit", "3"] {
            assert_eq!(number(quit), libc::SIGQUIT, "{quit}");
        }
        assert_eq!(number("SIGRTMIN+3"), libc::SIGRTMIN() + 3);
        assert_eq!(number("RTMAX-1"), libc::SIGRTMAX() - 1);
        for known in ["", "SIGQUIT", "3", "RTMAX-1"] {
            assert_eq!(says(known).unknown_stop_signal(), None);
        }
        let huge = "99999999999999999999";
        for none in
            ["SIGNOTHING", "0", "-1", "-9", "65", "99", huge, "RTMIN+99", "RTMIN+-1", "RTMIN+9999999999", "SIG", "9 "]
        {
            assert_eq!((number(none), says(none).unknown_stop_signal()), (libc::SIGTERM, Some(none.into())), "{none}");
        }
    }
}
