"""One module and one TOML file an experiment; `paper_repro.run` says what a module has to offer."""
