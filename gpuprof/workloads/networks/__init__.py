"""One network per file; a module that does not start with `_` is a workload, named after its file."""
