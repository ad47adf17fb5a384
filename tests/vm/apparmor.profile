# What tests/labels.rs runs programs under: they may do anything but touch one file.
profile ctr-test flags=(attach_disconnected) {
  file,
  capability,
  network,
  signal,
  ptrace,
  deny /tmp/secret rw,
}
